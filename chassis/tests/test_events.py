"""The event log: ids in commit order, so that whoever reads by cursor misses nothing."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import MetaData, delete, text, update
from sqlalchemy.orm import Session
from tiny_service import NIGHTLY, Model, add_thing, log, open_things

from chassis import telemetry
from chassis.clock import now
from chassis.database import Database, open_database
from chassis.errors import CursorExpired
from chassis.events import REPLAY, Event, EventLog

HOLD = 4711
EVENTS = Model.metadata.tables["events"]


class WithoutOrder(EventLog):
    """Mutant: ids are given out in any order."""

    def before_commit(self, session: Session) -> None:
        if rows := session.info.pop("events", None):
            self._insert.execute(session.connection(), *rows)


unordered = WithoutOrder(MetaData())


async def follow_by_cursor(database: Database, seen: list[str], last: asyncio.Event, position: int = 0) -> int:
    """What a reader of the log does, until `last` is set and nothing more is there; its position then."""
    while True:
        final = last.is_set()
        events = await database.read(partial(log.after, position=position, limit=7))
        seen += [event.resource for event in events]
        position = events[-1].id if events else position
        if final and not events:
            return position
        await asyncio.sleep(0)


async def race_two_writes(url: str, ordered: EventLog) -> list[str]:
    """What a reader sees of two writes, the first of which has its log row and is held open before its COMMIT."""

    def before_commit(session: Session) -> None:
        held = session.info.pop("held", False)
        ordered.before_commit(session)
        if held:
            session.execute(text(f"SELECT pg_advisory_xact_lock({HOLD})"))

    def write_first(session: Session) -> None:
        session.info["held"] = True
        add_thing(session, "first")

    seen: list[str] = []
    holder = await asyncpg.connect(url.replace("+asyncpg", ""))
    async with open_things(url, before_commit) as database:
        await holder.execute(f"SELECT pg_advisory_lock({HOLD})")
        first = asyncio.create_task(database.write(write_first))
        await waiting_for_locks(holder, 1)
        second = asyncio.create_task(database.write(lambda session: add_thing(session, "second")))
        if ordered is log:
            await waiting_for_locks(holder, 2)
        else:
            await second
        done = asyncio.Event()
        done.set()
        position = await follow_by_cursor(database, seen, done)
        await holder.execute(f"SELECT pg_advisory_unlock({HOLD})")
        await asyncio.gather(first, second)
        await follow_by_cursor(database, seen, done, position)
    await holder.close()
    return seen


async def waiting_for_locks(connection: "asyncpg.Connection[Any]", count: int) -> None:
    question = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(5):
        while await connection.fetchval(question) < count:
            await asyncio.sleep(0.01)


async def test_ids_become_visible_in_their_order(postgres_url: str) -> None:
    assert await race_two_writes(postgres_url, log) == ["first", "second"]


async def test_without_the_ordering_lock_a_reader_skips(postgres_url: str) -> None:
    assert await race_two_writes(postgres_url, unordered) == ["second"]


async def test_readers_by_cursor_see_each_of_many_concurrent_writes_once(database_url: str) -> None:
    names = [f"{number:05}" for number in range(3000 if NIGHTLY else 600)]
    slots = asyncio.Semaphore(16)
    last = asyncio.Event()
    readers: list[list[str]] = [[] for _ in range(4)]

    async with open_things(database_url) as database:

        async def write(name: str) -> None:
            async with slots:
                await database.write(lambda session: add_thing(session, name))

        reading = [asyncio.create_task(follow_by_cursor(database, seen, last)) for seen in readers]
        await asyncio.gather(*map(write, names))
        last.set()
        await asyncio.gather(*reading)
    assert [sorted(seen) for seen in readers] == [names] * 4
    assert all(seen == readers[0] for seen in readers), "every reader sees the same order"


@asynccontextmanager
async def open_log(path: Path, own: EventLog, metadata: MetaData) -> Any:
    path.touch()
    async with open_database(f"sqlite:///{path}", own.before_commit, lambda: None) as database:
        await database.write(lambda session: metadata.create_all(session.connection()))
        yield database


@pytest.mark.parametrize(("autoincrement", "id_after"), [(True, 4), (False, 1)])
async def test_ids_of_removed_rows_never_come_back(tmp_path: Path, autoincrement: bool, id_after: int) -> None:  # noqa: FBT001
    """The second of the two is the mutant."""
    metadata = MetaData()
    own = EventLog(metadata)
    table = metadata.tables["events"]
    table.dialect_options["sqlite"]["autoincrement"] = autoincrement
    async with open_log(tmp_path / "test.db", own, metadata) as database:
        for _ in range(3):
            await database.write(lambda session: own.append(session, "ThingAdded", "things/1", 1))
        await database.write(lambda session: session.execute(delete(table)).close())
        await database.write(lambda session: own.append(session, "ThingAdded", "things/2", 1))
        assert await database.read(own.position) == id_after


async def test_an_event_comes_back_as_it_was_written(database_url: str) -> None:
    attributes = {"count": 3, "word": "Menteng — 🚨", "nested": {"list": [1, None, True]}}
    before = now()
    parent = f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-00"
    with telemetry.call_span("/tiny.Service/Write", {"traceparent": parent}):
        caused_by = telemetry.traceparent()
        async with open_things(database_url) as database:
            await database.write(lambda session: log.append(session, "ThingMoved", "things/1", 2, "users/1", **attributes))
            [event] = await database.read(lambda session: log.after(session, 0, 10))
    assert event == Event(event.id, "ThingMoved", "things/1", 2, "users/1", event.create_time, attributes, event.traceparent)
    assert before <= event.create_time <= now()
    assert event.create_time.utcoffset() == timedelta(0)
    assert event.traceparent == caused_by
    assert event.traceparent.split("-")[1] == parent.split("-")[1]


async def test_a_failed_write_logs_nothing_even_in_the_next_one(database_url: str) -> None:
    def fail(session: Session) -> None:
        log.append(session, "ThingAdded", "failed", 1)
        raise ValueError("failed")

    async with open_things(database_url) as database:
        with pytest.raises(ValueError, match="failed"):
            await database.write(fail)
        await database.write(lambda session: add_thing(session, "good"))
        events = await database.read(lambda session: log.after(session, 0, 10))
        assert [event.resource for event in events] == ["good"]


async def test_a_timeline_shows_one_resource_as_far_as_an_audience_reaches(database_url: str) -> None:
    def write(session: Session) -> None:
        for number, audience in enumerate([1, 4, 2, 1, 3]):
            log.append(session, f"Step{number}", "things/1", audience)
            log.append(session, "Other", "things/2", 1)

    def read(session: Session, audience: int, position: int = 0, limit: int = 10) -> Sequence[Event]:
        return log.timeline(session, "things/1", audience, position, limit)

    async with open_things(database_url) as database:
        await database.write(write)
        whole = await database.read(lambda session: read(session, 4))
        assert [event.type for event in whole] == ["Step0", "Step1", "Step2", "Step3", "Step4"]
        assert [event.type for event in await database.read(lambda session: read(session, 1))] == ["Step0", "Step3"]
        assert [event.type for event in await database.read(lambda session: read(session, 4, whole[1].id, 2))] == ["Step2", "Step3"]


async def test_a_reader_who_missed_more_than_a_week_is_told(database_url: str) -> None:
    async def requires(position: int) -> None:
        await database.read(lambda session: log.require_kept(session, position))

    async with open_things(database_url) as database:
        assert await database.read(log.position) == 0
        await requires(0)
        for name in ("old", "new"):
            await database.write(lambda session, name=name: add_thing(session, name))
        old, new = [event.id for event in await database.read(lambda session: log.after(session, 0, 10))]

        async def age(by: timedelta) -> None:
            question = update(EVENTS).where(EVENTS.c.id == old).values(create_time=now() - by)
            await database.write(lambda session: session.execute(question).close())

        await age(REPLAY - timedelta(minutes=1))
        await requires(0)
        await age(REPLAY + timedelta(minutes=1))
        with pytest.raises(CursorExpired):
            await requires(0)
        # Whoever has seen it may be as late as they like.
        await requires(old)
        await requires(new)
