"""Things that ring when their timers run out, and what of it can be seen from outside."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from tiny_service import Model, Thing, add_thing, lock_things, log, timers

from chassis.clock import now
from chassis.database import Database
from chassis.timers import Timer, Timers

SECONDS = 15.0
_TIMERS = Model.metadata.tables["timers"]


def ring(session: Session, timer: Timer, _: Thing) -> None:
    """The effect that everybody can see."""
    session.execute(update(Thing).where(Thing.name == timer.resource).values(note=Thing.note + "!"))
    log.append(session, "ThingRang", timer.resource, 1)


async def set_timers(database: Database, names: Sequence[str], due_time: datetime, *, things: bool = True) -> None:
    def write(session: Session) -> None:
        for name in names:
            if things:
                add_thing(session, name)
            timers.replace(session, name, [Timer("ring", name, "", due_time)])

    await database.write(write)


def find_rung(session: Session) -> list[str]:
    """By the log, and everything that is told there stands in its thing, too."""
    rung = [event.resource for event in log.after(session, 0, 100_000) if event.type == "ThingRang"]
    marks = session.execute(select(Thing.name, Thing.note)).all()
    assert sorted(rung) == sorted(name for name, note in marks for _ in note)
    return rung


def find_waiting(session: Session) -> dict[str, datetime]:
    """When each thing's timer is due."""
    return dict(session.execute(select(_TIMERS.c.resource, _TIMERS.c.due_time)).all())


@asynccontextmanager
async def running(database: Any, own: Timers = timers, fire: Any = ring) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(own.run(database, lock_things, fire))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        # It ends by nothing else.
        assert task.cancelled(), task.exception()


async def until_rung(database: Database, count: int) -> list[str]:
    """Returns what has rung when that many have, and nothing that is due is left."""
    async with asyncio.timeout(SECONDS):
        while True:
            rung, waiting = await database.read(find_rung), await database.read(find_waiting)
            if len(rung) >= count and all(due_time > now() for due_time in waiting.values()):
                return rung
            await asyncio.sleep(0.02)


async def until_only(database: Database, names: Sequence[str], seconds: float = SECONDS) -> None:
    """Returns when these have rung, once each, and nothing else."""
    async with asyncio.timeout(seconds):
        while sorted(await database.read(find_rung)) != names:
            await asyncio.sleep(0.02)


def name_things(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]
