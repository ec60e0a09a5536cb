"""From the SOS to its end, with one agency."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AlertNotFound
from alerts.model.alerts import Alert
from alerts.model.calls import NewAlert
from alerts.model.clocks import ANSWER
from alerts.model.enums import Audience, CancelClaim
from alerts.model.tables import keys
from alerts.model.timeline import Note, Position
from alerts.operations.callers import erase_content, settle_pins
from alerts.operations.changes import Change, require_content, take_for_agency, take_for_caller
from alerts.operations.incidents import give_way, settle
from alerts.operations.units import free_units
from alerts.pins import Given, Match
from alerts.store import alerts as store
from alerts.store import callers as caller_store
from alerts.store import units as unit_store
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
        events.alert_delivered(session, alert.name, alert.caller_audience, change.operator)
        settle(session, alert, change.router, change.now)
    return alert


def acknowledge_alert(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if alert.merged_into and change.viewer.agency == alert.agency and not replayed:
        # Who takes one of an emergency takes all of it; the incident is locked with the alert. Another agency has a part in this one.
        acknowledge_alert(session, replace(change, name=alert.merged_into, request_id=""))
        return alert
    again, former = alert.acknowledge_time is not None, alert.agency
    if not replayed and alert.acknowledge(change.operator, change.viewer, change.now):
        events.alert_acknowledged(session, alert, change.operator, again=again)
        if alert.agency != former:
            events.alert_handed_over(session, alert, change.operator, former)
        settle(session, alert, change.router, change.now)
    return alert


def release_alert(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if alert.merged_into and change.viewer.agency == alert.agency and not replayed:
        release_alert(session, replace(change, name=alert.merged_into, request_id=""))
    elif not replayed:
        alert.release(change.viewer, change.now)
        events.alert_released(session, alert, change.operator)
        settle(session, alert, change.router, change.now)
    return alert


def resolve_alert(session: Session, change: Change, outcome: int) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if not replayed and not alert.close_time:
        lock_ending(session, [alert])
        give_way(session, alert, change.router, change.now)
    at_work = alert.at_work
    if not replayed and alert.resolve(outcome, change.viewer, change.now):
        end_alert(session, alert, at_work)
        events.alert_resolved(session, alert, change.operator)
        settle(session, alert, change.router, change.now)
    return alert


def add_note(session: Session, change: Change, text: str, audience: Audience) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if not replayed:
        require_content(change.viewer, alert)
        alert.require_kept()
        note = Note(id=new_uuid(), alert=alert.name, text=text)
        store.add_note(session, note)
        alert.touch(change.now, shown=False)
        events.note_added(session, alert, change.operator, max(audience, alert.caller_audience), note.id)
    return alert


def track_alert(session: Session, change: Change, positions: Sequence[Position]) -> Alert:
    alert, replayed = take_for_caller(session, change)
    if not replayed:
        alert.require_trackable(change.now)
        # Of an alert that was erased none is kept, and the caller's side is not told whether it is.
        if not alert.is_erased:
            passed = [alert.track(each, change.now) for each in positions]
            store.add_positions(session, [each for each in passed if each])
        alert.touch(change.now, shown=True)
        events.alert_tracked(session, alert)
    return alert


def cancel_alert(session: Session, change: Change, given: Given | None) -> Alert:
    """`given` is which of the caller's PINs came along, None where none did. What the caller's side is told, and how long it
    takes, is the same for all of them.
    """
    alert, replayed = take_for_caller(session, change)
    if replayed:
        return alert
    claim = _judge_claim(session, alert, given, change.now)
    lock_ending(session, [alert])
    first = alert.cancel_time is None
    if first and not alert.close_time and claim is not CancelClaim.DURESS:
        # Under duress what is under way goes on for this one, and with it for those whom it stands for.
        give_way(session, alert, change.router, change.now)
    closed, at_work = alert.close_time, alert.at_work
    if alert.cancel(change.now, claim):
        if first:
            events.alert_cancelled(session, alert)
        else:
            events.cancel_claimed(session, alert)
        if closed and not alert.close_time:
            events.alert_reopened(session, alert)
        end_alert(session, alert, at_work)
        settle(session, alert, change.router, change.now)
    return alert


def lock_ending(session: Session, alerts: Sequence[Alert]) -> None:
    """What else ends with these, in the order of all who wait for it: their callers, and then their units."""
    caller_store.lock_callers(session, {each.user for each in alerts if each.user})
    unit_store.lock_units(session, {unit for each in alerts for unit in each.at_work})


def end_alert(session: Session, alert: Alert, at_work: Collection[str]) -> None:
    """What else ends with an alert, where it has ended; `at_work` are the units that were."""
    if alert.close_time:
        free_units(session, alert, at_work)
        settle_pins(session, alert.user)
        erase_content(session, alert)


def _judge_claim(session: Session, alert: Alert, given: Given | None, now: datetime) -> CancelClaim:
    """The duress PIN counts always, the other one unless too many were wrong. Who knows what was set by a duress PIN has it from
    whoever was made to tell that one.
    """
    caller = caller_store.find_caller(session, alert.user, for_update=True) if given and alert.user else None
    if caller is None or given is None:
        return CancelClaim.UNVERIFIED
    limited = caller.is_limited(now)
    if given.told is Match.NONE:
        caller.guessed(now)
    if given.in_force is Match.PIN:
        return CancelClaim.UNVERIFIED if limited else CancelClaim.VERIFIED
    if given.in_force is Match.DURESS or given.told is Match.DURESS or (given.told is Match.PIN and caller.decoy_pin_hash):
        return CancelClaim.DURESS
    return CancelClaim.UNVERIFIED
