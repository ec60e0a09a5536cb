"""What happens to an agency's alerts reaches its system: signed, as CloudEvents, once, and with nothing of anybody in it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from people import MONAS, People, new_id, refusal_of, run_service
from receiving import ROOM, Agencies, Received, Receiver, allow_private, answer, run_receiver
from sqlalchemy import make_url
from standardwebhooks.webhooks import WebhookVerificationError
from warned import Readers, make_snapshot

from alerts.model import Model
from alerts.settings import Settings
from chassis.testing import Issuer
from siaga.alerts.v1 import webhook_pb2

PENDING, DELIVERED = webhook_pb2.WebhookDelivery.PENDING, webhook_pb2.WebhookDelivery.DELIVERED


@pytest.fixture
async def agencies(settings: Settings, issuer: Issuer) -> AsyncIterator[Agencies]:
    async with run_service(allow_private(settings)) as channel:
        people = People(channel, issuer)
        await people.dewi("ListAlerts")
        yield Agencies(people)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with run_receiver() as receiver:
        yield receiver


async def create(agencies: Agencies, receiver: Receiver, **fields: Any) -> Any:
    return await agencies.machine("CreateWebhook", **({"url": receiver.url, "requestId": new_id()} | fields))


class TestWhatGoesOut:
    async def test_each_event_arrives_once_signed_and_as_a_cloud_event(self, agencies: Agencies, receiver: Receiver) -> None:
        webhook = await create(agencies, receiver)
        name, _ = await agencies.raise_alert(kind="FIRE", location={"point": MONAS})
        await agencies.people.rina("AcknowledgeAlert", name=name)
        await receiver.wait_for(lambda requests: len(requests) == 3)
        await agencies.machine.wait_for_state(webhook.name, DELIVERED, 3)
        assert sorted(receiver.types) == ["AlertAcknowledged", "AlertRaised", "AlertRouted"]
        for each in receiver.requests:
            event = each.verify(webhook.secret)
            assert event.get_specversion() == "1.0"
            assert event.get_source() == "//siaga/alerts"
            assert event.get_subject() == name
            assert event.get_datacontenttype() == "application/json"
            assert event.get_id() == each.id
            assert event.get_time() is not None and event.get_time().tzinfo is not None
            assert (each.target, each.headers["host"]) == ("/siaga", receiver.url.split("/")[2])
        assert len({each.id for each in receiver.requests}) == 3

    async def test_the_data_has_what_is_allowed_and_nothing_more(self, agencies: Agencies, receiver: Receiver) -> None:
        await create(agencies, receiver, events=["AlertRaised", "AlertRouted"])
        name, _ = await agencies.raise_alert(kind="FIRE", note="words", location={"point": MONAS}, caller={"callbackPhone": "+62811"})
        raised = (await receiver.wait_for_type("AlertRaised")).event["data"]
        assert set(raised) == {"alert", "drill", "restricted", "kind", "area", "cell"}
        assert (raised["alert"], raised["drill"], raised["restricted"], raised["kind"]) == (name, False, False, "FIRE")
        routed = (await receiver.wait_for_type("AlertRouted")).event["data"]
        assert routed == {"alert": name, "drill": False, "restricted": False, "agency": ROOM}

    async def test_nobody_and_nobodys_words_are_in_any_event(self, agencies: Agencies, receiver: Receiver) -> None:
        await create(agencies, receiver)
        people = agencies.people
        name, holder = await people.raise_alert(
            note="words", location={"point": MONAS}, caller={"displayName": "Dewi Lestari", "callbackPhone": "+62811223344"}
        )
        await people.machine("AcknowledgeAlert", name=name, operator="Rina Wijaya")
        await people.sari("AddNote", name=name, text="a note of the room")
        await people.sari("RecordContact", name=name, means="CALL", result="REACHED", text="called back")
        await people.sari("SendMessage", name=name, text="help is coming")
        await people.sari("AssignAlert", name=name, assignee="budi")
        await holder("TrackAlert", name=name, locations=[{"point": MONAS}])
        await people.sari("ResolveAlert", name=name, outcome="HELPED")
        await receiver.wait_for_type("AlertResolved")
        await receiver.wait_for(lambda requests: len(requests) >= 9)
        sent = b"".join(each.body + str(each.headers).encode() + each.target.encode() for each in receiver.requests)
        secrets = [
            b"words",
            b"Dewi",
            b"+62811",
            b"Rina",
            b"a note",
            b"called back",
            b"help is",
            b"budi",
            b"dewi",
            b"sari",
            b"106.8",
            b"-6.17",
        ]
        assert [each for each in secrets if each in sent] == []

    @pytest.mark.parametrize("restricted", [{"silent": True}, {"kind": "VIOLENCE"}])
    async def test_of_a_restricted_alert_it_tells_that_it_exists(
        self, agencies: Agencies, receiver: Receiver, restricted: dict[str, Any]
    ) -> None:
        await create(agencies, receiver)
        name, _ = await agencies.raise_alert(**restricted, location={"point": MONAS})
        await agencies.people.sari("AcknowledgeAlert", name=name)
        # That there was a call would tell of it, too.
        await agencies.people.sari("RecordContact", name=name, means="CALL", result="BUSY")
        await agencies.people.sari("ResolveAlert", name=name, outcome="HELPED")
        await receiver.wait_for_type("AlertResolved")
        await receiver.wait_for(lambda requests: len(requests) == 4)
        assert [each.event["data"] for each in receiver.requests] == [{"alert": name, "drill": False, "restricted": True}] * 4

    async def test_an_alert_that_has_become_restricted_tells_no_more_at_a_later_attempt(
        self, agencies: Agencies, receiver: Receiver
    ) -> None:
        receiver.usually = answer(503)
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        name, _ = await agencies.raise_alert(kind="FIRE")
        first = await receiver.wait_for_type("AlertRaised")
        await agencies.people.rina("AcknowledgeAlert", name=name)
        await agencies.people.rina("UpdateAlert", alert={"name": name, "kind": "VIOLENCE"})
        receiver.usually = answer(200)
        await agencies.machine.wait_for_state(webhook.name, DELIVERED)
        last = receiver.requests[-1]
        assert (first.event["data"]["kind"], last.event["data"]) == ("FIRE", {"alert": name, "drill": False, "restricted": True})
        assert first.id == last.id


class TestWhoIsTold:
    async def test_only_agencies_with_a_part_in_the_alert(self, agencies: Agencies, receiver: Receiver) -> None:
        async with run_receiver() as elsewhere:
            await create(agencies, receiver)
            await agencies.bandung("CreateWebhook", url=elsewhere.url)
            await agencies.raise_alert()
            await receiver.wait_for_type("AlertRouted")
            await agencies.raise_alert()
            await receiver.wait_for(lambda requests: len(requests) == 4)
            assert elsewhere.requests == []

    async def test_only_of_the_types_that_it_asked_for(self, agencies: Agencies, receiver: Receiver) -> None:
        await create(agencies, receiver, events=["AlertAcknowledged"])
        name, _ = await agencies.raise_alert()
        await agencies.people.rina("AcknowledgeAlert", name=name)
        await receiver.wait_for_type("AlertAcknowledged")
        assert receiver.types == ["AlertAcknowledged"]

    async def test_of_drills_only_where_it_wants_them(self, agencies: Agencies, receiver: Receiver) -> None:
        async with run_receiver() as drilled:
            await create(agencies, receiver)
            await create(agencies, drilled, includeDrills=True)
            await agencies.raise_alert(by=agencies.people.rina, drill=True)
            await drilled.wait_for_type("AlertRouted")
            await agencies.raise_alert()
            await receiver.wait_for(lambda requests: len(requests) == 2)
            await drilled.wait_for(lambda requests: len(requests) == 4)
            assert {each.event["data"]["drill"] for each in receiver.requests} == {False}

    async def test_of_nothing_that_was_before_it(self, agencies: Agencies, receiver: Receiver) -> None:
        before, _ = await agencies.raise_alert()
        await create(agencies, receiver)
        after, _ = await agencies.raise_alert()
        await receiver.wait_for(lambda requests: len(requests) == 2)
        assert {each.event["subject"] for each in receiver.requests} == {after} != {before}

    async def test_of_nothing_while_it_is_disabled_and_of_all_that_comes_after(self, agencies: Agencies, receiver: Receiver) -> None:
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        off = await agencies.machine("UpdateWebhook", webhook={"name": webhook.name, "state": "DISABLED"})
        assert (off.state, off.disable_reason) == (webhook_pb2.Webhook.DISABLED, webhook_pb2.Webhook.REQUESTED)
        unheard, _ = await agencies.raise_alert()
        on = await agencies.machine("UpdateWebhook", webhook={"name": webhook.name, "state": "ENABLED"})
        assert (on.state, on.disable_reason) == (webhook_pb2.Webhook.ENABLED, 0)
        heard, _ = await agencies.raise_alert()
        await receiver.wait_for_type("AlertRaised", heard)
        assert unheard not in {each.event["subject"] for each in receiver.requests}

    async def test_a_removed_one_is_told_of_nothing_more(self, agencies: Agencies, receiver: Receiver) -> None:
        receiver.usually = answer(500)
        webhook = await create(agencies, receiver)
        await agencies.raise_alert()
        await receiver.wait_for_type("AlertRaised")
        await agencies.machine("DeleteWebhook", name=webhook.name)
        assert (await refusal_of(agencies.machine("GetWebhook", name=webhook.name))).reason == "WEBHOOK_NOT_FOUND"
        async with run_receiver() as other:
            await create(agencies, other)
            await agencies.raise_alert()
            await other.wait_for(lambda requests: len(requests) == 2)
        count = len(receiver.requests)
        # Its first deliveries' next attempts would have been by now.
        await asyncio.sleep(2.5)
        assert len(receiver.requests) == count


async def test_every_agency_is_told_of_a_public_warning(settings: Settings, issuer: Issuer, receiver: Receiver) -> None:
    settings.snapshot_file.write_bytes(make_snapshot().SerializeToString())
    async with run_service(allow_private(settings)) as channel:
        agencies, readers = Agencies(People(channel, issuer)), Readers(channel, issuer)
        webhook = await agencies.bandung("CreateWebhook", url=receiver.url)
        await readers.sari.issue(status="EXERCISE")
        warning = (await readers.sari.issue()).name
        issued = await receiver.wait_for_type("WarningIssued", warning)
    assert issued.verify(webhook.secret).get_data() == {"warning": warning, "number": 1}
    assert len(receiver.requests) == 1


class TestTrying:
    async def test_what_is_not_taken_is_tried_again_under_its_id(self, agencies: Agencies, receiver: Receiver) -> None:
        receiver.behaviours = [answer(500), answer(404)]
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        await agencies.raise_alert()
        (delivery,) = await agencies.machine.wait_for_state(webhook.name, DELIVERED, seconds=20)
        assert [(each.result, each.status_code) for each in delivery.attempts] == [
            (webhook_pb2.WebhookDelivery.Attempt.STATUS, 500),
            (webhook_pb2.WebhookDelivery.Attempt.STATUS, 404),
            (webhook_pb2.WebhookDelivery.Attempt.TAKEN, 204),
        ]
        assert not delivery.HasField("next_attempt_time")
        assert len({each.id for each in receiver.requests}) == 1
        assert len({each.body for each in receiver.requests}) == 1
        for each in receiver.requests:
            each.verify(webhook.secret)
        waits = [later.time - earlier.time for earlier, later in zip(receiver.requests, receiver.requests[1:], strict=False)]
        assert waits[0] >= 0.9 and waits[1] >= 1.9

    async def test_a_receiver_that_asks_to_be_spared_is(self, agencies: Agencies, receiver: Receiver) -> None:
        receiver.behaviours = [answer(429, retry_after="4")]
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        await agencies.raise_alert()
        await receiver.wait_for_type("AlertRaised")
        await agencies.machine.wait_for_state(webhook.name, PENDING)
        # The whole of it is spared, whatever else there is to tell.
        await agencies.raise_alert()
        await agencies.machine.wait_for_state(webhook.name, DELIVERED, 2, seconds=15)
        assert receiver.requests[1].time - receiver.requests[0].time >= 4

    async def test_what_waits_goes_to_a_new_url_at_once(self, agencies: Agencies, receiver: Receiver) -> None:
        receiver.usually = answer(503, retry_after="3600")
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        name, _ = await agencies.raise_alert()
        await receiver.wait_for_type("AlertRaised", name)
        (first,) = await agencies.machine.wait_for_state(webhook.name, PENDING)
        async with run_receiver() as moved:
            await agencies.machine("UpdateWebhook", webhook={"name": webhook.name, "url": moved.url})
            await agencies.machine("RedeliverWebhook", name=webhook.name, delivery=first.name)
            received = await moved.wait_for_type("AlertRaised", name)
        assert received.id == receiver.requests[0].id
        assert len(receiver.requests) == 1

    async def test_one_that_is_gone_is_disabled(self, agencies: Agencies, receiver: Receiver) -> None:
        receiver.usually = answer(410)
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        await agencies.raise_alert()
        await receiver.wait_for_type("AlertRaised")
        async with asyncio.timeout(10):
            while (found := await agencies.machine("GetWebhook", name=webhook.name)).state != webhook_pb2.Webhook.DISABLED:
                await asyncio.sleep(0.05)
        assert found.disable_reason == webhook_pb2.Webhook.GONE
        assert found.etag != webhook.etag
        (kept,) = (await agencies.machine("ListWebhookDeliveries", name=webhook.name)).deliveries
        assert (kept.state, kept.HasField("next_attempt_time")) == (PENDING, False)
        refusal = await refusal_of(agencies.machine("SendTestEvent", name=webhook.name))
        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "WEBHOOK_DISABLED")

    async def test_no_more_than_eight_are_under_way_at_a_time(self, agencies: Agencies, receiver: Receiver) -> None:
        async def dawdle(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.1)
            await answer(200)(writer)

        receiver.usually = dawdle
        webhook = await create(agencies, receiver)
        await asyncio.gather(*(agencies.raise_alert() for _ in range(20)))
        await agencies.machine.wait_for_state(webhook.name, DELIVERED, 40, seconds=20)
        assert 2 <= receiver.most_at_once <= 8


class TestSecrets:
    async def test_after_a_rotation_both_secrets_sign(self, agencies: Agencies, receiver: Receiver) -> None:
        first = await create(agencies, receiver, events=["AlertRaised"])
        second = await agencies.machine("RotateWebhookSecret", name=first.name)
        assert first.secret.startswith("whsec_") and second.secret.startswith("whsec_") and first.secret != second.secret
        await agencies.raise_alert()
        received = await receiver.wait_for_type("AlertRaised")
        for secret in (first.secret, second.secret):
            received.verify(secret)
        assert len(received.headers["webhook-signature"].split(" ")) == 2
        with pytest.raises(WebhookVerificationError):
            sign_with_the_newest_alone(received).verify(first.secret)

    async def test_of_many_rotations_the_latest_five_secrets_sign(self, agencies: Agencies, receiver: Receiver) -> None:
        secrets = [(await create(agencies, receiver, events=["AlertRaised"])).secret]
        (webhook,) = (await agencies.machine("ListWebhooks")).webhooks
        secrets += [(await agencies.machine("RotateWebhookSecret", name=webhook.name)).secret for _ in range(6)]
        await agencies.raise_alert()
        received = await receiver.wait_for_type("AlertRaised")
        for secret in secrets[-5:]:
            received.verify(secret)
        for secret in secrets[:2]:
            with pytest.raises(WebhookVerificationError):
                received.verify(secret)

    async def test_a_changed_body_or_another_secret_is_noticed(self, agencies: Agencies, receiver: Receiver) -> None:
        webhook = await create(agencies, receiver, events=["AlertRaised"])
        await agencies.raise_alert()
        received = await receiver.wait_for_type("AlertRaised")
        with pytest.raises(WebhookVerificationError):
            Received(received.target, received.headers, received.body.replace(b"false", b"true "), 0).verify(webhook.secret)
        with pytest.raises(WebhookVerificationError):
            received.verify("whsec_" + "A" * 43 + "=")

    async def test_secrets_are_shown_once_and_are_nowhere_in_clear(
        self, agencies: Agencies, receiver: Receiver, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        receiver.behaviours = [answer(500)]
        webhook = await create(agencies, receiver)
        rotated = await agencies.machine("RotateWebhookSecret", name=webhook.name)
        await agencies.raise_alert()
        await agencies.machine.wait_for_state(webhook.name, DELIVERED, 2)
        shown = [
            await agencies.machine("GetWebhook", name=webhook.name),
            await agencies.machine("UpdateWebhook", webhook={"name": webhook.name, "description": "ours"}),
            *(await agencies.machine("ListWebhooks")).webhooks,
            *await agencies.machine.list_deliveries(webhook.name),
        ]
        sent = [str(each.headers).encode() + each.body for each in receiver.requests]
        places = [*(str(each).encode() for each in shown), caplog.text.encode(), *sent, await dump(settings)]
        assert all(places)
        for secret in (webhook.secret, rotated.secret):
            assert [place[:200] for place in places for each in spellings(secret) if each in place] == []

    async def test_a_secret_that_is_not_sealed_is_found(
        self, agencies: Agencies, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The mutant of the test above."""
        for name in ("seal", "unseal"):
            monkeypatch.setattr(f"alerts.model.webhooks.{name}", lambda content, _: content)
        webhook = await create(agencies, receiver)
        content = await dump(settings)
        assert any(each in content for each in spellings(webhook.secret))


def spellings(secret: str) -> list[bytes]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return [secret.encode(), secret.removeprefix("whsec_").rstrip("=").encode(), key, key.hex().encode(), repr(key)[2:-1].encode()]


async def dump(settings: Settings) -> bytes:
    """All that the database holds, on SQLite as its files have it."""
    url = make_url(settings.database_url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    connection = await asyncpg.connect(settings.database_url.get_secret_value().replace("+asyncpg", ""))
    try:
        rows = [await connection.fetch(f"SELECT * FROM {table.name}") for table in Model.metadata.sorted_tables]
    finally:
        await connection.close()
    values = [value for table in rows for row in table for value in row.values()]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def sign_with_the_newest_alone(received: Received) -> Received:
    """A mutant, as if the old secret did not sign along."""
    alone = received.headers | {"webhook-signature": received.headers["webhook-signature"].split(" ")[0]}
    return Received(received.target, alone, received.body, received.time)
