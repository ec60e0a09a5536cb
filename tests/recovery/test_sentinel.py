"""A drill SOS runs through the whole path again and again: whatever hop is late raises an alarm, and nobody is troubled by it."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from chassis.testing import Postgres, find_points, python, run_process, wait_until
from flows.pages import EventStream
from gateway.sentinel.hops import Hops
from harness import RunningPlatform, run_platform
from security.tokens import Signer
from telemetry.receiver import Receiver, run_receiver

pytestmark = pytest.mark.alone
NIGHTLY = "SIAGA_NIGHTLY" in os.environ
ALARM_SECONDS = 60.0
# As in production, but for the pause between the drills and the patience with a whole one.
PERIOD, HOP, RUN = 0.5, 2.0, 4.0
# What hangs in alerts, and the hop that is late for it.
FAULTS = {
    "tail": "console",
    "tail after ResolveAlert": "end",
    "RaiseAlert": "raise",
    "ConfirmReceipt": "receipt",
    "AcknowledgeAlert": "acknowledge",
    "WatchAlert": "caller",
    "ResolveAlert": "resolve",
}
USUAL = ("tail", "WatchAlert", "tail after ResolveAlert")
Fault = Callable[[RunningPlatform], None]


class Watchman:
    """A sentinel in a process of its own, and what it has said."""

    def __init__(self, output: Path, collector: Receiver, process: subprocess.Popen[bytes]) -> None:
        self.output, self.collector, self._process = output, collector, process
        self.pid = process.pid

    def lines(self, words: str) -> list[str]:
        assert self._process.poll() is None, f"the sentinel ended ({self._process.poll()}):\n{self.output.read_text()[-3000:]}"
        return [line for line in self.output.read_text().splitlines() if words in line]

    def late(self) -> set[str]:
        """The hops that are late by now, as the log has it."""
        late = set[str]()
        for line in self.lines("the SOS path is "):
            hops = line.rpartition("at: ")[2].split(", ")
            late = late | set(hops) if " late at: " in line else late - set(hops)
        return late

    def wait_for_alarm(self, *hops: str) -> float:
        """Until the log has one at one of them, or at any where none is named; how long that took."""
        began = time.monotonic()
        wait_until(lambda: bool(self.late() & set(hops or self.late())), ALARM_SECONDS, f"an alarm at {hops}; see {self.output}")
        return time.monotonic() - began

    def wait_until_well(self) -> None:
        wait_until(lambda: not self.late(), ALARM_SECONDS, "all is well")

    def is_late(self, hop: str) -> bool | None:
        """As the collector was told last; None before it was told anything."""
        told = [value for attributes, value in self.collector.values("siaga.sentinel.late") if attributes == {"hop": hop}]
        return bool(told[-1]) if told else None

    def count(self, outcome: str) -> int:
        """Of drills, as the collector was told last."""
        told = [value for attributes, value in self.collector.values("siaga.sentinel.runs") if attributes == {"outcome": outcome}]
        return int(told[-1]) if told else 0


@contextmanager
def run_watchman(platform: RunningPlatform, program: list[str] | None = None) -> Iterator[Watchman]:
    output = platform.folder / f"sentinel-{uuid.uuid4().hex}.log"
    with run_receiver() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "SENTINEL_URL": platform.url,
            "SENTINEL_TOKEN_URL": f"http://{platform.address('adapters')}/dev/token",
            "SENTINEL_PERIOD_SECONDS": str(PERIOD),
            "SENTINEL_HOP_SECONDS": str(HOP),
            "SENTINEL_RUN_SECONDS": str(RUN),
        }
        with run_process(program or python("-m", "gateway", "sentinel"), platform.environment | settings, output) as process:
            wait_for_drills(platform, 1)
            yield Watchman(output, collector, process)


def ask(platform: RunningPlatform, person: str, path: str) -> Any:
    return ask_by(platform, platform.token(person), path)


def ask_by(platform: RunningPlatform, token: str, path: str) -> Any:
    response = httpx.get(f"{platform.url}{path}", headers={"authorization": f"Bearer {token}"}, timeout=10)
    return response.raise_for_status().json()


def wait_for_drills(platform: RunningPlatform, number: int, token: str = "") -> None:
    """Until so many more have come to their end; `token` is the sentinel's, where none can be had now."""
    token = token or platform.token("sentinel")

    def count() -> int:
        path = "/v1/alerts?includeDrills=true&state=RESOLVED&pageSize=1000"
        return len(ask_by(platform, token, path).get("alerts", []))

    before = count()
    wait_until(lambda: count() >= before + number, ALARM_SECONDS, f"{number} drills more")


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults") / "faults"


