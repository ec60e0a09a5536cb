"""What the tests of tail and watch share: things with a tail that runs, and readers of their watches."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy import MetaData, select
from sqlalchemy.orm import Session
from tiny_service import Thing, add_thing, load_things, log, open_things

from chassis.bell import Bell
from chassis.database import Database
from chassis.events import Event, EventLog
from chassis.tail import Change, Tail
from chassis.testing import free_port
from chassis.watch import Found, Step, Watches

Steps = AsyncIterator[tuple[str, Step[Thing]]]


class Watched(NamedTuple):
    database: Database
    tail: Tail[Thing]
    watches: Watches[Thing]
    running: "asyncio.Task[None]"

    async def add(self, *names: str) -> None:
        """In one transaction."""
        await self.database.write(lambda session: [add_thing(session, name) for name in names])

    def follow(
        self, cursor: str = "", wants: Callable[[Change[Thing]], bool] = lambda _: True, expire_time: float = 0.0, question: str = "things"
    ) -> Steps:
        return self.watches.follow(question, cursor, find_all, wants, expire_time)


class CountsReads(EventLog):
    """The log, with how often it was read."""

    def __init__(self) -> None:
        super().__init__(MetaData())
        self.reads = 0

    def after(self, session: Session, position: int, limit: int) -> list[Event]:
        self.reads += 1
        return list(super().after(session, position, limit))


def find_all(session: Session) -> Mapping[str, Thing]:
    return {each.name: each for each in session.scalars(select(Thing).order_by(Thing.name))}


def seal(content: bytes, place: str) -> bytes:
    """Only so that a test can read it."""
    return hashlib.blake2b(place.encode() + content, digest_size=8).digest() + content


def unseal(sealed: bytes, place: str) -> bytes:
    if sealed != seal(sealed[8:], place):
        raise ValueError(place)
    return sealed[8:]


def write_cursor(position: int, question: str = "things") -> str:
    return base64.urlsafe_b64encode(seal(position.to_bytes(8, signed=True), f"cursor\0{question}")).decode().rstrip("=")


@asynccontextmanager
async def watching(
    url: str,
    kind: type[Tail[Thing]] = Tail,
    own_log: EventLog = log,
    load: Callable[[Session, set[str]], Mapping[str, object]] = load_things,
    through: Callable[[Database], Any] = lambda database: database,
) -> AsyncIterator[Watched]:
    """`through` is what the watches and their tail read the database through."""
    bell = Bell("tests", f"redis://127.0.0.1:{free_port()}")
    async with open_things(url, committed=bell.ring) as database:
        seen = through(database)
        tail = kind(seen, own_log, bell, load)
        running = asyncio.create_task(tail.run())
        yield Watched(database, tail, Watches(seen, own_log, tail, Thing, seal, unseal), running)
        running.cancel()
        await asyncio.wait([running])


async def read_until(steps: Steps, last: str | type[object], seconds: float = 20.0) -> list[tuple[str, Step[Thing]]]:
    """The steps up to the thing `last`, found or changed, or to the first step of that type; the watch stays open."""
    read: list[tuple[str, Step[Thing]]] = []
    async with asyncio.timeout(seconds):
        async for cursor, step in steps:
            read.append((cursor, step))
            if isinstance(step, last) if isinstance(last, type) else names_of(read[-1:]) == [last]:
                break
    return read


def names_of(steps: Sequence[tuple[str, Step[Thing]]]) -> list[str]:
    """What was found and what changed, in this order."""
    return [step.subject.name for _, step in steps if isinstance(step, Found | Change)]
