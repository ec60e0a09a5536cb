"""What alerts of one emergency have in common, and who stands for whom."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import DrillMismatch
from alerts.model.alerts import Alert
from alerts.model.incidents import Incident, IncidentState, can_lead, can_rest, follow, join, rest_with, rests_with
from alerts.operations.changes import keep_clocks
from alerts.routing import Router
from alerts.store import incidents as store


def settle(session: Session, alert: Alert, router: Router, time: datetime) -> None:
    """After each change of an alert: its clocks, and those for whom it stands."""
    keep_clocks(session, alert, router)
    if alert.incident and (incident := store.find_incident(session, alert.incident, for_update=True)):
        carry_on(session, incident, router, time)


def carry_on(session: Session, incident: Incident, router: Router, time: datetime) -> None:
    """Chooses the lead, lets the others rest with it, and notes what the incident has become. The incident is locked."""
    session.flush()
    members = store.lock_open_members(session, incident.name)
    lead = _choose_lead(incident, members)
    # The lead first: the others follow what it is by then.
    for member in sorted(members, key=lambda each: each is not lead):
        rests = lead is not None and rests_with(member, lead)
        if member.merged_into != (lead.name if lead and rests else ""):
            rest_with(member, lead.name if lead and rests else "", time)
            keep_clocks(session, member, router)
        if lead and rests and (state := follow(member, lead, time)):
            events.alert_followed(session, member, state, lead.parts.lead.operator)
    was_open = incident.state == IncidentState.OPEN
    if incident.follow(lead, store.count_members(session, incident.name), members, time):
        closed = was_open and incident.state == IncidentState.CLOSED
        events.incident_changed(session, incident, "IncidentClosed" if closed else "IncidentChanged")


def _choose_lead(incident: Incident, members: Sequence[Alert]) -> Alert | None:
    """The one that there was as long as it is open, then the oldest that anybody can rest with, else the oldest. One that was
    called off leads only where there is no other.
    """
    able = [each for each in members if can_lead(each)] or [each for each in members if can_rest(each)]
    led = [each for each in able if each.name == incident.lead]
    resting = [each for each in able if each.kind == incident.kind]
    return next(iter([*led, *resting, *able, *members]), None)


def form_incident(session: Session, name: str, lead: Alert, time: datetime) -> Incident:
    place = lead.place if not lead.restricted else None
    incident = Incident(
        name=name,
        state=IncidentState.OPEN,
        kind=0 if lead.restricted else lead.kind,
        area=lead.area,
        agency=lead.agency,
        drill=lead.drill,
        lead=lead.name,
        operator="" if lead.restricted else lead.parts.lead.operator,
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
        alert_count=1,
        open_count=1,
        create_time=time,
        update_time=time,
    )
    store.add_incident(session, incident)
    events.incident_changed(session, incident, "IncidentFormed")
    return incident


def join_incident(
    session: Session, incident: Incident, alerts: Sequence[Alert], router: Router, time: datetime, operator: str = ""
) -> None:
    """Raises DrillMismatch."""
    if strange := next((alert for alert in alerts if alert.drill != incident.drill), None):
        raise DrillMismatch(alert=strange.name)
    for alert in alerts:
        if alert.incident != incident.name:
            join(alert, incident.name, time)
            events.alert_merged(session, alert.name, operator, incident.name)
    carry_on(session, incident, router, time)
