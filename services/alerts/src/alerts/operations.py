"""What changes an alert; each function is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts import events, store
from alerts.errors import AlertNotFound, NotClaimant
from alerts.model import Alert, Audience, NewAlert, Note, Position, View, Viewer, keys
from chassis.clock import new_uuid
from chassis.errors import AccessDenied


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change one alert. `operator` is whom the viewer names as the person who acts."""

    name: str
    request_id: str
    request: Message
    viewer: Viewer
    operator: str
    now: datetime


def raise_alert(session: Session, scope: str, request_id: str, alert: dict[str, Any], response: dict[str, Any], operator: str) -> Alert:
    """A new alert of these columns, or the one that `request_id` made within `scope` before; no id, no scope.

    `operator` is who wrote it down for the caller, where somebody did.
    """
    if request_id and (earlier := keys.claim(session, scope, request_id, None, alert["name"])):
        found = store.find_alert(session, earlier)
        if found is None:
            raise AlertNotFound
        return found
    store.add_alert(session, alert, response)
    raised = cast("Alert", NewAlert(alert))
    events.alert_raised(session, raised, operator)
    events.alert_routed(session, raised)
    return raised


def confirm_receipt(session: Session, change: Change) -> Alert:
    alert, replayed = _take_for_agency(session, change)
    if not replayed and alert.confirm_receipt(change.now):
        events.alert_delivered(session, alert, change.operator)
    return alert


def acknowledge_alert(session: Session, change: Change) -> Alert:
    alert, replayed = _take_for_agency(session, change)
    again = alert.acknowledge_time is not None
    if not replayed and alert.acknowledge(change.operator, change.viewer.user, change.now):
        events.alert_acknowledged(session, alert, change.operator, again=again)
    return alert


def release_alert(session: Session, change: Change) -> Alert:
    alert, replayed = _take_for_agency(session, change)
    if not replayed:
        alert.release(change.viewer, change.now)
        events.alert_released(session, alert, change.operator)
    return alert


def resolve_alert(session: Session, change: Change, outcome: int) -> Alert:
    alert, replayed = _take_for_agency(session, change)
    if not replayed and alert.resolve(outcome, change.viewer, change.now):
        events.alert_resolved(session, alert, change.operator)
    return alert


def add_note(session: Session, change: Change, text: str, audience: Audience) -> Alert:
    alert, replayed = _take_for_agency(session, change)
    if change.viewer.view(alert) is View.REDACTED:
        raise NotClaimant
    if not replayed:
        note = Note(id=new_uuid(), alert=alert.name, text=text)
        store.add_note(session, note)
        alert.note_added(change.now)
        events.note_added(session, alert, change.operator, max(audience, alert.caller_audience), note.id)
    return alert


def track_alert(session: Session, change: Change, positions: Sequence[Position]) -> Alert:
    alert, replayed = _take_for_caller(session, change)
    if not replayed:
        alert.require_trackable(change.now)
        passed = [alert.track(each, change.now) for each in positions]
        store.add_positions(session, [each for each in passed if each])
        alert.tracked(change.now)
        events.alert_tracked(session, alert)
    return alert


def cancel_alert(session: Session, change: Change) -> Alert:
    alert, replayed = _take_for_caller(session, change)
    if not replayed and alert.cancel(change.now):
        events.alert_cancelled(session, alert)
    return alert


def require_view(viewer: Viewer, alert: Alert | None) -> tuple[Alert, View]:
    """Raises AlertNotFound, alike for what is absent and for what this viewer may not know of."""
    view = viewer.view(alert) if alert else None
    if alert is None or view is None:
        raise AlertNotFound
    return alert, view


def _take_for_agency(session: Session, change: Change) -> tuple[Alert, bool]:
    alert, view, replayed = _take(session, change)
    if view is View.CALLER:
        raise AlertNotFound
    return alert, replayed


def _take_for_caller(session: Session, change: Change) -> tuple[Alert, bool]:
    alert, _, replayed = _take(session, change)
    if not change.viewer.is_caller(alert):
        raise AccessDenied
    return alert, replayed


def _take(session: Session, change: Change) -> tuple[Alert, View, bool]:
    """The alert, locked, and whether this request has changed it before: then it changes nothing again."""
    replayed = False
    if change.request_id:
        scope = f"{change.viewer.user}\0{change.viewer.token_hash.hex()}"
        replayed = keys.claim(session, scope, change.request_id, change.request, change.name) is not None
    alert, view = require_view(change.viewer, store.find_alert(session, change.name, for_update=True))
    return alert, view, replayed
