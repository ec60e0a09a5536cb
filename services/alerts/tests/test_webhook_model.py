"""The rules of webhooks and deliveries, without a database."""

import ast
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moments import BUDI, RINA, ROOM, START, after, make_alert

from alerts import events
from alerts.errors import WebhookChanged, WebhookDisabled
from alerts.model.deliveries import About, Attempt, Delivery, DeliveryState, Result, back_off, is_told, make_delivery, tell
from alerts.model.enums import Audience, Kind, WarningStatus
from alerts.model.warnings import PublicWarning
from alerts.model.webhooks import EVENT_TYPES, DisableReason, Webhook, WebhookState
from alerts.wire import webhooks as wire
from chassis.events import Event
from siaga.alerts.v1 import alert_pb2

POLICE = "agencies/jakarta-police"


def make_webhook(**columns: Any) -> Webhook:
    usual = {"name": "webhooks/1", "agency": ROOM, "url": "https://hooks.test/", "events": [], "include_drills": False, "description": ""}
    usual |= {"state": WebhookState.ENABLED, "disable_reason": DisableReason.NONE, "position": 0, "failures": 0, "sender": ""}
    return Webhook(**usual | {"create_time": START, "update_time": START} | columns)


def make_event(type: str = "AlertRaised", id: int = 1, time: datetime = START, **attributes: Any) -> Event:  # noqa: A002
    return Event(id, type, "alerts/1", 1, "somebody", time, attributes, "")


def make(**attributes: Any) -> Delivery:
    return make_delivery("an-id", "webhooks/1", make_event(**attributes), START)


def fail(time: datetime = START, status: int = 500, retry_after: timedelta | None = None) -> Attempt:
    return Attempt(time, Result.STATUS, status, 0.1, retry_after)


def take(time: datetime = START) -> Attempt:
    return Attempt(time, Result.TAKEN, 200, 0.1)


class TestTrying:
    def test_waits_double_up_to_an_hour_and_half_of_each_is_chance(self) -> None:
        first, longest = timedelta(seconds=2), timedelta(hours=1)
        assert [back_off(n, first, longest, 1.0).total_seconds() for n in (0, 1, 2, 10, 11, 5000)] == [2, 4, 8, 2048, 3600, 3600]
        assert [back_off(n, first, longest, 0.0).total_seconds() for n in (0, 1, 2, 10, 11)] == [1, 2, 4, 1024, 1800]

    def test_it_is_tried_for_a_day_and_then_given_up(self) -> None:
        delivery, now, times = make(), START, list[datetime]()
        while delivery.state == DeliveryState.PENDING:
            delivery.record(fail(now), now, 0.5)
            times.append(now)
            now = delivery.due_time or now
        assert delivery.state == DeliveryState.GIVEN_UP
        assert delivery.due_time is None
        assert timedelta(hours=22) < times[-1] - START < timedelta(hours=24)
        assert 30 < len(times) < 60
        assert len(delivery.attempts) == 40

    def test_it_waits_at_least_as_long_as_the_receiver_asks(self) -> None:
        delivery = make()
        delivery.record(fail(retry_after=timedelta(minutes=10)), START, 0.5)
        assert delivery.due_time == after(minutes=10)
        delivery.record(fail(retry_after=timedelta(seconds=0.1)), START, 1.0)
        assert delivery.due_time == after(seconds=4)

    def test_one_that_was_taken_is_due_no_more(self) -> None:
        delivery = make()
        delivery.record(fail(), START, 0.5)
        delivery.record(take(), START, 0.5)
        assert (delivery.state, delivery.due_time, len(delivery.attempts)) == (DeliveryState.DELIVERED, None, 2)

    def test_sent_again_it_has_its_whole_day_again(self) -> None:
        delivery = make()
        for _ in range(20):
            delivery.record(fail(), after(hours=23), 0.5)
        delivery.queue(after(hours=30))
        assert (delivery.state, delivery.due_time, delivery.tries) == (DeliveryState.PENDING, after(hours=30), 0)
        delivery.record(fail(), after(hours=30), 1.0)
        assert delivery.due_time == after(hours=30, seconds=2)


