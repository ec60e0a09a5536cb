"""Reads the log for webhooks, and sends to each of them what is due, whatever becomes of the others."""

import asyncio
import logging
import random
import socket
from functools import partial

import httpx
from opentelemetry import metrics

from alerts.delivering.sending import Parcel, Sender
from alerts.model.deliveries import About, Attempt, Delivery
from alerts.operations import deliveries as operations
from alerts.operations.deliveries import Round
from alerts.store import webhooks as store
from alerts.wire import webhooks as wire
from chassis import telemetry
from chassis.clock import now
from chassis.database import Database
from chassis.errors import ServiceUnavailable

_POLL_SECONDS = 1.0
# Many commits in a row are read together.
_PAUSE_SECONDS = 0.1
# As long as there is nobody to tell.
_IDLE_SECONDS = 0.5
_SWEEP_SECONDS = 60.0
# Of one process: in a flood of alerts those who call for help come before those who are told of it.
_STARTS_A_SECOND = 150
_log = logging.getLogger(__name__)
_attempts = metrics.get_meter("alerts").create_counter("siaga.webhook.attempts", description="Attempts to deliver events, by result")


class Courier:
    """Each replica runs one. Of several that read the same events one moves the cursor, and each webhook is sent to by one
    process at a time; what that one leaves undone another takes over. `address` is the process's own, so that after its death
    the next one there goes on at once.
    """

    def __init__(self, database: Database, sender: Sender, address: str) -> None:
        self._database, self._sender = database, sender
        self._id = f"{socket.gethostname()} {address}"
        self._woken = asyncio.Event()
        self._serving: set[str] = set()
        self._next_turn = 0.0

    def wake(self) -> None:
        """Something may have happened, or be due."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. Nothing that goes wrong here may end the service that takes SOS."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_swept())
                while True:
                    idle = False
                    try:
                        idle = await self._take_turn(tasks)
                    except ServiceUnavailable:
                        pass
                    except Exception as error:  # noqa: BLE001  # as above
                        _log.error("the log cannot be read for webhooks: %s", telemetry.describe(error))
                    await self._rest(_IDLE_SECONDS if idle else _PAUSE_SECONDS)
        finally:
            try:
                await self._database.write(partial(operations.release_webhooks, sender=self._id))
            except ServiceUnavailable:
                _log.info("the database is away: others wait until this sender's time is over")

    async def _rest(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._woken.set)
        await asyncio.sleep(seconds)
        await self._woken.wait()
        self._woken.clear()
        timer.cancel()

    async def _take_turn(self, tasks: asyncio.TaskGroup) -> bool:
        """Whether there is no webhook at all."""
        reading = await self._database.read(partial(operations.read_log, now=now()))
        if reading.reached > reading.begun:
            await self._database.write(partial(operations.queue_events, reading=reading))
            # There may be more of them.
            self.wake()
        for name in await self._database.read(partial(store.find_due_webhooks, sender=self._id, now=now())):
            if name not in self._serving:
                self._serving.add(name)
                tasks.create_task(self._serve(name))
        return reading.idle

    async def _serve(self, name: str) -> None:
        """Round after round, until nothing is due. What an attempt came to is recorded with the taking of the next round: where that
        fails, the deliveries are due as before and go out once more.
        """
        attempts: dict[str, tuple[Attempt, float]] = {}
        url = ""
        try:
            async with self._sender.open() as transport:
                while due := await self._database.write(
                    partial(operations.advance_webhook, name=name, sender=self._id, attempts=attempts, now=now())
                ):
                    if due.webhook.url != (url := url or due.webhook.url):
                        # Connections that another name vouched for are of no use to this one: the next turn opens others.
                        break
                    attempts = await self._send_all(transport, due)
        except ServiceUnavailable:
            pass
        except Exception as error:  # noqa: BLE001  # one that cannot be served must not end the others
            _log.error("%s cannot be served: %s", name, telemetry.describe(error))
        finally:
            self._serving.discard(name)

    async def _send_all(self, transport: httpx.AsyncBaseTransport, due: Round) -> dict[str, tuple[Attempt, float]]:
        keys = [each.key for each in due.secrets]
        attempts = await asyncio.gather(*(self._send(transport, due.webhook.url, keys, *each) for each in due.deliveries))
        return {delivery.id: (attempt, random.random()) for (delivery, _), attempt in zip(due.deliveries, attempts, strict=True)}  # noqa: S311  # no secret

    async def _send(
        self, transport: httpx.AsyncBaseTransport, url: str, keys: list[bytes], delivery: Delivery, about: About | None
    ) -> Attempt:
        await self._wait_for_turn()
        with telemetry.event_span(f"deliver {delivery.type}", delivery.traceparent) as traceparent:
            attempt = await self._sender.send(transport, url, keys, Parcel(delivery.id, wire.to_event(delivery, about), traceparent))
        _attempts.add(1, {"result": attempt.result.name})
        return attempt

    async def _wait_for_turn(self) -> None:
        """In the order of asking. Who waits for an answer holds no turn."""
        time = asyncio.get_running_loop().time()
        self._next_turn = max(self._next_turn, time) + 1 / _STARTS_A_SECOND
        await asyncio.sleep(self._next_turn - time)

    async def _keep_swept(self) -> None:
        while True:
            more = False
            try:
                more = await self._database.write(partial(operations.sweep, now=now()))
            except ServiceUnavailable:
                pass
            except Exception as error:  # noqa: BLE001  # as in run
                _log.error("old deliveries cannot be swept: %s", telemetry.describe(error))
            await asyncio.sleep(_PAUSE_SECONDS if more else _SWEEP_SECONDS)
