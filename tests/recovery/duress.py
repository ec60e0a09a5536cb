"""Cancels by the right PIN and under duress, side by side: what whoever has the phone could tell them apart by."""

import random
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple, Protocol

import grpc
import httpx
import numpy as np
from google.protobuf.message import Message

from contract.rpcs import RPCS, Rpc, new_id
from harness import RunningPlatform
from security.tokens import Signer
from siaga.alerts.v1 import alert_pb2, alert_service_pb2

PIN, DURESS = "2580", "9137"
DOORS = ("JSON", "gRPC")
CALLERS = 20
# The least difference of time that matters: a network adds many times as much.
BAR_MS = 1.0
_RESAMPLES = 2000
PLACE = {"latitude": -6.1754, "longitude": 106.8272}
_NAMES = re.compile(rb"alerts/[0-9a-f-]{36}|caller-\d\d")
_TIME = re.compile(rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"')
# These differ between any two replies.
_PASSING = {"date", "content-length", "x-request-id", "x-envoy-upstream-service-time", "grpc-status-details-bin", "traceparent"}


class Reply(NamedTuple):
    """`look` is all that came, but for the names of the alert and its caller, and the times."""

    seconds: float
    look: bytes


class Door(Protocol):
    def ask(self, key: str, name: str, pin: str, token: str) -> Reply: ...


class Json:
    """Over HTTP, at the gateway."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, key: str, name: str, pin: str, token: str) -> Reply:
        headers = {"authorization": f"Bearer {token}"}
        began = time.perf_counter()
        if key == "alerts.CancelAlert":
            answer = self._client.post(f"/v1/{name}:cancel", json={"pin": pin}, headers=headers)
        else:
            answer = self._client.get(f"/v1/{name}", headers=headers)
        passed = time.perf_counter() - began
        body = _TIME.sub(b'"time"', _NAMES.sub(b"name", answer.raise_for_status().content))
        return Reply(passed, body + repr(sorted((k, v) for k, v in answer.headers.items() if k not in _PASSING)).encode())


class Grpc:
    """The bytes of the messages, by the gateway too."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def ask(self, key: str, name: str, pin: str, token: str) -> Reply:
        rpc: Rpc = RPCS[key]
        request = rpc.parse({"name": name, "pin": pin} if pin else {"name": name}).SerializeToString()
        ask = rpc.call_on(self._channel)
        began = time.perf_counter()
        content, call = ask.with_call(request, metadata=(("authorization", f"Bearer {token}"),), timeout=20)
        passed = time.perf_counter() - began
        alert = alert_pb2.Alert.FromString(content)
        assert alert.SerializeToString() == content
        alert.name = alert.caller.user = "name"
        _forget_times(alert)
        told = sorted((k, v) for k, v in (*call.initial_metadata(), *call.trailing_metadata()) if k not in _PASSING)
        return Reply(passed, alert.SerializeToString() + repr(told).encode())


def _forget_times(message: Message) -> None:
    """Which ones there are remains."""
    for descriptor, value in message.ListFields():
        if descriptor.name.endswith("_time"):
            value.Clear()
        elif isinstance(value, Message):
            _forget_times(value)


class Difference(NamedTuple):
    """Of two medians in milliseconds, with its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def is_proved(self) -> bool:
        """That it is more than the bar."""
        return self.low > BAR_MS or self.high < -BAR_MS


@dataclass
class Found:
    """By what was asked, at which door and after which PIN."""

    seconds: defaultdict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    looks: defaultdict[tuple[str, str, str], set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def add(self, key: str, door: str, pin: str, reply: Reply) -> None:
        self.seconds[key, door, pin].append(reply.seconds)
        self.looks[key, door, pin].add(reply.look)

    def compare(self) -> Iterator[tuple[str, Difference, bool]]:
        """What was asked and where, how far the medians of the PINs are apart, and whether all replies look alike."""
        for key, door in dict.fromkeys(each[:2] for each in self.seconds):
            pair = [np.array(self.seconds[key, door, pin]) * 1000 for pin in (PIN, DURESS)]
            looks = self.looks[key, door, PIN] | self.looks[key, door, DURESS]
            difference = estimate(*pair)
            medians = ", ".join(f"{np.median(each):.2f} ms ({np.percentile(each, 25):.2f}-{np.percentile(each, 75):.2f})" for each in pair)
            print(f"\n{key} by {door}, {len(pair[0])} of each PIN: {medians}", end="")
            print(
                f"; apart {difference.median:+.3f} ms ({difference.low:+.3f} to {difference.high:+.3f}); kinds of replies: {len(looks)}",
                end="",
            )
            yield f"{key} by {door}", difference, len(looks) == 1


def estimate(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]") -> Difference:
    """By bootstrap."""
    dice = np.random.default_rng(112)
    medians = [np.median(dice.choice(each, (_RESAMPLES, len(each))), axis=1) for each in (one, other)]
    low, high = np.percentile(medians[1] - medians[0], [2.5, 97.5])
    return Difference(float(np.median(other) - np.median(one)), float(low), float(high))


@contextmanager
def open_doors(platform: RunningPlatform) -> Iterator[tuple[grpc.Channel, dict[str, Door]]]:
    with httpx.Client(base_url=platform.url, timeout=20) as client, grpc.insecure_channel(platform.target) as channel:
        yield channel, dict(zip(DOORS, (Json(client), Grpc(channel)), strict=True))


def cancel_side_by_side(platform: RunningPlatform, rounds: int) -> Found:
    """Each round once by each PIN at each door, in an order that chance gives; the alert is read again at once."""
    signer, dice, found = Signer(platform), random.Random(112), Found()
    with open_doors(platform) as (channel, doors):
        tokens = [signer.sign(f"caller-{number:02}", "citizen", auth_time=int(time.time())) for number in range(CALLERS)]
        for token in tokens:
            _call(channel, "alerts.SetPins", token, pin=PIN, duressPin=DURESS)
        turns = list(product(doors, (PIN, DURESS)))
        for number in range(rounds + 1):
            dice.shuffle(turns)
            for door, pin in turns:
                token = dice.choice(tokens)
                name = _raise_alert(channel, token)
                for key, given in (("alerts.CancelAlert", pin), ("alerts.GetAlert", "")):
                    reply = doors[door].ask(key, name, given, token)
                    # The first round opens the connections.
                    if number:
                        found.add(key, door, pin, reply)
    return found


def _raise_alert(channel: grpc.Channel, token: str) -> str:
    # Of this kind no two are one emergency.
    content = {"requestId": new_id(), "alertToken": uuid.uuid4().hex, "kind": "OTHER", "location": {"point": PLACE}}
    reply = alert_service_pb2.RaiseAlertResponse.FromString(_call(channel, "alerts.RaiseAlert", token, **content))
    return reply.alert.name


def _call(channel: grpc.Channel, key: str, token: str, **content: Any) -> bytes:
    ask = RPCS[key].call_on(channel)
    return ask(RPCS[key].parse(content).SerializeToString(), metadata=(("authorization", f"Bearer {token}"),), timeout=20)
