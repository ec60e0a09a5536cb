"""Looks at each new alert for what it belongs to and what makes it doubtful. An SOS does not wait for it."""

import asyncio
import hashlib
import logging
import time
from collections import defaultdict, deque
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import h3

from alerts.operations.grouping import assess_alerts, pass_over
from alerts.routing import Router
from alerts.store.incidents import Waiting, find_first_waiting, find_newest_time
from chassis import telemetry
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable

_POLL_SECONDS = 0.5
_AT_ONCE = 100
_PAUSE = 9.0
_CALM = timedelta(seconds=1)
_MAX_HEARD = 10_000
# Of the same words: the next one is compared with all of them.
_MAX_ALIKE = 500
_LATELY_SECONDS = 600.0
_MANY = 5
# Below it the same words are an accident: `help`, `tolong`.
_LEAST_CHARACTERS = 12
_log = logging.getLogger(__name__)


class _Heard(NamedTuple):
    time: float
    alert: str
    cell: str


class Grouper:
    """Which words came often of late, it knows of this process alone: that is a hint and no more."""

    def __init__(self, database: Database, router: Router) -> None:
        self._database, self._router = database, router
        self._heard: defaultdict[bytes, deque[_Heard]] = defaultdict(partial(deque, maxlen=_MAX_ALIKE))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.monotonic()
            try:
                while await self._database.read(find_first_waiting) and await self._assess(_AT_ONCE) == _AT_ONCE:
                    worked = time.monotonic() - began
                    # In a flood it takes a tenth of the time: whoever calls for help comes first. After it, half.
                    newest = await self._database.read(find_newest_time)
                    await asyncio.sleep(worked * (_PAUSE if newest and now() - newest < _CALM else 1.0))
                    began = time.monotonic()
            except ServiceUnavailable:
                pass
            await asyncio.sleep(_POLL_SECONDS)

    async def _assess(self, limit: int) -> int:
        """How many were looked at. Where that fails, each is looked at alone, and one that fails by itself is passed over."""
        try:
            with telemetry.work_span("assess alerts"):
                return await self._database.write(partial(assess_alerts, limit=limit, hear=self._hear, router=self._router))
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # one that cannot be grouped must not keep the others from it
            _log.error("an alert cannot be grouped: %s", telemetry.describe(error))
            if limit > 1:
                return sum([await self._assess(1) for _ in range(limit)])
            await self._database.write(pass_over)
            return 1

    def _hear(self, alert: Waiting) -> bool:
        """Whether its words came often of late from elsewhere: neighbours, whose app may write for them, see one fire. What is said in
        drills says nothing of emergencies.
        """
        if len(alert.note) < _LEAST_CHARACTERS:
            return False
        heard_time = time.monotonic()
        heard = self._heard[hashlib.blake2b(f"{alert.drill} {alert.note.casefold()}".encode(), digest_size=16).digest()]
        if len(self._heard) > _MAX_HEARD:
            self._heard.clear()
        while heard and heard[0].time < heard_time - _LATELY_SECONDS:
            heard.popleft()
        others = [each.cell for each in heard if each.alert != alert.name]
        if len(others) == len(heard):
            # Not the one that is looked at again, because it could not be grouped with others.
            heard.append(_Heard(heard_time, alert.name, alert.cell))
        # No kind reaches farther than these. An alert without a place is near nobody.
        near = set(h3.grid_disk(alert.cell, 1)) if alert.cell else set[str]()
        return sum(cell not in near for cell in others) > _MANY
