"""PostgreSQL: each operation is a transaction of its own; the same function runs in a greenlet over asyncpg."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeVar, cast

import asyncpg
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from chassis.database.operation import RETRY_SECONDS, Answers, OperationSession, find_sqlstate, run_operation
from chassis.errors import ServiceUnavailable

T = TypeVar("T")

_CONNECTIONS = 8
# Of them, for urgent operations alone: all others may wait for one lock.
_KEPT_FREE = 2
# A database that is away is noticed before a caller in danger has waited for a second.
_CONNECT_SECONDS = 0.8
# An operation for which a server takes longer than this is given up with its connection.
_SECONDS = 5.0
_SNAPSHOT = {"isolation": "repeatable_read", "readonly": True}
# SQLSTATE classes and codes: connection, resources, operator's intervention, a lock or a transaction's place not to be had.
_UNAVAILABLE = {"08", "53", "57", "55P03", "40001", "40P01"}
# Prepared statements and transactions raise the driver's own errors, everything else SQLAlchemy's.
_ERRORS = (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresDatabase:
    """Operations outlive the callers who give up on them; reads see one snapshot."""

    def __init__(
        self, url: URL, before_commit: Callable[[Session], None], committed: Callable[[], None], engine: AsyncEngine | None = None
    ) -> None:
        self._url, self._before_commit, self._committed = url, before_commit, committed
        self._engine = engine or _make_engine(url, _SECONDS)
        # For operations apart, by how long they may take: an engine has what it knows of the server, and compiled statements.
        self._apart: dict[float, AsyncEngine] = {}
        self._idle: asyncio.LifoQueue[_Line | None] = asyncio.LifoQueue(_CONNECTIONS)
        for _ in range(_CONNECTIONS):
            self._idle.put_nowait(None)
        self._turns = asyncio.Semaphore(_CONNECTIONS - _KEPT_FREE)
        self._loop = asyncio.get_running_loop()
        self._answers = Answers()
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pending(self) -> int:
        return len(self._running)

    async def write(self, operation: Callable[[Session], T], *, urgent: bool = False, seconds: float = _SECONDS, apart: bool = False) -> T:
        return await self._accept(self._write(operation, seconds, apart=apart), urgent=urgent, in_turn=not (urgent or apart))

    async def read(self, operation: Callable[[Session], T], *, seconds: float = _SECONDS, apart: bool = False) -> T:
        return await self._accept(self._read(operation, seconds, apart=apart), wrote=False, in_turn=not apart)

    async def close(self) -> None:
        """Finishes what was accepted before it."""
        self._closed = True
        await asyncio.gather(*self._running)
        while not self._idle.empty():
            if line := self._idle.get_nowait():
                await line.connection.close()

    async def _write(self, operation: Callable[[Session], T], seconds: float, *, apart: bool) -> T:
        transact = self._transact_apart if apart else self._transact
        value = await transact(operation, self._before_commit, seconds)
        self._committed()
        return value

    async def _read(self, operation: Callable[[Session], T], seconds: float, *, apart: bool) -> T:
        transact = self._transact_apart if apart else self._transact
        return await transact(operation, None, seconds, **_SNAPSHOT)

    async def _accept(self, work: Coroutine[Any, Any, Any], *, urgent: bool = False, wrote: bool = True, in_turn: bool) -> Any:  # noqa: ANN401  # whatever the operation returns
        if self._closed:
            work.close()
            raise ServiceUnavailable(retry_seconds=RETRY_SECONDS)
        future = self._answers.expect(urgent=urgent)
        task = asyncio.create_task(self._work(work, future, wrote=wrote, in_turn=in_turn))
        self._running.add(task)
        return await future

    async def _work(self, work: Coroutine[Any, Any, Any], future: "asyncio.Future[Any]", *, wrote: bool, in_turn: bool) -> None:
        value, error = None, None
        try:
            async with self._turns if in_turn else nullcontext():
                value = await work
        except BaseException as raised:  # noqa: BLE001  # an operation may raise anything, and its caller gets it
            error = raised
        # Whoever has the answer must not find the operation pending.
        self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._answers.settle(future, value, error, wrote=wrote)

    async def _transact_apart(
        self,
        operation: Callable[[Session], T],
        before_commit: Callable[[Session], None] | None,
        seconds: float,
        **options: Any,  # noqa: ANN401  # as for _transact
    ) -> T:
        """In a thread, a loop and a connection of its own: what an operation does between its statements blocks its loop."""
        engine = self._apart.get(seconds) or self._apart.setdefault(seconds, _make_engine(self._url, seconds))

        async def run() -> T:
            database = PostgresDatabase(self._url, self._before_commit, self._committed, engine)
            try:
                return await database._transact(operation, before_commit, seconds, **options)  # of its own kind
            finally:
                await database.close()

        return await asyncio.to_thread(asyncio.run, run())

    async def _transact(
        self,
        operation: Callable[[Session], T],
        before_commit: Callable[[Session], None] | None,
        seconds: float,
        **options: Any,  # noqa: ANN401  # asyncpg's own
    ) -> T:
        # One that is idle, or the right to make one.
        line = await self._idle.get()
        limit = None
        try:
            line = line or await self._connect()
            # One for all, because a limit to each command costs an SOS a thirtieth.
            limit = self._loop.call_later(seconds, line.driver.terminate)
            transaction = line.driver.transaction(**options)
            await transaction.start()
            try:
                value = await line.connection.run_sync(line.run, operation, before_commit)
            except _ERRORS:
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()
        except _ERRORS as error:
            gone = isinstance(error, OSError) or line is None or line.driver.is_closed()
            if line:
                # Its transaction ends with it. Nobody waits for a server's goodbye that may never come.
                line.drop()
                line = None
            if gone:
                # Every idle connection to a server that went away would fail one more caller.
                self._drop_idle()
            if gone or _is_unavailable(error):
                raise ServiceUnavailable(retry_seconds=RETRY_SECONDS) from error
            raise
        finally:
            if limit:
                limit.cancel()
            self._idle.put_nowait(line)
        return value

    async def _connect(self) -> "_Line":
        connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        return _Line(connection, driver, await connection.run_sync(OperationSession))

    def _drop_idle(self) -> None:
        lines = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
        for line in lines:
            if line:
                line.drop()
            self._idle.put_nowait(None)


def _make_engine(url: URL, seconds: float) -> AsyncEngine:
    settings = {
        "statement_timeout": f"{1000 * seconds:.0f}",
        "lock_timeout": "3000",
        "idle_in_transaction_session_timeout": f"{2000 * seconds:.0f}",
        "jit": "off",
    }
    options = {"server_settings": settings, "timeout": _CONNECT_SECONDS}
    # Transactions are the driver's own, and connections are kept here: SQLAlchemy's cost a write a fifth more. Without a pool
    # an engine may serve several loops.
    return create_async_engine(url, hide_parameters=True, poolclass=NullPool, connect_args=options, isolation_level="AUTOCOMMIT")


class _Line(NamedTuple):
    """A connection, the driver's own beneath it, and its session."""

    connection: AsyncConnection
    driver: Any
    session: OperationSession

    def run(self, _: Connection, operation: Callable[[Session], T], before_commit: Callable[[Session], None] | None) -> T:
        return run_operation(self.session, operation, before_commit)

    def drop(self) -> None:
        # Outside of a greenlet SQLAlchemy does not wait for the other side.
        if self.connection.sync_connection:
            self.connection.sync_connection.invalidate()


def _is_unavailable(error: BaseException) -> bool:
    state = find_sqlstate(error)
    return state[:2] in _UNAVAILABLE or state in _UNAVAILABLE
