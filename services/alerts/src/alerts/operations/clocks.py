"""What happens when a clock of an alert has run out."""

from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER, LIMIT, ROLL_CALL
from alerts.model.enums import Escalation
from alerts.operations.incidents import settle
from alerts.routing import Router
from alerts.store import alerts as store
from chassis.clock import now
from chassis.timers import ResourceBusy, Timer


def lock_alert(session: Session, name: str) -> bool:
    if store.lock_alert(session, name, wait=False):
        return True
    if store.find_alert(session, name):
        raise ResourceBusy
    return False


def run_out(session: Session, timer: Timer, router: Router) -> None:
    """The alert is locked, and the timer is as it was when the alert last changed."""
    alert = store.find_alert(session, timer.resource)
    assert alert is not None
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
