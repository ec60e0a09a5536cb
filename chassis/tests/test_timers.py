"""Timers: what is due is done once, whatever ends, restarts, fails or changes meanwhile."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from ringing import SECONDS, find_rung, find_waiting, name_things, ring, running, set_timers, until_only, until_rung
from sqlalchemy import MetaData, update
from sqlalchemy.orm import Session
from tiny_service import NIGHTLY, Thing, add_thing, open_things, timers

import chassis.timers
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.testing import Postgres, find_points
from chassis.timers import Timer, Timers

SECRET = "Jalan Rahasia 1"


class Taken:
    """In the place of a statement: says that it touched one row."""

    def execute(self, *_: object) -> int:
        return 1


class FiresBeforeItTakes(Timers):
    """Mutant: fires what was due when it looked, and takes the timers away when another one has looked, too."""

    def __init__(self) -> None:
        super().__init__(MetaData())
        self._later, self._take = self._take, Taken()  # pyright: ignore[reportAttributeAccessIssue]

    def _find_first(self, session: Session) -> Timer | None:
        self._seen = super()._find_due(session)
        return next(iter(self._seen), None)

    def _find_due(self, session: Session) -> Sequence[Timer]:
        return self._seen

    def _take_and_fire(self, *args: Any, **options: Any) -> Any:
        self._fired = super()._take_and_fire(*args, **options)
        return self._fired

    async def _attempt(self, database: Database, operation: Any) -> bool:
        done = await super()._attempt(database, operation)
        await asyncio.sleep(0.3)
        for timer, _ in self._fired:
            await database.write(lambda session, timer=timer: self._later.execute(session.connection(), timer._asdict()))
        return done


class NeverWaits(Timers):
    """Mutant: what is locked whenever it looks is left to whoever has locked it."""

    def __init__(self) -> None:
        super().__init__(MetaData())

    async def _fire_late(self, *_: object) -> None:
        pass


class NeverPostpones(Timers):
    """Mutant: what failed is as due as before."""

    def __init__(self) -> None:
        super().__init__(MetaData())
        self._postpone = Taken()  # pyright: ignore[reportAttributeAccessIssue]


def fail(session: Session, timer: Timer, thing: Thing) -> None:
    ring(session, timer, thing)
    if timer.resource.startswith("bad"):
        raise ValueError(SECRET)


async def test_what_is_due_fires_once_and_what_is_not_waits(database_url: str) -> None:
    due, later = name_things(40), now() + timedelta(hours=1)
    async with open_things(database_url) as database:
        await set_timers(database, due, now())
        await set_timers(database, ["later"], later)
        async with running(database):
            assert sorted(await until_rung(database, len(due))) == due
            # One that becomes due while it runs.
            await set_timers(database, ["soon"], now() + timedelta(seconds=0.5))
            assert sorted(await until_rung(database, len(due) + 1)) == [*due, "soon"]
        assert await database.read(find_waiting) == {"later": later}


async def test_one_that_fails_leaves_nothing_and_is_tried_again(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_things(database_url) as database:
        await set_timers(database, ["bad"], now())
        async with running(database, fire=fail):
            await until_rung(database, 0)
            left = (await database.read(find_waiting))["bad"] - now()
            assert timedelta(seconds=25) < left <= timedelta(seconds=30)
        assert await database.read(find_rung) == []
        assert "a timer ring of bad failed: ValueError" in caplog.text
        assert SECRET not in caplog.text
        # What it failed for is mended.
        monkeypatch.setattr(chassis.timers, "now", lambda: now() + timedelta(seconds=31))
        async with running(database):
            assert await until_rung(database, 1) == ["bad"]


async def ring_beside_bad_ones(database: Database, own: Timers) -> int:
    """How many attempts at bad ones, due before it, the good one needed to ring; it is given up after some."""
    attempts = list[str]()

    def try_to_fire(session: Session, timer: Timer, thing: Thing) -> None:
        attempts.append(timer.resource)
        fail(session, timer, thing)

    bad = [f"bad {number}" for number in range(40)]
    await set_timers(database, bad, now() - timedelta(seconds=1))
    await set_timers(database, ["good"], now())
    async with running(database, own, try_to_fire), asyncio.timeout(SECONDS):
        while "good" not in attempts and len(attempts) < 5 * len(bad):
            await asyncio.sleep(0.02)
        return len(attempts)


async def test_those_that_fail_keep_no_other_one_back(database_url: str) -> None:
    async with open_things(database_url) as database:
        assert await ring_beside_bad_ones(database, timers) < 50
        await until_only(database, ["good"])


async def test_mutant_those_that_fail_and_are_not_postponed_keep_the_others_back(database_url: str) -> None:
    async with open_things(database_url) as database:
        assert await ring_beside_bad_ones(database, NeverPostpones()) >= 200
        assert await database.read(find_rung) == []


async def test_what_follows_is_done_when_the_effect_is_on_disk_and_not_without_it(database_url: str) -> None:
    told: list[tuple[str, int]] = []

    def fire(session: Session, timer: Timer, thing: Thing) -> Callable[[], None]:
        ring(session, timer, thing)
        if timer.resource == "bad":
            # Found at COMMIT alone.
            session.execute(update(Thing).where(Thing.name == "bad").values(parent="nobody"))
        return partial(tell, timer.resource)

    def tell(name: str) -> None:
        told.append((name, committed))

    committed = 0

    def count() -> None:
        nonlocal committed
        committed += 1

    async with open_things(database_url, committed=count) as database:
        await set_timers(database, ["bad", "good"], now())
        before = committed
        async with running(database, fire=fire):
            assert await until_rung(database, 1) == ["good"]
    [(name, after)] = told
    assert name == "good"
    assert after > before


class Meanwhile:
    """A database in which something happens once, between a read and what follows from it."""

    def __init__(self, database: Database, happens: Callable[[Session], None]) -> None:
        self._database, self._happens = database, happens
        self.happened = False
        self.write = database.write

    async def read(self, operation: Callable[[Session], Any]) -> Any:
        value = await self._database.read(operation)
        if value and not self.happened:
            self.happened = True
            await self._database.write(self._happens)
        return value


async def change_meanwhile(database: Database, own: Timers) -> list[str]:
    """What rings of three timers that are due, when one is cancelled and one moved in the very moment of firing."""

    def change(session: Session) -> None:
        timers.replace(session, "cancelled", [])
        timers.replace(session, "moved", [Timer("ring", "moved", "", now() + timedelta(hours=1))])

    await set_timers(database, ["cancelled", "moved", "kept"], now())
    async with running(Meanwhile(database, change), own):
        await until_rung(database, 1)
        # It looks again when all that it found before is done.
        await set_timers(database, ["last"], now())
        async with asyncio.timeout(SECONDS):
            while "last" not in (rung := await database.read(find_rung)):
                await asyncio.sleep(0.02)
        return sorted(rung)


async def test_one_that_is_cancelled_or_moved_does_not_fire(database_url: str) -> None:
    async with open_things(database_url) as database:
        assert await change_meanwhile(database, timers) == ["kept", "last"]
        assert list(await database.read(find_waiting)) == ["moved"]


async def test_mutant_a_runner_that_fires_before_it_takes_fires_what_was_cancelled(database_url: str) -> None:
    async with open_things(database_url) as database:
        assert await change_meanwhile(database, FiresBeforeItTakes()) == ["cancelled", "kept", "last", "moved"]


async def test_the_timer_of_a_resource_that_has_gone_goes_too(database_url: str) -> None:
    async with open_things(database_url) as database:
        await set_timers(database, ["gone"], now(), things=False)
        await set_timers(database, ["there"], now())
        async with running(database):
            assert await until_rung(database, 1) == ["there"]
        assert await database.read(find_waiting) == {}


async def test_one_whose_resource_is_locked_waits_alone(postgres_url: str) -> None:
    holder = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    async with open_things(postgres_url) as database, running(database):
        await set_timers(database, ["held"], now() + timedelta(seconds=1))
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM things WHERE name = 'held' FOR UPDATE")
            for name in ("one", "two"):
                await set_timers(database, [name], now() + timedelta(seconds=1))
            await until_only(database, ["one", "two"], 3)
            assert list(await database.read(find_waiting)) == ["held"]
        assert sorted(await until_rung(database, 3)) == ["held", "one", "two"]
    await holder.close()


async def test_many_that_are_locked_keep_no_other_one_waiting(postgres_url: str) -> None:
    names, holder = name_things(40), await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    async with open_things(postgres_url) as database:
        await set_timers(database, names, now())
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM things WHERE name < '0020' FOR UPDATE")
            async with running(database):
                await until_only(database, names[20:], 3)
    await holder.close()


async def ring_while_it_is_locked_over_and_over(url: str, own: Timers) -> list[str]:
    """What rings within three seconds of one that is due, while four others change its thing again and again."""

    async def change(connection: Any) -> None:
        while True:
            async with connection.transaction():
                await connection.execute("SELECT pg_sleep(0.02) FROM (SELECT 1 FROM things WHERE name = 'busy' FOR UPDATE) AS one")

    connections = [await asyncpg.connect(url.replace("+asyncpg", "")) for _ in range(4)]
    async with open_things(url) as database:
        await set_timers(database, ["busy"], now())
        changes = [asyncio.create_task(change(each)) for each in connections]
        async with running(database, own):
            with suppress(TimeoutError):
                await until_only(database, ["busy"], 3)
            rung = await database.read(find_rung)
        for each in changes:
            each.cancel()
        await asyncio.wait(changes)
    for each in connections:
        await each.close()
    return rung


async def test_one_whose_resource_is_locked_over_and_over_waits_for_its_turn(postgres_url: str) -> None:
    assert await ring_while_it_is_locked_over_and_over(postgres_url, timers) == ["busy"]


async def test_mutant_one_that_waits_for_nobody_never_has_its_turn(postgres_url: str) -> None:
    assert await ring_while_it_is_locked_over_and_over(postgres_url, NeverWaits()) == []


async def test_a_restart_in_the_middle_loses_and_doubles_none(database_url: str) -> None:
    names = name_things(2000 if NIGHTLY else 300)
    rung: list[str] = []
    async with open_things(database_url) as database:
        await set_timers(database, names, now())
    while len(rung) < len(names):
        async with open_things(database_url) as database:
            before = len(rung)
            async with running(database), asyncio.timeout(SECONDS):
                # Cut off with some of them under way.
                while len(rung) < min(before + 40, len(names)):
                    rung = await database.read(find_rung)
    assert sorted(rung) == names


async def run_several(databases: Sequence[Database], own: Timers) -> list[str]:
    names = name_things(1000 if NIGHTLY else 200)
    await set_timers(databases[0], names, now() + timedelta(seconds=0.5))
    async with AsyncExitStack() as stack:
        for database in databases:
            await stack.enter_async_context(running(database, own))
        return sorted(await until_rung(databases[0], len(names)))


async def test_several_runners_of_one_database_fire_each_once(database_url: str) -> None:
    async with open_things(database_url) as database:
        rung = await run_several([database] * 3, timers)
        assert rung == sorted(set(rung))


async def test_the_runners_of_several_replicas_fire_each_once(postgres_url: str) -> None:
    async with open_things(postgres_url) as one, open_things(postgres_url) as two, open_things(postgres_url) as three:
        rung = await run_several([one, two, three], timers)
        assert rung == sorted(set(rung))


async def test_mutant_runners_that_fire_before_they_take_double(postgres_url: str) -> None:
    async with open_things(postgres_url) as one, open_things(postgres_url) as two:
        rung = await run_several([one, two], FiresBeforeItTakes())
        assert len(rung) > len(set(rung))


async def until_away(runner: "asyncio.Task[None]", caplog: pytest.LogCaptureFixture, due_time: datetime) -> None:
    """Returns when the runner has found nobody, and the time of firing has passed."""
    async with asyncio.timeout(SECONDS):
        while "the database does not answer" not in caplog.text or now() < due_time:
            await asyncio.sleep(0.02)
    assert not runner.done()


async def test_while_postgres_is_away_nothing_ends_and_what_became_due_fires_once(
    own_postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_things(own_postgres.url) as database, running(database) as runner:
        due_time = now() + timedelta(seconds=1)
        await set_timers(database, ["during"], due_time)
        await asyncio.to_thread(own_postgres.stop)
        await until_away(runner, caplog, due_time)
        await asyncio.to_thread(own_postgres.start)
        await set_timers_when_it_is_back(database, "after")
        assert sorted(await until_rung(database, 2)) == ["after", "during"]


async def set_timers_when_it_is_back(database: Database, name: str) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await set_timers(database, [name], now())
            except ServiceUnavailable:
                await asyncio.sleep(0.05)


async def test_while_a_sqlite_file_is_locked_nothing_ends_and_what_became_due_fires_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "test.db"
    async with open_things(f"sqlite:///{path}") as database, running(database) as runner:
        due_time = now() + timedelta(seconds=0.5)
        await set_timers(database, ["during"], due_time)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await until_away(runner, caplog, due_time)
        assert await database.read(find_rung) == []
        other.execute("ROLLBACK")
        other.close()
        assert await until_rung(database, 1) == ["during"]


async def test_how_late_each_one_was_is_measured_by_its_kind(database_url: str, metric_reader: InMemoryMetricReader) -> None:
    kind = f"measured {database_url.partition(':')[0]}"
    async with open_things(database_url) as database:
        await database.write(lambda session: add_thing(session, "late"))
        late = [Timer(kind, "late", str(number), now() - timedelta(seconds=20)) for number in range(3)]
        await database.write(lambda session: timers.replace(session, "late", late))
        async with running(database):
            await until_rung(database, 3)
    [point] = [each for each in find_points(metric_reader, "siaga.timer.lateness") if each.attributes == {"kind": kind}]
    assert (point.count, point.explicit_bounds[0], point.explicit_bounds[-1]) == (3, 0.005, 300)
    assert 20 <= point.min <= point.max < 25
