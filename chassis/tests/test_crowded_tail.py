"""The tail where hundreds follow, or a busy process serves them slowly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from watched import read_until, watching

from chassis.tail import Change, EndReason
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


class _AllAtOnce:
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
