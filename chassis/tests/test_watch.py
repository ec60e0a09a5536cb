"""The course of a watch: a snapshot, then changes, and at any cursor a place to go on from."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session
from tiny_service import Model, Thing, add_thing, load_things
from watched import find_all, names_of, read_until, watching, write_cursor

from chassis.clock import now
from chassis.errors import CursorExpired, InvalidCursor
from chassis.events import REPLAY
from chassis.opaque import wrap
from chassis.tail import Heartbeat
from chassis.watch import Found, SnapshotEnd

EVENTS = Model.metadata.tables["events"]


async def test_without_a_cursor_it_begins_with_what_is_there(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add("a", "b")
        steps = watched.follow()
        before = await read_until(steps, SnapshotEnd)
        assert [type(step) for _, step in before] == [Found, Found, SnapshotEnd]
        await watched.add("c")
        assert names_of(before + await read_until(steps, "c")) == ["a", "b", "c"]


async def test_now_begins_with_what_happens_from_now_on(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add("before")
        steps = watched.follow("now")
        [(cursor, first)] = await read_until(steps, Heartbeat)
        assert isinstance(first, Heartbeat), "the cursor is there before anything happens"
        await watched.add("after")
        assert names_of(await read_until(steps, "after")) == ["after"]
        assert names_of(await read_until(watched.follow(cursor), "after")) == ["after"]


async def test_from_every_cursor_exactly_the_rest_follows(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add("a")
        steps = watched.follow()
        read = await read_until(steps, SnapshotEnd)
        for name in "bcde":
            await watched.add(name)
        read += await read_until(steps, "e")
        changes = read[1:]
        for place, (cursor, _) in enumerate(changes[:-1]):
            resumed = await read_until(watched.follow(cursor), "e")
            assert names_of(resumed) == list("bcde")[place:]


async def test_a_cursor_from_within_the_snapshot_begins_it_again(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add("a", "b", "c")
        steps = watched.follow()
        cursor, _ = await anext(steps)
        await watched.add("d")
        assert names_of(await read_until(watched.follow(cursor), SnapshotEnd)) == ["a", "b", "c", "d"]


async def test_a_write_between_the_snapshots_statements_is_told_as_a_change(database_url: str) -> None:
    """Position and what is open come from one snapshot: what the one does not count the other does not show."""
    async with watching(database_url) as watched:
        wrote: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()

        def find_slowly(session: Session) -> Sequence[Thing]:
            # The position has been read by now. On PostgreSQL this runs on the loop, so that the write can only be begun.
            loop.call_soon_threadsafe(lambda: wrote.append(loop.create_task(watched.add("between"))))
            return find_all(session)

        steps = watched.watches.follow("things", "", find_slowly, lambda _: True)
        await read_until(steps, SnapshotEnd)
        assert names_of(await read_until(steps, "between")) == ["between"]
        await asyncio.gather(*wrote)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "NOW",
        "garbled!",
        "🚨",
        "A" * 200,
        write_cursor(1, "another question"),
        write_cursor(1)[:-1],
        write_cursor(1)[1:],
        wrap("things", "1"),
    ],
)
async def test_a_cursor_that_was_not_given_out_here_is_refused(database_url: str, cursor: str) -> None:
    async with watching(database_url) as watched:
        await watched.add("a")
        with pytest.raises(InvalidCursor) as refused:
            await anext(watched.follow(cursor))
        assert [field for field, _ in refused.value.fields] == ["cursor"]


async def test_a_cursor_older_than_the_replay_is_refused(database_url: str) -> None:
    async with watching(database_url) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        await watched.add("missed")
        long_ago = update(EVENTS).values(create_time=now() - REPLAY - timedelta(minutes=1))
        await watched.database.write(lambda session: session.execute(long_ago).close())
        with pytest.raises(CursorExpired):
            await anext(watched.follow(cursor))


async def test_a_cursor_from_before_a_backup_was_restored_is_refused(database_url: str) -> None:
    """It is ahead of the log: whatever happens up to there would be taken for known."""
    async with watching(database_url) as watched:
        steps = watched.follow()
        await watched.add("a", "b", "c")
        cursor = (await read_until(watched.follow(), SnapshotEnd))[-1][0]
        lost = delete(EVENTS).where(EVENTS.c.id > 1)
        await watched.database.write(lambda session: session.execute(lost).close())
        with pytest.raises(CursorExpired):
            await anext(watched.follow(cursor))
        await watched.database.write(lambda session: add_thing(session, "d"))
        assert "d" in names_of(await read_until(steps, SnapshotEnd))


class Note:
    """Another kind of what a log's events are about."""


async def test_a_watch_shows_its_own_kind_of_what_the_tail_loads(database_url: str) -> None:
    def load(session: Session, names: set[str]) -> dict[str, Thing | Note]:
        return {name: Note() if name.startswith("note") else thing for name, thing in load_things(session, names).items()}

    async with watching(database_url, load=load) as watched:
        # `wants` is never asked of another kind, whose attributes it does not know.
        steps = watched.follow("now", wants=lambda change: bool(change.subject.name))
        await read_until(steps, Heartbeat)
        await watched.add("note 1", "a", "note 2", "b")
        assert names_of(await read_until(steps, "b")) == ["a", "b"]
