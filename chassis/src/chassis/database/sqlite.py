"""SQLite: one writer thread commits all waiting operations together, one reader thread reads."""

import asyncio
import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chassis.database.operation import RETRY_SECONDS, Answers, OperationSession, run_operation
from chassis.errors import ServiceUnavailable

T = TypeVar("T")

# What a SAVEPOINT needs to be undone would go through a temporary file, for half of what a write costs.
_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000, "temp_store": 2}
# Nobody else should write this file; whoever calls for help is not kept waiting for one who does.
_BUSY_MILLISECONDS = 700
_GROUP = 64
# What waiting, another disk or a backup mends; everything else is a mistake of ours.
_UNAVAILABLE = ("BUSY", "LOCKED", "READONLY", "IOERR", "CORRUPT", "NOTADB", "FULL", "CANTOPEN", "PROTOCOL", "NOMEM")


def create_sqlite_engine(
    path: Path,
    begin: str = "BEGIN IMMEDIATE",
    factory: type[sqlite3.Connection] = sqlite3.Connection,
    vfs: str = "unix",
    **pragmas: int,
) -> Engine:
    """The one way to open a SQLite file, for the service and for its migrations alike. It is there: where it has gone away, an empty
    one must not take its place.
    """
    url = URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": "rw", "vfs": vfs, "uri": "true"})
    options = {"check_same_thread": False, "factory": factory}
    engine = create_engine(url, hide_parameters=True, pool_size=1, max_overflow=0, connect_args=options)

    def configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver's own transaction control would commit behind SAVEPOINTs.
        connection.isolation_level = None
        for pragma, value in (_PRAGMAS | pragmas).items():
            connection.execute(f"PRAGMA {pragma} = {value}")
            if (found := connection.execute(f"PRAGMA {pragma}").fetchone()[0]) != value:
                message = f"{path}: SQLite has PRAGMA {pragma} = {found}, not {value}"
                raise RuntimeError(message)

    def start(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute(begin)

    event.listen(engine, "connect", configure)
    if begin:
        event.listen(engine, "begin", start)
    return engine


def lock_file(path: Path) -> Any:  # noqa: ANN401  # the file's own type is private to io
    """Holds the database for this process alone: SQLite before 3.51.3 can corrupt a WAL under several writers."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    except OSError as error:
        message = f"{path.parent} cannot be written to ({error.strerror}): SIAGA_DATA names the folder for what is kept"
        raise SystemExit(message) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        message = f"{path} is in use by another process: stop that one first"
        raise SystemExit(message) from None
    return lock


class _GroupConnection(sqlite3.Connection):
    """Its transaction is the group's: what SQLAlchemy commits or rolls back changes nothing."""

    def commit_group(self) -> None:
        super().commit()

    def rollback_group(self) -> None:
        super().rollback()

    def commit(self) -> None:
        pass

    def rollback(self) -> None:
        pass


@dataclass(slots=True)
class _Write:
    operation: Callable[[Session], Any]
    future: "asyncio.Future[Any]"
    # The thread has none of its own: whose span an event carries on stands in the caller's.
    context: Context = field(default_factory=copy_context)
    value: Any = None
    error: BaseException | None = None


class SqliteDatabase:
    """Commits in groups, each operation inside a SAVEPOINT, so that a failing one fails alone."""

    def __init__(self, path: Path, before_commit: Callable[[Session], None], committed: Callable[[], None]) -> None:
        self._before_commit, self._committed = before_commit, committed
        self._lock = lock_file(path)
        self._loop = asyncio.get_running_loop()
        self._writer = create_sqlite_engine(path, "", _GroupConnection, busy_timeout=_BUSY_MILLISECONDS)
        self._reader = create_sqlite_engine(path, "BEGIN", query_only=1)
        self._read_thread = ThreadPoolExecutor(1, "reader")
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._answers = Answers()
        self._closed = False
        self.pending = 0
        self._write_thread = threading.Thread(target=self._write_groups, name="writer")
        self._write_thread.start()

    async def write(self, operation: Callable[[Session], T], *, urgent: bool = False, seconds: float = 0.0, apart: bool = False) -> T:
        """A disk that is slow is waited for, by urgent ones too: it is not a server that may have gone. Everything runs apart."""
        if self._closed:
            raise ServiceUnavailable(retry_seconds=RETRY_SECONDS)
        write = _Write(operation, self._answers.expect())
        self.pending += 1
        self._waiting.put(write)
        return await write.future

    async def read(self, operation: Callable[[Session], T], *, seconds: float = 0.0, apart: bool = False) -> T:
        """Sees one snapshot, whatever the number of statements."""
        if self._closed:
            raise ServiceUnavailable(retry_seconds=RETRY_SECONDS)
        try:
            return await self._loop.run_in_executor(self._read_thread, copy_context().run, lambda: self._read(operation))
        except (sqlite3.DatabaseError, DBAPIError) as error:
            translated = _translate(error)
            self._answers.report(translated)
            raise translated from error

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
        session = None
        while group := self._next_group():
            try:
                session = session or OperationSession(self._writer.connect())
                self._commit(session, group)
            except BaseException as error:  # noqa: BLE001  # whoever waits is told, and the thread goes on
                for write in group:
                    write.error = error
            self._loop.call_soon_threadsafe(self._settle, group)
        if session:
            session.connection().close()

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

    def _commit(self, session: OperationSession, group: list[_Write]) -> None:
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, _GroupConnection)
        try:
            driver.execute("BEGIN IMMEDIATE")
            for write in group:
                self._attempt(session, driver, write)
            driver.commit_group()
        except BaseException as error:  # noqa: BLE001  # an operation may raise anything, and its caller gets it
            driver.rollback_group()
            if len(group) == 1:
                group[0].error = error
                return
            # One of them ended the whole transaction (ON CONFLICT ROLLBACK, a full disk): it shall fail alone.
            for write in group:
                self._commit(session, [write])

    def _attempt(self, session: OperationSession, driver: _GroupConnection, write: _Write) -> None:
        write.error = None
        driver.execute("SAVEPOINT operation")
        try:
            write.value = write.context.run(run_operation, session, write.operation, self._before_commit)
        except BaseException as error:
            # Where SQLite has rolled back by itself, a later SAVEPOINT would open a transaction of its own.
            if not driver.in_transaction:
                raise
            write.error = error
            driver.execute("ROLLBACK TO operation")
        driver.execute("RELEASE operation")

    def _settle(self, group: list[_Write]) -> None:
        self.pending -= len(group)
        for write in group:
            error = _translate(write.error) if isinstance(write.error, sqlite3.DatabaseError | DBAPIError) else write.error
            self._answers.settle(write.future, write.value, error)
        self._committed()


def _translate(error: BaseException) -> BaseException:
    origin = error.orig if isinstance(error, DBAPIError) else error
    name: str = getattr(origin, "sqlite_errorname", "").removeprefix("SQLITE_")
    if not name.startswith(_UNAVAILABLE):
        return error
    unavailable = ServiceUnavailable(retry_seconds=RETRY_SECONDS)
    unavailable.__cause__ = error
    return unavailable
