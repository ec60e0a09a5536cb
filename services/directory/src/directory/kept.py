"""The copy on disk of what was last loaded, for a start without the database."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from google.protobuf.message import DecodeError
from shapely.errors import ShapelyError

from directory.memory.areas import read_areas
from directory.memory.directory import Directory, make_directory
from directory.memory.facilities import embed_all, read_facilities
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse, ListFacilitiesResponse

# What a file that is no copy, or not a whole one, ends in.
_DAMAGED = (DecodeError, ValueError, ShapelyError)
_log = logging.getLogger(__name__)


class KeptCopy:
    """Two files in `folder`, because facilities change more often than the rest, which is larger."""

    def __init__(self, folder: Path) -> None:
        self._snapshot, self._facilities = folder / "directory.snapshot", folder / "facilities.snapshot"
        # The etag of what is known to be in each file.
        self._etags: dict[Path, str] = {}

    def keep(self, directory: Directory) -> None:
        """Writes what the files do not have."""
        if self._etags.get(self._snapshot) != directory.etag:
            self._write(self._snapshot, directory.etag, directory.snapshot)
        if self._etags.get(self._facilities) != directory.facilities_etag:
            content = b"".join(embed_all(directory.facilities.in_order))
            self._write(self._facilities, directory.facilities_etag, directory.facilities_etag.encode() + b"\n" + content)

    def recall(self) -> tuple[Directory, datetime] | None:
        """What was kept and when; None where nothing was."""
        known = self._try(self._snapshot, _read_snapshot)
        if known is None:
            return None
        self._etags[self._snapshot] = known.etag
        whole = self._try(self._facilities, partial(_add_facilities, known))
        if whole:
            self._etags[self._facilities] = whole.facilities_etag
        # Each is written when its own part was another one.
        newest = max(path.stat().st_mtime for path in self._etags)
        return whole or known, datetime.fromtimestamp(newest, UTC)

    def _try(self, path: Path, read: Callable[[bytes], Directory]) -> Directory | None:
        try:
            return read(path.read_bytes())
        except FileNotFoundError:
            # As at every first start.
            pass
        except (OSError, *_DAMAGED) as error:
            problem = error.strerror if isinstance(error, OSError) else "it is damaged"
            again = "it is written anew once the database was read, delete it if this comes again"
            _log.warning("%s cannot be read (%s): %s", path, problem, again)
        return None

    def _write(self, path: Path, etag: str, content: bytes) -> None:
        new = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(content)
            new.replace(path)
        except OSError as error:
            problem = "so that a start without the database would know less: make it writable"
            _log.warning("%s cannot be written (%s), %s", path, error.strerror, problem)
            with suppress(OSError):
                new.unlink()
        else:
            self._etags[path] = etag


def _read_snapshot(content: bytes) -> Directory:
    reply = GetSnapshotResponse.FromString(content)
    held = reply.snapshot
    directory = make_directory(read_areas(held.areas), held.agencies, held.hotlines, held.coverage, {})
    if reply.etag != directory.etag:
        raise DecodeError
    return directory


def _add_facilities(directory: Directory, content: bytes) -> Directory:
    etag, _, facilities = content.partition(b"\n")
    whole = directory.replace(facilities=read_facilities(ListFacilitiesResponse.FromString(facilities).facilities))
    if etag != whole.facilities_etag.encode():
        raise DecodeError
    return whole