class TestSparing:
    def test_after_five_failures_in_a_row_it_is_spared_and_then_probed(self) -> None:
        webhook = make_webhook()
        for _ in range(4):
            webhook.record(fail(), START, 1.0)
        assert webhook.may_send(START)
        assert webhook.at_once == 8
        webhook.record(fail(), START, 1.0)
        assert not webhook.may_send(after(seconds=29.9))
        assert webhook.may_send(after(seconds=30))
        assert webhook.at_once == 1

    def test_it_is_spared_twice_as_long_each_time_up_to_five_minutes(self) -> None:
        webhook, waits = make_webhook(), list[float]()
        for _ in range(12):
            webhook.record(fail(), START, 1.0)
            waits.append((webhook.blocked_until - START).total_seconds() if webhook.blocked_until else 0)
        assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 300, 300, 300, 300]

    def test_one_that_takes_something_is_trusted_again(self) -> None:
        webhook = make_webhook()
        for _ in range(6):
            assert not webhook.record(fail(), START, 1.0)
        assert webhook.record(take(), after(minutes=2), 1.0)
        assert (webhook.failures, webhook.fail_time, webhook.blocked_until, webhook.at_once) == (0, None, None, 8)
        assert not webhook.record(take(), after(minutes=2), 1.0)

    def test_as_a_whole_it_is_spared_as_long_as_it_asks(self) -> None:
        webhook = make_webhook()
        webhook.record(fail(status=429, retry_after=timedelta(minutes=1)), START, 1.0)
        assert not webhook.may_send(after(seconds=59))
        assert webhook.may_send(after(seconds=60))

    def test_one_that_is_gone_is_disabled_at_once(self) -> None:
        webhook = make_webhook()
        webhook.record(fail(status=410), START, 1.0)
        assert (webhook.state, webhook.disable_reason) == (WebhookState.DISABLED, DisableReason.GONE)
        assert webhook.etag != make_webhook().etag

    def test_one_that_has_taken_nothing_for_five_days_is_disabled(self) -> None:
        webhook = make_webhook()
        webhook.record(fail(START), START, 1.0)
        webhook.record(fail(), after(days=4, hours=23), 1.0)
        assert webhook.state == WebhookState.ENABLED
        webhook.record(fail(), after(days=5), 1.0)
        assert (webhook.state, webhook.disable_reason) == (WebhookState.DISABLED, DisableReason.FAILING)

    def test_enabled_again_it_starts_anew(self) -> None:
        webhook = make_webhook()
        for _ in range(6):
            webhook.record(fail(status=410), START, 1.0)
        with pytest.raises(WebhookDisabled):
            webhook.require_enabled()
        webhook.update({"state": WebhookState.ENABLED}, 77, after(days=1))
        webhook.require_enabled()
        assert (webhook.failures, webhook.blocked_until, webhook.disable_reason, webhook.position) == (0, None, DisableReason.NONE, 77)

    def test_another_url_is_trusted(self) -> None:
        webhook = make_webhook()
        for _ in range(6):
            webhook.record(fail(), START, 1.0)
        webhook.update({"description": "x"}, 1, after(seconds=1))
        assert webhook.failures == 6
        webhook.update({"url": "https://new.test/"}, 1, after(seconds=2))
        assert (webhook.failures, webhook.blocked_until) == (0, None)

    def test_a_reason_stays_where_the_agency_disables_what_is_disabled(self) -> None:
        webhook = make_webhook()
        webhook.record(fail(status=410), START, 1.0)
        webhook.update({"state": WebhookState.DISABLED}, 1, START)
        assert webhook.disable_reason == DisableReason.GONE

    def test_an_old_etag_is_refused(self) -> None:
        webhook = make_webhook()
        before = webhook.etag
        webhook.require_etag(before)
        webhook.update({"description": "x"}, 1, START)
        with pytest.raises(WebhookChanged):
            webhook.require_etag(before)
        webhook.require_etag("")


class TestLeasing:
    def test_one_process_sends_at_a_time_and_another_takes_over(self) -> None:
        webhook = make_webhook()
        assert webhook.lease("one", START)
        assert not webhook.lease("two", after(seconds=59))
        assert webhook.lease("one", after(seconds=59))
        assert not webhook.lease("two", after(seconds=118))
        assert webhook.lease("two", after(seconds=119))
        webhook.release()
        assert webhook.lease("one", after(seconds=119))


