"""The tail: every follower gets each change once and in order, and none is in another's way."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session
from tiny_service import NIGHTLY, Model, Thing, load_things, log
from watched import CountsReads, Watched, names_of, read_until, watching

from chassis import tail
from chassis.database import Database
from chassis.tail import Change, EndReason, Follower, Heartbeat, Tail
from chassis.testing import Postgres
from chassis.watch import SnapshotEnd

EVENTS = Model.metadata.tables["events"]


async def test_whoever_joins_during_a_storm_of_writes_misses_nothing_and_gets_nothing_twice(database_url: str) -> None:
    random.seed(11)
    names = [f"{number:05}" for number in range(3000 if NIGHTLY else 400)]
    slots = asyncio.Semaphore(16)
    async with watching(database_url) as watched:

        async def write(name: str) -> None:
            async with slots:
                await watched.add(name)

        async def join() -> list[str]:
            """Whoever cannot keep up with the storm is told so, and goes on from the cursor."""
            read: list[str] = []
            cursor = ""
            while "last" not in read:
                steps = await read_until(watched.follow(cursor), "last")
                read += names_of(steps)
                cursor = steps[-1][0]
            return read

        readers: list[asyncio.Task[list[str]]] = []
        writes: list[asyncio.Task[None]] = []
        for name in names:
            writes.append(asyncio.create_task(write(name)))
            if random.random() < 12 / len(names):
                readers.append(asyncio.create_task(join()))
            await asyncio.sleep(0)
        readers.append(asyncio.create_task(join()))
        await asyncio.gather(*writes)
        readers.append(asyncio.create_task(join()))
        await asyncio.sleep(0.1)
        await watched.add("last")
        for read in await asyncio.gather(*readers):
            assert sorted(read) == [*names, "last"]
    assert len(readers) > 4


_held = ContextVar("held", default=False)


class Held:
    """A database whose reads for whoever is `_held` return only when they are let go: the moments between the steps of a follower."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reached, self._free = asyncio.Event(), asyncio.Event()

    async def read(self, operation: Callable[[Session], Any], **options: Any) -> Any:
        found = await self._database.read(operation, **options)
        if _held.get():
            self._reached.set()
            await self._free.wait()
            self._free.clear()
        return found

    async def is_held(self) -> None:
        await asyncio.wait_for(self._reached.wait(), 5)
        self._reached.clear()

    def let_go(self) -> None:
        self._free.set()


class ReadsBeforeItJoins(Tail[Thing]):
    """Mutant: between its look at the log and its joining there is a gap."""

    async def follow(
        self, position: int, wants: Callable[[Change[Thing]], bool], expire_time: float
    ) -> AsyncIterator[tuple[int, Change[Thing] | Heartbeat | EndReason]]:
        changes, _ = await self._read(position)
        for change in changes:
            yield change.event.id, change
        follower = Follower(wants, position)
        self._followers.add(follower)
        if self._position is None:
            self._position = position
        while True:
            item = await follower.queue.get()
            yield position, item


async def join_between_writes(url: str, kind: type[Tail[Thing]]) -> list[str]:
    """What a follower gets of a write between its snapshot and its joining, and of one after its look at the log."""
    held: list[Held] = []

    def hold(database: Database) -> Held:
        held.append(Held(database))
        return held[0]

    async with watching(url, kind, through=hold) as watched:
        readers = [watched.follow() for _ in range(3)]
        # From then on all of them have from the tail what is written, and not from the log.
        await watched.add("before")
        await asyncio.gather(*(read_until(each, "before") for each in readers))
        first, second, third = (
            asyncio.create_task(read_until(each, name)) for each, name in zip(readers, ("first", "second", "third"), strict=True)
        )
        _held.set(True)
        late = asyncio.create_task(read_until(watched.follow(), "third"))
        _held.set(False)
        await held[0].is_held()
        await watched.add("first")
        await first
        held[0].let_go()
        await held[0].is_held()
        await watched.add("second")
        await second
        held[0].let_go()
        await asyncio.sleep(0.05)
        await watched.add("third")
        await third
        return names_of(await late)


async def test_a_follower_joins_before_it_reads(database_url: str) -> None:
    assert await join_between_writes(database_url, Tail) == ["before", "first", "second", "third"]


