"""Incidents as protobuf messages."""

# A message takes a datetime for a Timestamp and a number for an enum; the stubs do not say so.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from collections.abc import Iterable, Mapping, Sequence

from alerts.model.incidents import Incident
from chassis.tail import Change, EndReason, Heartbeat
from chassis.watch import Found, SnapshotEnd, Step
from siaga.alerts.v1 import alert_service_pb2, incident_pb2
from siaga.alerts.v1.incident_service_pb2 import WatchIncidentsResponse

_Alerts = alert_service_pb2.WatchAlertsResponse


class ShownIncident:
    """An incident as the tail loaded it, with its members' names."""

    def __init__(self, incident: Incident, members: Sequence[str]) -> None:
        self.incident, self._members = incident, members

    def to_message(self) -> incident_pb2.Incident:
        return to_message(self.incident, self._members)


def show_incidents(incidents: Iterable[Incident], members: Mapping[str, Sequence[str]]) -> dict[str, ShownIncident]:
    """By name; `members` likewise."""
    return {each.name: ShownIncident(each, members[each.name]) for each in incidents}


def to_message(incident: Incident, members: Sequence[str]) -> incident_pb2.Incident:
    message = incident_pb2.Incident(
        name=incident.name,
        state=incident.state,
        kind=incident.kind,
        area=incident.area,
        agency=incident.agency,
        drill=incident.drill,
        lead=incident.lead,
        operator=incident.operator,
        alerts=members,
        alert_count=incident.alert_count,
        open_count=incident.open_count,
        create_time=incident.create_time,
        update_time=incident.update_time,
    )
    if incident.latitude is not None and incident.longitude is not None:
        message.point.latitude, message.point.longitude = incident.latitude, incident.longitude
    return message


def to_step(cursor: str, step: Step[ShownIncident]) -> WatchIncidentsResponse:
    match step:
        case Found(shown):
            event = WatchIncidentsResponse.Event(type="IncidentOpen", incident=shown.to_message())
            return WatchIncidentsResponse(cursor=cursor, event=event)
        case SnapshotEnd():
            return WatchIncidentsResponse(cursor=cursor, snapshot_end=_Alerts.SnapshotEnd())
        case Change(event, shown):
            said = WatchIncidentsResponse.Event(type=event.type, incident=shown.to_message())
            return WatchIncidentsResponse(cursor=cursor, event=said)
        case Heartbeat():
            return WatchIncidentsResponse(cursor=cursor, heartbeat=_Alerts.Heartbeat())
        case EndReason():
            return WatchIncidentsResponse(cursor=cursor, end=_Alerts.End(reason=_Alerts.End.Reason.Value(step)))


def to_left(cursor: str, name: str) -> WatchIncidentsResponse:
    return WatchIncidentsResponse(cursor=cursor, left=_Alerts.Left(name=name))
