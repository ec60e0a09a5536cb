"""Those who call for help and those who answer, as clients of the service."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2, status_pb2

from alerts.__main__ import serve
from alerts.settings import Settings
from chassis.errors import STATUS_DETAILS
from chassis.testing import Issuer, is_listening
from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc, unit_service_pb2, unit_service_pb2_grpc

T = TypeVar("T")

ROOM = "agencies/jakarta-112"
OTHER_ROOM = "agencies/bandung-112"
MONAS = {"latitude": -6.1754, "longitude": 106.8272}
SECONDS = 10.0
_SERVICES = [service for file in (alert_service_pb2, unit_service_pb2) for service in file.DESCRIPTOR.services_by_name.values()]


def new_id() -> str:
    return str(uuid.uuid4())


def new_alert_token() -> str:
    return f"{uuid.uuid4().hex}{uuid.uuid4().hex}"


class Refusal(NamedTuple):
    """What a caller is told instead of an answer."""

    code: str
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    retry_seconds: float | None


class Watching:
    """A watch as its reader has it; `cursor` is where the last message says to go on."""

    def __init__(self, call: Any) -> None:  # a stream of grpc's own type
        self.call = call
        self.cursor = ""

    async def read(self) -> alert_service_pb2.WatchAlertsResponse:
        """The next message that says something: heartbeats only move the cursor."""
        while True:
            message = await asyncio.wait_for(self.call.read(), SECONDS)
            assert message is not grpc.aio.EOF, "the watch is over"
            self.cursor = message.cursor
            if message.WhichOneof("content") != "heartbeat":
                return message

    async def read_event(self) -> tuple[str, alert_pb2.Alert]:
        message = await self.read()
        assert message.WhichOneof("content") == "event", message
        return message.event.type, message.event.alert

    async def read_snapshot(self) -> list[alert_pb2.Alert]:
        """Everything up to `snapshot_end`."""
        found: list[alert_pb2.Alert] = []
        while (message := await self.read()).WhichOneof("content") == "event":
            assert message.event.type == "AlertOpen"
            found.append(message.event.alert)
        assert message.WhichOneof("content") == "snapshot_end", message
        return found

    async def read_end(self) -> str:
        """The reason of the end, after which nothing comes."""
        message = await self.read()
        assert message.WhichOneof("content") == "end", message
        assert await asyncio.wait_for(self.call.read(), SECONDS) is grpc.aio.EOF
        return alert_service_pb2.WatchAlertsResponse.End.Reason.Name(message.end.reason)

    async def begin(self) -> "Watching":
        """Returns with the first message, of whatever kind: from then on nothing is missed."""
        message = await asyncio.wait_for(self.call.read(), SECONDS)
        assert message is not grpc.aio.EOF
        self.cursor = message.cursor
        return self


class Party:
    """Somebody with a bearer token or none, and with an alert's token or none."""

    def __init__(self, channel: grpc.aio.Channel, bearer: str = "", alert_token: str = "") -> None:
        self._channel, self._bearer, self.alert_token = channel, bearer, alert_token
        self._alerts: Any = alert_service_pb2_grpc.AlertServiceStub(channel)
        self._units: Any = unit_service_pb2_grpc.UnitServiceStub(channel)

    def holding(self, alert_token: str) -> "Party":
        return Party(self._channel, self._bearer, alert_token)

    async def __call__(self, rpc: str, **fields: Any) -> Any:  # each RPC has its own reply
        """`fields` as JSON spells their values."""
        return await self.send(rpc, to_request(rpc, **fields))

    async def send(self, rpc: str, request: Any) -> Any:
        return await self.find(rpc)(request, timeout=SECONDS, metadata=self.metadata())

    def watch(self, rpc: str, **fields: Any) -> Watching:
        return Watching(self.find(rpc)(to_request(rpc, **fields), metadata=self.metadata()))

    def find(self, rpc: str) -> Any:  # of whichever service has it
        return getattr(self._alerts, rpc, None) or getattr(self._units, rpc)

    async def list_names(self, **filters: Any) -> list[str]:
        return [each.name for each in (await self("ListAlerts", **filters)).alerts]

    def metadata(self) -> list[tuple[str, str]]:
        bearer = [("authorization", f"Bearer {self._bearer}")] if self._bearer else []
        return bearer + ([("siaga-alert-token", self.alert_token)] if self.alert_token else [])


