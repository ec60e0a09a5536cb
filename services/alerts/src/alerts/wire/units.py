"""Units as protobuf messages."""

# A message takes a datetime for a Timestamp and a number for an enum; the stubs do not say so.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from alerts.model.recommending import Recommendation, Shortfall
from alerts.model.units import Report, Unit
from alerts.wire.alerts import read_fix_time
from chassis.errors import InvalidRequest
from siaga.alerts.v1 import alert_service_pb2, unit_pb2, unit_service_pb2

CHANGEABLE = ("kind", "display_name", "crew")


def to_message(unit: Unit, alert: str = "") -> unit_pb2.Unit:
    """`alert` is what it is at work for, where that is shown."""
    message = unit_pb2.Unit(
        name=unit.name,
        agency=unit.agency,
        kind=unit.kind,
        display_name=unit.display_name,
        crew=unit.crew,
        duty=unit.duty,
        alert=alert,
        drill=unit.drill,
        etag=unit.etag,
        update_time=unit.update_time,
    )
    if unit.duty_time:
        message.duty_time.FromDatetime(unit.duty_time)
    if unit.latitude is not None and unit.longitude is not None and unit.fix_time:
        position = message.position
        position.point.latitude, position.point.longitude = unit.latitude, unit.longitude
        position.fix_time.FromDatetime(unit.fix_time)
        if unit.accuracy_meters is not None:
            position.accuracy_meters = unit.accuracy_meters
    return message


def to_columns(unit: unit_pb2.Unit, fields: Sequence[str]) -> dict[str, Any]:
    """Raises InvalidRequest for what no unit can be without."""
    columns = {field: list(unit.crew) if field == "crew" else getattr(unit, field) for field in fields}
    missing = [name for name, field in (("unit.kind", "kind"), ("unit.displayName", "display_name")) if not columns.get(field, True)]
    if missing:
        raise InvalidRequest(fields=[(name, "is required") for name in missing])
    return columns


def to_reports(reports: Iterable[unit_service_pb2.ReportUnitPositionsRequest.Report], now: datetime) -> list[Report]:
    return [
        Report(
            each.unit,
            each.position.point.latitude,
            each.position.point.longitude,
            each.position.accuracy_meters if each.position.HasField("accuracy_meters") else None,
            read_fix_time(each.position, now),
        )
        for each in reports
    ]


def to_recommendations(found: Sequence[Recommendation], missing: Sequence[Shortfall]) -> alert_service_pb2.RecommendUnitsResponse:
    message = alert_service_pb2.RecommendUnitsResponse()
    for each in found:
        row = message.recommendations.add(unit=to_message(each.unit), reasons=each.reasons)
        if each.distance_meters is not None:
            row.distance_meters = round(each.distance_meters, 1)
    for each in missing:
        message.shortfalls.add(kind=each.kind, reason=each.reason)
    return message
