"""What alerts of one emergency have in common, and who stands for whom."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import DrillMismatch
from alerts.model.alerts import Alert
from alerts.model.incidents import (
    Incident,
    IncidentState,
    can_lead,
    can_rest,
    find_holding,
    follow,
    hand_on,
    inherit,
    is_held,
    join,
    leads_on,
    leave,
    rest_with,
    rests_with,
)
from alerts.operations.changes import keep_clocks
from alerts.routing import Router
from alerts.store import alerts as alert_store
from alerts.store import incidents as store
from alerts.store import units as unit_store


def settle(session: Session, alert: Alert, router: Router, time: datetime) -> None:
    """After each change of an alert: its clocks, and those for whom it stands."""
    keep_clocks(session, alert, router)
    if alert.incident and (incident := store.find_incident(session, alert.incident, for_update=True)):
        carry_on(session, incident, router, time)


def give_way(session: Session, alert: Alert, time: datetime) -> None:
    """Before one that stands for others ends or is called off: the units and helpers that were sent for all of them go on for the
    next one.
    """
    incident = store.find_incident(session, alert.incident, for_update=True) if alert.incident else None
    if incident is None or incident.lead != alert.name:
        return
    session.flush()
    successor = _choose_lead(incident, [each for each in store.lock_open_members(session, incident.name) if each is not alert])
    if successor and successor.merged_into == alert.name:
        units, helpers = hand_on(alert, successor, time)
        for unit in unit_store.lock_units(session, units).values():
            unit.work_for(successor.name, time)
        if units:
            events.units_handed_on(session, alert, successor, units)
        for each in helpers:
            events.helper_handed_on(session, successor, each)


def carry_on(session: Session, incident: Incident, router: Router, time: datetime, joined: Collection[str] = ()) -> None:
    """Chooses the lead, lets the others rest with it, and notes what the incident has become. The incident is locked; of those that
    have just joined it that is told already.
    """
    session.flush()
    members = store.lock_open_members(session, incident.name)
    lead, former = _choose_lead(incident, members), incident.agency
    heir = _find_heir(session, incident, lead, members)
    # The lead first: the others follow what it is by then.
    for member in sorted(members, key=lambda each: each is not lead):
        rests = lead is not None and rests_with(member, lead, former)
        if member.merged_into != (lead.name if lead and rests else ""):
            rest_with(member, lead.name if lead and rests else "", time)
            keep_clocks(session, member, router)
            if member.name not in joined:
                events.alert_merged(session, member.name, "", incident.name)
        if lead and rests:
            _follow(session, member, lead, heir, time)
        elif lead and member.agency != lead.agency:
            # Who answers the incident could do nothing for it.
            leave(member, time)
            keep_clocks(session, member, router)
            events.alert_unmerged(session, member, "", incident.name)
            members.remove(member)
    session.flush()
    was_open = incident.state == IncidentState.OPEN
    shown = [each.place for each in members if each.place and not each.restricted]
    places = shown if members else store.find_places(session, incident.name)
    if incident.follow(lead, store.count_members(session, incident.name), len(members), places, time):
        closed = was_open and incident.state == IncidentState.CLOSED
        event = "IncidentClosed" if closed else "IncidentChanged"
        events.incident_changed(session, incident, event, former if former != incident.agency else "")


def _follow(session: Session, member: Alert, lead: Alert, heir: Alert | None, time: datetime) -> None:
    former, held_by, operator = member.agency, member.parts.lead.operator, find_holding(lead, heir).operator
    followed = follow(member, lead, heir, time)
    if followed.state:
        events.alert_followed(session, member, followed.state, operator, news=followed.news)
    elif member.agency == former and operator != held_by:
        if operator:
            events.alert_assigned(session, member, "", operator)
        else:
            events.alert_released(session, member, "")
    elif followed.delivered:
        events.alert_delivered(session, member.name, member.caller_audience, "")
    if member.agency != former:
        events.alert_handed_over(session, member, operator, former)


def _find_heir(session: Session, incident: Incident, lead: Alert | None, members: Sequence[Alert]) -> Alert | None:
    """Of a lead that leads on. What whoever would have led until now had then goes on for the next one, as `give_way` has it, unless it
    was taken out.
    """
    heir = _choose_lead(incident, [each for each in members if each is not lead]) if lead and leads_on(lead, members) else None
    name = heir.name if heir else ""
    if lead and name != incident.heir:
        former = alert_store.find_alert(session, incident.heir) if incident.heir else None
        inherit(lead, alone=former is not None and former.incident != incident.name)
        incident.heir = name
    return heir


def _choose_lead(incident: Incident, members: Sequence[Alert]) -> Alert | None:
    """The one that there was, or would be, as long as it is open, unless somebody has taken another one instead; then the oldest that
    anybody can rest with, a doubtful one after all others; else the oldest. One that was called off leads only where there is no other,
    or where its caller was made to do it.
    """
    if forced := [each for each in members if each.name == incident.lead and leads_on(each, members)]:
        return forced[0]
    able = [each for each in members if can_lead(each)] or [each for each in members if can_rest(each)]
    led = [each for each in able if each.name == (incident.heir or incident.lead)]
    if led and led[0].parts.lead.claimant:
        return led[0]
    genuine = [each for each in able if not each.doubts]
    alike = [each for each in genuine or able if each.kind == incident.kind]
    held = [each for each in alike if is_held(each)]
    return next(iter([*held, *(each for each in led if each in alike), *alike, *genuine, *able, *members]), None)


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
    incident.outcome = 0
    joining = [alert for alert in alerts if alert.incident != incident.name]
    for alert in joining:
        join(alert, incident.name, time)
        events.alert_merged(session, alert.name, operator, incident.name)
    carry_on(session, incident, router, time, {alert.name for alert in joining})
