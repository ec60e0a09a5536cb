"""What happens when a clock of an alert has run out, or the time of a warning."""

from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER, LIMIT, ROLL_CALL
from alerts.model.enums import Escalation
from alerts.model.warnings import PublicWarning
from alerts.operations.incidents import settle
from alerts.routing import Router
from alerts.store import alerts as store
from alerts.store import warnings as warning_store
from chassis.clock import now
from chassis.timers import Timer


def lock_subject(session: Session, name: str) -> Alert | PublicWarning | None:
    if name.startswith("warnings/"):
        return warning_store.find_warning(session, name, for_update=True)
    return store.find_alert(session, name, for_update=True)


def run_out(session: Session, timer: Timer, subject: Alert | PublicWarning, router: Router) -> None:
    """The subject is locked, and the timer is as it was when the subject last changed."""
    if isinstance(subject, PublicWarning):
        events.warning_expired(session, subject)
    else:
        _run_out(session, timer, subject, router)


def _run_out(session: Session, timer: Timer, alert: Alert, router: Router) -> None:
    if timer.kind == ANSWER:
        _escalate(session, alert, timer.subject, router)
    elif timer.kind == LIMIT:
        alert.pass_limit(now())
        events.alert_overdue(session, alert)
    elif timer.kind == ROLL_CALL:
        assignment, missed = alert.call_roll(int(timer.subject), now())
        events.roll_called(session, alert, assignment, missed=missed)
    settle(session, alert, router, now())


def _escalate(session: Session, alert: Alert, agency: str, router: Router) -> None:
    known = {each.agency for each in alert.responses}
    called = alert.escalate(agency, router.find_above(agency, alert.conflict_agency), now())
    if called is None:
        return
    events.alert_escalated(session, alert, agency, called)
    for each in alert.responses:
        if called is Escalation.PARENT and each.agency not in known:
            events.agency_requested(session, alert, "", each.agency)
