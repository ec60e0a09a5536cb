"""Reads that many ask for at once: one for all who came before it began, and nothing of it for those who came after."""

import asyncio
import contextlib
import threading

import pytest
from sqlalchemy.orm import Session
from tiny_service import add_thing, find_names, open_things

from chassis.errors import ServiceUnavailable
from chassis.together import ReadsTogether


class Counting:
    """An operation that counts how often it ran."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, session: Session) -> list[str]:
        self.count += 1
        return list(find_names(session))


async def test_hundreds_who_ask_at_once_are_one_read(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(lambda session: add_thing(session, "a"))
        together, read, other = ReadsTogether(database), Counting(), Counting()
        found = await asyncio.gather(*(together.read("names", read) for _ in range(200)), together.read("other", other))
        assert found == [["a"]] * 201
        assert (read.count, other.count) == (1, 1)
        assert await together.read("names", read) == ["a"]
        assert read.count == 2, "what was read is not kept"


async def test_whoever_asks_while_it_is_read_sees_what_was_written_before_they_asked(tmp_path: object) -> None:
    """As after an erasure: nobody is shown what is gone because somebody else asked before it went."""
    begun, go_on = threading.Event(), threading.Event()

    def read_slowly(session: Session) -> list[str]:
        names = list(find_names(session))
        begun.set()
        go_on.wait(10)
        return names

    async with open_things(f"sqlite:///{tmp_path}/test.db") as database:
        together = ReadsTogether(database)
        early = asyncio.create_task(together.read("names", read_slowly))
        await asyncio.to_thread(begun.wait, 10)
        await database.write(lambda session: add_thing(session, "a"))
        late = [asyncio.create_task(together.read("names", Counting())) for _ in range(3)]
        await asyncio.sleep(0)
        go_on.set()
        assert await early == []
        assert await asyncio.gather(*late) == [["a"]] * 3


async def test_whoever_gives_up_leaves_it_to_the_others(database_url: str) -> None:
    async with open_things(database_url) as database:
        together, read = ReadsTogether(database), Counting()
        first, second = (asyncio.create_task(together.read("names", read)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == []
        with contextlib.suppress(asyncio.CancelledError):
            await first
        assert first.cancelled()
        assert read.count == 1


async def test_one_that_fails_fails_for_all_and_is_not_kept(database_url: str) -> None:
    def fail(_: Session) -> list[str]:
        raise KeyError("broken")

    async with open_things(database_url) as database:
        together = ReadsTogether(database)
        found = await asyncio.gather(*(together.read("names", fail) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [KeyError] * 3
        assert await together.read("names", Counting()) == []


async def test_a_database_that_is_closed_is_told_each_time(database_url: str) -> None:
    async with open_things(database_url) as database:
        together = ReadsTogether(database)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await together.read("names", Counting())
