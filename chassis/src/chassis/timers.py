"""What is due at a time: rows, written in the transaction of the change, so that a restart forgets none."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from opentelemetry import metrics
from sqlalchemy import Column, MetaData, String, Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import UtcTime, now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.statements import Prepared

_POLL_SECONDS = 0.25
# How many are fired at a time, each in a transaction of its own. More would keep whoever calls for help waiting.
_AT_ONCE = 16
# One that fails is tried again, and until then it is in nobody's way.
_RETRY = timedelta(seconds=30)
_log = logging.getLogger(__name__)
_late_seconds = metrics.get_meter("chassis").create_histogram(
    "siaga.timer.lateness", "s", "How late timers fired, by kind", explicit_bucket_boundaries_advisory=telemetry.LONG_BUCKETS
)


class Timer(NamedTuple):
    """`resource` and `subject` say what it is about; there is one of each kind for each of them."""

    kind: str
    resource: str
    subject: str
    due_time: datetime


class ResourceBusy(Exception):
    """Somebody else has locked it: another replica, which fires, or a change, which replaces its timers."""


# Keeps everybody else from changing a resource, and waits for nobody: False where there is none of the name. Raises ResourceBusy.
Lock: TypeAlias = Callable[[Session, str], bool]
# Does what is due; what it returns is called once that is on disk.
Fire: TypeAlias = Callable[[Session, Timer], Callable[[], None] | None]


class Timers:
    """`metadata` is the service's; `table`, named `timers`, holds what has not fired yet."""

    def __init__(self, metadata: MetaData) -> None:
        table = self.table = Table(
            "timers",
            metadata,
            Column("resource", String, primary_key=True),
            Column("kind", String, primary_key=True),
            Column("subject", String, primary_key=True),
            Column("due_time", UtcTime, nullable=False, index=True),
        )
        columns = [table.c[name] for name in Timer._fields]
        same = [column == bindparam(name) for name, column in zip(Timer._fields, columns, strict=True)]
        self._add = Prepared(insert(table), Timer._fields)
        self._take = Prepared(delete(table).where(*same))
        self._postpone = Prepared(update(table).where(*same).values(due_time=bindparam("later")))
        self._clear = Prepared(delete(table).where(table.c.resource == bindparam("resource")))
        self._due = select(*columns).where(table.c.due_time <= bindparam("now")).order_by(table.c.due_time).limit(_AT_ONCE)

    def replace(self, session: Session, resource: str, timers: Sequence[Timer]) -> None:
        """In the place of all that the resource has, which is locked."""
        connection = session.connection()
        self._clear.execute(connection, {"resource": resource})
        if timers:
            self._add.execute_many(connection, [timer._asdict() for timer in timers])

    def cancel(self, session: Session, resources: Collection[str]) -> None:
        """All that these resources have, which are locked."""
        session.execute(delete(self.table).where(self.table.c.resource.in_(resources)))

    async def run(self, database: Database, lock: Lock, fire: Fire) -> None:
        """Until cancelled. In one transaction each: a timer's resource is locked, the timer goes, and what is due is done.

        Whatever replaces timers locks their resource first, too: so of several replicas one fires, and what was cancelled or
        moved meanwhile does not.
        """
        while True:
            try:
                while any(await self._fire_due(database, lock, fire)):
                    pass
            except ServiceUnavailable:
                pass
            await asyncio.sleep(_POLL_SECONDS)

    async def _fire_due(self, database: Database, lock: Lock, fire: Fire) -> Sequence[bool]:
        """Of the first of those that are due, whether each was taken out of the way."""
        due = await database.read(self._find_due)
        return await asyncio.gather(*(self._attempt(database, lock, fire, timer) for timer in due))

    async def _attempt(self, database: Database, lock: Lock, fire: Fire, timer: Timer) -> bool:
        def act(session: Session) -> tuple[bool, Callable[[], None] | None]:
            there = lock(session, timer.resource)
            taken = self._take.execute(session.connection(), timer._asdict()) == 1
            return taken, fire(session, timer) if there and taken else None

        try:
            with telemetry.work_span(f"timer {timer.kind}"):
                taken, follow = await database.write(act)
        except (ResourceBusy, ServiceUnavailable):
            return False
        except Exception as error:  # noqa: BLE001  # one that cannot be fired must not end the others
            _log.error("a timer %s of %s failed: %s", timer.kind, timer.resource, telemetry.describe(error))  # without the error's text
            later = {**timer._asdict(), "later": now() + _RETRY}
            await database.write(lambda session: self._postpone.execute(session.connection(), later))
            return True
        if taken:
            _late_seconds.record((now() - timer.due_time).total_seconds(), {"kind": timer.kind})
        if follow:
            follow()
        return taken

    def _find_due(self, session: Session) -> Sequence[Timer]:
        return [Timer._make(row) for row in session.execute(self._due, {"now": now()})]
