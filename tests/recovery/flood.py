"""A flood of false SOS with genuine ones between them, the screen of a dispatcher, and the verdict on both."""

import asyncio
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc

from harness import RunningPlatform
from recovery.ledger import RECONNECT, Watcher
from security.tokens import Signer
from siaga.alerts.v1 import alert_pb2, alert_service_pb2
from siaga.alerts.v1.alert_service_pb2_grpc import AlertServiceStub

DOUBT = alert_pb2.Alert.Doubt
KIND = alert_pb2.Alert.Kind
# At a time: enough to keep the platform busy.
IN_FLIGHT = 32
PRANKSTERS = 10
SCREEN_SECONDS = 2.0
CALL_SECONDS = 10.0
WORDS = "Tolong, ada kebakaran besar di sini!"
# The first five of one account are as anybody's, and the first six of the same words, with one that has another beside it.
UNDOUBTED = {
    alert_pb2.Alert.PRANKS_BEFORE: 0,
    alert_pb2.Alert.MANY_OF_ONE_CALLER: 5,
    alert_pb2.Alert.SAME_WORDS: 7,
    alert_pb2.Alert.NOTHING_KNOWN: 0,
}
GENUINE = alert_pb2.Alert.DOUBT_UNSPECIFIED


class Sos(NamedTuple):
    """`doubt` is what makes a false one doubtful; nothing does where it is GENUINE."""

    doubt: "alert_pb2.Alert.Doubt.ValueType"
    request: alert_service_pb2.RaiseAlertRequest
    token: str = ""


@dataclass
class Screen(Watcher):
    """Of a dispatcher who watches from before the flood: when each alert came, and when its doubts did, by its name."""

    came: dict[str, float] = field(default_factory=dict[str, float])
    doubted: dict[str, float] = field(default_factory=dict[str, float])

    def _take(self, message: alert_service_pb2.WatchAlertsResponse) -> None:
        super()._take(message)
        alert = message.event.alert
        if message.event.type == "AlertRaised":
            self.came[alert.name] = time.monotonic()
        if alert.doubts:
            self.doubted.setdefault(alert.name, time.monotonic())


@dataclass
class Flood:
    """What came of each SOS that was sent: its name with the moment it was sent, or how it was refused."""

    sent: dict[str, tuple[Sos, float]] = field(default_factory=dict[str, tuple[Sos, float]])
    refused: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0

    def names(self, *doubts: "alert_pb2.Alert.Doubt.ValueType") -> set[str]:
        return {name for name, (sos, _) in self.sent.items() if sos.doubt in doubts}

    async def run(self, platform: RunningPlatform, calls: Sequence[Sos]) -> None:
        """As fast as the platform takes them, and none is sent again."""
        waiting = iter(calls)
        async with grpc.aio.insecure_channel(platform.target, options=RECONNECT) as channel:
            stub: Any = AlertServiceStub(channel)

            async def call_on() -> None:
                for sos in waiting:
                    metadata = (("authorization", f"Bearer {sos.token}"),) if sos.token else ()
                    began = time.monotonic()
                    try:
                        reply = await stub.RaiseAlert(sos.request, metadata=metadata, timeout=CALL_SECONDS)
                    except grpc.aio.AioRpcError as error:
                        self.refused[error.code().name] += 1
                    else:
                        self.sent[reply.alert.name] = sos, began

            began = time.monotonic()
            await asyncio.gather(*(call_on() for _ in range(IN_FLIGHT)))
            self.seconds = time.monotonic() - began


