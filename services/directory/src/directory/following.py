"""Watches of the directory. They follow what is in memory and not the log, so that nobody is told of what cannot be had here yet."""

import asyncio
import time
from collections.abc import AsyncIterator

from chassis.clock import now
from chassis.errors import InvalidCursor
from chassis.identity import caller
from chassis.opaque import unwrap, wrap
from chassis.tail import HEARTBEAT_SECONDS
from directory import wire
from directory.current import CurrentDirectory
from siaga.directory.v1.directory_service_pb2 import WatchDirectoryResponse

_QUESTION = "WatchDirectory"
_End = WatchDirectoryResponse.End


class Following:
    """The watches of one process. A slow reader is told of the newest directory alone, and never ended for it."""

    def __init__(self, current: CurrentDirectory) -> None:
        self._current = current
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends every watch, and whichever begins from now on."""
        self._stopping.set()

    async def watch(self, cursor: str) -> AsyncIterator[WatchDirectoryResponse]:
        """Without a cursor it begins with what there is. Raises InvalidCursor."""
        told = unwrap(_QUESTION, cursor) if cursor not in {"", "now"} else None
        if cursor not in {"", "now"} and told is None:
            raise InvalidCursor
        expire_time = caller.get().expire_time
        if cursor == "":
            told = self._place
            yield self._tell("DirectoryOpen")
            yield WatchDirectoryResponse(cursor=self._cursor, snapshot_end=WatchDirectoryResponse.SnapshotEnd())
        else:
            told = told or self._place
            yield WatchDirectoryResponse(cursor=wrap(_QUESTION, told), heartbeat=WatchDirectoryResponse.Heartbeat())
        while True:
            if told != self._place:
                told = self._place
                yield self._tell("DirectoryChanged")
                continue
            seconds = min(HEARTBEAT_SECONDS, expire_time - time.time()) if expire_time else HEARTBEAT_SECONDS
            await self._current.wait_for_news(self._stopping, max(seconds, 0))
            if self._stopping.is_set() or (expire_time and time.time() >= expire_time):
                reason = _End.SERVICE_STOPPING if self._stopping.is_set() else _End.TOKEN_EXPIRED
                yield WatchDirectoryResponse(cursor=wrap(_QUESTION, told), end=_End(reason=reason))
                return
            if told == self._place:
                yield WatchDirectoryResponse(cursor=self._cursor, heartbeat=WatchDirectoryResponse.Heartbeat())

    @property
    def _place(self) -> str:
        directory = self._current.directory
        return f"{directory.etag} {directory.facilities_etag}"

    @property
    def _cursor(self) -> str:
        return wrap(_QUESTION, self._place)

    def _tell(self, kind: str) -> WatchDirectoryResponse:
        current, directory = self._current, self._current.directory
        edition = WatchDirectoryResponse.Edition(
            etag=directory.etag,
            facilities_etag=directory.facilities_etag,
            areas=len(directory.areas.by_name),
            facilities=len(directory.facilities.records),
            stale=current.stale,
            load_time=current.load_stamp,
        )
        time_of = wire.to_timestamp(now()) if kind == "DirectoryChanged" else None
        event = WatchDirectoryResponse.Event(type=kind, create_time=time_of, directory=edition)
        return WatchDirectoryResponse(cursor=self._cursor, event=event)
