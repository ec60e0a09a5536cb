"""A service's process: its health, how it starts, how it stops, and that it goes on whatever fails beside it."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from answering import NAME, SERVICE, AnsweringServicer, bearer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pydantic import SecretStr
from tiny_process import SECRET, watch
from tiny_service import open_things

from chassis.server import Server, Servicer
from chassis.settings import Platform
from chassis.testing import AUDIENCE, ISSUER, Issuer, find_points, free_port, is_listening, python, run_process, wait_until
from siaga.alerts.v1 import alert_service_pb2 as pb
from siaga.alerts.v1 import alert_service_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SCRIPT = str(Path(__file__).with_name("tiny_process.py"))


class Running(NamedTuple):
    server: Server
    servicer: AnsweringServicer
    channel: grpc.aio.Channel
    task: "asyncio.Task[None]"

    async def health(self, service: str = "") -> "health_pb2.HealthCheckResponse.ServingStatus.ValueType":
        stub = health_pb2_grpc.HealthStub(self.channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


def make_platform(issuer: Issuer, folder: Path) -> Platform:
    redis_url = SecretStr(f"redis://127.0.0.1:{free_port()}")
    return Platform(data=folder, issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.jwks_url, redis_url=redis_url)


def make_servicer(methods: AnsweringServicer) -> Servicer:
    return Servicer(SERVICE, alert_service_pb2_grpc.add_AlertServiceServicer_to_server, methods)


@asynccontextmanager
async def serving(issuer: Issuer, folder: Path, **details: Any) -> AsyncIterator[Running]:  # Server's own
    listen = f"127.0.0.1:{free_port()}"
    servicer = AnsweringServicer()
    async with open_things(f"sqlite:///{folder / 'test.db'}") as database:
        server = Server(listen, make_platform(issuer, folder), database, [make_servicer(servicer)], **details)
        task = asyncio.create_task(server.run())
        async with grpc.aio.insecure_channel(listen) as channel:
            await asyncio.wait_for(channel.channel_ready(), 500)
            yield Running(server, servicer, channel, task)
        task.cancel()
        await asyncio.wait([task])


async def test_health_is_told_of_the_process_and_of_each_service(issuer: Issuer, tmp_path: Path) -> None:
    async with serving(issuer, tmp_path) as running:
        for name in ("", "live", SERVICE.full_name):
            assert await running.health(name) == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.health("another.Service")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_what_is_served(issuer: Issuer, tmp_path: Path) -> None:
    async with serving(issuer, tmp_path) as running:
        stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        [answer] = [answer async for answer in call]
        names = {service.name for service in answer.list_services_response.service}
        assert names == {SERVICE.full_name, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_stopping_turns_callers_away_then_ends_watches_then_finishes_calls(
    issuer: Issuer, tmp_path: Path, run_fast: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def stop() -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        async with serving(issuer, tmp_path, before_stop=stopping.set) as running:
            running.servicer.stream = partial(watch, stopping)
            stub = alert_service_pb2_grpc.AlertServiceStub(running.channel)
            stream = stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher"))
            assert (await stream.read()).cursor == "1"
            running.servicer.behave = lambda: asyncio.sleep(4)
            call = stub.GetAlert(pb.GetAlertRequest(name=NAME), timeout=60)
            last = asyncio.create_task(stream.read())
            while running.servicer.calls < 2:
                await asyncio.sleep(0.1)
            began = loop.time()
            running.server.stop()
            while await running.health() == SERVING:
                await asyncio.sleep(0.05)
            assert await running.health(SERVICE.full_name) == NOT_SERVING
            assert await running.health("live") == SERVING, "it is not to be killed for stopping"
            assert not last.done()
            assert (await last).end.reason == pb.WatchAlertsResponse.End.SERVICE_STOPPING
            assert loop.time() - began >= 2, "the gateway has had the time to see it"
            assert (await call).name == NAME
            await asyncio.wait_for(running.task, 60)

    run_fast(stop())


def test_a_call_that_does_not_end_does_not_keep_the_process(
    issuer: Issuer, tmp_path: Path, run_fast: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def stop() -> None:
        async with serving(issuer, tmp_path) as running:
            running.servicer.behave = asyncio.Event().wait
            stub = alert_service_pb2_grpc.AlertServiceStub(running.channel)
            call = stub.GetAlert(pb.GetAlertRequest(name=NAME), timeout=60)
            watching = stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher"))
            while running.servicer.calls < 2:
                await asyncio.sleep(0.1)
            running.server.stop()
            await asyncio.wait_for(running.task, 60)
            for each in (call, watching):
                assert await each.code() is not grpc.StatusCode.OK

    run_fast(stop())


async def test_a_failing_background_task_begins_again_and_the_service_goes_on(
    issuer: Issuer, tmp_path: Path, caplog: pytest.LogCaptureFixture, metric_reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.server._RESTART_SECONDS", 0.05)
    begun: list[float] = []
    again, counted = asyncio.Event(), count_failures(metric_reader)

    async def fail_three_times() -> None:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) < 4:
            async with asyncio.TaskGroup():
                raise ValueError(SECRET)
        again.set()
        await asyncio.Event().wait()

    async with serving(issuer, tmp_path, background=[fail_three_times, asyncio.Event().wait]) as running:
        await asyncio.wait_for(again.wait(), 10)
        assert await running.health() == SERVING
        assert not running.task.done()
    assert "a background task failed and begins again in 0.05 s: ExceptionGroup in " in caplog.text
    assert "ValueError in fail_three_times (" in caplog.text
    assert SECRET not in caplog.text
    assert count_failures(metric_reader) == counted + 3
    # Each time later.
    assert [after - before >= pause for before, after, pause in zip(begun, begun[1:], (0.05, 0.1, 0.2), strict=False)] == [True] * 3


def count_failures(reader: InMemoryMetricReader) -> int | float:
    return sum(point.value for point in find_points(reader, "siaga.background.failures"))


def test_a_taken_port_is_named(issuer: Issuer, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"

        async def serve() -> None:
            async with open_things(f"sqlite:///{tmp_path / 'test.db'}") as database:
                await Server(listen, make_platform(issuer, tmp_path), database, [make_servicer(AnsweringServicer())]).run()

        with pytest.raises(SystemExit, match=f"{listen} cannot be listened on: another process has the port"):
            asyncio.run(serve())


def environment(issuer: Issuer, folder: Path) -> dict[str, str]:
    return {"SIAGA_DATA": str(folder), "SIAGA_ISSUER": ISSUER, "SIAGA_AUDIENCE": AUDIENCE, "SIAGA_JWKS_URL": issuer.jwks_url}


def test_a_signal_ends_the_process_well(issuer: Issuer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        started: dict[signal.Signals, subprocess.Popen[bytes]] = {}
        for number in (signal.SIGTERM, signal.SIGINT):
            port, folder = free_port(), tmp_path / number.name
            folder.mkdir()
            arguments = python(SCRIPT, f"127.0.0.1:{port}", "serving")
            started[number] = stack.enter_context(run_process(arguments, environment(issuer, folder), folder / "log"))
            wait_until(partial(is_listening, port), 20, "it serves")
        began = time.monotonic()
        for number, process in started.items():
            process.send_signal(number)
        for number, process in started.items():
            assert process.wait(10) == 0
            assert "Traceback" not in (tmp_path / number.name / "log").read_text()
        assert time.monotonic() - began < 6


def test_a_failing_background_task_does_not_end_the_process(issuer: Issuer, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with run_process(python(SCRIPT, f"127.0.0.1:{port}", "failing"), environment(issuer, tmp_path), log) as process:
        wait_until(lambda: log.read_text().count("a background task failed") > 1, 20, "it fails again")
        assert process.poll() is None
        assert is_listening(port)


def test_what_was_loaded_before_it_serves_is_not_collected_again() -> None:
    code = "import gc; from chassis.server import run_service\nasync def serve(): print(gc.get_freeze_count())\nrun_service(serve())"
    frozen = subprocess.run(python("-c", code), check=True, capture_output=True, text=True).stdout
    assert int(frozen) > 10_000
