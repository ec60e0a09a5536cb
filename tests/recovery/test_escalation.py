"""Nobody answers, and alerts is killed at random: whoever is to be called is called, once and in time, by one replica or by two."""

import asyncio
import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import grpc
import pytest

from chassis.testing import create_database
from harness import RunningPlatform, run_platform
from recovery.ledger import Callers, Ledger, Watcher
from siaga.alerts.v1 import alert_pb2, alert_service_pb2
from siaga.directory.v1.directory_admin_service_pb2 import UpdateAgencyRequest
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub

pytestmark = pytest.mark.alone
NIGHTLY = "SIAGA_NIGHTLY" in os.environ
ALERTS = 1000 if NIGHTLY else 90
KILLS = 20 if NIGHTLY else 2
# After so many seconds of an alert's life, the last one over and over.
STEPS = ((1, "EVERYONE"), (2, "EVERYONE"), (3, "SUPERVISOR"), (4, "PARENT"))
LATEST = 2.0
EARLIEST = 0.001
MUTANT = "tests/recovery/mutants.py"


class Call(NamedTuple):
    """Somebody was called, at a time in seconds since the epoch."""

    time: float
    called: str


@dataclass
class Case:
    """An alert, and what its log says of its escalation."""

    raised: float
    level: int
    calls: list[Call] = field(default_factory=list)

    def find_dues(self) -> Iterable[float]:
        """When each of its calls was due, and the next one is."""
        dues = [self.raised + seconds for seconds, _ in STEPS]
        return [*dues, *(call.time + STEPS[-1][0] for call in self.calls[len(STEPS) - 1 :])]


def set_policy(platform: RunningPlatform) -> None:
    """In the directory itself, which alerts asks when it starts."""
    fields = ("deliver_seconds", "acknowledge_seconds", "supervisor_seconds", "parent_seconds")
    policy = {field: seconds for field, (seconds, _) in zip(fields, STEPS, strict=True)}
    with grpc.insecure_channel(platform.address("directory")) as channel:
        request = UpdateAgencyRequest(agency={"name": "agencies/jakarta-112", "alert_policy": policy})
        metadata = [("authorization", f"Bearer {platform.token('admin')}")]
        DirectoryAdminServiceStub(channel).UpdateAgency(request, metadata=metadata, timeout=5)


async def read_cases(url: str, ledger: Ledger) -> dict[str, Case]:
    """Those of the ledger by name, as they are at one moment."""
    question = """SELECT a.note, a.name, a.create_time, a.escalation_level, e.create_time, e.attributes FROM alerts a
        LEFT JOIN events e ON e.resource = a.name AND e.type = 'AlertEscalated' ORDER BY e.id"""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            rows = connection.execute(question).fetchall()
    else:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        rows = await connection.fetch(question)
        await connection.close()
    cases: dict[str, Case] = {}
    for request_id, name, raised, level, called_time, attributes in rows:
        if request_id not in ledger.outcomes:
            continue
        case = cases.setdefault(name, Case(to_seconds(raised), level))
        if called_time:
            case.calls.append(Call(to_seconds(called_time), json.loads(attributes)["called"]))
    return cases


def to_seconds(said: str | datetime) -> float:
    return (datetime.fromisoformat(said) if isinstance(said, str) else said).astimezone(UTC).timestamp()


@dataclass
class CallWatcher(Watcher):
    """A supervisor's screen: how often each alert was escalated on it."""

    seen: Counter[str] = field(default_factory=Counter)

    def _take(self, message: alert_service_pb2.WatchAlertsResponse) -> None:
        super()._take(message)
        if message.event.type == "AlertEscalated":
            self.seen[message.event.alert.name] += 1


class Outages:
    """When nothing ran that could call anybody; with a second replica there is no such time."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def add(self, begun: float, ended: float) -> None:
        self._spans.append((begun, ended))

    def find_lateness(self, call: Call, due: float) -> float:
        """Counted from the end of the last outage before it, or from when it was due."""
        if any(begun <= call.time <= ended for begun, ended in self._spans):
            return 0.0
        return call.time - max([due, *(ended for _, ended in self._spans if ended <= call.time)])


async def kill_at_random(platform: RunningPlatform, callers: Callers, alerts: int, kills: int) -> Outages:
    """As many alerts before each of the kills as after the last one."""
    chance, outages = random.Random(112), Outages()
    for kill in range(kills):
        await callers.raise_some(alerts // (kills + 1))
        await asyncio.sleep(chance.uniform(0.3, 2.0))
        victim = platform.replicas[kill % len(platform.replicas)]
        begun = time.time()
        platform.kill(victim)
        await asyncio.to_thread(platform.start, victim)
        if len(platform.replicas) == 1:
            outages.add(begun, time.time())
    await callers.raise_some(alerts // (kills + 1))
    return outages


async def measure_pauses(pauses: list[float]) -> None:
    """How long this process stood still, until cancelled: where nothing runs in time, nobody is called in time."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.05)
        pauses.append(time.monotonic() - began - 0.05)


