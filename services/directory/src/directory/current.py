"""What the service answers from: the newest directory that could be loaded, whatever became of the database since."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.settings import read_secret
from directory import loading, store
from directory.builtin import read_jakarta
from directory.kept import KeptCopy
from directory.model import keys
from directory.wire import Writer, to_timestamp

T = TypeVar("T")

_CHECK_SECONDS = 2.0
# A database that takes longer to say which edition it holds counts as away.
_PATIENCE_SECONDS = 2.0
_SECONDS = 5.0
# An import of a whole country is one transaction, and all of it is read in one.
_CHANGE_SECONDS = 600.0
_READ_SECONDS = 60.0
_SWEEP_SECONDS = 3600.0
# Above as many changes everything is loaded anew.
_MAX_CHANGES = 5000
_log = logging.getLogger(__name__)


class CurrentDirectory:
    """Begins with what was kept in `folder`, else with what came with the program.

    `stale` while the database does not say that this is what it holds. `load_stamp` is when that was loaded from it;
    None for what came with the program. `secret_file` holds the key of the request ids.
    """

    def __init__(self, database: Database, database_url: str, folder: Path, writer: Writer, secret_file: Path) -> None:
        url = make_url(database_url)
        self._database, self._kept, self._writer, self._secret_file = database, KeptCopy(folder), writer, secret_file
        self._file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self._turn = asyncio.Lock()
        self._edition, self._position = "", 0
        self._said = ""
        self._unlocked = False
        self._news = asyncio.Event()
        self.stale = True
        self.directory, self._load_time = self._kept.recall() or (loading.make_directory_of(read_jakarta(), writer), None)
        self.load_stamp = to_timestamp(self._load_time)

    async def run(self) -> None:
        """Follows the database, and so the changes of other replicas, until it is cancelled."""
        swept = -_SWEEP_SECONDS
        while True:
            await self.refresh()
            if not self.stale and time.monotonic() - swept > _SWEEP_SECONDS:
                swept = time.monotonic()
                # Whatever hinders it, answers go on, and the next look says what it was.
                with suppress(ServiceUnavailable, DBAPIError):
                    await self._database.write(keys.sweep)
            await asyncio.sleep(_CHECK_SECONDS)

    async def refresh(self) -> None:
        """Loads what the database holds, where that is new."""
        async with self._turn:
            await self._refresh()

    async def change(self, operation: Callable[[Session], T], *, apart: bool = False) -> T:
        """Runs an operation in a transaction and loads what it left; `apart` where it takes long. Raises ServiceUnavailable when the
        database is away.
        """
        async with self._turn:
            # SQLite would write into a file that is gone, and nobody would see it again.
            await self._refresh()
            if self.stale:
                raise ServiceUnavailable(retry_seconds=_CHECK_SECONDS)
            await self._unlock()
            result = await self._database.write(operation, seconds=_CHANGE_SECONDS if apart else _SECONDS, apart=apart)
            await self._refresh()
        return result

    async def read(self, question: Callable[[Session], T], *, apart: bool = False) -> T:
        """Asks the database itself; `apart` where that takes long. Raises ServiceUnavailable when it is away."""
        if self.stale:
            raise ServiceUnavailable(retry_seconds=_CHECK_SECONDS)
        return await self._database.read(question, seconds=_READ_SECONDS if apart else _SECONDS, apart=apart)

    async def wait_for_news(self, stop: asyncio.Event, seconds: float) -> None:
        """Returns when another directory is here, when `stop` is set, or after `seconds`."""
        waiting = [asyncio.create_task(each.wait()) for each in (self._news, stop)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    async def _unlock(self) -> None:
        if not self._unlocked:
            try:
                await self._database.write(partial(keys.unlock, secret=read_secret(self._secret_file)))
            except (SystemExit, OSError) as wrong:
                # Answers do not need it, and go on.
                _log.error("nothing can be changed: %s", wrong)
                raise ServiceUnavailable from None
            self._unlocked = True

    async def _refresh(self) -> None:
        try:
            problem = await self._load()
        except Exception as error:  # noqa: BLE001  # whatever it is, there is something to answer from
            problem = _explain(error)
        if problem and problem != self._said:
            known = f"was loaded at {self._load_time:%Y-%m-%d %H:%M} UTC" if self._load_time else "came with the program"
            _log.warning("the database cannot be used, answers come from what %s: %s", known, problem)
        elif self._said and not problem:
            _log.info("the database is read again")
        self.stale, self._said = bool(problem), problem

    async def _load(self) -> str:
        """Why the database cannot be followed; empty where it was."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            # Before anything else opens the file, because that would make an empty one where it is gone.
            seen = await asyncio.to_thread(store.read_edition_of_file, self._file) if self._file else None
            edition = await self._database.read(store.find_edition)
        if not edition:
            return "it is empty, `python -m directory migrate` puts Jakarta into it"
        if seen is not None and seen != edition:
            return "another file lies in the place of the one that is open, start again to use it"
        if edition != self._edition:
            find = partial(loading.find_news, edition=self._edition, position=self._position, limit=_MAX_CHANGES)
            news = await self._database.read(find, seconds=_READ_SECONDS, apart=True)
            # In a thread, because a whole country takes a while.
            self.directory = await asyncio.to_thread(loading.load_directory, news, self.directory, self._writer)
            self._load_time, self._edition, self._position = now(), news.edition, news.position
            self.load_stamp = to_timestamp(self._load_time)
            self._news.set()
            self._news = asyncio.Event()
            await asyncio.to_thread(self._kept.keep, self.directory)
        return ""


def _explain(error: Exception) -> str:
    """Why the database cannot be used, and what to do about it."""
    if isinstance(error, ServiceUnavailable | TimeoutError):
        return "it does not answer, and is asked again until it does"
    origin = error.orig if isinstance(error, DBAPIError) else error
    match getattr(origin, "sqlite_errorname", "") or getattr(origin, "sqlstate", ""):
        case "SQLITE_CANTOPEN":
            return "its file is not there or may not be opened, `python -m directory migrate` makes a new one"
        case "SQLITE_CORRUPT" | "SQLITE_NOTADB":
            return "its file is damaged, put a copy that is whole in its place and start again"
        # PostgreSQL has a number for a table and one for a column that is unknown, SQLite one name for whatever a statement has wrong.
        case "42P01" | "42703" | "SQLITE_ERROR":
            return "its tables are missing or too old, `python -m directory migrate` makes them"
        case _:
            return telemetry.describe(error)
