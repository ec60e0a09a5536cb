"""One reader of the log per process, which fans out to every watch."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from chassis import telemetry
from chassis.bell import Bell
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.events import Event, EventLog
from chassis.together import ReadsTogether

S = TypeVar("S")
HEARTBEAT_SECONDS = 15.0
POLL_SECONDS = 1.0
# A busy log rings after every commit; reading at each ring would cost more than the writes.
_PAUSE_SECONDS = 0.02
_QUEUE = 256
_AT_ONCE = 16
# What is told at once must fit into the queue of a reader who keeps up, or a burst would end every watch.
_BATCH = _QUEUE // 2
# More than one in ten are not slow by themselves: this process is, and gives them time before it tells them more.
_FEW = 0.1
_STALLED_SECONDS = 0.1
_LONGEST_SECONDS = 5.0
# Whoever takes nothing for so long after their queue has run over does not read; others are only behind.
_PATIENCE_SECONDS = 5.0
# What was loaded for a reader who has paused for so long is loaded anew: it may be what they must not see any more.
FRESH_SECONDS = 5.0
_FOR_EVER = 1e9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """An event, and what the service loaded for its resource, as it is now; `traceparent` of the tail's own span."""

    event: Event
    subject: S
    traceparent: str = ""


class EndReason(StrEnum):
    """Why the service ends a watch; the contract's words."""

    SLOW_READER = "SLOW_READER"
    SERVICE_STOPPING = "SERVICE_STOPPING"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  # a reason, no secret


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened since what was told before it. Of the fan-out `place` is up to where all was offered that was wanted."""

    place: int = 0


@dataclass(eq=False, slots=True)
class Follower(Generic[S]):
    """One watch's end of the tail; `wants` says which changes are its own."""

    wants: Callable[[Change[S]], bool]
    # Of the last change that it was given, or might have been.
    position: int
    queue: "asyncio.Queue[Change[S] | Heartbeat | EndReason]" = field(default_factory=lambda: asyncio.Queue(_QUEUE))
    # Ends it if it takes nothing more: its queue has run over, and it has to go on from the log.
    patience: asyncio.TimerHandle | None = None
    # What was loaded for it is from before a pause that it has just made.
    paused: bool = False
    ended: EndReason | None = None

    @property
    def must_read_anew(self) -> bool:
        """Its queue has run over, or is too old: it goes on from the log."""
        return self.paused or self.patience is not None

    def offer(self, item: Change[S] | Heartbeat) -> None:
        if not self.ended and not self.patience:
            try:
                self.queue.put_nowait(item)
            except asyncio.QueueFull:
                self.drop()
                self.patience = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self.end, EndReason.SLOW_READER)

    def leave(self) -> None:
        """It goes on from the log, or not at all."""
        if self.patience:
            self.patience.cancel()
            self.patience = None

    def end(self, reason: EndReason) -> None:
        """What still waits is dropped: the watcher finds it in the log after its cursor.

        A reader whose transport takes nothing is told when it reads again, and holds nothing meanwhile but its own call:
        grpc cannot end a call that waits for its reader, and a peer that is gone is noticed by its pings.
        """
        if self.ended is None:
            if reason is EndReason.SLOW_READER:
                _log.info("a watch was ended: its reader is too slow")
            self.ended = reason
            self.drop()
            self.queue.put_nowait(reason)

    def drop(self) -> None:
        """What waits: it stands in the log."""
        while not self.queue.empty():
            self.queue.get_nowait()


class _Turns:
    """Lets a few readers go on in each round of the loop. Hundreds in one round would make whoever calls for help wait for all of
    them, at each step on the way to the database and back.
    """

    def __init__(self) -> None:
        self._free = _AT_ONCE
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        if self._free == _AT_ONCE:
            asyncio.get_running_loop().call_soon(self._begin_round)
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _begin_round(self) -> None:
        self._free = _AT_ONCE
        while self._waiting and self._free:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._free -= 1
        if self._free < _AT_ONCE:
            asyncio.get_running_loop().call_soon(self._begin_round)


