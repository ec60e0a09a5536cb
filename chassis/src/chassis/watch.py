"""The course of a watch: what is there, then what happens, each step with a cursor to go on from."""

import asyncio
import base64
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.errors import InvalidCursor
from chassis.events import EventLog
from chassis.tail import FRESH_SECONDS, Change, EndReason, Heartbeat, Tail
from chassis.together import ReadsTogether

S = TypeVar("S")
# The place in a cursor that was given out before the snapshot was complete: there is nothing to go on from but the start.
_START = -1
# Of what is to be sealed or was, and where it holds.
Sealing = Callable[[bytes, str], bytes]
# So many watches' places are at hand: whoever asks the same is at the same place within moments.
_QUESTIONS = 1000
# In a flood thousands are open, and whoever begins to watch must be shown them all.
_OPEN_SECONDS = 30.0
# So many of them are loaded at once for whoever takes them slowly.
_PAGE = 128


@dataclass(frozen=True, slots=True)
class Found(Generic[S]):
    """Something that was there when the watch began."""

    subject: S


@dataclass(frozen=True, slots=True)
class SnapshotEnd:
    """What was there is complete."""


class _Loaded(Generic[S]):
    """What was there by name, until its reader has paused or it is old: it may have become what they must not see, and holds much."""

    def __init__(self, subjects: Mapping[str, S]) -> None:
        self.subjects = subjects
        self._loop = asyncio.get_running_loop()
        self._began = self._taken = self._loop.time()
        self._timer = self._loop.call_later(FRESH_SECONDS, self._look)

    def take(self, name: str) -> S | None:
        """None where it has been forgotten, or is by now."""
        if self._loop.time() - self._taken >= FRESH_SECONDS:
            self.forget()
        self._taken = self._loop.time()
        return self.subjects.get(name)

    def forget(self) -> None:
        self._timer.cancel()
        self.subjects = {}

    def _look(self) -> None:
        if self._loop.time() - self._taken >= FRESH_SECONDS or self._loop.time() - self._began >= _OPEN_SECONDS:
            self.forget()
        else:
            self._timer = self._loop.call_later(FRESH_SECONDS, self._look)


Step = Found[S] | SnapshotEnd | Change[S] | Heartbeat | EndReason


class Watches(Generic[S]):
    """The watches of one kind of resource in an event log; the log's tail may load others, too.

    Cursors are sealed: by the log's own numbers everybody could tell how much happens that they are not shown. `unseal` raises
    ValueError for what was not sealed for just this.
    """

    def __init__(self, database: Database, log: EventLog, tail: Tail[Any], kind: type[S], seal: Sealing, unseal: Sealing) -> None:
        self._database, self._log, self._tail, self._kind = database, log, tail, kind
        self._seal, self._unseal = seal, unseal
        self._reads = ReadsTogether(database)
        # Of a change for all who ask the same; what is quiet must look different each time.
        self._write_once = lru_cache(_QUESTIONS)(self._write)

    async def follow(
        self,
        question: str,
        cursor: str,
        find_open: Callable[[Session], Mapping[str, S]],
        wants: Callable[[Change[S]], bool],
        expire_time: float = 0.0,
    ) -> AsyncIterator[tuple[str, Step[S]]]:
        """Each step with the cursor after it; cursors belong to `question` alone, which says what `find_open` finds.

        Without a cursor it starts with what `find_open` finds, by name as the tail loads it; `now` with what happens from now on. Raises
        InvalidCursor and CursorExpired.
        """
        place = _START if cursor in {"", "now"} else self._read(question, cursor)
        if cursor == "now":
            position = await self._database.read(self._log.position)
            yield self._write(question, position), Heartbeat()
        elif place == _START:

            def read(session: Session) -> tuple[int, Mapping[str, S], str]:
                """The position and what is open from one snapshot, so that every later change is after it."""
                return self._log.position(session), find_open(session), self._write(question, _START)

            position, found, start = await self._reads.read(question, read, seconds=_OPEN_SECONDS)
            showing = self._show(_Loaded(found))
            del found
            async for each in showing:
                if expire_time and time.time() >= expire_time:
                    yield start, EndReason.TOKEN_EXPIRED
                    return
                yield start, Found(each)
            yield self._write(question, position), SnapshotEnd()
        else:
            position = place
            await self._database.read(lambda session: self._log.require_kept(session, position))
            yield cursor, Heartbeat()
        kind = self._kind
        of_kind = self._tail.follow(position, lambda change: isinstance(change.subject, kind) and wants(change), expire_time)
        async for reached, step in of_kind:
            yield (self._write_once if isinstance(step, Change) else self._write)(question, reached), step

    async def _show(self, loaded: "_Loaded[S]") -> AsyncIterator[S]:
        """All of them to whoever takes them; to those who pause what the rest has become meanwhile, a page at a time."""
        names = deque(loaded.subjects)
        try:
            while names:
                if (subject := loaded.take(names[0])) is None:
                    loaded.forget()
                    page = list(islice(names, _PAGE))
                    loaded = _Loaded(await self._tail.load(set(page)))
                    # What has gone is shown to nobody.
                    names = deque([*(each for each in page if each in loaded.subjects), *islice(names, len(page), None)])
                    continue
                names.popleft()
                if isinstance(subject, self._kind):
                    yield subject
        finally:
            loaded.forget()

    async def find_last(self, question: str, cursor: str, wants: Callable[[Change[S]], bool]) -> Change[S] | None:
        """The last change before a cursor: where one makes several messages with one cursor, whoever resumes may not have had all
        of them. None where the watch wants none there. Raises InvalidCursor.
        """
        if cursor in {"", "now"} or (place := self._read(question, cursor)) == _START:
            return None
        found = await self._tail.find(place)
        return found if found and isinstance(found.subject, self._kind) and wants(found) else None

    def _write(self, question: str, place: int) -> str:
        sealed = self._seal(place.to_bytes(8, signed=True), f"cursor\0{question}")
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def _read(self, question: str, cursor: str) -> int:
        try:
            sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            return int.from_bytes(self._unseal(sealed, f"cursor\0{question}"), signed=True)
        except ValueError:
            raise InvalidCursor from None
