"""The tail where hundreds follow, or a busy process serves them slowly."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tiny_service import Thing
from watched import CountsReads, Steps, names_of, read_until, watching

from chassis import tail
from chassis.tail import Change, EndReason, Follower, Heartbeat, Tail, _Turns
from chassis.watch import SnapshotEnd


async def test_a_burst_does_not_end_those_whom_a_busy_process_serves_slowly(database_url: str) -> None:
    async def read_slowly(steps: AsyncIterator[Any]) -> int:
        count = 0
        async for _, step in steps:
            if isinstance(step, EndReason):
                break
            count += isinstance(step, Change)
            if count == 800:
                break
            await asyncio.sleep(0.002)
        return count

    async with watching(database_url) as watched:
        followers = [watched.follow() for _ in range(5)]
        for each in followers:
            await read_until(each, SnapshotEnd)
        reading = [asyncio.create_task(read_slowly(each)) for each in followers]
        await asyncio.sleep(0.05)
        await watched.add(*(f"{number:03}" for number in range(800)))
        assert await asyncio.gather(*reading) == [800] * 5


class _AllAtOnce(_Turns):
    async def take(self, reader: object) -> None:
        """Whoever has something to read goes on."""


@pytest.mark.parametrize("all_at_once", [False, True])
async def test_of_hundreds_who_read_few_go_on_in_each_round_of_the_loop(tmp_path: Path, *, all_at_once: bool) -> None:
    began, read, most = 0, 0, 0
    async with watching(f"sqlite:///{tmp_path / 'test.db'}") as watched:
        if all_at_once:
            watched.tail._turns = _AllAtOnce()

        async def follow() -> None:
            nonlocal began, read
            async with aclosing(watched.follow()) as steps:
                async for _, step in steps:
                    began += isinstance(step, SnapshotEnd)
                    read += isinstance(step, Change)
                    await asyncio.sleep(0)

        following = [asyncio.create_task(follow()) for _ in range(300)]
        while began < len(following):
            await asyncio.sleep(0.01)
        for number in range(5):
            await watched.add(str(number))
        while read < 300 * 5:
            before = read
            await asyncio.sleep(0)
            most = max(most, read - before)
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    assert (most > 100) is all_at_once, most


async def read_to_end(steps: Steps, last: str, work_seconds: float = 0.0) -> EndReason | None:
    """Until it is ended, or has been told of the thing `last`; each step is some work, during which nobody else goes on."""
    async for _, step in steps:
        time.sleep(work_seconds)  # the work
        if isinstance(step, EndReason):
            return step
        if isinstance(step, Change) and step.event.resource == last:
            break
    return None


class _NeverWaitedFor(_Turns):
    """Mutant: nobody sees that readers wait for this process."""

    def has_to_wait(self, reader: object) -> bool:
        return False


class _AnyoneWaits(_Turns):
    """Mutant: that others wait excuses whoever does not read."""

    def has_to_wait(self, reader: object) -> bool:
        return bool(self._waiting)


@pytest.mark.parametrize("turns", [_Turns, _NeverWaitedFor])
async def test_however_long_a_busy_process_takes_it_ends_nobody_who_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: type[_Turns]
) -> None:
    """Those who are ended come back at once, and to have them all back costs more than to let them read."""
    monkeypatch.setattr(tail, "_LONGEST_SECONDS", 0.0)

    async with watching(f"sqlite:///{tmp_path / 'test.db'}") as watched:
        watched.tail._turns = turns()
        followers = [watched.follow() for _ in range(40)]
        for each in followers:
            await read_until(each, SnapshotEnd)
        reading = [asyncio.create_task(read_to_end(each, "799", 0.0001)) for each in followers]
        await asyncio.sleep(0.05)
        await watched.add(*(f"{number:03}" for number in range(800)))
        ended = (await asyncio.gather(*reading)).count(EndReason.SLOW_READER)
    assert (ended > 20) is (turns is _NeverWaitedFor), ended


class _JoinsAtOnce(Tail[Thing]):
    """Mutant: whoever is far behind has a queue from the beginning."""

    async def _approach(self, follower: Follower[Thing]) -> AsyncIterator[Change[Thing]]:
        for change in ():
            yield change


@pytest.mark.parametrize("kind", [Tail, _JoinsAtOnce])
async def test_whoever_comes_back_far_behind_is_not_ended_by_what_is_written_meanwhile(tmp_path: Path, kind: type[Tail[Thing]]) -> None:
    async with watching(f"sqlite:///{tmp_path / 'test.db'}", kind) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        missed, more = ([f"{word} {number:03}" for number in range(600)] for word in ("missed", "more"))
        await watched.add(*missed)
        steps, there = watched.follow(cursor), watched.follow("now")
        read = await read_until(steps, missed[0])
        await read_until(there, Heartbeat)
        reading = asyncio.create_task(read_until(there, more[-1]))
        for name in more:
            await watched.add(name)
        await reading
        read += await read_until(steps, EndReason if kind is _JoinsAtOnce else more[-1])
    assert names_of(read) == missed[: len(read) - 2] if kind is _JoinsAtOnce else missed + more


async def test_what_many_have_missed_is_read_for_them_together(database_url: str) -> None:
    counting, readers, events = CountsReads(), 50, 1000
    async with watching(database_url, own_log=counting) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        await watched.add(*(f"{number:03}" for number in range(events)))
        found = await asyncio.gather(*(read_until(watched.follow(cursor), f"{events - 1:03}") for _ in range(readers)))
    assert [len(names_of(each)) for each in found] == [events] * readers
    # As much as is read at once is 128.
    assert counting.reads < readers * events / 128 / 2


@pytest.mark.parametrize("turns", [_Turns, _AnyoneWaits])
async def test_while_others_wait_for_their_turn_one_who_reads_nothing_holds_nobody_up(tmp_path: Path, turns: type[_Turns]) -> None:
    async def go_on() -> None:
        reader = object()
        while True:
            await watched.tail._turns.take(reader)

    async with watching(f"sqlite:///{tmp_path / 'test.db'}") as watched:
        watched.tail._turns = turns()
        stalled, there = watched.follow("now"), watched.follow("now")
        for each in (stalled, there):
            await read_until(each, Heartbeat)
        joining = [asyncio.create_task(read_until(each, "joined")) for each in (stalled, there)]
        await asyncio.sleep(0.05)
        await watched.add("joined")
        await asyncio.gather(*joining)
        await watched.add(*(f"{number:03}" for number in range(200)))
        await read_until(there, "199")
        busy = [asyncio.create_task(go_on()) for _ in range(40)]
        telling = asyncio.create_task(watched.tail._let_read())
        await asyncio.wait([telling], timeout=3)
        assert telling.done() is (turns is _Turns)
        for each in (telling, *busy):
            each.cancel()
        await asyncio.gather(telling, *busy, return_exceptions=True)
