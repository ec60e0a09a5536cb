"""Looks at each new alert for what it belongs to and what makes it doubtful. An SOS does not wait for it."""

import asyncio
import hashlib
import logging
import time
from collections import Counter, defaultdict
from datetime import timedelta
from functools import partial

import h3
from sqlalchemy.orm import Session

from alerts.operations.grouping import assess_alerts, pass_over
from alerts.routing import Router
from alerts.store.incidents import Waiting, find_first_waiting, find_newest_time, lock_grouping
from chassis import telemetry
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable

_POLL_SECONDS = 0.5
_AT_ONCE = 100
_LEAST = 10
# So long it may hold what it locks: whoever answers one of these alerts meanwhile waits for it.
_HELD_SECONDS = 0.2
_PAUSE = 9.0
_CALM = timedelta(seconds=1)
_MAX_HEARD = 10_000
# Of the same words.
_MAX_ALIKE = 500
_LATELY_SECONDS = 600.0
_MANY = 5
# Below it the same words are an accident: `help`, `tolong`.
_LEAST_CHARACTERS = 12
_log = logging.getLogger(__name__)


class _Alike:
    """Alerts with the same words, each with when it was heard and its cell, the oldest first; and how many are in a cell."""

    def __init__(self) -> None:
        self.heard: dict[str, tuple[float, str]] = {}
        self.cells: Counter[str] = Counter()

    def hear(self, alert: Waiting, moment: float) -> int:
        """How many others there are from elsewhere. No kind reaches farther than the cells next to its own; an alert without a
        place is near nobody.
        """
        while self.heard:
            name, (time_heard, cell) = next(iter(self.heard.items()))
            if time_heard >= moment - _LATELY_SECONDS and len(self.heard) < _MAX_ALIKE:
                break
            del self.heard[name]
            self.cells[cell] -= 1
            if not self.cells[cell]:
                del self.cells[cell]
        # One that could not be grouped with others is looked at again.
        again = alert.name in self.heard
        others = len(self.heard) - again
        near = sum(self.cells[cell] for cell in h3.grid_disk(alert.cell, 1)) - again if alert.cell else 0
        if not again:
            self.heard[alert.name] = moment, alert.cell
            self.cells[alert.cell] += 1
        return others - near


class Grouper:
    """Which words came often of late, it knows of this process alone: that is a hint and no more."""

    def __init__(self, database: Database, router: Router) -> None:
        self._database, self._router = database, router
        self._heard: defaultdict[bytes, _Alike] = defaultdict(_Alike)
        # How many at once.
        self._limit = _AT_ONCE

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.monotonic()
            try:
                while await self._database.read(find_first_waiting) and await self._assess(limit := self._limit) == limit:
                    worked = time.monotonic() - began
                    # In a flood it takes a tenth of the time: whoever calls for help comes first. After it, half.
                    newest = await self._database.read(find_newest_time)
                    await asyncio.sleep(worked * (_PAUSE if newest and now() - newest < _CALM else 1.0))
                    began = time.monotonic()
            except ServiceUnavailable:
                self._limit = max(_LEAST, self._limit // 2)
            await asyncio.sleep(_POLL_SECONDS)

    async def _assess(self, limit: int) -> int:
        """How many were looked at. Where that fails, each is looked at alone, and one that fails by itself is passed over."""
        try:
            with telemetry.work_span("assess alerts"):
                return await self._database.write(partial(self._work, limit=limit))
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # one that cannot be grouped must not keep the others from it
            _log.error("an alert cannot be grouped: %s", telemetry.describe(error))
            if limit > 1:
                return sum([await self._assess(1) for _ in range(limit)])
            await self._database.write(pass_over)
            return 1

    def _work(self, session: Session, limit: int) -> int:
        lock_grouping(session)
        began = time.monotonic()
        count = assess_alerts(session, limit, self._hear, self._router)
        if count == self._limit:
            # Those that come to rest with one whom somebody has taken are each loaded: as many as there is time for.
            fitting = int(count * _HELD_SECONDS / max(time.monotonic() - began, 0.001))
            self._limit = max(_LEAST, min(_AT_ONCE, 2 * count, fitting))
        return count

    def _hear(self, alert: Waiting) -> bool:
        """Whether its words came often of late from elsewhere: neighbours, whose app may write for them, see one fire. What is said in
        drills says nothing of emergencies.
        """
        if len(alert.note) < _LEAST_CHARACTERS:
            return False
        alike = self._heard[hashlib.blake2b(f"{alert.drill} {alert.note.casefold()}".encode(), digest_size=16).digest()]
        if len(self._heard) > _MAX_HEARD:
            self._heard.clear()
        return alike.hear(alert, time.monotonic()) > _MANY
