"""What happens when a clock of an alert has run out, or the time of a warning."""

import logging
from collections.abc import Callable, Collection
from functools import partial

from opentelemetry import metrics
from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER, ROLL_CALL, find_clocks
from alerts.model.enums import Escalation, RollCall
from alerts.model.warnings import PublicWarning
from alerts.operations.changes import keep_clocks
from alerts.routing import Router
from alerts.store import alerts as store
from alerts.store import warnings as warning_store
from chassis.clock import now
from chassis.timers import Timer

_log = logging.getLogger(__name__)
_escalations = metrics.get_meter("alerts").create_counter("siaga.alerts.escalations", "{escalation}", "Whom silence has called, by step")


def lock_subjects(session: Session, names: Collection[str], *, wait: bool) -> dict[str, Alert | PublicWarning | None]:
    """All of them, or those that nobody else has locked; None for one of which there is none."""
    if wait:
        return {name: _lock_subject(session, name) for name in sorted(names)}
    found = (*store.try_to_lock_alerts(session, names), *warning_store.try_to_lock_warnings(session, names))
    locked = {each.name: each for each in found}
    left = set(names) - locked.keys()
    there = {each.name for each in (*store.find_alerts(session, left), *warning_store.find_warnings(session, left))} if left else set()
    return {**locked, **dict.fromkeys(left - there)}


def _lock_subject(session: Session, name: str) -> Alert | PublicWarning | None:
    find = warning_store.find_warning if name.startswith("warnings/") else store.find_alert
    return find(session, name, for_update=True)


def run_out(session: Session, timer: Timer, subject: Alert | PublicWarning, router: Router) -> Callable[[], None] | None:
    """The subject is locked."""
    if isinstance(subject, Alert):
        return _wake(session, timer, subject, router)
    events.warning_expired(session, subject)
    return None


def _wake(session: Session, timer: Timer, alert: Alert, router: Router) -> Callable[[], None] | None:
    """A timer only wakes: what is due follows from the alert and from its agencies' policies of today."""
    due = [each[:2] for each in find_clocks(alert, router.find_policy) if each.due_time <= now()]
    tell = _act(session, timer, alert, router) if (timer.kind, timer.subject) in due else None
    # Those for whom it stands follow its answer, and nobody has given one.
    keep_clocks(session, alert, router)
    # A drill is counted nowhere.
    return None if alert.drill else tell


def _act(session: Session, timer: Timer, alert: Alert, router: Router) -> Callable[[], None] | None:
    if timer.kind == ANSWER:
        return _escalate(session, alert, timer.subject, router)
    if timer.kind == ROLL_CALL:
        return _call_roll(session, alert, int(timer.subject))
    alert.pass_limit(now())
    events.alert_overdue(session, alert)
    return None


def _escalate(session: Session, alert: Alert, agency: str, router: Router) -> Callable[[], None]:
    # An exercise of one agency calls nobody of another.
    above = "" if alert.drill_agency else router.find_above(agency, alert.conflict_agency)
    called, asked = alert.escalate(agency, above, now())
    events.alert_escalated(session, alert, agency, called)
    if asked:
        events.agency_requested(session, alert, "", above)
    said = f"{alert.name} is not answered by {agency}: {above or 'nobody above it'} is called" if called is Escalation.PARENT else ""
    return partial(_tell, called.name, said)


def _call_roll(session: Session, alert: Alert, number: int) -> Callable[[], None] | None:
    assignment, call = alert.call_roll(number, now())
    events.roll_called(session, alert, assignment, call)
    said = f"{assignment.unit} does not answer at the scene of {alert.name}: mayday"
    return partial(_tell, call.name, said) if call is RollCall.MAYDAY else None


def _tell(step: str, said: str) -> None:
    """To whoever runs the service at night."""
    _escalations.add(1, {"step": step})
    if said:
        _log.warning(said)
