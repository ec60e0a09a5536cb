"""What the service answers from: the newest directory that could be loaded, whatever became of the database since."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from directory import store, wire
from directory.builtin import read_jakarta
from directory.snapshot import Directory, make_etag
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

T = TypeVar("T")

_CHECK_SECONDS = 2.0
# A database that takes longer to say which edition it holds counts as away.
_PATIENCE_SECONDS = 2.0
# An import of a whole country is one transaction.
_CHANGE_SECONDS = 600.0
_log = logging.getLogger(__name__)


class CurrentDirectory:
    """Begins with what was kept in the file `kept`, else with what came with the program.

    `stale` while the database does not say that this is what it holds. `load_time` is when that was loaded from it;
    None for what came with the program.
    """

    def __init__(self, database: Database, database_url: str, kept: Path) -> None:
        url = make_url(database_url)
        self._database, self._kept = database, kept
        self._file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self._turn = asyncio.Lock()
        self._edition = ""
        self._said = ""
        self.stale = True
        self.directory, self.load_time = _recall_directory(kept)

    async def run(self) -> None:
        """Follows the database, and so the imports of other replicas, until it is cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_CHECK_SECONDS)

    async def refresh(self) -> None:
        """Loads what the database holds, where that is new."""
        async with self._turn:
            await self._refresh()

    async def change(self, operation: Callable[[Session], T]) -> T:
        """Runs an operation in a transaction and loads what it left. Raises ServiceUnavailable when the database is away."""
        async with self._turn:
            # SQLite would write into a file that is gone, and nobody would see it again.
            await self._refresh()
            if self.stale:
                raise ServiceUnavailable(retry_seconds=_CHECK_SECONDS)
            result = await self._database.write(operation, seconds=_CHANGE_SECONDS)
            await self._refresh()
        return result

    async def _refresh(self) -> None:
        try:
            problem = await self._load()
        except Exception as error:  # noqa: BLE001  # whatever it is, there is something to answer from
            problem = _explain(error)
        if problem and problem != self._said:
            known = f"was loaded at {self.load_time:%Y-%m-%d %H:%M} UTC" if self.load_time else "came with the program"
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
            edition, contents = await self._database.read(store.read_contents)
            # In a thread, because the boundaries of a whole country take a while.
            self.directory = await asyncio.to_thread(lambda: Directory(wire.to_snapshot(contents)))
            self.load_time, self._edition = now(), edition
            await asyncio.to_thread(_keep_directory, self.directory, self._kept)
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


def _keep_directory(directory: Directory, kept: Path) -> None:
    new = kept.with_suffix(f".{os.getpid()}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(directory.reply.SerializeToString())
        new.replace(kept)
    except OSError as error:
        _log.warning(
            "%s cannot be written (%s), so that a start without the database would know less: make it writable", kept, error.strerror
        )
        with suppress(OSError):
            new.unlink()


def _recall_directory(kept: Path) -> tuple[Directory, datetime | None]:
    try:
        reply = GetSnapshotResponse.FromString(kept.read_bytes())
        if reply.etag != make_etag(reply.snapshot):
            raise DecodeError
        return Directory(reply.snapshot), datetime.fromtimestamp(kept.stat().st_mtime, UTC)
    except FileNotFoundError:
        # As at every first start.
        pass
    except (OSError, DecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is damaged"
        _log.warning("%s cannot be read (%s): it is written anew once the database was read, delete it if this comes again", kept, problem)
    return Directory(wire.to_snapshot(read_jakarta())), None
