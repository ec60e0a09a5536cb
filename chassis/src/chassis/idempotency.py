"""Request ids (AIP-155): the same request again answers with the resource it made, another one under the same id is refused."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Column, LargeBinary, MetaData, String, Table, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from chassis import clock
from chassis.clock import UtcTime
from chassis.database import Database
from chassis.errors import RequestIdReused, ServiceUnavailable
from chassis.statements import Prepared

_KEPT = timedelta(days=7)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_SWEPT_AT_ONCE = 1000
_SWEEP_SECONDS = 3600


class RequestKeys:
    """`metadata` is the service's; its table `request_keys` holds keyed hashes and resource names, never a reply.

    The key of the hashes lives apart from the table: whoever has the rows alone cannot try out what a request said.
    """

    def __init__(self, metadata: MetaData) -> None:
        table = self._table = Table(
            "request_keys",
            metadata,
            Column("key", LargeBinary, primary_key=True),
            Column("request_hash", LargeBinary, nullable=False),
            Column("resource", String, nullable=False),
            Column("expire_time", UtcTime, nullable=False, index=True),
        )
        self._claims = {"sqlite": _claim(table, sqlite.insert), "postgresql": _claim(table, postgresql.insert)}

        self._secret: bytes | None = None

    def unlock(self, session: Session, secret: bytes) -> None:
        """Lets the keys be used with `secret`, which must be the same in every replica and at every start."""
        self._secret = secret
        connection = session.connection()
        row = {"key": b"secret", "request_hash": self.digest("secret"), "resource": "", "expire_time": _NEVER, "now": clock.now()}
        self._claims[connection.dialect.name].execute(connection, row)
        kept = session.execute(select(self._table.c.request_hash).where(self._table.c.key == b"secret")).scalar_one()
        if kept != row["request_hash"]:
            message = "the key in `secret_file` is not the one that this database was written with: bring back the right one"
            raise SystemExit(message)

    def digest(self, text: str) -> bytes:
        """32 bytes that nobody can make of `text` without the secret."""
        assert self._secret is not None, "unlock first"
        return hashlib.blake2b(text.encode(), digest_size=32, key=self._secret).digest()

    def claim(self, session: Session, scope: str, request_id: str, request: Message | None, resource: str) -> str | None:
        """Reserves `request_id` within `scope` for `resource`: None. For a replay: the name that the first request got.

        The unique key is the lock: a concurrent equal request waits here for the first one's COMMIT, and a rollback
        leaves no key. `request` is compared with the first one's; None where any body will do. Raises RequestIdReused.
        """
        # A UUID is the same in either case (RFC 9562).
        key = self.digest(f"{scope}\0{request_id.lower()}")
        request_hash = self.digest("" if request is None else _describe(request))
        now = clock.now()
        connection = session.connection()
        row = {"key": key, "request_hash": request_hash, "resource": resource, "expire_time": now + _KEPT, "now": now}
        if self._claims[connection.dialect.name].execute(connection, row):
            return None
        table = self._table
        first = session.execute(select(table.c.request_hash, table.c.resource).where(table.c.key == key)).one()
        if first.request_hash != request_hash:
            raise RequestIdReused
        return first.resource

    def sweep(self, session: Session) -> int:
        """Removes some of what has expired; the number removed."""
        table = self._table
        expired = select(table.c.key).where(table.c.expire_time <= clock.now()).limit(_SWEPT_AT_ONCE)
        found = session.execute(expired).scalars().all()
        session.execute(delete(table).where(table.c.key.in_(found)))
        return len(found)

    async def keep_swept(self, database: Database) -> None:
        """Until cancelled."""
        while True:
            try:
                while await database.write(self.sweep) == _SWEPT_AT_ONCE:
                    pass
            except ServiceUnavailable:
                pass
            await asyncio.sleep(_SWEEP_SECONDS)


def _describe(request: Message) -> str:
    """All that the request says but its id, which has been compared already."""
    said = type(request)()
    said.CopyFrom(request)
    said.ClearField("request_id")
    return f"{said.DESCRIPTOR.full_name} {said.SerializeToString(deterministic=True).hex()}"


def _claim(table: Table, insert: Any) -> Prepared:  # noqa: ANN401  # the two dialects' inserts share no type
    statement = insert(table).values({name: bindparam(name) for name in table.c.keys()})  # noqa: SIM118  # a column collection iterates over columns
    fresh = {name: statement.excluded[name] for name in ("request_hash", "resource", "expire_time")}
    expired = table.c.expire_time <= bindparam("now", type_=UtcTime())
    return Prepared(statement.on_conflict_do_update(index_elements=["key"], set_=fresh, where=expired))
