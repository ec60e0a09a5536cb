"""Readers who pause: what was loaded for them before may be what they must not see any more, and is not kept for them either."""

import asyncio
import gc
import time
import weakref
from collections.abc import Mapping

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session
from tiny_service import Thing, log
from watched import Watched, find_all, names_of, read_until, watching

from chassis import tail, watch
from chassis.tail import Change, EndReason
from chassis.watch import Found, SnapshotEnd, Step

FRESH, PAUSE = 0.2, 0.5
NAMES = [f"{number:03}" for number in range(300)]


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tail, watch):
        monkeypatch.setattr(module, "FRESH_SECONDS", FRESH)


async def change_all(watched: Watched, note: str) -> None:
    def change(session: Session) -> None:
        session.execute(update(Thing).values(note=note))
        log.append(session, "ThingsChanged", NAMES[0], 1)

    await watched.database.write(change)


def notes_of(steps: list[tuple[str, Step[Thing]]]) -> list[str]:
    return [step.subject.note for _, step in steps if isinstance(step, Found | Change)]


async def test_whoever_pauses_in_the_snapshot_is_shown_what_the_rest_has_become(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add(*NAMES)
        steps = watched.follow()
        await anext(steps)
        await change_all(watched, "restricted")
        await watched.database.write(lambda session: session.execute(delete(Thing).where(Thing.name == NAMES[7])))
        await asyncio.sleep(PAUSE)
        rest = await read_until(steps, SnapshotEnd)
        assert names_of(rest) == [*NAMES[1:7], *NAMES[8:]]
        assert set(notes_of(rest)) == {"restricted"}


async def test_a_pause_is_noticed_whenever_it_begins(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add(*NAMES)
        steps = watched.follow()
        await anext(steps)
        # Whoever looks now and then what was taken last has just looked at the end of it.
        await asyncio.sleep(FRESH * 0.9)
        await anext(steps)
        await change_all(watched, "restricted")
        await asyncio.sleep(FRESH * 1.05)
        rest = await read_until(steps, SnapshotEnd)
        assert names_of(rest) == NAMES[2:]
        assert set(notes_of(rest)) == {"restricted"}


async def test_whoever_pauses_again_and_again_is_shown_each_once(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add(*NAMES)
        read = list[tuple[str, Step[Thing]]]()
        async for cursor, step in watched.follow():
            read.append((cursor, step))
            if isinstance(step, SnapshotEnd):
                break
            if len(read) % 100 == 1:
                await asyncio.sleep(PAUSE)
        assert names_of(read) == NAMES


async def test_nothing_is_kept_for_a_reader_who_pauses_in_the_snapshot(database_url: str) -> None:
    kept = list[weakref.ref[Thing]]()

    def find(session: Session) -> Mapping[str, Thing]:
        found = find_all(session)
        kept.extend(map(weakref.ref, found.values()))
        return found

    def count() -> int:
        gc.collect()
        return sum(each() is not None for each in kept)

    async with watching(database_url) as watched:
        await watched.add(*NAMES)
        steps = watched.watches.follow("things", "", find, lambda _: True)
        await anext(steps)
        assert count() > len(NAMES) / 2, "it proves nothing unless they were kept"
        await asyncio.sleep(PAUSE)
        assert count() <= 1
        assert names_of(await read_until(steps, SnapshotEnd)) == NAMES[1:]


async def test_a_token_that_expires_in_the_snapshot_ends_it(database_url: str) -> None:
    async with watching(database_url) as watched:
        await watched.add(*NAMES)
        steps = watched.follow(expire_time=time.time() + PAUSE)
        await anext(steps)
        await asyncio.sleep(PAUSE + 0.1)
        [(cursor, end)] = await read_until(steps, EndReason)
        assert end is EndReason.TOKEN_EXPIRED
        assert names_of(await read_until(watched.follow(cursor), SnapshotEnd)) == NAMES


@pytest.mark.parametrize("from_the_log", [False, True])
async def test_whoever_pauses_while_changes_wait_is_told_what_they_have_become(database_url: str, *, from_the_log: bool) -> None:
    async with watching(database_url) as watched:
        steps = watched.follow()
        [(cursor, _)] = await read_until(steps, SnapshotEnd)
        if from_the_log:
            await watched.add(*NAMES)
            steps = watched.follow(cursor)
            await anext(steps)
        else:
            reading = asyncio.create_task(read_until(steps, NAMES[0]))
            await asyncio.sleep(0.05)
            await watched.add(*NAMES[:100])
            await reading
        first = [] if from_the_log else NAMES[:1]
        # One more is taken before the pause, or it would not be one between two.
        first += names_of([await anext(steps)])
        await change_all(watched, "restricted")
        await asyncio.sleep(PAUSE)
        rest = await read_until(steps, NAMES[-1] if from_the_log else NAMES[99])
        assert first + names_of(rest) == (NAMES if from_the_log else NAMES[:100])
        assert set(notes_of(rest)) == {"restricted"}


async def test_whoever_pauses_while_it_joins_is_told_what_has_become_of_what_waits_for_it(database_url: str) -> None:
    async with watching(database_url) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        # As many as one reads from the log after it has joined; the others wait in its queue then.
        await watched.add(*NAMES[:100])
        steps = watched.follow(cursor)
        # A heartbeat is the first.
        first = names_of([await anext(steps), await anext(steps), await anext(steps)])
        await watched.add(*NAMES[100:200])
        await asyncio.sleep(0.1)
        await change_all(watched, "restricted")
        await asyncio.sleep(PAUSE)
        rest = await read_until(steps, NAMES[199])
        assert first + names_of(rest) == NAMES[:200]
        assert set(notes_of(rest)) == {"restricted"}


async def test_whoever_reads_while_it_joins_is_not_taken_for_one_who_does_not(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_PATIENCE_SECONDS", 0.3)
    async with watching(database_url) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        await watched.add(*NAMES[:20])
        steps = watched.follow(cursor)
        # A heartbeat is the first.
        read = [await anext(steps), await anext(steps)]
        # More than its queue takes.
        await watched.add(*(f"{name} too" for name in NAMES))
        while len(read) < 15:
            await asyncio.sleep(0.1)
            read.append(await anext(steps))
        read += await read_until(steps, f"{NAMES[-1]} too")
        assert names_of(read) == [*NAMES[:20], *(f"{name} too" for name in NAMES)]
