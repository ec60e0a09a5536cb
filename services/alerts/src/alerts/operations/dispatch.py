"""What several agencies do for an alert, and the units that they send."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AgencyInConflict, AgencyNotFound, UnitNotFound
from alerts.model.alerts import Alert
from alerts.model.enums import Status, View
from alerts.operations.changes import Change, claim, require_content, require_view, take_for_agency
from alerts.operations.incidents import settle
from alerts.operations.reading import show_changed
from alerts.operations.units import free_units
from alerts.store import alerts as store
from alerts.store import units as unit_store


def assign_alert(session: Session, change: Change, assignee: str) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if alert.merged_into and change.viewer.agency == alert.agency and not replayed:
        assign_alert(session, replace(change, name=alert.merged_into, request_id=""), assignee)
        return alert
    again, former = alert.acknowledge_time is not None, alert.agency
    if not replayed and alert.assign(assignee, change.viewer, change.now):
        if not again:
            events.alert_acknowledged(session, alert, change.operator, again=False)
        if alert.agency != former:
            events.alert_handed_over(session, alert, change.operator, former)
        events.alert_assigned(session, alert, change.operator, assignee)
        settle(session, alert, change.router, change.now)
    return alert


def update_alert(session: Session, change: Change, values: dict[str, Any], etag: str) -> Alert:
    """`values` are columns; where help is needed elsewhere, somebody else may be responsible."""
    alert, replayed = take_for_agency(session, change)
    if not replayed:
        require_content(change.viewer, alert)
        before, former = alert.place, alert.agency
        if not alert.update(values, etag, change.viewer, change.now):
            return alert
        asked = _reroute(alert, change) if alert.place and alert.place != before else ""
        events.alert_updated(session, alert, change.operator, outline=alert.outline_changed)
        if asked and alert.agency != former:
            events.alert_handed_over(session, alert, "", former)
        elif asked:
            events.agency_requested(session, alert, change.operator, asked)
        settle(session, alert, change.router, change.now)
    return alert


def _reroute(alert: Alert, change: Change) -> str:
    """The agency that leads from now on, or is asked to; empty where the same one is responsible."""
    route, former = change.router.route(*alert.place or (None, None), avoid=alert.conflict_agency), alert.agency
    # Whoever has been given it by another agency keeps it, where the same one is responsible as before, or one that must not know of it.
    responsible = (
        former if route.agency in {change.router.find_room(alert.area, alert.conflict_agency), alert.conflict_agency} else route.agency
    )
    return responsible if alert.reroute(route.area, route.routing, responsible, change.now) else ""


def request_agency(session: Session, change: Change, agency: str, reason: str, *, hand_over: bool) -> Alert:
    """Raises AgencyNotFound."""
    alert, replayed = take_for_agency(session, change)
    if not replayed:
        require_content(change.viewer, alert)
        if not change.router.knows(agency):
            raise AgencyNotFound
        if agency == alert.conflict_agency:
            raise AgencyInConflict
        if alert.request_agency(agency, reason, change.viewer, change.now, hand_over=hand_over):
            events.agency_requested(session, alert, change.operator, agency)
            settle(session, alert, change.router, change.now)
    return alert


def accept_request(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_agency(session, change)
    former = alert.agency
    if not replayed and alert.accept_request(change.operator, change.viewer, change.now):
        events.agency_accepted(session, alert, change.operator, change.viewer.agency)
        if alert.agency != former:
            events.alert_handed_over(session, alert, change.operator, former)
        settle(session, alert, change.router, change.now)
    return alert


def reject_request(session: Session, change: Change, reason: str) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if not replayed and alert.reject_request(reason, change.viewer, change.now):
        events.agency_rejected(session, alert, change.operator, change.viewer.agency)
        settle(session, alert, change.router, change.now)
    return alert


def dispatch_alert(session: Session, change: Change, names: Sequence[str], *, accept_old_positions: bool) -> Alert:
    """All of the units or none. Raises UnitNotFound, DrillMismatch, UnitOffDuty, UnitBusy and UnitPositionOld."""
    alert, replayed = take_for_agency(session, change)
    if not replayed:
        units = unit_store.lock_units(session, names)
        for name in names:
            if name not in units or units[name].agency != change.viewer.agency:
                raise UnitNotFound(unit=name)
        max_age = None if accept_old_positions else change.router.find_policy(change.viewer.agency).position_age
        shown = alert.caller_state
        if sent := alert.dispatch([units[name] for name in names], change.viewer, change.now, max_age):
            events.alert_dispatched(session, alert, change.operator, sent, news=alert.caller_state > shown)
            settle(session, alert, change.router, change.now)
    return alert


def update_assignment(session: Session, change: Change, unit: str, status: Status, reason: str) -> tuple[Alert, View]:
    """By the unit's crew or its agency, and how much of the alert they are shown then: a crew whose work has ended, no more than
    that it exists. Raises UnitNotFound to everybody else who sees it.
    """
    replayed, alert = claim(session, change), store.find_alert(session, change.name, for_update=True)
    assignment = alert.find_assignment(unit) if alert else None
    if alert is None or assignment is None or change.viewer.has_raised(alert) or not change.viewer.commands(assignment):
        require_view(change.viewer, alert)
        raise UnitNotFound(unit=unit)
    shown = alert.caller_state
    if not replayed and alert.update_assignment(unit, status, reason, change.now):
        outline = alert.outline_changed
        if not assignment.is_active:
            free_units(session, alert, [unit])
        events.assignment_updated(session, alert, change.operator, assignment, news=alert.caller_state > shown, outline=outline)
        settle(session, alert, change.router, change.now)
    return alert, show_changed(session, change, alert) or View.REDACTED
