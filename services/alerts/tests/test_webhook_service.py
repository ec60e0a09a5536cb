"""Agencies keep their webhooks themselves, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from locking import let_go_together, on_postgres
from people import People, new_id, read_refusal, refusal_of, run_service
from receiving import ROOM, Agencies, Agency, Receiver, allow_private, answer, run_receiver

from alerts.settings import Settings
from chassis.testing import Issuer
from siaga.alerts.v1 import webhook_pb2

URL = "http://127.0.0.1:9999/siaga"
Webhook, Delivery = webhook_pb2.Webhook, webhook_pb2.WebhookDelivery
ABSENT = "webhooks/00000000-0000-7000-8000-000000000000"


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


async def create(by: Agency, url: str = URL, **fields: Any) -> Any:
    return await by("CreateWebhook", url=url, **fields)


class TestKeeping:
    async def test_a_new_one_is_enabled_and_shows_its_secret(self, agencies: Agencies) -> None:
        made = await create(agencies.sari, events=["AlertRaised", "AlertResolved"], includeDrills=True, description="CAD of the room")
        assert made.name.startswith("webhooks/")
        assert (made.agency, made.url, list(made.events)) == (ROOM, URL, ["AlertRaised", "AlertResolved"])
        assert (made.include_drills, made.description, made.state) == (True, "CAD of the room", Webhook.ENABLED)
        assert made.secret.startswith("whsec_")
        assert made.create_time == made.update_time
        assert not made.HasField("fail_time")
        shown = await agencies.machine("GetWebhook", name=made.name)
        assert shown.secret == ""
        made.secret = ""
        assert shown == made

    async def test_to_another_agency_it_does_not_exist(self, agencies: Agencies) -> None:
        made = await create(agencies.sari)
        name = {"name": made.name}
        delivery = f"{made.name}/deliveries/{made.name.partition('/')[2]}"
        for rpc, fields in (
            ("GetWebhook", name),
            ("UpdateWebhook", {"webhook": name | {"description": "x"}}),
            ("DeleteWebhook", name),
            ("RotateWebhookSecret", name),
            ("ListWebhookDeliveries", name),
            ("RedeliverWebhook", name | {"since": "2026-01-01T00:00:00Z"}),
            ("RedeliverWebhook", name | {"delivery": delivery}),
            ("SendTestEvent", name),
        ):
            refused = await refusal_of(agencies.bandung(rpc, **fields))
            assert (refused.code, refused.reason) == ("NOT_FOUND", "WEBHOOK_NOT_FOUND"), rpc
            absent = {"webhook": {"name": ABSENT, "description": "x"}} if "webhook" in fields else fields | {"name": ABSENT}
            if "delivery" in absent:
                absent["delivery"] = f"{ABSENT}/deliveries/{ABSENT.partition('/')[2]}"
            assert await refusal_of(agencies.sari(rpc, **absent)) == refused, rpc
        assert list((await agencies.bandung("ListWebhooks")).webhooks) == []
        assert (await agencies.sari("GetWebhook", **name)).description == ""

    async def test_only_supervisors_and_systems_may(self, agencies: Agencies) -> None:
        for role in ("citizen", "responder", "dispatcher", "official", "admin"):
            by = agencies.sign_in("somebody", role, ROOM)
            assert (await refusal_of(by("ListWebhooks"))).reason == "ACCESS_DENIED"
            assert (await refusal_of(create(by))).reason == "ACCESS_DENIED"

    async def test_a_change_changes_what_the_mask_names(self, agencies: Agencies) -> None:
        made = await create(agencies.sari, events=["AlertRaised"], description="one")
        changed = await agencies.sari(
            "UpdateWebhook", webhook={"name": made.name, "description": "two", "includeDrills": True}, updateMask="description,events"
        )
        assert (changed.description, list(changed.events), changed.include_drills, changed.url) == ("two", [], False, URL)
        assert changed.etag != made.etag
        refused = await refusal_of(agencies.sari("UpdateWebhook", webhook={"name": made.name, "agency": ROOM}, updateMask="agency"))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["updateMask"])
        refused = await refusal_of(agencies.sari("UpdateWebhook", webhook={"name": made.name}, updateMask="*"))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["webhook.url", "webhook.state"])

    async def test_a_change_by_an_old_etag_is_refused(self, agencies: Agencies) -> None:
        made = await create(agencies.sari)
        await agencies.sari("UpdateWebhook", webhook={"name": made.name, "description": "x", "etag": made.etag})
        for call in (
            agencies.sari("UpdateWebhook", webhook={"name": made.name, "description": "y", "etag": made.etag}),
            agencies.sari("DeleteWebhook", name=made.name, etag=made.etag),
        ):
            refused = await refusal_of(call)
            assert (refused.code, refused.reason) == ("ABORTED", "WEBHOOK_CHANGED")

    async def test_an_unknown_type_of_event_is_named(self, agencies: Agencies) -> None:
        refused = await refusal_of(create(agencies.sari, events=["AlertRaised", "AlertRased"]))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["events[1]"])
        made = await create(agencies.sari)
        refused = await refusal_of(agencies.sari("UpdateWebhook", webhook={"name": made.name, "events": ["Nothing"]}))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["webhook.events[0]"])

    async def test_an_agency_has_at_most_twenty(self, agencies: Agencies) -> None:
        made = [await create(agencies.sari) for _ in range(20)]
        refused = await refusal_of(create(agencies.machine))
        assert (refused.code, refused.reason, refused.metadata) == ("FAILED_PRECONDITION", "TOO_MANY_WEBHOOKS", {"max": "20"})
        await create(agencies.bandung)
        await agencies.sari("DeleteWebhook", name=made[0].name)
        await create(agencies.machine)

    @on_postgres
    async def test_nor_more_where_several_are_made_at_once(self, agencies: Agencies, database_url: str) -> None:
        for _ in range(19):
            await create(agencies.sari)
        async with let_go_together(database_url, "webhooks", 6):
            making = [asyncio.create_task(create(agencies.sari)) for _ in range(6)]
        refused = [each for each in await asyncio.gather(*making, return_exceptions=True) if isinstance(each, grpc.aio.AioRpcError)]
        assert [read_refusal(each).reason for each in refused] == ["TOO_MANY_WEBHOOKS"] * 5
        assert len((await agencies.sari("ListWebhooks")).webhooks) == 20

    async def test_the_list_has_the_oldest_first_and_pages(self, agencies: Agencies) -> None:
        made = [(await create(agencies.sari)).name for _ in range(5)]
        found, token = list[str](), ""
        while True:
            page = await agencies.machine("ListWebhooks", pageSize=2, pageToken=token)
            found += [each.name for each in page.webhooks]
            assert not any(each.secret for each in page.webhooks)
            if not (token := page.next_page_token):
                break
        assert found == sorted(made)
        await agencies.sari("UpdateWebhook", webhook={"name": made[2], "state": "DISABLED"})
        assert [each.name for each in (await agencies.sari("ListWebhooks", state=["DISABLED"])).webhooks] == [made[2]]
        first = await agencies.sari("ListWebhooks", pageSize=2)
        refused = await refusal_of(agencies.bandung("ListWebhooks", pageSize=2, pageToken=first.next_page_token))
        assert refused.reason == "INVALID_PAGE_TOKEN"


class TestRepeating:
    async def test_a_repeated_creation_is_the_same_webhook_with_its_secret(self, agencies: Agencies) -> None:
        request_id = new_id()
        made = await create(agencies.sari, requestId=request_id)
        assert await create(agencies.sari, requestId=request_id) == made
        assert len((await agencies.sari("ListWebhooks")).webhooks) == 1
        refused = await refusal_of(create(agencies.sari, requestId=request_id, description="another"))
        assert refused.reason == "REQUEST_ID_REUSED"

    async def test_many_equal_creations_at_once_are_one(self, agencies: Agencies) -> None:
        request_id = new_id()
        made = await asyncio.gather(*(create(agencies.sari, requestId=request_id) for _ in range(10)))
        assert len({(each.name, each.secret) for each in made}) == 1

    async def test_a_repetition_does_not_show_a_secret_that_was_replaced(self, agencies: Agencies) -> None:
        ids = [new_id() for _ in range(3)]
        made = await create(agencies.sari, requestId=ids[0])
        one = await agencies.sari("RotateWebhookSecret", name=made.name, requestId=ids[1])
        assert (await agencies.sari("RotateWebhookSecret", name=made.name, requestId=ids[1])).secret == one.secret
        two = await agencies.sari("RotateWebhookSecret", name=made.name, requestId=ids[2])
        assert two.secret not in {one.secret, made.secret}
        assert (await create(agencies.sari, requestId=ids[0])).secret == ""
        assert (await agencies.sari("RotateWebhookSecret", name=made.name, requestId=ids[1])).secret == ""
        assert (await agencies.sari("RotateWebhookSecret", name=made.name, requestId=ids[2])).secret == two.secret

    async def test_a_repeated_change_changes_nothing_again(self, agencies: Agencies) -> None:
        made = await create(agencies.sari)
        change = {"webhook": {"name": made.name, "description": "x"}, "requestId": new_id()}
        changed = await agencies.sari("UpdateWebhook", **change)
        assert await agencies.sari("UpdateWebhook", **change) == changed
        removal = {"name": made.name, "requestId": new_id()}
        await agencies.sari("DeleteWebhook", **removal)
        await agencies.sari("DeleteWebhook", **removal)
        refused = await refusal_of(agencies.sari("DeleteWebhook", name=made.name, requestId=new_id()))
        assert refused.reason == "WEBHOOK_NOT_FOUND"

    async def test_a_repeated_test_event_is_one_delivery(self, agencies: Agencies, receiver: Receiver) -> None:
        made = await create(agencies.sari, receiver.url)
        test = {"name": made.name, "requestId": new_id()}
        sent = await agencies.sari("SendTestEvent", **test)
        assert (await agencies.sari("SendTestEvent", **test)).name == sent.name
        await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
        again = await agencies.sari("SendTestEvent", **test)
        assert (again.name, again.state) == (sent.name, Delivery.DELIVERED)
        assert len(receiver.requests) == 1

    async def test_a_repeated_redelivery_sends_nothing_again(self, agencies: Agencies, receiver: Receiver) -> None:
        made = await create(agencies.sari, receiver.url)
        await agencies.sari("SendTestEvent", name=made.name)
        (delivery,) = await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
        for what in ({"delivery": delivery.name}, {"since": "2026-01-01T00:00:00Z"}):
            wanted = {"name": made.name, "requestId": new_id(), **what}
            for _ in range(2):
                assert (await agencies.sari("RedeliverWebhook", **wanted)).redelivered == 1
            (delivery,) = await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
            assert len(receiver.requests) == len(delivery.attempts)
        assert len(delivery.attempts) == 3


class TestTestingAndSendingAgain:
    async def test_a_test_event_arrives_and_is_signed(self, agencies: Agencies, receiver: Receiver) -> None:
        made = await create(agencies.sari, receiver.url, events=["AlertResolved"])
        sent = await agencies.sari("SendTestEvent", name=made.name)
        assert (sent.event_type, sent.subject, sent.state, len(sent.attempts)) == ("TestEvent", made.name, Delivery.PENDING, 0)
        received = await receiver.wait_for_type("TestEvent", made.name)
        assert received.verify(made.secret).get_data() == {}
        assert sent.name == f"{made.name}/deliveries/{received.id}"

    async def test_the_log_tells_each_attempt(self, agencies: Agencies, receiver: Receiver) -> None:
        receiver.behaviours = [answer(500)]
        made = await create(agencies.sari, receiver.url)
        await agencies.sari("SendTestEvent", name=made.name)
        async with asyncio.timeout(10):
            while not (await agencies.sari.list_deliveries(made.name))[0].attempts:
                await asyncio.sleep(0.02)
        (waiting,) = await agencies.sari.list_deliveries(made.name)
        assert (waiting.state, waiting.attempts[0].status_code) == (Delivery.PENDING, 500)
        assert waiting.next_attempt_time.ToDatetime() > waiting.attempts[0].attempt_time.ToDatetime()
        assert 0 < waiting.attempts[0].latency_seconds < 5
        assert (await agencies.sari("GetWebhook", name=made.name)).HasField("fail_time")
        (taken,) = await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
        assert [each.status_code for each in taken.attempts] == [500, 204]
        assert not (await agencies.sari("GetWebhook", name=made.name)).HasField("fail_time")

    async def test_one_delivery_is_sent_again_under_its_id(self, agencies: Agencies, receiver: Receiver) -> None:
        made = await create(agencies.sari, receiver.url)
        sent = await agencies.sari("SendTestEvent", name=made.name)
        await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
        assert (await agencies.sari("RedeliverWebhook", name=made.name, delivery=sent.name)).redelivered == 1
        await receiver.wait_for(lambda requests: len(requests) == 2)
        (again,) = await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
        assert (again.name, len(again.attempts)) == (sent.name, 2)
        assert receiver.requests[0].id == receiver.requests[1].id
        assert receiver.requests[0].body == receiver.requests[1].body

    async def test_all_since_a_time_are_sent_again_or_those_that_were_given_up(self, agencies: Agencies, receiver: Receiver) -> None:
        made = await create(agencies.sari, receiver.url)
        first = await agencies.sari("SendTestEvent", name=made.name)
        await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED)
        since = datetime.now(UTC)
        for _ in range(3):
            await agencies.sari("SendTestEvent", name=made.name)
        await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED, 4)
        done = await agencies.sari("RedeliverWebhook", name=made.name, since=since.isoformat())
        assert (done.redelivered, done.HasField("next_time")) == (3, False)
        await receiver.wait_for(lambda requests: len(requests) == 7)
        assert [each.id for each in receiver.requests].count(first.name.rpartition("/")[2]) == 1
        nothing = await agencies.sari("RedeliverWebhook", name=made.name, since=since.isoformat(), givenUp=True)
        assert nothing.redelivered == 0
        future = await agencies.sari("RedeliverWebhook", name=made.name, since=(since + timedelta(days=1)).isoformat())
        assert future.redelivered == 0

    async def test_a_delivery_of_another_webhook_is_none_of_this_one(self, agencies: Agencies, receiver: Receiver) -> None:
        one, other = [await create(agencies.sari, receiver.url) for _ in range(2)]
        sent = await agencies.sari("SendTestEvent", name=other.name)
        refused = await refusal_of(agencies.sari("RedeliverWebhook", name=one.name, delivery=sent.name))
        assert (refused.code, refused.reason) == ("NOT_FOUND", "DELIVERY_NOT_FOUND")
        forged = f"{one.name}/deliveries/{sent.name.rpartition('/')[2]}"
        refused = await refusal_of(agencies.sari("RedeliverWebhook", name=one.name, delivery=forged))
        assert (refused.code, refused.reason) == ("NOT_FOUND", "DELIVERY_NOT_FOUND")

    async def test_what_to_send_again_must_be_said(self, agencies: Agencies) -> None:
        made = await create(agencies.sari)
        assert (await refusal_of(agencies.sari("RedeliverWebhook", name=made.name))).reason == "INVALID_REQUEST"

    async def test_the_log_has_the_newest_first_and_pages(self, agencies: Agencies, receiver: Receiver) -> None:
        made = await create(agencies.sari, receiver.url)
        sent = [(await agencies.sari("SendTestEvent", name=made.name)).name for _ in range(5)]
        await agencies.sari.wait_for_state(made.name, Delivery.DELIVERED, 5)
        found, token = list[str](), ""
        while True:
            page = await agencies.sari("ListWebhookDeliveries", name=made.name, pageSize=2, pageToken=token, state=["DELIVERED"])
            found += [each.name for each in page.deliveries]
            if not (token := page.next_page_token):
                break
        assert found == sorted(sent, reverse=True)
        assert await agencies.sari.list_deliveries(made.name, state=["GIVEN_UP"]) == []