@pytest.fixture(scope="module")
def stoppable(faults: Path) -> Iterator[RunningPlatform]:
    with run_platform(alerts=python("tests/recovery/slow_alerts.py", str(faults))) as platform:
        yield platform


@contextmanager
def broken(faults: Path, part: str) -> Iterator[None]:
    faults.write_text(part)
    try:
        yield
    finally:
        faults.unlink()


@pytest.mark.timeout(400)
def test_whatever_hop_hangs_raises_an_alarm_and_is_well_again_afterwards(stoppable: RunningPlatform, faults: Path) -> None:
    took: dict[str, float] = {}
    with run_watchman(stoppable) as watchman:
        for part, hop in FAULTS.items():
            if NIGHTLY or part in USUAL:
                watchman.wait_until_well()
                began = time.monotonic()
                with broken(faults, part):
                    took[hop] = watchman.wait_for_alarm(hop)
                    if NIGHTLY or part == "tail":
                        wait_until(lambda hop=hop: watchman.is_late(hop), ALARM_SECONDS, f"the collector is told that {hop} is late")
                        assert time.monotonic() - began < ALARM_SECONDS
        watchman.wait_until_well()
        wait_until(lambda: watchman.is_late("console") is False, ALARM_SECONDS, "the collector is told that all is well")
        assert watchman.count("well") > 0
        assert watchman.count("failed") > 0
        hops = watchman.collector.metrics()[("sentinel", "siaga.sentinel.hop")]
        assert {each["hop"] for each in hops} == {"sign-in", *FAULTS.values()}
        # No drill leaves a connection behind.
        assert len(psutil.Process(watchman.pid).net_connections()) < 10
    print("\nalarm after " + ", ".join(f"{hop} {seconds:.1f} s" for hop, seconds in took.items()))
    assert max(took.values()) < ALARM_SECONDS


@pytest.mark.timeout(200)
def test_a_sentinel_that_checks_the_raise_alone_misses_a_tail_that_hangs(stoppable: RunningPlatform, faults: Path) -> None:
    with run_watchman(stoppable, python("tests/recovery/blind_sentinel.py")) as watchman:
        with broken(faults, "tail"):
            wait_for_drills(stoppable, 5)
        assert watchman.lines("late at: ") == []


def pause(name: str) -> Fault:
    return lambda platform: platform.pause(name)


def kill(name: str) -> Fault:
    return lambda platform: platform.kill(name)


def mend(platform: RunningPlatform, name: str) -> None:
    platform.resume(name)
    if platform.processes[name].poll() is not None:
        platform.start(name)


STOPS = {"alerts paused": ("alerts", pause("alerts"))}
HARMLESS = {"adapters paused": ("adapters", pause("adapters"))}
if NIGHTLY:
    STOPS |= {
        "alerts killed": ("alerts", kill("alerts")),
        "envoy paused": ("envoy", pause("envoy")),
        "envoy killed": ("envoy", kill("envoy")),
    }
    HARMLESS |= {
        "adapters killed": ("adapters", kill("adapters")),
        "directory killed": ("directory", kill("directory")),
        "directory paused": ("directory", pause("directory")),
        "valkey killed": ("valkey", kill("valkey")),
        "valkey paused": ("valkey", pause("valkey")),
    }


@pytest.mark.timeout(400)
def test_a_part_that_is_needed_raises_an_alarm_and_another_does_not(stoppable: RunningPlatform) -> None:
    with run_watchman(stoppable) as watchman:
        token = stoppable.token("sentinel")
        for part, stop in HARMLESS.values():
            stop(stoppable)
            wait_for_drills(stoppable, 5, token)
            assert watchman.lines("late at: ") == [], part
            mend(stoppable, part)
        for what, (part, stop) in STOPS.items():
            stop(stoppable)
            print(f"\n{what}: alarm after {watchman.wait_for_alarm():.1f} s")
            mend(stoppable, part)
            wait_for_drills(stoppable, 3)
            watchman.wait_until_well()