class TestBeingTold:
    def test_an_agency_with_a_part_is(self) -> None:
        alert = make_alert()
        assert is_told(make_webhook(), make_event(), alert)
        assert not is_told(make_webhook(agency=POLICE), make_event(), alert)

    def test_of_a_restricted_one_nobody_is_told_what_its_caller_did(self) -> None:
        alert = make_alert(kind="VIOLENCE")
        alert.acknowledge("rina", RINA, START)
        alert.cancel(START)
        alert.resolve(alert_pb2.Alert.HELPED, RINA, START)
        alert.erase(START)
        told = {kind: is_told(make_webhook(), make_event(kind), alert) for kind in ("AlertResolved", "AlertCancelled", "AlertErased")}
        assert told == {"AlertResolved": True, "AlertCancelled": False, "AlertErased": False}

    def test_one_that_was_asked_is_from_then_on(self) -> None:
        alert = make_alert()
        alert.acknowledge("rina", RINA, START)
        alert.request_agency(POLICE, "", RINA, START, hand_over=False)
        assert is_told(make_webhook(agency=POLICE), make_event("AgencyRequested"), alert)

    def test_one_whose_part_has_ended_is_told_of_what_was_before_and_of_the_end(self) -> None:
        alert = make_alert()
        alert.acknowledge("rina", RINA, START)
        alert.request_agency(POLICE, "", RINA, after(seconds=1), hand_over=True)
        officer = BUDI.__class__(user="officer", agency=POLICE, supervises=False, token_hash=b"")
        alert.accept_request("officer", officer, after(seconds=10))
        webhook = make_webhook()
        assert is_told(webhook, make_event("AlertAcknowledged", time=after(seconds=5)), alert)
        assert is_told(webhook, make_event("AlertHandedOver", time=after(seconds=10.01), agency=POLICE, former=ROOM), alert)
        # What becomes of it without that agency is no business of its.
        assert not is_told(webhook, make_event("AlertHandedOver", time=after(seconds=15), agency="agencies/fire", former=POLICE), alert)
        assert not is_told(webhook, make_event("AgencyRejected", time=after(seconds=15), agency="agencies/fire"), alert)
        assert is_told(webhook, make_event("AgencyRejected", time=after(seconds=15), agency=ROOM), alert)
        assert not is_told(webhook, make_event("NoteAdded", time=after(seconds=20)), alert)
        assert is_told(make_webhook(agency=POLICE), make_event("NoteAdded", time=after(seconds=20)), alert)

    def test_one_that_must_not_know_of_it_is_not(self) -> None:
        alert = make_alert(conflictAgency=ROOM)
        assert not is_told(make_webhook(), make_event(), alert)

    def test_everybody_is_of_a_public_warning_and_of_an_exercise_who_wants_drills(self) -> None:
        issued = make_event("WarningIssued")._replace(audience=Audience.PUBLIC, resource="warnings/1", attributes={"number": 1})
        real, exercise = (PublicWarning(status=status) for status in (WarningStatus.ACTUAL, WarningStatus.EXERCISE))
        assert is_told(make_webhook(agency=POLICE), issued, real)
        assert not is_told(make_webhook(events=["AlertRaised"]), issued, real)
        assert not is_told(make_webhook(), issued, exercise)
        assert is_told(make_webhook(include_drills=True), issued, exercise)
        assert not is_told(make_webhook(), issued._replace(audience=Audience.AGENCY), real)
        assert tell(make_delivery("an-id", "webhooks/1", issued, START), None) == {"warning": "warnings/1", "number": 1}

    def test_of_its_types_alone(self) -> None:
        webhook = make_webhook(events=["AlertResolved"])
        assert is_told(webhook, make_event("AlertResolved"), make_alert())
        assert not is_told(webhook, make_event("AlertRaised"), make_alert())

    def test_of_drills_where_it_wants_them(self) -> None:
        drill = make_alert(drill=True)
        assert not is_told(make_webhook(), make_event(), drill)
        assert is_told(make_webhook(include_drills=True), make_event(), drill)

    def test_of_nothing_before_its_position(self) -> None:
        webhook = make_webhook(position=10)
        assert not is_told(webhook, make_event(id=10), make_alert())
        assert is_told(webhook, make_event(id=11), make_alert())


class TestTelling:
    def test_only_what_is_allowed_of_the_attributes(self) -> None:
        attributes = {"user": "dewi", "note": "n1", "assignee": "rina", "kind": int(Kind.FIRE), "means": 1, "silent": False, "cell": "87"}
        told = tell(make(**attributes), About(drill=False, restricted=False))
        assert told == {"alert": "alerts/1", "drill": False, "restricted": False, "kind": "FIRE", "cell": "87"}

    def test_of_a_restricted_one_that_it_exists(self) -> None:
        told = tell(make(kind=2, area="areas/31", cell="87", agency=ROOM), About(drill=False, restricted=True))
        assert told == {"alert": "alerts/1", "drill": False, "restricted": True}

    def test_of_an_erased_one_its_name(self) -> None:
        assert tell(make(kind=2), None) == {"alert": "alerts/1"}

    def test_a_kind_that_nobody_said_has_a_word_too(self) -> None:
        kind = tell(make(kind=0), About(drill=False, restricted=False))["kind"]
        assert alert_pb2.Alert.Kind.Value(kind) == 0

    def test_the_trace_goes_along_where_there_is_one(self) -> None:
        delivery = make()
        assert "traceparent" not in wire.to_event(delivery, None)
        delivery.traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
        assert f'"traceparent":"{delivery.traceparent}"' in wire.to_event(delivery, None)


def test_every_type_of_event_that_alerts_logs_can_be_asked_for() -> None:
    """And no other, so that a misspelt one is refused."""
    tree = ast.parse(Path(events.__file__).read_text())
    logged = {
        each.value
        for call in ast.walk(tree)
        if isinstance(call, ast.FunctionDef)
        for each in ast.walk(call)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value[:1].isupper() and each.value.isalpha()
    }
    # What awaits a second person is nobody's but the agency's that proposes it.
    assert logged - {"WarningProposed", "WarningWithdrawn"} == EVENT_TYPES
