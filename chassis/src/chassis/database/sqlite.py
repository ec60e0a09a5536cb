"""SQLite: one writer thread commits all waiting operations together, one reader thread reads."""

import asyncio
import fcntl
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from chassis.errors import ServiceUnavailable

T = TypeVar("T")

_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
_GROUP = 64
_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


def create_sqlite_engine(path: Path, begin: str = "BEGIN IMMEDIATE", factory: type[sqlite3.Connection] = sqlite3.Connection) -> Engine:
    """The one way to open a SQLite file, for the service and for its migrations alike."""
    options = {"check_same_thread": False, "factory": factory}
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True, pool_size=1, max_overflow=0, connect_args=options)

    def configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver's own transaction control would commit behind SAVEPOINTs.
        connection.isolation_level = None
        for pragma, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {pragma} = {value}")
            if (found := connection.execute(f"PRAGMA {pragma}").fetchone()[0]) != value:
                message = f"{path}: SQLite has PRAGMA {pragma} = {found}, not {value}"
                raise RuntimeError(message)

    def start(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute(begin)

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", start)
    return engine


def lock_file(path: Path) -> Any:  # noqa: ANN401  # the file's own type is private to io
    """Holds the database for this process alone: SQLite before 3.51.3 can corrupt a WAL under several writers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        message = f"{path} is in use by another process: stop that one first"
        raise SystemExit(message) from None
    return lock


class _GroupConnection(sqlite3.Connection):
    """What a session begins, commits and rolls back here is one SAVEPOINT of the group around it."""

    def begin_group(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def commit_group(self) -> None:
        super().commit()

    def rollback_group(self) -> None:
        super().rollback()

    def commit(self) -> None:
        self.execute("RELEASE operation")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK TO operation")
            self.execute("RELEASE operation")


@dataclass(slots=True)
class _Write:
    operation: Callable[[Session], Any]
    future: "asyncio.Future[Any]"
    # The thread has none of its own: whose span an event carries on stands in the caller's.
    context: Context = field(default_factory=copy_context)
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if isinstance(self.error, StopIteration):  # A future refuses it, and the caller would wait for ever.
            self.error = RuntimeError("an operation raised StopIteration")
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class SqliteDatabase:
    """Commits in groups, each operation inside a SAVEPOINT, so that a failing one fails alone."""

    def __init__(self, path: Path, before_commit: Callable[[Session], None], committed: Callable[[], None]) -> None:
        self._before_commit, self._committed = before_commit, committed
        self._lock = lock_file(path)
        self._loop = asyncio.get_running_loop()
        self._writer = create_sqlite_engine(path, "SAVEPOINT operation", _GroupConnection)
        self._reader = create_sqlite_engine(path, "BEGIN")
        self._read_thread = ThreadPoolExecutor(1, "reader")
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closed = False
        self.pending = 0
        self._write_thread = threading.Thread(target=self._write_groups, name="writer")
        self._write_thread.start()

    async def write(self, operation: Callable[[Session], T]) -> T:
        if self._closed:
            raise ServiceUnavailable(retry_seconds=_RETRY_SECONDS)
        write = _Write(operation, self._loop.create_future())
        self.pending += 1
        self._waiting.put(write)
        try:
            return await write.future
        except (sqlite3.OperationalError, OperationalError) as error:
            if _is_mistake(error):
                raise
            raise _unavailable(error) from error

    async def read(self, operation: Callable[[Session], T]) -> T:
        """Sees one snapshot, whatever the number of statements."""
        if self._closed:
            raise ServiceUnavailable(retry_seconds=_RETRY_SECONDS)
        try:
            return await self._loop.run_in_executor(self._read_thread, copy_context().run, lambda: self._read(operation))
        except (sqlite3.OperationalError, OperationalError) as error:
            if _is_mistake(error):
                raise
            raise _unavailable(error) from error

    async def close(self) -> None:
        """Finishes what was accepted before it."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        await asyncio.to_thread(self._write_thread.join)
        await asyncio.to_thread(self._read_thread.shutdown)
        self._writer.dispose()
        self._reader.dispose()
        self._lock.close()

    def _read(self, operation: Callable[[Session], T]) -> T:
        with Session(self._reader, expire_on_commit=False) as session:
            return operation(session)

    def _write_groups(self) -> None:
        connection = None
        while group := self._next_group():
            try:
                connection = connection or self._writer.connect()
                self._commit(connection, group)
            except BaseException as error:  # noqa: BLE001  # whoever waits is told, and the thread goes on
                for write in group:
                    write.error = error
            self._loop.call_soon_threadsafe(self._settle, group)
        if connection:
            connection.close()

    def _next_group(self) -> list[_Write]:
        """Everything that waits, at least one; empty when the database is closing."""
        group: list[_Write] = []
        while len(group) < _GROUP:
            try:
                write = self._waiting.get(block=not group)
            except queue.Empty:
                break
            if write is None:
                if group:
                    self._waiting.put(None)
                break
            group.append(write)
        return group

    def _commit(self, connection: Connection, group: list[_Write]) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, _GroupConnection)
        try:
            driver.begin_group()
            for write in group:
                self._attempt(connection, driver, write)
            driver.commit_group()
        except BaseException as error:  # noqa: BLE001  # an operation may raise anything, and its caller gets it
            driver.rollback_group()
            if len(group) == 1:
                group[0].error = error
                return
            # One of them ended the whole transaction (ON CONFLICT ROLLBACK, a full disk): it shall fail alone.
            for write in group:
                self._commit(connection, [write])

    def _attempt(self, connection: Connection, driver: _GroupConnection, write: _Write) -> None:
        write.error = None
        try:
            with Session(connection, expire_on_commit=False) as session, session.begin():
                write.value = write.context.run(write.operation, session)
                session.flush()
                self._before_commit(session)
        except BaseException as error:
            # Where SQLite has rolled back by itself, a later SAVEPOINT would open a transaction of its own.
            if not driver.in_transaction:
                raise
            write.error = error

    def _settle(self, group: list[_Write]) -> None:
        self.pending -= len(group)
        for write in group:
            write.settle()
        self._committed()


def _is_mistake(error: Exception) -> bool:
    """Whether a statement is wrong (no such table), which no waiting mends."""
    origin = error.orig if isinstance(error, OperationalError) else error
    return getattr(origin, "sqlite_errorname", "") == "SQLITE_ERROR"


def _unavailable(error: Exception) -> ServiceUnavailable:
    origin = error.orig if isinstance(error, OperationalError) else error
    _log.warning("SQLite cannot: %s", getattr(origin, "sqlite_errorname", type(error).__name__))
    return ServiceUnavailable(retry_seconds=_RETRY_SECONDS)
