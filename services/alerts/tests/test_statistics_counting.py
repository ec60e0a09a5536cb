"""The sums are what anybody would count, whatever happened to the alerts, in which order, and however the counting was interrupted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, date, timedelta
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from counted import World, clear, open_world
from crews import make_unit
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from moments import RINA, ROOM, SARI
from recount import Recount, Wanted, find_zone, recount
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from alerts.errors import AlertClosed, AlreadyAcknowledged, InvalidTransition, NotAcknowledged, NotClaimant, UnitNotFound
from alerts.model.alerts import Alert
from alerts.model.enums import CancelClaim, Kind, Status
from alerts.model.histograms import HOURS, Count, Sums, Time
from alerts.model.incidents import rest_with
from alerts.model.statistics import Counting, Sum
from alerts.model.tables import log
from alerts.operations import statistics as operations
from alerts.operations.statistics import begin_rebuild, count_some, is_behind
from alerts.store import statistics as store
from alerts.store.statistics import Period
from chassis.errors import ServiceUnavailable
from siaga.alerts.v1.statistics_pb2 import RebuildAlertStatisticsRequest

GAMBIR, SAWAH_BESAR, MAKASSAR, JAYAPURA = "areas/31.71.01.1001", "areas/31.71.02.1001", "areas/73.71.01", "areas/91.71"
PLACES = [GAMBIR, "areas/31.71.01", SAWAH_BESAR, MAKASSAR, JAYAPURA, ""]
AREAS = ["areas/31", "areas/31.71", "areas/31.71.01", GAMBIR, SAWAH_BESAR, "areas/73", MAKASSAR, "areas/91", JAYAPURA]
AGENCIES = [ROOM, "agencies/makassar-112"]
REFUSALS = (AlertClosed, AlreadyAcknowledged, InvalidTransition, NotAcknowledged, NotClaimant, UnitNotFound)
COUNTS = {
    "open": Count.OPEN,
    "helped": Count.HELPED,
    "false_alarm": Count.FALSE_ALARM,
    "prank": Count.PRANK,
    "unreachable": Count.UNREACHABLE,
    "non_emergency": Count.NON_EMERGENCY,
    "cancelled_verified": Count.CANCELLED_VERIFIED,
    "cancelled_unverified": Count.CANCELLED_UNVERIFIED,
    "duplicates": Count.DUPLICATE,
}


class Step(NamedTuple):
    """Something that happens to one of the alerts, so long after its last change."""

    alert: int
    what: str
    argument: int
    milliseconds: int


STEPS = [
    "deliver",
    "acknowledge",
    "dispatch",
    "advance",
    "resolve",
    "cancel",
    "kind",
    "move",
    "release",
    "erase",
    "outcome",
    "merge",
    "count",
]
# Steps at random alone hardly ever bring an alert to the scene.
USUAL = [("deliver", 0), ("acknowledge", 0), ("dispatch", 0), ("advance", 0), ("advance", 1), ("advance", 2)]
milliseconds = st.one_of(st.integers(0, 30_000), st.integers(0, 3_600_000), st.just(200_000_000))
steps = st.builds(Step, st.integers(0, 4), st.sampled_from(STEPS), st.integers(0, 7), milliseconds)


class Raised(NamedTuple):
    """An alert, and how long each of the usual steps took as far as it went."""

    area: str
    kind: Kind
    minutes: int
    drill: bool
    agency: str
    took: list[int]


raised = st.builds(
    Raised,
    st.sampled_from(PLACES),
    st.sampled_from(Kind),
    st.integers(-90, 90),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(AGENCIES),
    st.sampled_from([0, 2, 3, 6]).flatmap(lambda number: st.lists(milliseconds, min_size=number, max_size=number)),
)


def happen(alert: Alert, step: Step) -> None:
    """What the rules refuse is refused."""
    now = alert.update_time + timedelta(milliseconds=step.milliseconds)
    by = replace(SARI, agency=alert.agency)
    unit = make_unit(f"{step.argument}", alert.agency, drill=alert.drill)
    status = [Status.ACCEPTED, Status.EN_ROUTE, Status.ON_SCENE, Status.DONE, Status.DECLINED][step.argument % 5]

    def change(**columns: object) -> None:
        for name, value in columns.items():
            setattr(alert, name, value)
        alert.touch(now, shown=False)

    acts: dict[str, Callable[[], object]] = {
        "deliver": lambda: alert.confirm_receipt(by, now),
        "acknowledge": lambda: alert.acknowledge(by.user, by, now),
        "dispatch": lambda: alert.dispatch([unit], by, now, None),
        "advance": lambda: alert.update_assignment(alert.assignments[-1].unit, status, "", now) if alert.assignments else None,
        "resolve": lambda: alert.resolve(step.argument % 6 + 1, by, now),
        "cancel": lambda: alert.cancel(now, [CancelClaim.UNVERIFIED, CancelClaim.VERIFIED, CancelClaim.DURESS][step.argument % 3]),
        "kind": lambda: alert.update({"kind": step.argument}, "", by, now),
        "move": lambda: change(area=PLACES[step.argument % len(PLACES)]),
        "release": lambda: alert.release(by, now),
        "erase": lambda: (alert.erase(now), alert.wipe()),
        # As a merge or a second thought would have it, which no rule of the entity's knows yet.
        "outcome": lambda: change(outcome=step.argument % 7) if alert.close_time else None,
        "merge": lambda: rest_with(alert, "" if alert.merged_into else "alerts/another", now),
    }
    with suppress(*REFUSALS):
        acts[step.what]()


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as world:
        yield world


def assert_equal(sums: Sums, row: int, expected: Recount) -> None:
    found = {word: int(sums.counts[row, place]) for word, place in COUNTS.items()}
    assert found == {word: number for word, number in expected.counts.items() if word != "raised"}
    for time, (word, milliseconds) in zip(Time, expected.times.items(), strict=True):
        capped = [min(each, 86_400_000) for each in milliseconds]
        assert sums.cases[row, time] == len(capped), word
        if capped:
            assert sums.find_means()[row, time] == pytest.approx(sum(capped) / len(capped) / 1000)
            for share in (0.5, 0.9):
                exact = max(np.quantile(capped, share, method="inverted_cdf") / 1000, 0.01)
                assert sums.find_quantiles(share)[row, time] == pytest.approx(exact, rel=0.05)
    for time, seconds in ((Time.ANSWER, 10), (Time.ANSWER, 15), (Time.ANSWER, 20), (Time.DISPATCH, 60), (Time.ARRIVAL, 900)):
        within = sum(each <= seconds * 1000 for each in list(expected.times.values())[time])
        assert sums.count_within(time, seconds)[row] == within


def questions() -> Iterable[Wanted]:
    spans = [("2026-01-01", "2026-02-28"), ("2026-01-31", "2026-01-31"), ("2026-02-01", "2026-02-01"), ("2025-12-15", "2026-02-02")]
    for first, last in spans:
        yield Wanted(first=first, last=last)
        yield from (Wanted(area=area, first=first, last=last) for area in AREAS)
        yield from (Wanted(area="areas/31", kind=kind, first=first, last=last) for kind in (0, *Kind))
        yield from (Wanted(agency=agency, first=first, last=last) for agency in AGENCIES)


async def assert_counted(world: World) -> None:
    alerts = await world.find_all()
    for wanted in questions():
        assert_equal(await world.ask(wanted), 0, recount(alerts, wanted))
    for area in ("", "areas/31.71.01", JAYAPURA):
        wanted = Wanted(area=area, first="2026-01-01", last="2026-02-28")
        by_hour = await world.ask(wanted, by_hours=True)
        for hour in range(HOURS):
            assert_equal(by_hour, hour, recount(alerts, wanted._replace(hour=hour)))


class TestWhateverHappens:
    @examples(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(raised, min_size=1, max_size=5), st.lists(steps, max_size=30))
    def test_the_sums_are_what_a_recount_finds(self, database_url: str, alerts: list[Raised], course: list[Step]) -> None:
        async def run() -> None:
            async with open_world(database_url) as world:
                await clear(world)
                usual: list[Step] = []
                for number, each in enumerate(alerts):
                    await world.raise_alert(each.area, each.kind, each.minutes, each.agency, drill=each.drill)
                    usual += [Step(number, what, argument, passed) for (what, argument), passed in zip(USUAL, each.took, strict=False)]
                for step in (*usual, *course):
                    if step.what == "count":
                        await world.count()
                    else:
                        await world.change(world.names[step.alert % len(world.names)], partial(happen, step=step))
                await world.count()
                await assert_counted(world)

        asyncio.run(run())


class TestDays:
    async def test_a_day_begins_when_it_begins_at_the_place(self, world: World) -> None:
        # Half past midnight in Jayapura, an hour earlier in Makassar, two in Jakarta; and once more after Jakarta's midnight.
        for area in (GAMBIR, MAKASSAR, JAYAPURA):
            await world.raise_alert(area, Kind.FIRE, -90)
            await world.raise_alert(area, Kind.FIRE, 1)
        await world.count()
        january, february = ({"first": day, "last": day} for day in ("2026-01-31", "2026-02-01"))
        found: dict[str, tuple[int, ...]] = {}
        for area in (GAMBIR, MAKASSAR, JAYAPURA):
            sums = [await world.ask(Wanted(area=area, **day)) for day in (january, february)]
            found[area] = tuple(int(each.counts[0, Count.OPEN]) for each in sums)
        assert found == {GAMBIR: (1, 1), MAKASSAR: (1, 1), JAYAPURA: (0, 2)}
        by_hour = (await world.ask(Wanted(first="2026-01-01", last="2026-02-28"), by_hours=True)).counts[:, Count.OPEN]
        assert {hour: int(number) for hour, number in enumerate(by_hour) if number} == {22: 1, 23: 1, 0: 2, 1: 1, 2: 1}

    @pytest.mark.parametrize(
        ("first", "last", "split"),
        [
            ("2026-01-01", "2026-01-31", ("2026-01-01", "2026-01-01", "2026-02-01", "2026-01-31")),
            ("2026-01-02", "2026-03-30", ("2026-01-02", "2026-02-01", "2026-03-01", "2026-03-30")),
            ("2025-11-30", "2026-01-01", ("2025-11-30", "2025-12-01", "2026-01-01", "2026-01-01")),
            ("2026-01-31", "2026-02-27", ("2026-01-31", "2026-02-28", "2026-02-28", "2026-02-27")),
            ("2026-03-05", "2026-03-05", ("2026-03-05", "2026-03-06", "2026-03-06", "2026-03-05")),
        ],
    )
    def test_a_period_is_read_by_whole_months_and_the_days_around_them(self, first: str, last: str, split: tuple[str, ...]) -> None:
        period = Period(date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal())
        assert tuple(date.fromordinal(day).isoformat() for day in period.split().values()) == split

    async def test_another_time_zone_counts_from_the_rebuilding_on(self, world: World) -> None:
        await world.raise_alert(GAMBIR, Kind.FIRE, -1)
        await world.count()
        await world.count(zone_of=lambda _: UTC)
        january = Wanted(first="2026-01-31", last="2026-01-31")
        assert (await world.ask(january._replace(hour=None), by_hours=True)).counts[23, Count.OPEN] == 1
        await world.database.write(partial(begin_rebuild, user="indra", request_id="", request=RebuildAlertStatisticsRequest()))
        await world.count(zone_of=lambda _: UTC)
        assert (await world.ask(january, by_hours=True)).counts[16, Count.OPEN] == 1


class TestRebuilding:
    async def test_it_counts_what_is_there_and_what_changes_meanwhile(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "EVENTS_AT_ONCE", 3)
        for minute in range(10):
            await world.raise_alert(GAMBIR, Kind.FIRE, minute)
        await world.count()
        await world.database.write(partial(begin_rebuild, user="indra", request_id="", request=RebuildAlertStatisticsRequest()))
        step = partial(count_some, find_zone=find_zone, alerts_at_once=2)
        turn = 0
        while await world.database.read(is_behind):
            if turn < 8:
                await world.change(
                    world.names[turn], lambda alert: alert.acknowledge("rina", RINA, alert.update_time + timedelta(seconds=9))
                )
                await world.raise_alert(MAKASSAR, Kind.MEDICAL, turn)
                # The old figures are told, and up to date, until the new ones are.
                assert await world.database.read(store.find_current)
            await world.database.write(step)
            turn += 1
        await assert_counted(world)
        numbers = await world.database.read(lambda session: session.scalars(select(Counting.number)).all())
        assert numbers == [2]
        assert await world.database.read(lambda session: session.scalars(select(Sum.counting).distinct()).all()) == [2]

    async def test_it_mends_what_was_damaged(self, world: World) -> None:
        await world.raise_alert(GAMBIR, Kind.FIRE, 0)
        await world.count()
        await world.database.write(lambda session: session.execute(delete(Sum).where(Sum.area == GAMBIR)))
        await world.database.write(partial(begin_rebuild, user="indra", request_id="", request=RebuildAlertStatisticsRequest()))
        await world.count()
        await assert_counted(world)

    async def test_one_is_made_at_a_time(self, world: World) -> None:
        await world.count()
        begin = partial(begin_rebuild, user="indra", request_id="", request=RebuildAlertStatisticsRequest())
        assert [await world.database.write(begin) for _ in range(3)] == [2, 2, 2]
        await world.count()
        assert await world.database.write(begin) == 3

    async def test_without_an_alert_there_is_a_count_of_nothing(self, world: World) -> None:
        await world.count()
        assert not (await world.ask(Wanted(first="2026-01-01", last="2026-12-31"))).counts.any()


class Crash(Exception):
    """In the middle of a step."""


class TestInterruptions:
    async def fill(self, world: World) -> None:
        for minute in range(12):
            await world.raise_alert(PLACES[minute % len(PLACES)], minute % 8, minute)

    @pytest.mark.parametrize("mutant", [False, True])
    async def test_a_step_that_fails_in_its_middle_is_made_again_as_a_whole(
        self, world: World, monkeypatch: pytest.MonkeyPatch, *, mutant: bool
    ) -> None:
        """The mutant moves the cursor in a transaction of its own, before the sums."""
        monkeypatch.setattr(operations, "EVENTS_AT_ONCE", 5)
        await world.count()
        await self.fill(world)
        kept = store.keep_sums
        left = [1]

        def keep_sums(*arguments: Any) -> None:
            kept(*arguments)
            if left[0]:
                left[0] -= 1
                raise Crash

        monkeypatch.setattr(store, "keep_sums", keep_sums)
        while await world.database.read(is_behind):
            if mutant:
                await world.database.write(move_cursor)
            with suppress(Crash):
                await world.database.write(partial(count_some, find_zone=find_zone))
        if mutant:
            with pytest.raises(AssertionError):
                await assert_counted(world)
        else:
            await assert_counted(world)

    @pytest.mark.parametrize("mutant", [False, True])
    async def test_two_replicas_count_nothing_twice(self, migrated_postgres: str, monkeypatch: pytest.MonkeyPatch, *, mutant: bool) -> None:
        """The mutant counts without the lock."""
        monkeypatch.setattr(operations, "EVENTS_AT_ONCE", 4)
        find_hours = store.find_hours

        def find_slowly(session: Session, *arguments: Any) -> Any:  # whatever it finds
            # Long enough for the other one to be in the middle of its step, too.
            session.execute(select(func.pg_sleep(0.05)))
            return find_hours(session, *arguments)

        monkeypatch.setattr(store, "find_hours", find_slowly)
        if mutant:
            monkeypatch.setattr(store, "lock_countings", store.find_countings)
        async with open_world(migrated_postgres) as world, open_world(migrated_postgres) as other:
            await clear(world)
            done = asyncio.Event()

            async def keep_counting(replica: World) -> None:
                while not done.is_set() or await replica.database.read(is_behind):
                    # Without the lock one may take back what the other has not counted yet, or both wait for each other.
                    with suppress(*([ValueError, ServiceUnavailable] if mutant else [])):
                        await replica.database.write(partial(count_some, find_zone=find_zone))

            async with asyncio.TaskGroup() as tasks:
                for replica in (world, other):
                    tasks.create_task(keep_counting(replica))
                await self.fill(world)
                for name in world.names:
                    await world.change(name, lambda alert: alert.confirm_receipt(SARI, alert.update_time + timedelta(seconds=3)))
                done.set()
            with pytest.raises(AssertionError) if mutant else nullcontext():
                await assert_counted(world)


def move_cursor(session: Session) -> None:
    counting = store.find_current(session)
    assert counting
    if events := log.after(session, counting.position, operations.EVENTS_AT_ONCE):
        counting.position = events[-1].id