class People:
    """Everybody in these tests. Rina and Budi answer in the city's room, Sari leads it; Citra answers in another city's."""

    def __init__(self, channel: grpc.aio.Channel, issuer: Issuer) -> None:
        self.channel, self.issuer = channel, issuer
        self.nobody = Party(channel)
        self.dewi = self.sign_in("dewi", "citizen", name="Dewi")
        self.adi = self.sign_in("adi", "citizen")
        self.rina = self.sign_in("rina", "dispatcher", agency=ROOM)
        self.budi = self.sign_in("budi", "dispatcher", agency=ROOM)
        self.sari = self.sign_in("sari", "supervisor", agency=ROOM)
        self.machine = self.sign_in("room-system", "agency", agency=ROOM)
        self.citra = self.sign_in("citra", "supervisor", agency=OTHER_ROOM)

    def sign_in(self, user: str, *roles: str, **claims: Any) -> Party:
        return Party(self.channel, self.issuer.sign(user, *roles, **claims))

    async def raise_alert(self, by: Party | None = None, **fields: Any) -> tuple[str, Party]:
        """The alert's name, and its caller with nothing but the alert's token."""
        reply = await (by or self.dewi)("RaiseAlert", **({"requestId": new_id(), "alertToken": new_alert_token()} | fields))
        return reply.alert.name, self.nobody.holding(reply.alert_token)


def to_request(rpc: str, **fields: Any) -> Any:
    service = next(each for each in _SERVICES if rpc in each.methods_by_name)
    return ParseDict(fields, message_factory.GetMessageClass(service.methods_by_name[rpc].input_type)())


async def refusal_of(call: Awaitable[object]) -> Refusal:
    """Why the call was refused; a call that is answered fails the test."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, SECONDS)
    return read_refusal(caught.value)


def read_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    sent = [value for key, value in error.trailing_metadata() or () if key == STATUS_DETAILS]
    assert len(sent) == 1, error
    status = status_pb2.Status.FromString(sent[0])
    info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    retry_seconds = None
    for each in status.details:
        each.Unpack(info)
        each.Unpack(request)
        if each.Unpack(retry):
            retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()
    assert info.domain == "siaga"
    fields = [each.field for each in request.field_violations]
    return Refusal(error.code().name, info.reason, dict(info.metadata), fields, retry_seconds)


async def until_taken(call: Callable[[], Awaitable[T]]) -> T:
    """As everybody repeats an SOS: a disk that stands still for 0.75 s beside other tests is told as a database that is away."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                refusal = read_refusal(error)
                if refusal.reason != "SERVICE_UNAVAILABLE" or refusal.retry_seconds is None:
                    raise
                await asyncio.sleep(refusal.retry_seconds)


async def start_service(settings: Settings) -> "asyncio.Task[None]":
    """The service in this process, on its real port and database; returns when it listens."""
    serving = asyncio.create_task(serve(settings))
    port = int(settings.listen.rpartition(":")[2])
    async with asyncio.timeout(SECONDS):
        # A channel that is refused at its first try waits for a second before the next one.
        while not serving.done() and not is_listening(port):
            await asyncio.sleep(0.005)
    return serving


@asynccontextmanager
async def run_service(settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service, which ends with the `with` as if its process were killed."""
    serving = await start_service(settings)
    try:
        async with open_channel(settings) as channel:
            yield channel
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def open_channel(settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(settings.listen, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        await asyncio.wait_for(channel.channel_ready(), SECONDS)
        yield channel