@pytest.mark.skipif(not NIGHTLY, reason="a minute of a database that comes and goes: nightly")
@pytest.mark.timeout(400)
def test_a_database_that_is_stopped_raises_an_alarm(own_postgres: Postgres) -> None:
    with run_platform({"ALERTS_DATABASE_URL": own_postgres.url}) as platform, run_watchman(platform) as watchman:
        for stop, start in ((own_postgres.stop, own_postgres.start), (own_postgres.pause, own_postgres.resume)):
            stop()
            print(f"\nthe database: alarm after {watchman.wait_for_alarm():.1f} s")
            start()
            wait_for_drills(platform, 3)
            watchman.wait_until_well()


def send_out_a_crew(platform: RunningPlatform) -> str:
    """A unit on duty whose crew is Umi; its name."""
    headers = {"authorization": f"Bearer {platform.token('supervisor-112')}"}
    unit = {"kind": "AMBULANCE", "displayName": "A-1", "crew": ["umi"]}
    made = httpx.post(f"{platform.url}/v1/units", json={"unit": unit}, headers=headers).raise_for_status().json()["name"]
    httpx.post(f"{platform.url}/v1/{made}:startDuty", json={}, headers=headers).raise_for_status()
    return made


def test_nobody_but_the_test_console_sees_any_of_it(stoppable: RunningPlatform) -> None:
    bearer = {"authorization": f"Bearer {stoppable.token('dispatcher-112')}"}
    people = ("dispatcher-112", "supervisor-112", "dispatcher-police", "agency-112", "citizen-1")
    unit = send_out_a_crew(stoppable)
    crew = {"authorization": f"Bearer {Signer(stoppable).sign('umi', 'responder', agency='agencies/jakarta-112')}"}
    streams = [
        EventStream(f"{stoppable.url}/v1/alerts:watch?includeDrills=true", bearer),
        EventStream(f"{stoppable.url}/v1/incidents:watch?includeDrills=true", bearer),
        EventStream(f"{stoppable.url}/v1/{unit}/assignments:watch", crew),
    ]
    shown = {person: ask(stoppable, person, "/v1/alerts?includeDrills=true") for person in people}
    with run_watchman(stoppable):
        wait_for_drills(stoppable, 3)
        for stream in streams:
            stream.wait_for("snapshotEnd")
            assert [each for each in list(stream._messages.queue) if "event" in each] == []
            stream.close()
        assert {person: ask(stoppable, person, "/v1/alerts?includeDrills=true") for person in people} == shown
        assert httpx.get(f"{stoppable.url}/v1/{unit}", headers=crew).json().get("alert", "") == ""
        # And the console itself, where it does not ask for drills.
        assert ask(stoppable, "sentinel", "/v1/alerts").get("alerts", []) == []


def test_its_own_drills_of_before_are_closed_and_nobody_elses(stoppable: RunningPlatform) -> None:
    bearer = {"authorization": f"Bearer {stoppable.token('sentinel')}"}
    said = {"drill": True, "drillAgency": "agencies/sentinel", "kind": "OTHER"}
    names: list[str] = []
    for marks in ({"sentinel": "drill"}, {}):
        body = {"requestId": str(uuid.uuid4()), "alertToken": uuid.uuid4().hex, "externalIds": marks, **said}
        response = httpx.post(f"{stoppable.url}/v1/alerts:raise", json=body, headers=bearer).raise_for_status()
        names.append(json.loads(response.text)["alert"]["name"])
    with run_watchman(stoppable):
        wait_until(lambda: ask(stoppable, "sentinel", f"/v1/{names[0]}")["state"] == "RESOLVED", 30, "the one of before is closed")
        assert ask(stoppable, "sentinel", f"/v1/{names[1]}")["state"] == "RAISED"


async def test_hops_are_told_apart_from_milliseconds_to_minutes(metric_reader: InMemoryMetricReader) -> None:
    async with Hops(HOP).take("raise"):
        pass
    bounds = find_points(metric_reader, "siaga.sentinel.hop")[0].explicit_bounds
    assert (bounds[0], bounds[-1]) == (0.005, 300)
