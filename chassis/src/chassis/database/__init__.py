"""Runs operations, plain synchronous functions of a session, each in a transaction of its own, on SQLite or PostgreSQL.

An operation depends on nothing but its session and may be run again when the transaction around it fails.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import make_url
from sqlalchemy.orm import Session

from chassis.database.postgres import PostgresDatabase
from chassis.database.sqlite import SqliteDatabase

T = TypeVar("T")


class Database(Protocol):
    """`write` returns after COMMIT; giving up on it does not stop it. Both raise ServiceUnavailable when the database is away,
    for an `urgent` write within 0.8 s in which a server answered nobody, for others `seconds` after their turn has come, which on
    PostgreSQL they may wait for. What takes long of itself, such as many entries to compare, runs `apart`, or everybody would wait
    for it.
    """

    @property
    def pending(self) -> int:
        """How many operations were taken on and have not ended; a call that gave up leaves its own behind."""
        ...

    async def write(self, operation: Callable[[Session], T], *, urgent: bool = False, seconds: float = 5.0, apart: bool = False) -> T: ...
    async def read(self, operation: Callable[[Session], T], *, seconds: float = 5.0, apart: bool = False) -> T: ...
    async def close(self) -> None: ...


@asynccontextmanager
async def open_database(
    url: str, before_commit: Callable[[Session], None], committed: Callable[[], None]
) -> AsyncGenerator[Database, None]:
    """`url` is SQLAlchemy's: `sqlite:///path` or `postgresql+asyncpg://…`. Closing finishes what was accepted before it.

    `before_commit` is the last act in the transaction of every write, `committed` follows it when it is on disk.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        database: Database = SqliteDatabase(Path(parsed.database or ""), before_commit, committed)
    else:
        database = PostgresDatabase(parsed, before_commit, committed)
    try:
        yield database
    finally:
        await database.close()