async def test_a_follower_who_reads_first_has_a_gap(database_url: str) -> None:
    assert await join_between_writes(database_url, ReadsBeforeItJoins) == ["before", "first", "third"]


async def test_a_slow_reader_is_ended_and_finds_everything_after_its_cursor(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_PATIENCE_SECONDS", 0.0)
    async with watching(database_url) as watched:
        slow = watched.follow()
        await read_until(slow, SnapshotEnd)
        await watched.add("first")
        [(cursor, _)] = await read_until(slow, "first")
        quick = asyncio.create_task(read_until(watched.follow(), f"{399:03}"))
        await asyncio.sleep(0.05)
        for hundred in range(4):
            await watched.add(*(f"{number:03}" for number in range(100 * hundred, 100 * hundred + 100)))
            await asyncio.sleep(0.05)
        assert names_of(await quick) == ["first", *(f"{number:03}" for number in range(400))], "another one is not disturbed"
        [(end_cursor, end)] = await read_until(slow, EndReason)
        assert (end_cursor, end) == (cursor, EndReason.SLOW_READER)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        resumed = await read_until(watched.follow(end_cursor), f"{399:03}")
        assert names_of(resumed) == [f"{number:03}" for number in range(400)]


async def test_a_burst_does_not_end_a_reader_who_keeps_up(database_url: str) -> None:
    async with watching(database_url) as watched:
        steps = watched.follow()
        await read_until(steps, SnapshotEnd)
        reading = asyncio.create_task(read_until(steps, "399"))
        await asyncio.sleep(0.05)
        await watched.add(*(f"{number:03}" for number in range(400)))
        assert names_of(await reading) == [f"{number:03}" for number in range(400)]


async def test_a_follower_gets_what_it_wants_in_order_and_nothing_else(database_url: str) -> None:
    async with watching(database_url) as watched:
        even = watched.follow("now", wants=lambda change: int(change.event.resource) % 2 == 0)
        await read_until(even, Heartbeat)
        await watched.add(*(f"{number:03}" for number in range(51)))
        assert names_of(await read_until(even, "050")) == [f"{number:03}" for number in range(0, 51, 2)]


async def test_nothing_is_read_while_nobody_follows(tmp_path: Path) -> None:
    counting = CountsReads()
    async with watching(f"sqlite:///{tmp_path / 'test.db'}", own_log=counting) as watched:
        for number in range(5):
            await watched.add(f"unseen {number}")
            await asyncio.sleep(0.03)
        assert counting.reads == 0
        async with aclosing(watched.follow()) as steps:
            await read_until(steps, SnapshotEnd)
            followed = asyncio.create_task(read_until(steps, "seen"))
            await asyncio.sleep(0.05)
            await watched.add("seen")
            await followed
        assert counting.reads > 0
        await asyncio.sleep(0.05)
        before = counting.reads
        for number in range(5):
            await watched.add(f"unseen, later {number}")
            await asyncio.sleep(0.03)
        assert counting.reads == before


class MovesWithChangesOnly(Tail[Thing]):
    """Mutant: what has no resource any more is not counted as read."""

    async def _read(self, position: int) -> Any:
        changes, _ = await super()._read(position)
        return changes, changes[-1].event.id if changes else position


async def follow_past_erased(url: str, kind: type[Tail[Thing]]) -> None:
    """Raises TimeoutError where 600 events without their resource stop a follower, or one who comes after them."""
    async with watching(url, kind) as watched:
        early = watched.follow()
        [(cursor, _)] = await read_until(early, SnapshotEnd)
        reading = asyncio.create_task(read_until(early, "alive"))
        await asyncio.sleep(0.05)

        def erase(session: Session) -> None:
            for number in range(600):
                log.append(session, "ThingAdded", f"erased {number}", 1)

        await watched.database.write(erase)
        await watched.add("alive")
        async with asyncio.timeout(1):
            await reading
            assert names_of(await read_until(watched.follow(cursor), "alive")) == ["alive"]


async def test_events_of_erased_resources_do_not_stop_the_tail(database_url: str) -> None:
    await follow_past_erased(database_url, Tail)


async def test_a_tail_that_counts_only_what_it_tells_is_stopped_by_erased_resources(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        await follow_past_erased(f"sqlite:///{tmp_path / 'test.db'}", MovesWithChangesOnly)


class DiesWithItsDatabase(Tail[Thing]):
    """Mutant: an outage ends it."""

    async def run(self) -> None:
        while True:
            await self._bell.wait(0.1)
            await self._catch_up()


async def test_the_tail_outlives_an_outage_of_the_database(own_postgres: Postgres) -> None:
    async with watching(own_postgres.url) as watched, watching(own_postgres.url, DiesWithItsDatabase) as mutant:
        following = [asyncio.create_task(read_until(each.follow(), "after")) for each in (watched, mutant)]
        while not await _has_followers(watched, mutant):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.stop)
        await asyncio.wait([mutant.running], timeout=5)
        assert mutant.running.exception()
        await asyncio.to_thread(own_postgres.start)
        async with asyncio.timeout(10):
            while True:
                try:
                    await watched.add("after")
                except Exception:  # noqa: BLE001  # whatever a server that is starting says
                    await asyncio.sleep(0.05)
                else:
                    break
        assert names_of(await following[0]) == ["after"]
        following[1].cancel()
        await asyncio.wait(following)


async def _has_followers(*all_watched: Watched) -> bool:
    return all(watched.tail._position is not None for watched in all_watched)


async def test_stopping_ends_every_watch_with_its_cursor_and_those_that_come_after(database_url: str) -> None:
    async with watching(database_url) as watched:
        steps = watched.follow()
        await read_until(steps, SnapshotEnd)
        await watched.add("before")
        [(cursor, _)] = await read_until(steps, "before")
        ending = asyncio.create_task(read_until(steps, EndReason))
        await asyncio.sleep(0.05)
        watched.tail.stop()
        assert await ending == [(cursor, EndReason.SERVICE_STOPPING)]
        late = await read_until(watched.follow(), EndReason)
        assert names_of(late) == ["before"]
        assert late[-1] == (cursor, EndReason.SERVICE_STOPPING)


async def test_a_watch_ends_with_the_token_that_it_began_with(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add("before")
        began = time.time()
        steps = await read_until(watched.follow(expire_time=began + 0.3), EndReason)
        assert 0.2 < time.time() - began < 2
        assert steps[-1][1] is EndReason.TOKEN_EXPIRED
        assert names_of(steps) == ["before"]
        # One that has expired already is shown no change any more.
        cursor = steps[-1][0]
        await watched.add("secret by now")
        late = await read_until(watched.follow(cursor, expire_time=began), EndReason)
        assert [type(step) for _, step in late] == [Heartbeat, EndReason]


async def test_a_watch_whose_transport_takes_nothing_holds_nobody_up_and_is_told_when_it_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_PATIENCE_SECONDS", 0.0)
    async with watching(f"sqlite:///{tmp_path / 'test.db'}") as watched:
        quick = asyncio.create_task(read_until(watched.follow(), "399", 1000))
        stalled = watched.follow()
        await read_until(stalled, SnapshotEnd)
        # It has joined, and takes this one and no other.
        await watched.add("first")
        await read_until(stalled, "first")
        for hundred in range(4):
            await watched.add(*(f"{number:03}" for number in range(100 * hundred, 100 * hundred + 100)))
        await quick
        [(cursor, end)] = await read_until(stalled, EndReason)
        assert end is EndReason.SLOW_READER
        assert len(await read_until(watched.follow(cursor), "399", 1000)) >= 400


async def test_what_is_told_is_as_it_is_now(database_url: str) -> None:
    """An event of an older state comes with the newest one: nobody is shown a step back."""
    async with watching(database_url) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        await watched.add("thing")

        def touch(session: Session) -> None:
            load_things(session, {"thing"})["thing"].note = "newest"
            log.append(session, "ThingTouched", "thing", 1)

        await watched.database.write(touch)
        await watched.database.write(lambda session: session.execute(insert(Thing).values(name="unlogged", note="")).close())
        steps = watched.follow(cursor)
        told = [step async for _, step in _take(steps, 3)]
        assert [(step.event.type, step.subject.note) for step in told if isinstance(step, Change)] == [
            ("ThingAdded", "newest"),
            ("ThingTouched", "newest"),
        ]


async def _take(steps: AsyncIterator[Any], count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        yield await anext(steps)
