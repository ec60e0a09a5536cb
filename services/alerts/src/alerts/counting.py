"""Keeps the statistics up to date from the event log, and makes way for whoever calls for help."""

import asyncio
import logging
from functools import partial

from alerts.operations.statistics import count_some, is_behind
from alerts.routing import Router
from chassis import telemetry
from chassis.database import Database
from chassis.errors import ServiceUnavailable

# After a step in which all was counted: what changes meanwhile is counted together, for less.
_PAUSE_SECONDS = 10.0
# As long as there is nothing to count, and between two steps of a longer count.
_POLL_SECONDS = 1.0
_STEP_SECONDS = 0.02
# While anybody else is waiting little is counted, but not nothing.
_BUSY_SECONDS = 0.5
_log = logging.getLogger(__name__)


async def keep_counted(database: Database, router: Router) -> None:
    """Until cancelled. Of several replicas one counts at a time."""
    while True:
        pause = _POLL_SECONDS
        try:
            # Without a directory nobody knows when a day begins.
            if router.has_snapshot and await database.read(is_behind):
                busy = database.pending > 0
                more = await database.write(partial(count_some, find_zone=router.find_zone), apart=True)
                pause = _PAUSE_SECONDS if not more else _BUSY_SECONDS if busy else _STEP_SECONDS
        except ServiceUnavailable:
            pass
        except Exception as error:  # noqa: BLE001  # statistics that cannot be kept must not end the service
            _log.error("the statistics cannot be counted: %s", telemetry.describe(error))  # without the error's text
            pause = _PAUSE_SECONDS
        await asyncio.sleep(pause)
