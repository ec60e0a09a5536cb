"""Whatever dies, stalls or fails: every event arrives at least once, and nobody pays for another one's dead endpoint."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest
from people import People, open_channel, run_service, start_service
from receiving import Agencies, Receiver, allow_private, answer, run_receiver, stall

from alerts.delivering.courier import Courier
from alerts.delivering.sending import Sender
from alerts.model.webhooks import Webhook
from alerts.operations import deliveries as operations
from alerts.settings import Settings
from alerts.store import webhooks as store
from chassis.clock import now
from chassis.database import Database
from chassis.testing import Issuer, free_port
from siaga.alerts.v1 import webhook_pb2

DELIVERED = webhook_pb2.WebhookDelivery.DELIVERED


# What does not depend on the database is shown on one alone.
SPARED = 12
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with run_receiver() as receiver:
        yield receiver


async def sign_in(channel: Any, issuer: Issuer) -> Agencies:
    people = People(channel, issuer)
    await people.dewi("ListAlerts")
    return Agencies(people)


class _OneAfterTheOther(Courier):
    """A mutant: whoever stalls holds up everybody."""

    async def _take_turn(self, tasks: asyncio.TaskGroup) -> bool:
        reading = await self._database.read(partial(operations.read_log, now=now()))
        if reading.reached > reading.begun:
            await self._database.write(partial(operations.queue_events, reading=reading))
        for name in await self._database.read(partial(store.find_due_webhooks, sender=self._id, now=now())):
            await self._serve(name)
        return reading.idle


@on_sqlite
class TestDeadEndpoints:
    async def measure(self, settings: Settings, issuer: Issuer, receiver: Receiver) -> float:
        """How long the slowest event took to a healthy receiver beside three that stall and one that refuses."""
        async with run_service(allow_private(settings)) as channel:
            agencies = await sign_in(channel, issuer)
            async with run_receiver(stall) as stalled:
                for url in (*[stalled.url] * 3, f"http://127.0.0.1:{free_port()}/"):
                    await agencies.machine("CreateWebhook", url=url)
                await agencies.machine("CreateWebhook", url=receiver.url, events=["AlertRaised"])
                raised: dict[str, float] = {}
                for _ in range(8):
                    began = time.time()
                    raised[(await agencies.raise_alert())[0]] = began
                    await asyncio.sleep(0.25)
                await receiver.wait_for(lambda requests: len(requests) == 8, 60)
                assert stalled.connections >= 3
        return max(each.time - raised[each.event["subject"]] for each in receiver.requests)

    async def test_they_cost_the_others_nothing(self, settings: Settings, issuer: Issuer, receiver: Receiver) -> None:
        assert await self.measure(settings, issuer, receiver) < 2

    async def test_served_one_after_the_other_they_would(
        self, settings: Settings, issuer: Issuer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("alerts.__main__.Courier", _OneAfterTheOther)
        monkeypatch.setattr("alerts.delivering.sending._SECONDS", 2.0)
        assert await self.measure(settings, issuer, receiver) > 2

    async def count_attempts(self, settings: Settings, issuer: Issuer, receiver: Receiver) -> int:
        """On an endpoint that fails, with many events to come, in three seconds; then it takes them all."""
        receiver.usually = answer(500)
        async with run_service(allow_private(settings)) as channel:
            agencies = await sign_in(channel, issuer)
            webhook = await agencies.machine("CreateWebhook", url=receiver.url, events=["AlertRaised"])
            for _ in range(40):
                await agencies.raise_alert()
            await asyncio.sleep(3)
            count = len(receiver.requests)
            assert len(await agencies.machine.list_deliveries(webhook.name, state=["PENDING"])) == 40
            receiver.usually = answer(200)
            # A test goes out at once, and with its success everything else.
            await agencies.machine("SendTestEvent", name=webhook.name)
            await agencies.machine.wait_for_state(webhook.name, DELIVERED, 41, seconds=20)
        return count

    async def test_one_that_fails_is_spared_until_it_takes_something(self, settings: Settings, issuer: Issuer, receiver: Receiver) -> None:
        assert 5 <= await self.count_attempts(settings, issuer, receiver) <= SPARED

    async def test_without_a_breaker_it_would_not_be(
        self, settings: Settings, issuer: Issuer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("alerts.model.webhooks._BREAKER_FAILURES", 1_000_000)
        assert await self.count_attempts(settings, issuer, receiver) > SPARED


class _CursorFirst(Courier):
    """A mutant: the cursor moves, and the deliveries follow in a commit of their own."""

    async def _take_turn(self, tasks: asyncio.TaskGroup) -> bool:
        reading = await self._database.read(partial(operations.read_log, now=now()))
        if reading.reached > reading.begun:
            alone = reading._replace(deliveries=[])
            await self._database.write(partial(operations.queue_events, reading=alone))
            await asyncio.sleep(0.2)
            await self._database.write(lambda session: store.add_deliveries(session, reading.deliveries))
        for name in await self._database.read(partial(store.find_due_webhooks, sender=self._id, now=now())):
            if name not in self._serving:
                self._serving.add(name)
                tasks.create_task(self._serve(name))
        return reading.idle


class TestRestarts:
    async def run(self, settings: Settings, issuer: Issuer, receiver: Receiver, seconds: float) -> None:
        """Every alert arrives that was raised while the service died again and again and the receiver failed at times."""
        calls = iter(range(10_000))

        async def at_times(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.05)
            await answer(500 if next(calls) % 5 == 0 else 200)(writer)

        receiver.usually = at_times
        raised = set[str]()
        settings = allow_private(settings)
        async with run_service(settings) as channel:
            agencies = await sign_in(channel, issuer)
            await agencies.machine("CreateWebhook", url=receiver.url, events=["AlertRaised"])
        chance = random.Random(7)
        for _ in range(8):
            async with run_service(settings) as channel:
                agencies = await sign_in(channel, issuer)
                end = time.monotonic() + chance.uniform(0.2, 0.6)
                while time.monotonic() < end:
                    raised.add((await agencies.raise_alert())[0])
                    await asyncio.sleep(0.05)
        async with run_service(settings):
            await receiver.wait_for(lambda requests: raised <= {each.event["subject"] for each in requests}, seconds)
        assert len(raised) >= 20

    async def test_nothing_is_lost(self, settings: Settings, issuer: Issuer, receiver: Receiver) -> None:
        await self.run(settings, issuer, receiver, 60)

    @on_sqlite
    async def test_with_a_cursor_that_moves_alone_something_would_be(
        self, settings: Settings, issuer: Issuer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("alerts.__main__.Courier", _CursorFirst)
        with pytest.raises(AssertionError, match="not within"):
            await self.run(settings, issuer, receiver, 8)

    @on_sqlite
    @pytest.mark.parametrize("elsewhere", [False, True])
    async def test_of_one_that_was_killed_the_webhooks_are_taken_over(
        self, settings: Settings, issuer: Issuer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, *, elsewhere: bool
    ) -> None:
        """It can give nothing back: its next process goes on at once, one elsewhere when its time is over."""
        monkeypatch.setattr("alerts.operations.deliveries.release_webhooks", lambda *_, **__: None)
        monkeypatch.setattr("alerts.model.webhooks._LEASE", timedelta(seconds=4))
        receiver.usually = stall
        settings = allow_private(settings)
        async with run_service(settings) as channel:
            agencies = await sign_in(channel, issuer)
            webhook = await agencies.machine("CreateWebhook", url=receiver.url, events=["AlertRaised"])
            name, _ = await agencies.raise_alert()
            await receiver.wait_for_type("AlertRaised", name)
        receiver.usually = answer(200)
        began = time.monotonic()
        if elsewhere:
            settings = settings.model_copy(update={"listen": f"127.0.0.1:{free_port()}"})
        async with run_service(settings) as channel:
            agencies = await sign_in(channel, issuer)
            await agencies.machine.wait_for_state(webhook.name, DELIVERED, seconds=25)
        assert (time.monotonic() - began > 2) == elsewhere


@pytest.mark.parametrize(("starts", "paced"), [(150, True), (1_000_000, False)])
async def test_no_flood_of_events_takes_the_place_of_an_sos(starts: int, monkeypatch: pytest.MonkeyPatch, *, paced: bool) -> None:
    """Without a pace, which is the mutant, they would all begin at once."""
    monkeypatch.setattr("alerts.delivering.courier._STARTS_A_SECOND", starts)
    courier = Courier(cast("Database", None), cast("Sender", None), "here")
    began = time.monotonic()
    await asyncio.gather(*(courier._wait_for_turn() for _ in range(150)))
    assert (time.monotonic() - began >= 0.9) == paced


@on_postgres
class TestReplicas:
    async def run(self, settings: Settings, issuer: Issuer, receiver: Receiver, slow: float) -> list[tuple[str, str]]:
        """What arrived while two replicas worked on one database, as (type, subject)."""

        async def dawdle(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(slow)
            await answer(200)(writer)

        receiver.usually = dawdle
        settings = allow_private(settings)
        other = settings.model_copy(update={"listen": f"127.0.0.1:{free_port()}"})
        async with run_service(settings) as channel, run_service(other) as other_channel:
            replicas = [await sign_in(each, issuer) for each in (channel, other_channel)]
            wanted = ["AlertRaised", "AlertRouted", "AlertAcknowledged"]
            webhook = await replicas[0].machine("CreateWebhook", url=receiver.url, events=wanted)
            for number in range(20):
                name, _ = await replicas[number % 2].raise_alert()
                await replicas[(number + 1) % 2].people.rina("AcknowledgeAlert", name=name)
            await replicas[0].machine.wait_for_state(webhook.name, DELIVERED, 60, seconds=60)
            # What came twice may come after the first.
            await asyncio.sleep(2)
        return [(each.type, each.event["subject"]) for each in receiver.requests]

    @pytest.mark.parametrize("slow", [0.0, 1.2])
    async def test_two_send_each_event_once(self, settings: Settings, issuer: Issuer, receiver: Receiver, slow: float) -> None:
        arrived = await self.run(settings, issuer, receiver, slow)
        assert len(arrived) == len(set(arrived)) == 60

    async def test_without_a_lease_some_would_come_twice(
        self, settings: Settings, issuer: Issuer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Webhook, "lease", lambda *_: True)
        arrived = await self.run(settings, issuer, receiver, 1.2)
        assert len(arrived) > len(set(arrived))

    async def test_another_takes_over_when_one_is_stopped(self, settings: Settings, issuer: Issuer, receiver: Receiver) -> None:
        receiver.usually = stall
        settings = allow_private(settings)
        other = settings.model_copy(update={"listen": f"127.0.0.1:{free_port()}"})
        async with run_service(settings) as channel:
            agencies = await sign_in(channel, issuer)
            webhook = await agencies.machine("CreateWebhook", url=receiver.url, events=["AlertRaised"])
            name, _ = await agencies.raise_alert()
            await receiver.wait_for_type("AlertRaised", name)
            serving = await start_service(other)
        try:
            receiver.usually = answer(200)
            async with open_channel(other) as channel:
                agencies = await sign_in(channel, issuer)
                # It was given back, so that nobody waits for the lease to end.
                await agencies.machine.wait_for_state(webhook.name, DELIVERED, seconds=5)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
