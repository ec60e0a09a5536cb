"""Alerts as protobuf messages, as far as a viewer is shown them."""

# A message takes a datetime for a Timestamp and a number for an enum; the stubs do not say so.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import h3
from google.protobuf.message import Message

from alerts.model.alerts import Alert
from alerts.model.calls import AHEAD
from alerts.model.enums import ContactPreference, Escalation, Grouping, Kind, ResponseState, State, Status, View
from alerts.model.incidents import CELL_RESOLUTION, list_doubts
from alerts.model.timeline import Entry, Position
from alerts.model.timeline import Message as Text
from alerts.routing import Route
from chassis.errors import InvalidRequest
from chassis.events import Event
from chassis.tail import Change, EndReason, Heartbeat
from chassis.watch import Found, SnapshotEnd, Step
from siaga.alerts.v1 import alert_pb2, alert_service_pb2, events_pb2, unit_pb2

_PROGRESS = ("deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "close_time")
# A name that a token says may be longer than the contract's.
_NAME_CHARACTERS = 100
_TIMES = ("dispatch_time", "accept_time", "en_route_time", "arrive_time", "end_time")


class Shown:
    """An alert as the tail loaded it, with what was serialized of it for each view: once for all watchers."""

    def __init__(self, alert: Alert) -> None:
        self.alert = alert
        self._serialized: dict[tuple[int, View], bytes] = {}
        # What is shown to all of a room, by the cursor, which is their question's.
        self.told: dict[str, list[bytes]] = {}

    def event(self, event: Event, view: View) -> bytes:
        """The field `event` of a watch's message."""
        key = (event.id, view)
        if key not in self._serialized:
            content = alert_service_pb2.WatchAlertsResponse.Event(
                type=event.type, alert=to_message(self.alert, view), create_time=event.create_time
            )
            self._serialized[key] = alert_service_pb2.WatchAlertsResponse(event=content).SerializeToString()
        return self._serialized[key]


def to_message(alert: Alert, view: View) -> alert_pb2.Alert:
    if view is View.REDACTED:
        return _redacted(alert)
    shown = alert.find_shown if view is View.CALLER else partial(getattr, alert)
    message = alert_pb2.Alert(
        name=alert.name,
        kind=shown("kind"),
        state=alert.caller_state if view is View.CALLER else alert.state,
        subject=alert.subject,
        channel=alert.channel,
        contact_preference=shown("contact_preference"),
        silent=alert.silent,
        restricted=shown("restricted"),
        drill=alert.drill,
        area=shown("area"),
        routing=shown("routing"),
        agency=shown("agency"),
        create_time=alert.create_time,
    )
    if not alert.is_erased_for(view):
        _add_call(message, alert, shown)
    if view is View.CALLER:
        _add_progress_for_caller(message, alert)
    else:
        _add_progress_for_agency(message, alert)
    return message


def to_view(alert: Alert) -> alert_service_pb2.AlertView:
    """For those whom the caller chose: from what the caller's side is shown."""
    shown = to_message(alert, View.CALLER)
    view = alert_service_pb2.AlertView(
        name=shown.name,
        kind=shown.kind,
        state=shown.state,
        display_name=shown.caller.display_name,
        drill=shown.drill,
        silent=shown.silent,
        create_time=shown.create_time,
    )
    for field in ("location", "target", "acknowledge_time", "dispatch_time", "arrive_time"):
        if shown.HasField(field):
            getattr(view, field).CopyFrom(getattr(shown, field))
    return view


def _add_call(message: alert_pb2.Alert, alert: Alert, shown: Callable[[str], Any]) -> None:
    """What the caller said."""
    message.note = alert.note
    message.external_ids.update(alert.external_ids)
    caller = message.caller
    caller.user, caller.verified = alert.user, bool(alert.user)
    caller.display_name, caller.callback_phone = shown("display_name"), shown("callback_phone")
    if alert.latitude is not None and alert.longitude is not None:
        location = message.location
        location.point.latitude, location.point.longitude = alert.latitude, alert.longitude
        location.source = alert.location_source
        if alert.accuracy_meters is not None:
            location.accuracy_meters = alert.accuracy_meters
        if alert.fix_time:
            location.fix_time.FromDatetime(alert.fix_time)
    if shown("target_latitude") is not None and shown("target_longitude") is not None:
        message.target.point.latitude, message.target.point.longitude = shown("target_latitude"), shown("target_longitude")
    if shown("target_address"):
        message.target.address_text = shown("target_address")


def to_entry(found: Entry, view: View, notes: Mapping[str, str]) -> events_pb2.AlertEvent:
    """An entry of the timeline; `notes` are the texts by id. The caller's side is told neither who did it nor the details."""
    number, event = found
    said = event.attributes
    entry = events_pb2.AlertEvent(
        name=f"{event.resource}/events/{number}",
        type=event.type,
        audience=event.audience,
        text=notes.get(said.get("note", ""), ""),
        create_time=event.create_time,
    )
    if view is not View.CALLER:
        entry.actor = event.actor
        entry.agency, entry.assignee = said.get("agency", ""), said.get("assignee", "")
        entry.units.extend(said.get("units", ()))
        if "status" in said:
            entry.status = Status[said["status"]]
        if "means" in said:
            entry.contact.means, entry.contact.result = said["means"], said["result"]
    return entry


def to_text(message: Text, view: View) -> alert_service_pb2.AlertMessage:
    return alert_service_pb2.AlertMessage(
        name=f"{message.alert}/messages/{message.id}",
        sender=message.sender,
        operator="" if view is View.CALLER else message.operator,
        text=message.text,
        create_time=message.create_time,
    )


def to_steps(cursor: str, step: Step[Shown], view: View) -> list[bytes]:
    """A step of a watch as its messages. Fields that follow each other on the wire are one message: the cursor goes before."""
    message = alert_service_pb2.WatchAlertsResponse
    lead = message(cursor=cursor).SerializeToString()
    match step:
        case Found(shown):
            found = message.Event(type="AlertOpen", alert=to_message(shown.alert, view))
            return [lead + message(event=found).SerializeToString()]
        case SnapshotEnd():
            return [lead + message(snapshot_end=message.SnapshotEnd()).SerializeToString()]
        case Change(event, shown):
            return [lead + shown.event(event, view)]
        case Heartbeat():
            return [lead + message(heartbeat=message.Heartbeat()).SerializeToString()]
        case EndReason():
            return [to_end(cursor, message.End.Reason.Value(step))]


def to_end(cursor: str, reason: "alert_service_pb2.WatchAlertsResponse.End.Reason.ValueType") -> bytes:
    message = alert_service_pb2.WatchAlertsResponse
    return message(cursor=cursor, end=message.End(reason=reason)).SerializeToString()


def to_left(cursor: str, name: str) -> bytes:
    message = alert_service_pb2.WatchAlertsResponse
    return message(cursor=cursor, left=message.Left(name=name)).SerializeToString()


def to_time(message: Message, field: str) -> datetime | None:
    """None where it is absent. Raises InvalidRequest."""
    try:
        return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None
    except (ValueError, OverflowError):
        first, *words = field.split("_")
        raise InvalidRequest(fields=[(first + "".join(map(str.capitalize, words)), "is no time")]) from None


def to_positions(request: alert_service_pb2.TrackAlertRequest, now: datetime) -> list[Position]:
    return [
        Position(
            alert=request.name,
            latitude=each.point.latitude,
            longitude=each.point.longitude,
            accuracy_meters=each.accuracy_meters if each.HasField("accuracy_meters") else None,
            fix_time=read_fix_time(each, now),
            source=each.source,
            receive_time=now,
        )
        for each in request.locations
    ]


def to_columns(
    request: alert_service_pb2.RaiseAlertRequest, name: str, user: str, display_name: str, token_hash: bytes, route: Route, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new alert's columns, and those of its lead's response."""
    located, targeted = request.HasField("location"), request.target.HasField("point")
    location, target = request.location, request.target
    silent = request.silent
    alert = {
        "name": name,
        "kind": request.kind,
        "state": State.RAISED,
        "caller_state": State.RAISED,
        "subject": request.subject,
        "channel": request.channel,
        "user": user,
        "display_name": request.caller.display_name or display_name[:_NAME_CHARACTERS],
        "callback_phone": request.caller.callback_phone,
        "contact_preference": ContactPreference.DO_NOT_CONTACT if silent else request.contact_preference,
        "latitude": location.point.latitude if located else None,
        "longitude": location.point.longitude if located else None,
        "accuracy_meters": location.accuracy_meters if located and location.HasField("accuracy_meters") else None,
        "fix_time": read_fix_time(location, now) if located else None,
        "location_source": location.source if located else 0,
        "target_latitude": target.point.latitude if targeted else None,
        "target_longitude": target.point.longitude if targeted else None,
        "target_address": target.address_text,
        "note": request.note,
        "silent": silent,
        "restricted": silent or request.kind == Kind.VIOLENCE or bool(request.conflict_agency),
        "conflict_agency": request.conflict_agency,
        "erase_time": None,
        "drill": request.drill,
        "drill_agency": request.drill_agency,
        "area": route.area,
        "routing": route.routing,
        "agency": route.agency,
        "by_staff": False,
        "cancel_claim": 0,
        "outcome": 0,
        "escalation_level": 0,
        "incident": "",
        "merged_into": "",
        "cell": h3.latlng_to_cell(*_find_place(request), CELL_RESOLUTION) if located or targeted else "",
        "followed_state": 0,
        "grouping": Grouping.WAITING,
        "doubts": [],
        "history": None,
        "external_ids": dict(request.external_ids),
        "token_hash": token_hash,
        "create_time": now,
        "deliver_time": None,
        "acknowledge_time": None,
        "dispatch_time": None,
        "arrive_time": None,
        "state_time": now,
        "limit_step": 0,
        "close_time": None,
        "cancel_time": None,
        "update_time": now,
        "revision": 1,
        "caller_update_time": now,
        "caller_revision": 1,
        "outline_update_time": now,
        "outline_revision": 1,
        "withheld": {},
    }
    response = {
        "alert": name,
        "agency": route.agency,
        "part": alert_pb2.Alert.Response.LEAD,
        "state": ResponseState.REQUESTED,
        "operator": "",
        "claimant": "",
        "request_time": now,
        "accept_time": None,
        "end_time": None,
        "requester": "",
        "instead_of": "",
        "hand_over": False,
        "reason": "",
        "escalation": Escalation.NONE,
        "clock_time": now,
        "step": 0,
    }
    return alert, response


def _redacted(alert: Alert) -> alert_pb2.Alert:
    revision = alert.outline_revision or alert.revision
    message = alert_pb2.Alert(
        name=alert.name,
        state=alert.state,
        restricted=alert.restricted,
        drill=alert.drill,
        area=alert.area,
        agency=alert.agency,
        create_time=alert.create_time,
        revision=revision,
        etag=f'"outline-{revision}"',
        update_time=alert.outline_update_time or alert.update_time,
    )
    _add_times(message, alert, _PROGRESS)
    return message


def _add_progress_for_caller(message: alert_pb2.Alert, alert: Alert) -> None:
    """What never goes back: nothing of what was done with a cancel or after it, and of a silent alert nothing at all."""
    message.revision, message.etag = alert.caller_revision, f'"{alert.caller_revision}"'
    message.update_time.FromDatetime(alert.caller_update_time)
    if not alert.silent:
        until = alert.cancel_time or datetime.max.replace(tzinfo=UTC)
        for field in _PROGRESS[:-1]:
            if (time := getattr(alert, field)) and time < until:
                getattr(message, field).FromDatetime(time)
    if alert.cancel_time:
        message.close_time.FromDatetime(alert.cancel_time)
    elif alert.close_time and alert.caller_state == State.RESOLVED:
        message.close_time.FromDatetime(alert.close_time)


def _add_progress_for_agency(message: alert_pb2.Alert, alert: Alert) -> None:
    message.revision, message.etag = alert.revision, f'"{alert.revision}"'
    message.update_time.FromDatetime(alert.update_time)
    message.outcome = alert.outcome
    message.cancel_claim = alert.cancel_claim
    message.conflict_agency, message.incident, message.merged_into = alert.conflict_agency, alert.incident, alert.merged_into
    message.doubts.extend(list_doubts(alert))
    if alert.history:
        history = message.caller_history
        history.alerts, history.pranks, history.false_alarms = (alert.history[each] for each in ("alerts", "pranks", "false_alarms"))
    _add_times(message, alert, _PROGRESS)
    message.escalation_level = alert.escalation_level
    # The lead's first, then in the order in which they were asked.
    for each in sorted(alert.responses, key=lambda each: (each.part, each.request_time)):
        response = message.responses.add(
            agency=each.agency,
            part=each.part,
            state=each.state,
            operator=each.operator,
            request_time=each.request_time,
            requester=each.requester,
            hand_over=each.hand_over,
            escalation=each.escalation if alert.parts.is_awaited(each) else Escalation.NONE,
            reason=each.reason,
        )
        _add_times(response, each, ("accept_time", "end_time"))
    for each in alert.assignments:
        assignment = message.assignments.add(
            unit=each.unit,
            status=each.status,
            agency=each.agency,
            kind=each.kind,
            reason=each.reason,
            missed_roll_calls=each.missed_roll_calls,
            mayday=each.mayday,
        )
        _add_times(assignment, each, _TIMES)


def _add_times(message: Message, entity: object, fields: Iterable[str]) -> None:
    for field in fields:
        if time := getattr(entity, field):
            getattr(message, field).FromDatetime(time)


def read_fix_time(location: alert_pb2.Alert.Location | unit_pb2.UnitPosition, now: datetime) -> datetime:
    fix_time = to_time(location, "fix_time")
    return fix_time if fix_time and fix_time <= now + AHEAD else now


def _find_place(request: alert_service_pb2.RaiseAlertRequest) -> tuple[float, float]:
    point = request.target.point if request.target.HasField("point") else request.location.point
    return point.latitude, point.longitude


def to_location(position: Position) -> alert_pb2.Alert.Location:
    location = alert_pb2.Alert.Location(source=position.source, fix_time=position.fix_time)
    location.point.latitude, location.point.longitude = position.latitude, position.longitude
    if position.accuracy_meters is not None:
        location.accuracy_meters = position.accuracy_meters
    return location
