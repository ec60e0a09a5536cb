"""Removes past drills, a few at a time: no SOS waits for it."""

import asyncio
from functools import partial

from alerts.operations import drills
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable
from chassis.events import REPLAY

_SWEEP_SECONDS = 3600.0
_AT_ONCE = 20
_PAUSE_SECONDS = 0.1


async def keep_drills_swept(database: Database) -> None:
    """Until cancelled. They are kept for as long as whoever watches may come back."""
    while True:
        try:
            for remove in (drills.remove_drills, drills.remove_incidents):
                removed = _AT_ONCE
                while removed == _AT_ONCE:
                    removed = await database.write(partial(remove, before=now() - REPLAY, limit=_AT_ONCE))
                    await asyncio.sleep(_PAUSE_SECONDS)
        except ServiceUnavailable:
            pass
        await asyncio.sleep(_SWEEP_SECONDS)
