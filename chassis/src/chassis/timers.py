"""What is due at a time: rows, written in the transaction of the change, so that a restart forgets none."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from opentelemetry import metrics
from sqlalchemy import Column, ColumnElement, MetaData, String, Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import UtcTime, now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.statements import Prepared

S = TypeVar("S")
_POLL_SECONDS = 0.25
# How many are fired at a time; each in a transaction of its own, so that one that fails keeps no other one back.
_AT_ONCE = 32
# One that fails is tried again, and until then it is in nobody's way.
_RETRY = timedelta(seconds=30)
_log = logging.getLogger(__name__)
_late_seconds = metrics.get_meter("chassis").create_histogram("siaga.timer.lateness", "s", "How late timers fired, by kind")


class Timer(NamedTuple):
    """`resource` and `subject` say what it is about; there is one of each kind for each of them."""

    kind: str
    resource: str
    subject: str
    due_time: datetime


class Timers:
    """`metadata` is the service's; its table `timers` holds what has not fired yet."""

    def __init__(self, metadata: MetaData) -> None:
        table = self._table = Table(
            "timers",
            metadata,
            Column("resource", String, primary_key=True),
            Column("kind", String, primary_key=True),
            Column("subject", String, primary_key=True),
            Column("due_time", UtcTime, nullable=False, index=True),
        )
        self._add = Prepared(insert(table), Timer._fields)
        self._due = (
            select(*(table.c[name] for name in Timer._fields))
            .where(table.c.due_time <= bindparam("now"))
            .order_by(table.c.due_time)
            .limit(_AT_ONCE)
        )

    def add(self, session: Session, timer: Timer) -> None:
        """A first one: on the driver's cursor, for hot paths."""
        self._add.execute(session.connection(), timer._asdict())

    def replace(self, session: Session, resource: str, timers: Sequence[Timer]) -> None:
        """In the place of all that the resource has."""
        session.execute(delete(self._table).where(self._table.c.resource == resource))
        if timers:
            self._add.execute_many(session.connection(), [timer._asdict() for timer in timers])

    def cancel(self, session: Session, resources: Collection[str]) -> None:
        """All that these resources have."""
        session.execute(delete(self._table).where(self._table.c.resource.in_(resources)))

    async def run(self, database: Database, lock: Callable[[Session, str], S | None], fire: Callable[[Session, Timer, S], None]) -> None:
        """Until cancelled. In one transaction each: `lock` brings a timer's resource and keeps everybody else from changing it,
        the timer goes, and `fire` does what is due. Whatever replaces timers locks their resource first, too: so no
        two wait for each other, and of several replicas one fires.
        """
        while True:
            try:
                while due := await database.read(self._find_due):
                    await asyncio.gather(*(self._attempt(database, lock, fire, timer) for timer in due))
            except ServiceUnavailable:
                pass
            await asyncio.sleep(_POLL_SECONDS)

    async def _attempt(
        self, database: Database, lock: Callable[[Session, str], S | None], fire: Callable[[Session, Timer, S], None], timer: Timer
    ) -> None:
        def act(session: Session) -> bool:
            subject = lock(session, timer.resource)
            # Not one that was cancelled, moved or fired meanwhile.
            taken = session.execute(delete(self._table).where(*self._is(timer))).rowcount == 1  # pyright: ignore[reportAttributeAccessIssue]  # a CursorResult
            if taken and subject is not None:
                fire(session, timer, subject)
            return taken

        try:
            if await database.write(act):
                _late_seconds.record((now() - timer.due_time).total_seconds(), {"kind": timer.kind})
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # one that cannot be fired must not end the others
            _log.error("a timer %s of %s failed: %s", timer.kind, timer.resource, telemetry.describe(error))  # without the error's text
            await database.write(lambda session: self._postpone(session, timer))

    def _find_due(self, session: Session) -> Sequence[Timer]:
        return [Timer._make(row) for row in session.execute(self._due, {"now": now()})]

    def _postpone(self, session: Session, timer: Timer) -> None:
        session.execute(update(self._table).where(*self._is(timer)).values(due_time=now() + _RETRY))

    def _is(self, timer: Timer) -> Sequence[ColumnElement[bool]]:
        return [self._table.c[name] == value for name, value in timer._asdict().items()]
