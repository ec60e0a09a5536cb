"""The course of a watch: what is there, then what happens, each step with a cursor to go on from."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from chassis.database import Database
from chassis.errors import InvalidCursor
from chassis.events import EventLog
from chassis.opaque import unwrap, wrap
from chassis.tail import Change, EndReason, Heartbeat, Tail

S = TypeVar("S")
# The place in a cursor that was given out before the snapshot was complete: there is nothing to go on from but the start.
_START = "start"
# In a flood thousands are open, and whoever begins to watch must be shown them all.
_OPEN_SECONDS = 30.0
_POSITION = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Found(Generic[S]):
    """Something that was there when the watch began."""

    subject: S


@dataclass(frozen=True, slots=True)
class SnapshotEnd:
    """What was there is complete."""


Step = Found[S] | SnapshotEnd | Change[S] | Heartbeat | EndReason


class Watches(Generic[S]):
    """The watches of one kind of resource in an event log; the log's tail may load others, too."""

    def __init__(self, database: Database, log: EventLog, tail: Tail[Any], kind: type[S]) -> None:
        self._database, self._log, self._tail, self._kind = database, log, tail, kind

    async def follow(
        self,
        question: str,
        cursor: str,
        find_open: Callable[[Session], Sequence[S]],
        wants: Callable[[Change[S]], bool],
        expire_time: float = 0.0,
    ) -> AsyncIterator[tuple[str, Step[S]]]:
        """Each step with the cursor after it; cursors belong to `question` alone.

        Without a cursor it starts with what `find_open` finds, `now` with what happens from now on. Raises InvalidCursor
        and CursorExpired.
        """
        place = unwrap(question, cursor) if cursor not in {"", "now"} else None
        if cursor not in {"", "now"} and (place is None or (place != _START and not _POSITION.fullmatch(place))):
            raise InvalidCursor
        if cursor == "now":
            position = await self._database.read(self._log.position)
            yield wrap(question, str(position)), Heartbeat()
        elif place is None or place == _START:
            # The position and what is open are read in one snapshot, so that every later change is after it.
            position, found = await self._database.read(
                lambda session: (self._log.position(session), find_open(session)), seconds=_OPEN_SECONDS
            )
            for each in found:
                yield wrap(question, _START), Found(each)
            yield wrap(question, str(position)), SnapshotEnd()
        else:
            position = int(place)
            await self._database.read(lambda session: self._log.require_kept(session, position))
            yield cursor, Heartbeat()
        kind = self._kind
        of_kind = self._tail.follow(position, lambda change: isinstance(change.subject, kind) and wants(change), expire_time)
        async for reached, step in of_kind:
            yield wrap(question, str(reached)), step
