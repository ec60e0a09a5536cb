"""The event log: rows written in the transaction of the change, ids in commit order, read by cursor."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import UtcTime, now
from chassis.errors import CursorExpired
from chassis.statements import Prepared

# How far back a reader may resume.
REPLAY = timedelta(days=7)
# The lock's number has no meaning but to be the same in every replica.
_LOCK = Prepared(select(func.pg_advisory_xact_lock(text("358444844865"))))
_PENDING = "events"


class Event(NamedTuple):
    """A row of the log. `audience` is the service's own number for who may see it; `attributes` hold nothing personal."""

    id: int
    type: str
    resource: str
    audience: int
    actor: str
    create_time: datetime
    attributes: dict[str, Any]
    traceparent: str


class EventLog:
    """`metadata` is the service's; its table `events` holds the log."""

    def __init__(self, metadata: MetaData) -> None:
        table = self._table = Table(
            "events",
            metadata,
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
            Column("type", String, nullable=False),
            Column("resource", String, nullable=False),
            Column("audience", SmallInteger, nullable=False),
            Column("actor", String, nullable=False),
            Column("create_time", UtcTime, nullable=False),
            Column("attributes", JSON, nullable=False),
            Column("traceparent", String, nullable=False),
            Index("ix_events_resource", "resource", "id"),
            # Without it SQLite gives the ids of removed rows out again, below the cursors of the readers.
            sqlite_autoincrement=True,
        )
        columns = [table.c[name] for name in Event._fields]
        self._insert = Prepared(insert(table), Event._fields[1:])
        self._after = select(*columns).where(table.c.id > bindparam("position")).order_by(table.c.id).limit(bindparam("limit"))
        self._position = select(func.coalesce(func.max(table.c.id), 0))
        self._timeline = self._after.where(table.c.resource == bindparam("resource"), table.c.audience <= bindparam("audience"))
        self._timeline = self._timeline.offset(bindparam("skip"))

    def append(
        self,
        session: Session,
        type: str,  # noqa: A002
        resource: str,
        audience: int,
        actor: str = "",
        time: datetime | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> None:
        """Writes the row as the last statement before COMMIT, however early this is called. `time` is when it happened, where the
        resource itself counts from a time.
        """
        row = Event(0, type, resource, audience, actor, time or now(), attributes, telemetry.traceparent())
        session.info.setdefault(_PENDING, []).append(row._asdict())

    def has_pending(self, session: Session, resource: str, actor: str) -> bool:
        """Whether this transaction has something to tell of what the actor did to the resource."""
        return any((row["resource"], row["actor"]) == (resource, actor) for row in session.info.get(_PENDING, ()))

    def before_commit(self, session: Session) -> None:
        rows = session.info.pop(_PENDING, None)
        if rows:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                # Held until COMMIT is visible: ids become visible in their order, so that `id > position` never skips.
                _LOCK.execute(connection, {})
            self._insert.execute_many(connection, rows)

    def redact(self, session: Session, resource: str, names: Collection[str]) -> None:
        """Takes attributes out of what happened to a resource: what was personal after all."""
        table = self._table
        for row in session.execute(select(table.c.id, table.c.attributes).where(table.c.resource == resource)).all():
            if not row.attributes.keys().isdisjoint(names):
                kept = {name: value for name, value in row.attributes.items() if name not in names}
                session.execute(update(table).where(table.c.id == row.id).values(attributes=kept))

    def forget(self, session: Session, resources: Collection[str]) -> None:
        """Takes all that happened to resources out of the log, once nobody may resume before it.

        The newest row of all stays: a reader who has read up to there would seem to be ahead of the log.
        """
        table = self._table
        session.execute(delete(table).where(table.c.resource.in_(resources), table.c.id < self.position(session)))

    def position(self, session: Session) -> int:
        """Of the newest row; 0 when there is none."""
        return session.scalars(self._position).one()

    def after(self, session: Session, position: int, limit: int) -> Sequence[Event]:
        return [Event._make(row) for row in session.execute(self._after, {"position": position, "limit": limit})]

    def require_kept(self, session: Session, position: int) -> None:
        """Raises CursorExpired where a reader at `position` has missed more than can be replayed.

        One who is ahead of the log has read another one, which a backup replaced, and would miss all up to there.
        """
        missed = self.after(session, position, 1)
        if missed[0].create_time < now() - REPLAY if missed else position > self.position(session):
            raise CursorExpired

    def timeline(self, session: Session, resource: str, audience: int, position: int, limit: int, skip: int = 0) -> Sequence[Event]:
        """What happened to one resource after `position`, as far as `audience` reaches, but for the first `skip`."""
        question = {"resource": resource, "audience": audience, "position": position, "limit": limit, "skip": skip}
        return [Event._make(row) for row in session.execute(self._timeline, question)]
