"""The process of the sentinel."""

import asyncio
import logging
import signal
from contextlib import suppress

import httpx

from chassis import telemetry
from chassis.settings import read_settings
from gateway import settings as gateway
from gateway.sentinel.drills import Sentinel
from gateway.sentinel.settings import Settings

_log = logging.getLogger(__name__)


def run_sentinel(settings: gateway.Settings) -> None:
    own = read_settings(Settings)
    end_telemetry = telemetry.start("sentinel", settings.platform)
    asyncio.run(watch_over(own))
    end_telemetry()


async def watch_over(settings: Settings) -> None:
    """Until the process is told to end."""
    task = asyncio.current_task()
    assert task
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    with suppress(asyncio.CancelledError):
        if settings.url and settings.token_url:
            _log.info("a drill SOS every %g s, through %s", settings.period_seconds, settings.url)
            async with httpx.AsyncClient(base_url=settings.url, timeout=settings.run_seconds) as http:
                await Sentinel(settings, http).run()
        _log.warning("the sentinel is off, and nothing tests the SOS path: set SENTINEL_URL and SENTINEL_TOKEN_URL")
        await asyncio.Event().wait()
    _log.info("the sentinel ends: nothing tests the SOS path")
