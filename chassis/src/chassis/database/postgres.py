"""PostgreSQL: each operation is a transaction of its own; the same function runs in a greenlet over asyncpg."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from chassis.errors import ServiceUnavailable

T = TypeVar("T")

_CONNECTIONS = 8
# A database that is away is noticed before a caller in danger has waited for a second.
_CONNECT_SECONDS = 0.8
_COMMAND_SECONDS = 5.0
_RETRY_SECONDS = 1.0
# SQLSTATE classes and codes: connection, resources, operator's intervention, a lock or a transaction's place not to be had.
_UNAVAILABLE = {"08", "53", "57", "55P03", "40001", "40P01"}
_log = logging.getLogger(__name__)


class PostgresDatabase:
    """Writes are shielded from their callers' cancellation; reads see one snapshot."""

    def __init__(self, url: URL, before_commit: Callable[[Session], None], committed: Callable[[], None]) -> None:
        self._before_commit, self._committed = before_commit, committed
        settings = {"statement_timeout": "5000", "lock_timeout": "3000", "idle_in_transaction_session_timeout": "10000", "jit": "off"}
        options = {"server_settings": settings, "timeout": _CONNECT_SECONDS, "command_timeout": _COMMAND_SECONDS}
        self._engine = create_async_engine(
            url, hide_parameters=True, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=_COMMAND_SECONDS, connect_args=options
        )
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # The pool's waiting connections: to a server that answers no more they are dropped, because it will not say goodbye.
        self._idle: set[Any] = set()
        event.listen(self._engine.sync_engine, "checkin", lambda connection, _: self._idle.add(connection))
        event.listen(self._engine.sync_engine, "checkout", lambda connection, *_: self._idle.discard(connection))
        dbapi: Any = self._engine.dialect.dbapi
        # Prepared statements raise the driver's own errors, everything else SQLAlchemy's.
        self._driver_error: type[Exception] = dbapi.Error
        self._is_disconnect: Callable[[Any, Any, Any], bool] = self._engine.dialect.is_disconnect
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def pending(self) -> int:
        return len(self._running)

    async def write(self, operation: Callable[[Session], T]) -> T:
        value = await self._shield(self._write(operation))
        self._committed()
        return value

    async def read(self, operation: Callable[[Session], T]) -> T:
        return await self._shield(self._read(operation))

    async def close(self) -> None:
        """Finishes what was accepted before it."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._engine.dispose()

    async def _write(self, operation: Callable[[Session], T]) -> T:
        def transact(session: Session) -> T:
            with session.begin():
                value = operation(session)
                session.flush()
                self._before_commit(session)
                return value

        async with AsyncSession(self._engine, expire_on_commit=False) as session:
            return await session.run_sync(transact)

    async def _read(self, operation: Callable[[Session], T]) -> T:
        async with AsyncSession(self._snapshots, expire_on_commit=False) as session:
            return await session.run_sync(operation)

    async def _shield(self, work: Any) -> Any:  # noqa: ANN401  # a coroutine of whatever the operation returns
        if self._closed:
            work.close()
            raise ServiceUnavailable(retry_seconds=_RETRY_SECONDS)
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        try:
            return await asyncio.shield(task)
        except (OSError, PoolTimeout, DBAPIError, self._driver_error) as error:
            origin = error.orig if isinstance(error, DBAPIError) else error
            state: str = getattr(origin, "sqlstate", None) or ""
            gone = isinstance(error, OSError) or self._is_disconnect(origin, None, None)
            if not gone and not isinstance(error, PoolTimeout) and state[:2] not in _UNAVAILABLE and state not in _UNAVAILABLE:
                raise
            _log.warning("PostgreSQL cannot: %s %s", type(origin).__name__, state)
            if gone and not self._closed:
                # Every idle connection to a server that went away would fail one more caller.
                for connection in self._idle - {None}:
                    connection.driver_connection.terminate()
                self._idle.clear()
                await self._engine.dispose()
            raise ServiceUnavailable(retry_seconds=_RETRY_SECONDS) from error

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # Fetched here, because nobody else does when the caller has gone.
