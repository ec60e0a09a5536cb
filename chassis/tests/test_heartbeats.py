"""Heartbeats: they come while nothing happens, move the cursor, and cost nobody what happens beside them."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tiny_service import Thing, log
from watched import names_of, read_until, watching, write_cursor

from chassis import tail
from chassis.tail import Heartbeat, Tail


class BeatsAhead(Tail[Thing]):
    """Mutant: a heartbeat says that all was told that was read."""

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(tail.HEARTBEAT_SECONDS)
            for follower in self._followers:
                follower.offer(Heartbeat(self._position or 0))


async def follow_in_time_with_the_heartbeat(url: str, kind: type[Tail[Thing]]) -> None:
    """Raises AssertionError where a follower misses something that was told on both sides of one."""
    names = [f"{number:03}" for number in range(400)]
    async with watching(url, kind) as watched:
        followers = [watched.follow("now") for _ in range(3)]
        for each in followers:
            await read_until(each, Heartbeat)
        reading = [asyncio.create_task(read_until(each, "last")) for each in followers]
        await asyncio.sleep(0.05)
        await watched.add(*names)
        await asyncio.sleep(0.3)
        await watched.add("last")
        for each in reading:
            steps = await each
            assert names_of(steps) == [*names, "last"]
            assert any(isinstance(step, Heartbeat) for _, step in steps)


async def test_what_is_told_on_both_sides_of_a_heartbeat_is_told(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "HEARTBEAT_SECONDS", 0.001)
    await follow_in_time_with_the_heartbeat(database_url, Tail)


async def test_a_heartbeat_that_is_ahead_costs_what_is_told_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "HEARTBEAT_SECONDS", 0.001)
    with pytest.raises(AssertionError):
        await follow_in_time_with_the_heartbeat(f"sqlite:///{tmp_path / 'test.db'}", BeatsAhead)


def test_heartbeats_come_while_nothing_happens_and_move_the_cursor(
    run_fast: Callable[[Coroutine[Any, Any, None]], None], tmp_path: Path
) -> None:
    async def watch() -> None:
        loop = asyncio.get_running_loop()
        async with watching(f"sqlite:///{tmp_path / 'test.db'}") as watched:
            steps = watched.follow("now", wants=lambda _: False)
            await read_until(steps, Heartbeat)
            reading = asyncio.create_task(anext(steps))
            await watched.add("of no interest")
            newest = await watched.database.read(log.position)
            began = loop.time()
            cursor, step = await reading
            assert isinstance(step, Heartbeat)
            assert loop.time() - began < 17
            if cursor != write_cursor(newest):
                # The first one may have overtaken the tail.
                cursor, _ = await anext(steps)
            assert cursor == write_cursor(newest)
            began = loop.time()
            await anext(steps)
            assert 10 < loop.time() - began < 20

    run_fast(watch())
