"""What alerts of one emergency have in common, and who stands for whom."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import DrillMismatch
from alerts.model.alerts import Alert
from alerts.model.enums import State
from alerts.model.incidents import (
    Incident,
    IncidentState,
    Standing,
    can_lead,
    can_rest,
    fall_due,
    find_standing,
    follow,
    hand_on,
    has_given_way,
    is_forced,
    is_held,
    join,
    leads_on,
    leave,
    list_due,
    rest_with,
    rests_with,
)
from alerts.model.units import Assignment
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


def give_way(session: Session, alert: Alert, router: Router, time: datetime) -> None:
    """Before one that stands for others, or would, ends or is called off: the units and helpers that were sent for all of them go on for
    the next one, and units that are due to another one for that.
    """
    incident = store.find_incident(session, alert.incident, for_update=True) if alert.incident else None
    owed = {each.heir for each in alert.assignments if each.heir}
    if incident is None or not (owed or alert.name in {incident.lead, incident.heir}):
        return
    session.flush()
    others = [each for each in store.lock_open_members(session, incident.name) if each is not alert]
    successor, following = _find_successors(incident, alert, others)
    for each in others:
        if each.name in owed and each is not successor:
            _hand_on(session, alert, each, [it for it in alert.assignments if it.heir == each.name], router, time, whole=False)
    if successor and following:
        # Whoever helps was not asked for one that is kept from the others.
        kept = is_forced(successor) and successor.restricted
        _hand_on(session, alert, successor, alert.assignments, router, time, whole=not kept)
        if kept:
            _hand_on(session, alert, following, [], router, time, whole=True)


def _find_successors(incident: Incident, alert: Alert, others: Sequence[Alert]) -> tuple[Alert | None, Alert | None]:
    """For whom all that is under way for the alert goes on; and who would lead, if that one did not lead on though it was called off."""
    if alert.name not in {incident.lead, incident.heir}:
        return None, None
    lead, heir = _choose_lead(incident, others)
    following = heir or lead
    if not following or following.merged_into != incident.lead:
        return None, None
    return lead if alert.name == incident.lead else following, following


def _hand_on(
    session: Session, alert: Alert, successor: Alert, assignments: Sequence[Assignment], router: Router, time: datetime, *, whole: bool
) -> None:
    units, helpers = hand_on(alert, successor, assignments, time, whole=whole)
    # Those of a crew at the scene run wherever its alert rests.
    keep_clocks(session, successor, router)
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
    former = incident.agency
    lead, heir = _choose_lead(incident, members)
    _note_heir(session, incident, lead, heir, members)
    due = list_due(members)
    # The lead first: the others follow what it is by then.
    for member in sorted(members, key=lambda each: each is not lead):
        rests = lead is not None and rests_with(member, lead, heir, former)
        if member.merged_into != (lead.name if lead and rests else ""):
            rest_with(member, lead.name if lead and rests else "", time)
            keep_clocks(session, member, router)
            if member.name not in joined:
                events.alert_merged(session, member.name, "", incident.name)
        if lead and rests:
            _follow(session, member, find_standing(member, lead, heir, due), time)
        elif lead and member.agency != lead.agency:
            # Who answers the incident could do nothing for it.
            leave(member, time)
            keep_clocks(session, member, router)
            events.alert_unmerged(session, member, "", incident.name)
            members.remove(member)
        elif member.name in due or member.followed_state > State.RAISED:
            # What is due to it, or was.
            _follow(session, member, find_standing(member, member, None, due), time)
            keep_clocks(session, member, router)
    session.flush()
    was_open = incident.state == IncidentState.OPEN
    shown = [each.place for each in members if each.place and not each.restricted]
    places = shown if members else store.find_places(session, incident.name)
    if incident.follow(lead, heir, store.count_members(session, incident.name), len(members), places, time):
        closed = was_open and incident.state == IncidentState.CLOSED
        event = "IncidentClosed" if closed else "IncidentChanged"
        events.incident_changed(session, incident, event, former if former != incident.agency else "")


def _follow(session: Session, member: Alert, standing: Standing, time: datetime) -> None:
    former, held_by, operator = member.agency, member.parts.lead.operator, standing.holder.operator
    followed = follow(member, standing, time)
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


def _note_heir(session: Session, incident: Incident, lead: Alert | None, heir: Alert | None, members: Sequence[Alert]) -> None:
    """What is under way for one that leads on is due to its heir. What was to the one before, who has ended or was called off, passes to
    the next as `give_way` has it; of one that was taken out, or whose place another one has taken, it does not.
    """
    name = heir.name if heir else ""
    if heir:
        former = alert_store.find_alert(session, incident.heir) if incident.heir not in {"", name} else None
        passed = name == incident.heir or (heir.merged_into == incident.lead and (former is None or has_given_way(former, incident.name)))
        for each in members:
            # Of whoever would have led and was made to call it off, too.
            fresh = each is lead or (each is former and is_forced(each))
            fall_due(each, name, former.name if former else name, fresh=fresh, passed=passed)
    incident.heir = name


def _choose_lead(incident: Incident, members: Sequence[Alert]) -> tuple[Alert | None, Alert | None]:
    """Who leads; and, of one that was called off and leads on, because its caller was made to do it, who would lead instead. It does so
    as long as somebody rests with it, and wherever the one would lead to whom the help is due that is under way for it.
    """
    forced = next((each for each in members if each.name == incident.lead and leads_on(each, members)), None)
    chosen = _choose(incident, [each for each in members if each is not forced])
    if forced and chosen and forced.name != chosen.merged_into and chosen.name != incident.heir:
        # Whoever leads without having rested with the one before takes nothing over.
        forced = None
    if chosen and not forced:
        forced = next((each.alert for each in list_due(members).get(chosen.name, ())), None)
    return (forced, chosen) if forced else (chosen, None)


def _choose(incident: Incident, members: Sequence[Alert]) -> Alert | None:
    """The one that there was, as long as it is open, unless somebody has taken another one instead; then the oldest that anybody can rest
    with, a doubtful one after all others; else the oldest. One that was called off leads only where there is no other.
    """
    able = [each for each in members if can_lead(each)] or [each for each in members if can_rest(each)]
    led = [each for each in able if each.name == (incident.heir or incident.lead)]
    if led and led[0].parts.lead.claimant:
        return led[0]
    genuine = [each for each in able if not each.doubts]
    alike = [each for each in genuine or able if each.kind == incident.kind]
    held = [each for each in alike if is_held(each)]
    return next(iter([*held, *(each for each in led if each in alike), *alike, *genuine, *able, *members]), None)


def find_bound(session: Session, alerts: Sequence[Alert]) -> Collection[tuple[str, str]]:
    """Who goes along when these are put into another incident: each that was called off and leads on, or whose help is due to another
    one, with its heir, from whom it is not parted.
    """
    bound: set[tuple[str, str]] = set()
    named = {each.name for each in alerts}
    going = set(named)
    for name in sorted({each.incident for each in alerts if each.incident}):
        incident = store.find_incident(session, name)
        members = {each.name: each for each in store.lock_open_members(session, name)}
        pairs = {(each.alert.name, heir) for heir, owed in list_due(members.values()).items() for each in owed if each.assignment.is_active}
        if incident and incident.heir:
            parted = any(each == incident.lead and heir != incident.heir for each, heir in pairs)
            # Where another one takes along the lead, whose help is due to that one, the heir leads those who stay.
            if not parted or named & {incident.lead, incident.heir}:
                pairs.add((incident.lead, incident.heir))
        pairs = {each for each in pairs if members.keys() >= set(each)}
        while more := {each for each in pairs - bound if going & set(each)}:
            bound |= more
            going |= {each for pair in more for each in pair}
    return bound


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
