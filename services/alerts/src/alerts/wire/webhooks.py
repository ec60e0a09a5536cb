"""Webhooks as protobuf messages, and events as CloudEvents."""

# A message takes a datetime for a Timestamp and a number for an enum; the stubs do not say so.
# pyright: reportArgumentType=false

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from alerts.errors import DeliveryNotFound
from alerts.model.deliveries import About, Delivery, tell
from alerts.model.webhooks import EVENT_TYPES, Webhook
from chassis.errors import InvalidRequest
from siaga.alerts.v1 import webhook_pb2, webhook_service_pb2

CHANGEABLE = ("url", "events", "include_drills", "description", "state")
# Of whatever deployment: an event's id is a UUID, so that no two are confused.
_SOURCE = "//siaga/alerts"
_PACKAGE = "siaga.alerts.v1"


def to_message(webhook: Webhook, secret: str = "") -> webhook_pb2.Webhook:
    message = webhook_pb2.Webhook(
        name=webhook.name,
        agency=webhook.agency,
        url=webhook.url,
        events=webhook.events,
        include_drills=webhook.include_drills,
        description=webhook.description,
        state=webhook.state,
        disable_reason=webhook.disable_reason,
        secret=secret,
        create_time=webhook.create_time,
        update_time=webhook.update_time,
        etag=webhook.etag,
    )
    if webhook.fail_time:
        message.fail_time.FromDatetime(webhook.fail_time)
    return message


def to_delivery(delivery: Delivery, webhook: Webhook) -> webhook_pb2.WebhookDelivery:
    message = webhook_pb2.WebhookDelivery(
        name=delivery.name,
        event_type=delivery.type,
        subject=delivery.subject,
        event_time=delivery.event_time,
        state=delivery.state,
        create_time=delivery.create_time,
    )
    if delivery.due_time and (next_time := webhook.find_next_attempt(delivery.due_time)):
        message.next_attempt_time.FromDatetime(next_time)
    for each in delivery.attempts:
        message.attempts.add(
            attempt_time=datetime.fromisoformat(each["time"]),
            result=each["result"],
            status_code=each["status"],
            latency_seconds=each["seconds"],
        )
    return message


def to_redelivered(number: int, next_time: datetime | None) -> webhook_service_pb2.RedeliverWebhookResponse:
    return webhook_service_pb2.RedeliverWebhookResponse(redelivered=number, next_time=next_time)


def to_event(delivery: Delivery, about: About | None) -> str:
    """A CloudEvents 1.0 event in its structured JSON."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": delivery.id,
        "source": _SOURCE,
        "type": f"{_PACKAGE}.{delivery.type}",
        "subject": delivery.subject,
        "time": delivery.event_time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
    }
    if delivery.traceparent:
        event["traceparent"] = delivery.traceparent
    return json.dumps({**event, "data": tell(delivery, about)}, separators=(",", ":"))


def to_columns(
    webhook: webhook_pb2.Webhook | webhook_service_pb2.CreateWebhookRequest, fields: Sequence[str], prefix: str = ""
) -> dict[str, Any]:
    """`prefix` is where the fields stand in the request. Raises InvalidRequest for an unknown type of event, and for what no
    webhook can be without.
    """
    columns = {field: list(webhook.events) if field == "events" else getattr(webhook, field) for field in fields}
    wrong = [(f"{prefix}{field}", "is required") for field in ("url", "state") if not columns.get(field, True)]
    wrong += _find_unknown(columns.get("events", ()), f"{prefix}events")
    if wrong:
        raise InvalidRequest(fields=wrong)
    return columns


def read_delivery_id(request: webhook_service_pb2.RedeliverWebhookRequest) -> str:
    """Raises DeliveryNotFound for a delivery of another webhook."""
    webhook, _, id = request.delivery.partition("/deliveries/")  # noqa: A001
    if webhook != request.name:
        raise DeliveryNotFound
    return id


def _find_unknown(events: Iterable[str], path: str) -> list[tuple[str, str]]:
    """A misspelt type would be told of nothing, and nobody would know."""
    return [(f"{path}[{place}]", "is no type of event") for place, each in enumerate(events) if each not in EVENT_TYPES]
