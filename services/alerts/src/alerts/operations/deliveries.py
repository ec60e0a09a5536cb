"""What carries events from the log to webhooks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from alerts.events import PERSONAL
from alerts.model.deliveries import About, Attempt, Delivery, is_told, make_delivery
from alerts.model.tables import log
from alerts.model.webhooks import DisableReason, Webhook, WebhookSecret, WebhookState
from alerts.store import alerts as alert_store
from alerts.store import warnings as warning_store
from alerts.store import webhooks as store
from chassis.clock import new_uuid

CONSUMER = "webhooks"
_EVENTS_AT_ONCE = 128
# While there is no webhook the cursor follows from this far away, or it would cost every SOS a write.
_IDLE_EVENTS = 1000
_KEPT = timedelta(days=30)
_SWEPT_AT_ONCE = 500
_log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """What a reader found in the log after `begun`, up to `reached`; `idle` where there is no webhook to find it for. `erased` are the
    alerts among its subjects of which nothing personal is kept any more.
    """

    begun: int
    reached: int
    deliveries: Sequence[Delivery]
    erased: Sequence[str] = ()
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be sent to one webhook now. The secrets sign it, the newest first."""

    webhook: Webhook
    secrets: Sequence[WebhookSecret]
    deliveries: Sequence[tuple[Delivery, About | None]]


def read_log(session: Session, now: datetime) -> Reading:
    """Changes nothing."""
    begun, webhooks = store.find_position(session, CONSUMER), store.find_enabled_webhooks(session)
    if not webhooks:
        newest = log.position(session)
        return Reading(begun, newest if newest - begun >= _IDLE_EVENTS else begun, [], idle=True)
    # Of what was before all of them nobody is told.
    events = log.after(session, max(begun, min(each.position for each in webhooks)), _EVENTS_AT_ONCE)
    if not events:
        return Reading(begun, begun, [])
    names = {event.resource for event in events}
    alerts = alert_store.find_alerts(session, names)
    subjects = {each.name: each for each in (*alerts, *warning_store.find_warnings(session, names))}
    erased = [each.name for each in alerts if each.is_erased]
    told = [
        (webhook, event)
        for event in events
        for webhook in webhooks
        if event.resource in subjects and is_told(webhook, event, subjects[event.resource])
    ]
    # In the order of their events, so that they go out in it.
    ids = sorted(new_uuid() for _ in told)
    deliveries = [make_delivery(id, webhook.name, event, now) for id, (webhook, event) in zip(ids, told)]  # noqa: A001, B905
    return Reading(begun, events[-1].id, deliveries, erased)


def queue_events(session: Session, reading: Reading) -> bool:
    """The cursor and the deliveries move together. False where another replica has moved it: then nothing is kept of these."""
    if not store.move_cursor(session, CONSUMER, reading.begun, reading.reached):
        return False
    store.add_deliveries(session, reading.deliveries)
    # Whoever erased has not met what was queued at that moment; their own event comes after it.
    for delivery in store.lock_deliveries_about(session, reading.erased):
        delivery.redact(PERSONAL)
    return True


def advance_webhook(session: Session, name: str, sender: str, attempts: Mapping[str, tuple[Attempt, float]], now: datetime) -> Round | None:
    """Records what came of a round, and takes the next one; None where there is nothing more to send for this sender.

    `attempts` are by the deliveries' ids, each with its random number for the next one.
    """
    webhook = store.find_webhook(session, name, for_update=True)
    if webhook is None:
        return None
    _record(session, webhook, attempts, now)
    if not webhook.lease(sender, now):
        return None
    due = store.find_due_deliveries(session, name, now, webhook.at_once) if webhook.may_send(now) else []
    if not due:
        webhook.release()
        return None
    return Round(webhook, store.find_secrets(session, name, now), due)


def _record(session: Session, webhook: Webhook, attempts: Mapping[str, tuple[Attempt, float]], now: datetime) -> None:
    found = store.find_deliveries(session, attempts.keys()) if attempts else {}
    hurry = False
    # In the order in which they ended, which tells whether it takes anything now.
    for id, (attempt, jitter) in sorted(attempts.items(), key=lambda each: each[1][0].time + timedelta(seconds=each[1][0].seconds)):  # noqa: A001
        if id in found:
            found[id].record(attempt, now, jitter)
        hurry = webhook.record(attempt, now, jitter) or hurry
    if attempts and webhook.state == WebhookState.DISABLED and webhook.disable_reason != DisableReason.REQUESTED:
        _log.warning("%s of %s is disabled: %s", webhook.name, webhook.agency, DisableReason(webhook.disable_reason).name)
    if hurry:
        store.hurry_deliveries(session, webhook.name, now)


def release_webhooks(session: Session, sender: str) -> None:
    """Another process need not wait for this one, which ends."""
    for webhook in store.find_webhooks_of(session, sender):
        webhook.release()


def sweep(session: Session, now: datetime) -> bool:
    """Removes some of what is old; True where there may be more."""
    given_up = store.give_up_deliveries(session, now, _SWEPT_AT_ONCE)
    removed = store.remove_old_deliveries(session, now - _KEPT, _SWEPT_AT_ONCE)
    removed_with_webhooks = store.remove_deleted_webhooks(session, _SWEPT_AT_ONCE)
    return _SWEPT_AT_ONCE in {given_up, removed} or removed_with_webhooks > 0