async def wait_for_calls(url: str, ledger: Ledger, seconds: float) -> dict[str, Case]:
    """Returns when each alert has come to the last step, or when the time is up: the verdict is judge's."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        cases = await read_cases(url, ledger)
        if all(len(case.calls) >= len(STEPS) for case in cases.values()):
            break
        await asyncio.sleep(0.2)
    return await read_cases(url, ledger)


async def wait_for_sight(watcher: CallWatcher, cases: dict[str, Case], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(watcher.seen[name] < len(case.calls) for name, case in cases.items()):
        await asyncio.sleep(0.05)


def judge(cases: dict[str, Case], outages: Outages) -> tuple[list[str], float]:
    """What is wrong, in words, and how late the latest call was."""
    wrong, latest = list[str](), 0.0
    for name, case in cases.items():
        if len(case.calls) < len(STEPS):
            wrong.append(f"missed: {name} has {len(case.calls)} calls")
        expected = [called for _, called in STEPS] + [STEPS[-1][1]] * len(case.calls)
        if [call.called for call in case.calls] != expected[: len(case.calls)]:
            wrong.append(f"doubled or out of order: {name}: {[call.called for call in case.calls]}")
        elif (early := max((due - call.time for call, due in zip(case.calls, case.find_dues(), strict=False)), default=0.0)) > EARLIEST:
            wrong.append(f"doubled or {early:.3f} s too early: {name}")
        if case.level != len(case.calls):
            wrong.append(f"{name} is at level {case.level} with {len(case.calls)} calls")
        latest = max([latest, *(outages.find_lateness(call, due) for call, due in zip(case.calls, case.find_dues(), strict=False))])
    return wrong, latest


async def endure(platform: RunningPlatform, folder: Path, alerts: int, kills: int) -> list[str]:
    """What went wrong; prints what was measured."""
    url = platform.environment["ALERTS_DATABASE_URL"]
    pauses: list[float] = []
    pausing = asyncio.create_task(measure_pauses(pauses))
    watcher = CallWatcher(platform.target, lambda: platform.token("supervisor-112"))
    watching = asyncio.create_task(watcher.run())
    await watcher.following.wait()
    with Ledger(folder / "ledger") as ledger:
        callers = Callers(platform.target, ledger, kind=alert_pb2.Alert.OTHER)
        outages = await kill_at_random(platform, callers, alerts, kills)
    raised = len(ledger.having("ok"))
    cases = await wait_for_calls(url, ledger, STEPS[-1][0] + LATEST)
    await wait_for_sight(watcher, cases, LATEST)
    wrong, latest = judge(cases, outages)
    later = await read_cases(url, ledger)
    for task in (watching, pausing):
        task.cancel()
    for name, case in cases.items():
        if not len(case.calls) <= watcher.seen[name] <= len(later[name].calls):
            wrong.append(f"a supervisor saw {watcher.seen[name]} calls of {name}, which has {len(case.calls)}")
    if raised != len(cases):
        wrong.append(f"{raised} SOS were answered, and there are {len(cases)}")
    calls = sum(len(case.calls) for case in cases.values())
    late = f"the latest {latest:.2f} s late, a pause of {max(pauses):.2f} s"
    print(f"\n{kills} kills, {len(cases)} alerts, {calls} calls; wrong: {len(wrong)}; {late}")
    return wrong + [f"somebody was called {latest:.2f} s late"] * (latest > LATEST + max(pauses))


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    url = f"sqlite:///{tmp_path_factory.mktemp('escalation') / 'alerts.db'}"
    with run_platform({"ALERTS_DATABASE_URL": url}, prepare=set_policy) as platform:
        yield platform


@pytest.fixture(scope="module")
def by_two_replicas(durable_postgres_server: str) -> Iterator[RunningPlatform]:
    url = create_database(durable_postgres_server)
    with run_platform({"ALERTS_DATABASE_URL": url}, 2, prepare=set_policy) as platform:
        yield platform


@pytest.mark.timeout(600 if NIGHTLY else 120)
async def test_each_step_is_taken_once_and_in_time_however_often_the_service_is_killed(on_sqlite: RunningPlatform, tmp_path: Path) -> None:
    assert await endure(on_sqlite, tmp_path, ALERTS, KILLS) == []


async def test_timers_that_end_with_their_process_are_found_out(on_sqlite: RunningPlatform, tmp_path: Path) -> None:
    await asyncio.to_thread(on_sqlite.replace_alerts, [sys.executable, MUTANT, "forget_timers"])
    assert any(each.startswith("missed") for each in await endure(on_sqlite, tmp_path, alerts=10, kills=1))


@pytest.mark.timeout(600 if NIGHTLY else 120)
async def test_and_so_it_is_by_two_replicas_one_of_which_is_always_there(by_two_replicas: RunningPlatform, tmp_path: Path) -> None:
    assert await endure(by_two_replicas, tmp_path, ALERTS, KILLS) == []


async def test_replicas_that_fire_without_a_lock_are_found_out(by_two_replicas: RunningPlatform, tmp_path: Path) -> None:
    await asyncio.to_thread(by_two_replicas.replace_alerts, [sys.executable, MUTANT, "fire_without_a_lock"])
    connection = await asyncpg.connect(by_two_replicas.environment["ALERTS_DATABASE_URL"].replace("+asyncpg", ""))
    # The mutant is slow, and would not come to those of this test before the end.
    await connection.execute("DELETE FROM timers")
    await connection.close()
    assert any(each.startswith("doubled") for each in await endure(by_two_replicas, tmp_path, alerts=60, kills=0))
