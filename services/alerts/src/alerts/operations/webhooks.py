"""What agencies change of their webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts.errors import DeliveryNotFound, TooManyWebhooks, WebhookNotFound
from alerts.model.deliveries import Delivery, DeliveryState, make_delivery
from alerts.model.tables import keys, log
from alerts.model.viewers import Viewer
from alerts.model.webhooks import Webhook, WebhookSecret, WebhookState
from alerts.store import webhooks as store
from chassis.clock import new_uuid
from chassis.events import Event

_MAX_WEBHOOKS = 20
_MAX_SECRETS = 5
_REDELIVERED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """A request to change a webhook."""

    name: str
    request_id: str
    request: Message
    viewer: Viewer
    now: datetime


class Redelivered(NamedTuple):
    """How many, and from when on there are more."""

    number: int
    next_time: datetime | None = None

    def write(self) -> str:
        return f"{self.number} {self.next_time.isoformat() if self.next_time else ''}"

    @classmethod
    def read(cls, written: str) -> "Redelivered":
        number, _, next_time = written.partition(" ")
        return cls(int(number), datetime.fromisoformat(next_time) if next_time else None)


def create_webhook(session: Session, change: WebhookChange, columns: Mapping[str, Any]) -> tuple[Webhook, str]:
    """A new one, or the one that this request made, with its secret until that is replaced. Raises TooManyWebhooks."""
    secret_id = new_uuid()
    if earlier := _claim(session, change, f"{change.name}/{secret_id}"):
        return _show(session, earlier, change.viewer)
    if store.count_webhooks(session, change.viewer.agency) >= _MAX_WEBHOOKS:
        raise TooManyWebhooks(max=str(_MAX_WEBHOOKS))
    webhook = Webhook(
        name=change.name,
        agency=change.viewer.agency,
        state=WebhookState.ENABLED,
        position=log.position(session),
        create_time=change.now,
        update_time=change.now,
        **columns,
    )
    secret = WebhookSecret.make(secret_id, change.name)
    store.add_webhook(session, webhook, secret)
    return webhook, secret.text


def update_webhook(session: Session, change: WebhookChange, columns: Mapping[str, Any], etag: str) -> Webhook:
    replayed = _claim(session, change, change.name)
    webhook = _lock(session, change)
    if not replayed:
        webhook.require_etag(etag)
        webhook.update(columns, log.position(session), change.now)
    return webhook


def delete_webhook(session: Session, change: WebhookChange, etag: str) -> None:
    """It is gone at once, its deliveries are swept by and by: there may be very many."""
    if _claim(session, change, change.name):
        return
    webhook = _lock(session, change)
    webhook.require_etag(etag)
    webhook.delete_time = change.now
    store.remove_secrets(session, webhook.name)


def rotate_secret(session: Session, change: WebhookChange) -> tuple[Webhook, str]:
    secret = WebhookSecret.make(new_uuid(), change.name)
    if earlier := _claim(session, change, f"{change.name}/{secret.id}"):
        return _show(session, earlier, change.viewer)
    webhook = _lock(session, change)
    former = store.find_secrets(session, webhook.name, change.now)[: _MAX_SECRETS - 1]
    for each in former:
        each.replace(change.now)
    store.remove_secrets(session, webhook.name, but=[each.id for each in former])
    store.add_secret(session, secret)
    webhook.renew(change.now)
    return webhook, secret.text


def redeliver(session: Session, change: WebhookChange, delivery: str) -> Redelivered:
    """`delivery` is an id. Raises DeliveryNotFound."""
    replayed = _claim(session, change, change.name)
    _lock(session, change).require_enabled()
    found = store.find_delivery(session, delivery, for_update=True)
    if found is None or found.webhook != change.name:
        raise DeliveryNotFound
    if not replayed:
        found.queue(change.now)
    return Redelivered(1)


def redeliver_since(session: Session, change: WebhookChange, since: datetime, *, given_up: bool) -> Redelivered:
    webhook = _lock(session, change)
    states = [DeliveryState.GIVEN_UP] if given_up else []
    found = store.lock_deliveries_since(session, change.name, since, states, _REDELIVERED_AT_ONCE + 1)
    queued, rest = found[:_REDELIVERED_AT_ONCE], found[_REDELIVERED_AT_ONCE:]
    done = Redelivered(len(queued), rest[0].create_time if rest else None)
    # Whoever repeats the request has to learn where to go on.
    if earlier := _claim(session, change, done.write()):
        return Redelivered.read(earlier)
    webhook.require_enabled()
    for each in queued:
        each.queue(change.now)
    return done


def send_test_event(session: Session, change: WebhookChange, traceparent: str) -> tuple[Delivery, Webhook]:
    """It is tried at once, whatever has failed before."""
    id = new_uuid()  # noqa: A001
    earlier = _claim(session, change, f"{change.name}/{id}")
    webhook = _lock(session, change)
    if earlier:
        found = store.find_delivery(session, earlier.rpartition("/")[2])
        if found is None:
            raise WebhookNotFound
        return found, webhook
    webhook.require_enabled()
    webhook.blocked_until = None
    delivery = make_delivery(id, webhook.name, Event(0, "TestEvent", webhook.name, 0, "", change.now, {}, traceparent), change.now)
    store.add_deliveries(session, [delivery])
    return delivery, webhook


def require_webhook(viewer: Viewer, webhook: Webhook | None) -> Webhook:
    """Raises WebhookNotFound, alike for what is absent and what is another agency's."""
    if webhook is None or webhook.agency != viewer.agency:
        raise WebhookNotFound
    return webhook


def _claim(session: Session, change: WebhookChange, resource: str) -> str | None:
    if not change.request_id:
        return None
    return keys.claim(session, f"webhook\0{change.viewer.user}", change.request_id, change.request, resource)


def _lock(session: Session, change: WebhookChange) -> Webhook:
    return require_webhook(change.viewer, store.find_webhook(session, change.name, for_update=True))


def _show(session: Session, earlier: str, viewer: Viewer) -> tuple[Webhook, str]:
    """What a request made before; its secret unless that was replaced."""
    name, _, secret_id = earlier.rpartition("/")
    webhook = require_webhook(viewer, store.find_webhook(session, name))
    secret = store.find_secret(session, secret_id)
    return webhook, secret.text if secret and secret.expire_time is None else ""
