"""A servicer of our own contract whose answers a test decides, and a real server and client around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2

from chassis.access import Method, read_methods
from chassis.errors import STATUS_DETAILS
from chassis.identity import TokenVerifier
from chassis.interceptors import Surround
from chassis.testing import AUDIENCE, ISSUER, Issuer
from siaga.alerts.v1 import alert_pb2, alert_service_pb2_grpc
from siaga.alerts.v1 import alert_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["AlertService"]
NAME = "alerts/01900000-0000-7000-8000-000000000000"
DIAL = "112"


async def answer_at_once() -> None:
    pass


class AnsweringServicer(alert_service_pb2_grpc.AlertServiceServicer):
    """`behave` runs in every call; what it raises is the call's failure. A watch goes on with `stream`."""

    def __init__(self) -> None:
        self.behave: Callable[[], Awaitable[None]] = answer_at_once
        self.stream: Callable[[], AsyncIterator[pb.WatchAlertsResponse | bytes]] = watch_for_ever
        self.watches_behave = True
        self.calls = 0

    async def RaiseAlert(self, request: pb.RaiseAlertRequest, context: grpc.aio.ServicerContext) -> pb.RaiseAlertResponse:
        await self._answer()
        return pb.RaiseAlertResponse(alert_token="t")

    async def GetAlert(self, request: pb.GetAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        await self._answer()
        return alert_pb2.Alert(name=request.name)

    async def AcknowledgeAlert(self, request: pb.AcknowledgeAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        await self._answer()
        return alert_pb2.Alert(name=request.name)

    async def WatchAlerts(
        self, request: pb.WatchAlertsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.WatchAlertsResponse | bytes]:
        if self.watches_behave:
            await self._answer()
        async for message in self.stream():
            yield message

    async def _answer(self) -> None:
        self.calls += 1
        await self.behave()


async def watch_for_ever() -> AsyncIterator[pb.WatchAlertsResponse]:
    yield pb.WatchAlertsResponse(cursor="1")
    await asyncio.Event().wait()


class Answering(NamedTuple):
    servicer: AnsweringServicer
    stub: alert_service_pb2_grpc.AlertServiceStub
    channel: grpc.aio.Channel


@asynccontextmanager
async def answering(
    issuer: Issuer,
    folder: Path,
    methods: Mapping[str, Method] | None = None,
    pending: Callable[[], int] = lambda: 0,
    max_watches: int = 10,
    maximum_concurrent_rpcs: int | None = None,
) -> AsyncIterator[Answering]:
    servicer = AnsweringServicer()
    tokens = TokenVerifier(ISSUER, AUDIENCE, issuer.jwks_url, folder / "jwks.json")
    fetching = asyncio.create_task(tokens.run())
    surround = Surround(read_methods(SERVICE) if methods is None else methods, tokens, DIAL, pending, max_watches, max_pending=10)
    server = grpc.aio.server(interceptors=[surround], maximum_concurrent_rpcs=maximum_concurrent_rpcs)
    alert_service_pb2_grpc.add_AlertServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Answering(servicer, alert_service_pb2_grpc.AlertServiceStub(channel), channel)
    finally:
        await server.stop(0)
        fetching.cancel()
        await asyncio.wait([fetching])


def bearer(issuer: Issuer, *roles: str) -> Sequence[tuple[str, str]]:
    return [("authorization", f"Bearer {issuer.sign('users/anna', *roles, agency='agencies/a')}")]


class Refusal(NamedTuple):
    """An error as a client reads it."""

    code: grpc.StatusCode
    text: str
    reason: str
    domain: str
    metadata: dict[str, str]
    fields: list[str]
    retry_seconds: float


async def refusal_of(call: Any) -> Refusal:  # a call of one answer or of many
    """How `call` fails; the details are all that there is, each of them at most once."""
    try:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return read_refusal(error)
    message = "it did not fail"
    raise AssertionError(message)


def read_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers[STATUS_DETAILS]) if STATUS_DETAILS in trailers else status_pb2.Status()
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    unpacked = [any(each.Unpack(detail) for detail in (info, bad, retry)) for each in status.details]
    assert all(unpacked)
    if status.details:
        assert (status.code, status.message) == (error.code().value[0], error.details())
    fields = [each.field for each in bad.field_violations]
    return Refusal(
        error.code(),
        error.details() or "",
        info.reason,
        info.domain,
        dict(info.metadata),
        fields,
        retry.retry_delay.ToTimedelta().total_seconds(),
    )