def make_flood(signer: Signer, false: int, genuine: int) -> list[Sos]:
    """In an order that is the same each time; a genuine one may be anywhere."""
    dice = random.Random(112)
    pranksters = [signer.sign(_name_prankster(number), "citizen") for number in range(PRANKSTERS)]
    insistent = signer.sign("insistent", "citizen")
    made = {
        alert_pb2.Alert.PRANKS_BEFORE: lambda: (_make_request(dice, "Ha ha"), dice.choice(pranksters)),
        alert_pb2.Alert.MANY_OF_ONE_CALLER: lambda: (_make_request(dice, "Cepat!"), insistent),
        alert_pb2.Alert.SAME_WORDS: lambda: (_make_request(dice, WORDS), ""),
        alert_pb2.Alert.NOTHING_KNOWN: lambda: (_make_request(dice, "", placed=False), ""),
    }
    doubts = list(made)
    calls = [Sos(doubt, *made[doubt]()) for doubt in (doubts[number % len(doubts)] for number in range(false))]
    calls += [Sos(GENUINE, _make_request(dice, f"Ayah jatuh di kamar {number}, tidak sadar")) for number in range(genuine)]
    dice.shuffle(calls)
    return calls


def _make_request(dice: random.Random, note: str, *, placed: bool = True) -> alert_service_pb2.RaiseAlertRequest:
    """Somewhere in Jakarta without its islands."""
    request = alert_service_pb2.RaiseAlertRequest(
        request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex, kind=alert_pb2.Alert.MEDICAL, note=note
    )
    if placed:
        request.location.point.latitude, request.location.point.longitude = dice.uniform(-6.36, -6.10), dice.uniform(106.69, 106.97)
    return request


def _name_prankster(number: int) -> str:
    return f"prankster-{number}"


async def make_pranksters(platform: RunningPlatform, signer: Signer) -> None:
    """Each has raised two that a dispatcher found to be pranks."""
    room = (("authorization", f"Bearer {platform.token('dispatcher-112')}"),)
    dice = random.Random(1)
    async with grpc.aio.insecure_channel(platform.target) as channel:
        stub: Any = AlertServiceStub(channel)
        for number in range(PRANKSTERS):
            metadata = (("authorization", f"Bearer {signer.sign(_name_prankster(number), 'citizen')}"),)
            for _ in range(2):
                name = (await stub.RaiseAlert(_make_request(dice, ""), metadata=metadata, timeout=CALL_SECONDS)).alert.name
                await stub.AcknowledgeAlert(alert_service_pb2.AcknowledgeAlertRequest(name=name), metadata=room, timeout=CALL_SECONDS)
                resolved = alert_service_pb2.ResolveAlertRequest(name=name, outcome=alert_pb2.Alert.PRANK)
                await stub.ResolveAlert(resolved, metadata=room, timeout=CALL_SECONDS)


async def read_screen(platform: RunningPlatform) -> list[alert_pb2.Alert]:
    """What a dispatcher who signs in now has before them, from the top."""
    metadata = (("authorization", f"Bearer {platform.token('dispatcher-112')}"),)
    async with grpc.aio.insecure_channel(platform.target) as channel:
        stub: Any = AlertServiceStub(channel)
        watch = stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(), metadata=metadata, timeout=60)
        shown: list[alert_pb2.Alert] = []
        async for message in watch:
            if message.WhichOneof("content") == "snapshot_end":
                break
            shown.append(message.event.alert)
        watch.cancel()
    return shown


async def list_names(platform: RunningPlatform) -> set[str]:
    """All that the agency's list has, to its last page."""
    metadata = (("authorization", f"Bearer {platform.token('dispatcher-112')}"),)
    names, token = set[str](), ""
    async with grpc.aio.insecure_channel(platform.target) as channel:
        stub: Any = AlertServiceStub(channel)
        while True:
            request = alert_service_pb2.ListAlertsRequest(page_size=1000, page_token=token)
            page = await stub.ListAlerts(request, metadata=metadata, timeout=30)
            names |= {each.name for each in page.alerts}
            if not (token := page.next_page_token):
                return names


