"""Reads an SOS: whatever can be used is used, whatever cannot is dropped and named, and nothing is refused."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from alerts.model.calls import AHEAD
from buf.validate import validate_pb2
from chassis.clock import now
from chassis.identity import Caller
from chassis.interceptors import field_names, find_violations, json_path
from siaga.access.v1 import access_pb2
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import RaiseAlertRequest

_NOTE_CHARACTERS = 4000
_NANOS = 1_000_000_000
# Who may raise for others, by other channels than the app.
_TRUSTED = frozenset({access_pb2.DISPATCHER, access_pb2.SUPERVISOR, access_pb2.AGENCY, access_pb2.ADAPTER})
_DRILLERS = _TRUSTED - {access_pb2.ADAPTER} | {access_pb2.ADMIN}


def salvage(request: RaiseAlertRequest, caller: Caller, knows: Callable[[str], bool]) -> list[str]:
    """Drops from the request what breaks a rule or is not this caller's to say; returns its JSON names. `knows` says whether there
    is an agency.
    """
    ignored = _clean_texts(request)
    for violation in find_violations(request):
        ignored.append(_drop(request, field_names(violation), json_path(violation)))
    fix = request.location.fix_time
    if not 0 <= fix.nanos < _NANOS or fix.seconds > now().timestamp() + AHEAD.total_seconds():
        request.location.ClearField("fix_time")
        ignored.append("location.fixTime")
    if _TRUSTED.isdisjoint(caller.roles):
        if request.channel not in {alert_pb2.Alert.CHANNEL_UNSPECIFIED, alert_pb2.Alert.APP}:
            ignored.append("channel")
        request.channel = alert_pb2.Alert.APP
        if request.external_ids:
            request.ClearField("external_ids")
            ignored.append("externalIds")
    elif request.channel == alert_pb2.Alert.CHANNEL_UNSPECIFIED:
        request.channel = _guess_channel(request, caller)
    if request.drill and _DRILLERS.isdisjoint(caller.roles):
        request.drill = False
        ignored.append("drill")
    if request.drill_agency and not _is_drillable(request, caller, knows):
        request.drill_agency = ""
        ignored.append("drillAgency")
    return sorted(set(ignored))


def _is_drillable(request: RaiseAlertRequest, caller: Caller, knows: Callable[[str], bool]) -> bool:
    """The caller's own agency also where the directory was never heard: they would drill a room that they know nothing of."""
    agency = request.drill_agency
    return request.drill and agency != request.conflict_agency and (agency == caller.agency or knows(agency))


def _guess_channel(request: RaiseAlertRequest, caller: Caller) -> "alert_pb2.Alert.Channel.ValueType":
    """A system passes on what it was told; a dispatcher writes down somebody's call, unless the danger is their own."""
    if access_pb2.AGENCY in caller.roles:
        return alert_pb2.Alert.PARTNER
    if access_pb2.ADAPTER in caller.roles:
        return alert_pb2.Alert.SMS
    return alert_pb2.Alert.VOICE if request.subject == alert_pb2.Alert.Caller.OTHER else alert_pb2.Alert.APP


def _clean_texts(request: RaiseAlertRequest) -> list[str]:
    """PostgreSQL keeps no NUL; the words around it are kept."""
    texts = [
        (request, "note", "note"),
        (request.caller, "display_name", "caller.displayName"),
        (request.target, "address_text", "target.addressText"),
    ]
    broken = [each for each in texts if "\0" in getattr(each[0], each[1])]
    for holder, field, _ in broken:
        setattr(holder, field, getattr(holder, field).replace("\0", ""))
    return [path for _, _, path in broken]


def _drop(request: RaiseAlertRequest, names: list[str], path: str) -> str:
    """Clears the field and, where its message is nothing without it, that message; returns the path of what went."""
    if names == ["note"]:
        # Its beginning is worth more than nothing.
        request.note = request.note[:_NOTE_CHARACTERS]
        return path
    holders: list[tuple[Message, Any]] = []
    holder: Message = request
    for name in names:
        field = holder.DESCRIPTOR.fields_by_name[name]
        holders.append((holder, field))
        # To reach into a message that went before would bring it back, empty: a place at latitude 0, longitude 0.
        if field.is_repeated or field.message_type is None or not holder.HasField(field.name):  # pyright: ignore[reportArgumentType]
            break
        holder = getattr(holder, name)
    parts = path.split(".")[: len(holders)]
    while holders:
        holder, field = holders.pop()
        holder.ClearField(field.name)
        if not (holders and field.GetOptions().Extensions[validate_pb2.field].required):
            break
        parts.pop()
    return ".".join(parts)
