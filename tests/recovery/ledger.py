"""The ledger that fault tests are judged by, and those who fill it: callers who raise, and watchers who must see it all.

Each request is written down before it is sent, and each outcome before it is believed. Outcomes: `ok`; `fail`, a
definite refusal; `unknown` for a timeout, an UNAVAILABLE or a broken call.
"""

import asyncio
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc

# Nobody in danger waits for gRPC's default of two minutes between attempts to connect.
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
UNKNOWN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN}
CALL_SECONDS = 5.0
BACK_OFF_SECONDS = 0.05


class Ledger:
    """On disk, line by line; `outcomes` are the latest by request id, `answered` when each was taken."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self.outcomes: dict[str, str] = {}
        self.answered: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, request_id: str, outcome: str) -> None:
        self._file.write(json.dumps({"request_id": request_id, "time": time.time(), "outcome": outcome}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.outcomes[request_id] = outcome
        if outcome == "ok":
            self.answered[request_id] = time.monotonic()

    def having(self, outcome: str) -> list[str]:
        return [request_id for request_id, found in self.outcomes.items() if found == outcome]


@dataclass
class Callers:
    """Raise SOS side by side until `stop`; the request id stands in the note, so that a watcher can tell them apart."""

    target: str
    ledger: Ledger
    # Of one place and a kind that has incidents, one would soon stand for all of them.
    kind: alert_pb2.Alert.Kind = alert_pb2.Alert.MEDICAL
    in_flight: set[str] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    stopping: bool = False

    async def run(self, callers: int, pause: float = 0.0) -> None:
        async with grpc.aio.insecure_channel(self.target, options=RECONNECT) as channel:
            stub = alert_service_pb2_grpc.AlertServiceStub(channel)
            await asyncio.gather(*(self._call_on(stub, pause) for _ in range(callers)))

    async def raise_some(self, count: int) -> None:
        """So many at once, each answered in the end."""
        async with grpc.aio.insecure_channel(self.target, options=RECONNECT) as channel:
            stub = alert_service_pb2_grpc.AlertServiceStub(channel)
            await asyncio.gather(*(self._raise(stub, str(uuid.uuid4())) for _ in range(count)))
        await self.settle(CALL_SECONDS)

    async def settle(self, seconds: float) -> None:
        """Repeats what is unknown, as an app does, until each has an answer."""
        end = time.monotonic() + seconds
        async with grpc.aio.insecure_channel(self.target, options=RECONNECT) as channel:
            stub = alert_service_pb2_grpc.AlertServiceStub(channel)
            while unknown := [*self.ledger.having("sent"), *self.ledger.having("unknown")]:
                if time.monotonic() > end:
                    raise TimeoutError(f"{len(unknown)} requests without an answer")
                for request_id in unknown:
                    await self._raise(stub, request_id)

    async def _call_on(self, stub: alert_service_pb2_grpc.AlertServiceStub, pause: float) -> None:
        while not self.stopping:
            if await self._raise(stub, str(uuid.uuid4())) == "unknown":
                await asyncio.sleep(BACK_OFF_SECONDS)
            elif pause:
                await asyncio.sleep(pause)

    async def _raise(self, stub: alert_service_pb2_grpc.AlertServiceStub, request_id: str) -> str:
        request = alert_service_pb2.RaiseAlertRequest(
            request_id=request_id, alert_token=f"token-of-{request_id}", kind=self.kind, note=request_id
        )
        request.location.point.latitude, request.location.point.longitude = -6.1754, 106.8272
        self.ledger.write(request_id, "sent")
        self.in_flight.add(request_id)
        began = time.monotonic()
        try:
            await stub.RaiseAlert(request, timeout=CALL_SECONDS)
            outcome = "ok"
            self.latencies.append(time.monotonic() - began)
        except grpc.aio.AioRpcError as error:
            outcome = "unknown" if error.code() in UNKNOWN else "fail"
        finally:
            self.in_flight.discard(request_id)
        self.ledger.write(request_id, outcome)
        return outcome


@dataclass
class Watcher:
    """Follows an agency's alerts and resumes by its cursor whenever the watch breaks; `raised` are the alerts by request id."""

    target: str
    token: Callable[[], str]
    cursor: str = "now"
    following: asyncio.Event = field(default_factory=asyncio.Event)
    raised: dict[str, list[str]] = field(default_factory=dict)
    arrivals: dict[str, float] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with grpc.aio.insecure_channel(self.target, options=RECONNECT) as channel:
                    stub = alert_service_pb2_grpc.AlertServiceStub(channel)
                    metadata = (("authorization", f"Bearer {await asyncio.to_thread(self.token)}"),)
                    async for message in stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor=self.cursor), metadata=metadata):
                        self._take(message)
            except (grpc.aio.AioRpcError, OSError) as error:
                self.ends[error.code().name if isinstance(error, grpc.aio.AioRpcError) else "OSError"] += 1
            await asyncio.sleep(BACK_OFF_SECONDS)

    def _take(self, message: alert_service_pb2.WatchAlertsResponse) -> None:
        self.cursor = message.cursor
        self.following.set()
        if message.event.type == "AlertRaised":
            self.raised.setdefault(message.event.alert.note, []).append(message.event.alert.name)
            self.arrivals[message.event.alert.note] = time.monotonic()
        elif message.HasField("end"):
            self.ends[message.End.Reason.Name(message.end.reason)] += 1


def judge(ledger: Ledger, watchers: list[Watcher], rows: dict[str, list[str]]) -> list[str]:
    """What is wrong, in words; nothing where every guarantee held. `rows` are the names in the database by request id."""
    wrong: list[str] = []
    for request_id, outcome in ledger.outcomes.items():
        names = rows.get(request_id, [])
        if outcome == "ok" and not names:
            wrong.append(f"lost: {request_id}")
        if len(names) > 1:
            wrong.append(f"doubled: {request_id}")
        if outcome == "fail" and names:
            wrong.append(f"refused, and yet there: {request_id}")
        for number, watcher in enumerate(watchers):
            seen = watcher.raised.get(request_id, [])
            if outcome == "ok" and names and len(seen) != 1:
                wrong.append(f"watcher {number} saw {request_id} {len(seen)} times")
    return wrong


async def wait_for_delivery(ledger: Ledger, watchers: list[Watcher], seconds: float) -> None:
    """Returns when every watcher has seen everything that was answered, or when the time is up: the verdict is judge's."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(len(watcher.raised) < len(ledger.having("ok")) for watcher in watchers):
        await asyncio.sleep(0.05)
