"""The bell that wakes whoever reads the log. A ring that is lost costs one polling interval and nothing else."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_RETRY_SECONDS = 1.0
# Many commits in a row ring the others once: a ring says that there is something to read, not what.
_PAUSE_SECONDS = 0.02
_log = logging.getLogger(__name__)


class Bell:
    """Rings in this process, and over Redis in the other replicas of the service. Redis may be away. One waits for it; whoever
    else shall hear it is among the `listeners`, which are called at each ring.
    """

    def __init__(self, channel: str, redis_url: str) -> None:
        self._channel = channel
        self.listeners: list[Callable[[], None]] = []
        self._rung = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._away = False
        self._sender = secrets.token_hex(8).encode()
        # The defaults would block for 4 s when refused and 60 s when nothing answers, and retry in silence.
        self._redis = Redis.from_url(
            redis_url,
            socket_connect_timeout=0.2,
            socket_timeout=0.5,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            health_check_interval=5,
        )

    def ring(self) -> None:
        self._hear()
        self._to_tell.set()

    async def wait(self, timeout: float) -> None:  # a call_later is a third of asyncio.timeout's cost
        """Returns when the bell has rung since the last wait, or after `timeout` seconds."""
        if not self._rung.is_set():
            timer = asyncio.get_running_loop().call_later(timeout, self._rung.set)
            await self._rung.wait()
            timer.cancel()
        self._rung.clear()

    async def run(self) -> None:
        """Carries the rings over Redis until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(self._tell))
                tasks.create_task(self._keep(self._listen))
        finally:
            await self._redis.aclose()

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begins `work` again whenever Redis fails it."""
        while True:
            try:
                await work()
            except (RedisError, OSError) as error:
                if not self._away:
                    _log.warning("Redis is away (%s): readers poll each second meanwhile", type(error).__name__)
                self._away = True
            await asyncio.sleep(_RETRY_SECONDS)

    async def _tell(self) -> None:
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            await self._redis.publish(self._channel, self._sender)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(self._channel)
            self._away = False
            # What was rung while nobody listened.
            self._hear()
            while True:
                message = await subscription.get_message(timeout=5)
                if message is not None and message["data"] != self._sender:
                    self._hear()

    def _hear(self) -> None:
        self._rung.set()
        for listener in self.listeners:
            listener()
