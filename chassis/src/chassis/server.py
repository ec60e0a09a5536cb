"""A service's process: its gRPC server, its health, its background work, and how it stops."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry import metrics

from chassis import telemetry
from chassis.access import Method, read_methods
from chassis.database import Database
from chassis.identity import TokenVerifier
from chassis.interceptors import Surround
from chassis.settings import Platform

# Long enough for the gateway's health check to have seen it.
_DRAIN_SECONDS = 2.0
_GRACE_SECONDS = 10.0
_MAX_WATCHES = 5000
_MAX_PENDING = 500
# What has failed begins again after the first of these, then after twice as long each time, up to the last.
_RESTART_SECONDS, _MAX_RESTART_SECONDS = 1.0, 30.0
_OPTIONS = [
    # A second process on the port would take a part of the connections in silence.
    ("grpc.so_reuseport", 0),
    # Above what the gateway lets pass (32 kB). The default refuses at random from 8 kB on, an SOS with many headers too.
    ("grpc.max_metadata_size", 65_536),
    ("grpc.absolute_max_metadata_size", 65_536),
    # An idle stream's dead peer is noticed within 15 s; all five are needed for that.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
]
_log = logging.getLogger(__name__)
_failures = metrics.get_meter("chassis").create_counter("siaga.background.failures", description="Background tasks that failed")


class Servicer(NamedTuple):
    """What implements one gRPC service: its descriptor, and the generated function that adds `methods` to a server."""

    descriptor: ServiceDescriptor
    add: Callable[[Any, grpc.aio.Server], None]
    methods: object


class Server:
    """Serves until a signal. `background` are coroutine functions that run all the while, and begin again when they fail;
    `before_stop` ends what would go on for ever. `max_watches` streams run at a time.
    """

    def __init__(
        self,
        listen: str,
        platform: Platform,
        database: Database,
        servicers: Sequence[Servicer],
        background: Sequence[Callable[[], Awaitable[None]]] = (),
        before_stop: Callable[[], None] = lambda: None,
        max_watches: int = _MAX_WATCHES,
    ) -> None:
        self._listen, self._servicers = listen, servicers
        self._before_stop = before_stop
        tokens = self._tokens = TokenVerifier(platform.issuer, platform.audience, platform.jwks_url, platform.data / "jwks.json")
        self._background = [tokens.run, telemetry.measure_loop_lag, *background]
        methods: dict[str, Method] = {}
        for each in servicers:
            methods |= read_methods(each.descriptor)
        surround = Surround(methods, tokens, platform.dial, lambda: database.pending, max_watches, _MAX_PENDING)
        self._server = grpc.aio.server(interceptors=[surround], options=_OPTIONS)
        self._health = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]  # there, and not in its stubs
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        # Before anybody can see that the port is open, and end the process without its drain.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for each in self._servicers:
            each.add(each.methods, self._server)
        names = [each.descriptor.full_name for each in self._servicers]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        try:
            self._server.add_insecure_port(self._listen)
        except RuntimeError:
            message = f"{self._listen} cannot be listened on: another process has the port"
            raise SystemExit(message) from None
        async with AsyncExitStack() as leaving, asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(self._work(each)) for each in self._background]
            await self._tokens.wait_for_keys()
            await self._server.start()
            leaving.push_async_callback(self._server.stop, 0)
            await self._set_health(health_pb2.HealthCheckResponse.SERVING)
            await self._health.set("live", health_pb2.HealthCheckResponse.SERVING)
            _log.info("serving on %s", self._listen)
            await self._stopping.wait()
            await self._drain()
            for task in working:
                task.cancel()

    def stop(self) -> None:
        self._stopping.set()

    async def _drain(self) -> None:
        _log.info("stopping: no new callers, then the watches, then the calls under way")
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(_DRAIN_SECONDS)
        self._before_stop()
        await self._server.stop(_GRACE_SECONDS)

    async def _set_health(self, status: "health_pb2.HealthCheckResponse.ServingStatus.ValueType") -> None:
        for name in ("", *(each.descriptor.full_name for each in self._servicers)):
            await self._health.set(name, status)

    async def _work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whoever calls for help is not turned away because of a defect elsewhere, and what fails at one row does not fill the log."""
        loop, pause = asyncio.get_running_loop(), _RESTART_SECONDS
        while True:
            began = loop.time()
            try:
                return await work()
            except Exception as error:  # noqa: BLE001  # as above
                _failures.add(1)
                pause = _RESTART_SECONDS if loop.time() - began > _MAX_RESTART_SECONDS else pause
                _log.error("a background task failed and begins again in %g s: %s", pause, telemetry.describe(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_RESTART_SECONDS)


def run_service(serving: Coroutine[Any, Any, None]) -> None:
    """Returns at its end. What was loaded until here stays: the collector, which halts every answer, need not look through it again."""
    gc.collect()
    gc.freeze()
    asyncio.run(serving)
