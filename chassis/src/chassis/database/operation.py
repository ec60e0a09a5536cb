"""What both databases share: the session that an operation runs in, and the answer that its caller waits for."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chassis.errors import ServiceUnavailable

T = TypeVar("T")

# Whoever calls for help is told within a second that nobody answers here.
PATIENCE_SECONDS = 0.75
# A process that was held up itself finds the answers that came meanwhile.
SECOND_LOOK_SECONDS = 0.05
RETRY_SECONDS = 1.0
# SQLSTATE of a transaction that was ended for another one's sake, or has waited for it too long: a database that does so answers.
_GAVE_WAY = {"40001", "40P01", "55P03"}
_log = logging.getLogger(__name__)


class OperationSession(Session):
    """The session of one connection, for one operation after the other, each in a transaction that the database begins and
    ends: it need not keep account of one itself.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, expire_on_commit=False)

    def connection(self, bind_arguments: Any = None, execution_options: Any = None) -> Connection:  # noqa: ANN401  # SQLAlchemy's signature
        assert isinstance(self.bind, Connection)
        return self.bind


def run_operation(session: OperationSession, operation: Callable[[Session], T], before_commit: Callable[[Session], None] | None) -> T:
    try:
        value = operation(session)
        if before_commit:
            session.flush()
            before_commit(session)
        return value
    finally:
        session.info.clear()
        if session.in_transaction():
            # It has entities, which go on without it.
            session.close()
        connection = session.connection()
        if connection.in_transaction():
            # What SQLAlchemy has begun of itself, which is no transaction of the database's.
            connection.rollback()


class Answers:
    """To those who wait for an operation. One that is given up on goes on, and its effect is known when it is repeated."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._latest = 0.0
        self._away = False

    def expect(self, *, urgent: bool = False) -> "asyncio.Future[Any]":
        """An urgent one is not waited for when the database has been answering nobody."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if urgent:
            self._loop.call_later(PATIENCE_SECONDS, self._give_up, future)
        return future

    def settle(self, future: "asyncio.Future[Any]", value: Any, error: BaseException | None, *, wrote: bool = True) -> None:  # noqa: ANN401
        """A read that is answered says nothing of writes: a server whose standby is gone answers it, and commits nothing."""
        if wrote or error:
            self.report(error)
        if future.done():
            return
        if isinstance(error, StopIteration):  # A future refuses it, and the caller would wait for ever.
            error = RuntimeError("an operation raised StopIteration")
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def report(self, error: BaseException | None) -> None:
        """How an operation ended; logged where the database has gone or come back with it, and where it gave way to another one."""
        cause = error.__cause__ if isinstance(error, ServiceUnavailable) else None
        gave_way = find_sqlstate(cause) in _GAVE_WAY
        away = isinstance(error, ServiceUnavailable) and not gave_way
        if gave_way:
            _log.warning("an operation gave way to another one (%s): its caller may try again", _name(cause))
        if away and not self._away:
            _log.warning("the database does not answer (%s): calls are refused until it does", _name(cause))
        if self._away and not away:
            _log.warning("the database answers again")
        self._away = away
        if not away:
            self._latest = self._loop.time()

    def _give_up(self, future: "asyncio.Future[Any]", *, looked: bool = False) -> None:
        if future.done():
            return
        quiet = self._loop.time() - self._latest
        if quiet < PATIENCE_SECONDS:
            self._loop.call_later(PATIENCE_SECONDS - quiet, self._give_up, future)
        elif not looked:
            self._loop.call_later(SECOND_LOOK_SECONDS, partial(self._give_up, future, looked=True))
        else:
            unavailable = ServiceUnavailable(retry_seconds=RETRY_SECONDS)
            self.report(unavailable)
            future.set_exception(unavailable)


def find_sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's; empty where there is none."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    return getattr(origin, "sqlstate", None) or ""


def _name(cause: BaseException | None) -> str:
    """SQLite's or PostgreSQL's own name for it; no text, which may quote a row."""
    origin = cause
    if isinstance(cause, DBAPIError) and cause.orig:
        # Around asyncpg's error SQLAlchemy has one more, which is called nothing but Error.
        origin = cause.orig.__cause__ or cause.orig
    return getattr(origin, "sqlite_errorname", None) or (type(origin).__name__ if origin else "it is slow")
