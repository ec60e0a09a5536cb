"""Text messages as an SOS, and what they and AML messages say of a place."""

from datetime import UTC, datetime
from typing import Any

from alerts.model.calls import AHEAD
from alerts.model.enums import Source
from alerts.model.texts import Sighting
from alerts.routing import Route
from alerts.texts.fixes import Fix
from alerts.wire import alerts as wire
from chassis.errors import InvalidRequest
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import RaiseAlertRequest
from siaga.alerts.v1.text_service_pb2 import ReceiveAmlRequest, ReceiveTextRequest

# What a machine without a clock says, too.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def to_columns(
    name: str, seen: Sighting | None, route: Route, note: str, phone: str, token_hash: bytes, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new alert's columns, and those of its lead's response."""
    request = RaiseAlertRequest(
        channel=alert_pb2.Alert.SMS,
        caller=alert_pb2.Alert.Caller(callback_phone=phone),
        contact_preference=alert_pb2.Alert.TEXT,
        note=note,
        location=wire.to_location(seen.to_position(name, now)) if seen else None,
    )
    return wire.to_columns(request, name, "", "", token_hash, route, now)


def read_received_time(request: ReceiveTextRequest | ReceiveAmlRequest, now: datetime) -> datetime:
    """Now, where the request does not say it, or says what cannot be."""
    try:
        told = wire.to_time(request, "received_time")
    except InvalidRequest:
        return now
    return told if told and _can_be(told, now) else now


def to_sighting(fix: Fix, source: Source, received: datetime, now: datetime) -> Sighting:
    fix_time = fix.fix_time if fix.fix_time and _can_be(fix.fix_time, now) else received
    return Sighting(fix.latitude, fix.longitude, fix.accuracy_meters, fix_time, source)


def _can_be(time: datetime, now: datetime) -> bool:
    return _EARLIEST < time <= now + AHEAD