async def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """The verdict is judge_flood's."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.05)


async def endure_flood(platform: RunningPlatform, false: int, genuine: int, doubt_seconds: float) -> list[str]:
    """What went wrong; prints what was measured. `doubt_seconds` is how long after the flood each false one is ranked down."""
    signer = Signer(platform)
    await make_pranksters(platform, signer)
    token = platform.token("dispatcher-112")
    screen, flood = Screen(platform.target, lambda: token), Flood()
    watching = asyncio.create_task(screen.run())
    await screen.following.wait()
    await flood.run(platform, make_flood(signer, false, genuine))
    await wait_for(lambda: flood.sent.keys() <= screen.came.keys(), 10)
    await wait_for(lambda: not _find_undoubted(flood, screen.doubted), doubt_seconds)
    watching.cancel()
    began = time.monotonic()
    shown = await read_screen(platform)
    fresh_seconds = time.monotonic() - began
    delays = [screen.came[name] - sent for name, (sos, sent) in flood.sent.items() if sos.doubt == GENUINE and name in screen.came]
    ranked = [screen.doubted[name] - screen.came[name] for name in flood.sent if name in screen.doubted and name in screen.came]
    print(f"\n{false} false with {genuine} genuine: {len(flood.sent)} accepted in {flood.seconds:.1f} s")
    print(f"{len(flood.sent) / flood.seconds:.0f} a second; refused {dict(flood.refused)}; the watch ended {dict(screen.ends)}")
    print(f"genuine on the screen after {_describe(delays)}; ranked down {_describe(ranked)} after they came")
    print(f"a screen that is opened then has all {len(shown)} after {fresh_seconds:.1f} s")
    return judge_flood(flood, screen, shown, await list_names(platform))


def _describe(seconds: Iterable[float]) -> str:
    found = sorted(seconds)
    if not found:
        return "never"
    p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
    return f"p50 {p50:.3f} s, p99 {p99:.3f} s, at most {found[-1]:.3f} s"


def _find_undoubted(flood: Flood, doubted: Iterable[str]) -> list[str]:
    """The false ones beyond those that may be as anybody's."""
    left = [sorted(flood.names(doubt) - set(doubted))[allowed:] for doubt, allowed in UNDOUBTED.items()]
    return [name for names in left for name in names]


def judge_flood(flood: Flood, screen: Screen, shown: list[alert_pb2.Alert], listed: set[str]) -> list[str]:
    """What is wrong, in words; nothing where every guarantee held. `shown` is a new screen, `listed` are the names of the list."""
    wrong = [f"refused: {number} by {code}" for code, number in flood.refused.items()]
    genuine = flood.names(GENUINE)
    late = [name for name in genuine if screen.came.get(name, float("inf")) - flood.sent[name][1] > SCREEN_SECONDS]
    wrong += [f"late: {len(late)} genuine ones"] if late else []
    for place, names in (("watch", screen.came.keys()), ("new screen", {each.name for each in shown}), ("list", listed)):
        if hidden := flood.sent.keys() - names:
            wrong.append(f"hidden: {len(hidden)} on the {place}")
    found = {each.name: set(each.doubts) for each in shown if each.name in flood.sent}
    if undoubted := _find_undoubted(flood, [name for name, doubts in found.items() if flood.sent[name][0].doubt in doubts]):
        wrong.append(f"not doubted: {len(undoubted)}")
    if suspected := [name for name in genuine if found.get(name)]:
        wrong.append(f"doubted: {len(suspected)} genuine ones")
    places: defaultdict[bool, list[int]] = defaultdict(list)
    for place, alert in enumerate(shown):
        places[bool(alert.doubts)].append(place)
    if places[True] and max(places[False], default=0) > places[True][0]:
        wrong.append("not ranked: a doubtful one comes before one that is not")
    without_history = [
        each.name for each in shown if each.name in flood.names(alert_pb2.Alert.PRANKS_BEFORE) and each.caller_history.pranks < 2
    ]
    if without_history:
        wrong.append(f"no history: {len(without_history)} of those with pranks before")
    return wrong
