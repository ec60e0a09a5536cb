"""What is due at a time: rows, written in the transaction of the change, so that a restart forgets none."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from opentelemetry import metrics
from sqlalchemy import Column, MetaData, String, Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import UtcTime, now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.statements import Prepared

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_POLL_SECONDS = 0.25
# How many are fired in one transaction. More would keep whoever calls for help waiting.
_AT_ONCE = 16
# Where somebody else has locked the first of them, those behind these are found, and another replica fires other ones.
_LOOK_AT = 16 * _AT_ONCE
# One that is late by so much waits for its turn: of what is changed over and over, nobody who looks in passing finds it free.
_PATIENCE = timedelta(seconds=1)
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


class Lock(Protocol[T_co]):
    """Keeps everybody else from changing resources of these names. It waits for those who have locked one, or else leaves it out: that
    is another replica, which fires, or a change, which may replace its timers. None for a name of which there is none.
    """

    def __call__(self, session: Session, names: Collection[str], *, wait: bool) -> Mapping[str, T_co | None]: ...


# Does to the locked resource what is due; what it returns is called once that is on disk.
Fire: TypeAlias = Callable[[Session, Timer, T], Callable[[], None] | None]


class _Fired(NamedTuple):
    timer: Timer
    follow: Callable[[], None] | None


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
        due = select(*columns).where(table.c.due_time <= bindparam("now")).order_by(table.c.due_time)
        self._first, self._due, self._late = due.limit(1), due.limit(_LOOK_AT), due.limit(_AT_ONCE)

    def replace(self, session: Session, resource: str, timers: Sequence[Timer]) -> None:
        """In the place of all that the resource has, which is locked."""
        connection = session.connection()
        self._clear.execute(connection, {"resource": resource})
        if timers:
            self._add.execute_many(connection, [timer._asdict() for timer in timers])

    def cancel(self, session: Session, resources: Collection[str]) -> None:
        """All that these resources have, which are locked."""
        session.execute(delete(self.table).where(self.table.c.resource.in_(resources)))

    async def run(self, database: Database, lock: Lock[T], fire: Fire[T]) -> None:
        """Until cancelled. In one transaction: timers' resources are locked, the timers go, and what is due is done.

        Whatever replaces timers locks their resource first, too: so of several replicas one fires, and what was cancelled or
        moved meanwhile does not.
        """
        async with asyncio.TaskGroup() as group:
            waiting = None
            while True:
                try:
                    while (first := await database.read(self._find_first)) and await self._fire_due(database, lock, fire):
                        pass
                    if first and first.due_time < now() - _PATIENCE and (waiting is None or waiting.done()):
                        waiting = group.create_task(self._fire_late(database, lock, fire))
                except ServiceUnavailable:
                    pass
                await asyncio.sleep(_POLL_SECONDS)

    async def _fire_due(self, database: Database, lock: Lock[T], fire: Fire[T]) -> bool:
        """Whether some were taken out of the way: the first of those that are due and not locked, all at once, or each alone
        where one of them fails.
        """
        trying: Sequence[Timer] = ()

        def act(session: Session) -> Sequence[_Fired]:
            nonlocal trying
            due = self._find_due(session)
            for first in range(0, len(due), _AT_ONCE):
                trying = due[first : first + _AT_ONCE]
                if fired := self._take_and_fire(session, trying, lock, fire):
                    return fired
            return ()

        try:
            return await self._attempt(database, act)
        except ServiceUnavailable:
            raise
        except Exception:  # noqa: BLE001  # whichever it is, it shall fail alone
            return any([await self._fire_alone(database, lock, fire, timer) for timer in trying])

    async def _fire_late(self, database: Database, lock: Lock[T], fire: Fire[T]) -> None:
        """One after the other, beside those that are due and free: each waits for whoever has locked its resource."""
        with suppress(ServiceUnavailable):
            for timer in await database.read(self._find_late):
                with suppress(ServiceUnavailable):
                    await self._fire_alone(database, lock, fire, timer, wait=True)

    async def _fire_alone(self, database: Database, lock: Lock[T], fire: Fire[T], timer: Timer, *, wait: bool = False) -> bool:
        try:
            return await self._attempt(database, partial(self._take_and_fire, due=[timer], lock=lock, fire=fire, wait=wait))
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # one that cannot be fired must not end the others
            _log.error("a timer %s of %s failed: %s", timer.kind, timer.resource, telemetry.describe(error))  # without the error's text
            later = {**timer._asdict(), "later": now() + _RETRY}
            await database.write(lambda session: self._postpone.execute(session.connection(), later))
            return True

    async def _attempt(self, database: Database, operation: Callable[[Session], Sequence[_Fired]]) -> bool:
        fired = await database.write(operation)
        for timer, follow in fired:
            _late_seconds.record((now() - timer.due_time).total_seconds(), {"kind": timer.kind})
            if follow:
                follow()
        return bool(fired)

    def _take_and_fire(
        self, session: Session, due: Sequence[Timer], lock: Lock[T], fire: Fire[T], *, wait: bool = False
    ) -> Sequence[_Fired]:
        locked = lock(session, {timer.resource for timer in due}, wait=wait)
        fired: list[_Fired] = []
        for timer in due:
            # Another replica may have fired it meanwhile, or one before it has replaced it.
            if timer.resource in locked and self._take.execute(session.connection(), timer._asdict()) == 1:
                resource = locked[timer.resource]
                with telemetry.work_span(f"timer {timer.kind}"):
                    fired.append(_Fired(timer, None if resource is None else fire(session, timer, resource)))
        return fired

    def _find_first(self, session: Session) -> Timer | None:
        return next((Timer._make(row) for row in session.execute(self._first, {"now": now()})), None)

    def _find_due(self, session: Session) -> Sequence[Timer]:
        return [Timer._make(row) for row in session.execute(self._due, {"now": now()})]

    def _find_late(self, session: Session) -> Sequence[Timer]:
        return [Timer._make(row) for row in session.execute(self._late, {"now": now() - _PATIENCE})]
