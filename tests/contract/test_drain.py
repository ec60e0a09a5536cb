"""A replica that is told to stop hands its callers over: no call fails and no watch loses a thing."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.testing import wait_until
from contract.entries import KINDS, Entries
from contract.rpcs import Services, read_until_caught_up
from harness import RunningPlatform
from security.tokens import Signer

ROOM = "agencies/jakarta-112"
STOPPED = "alerts-2"


@pytest.fixture
def replicas(spare_platform: RunningPlatform) -> Iterator[dict[str, Services]]:
    """Calls straight at each replica; the one that was stopped runs again afterwards."""
    found = {name: Services(spare_platform, {"alerts": f"127.0.0.1:{spare_platform.ports[name]}"}) for name in spare_platform.replicas}
    yield found
    for each in found.values():
        each.close()
    if spare_platform.processes[STOPPED].poll() is not None:
        spare_platform.start(STOPPED)


@pytest.fixture
def dispatcher(spare_platform: RunningPlatform) -> str:
    return Signer(spare_platform).sign("drain", "dispatcher", agency=ROOM)


@pytest.fixture
def directory(spare_platform: RunningPlatform) -> Iterator[Services]:
    """Calls straight at the directory, which runs again afterwards."""
    with closing(Services(spare_platform, {"directory": spare_platform.address("directory")})) as services:
        yield services
    if spare_platform.processes["directory"].poll() is not None:
        spare_platform.start("directory")


def is_ready(services: Services, name: str = "", service: str = "alerts") -> bool:
    try:
        answer = health_pb2_grpc.HealthStub(services.channels[service]).Check(health_pb2.HealthCheckRequest(service=name), timeout=2)
    except grpc.RpcError:
        return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def events_of(messages: list[Any], names: list[str]) -> list[tuple[str, str]]:
    return [(each.event.alert.name, each.event.type) for each in messages if each.HasField("event") and each.event.alert.name in names]


def test_a_watch_is_told_where_to_go_on_and_loses_nothing(
    spare_platform: RunningPlatform, replicas: dict[str, Services], dispatcher: str
) -> None:
    stopping, staying = replicas[STOPPED], replicas["alerts"]
    process = spare_platform.processes[STOPPED]
    names: list[str] = []

    def raise_alert(services: Services) -> None:
        names.append(services.call("alerts.RaiseAlert", {"kind": "FIRE"}).message.alert.name)

    with stopping.watch("alerts.WatchAlerts", {}, token=dispatcher) as stream:
        read_until_caught_up(stream)
        raise_alert(stopping)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_ready(stopping), 5, "the replica says that it takes nobody new")
        assert is_ready(stopping, "live")
        # Who has not heard of it yet is served all the same.
        raise_alert(stopping)
        raise_alert(staying)
        told = list(stream)
        assert stream.code() is grpc.StatusCode.OK
    end = told[-1]
    assert end.end.reason == end.end.SERVICE_STOPPING
    assert [each.WhichOneof("content") for each in told].count("end") == 1
    raise_alert(staying)
    assert process.wait(15) == 0
    with staying.watch("alerts.WatchAlerts", {"cursor": end.cursor}, token=dispatcher) as stream:
        for message in stream:
            told.append(message)
            if (names[-1], "AlertRouted") in events_of(told, names):
                break
    # Each alert's two events once and in order, over the two replicas.
    assert events_of(told, names) == [(name, kind) for name in names for kind in ("AlertRaised", "AlertRouted")]


def test_no_call_through_the_gateway_fails_while_a_replica_stops(
    spare_platform: RunningPlatform, replicas: dict[str, Services], dispatcher: str
) -> None:
    assert is_ready(replicas[STOPPED])
    stopped = threading.Event()
    answers: list[tuple[int, str]] = []

    def call_on_and_on(path: str) -> None:
        with httpx.Client(base_url=spare_platform.url, headers={"authorization": f"Bearer {dispatcher}"}, timeout=10) as client:
            while not stopped.is_set():
                answer = client.post(path, json={"kind": "MEDICAL"}) if path.endswith(":raise") else client.get(path)
                answers.append((answer.status_code, answer.text))

    with ThreadPoolExecutor(4) as pool:
        for path in ("/v1/alerts:raise", "/v1/alerts?pageSize=1") * 2:
            pool.submit(call_on_and_on, path)
        wait_until(lambda: len(answers) > 50, 10, "calls are under way")
        spare_platform.processes[STOPPED].send_signal(signal.SIGTERM)
        assert spare_platform.processes[STOPPED].wait(20) == 0
        after = len(answers)
        wait_until(lambda: len(answers) > after + 50, 10, "calls go on")
        stopped.set()
    assert [answer for answer in answers if answer[0] != 200] == []


def test_a_watch_of_the_directory_is_told_where_to_go_on(spare_platform: RunningPlatform, directory: Services) -> None:
    entries = Entries(directory, Signer(spare_platform).sign("drain-admin", "admin"))
    with directory.watch("directory.WatchDirectory", {}) as stream:
        read_until_caught_up(stream)
        spare_platform.processes["directory"].send_signal(signal.SIGTERM)
        told = list(stream)
        assert stream.code() is grpc.StatusCode.OK
    assert [each.WhichOneof("content") for each in told] == ["end"]
    assert told[0].end.reason == told[0].end.SERVICE_STOPPING
    assert spare_platform.processes["directory"].wait(15) == 0
    spare_platform.start("directory")
    wait_until(lambda: is_ready(directory, service="directory"), 10, "the directory is reached again")
    with directory.watch("directory.WatchDirectory", {"cursor": told[0].cursor}) as stream:
        # It has the same directory again, of which the reader knows.
        assert [each.WhichOneof("content") for each in read_until_caught_up(stream)] == ["heartbeat"]
        name = entries.make(KINDS["Agency"]).name
        changed = next(stream)
        assert changed.event.type == "DirectoryChanged"
        assert changed.event.directory.etag == directory.call("directory.GetSnapshot").message.etag
    entries.ask("DeleteAgency", {"name": name}).require_ok()
