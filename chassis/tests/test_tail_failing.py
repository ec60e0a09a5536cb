"""A tail that something in the log fails: nobody's watch stands still and seems to be alive."""

import asyncio

from sqlalchemy.orm import Session
from tiny_service import Thing, load_things
from watched import read_until, watching

from chassis.tail import EndReason
from chassis.watch import SnapshotEnd


async def test_a_tail_that_fails_ends_its_watches_and_serves_those_that_come_back(database_url: str) -> None:
    def load(session: Session, names: set[str]) -> dict[str, Thing]:
        if "broken" in names:
            raise KeyError(names)
        return load_things(session, names)

    async with watching(database_url, load=load) as watched:
        steps = watched.follow()
        await read_until(steps, SnapshotEnd)
        following = asyncio.create_task(read_until(steps, "first"))
        await asyncio.sleep(0)
        await watched.add("first")
        await following
        await watched.add("broken")
        assert (await read_until(steps, EndReason))[-1][1] is EndReason.SERVICE_STOPPING
        await asyncio.wait([watched.running])
        assert isinstance(watched.running.exception(), ExceptionGroup)
        # As the server begins it again.
        running = asyncio.create_task(watched.tail.run())
        steps = watched.follow()
        await read_until(steps, SnapshotEnd)
        following = asyncio.create_task(read_until(steps, "last"))
        await watched.add("last")
        await following
        running.cancel()
        await asyncio.wait([running])
