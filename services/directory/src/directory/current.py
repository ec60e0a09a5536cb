"""What the service answers from: the newest directory that could be loaded, whatever became of the database since."""

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError
from sqlalchemy import make_url
from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from directory import store, wire
from directory.builtin import read_jakarta
from directory.model import Contents
from directory.snapshot import Directory, make_etag
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

T = TypeVar("T")

_CHECK_SECONDS = 2.0
# A database that takes longer to say which edition it holds counts as away.
_PATIENCE_SECONDS = 2.0
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
        self._said: str = ""
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
            result = await self._database.write(operation)
            await self._refresh()
        return result

    async def _refresh(self) -> None:
        problem: str
        try:
            problem = await self._load()
        except Exception as error:  # noqa: BLE001  # whatever it is, there is something to answer from
            problem = telemetry.describe(error)
        if problem and problem != self._said:
            _log.warning("the directory in memory serves on without the database: %s", problem)
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
            return "nothing was put into it yet, `python -m directory migrate` does"
        if seen is not None and seen != edition:
            return "another file lies in the place of the one that is open, start again to use it"
        if edition != self._edition:
            edition, contents = await self._database.read(store.read_contents)
            self.directory = await asyncio.to_thread(_make_directory, contents)
            self.load_time, self._edition = now(), edition
            await asyncio.to_thread(_keep_directory, self.directory, self._kept)
        return ""


def _make_directory(contents: Contents) -> Directory:
    return Directory(wire.to_snapshot(contents))


def _keep_directory(directory: Directory, kept: Path) -> None:
    new = kept.with_suffix(f".{os.getpid()}")
    try:
        new.write_bytes(directory.reply.SerializeToString())
        new.replace(kept)
    except OSError as error:
        _log.warning("%s cannot be written (%s): a start without the database will know less", kept, type(error).__name__)


def _recall_directory(kept: Path) -> tuple[Directory, datetime | None]:
    try:
        reply = GetSnapshotResponse.FromString(kept.read_bytes())
        if reply.etag == make_etag(reply.snapshot):
            return Directory(reply.snapshot), datetime.fromtimestamp(kept.stat().st_mtime, UTC)
        _log.warning("%s is damaged: the directory begins with what came with the program", kept)
    except (OSError, DecodeError) as error:
        _log.info("%s cannot be read (%s): the directory begins with what came with the program", kept, type(error).__name__)
    return _make_directory(read_jakarta()), None
