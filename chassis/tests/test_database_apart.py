"""What runs apart: as whole as any other operation, and nobody waits for it."""

import asyncio
import time

import pytest
from sqlalchemy.orm import Session
from tiny_service import add_thing, find_names, open_things, read_log

from chassis.database import Database

SECONDS = 1.0


def work_long(session: Session) -> int:
    """As comparing many entries does, between one statement and the next."""
    add_thing(session, "one")
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        count += 1
    add_thing(session, "two")
    return count


def fail_late(session: Session) -> None:
    add_thing(session, "bad")
    raise KeyError


async def find_longest_pause(database: Database, *, apart: bool) -> float:
    """How long the loop stood still while a write went on."""
    writing = asyncio.create_task(database.write(work_long, seconds=30, apart=apart))
    longest, last = 0.0, time.monotonic()
    while not writing.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert await writing > 0
    return longest


async def test_a_long_operation_apart_keeps_nobody_waiting_and_is_whole(database_url: str) -> None:
    rung: list[bool] = []
    async with open_things(database_url, committed=lambda: rung.append(True)) as database:
        rung.clear()
        assert await find_longest_pause(database, apart=True) < SECONDS / 2
        assert await database.read(find_names, apart=True) == ["one", "two"]
        assert await database.read(read_log) == ["one", "two"]
        assert rung == [True]
        with pytest.raises(KeyError):
            await database.write(fail_late, apart=True)
        assert await database.read(find_names) == ["one", "two"]


async def test_mutant_on_the_loop_everybody_would_wait(postgres_url: str) -> None:
    async with open_things(postgres_url) as database:
        assert await find_longest_pause(database, apart=False) > SECONDS / 2
