"""The hops of the SOS path: how long each takes, and which of them are late."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from chassis import telemetry

# In their order; of a drill that fails at one of them, the later ones keep what they were.
HOPS: tuple[str, ...] = ("sign-in", "raise", "console", "receipt", "acknowledge", "caller", "resolve", "end")
_log = logging.getLogger(__name__)


class Hops:
    """`limit` is in seconds. What is late turns so the moment that its limit is over, and well when it next keeps it."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._late = dict.fromkeys(HOPS, False)
        # Whether any was late since it was last set to False.
        self.was_late = False
        meter = metrics.get_meter("gateway.sentinel")
        self._seconds = meter.create_histogram(
            "siaga.sentinel.hop",
            "s",
            "How long the hops of a drill SOS took, by hop",
            explicit_bucket_boundaries_advisory=telemetry.LONG_BUCKETS,
        )
        meter.create_observable_gauge("siaga.sentinel.late", [self._observe], description="1 while a hop is late or fails, by hop")

    @asynccontextmanager
    async def take(self, hop: str) -> AsyncGenerator[None, None]:
        began = time.monotonic()
        # A hop that never ends is no less late.
        limit = asyncio.get_running_loop().call_later(self._limit, self._turn_late, hop)
        try:
            yield
        except Exception:
            self._turn_late(hop)
            raise
        finally:
            limit.cancel()
        seconds = time.monotonic() - began
        self._seconds.record(seconds, {"hop": hop})
        if seconds > self._limit:
            self._turn_late(hop)
        elif self._late[hop]:
            self._late[hop] = False
            _log.info("the SOS path is well again at: %s", hop)

    def _turn_late(self, hop: str) -> None:
        self.was_late = True
        if not self._late[hop]:
            self._late[hop] = True
            _log.error("the SOS path is late at: %s", ", ".join(each for each in HOPS if self._late[each]))

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(late), {"hop": hop}) for hop, late in self._late.items()]