class Tail(Generic[S]):
    """`load` brings what the events' resources are now, by name, in the transaction that read the events."""

    def __init__(self, database: Database, log: EventLog, bell: Bell, load: Callable[[Session, set[str]], dict[str, S]]) -> None:
        self._database, self._log, self._bell, self._load = database, log, bell, load
        self._reads = ReadsTogether(database)
        self._watching: set[Follower[S]] = set()
        # Those of them who are told by the fan-out; the others go on from the log.
        self._followers: set[Follower[S]] = set()
        self._turns = _Turns()
        # Where the fan-out stands; None while nobody follows, when nothing is read.
        self._position: int | None = None
        # Up to where all followers were offered what is theirs: of what was read last that takes several rounds of the loop.
        self._offered = 0
        self._stopping: EndReason | None = None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            while True:
                await self._bell.wait(POLL_SECONDS)
                try:
                    await self._catch_up()
                except ServiceUnavailable:
                    await asyncio.sleep(POLL_SECONDS)
                except Exception:
                    # No watch may stand still and seem to be alive: whoever comes back goes on from the cursor.
                    self._end_all()
                    raise

    async def follow(
        self, position: int, wants: Callable[[Change[S]], bool], expire_time: float
    ) -> "AsyncIterator[tuple[int, Change[S] | Heartbeat | EndReason]]":
        """Every wanted change after `position` once and in order, each with where it stands; an EndReason is the last.

        `expire_time` is when the reader's right to follow ends, in seconds of the Unix epoch; 0 for never.
        """
        follower = Follower(wants, position)
        if self._stopping:
            follower.end(self._stopping)
        in_seconds = expire_time - time.time() if expire_time else _FOR_EVER
        self._watching.add(follower)
        expiry = asyncio.get_running_loop().call_later(in_seconds, follower.end, EndReason.TOKEN_EXPIRED)
        try:
            async for item in self._tell(follower):
                told = time.monotonic()
                yield follower.position, item
                follower.paused = time.monotonic() - told > FRESH_SECONDS
        finally:
            expiry.cancel()
            self._watching.discard(follower)
            self._leave(follower)

    async def _tell(self, follower: Follower[S]) -> "AsyncIterator[Change[S] | Heartbeat | EndReason]":
        """From the queue, and from the log where more is missed than a queue takes: when a watch comes back, or all are slow because
        this process is. To end those would bring them back at once, which costs more than to let them read.
        """
        while not follower.ended:
            follower.paused = False
            async for change in self._approach(follower):
                yield change
            async for change in self._join(follower):
                yield change
            while not follower.must_read_anew and isinstance(item := await follower.queue.get(), Change | Heartbeat):
                if isinstance(item, Change):
                    if item.event.id <= follower.position:
                        continue
                    follower.position = item.event.id
                    await self._turns.take()
                else:
                    # A quiet watch moves on, too, or its cursor would grow too old to resume from.
                    follower.position = max(follower.position, item.place)
                yield item
            self._leave(follower)
            follower.drop()
        yield follower.ended

    def _leave(self, follower: Follower[S]) -> None:
        follower.leave()
        self._followers.discard(follower)
        if not self._followers:
            self._position = None

    async def _approach(self, follower: Follower[S]) -> AsyncIterator[Change[S]]:
        """What the log has, until no more is missed than comes at once: a queue would run over while its reader catches up."""
        while not follower.ended and (stands := await self._find_place()) - follower.position > _BATCH:
            # From where all others read, too, who are about as far: it is read for them together.
            async for change in self._read_on(follower, follower.position // _BATCH * _BATCH, stands):
                yield change

    async def _join(self, follower: Follower[S]) -> AsyncIterator[Change[S]]:
        """What the log has up to where the tail stands; what comes after it, the queue will have.

        In this order nothing falls between the two: join, see where the tail stands, read up to there. Whoever read on until
        nothing is left would not arrive while many write, and the queue would run over with what it has read.
        """
        self._followers.add(follower)
        joined = self._position = await self._find_place()
        while follower.position < joined and not (follower.ended or follower.must_read_anew):
            async for change in self._read_on(follower, follower.position, joined):
                yield change

    async def _find_place(self) -> int:
        """Where the tail stands, or would."""
        if self._position is None:
            newest = await self._reads.read("position", self._log.position)
            return newest if self._position is None else self._position
        return self._position

    async def _read_on(self, follower: Follower[S], start: int, end: int) -> AsyncIterator[Change[S]]:
        """What a follower has not had of as much as is read at once after `start`; it stands at `end` where there is nothing."""
        began = follower.position
        changes, reached = await self._read(start)
        for change in changes:
            if change.event.id > follower.position and follower.wants(change) and not follower.ended:
                follower.position = change.event.id
                await self._turns.take()
                yield change
                if follower.must_read_anew:
                    return
        if not follower.ended:
            follower.position = reached if reached > began else end

    async def load(self, names: set[str]) -> dict[str, S]:
        """What these resources are now, by name."""
        return await self._database.read(lambda session: self._load(session, names))

    async def find(self, position: int) -> Change[S] | None:
        """The change at just this place."""
        changes, reached = await self._read(position - 1, 1)
        return changes[0] if changes and reached == position else None

    def stop(self) -> None:
        """Ends every watch, and whichever begins from now on."""
        self._stopping = EndReason.SERVICE_STOPPING
        self._end_all()

    def _end_all(self) -> None:
        """A reader who does not take notice keeps the tail at its place no longer."""
        for follower in self._watching:
            follower.end(EndReason.SERVICE_STOPPING)
        self._followers.clear()
        self._position = None

    async def _catch_up(self) -> None:
        while (position := self._position) is not None:
            changes, reached = await self._read(position)
            if reached == position:
                return
            if self._position != position:
                # All followers left meanwhile, and others may have come, for whom the tail stands elsewhere.
                continue
            self._position = reached
            for change in changes:
                with telemetry.event_span(f"tail {change.event.type}", change.event.traceparent) as traceparent:
                    told = Change(change.event, change.subject, traceparent) if traceparent else change
                    for follower in self._followers:
                        if follower.wants(told):
                            follower.offer(told)
                await asyncio.sleep(0)
            self._offered = reached
            await asyncio.sleep(_PAUSE_SECONDS)
            await self._let_read()

    async def _let_read(self) -> None:
        """Returns when there is room for as much again. Those who read nothing at all hold nobody up."""
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            crowded = {each: each.queue.qsize() for each in self._followers if each.queue.qsize() > _BATCH}
            if len(crowded) <= _FEW * len(self._followers):
                return
            await asyncio.sleep(_STALLED_SECONDS)
            if all(each.queue.qsize() >= size for each, size in crowded.items()):
                return

    async def _read(self, position: int, limit: int = _BATCH) -> tuple[Sequence[Change[S]], int]:
        """The changes after `position`, and how far they reach; a resource that was erased has none."""

        def read(session: Session) -> tuple[list[Change[S]], int]:
            events = self._log.after(session, position, limit)
            if not events:
                return [], position
            subjects = self._load(session, {event.resource for event in events})
            return [Change(event, subjects[event.resource]) for event in events if event.resource in subjects], events[-1].id

        return await self._reads.read((position, limit), read)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            for follower in self._followers:
                follower.offer(Heartbeat(self._offered))
