"""The tail where hundreds follow, or a busy process serves them slowly."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from watched import CountsReads, Steps, names_of, read_until, watching

from chassis import tail
from chassis.tail import Change, EndReason, Follower, Heartbeat, _Turns
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
    async def take(self) -> None:
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


def end_at_once(follower: Follower[Any], item: Change[Any] | Heartbeat) -> None:
    """Mutant of Follower.offer: whoever falls behind is ended."""
    if not follower.ended:
        try:
            follower.queue.put_nowait(item)
        except asyncio.QueueFull:
            follower.end(EndReason.SLOW_READER)


@pytest.mark.parametrize("offer", [Follower.offer, end_at_once])
async def test_a_busy_process_ends_nobody_who_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offer: Callable[[Follower[Any], Change[Any] | Heartbeat], None]
) -> None:
    """Those who are ended come back at once, and to have them all back costs more than to let them read on from the log."""
    monkeypatch.setattr(tail, "_LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(Follower, "offer", offer)
    names = [f"{number:03}" for number in range(800)]

    async def read_to_end(steps: Steps) -> list[str] | EndReason:
        """All names, or why it was ended; each step is some work, during which nobody else goes on."""
        read: list[str] = []
        async for _, step in steps:
            time.sleep(0.0001)  # the work
            if isinstance(step, EndReason):
                return step
            read += [step.event.resource] * isinstance(step, Change)
            if len(read) == len(names):
                break
        return read

    async with watching(f"sqlite:///{tmp_path / 'test.db'}") as watched:
        followers = [watched.follow() for _ in range(40)]
        for each in followers:
            await read_until(each, SnapshotEnd)
        reading = [asyncio.create_task(read_to_end(each)) for each in followers]
        await asyncio.sleep(0.05)
        await watched.add(*names)
        found = await asyncio.gather(*reading)
    if offer is end_at_once:
        assert found.count(EndReason.SLOW_READER) > 20
    else:
        assert found == [names] * len(followers)


async def test_whoever_falls_behind_goes_on_from_the_log(database_url: str) -> None:
    names = [f"{number:03}" for number in range(600)]
    async with watching(database_url) as watched:
        behind, there = watched.follow("now"), watched.follow("now")
        for each in (behind, there):
            await read_until(each, Heartbeat)
        joining = [asyncio.create_task(read_until(each, "joined")) for each in (behind, there)]
        await watched.add("joined")
        await asyncio.gather(*joining)
        reading = asyncio.create_task(read_until(there, names[-1]))
        for name in names:
            await watched.add(name)
        await reading
        [follower] = [each for each in watched.tail._followers if each.patience]
        assert follower.queue.empty(), "nothing is kept for it"
        read = await read_until(behind, names[-1])
        assert names_of(read) == names
        assert not follower.patience
        following = asyncio.create_task(read_until(behind, "last"))
        await watched.add("last")
        assert names_of(await following) == ["last"]


async def test_what_many_have_missed_is_read_for_them_together(database_url: str) -> None:
    counting, readers, events = CountsReads(), 50, 1000
    async with watching(database_url, own_log=counting) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        await watched.add(*(f"{number:03}" for number in range(events)))
        found = await asyncio.gather(*(read_until(watched.follow(cursor), f"{events - 1:03}") for _ in range(readers)))
    assert [len(names_of(each)) for each in found] == [events] * readers
    # As much as is read at once is 128.
    assert counting.reads < readers * events / 128 / 2


async def test_whoever_is_still_far_behind_is_ended_as_all_others_are(database_url: str) -> None:
    async with watching(database_url) as watched:
        [(cursor, _)] = await read_until(watched.follow(), SnapshotEnd)
        await watched.add(*(f"{number:03}" for number in range(1000)))
        steps = watched.follow(cursor)
        read = await read_until(steps, "100")
        watched.tail.stop()
        assert await read_until(steps, EndReason) == [(read[-1][0], EndReason.SERVICE_STOPPING)]
