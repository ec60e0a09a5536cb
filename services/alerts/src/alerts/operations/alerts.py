"""From the SOS to its end, with one agency."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AlertNotFound
from alerts.model.alerts import Alert, NewAlert
from alerts.model.clocks import ANSWER
from alerts.model.enums import Audience
from alerts.model.tables import keys
from alerts.model.timeline import Note, Position
from alerts.operations.changes import Change, keep_clocks, require_content, take_for_agency, take_for_caller
from alerts.operations.units import free_units
from alerts.store import alerts as store
from chassis.clock import new_uuid
from chassis.timers import Timer


def raise_alert(
    session: Session, scope: str, request_id: str, alert: dict[str, Any], response: dict[str, Any], due_time: datetime, operator: str
) -> Alert:
    """A new alert of these columns, or the one that `request_id` made within `scope` before; no id, no scope.

    `due_time` is when the first clock of its lead runs out, `operator` who wrote it down for the caller, where somebody did.
    """
    if request_id and (earlier := keys.claim(session, scope, request_id, None, alert["name"])):
        found = store.find_alert(session, earlier)
        if found is None:
            raise AlertNotFound
        return found
    store.add_alert(session, alert, response, Timer(ANSWER, alert["name"], alert["agency"], due_time))
    raised = cast("Alert", NewAlert(alert))
    events.alert_raised(session, raised, operator)
    events.alert_routed(session, raised)
    return raised


def confirm_receipt(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if not replayed and alert.confirm_receipt(change.viewer, change.now):
        events.alert_delivered(session, alert, change.operator)
    return alert


def acknowledge_alert(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_agency(session, change)
    again, former = alert.acknowledge_time is not None, alert.agency
    if not replayed and alert.acknowledge(change.operator, change.viewer, change.now):
        events.alert_acknowledged(session, alert, change.operator, again=again)
        if alert.agency != former:
            events.alert_handed_over(session, alert, change.operator)
        keep_clocks(session, alert, change.router)
    return alert


def release_alert(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if not replayed:
        alert.release(change.viewer, change.now)
        events.alert_released(session, alert, change.operator)
        keep_clocks(session, alert, change.router)
    return alert


def resolve_alert(session: Session, change: Change, outcome: int) -> Alert:
    alert, replayed = take_for_agency(session, change)
    at_work = alert.at_work
    if not replayed and alert.resolve(outcome, change.viewer, change.now):
        free_units(session, alert, at_work)
        events.alert_resolved(session, alert, change.operator)
        keep_clocks(session, alert, change.router)
    return alert


def add_note(session: Session, change: Change, text: str, audience: Audience) -> Alert:
    alert, replayed = take_for_agency(session, change)
    require_content(change.viewer, alert)
    if not replayed:
        note = Note(id=new_uuid(), alert=alert.name, text=text)
        store.add_note(session, note)
        alert.noted(change.now)
        events.note_added(session, alert, change.operator, max(audience, alert.caller_audience), note.id)
    return alert


def track_alert(session: Session, change: Change, positions: Sequence[Position]) -> Alert:
    alert, replayed = take_for_caller(session, change)
    if not replayed:
        alert.require_trackable(change.now)
        passed = [alert.track(each, change.now) for each in positions]
        store.add_positions(session, [each for each in passed if each])
        alert.tracked(change.now)
        events.alert_tracked(session, alert)
    return alert


def cancel_alert(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_caller(session, change)
    if not replayed and alert.cancel(change.now):
        events.alert_cancelled(session, alert)
    return alert
