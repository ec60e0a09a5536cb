"""An agency's system, which takes webhooks on a real port or behaves badly, and the agency as a client of WebhookService."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from google.protobuf.json_format import ParseDict
from people import SECONDS, Party, People
from standardwebhooks.webhooks import Webhook as Verifier

from alerts.settings import Settings
from siaga.alerts.v1 import webhook_pb2, webhook_service_pb2, webhook_service_pb2_grpc

ROOM = "agencies/jakarta-112"


@dataclass(frozen=True)
class Received:
    """A request as it came, with names of headers in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return self.event["type"].removeprefix("siaga.alerts.v1.")

    def verify(self, secret: str) -> CloudEvent:
        """By the scheme's own library and by hand, then as a CloudEvent by its own SDK. Raises where anything is wrong."""
        Verifier(secret).verify(self.body, self.headers)
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        made = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert made in self.headers["webhook-signature"].split(" ")
        assert self.headers["content-type"] == "application/cloudevents+json"
        read = from_structured(HTTPMessage(headers=self.headers, body=self.body), JSONFormat(), CloudEvent)
        assert isinstance(read, CloudEvent)
        return read


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()

    return behave


async def stall(_: asyncio.StreamWriter) -> None:
    """Says nothing, for as long as anybody waits."""
    await asyncio.sleep(3600)


async def stall_midway(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
    await stall(writer)


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def cut_midway(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
    await writer.drain()


async def say_nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"no HTTP at all\r\n\r\n")


async def never_end(writer: asyncio.StreamWriter) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


async def never_end_the_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"x-more: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


@dataclass
class Receiver:
    """Behaves as `behaviours` say, one after the other, and then as `usually`."""

    usually: Behaviour = field(default_factory=lambda: answer(204))
    behaviours: list[Behaviour] = field(default_factory=list[Behaviour])
    requests: list[Received] = field(default_factory=list[Received])
    connections: int = 0
    most_at_once: int = 0
    url: str = ""
    _at_once: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.requests]

    async def wait_for(self, condition: Callable[[list[Received]], bool], seconds: float = SECONDS) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(lambda: condition(self.requests))
            except TimeoutError:
                message = f"not within {seconds} s; what came: {[(each.type, each.event['subject']) for each in self.requests]}"
                raise AssertionError(message) from None

    async def wait_for_type(self, kind: str, subject: str = "") -> Received:
        def is_it(each: Received) -> bool:
            return each.type == kind and subject in {"", each.event["subject"]}

        await self.wait_for(lambda requests: any(map(is_it, requests)))
        return next(filter(is_it, self.requests))

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                received = await read_request(reader)
                async with self._changed:
                    self.requests.append(received)
                    self._changed.notify_all()
                behave = self.behaviours.pop(0) if self.behaviours else self.usually
                await behave(writer)
        finally:
            self._at_once -= 1
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Received(head[0].split(" ")[1], headers, body, time.time())


@asynccontextmanager
async def run_receiver(usually: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(usually or answer(204))
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.create_task(receiver.take(reader, writer))] = writer

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/siaga"
    try:
        yield receiver
    finally:
        server.close()
        for task, writer in connections.items():
            task.cancel()
            # Also of one that had not begun.
            writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)


class Agency:
    """Somebody who keeps an agency's webhooks."""

    def __init__(self, channel: grpc.aio.Channel, bearer: str) -> None:
        self._stub: Any = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        self._metadata = [("authorization", f"Bearer {bearer}")]

    async def __call__(self, rpc: str, **fields: Any) -> Any:
        """`fields` as JSON spells their values."""
        request = ParseDict(fields, getattr(webhook_service_pb2, f"{rpc}Request")())
        return await getattr(self._stub, rpc)(request, timeout=SECONDS, metadata=self._metadata)

    async def list_deliveries(self, webhook: str, **filters: Any) -> list[webhook_pb2.WebhookDelivery]:
        return list((await self("ListWebhookDeliveries", name=webhook, pageSize=1000, **filters)).deliveries)

    async def wait_for_state(
        self, webhook: str, state: int, number: int = 1, seconds: float = SECONDS
    ) -> list[webhook_pb2.WebhookDelivery]:
        """The deliveries in this state, as soon as there are so many."""
        async with asyncio.timeout(seconds):
            while len(found := await self.list_deliveries(webhook, state=[state])) < number:
                await asyncio.sleep(0.05)
        return found


class Agencies:
    """Those who keep webhooks: the city's room's supervisor and system, and another agency's."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.sari = self.sign_in("sari", "supervisor", ROOM)
        self.machine = self.sign_in("room-system", "agency", ROOM)
        self.bandung = self.sign_in("citra", "supervisor", "agencies/bandung-112")

    def sign_in(self, user: str, role: str, agency: str) -> Agency:
        return Agency(self.people.channel, self.people.issuer.sign(user, role, agency=agency))

    async def raise_alert(self, **fields: Any) -> tuple[str, Party]:
        return await self.people.raise_alert(**fields)


def allow_private(settings: Settings) -> Settings:
    """For receivers on this machine."""
    return settings.model_copy(update={"webhooks_allow_private": True})
