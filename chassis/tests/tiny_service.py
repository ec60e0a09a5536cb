"""A service as small as can be, on which the chassis is tested: things with a name, their event log, request keys and timers."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import ForeignKey, MetaData, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from chassis.database import Database, open_database
from chassis.events import EventLog
from chassis.idempotency import RequestKeys
from chassis.timers import Timers

# The long versions of the tests that find more the longer they run.
NIGHTLY = os.environ.get("SIAGA_NIGHTLY") == "1"
SECRET = secrets.token_bytes(32)


class Model(DeclarativeBase):
    metadata = MetaData()


log = EventLog(Model.metadata)
keys = RequestKeys(Model.metadata)
timers = Timers(Model.metadata)


class Thing(Model):
    """`parent` is checked at COMMIT alone: what a careless schema does to the group around it."""

    __tablename__ = "things"

    name: Mapped[str] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(default="")
    parent: Mapped[str | None] = mapped_column(ForeignKey("things.name", deferrable=True, initially="DEFERRED"))


def add_thing(session: Session, name: str, note: str = "") -> str:
    session.execute(insert(Thing).values(name=name, note=note))
    log.append(session, "ThingAdded", name, audience=1)
    return name


def find_names(session: Session) -> Sequence[str]:
    return session.scalars(select(Thing.name).order_by(Thing.name)).all()


def load_things(session: Session, names: Iterable[str]) -> dict[str, Thing]:
    """For a tail."""
    return {thing.name: thing for thing in session.scalars(select(Thing).where(Thing.name.in_(names)))}


def lock_things(session: Session, names: Iterable[str], *, wait: bool) -> dict[str, Thing | None]:
    """For timers."""
    free = select(Thing).where(Thing.name.in_(names)).with_for_update(skip_locked=not wait)
    locked = {thing.name: thing for thing in session.scalars(free)}
    left = set(names) - locked.keys()
    return {**locked, **dict.fromkeys(left - load_things(session, left).keys())}


def read_log(session: Session) -> list[str]:
    """Whose events there are, in the order of the log."""
    return [event.resource for event in log.after(session, 0, 100_000)]


@asynccontextmanager
async def open_things(
    url: str, before_commit: Callable[[Session], None] = log.before_commit, committed: Callable[[], None] = lambda: None
) -> AsyncIterator[Database]:
    if url.startswith("sqlite"):
        # As the migrations do: a service opens a file that is there.
        Path(url.removeprefix("sqlite:///")).touch()
    async with open_database(url, before_commit, committed) as database, having_tables(database):
        yield database


@asynccontextmanager
async def having_tables(database: Database) -> AsyncIterator[Database]:
    """For a database that a test makes itself, such as a mutant; it is closed at the end."""
    try:
        await database.write(lambda session: Model.metadata.create_all(session.connection()))
        yield database
    finally:
        await database.close()
