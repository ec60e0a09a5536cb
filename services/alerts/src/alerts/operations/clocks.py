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
from chassis.timers import Timer


def lock_alert(session: Session, name: str) -> Alert | None:
    return store.find_alert(session, name, for_update=True)


def run_out(session: Session, timer: Timer, alert: Alert, router: Router) -> None:
    """The alert is locked, and the timer is as it was when the alert last changed."""
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
    # An exercise of one agency calls nobody of another.
    above = "" if alert.drill_agency else router.find_above(agency, alert.conflict_agency)
    called = alert.escalate(agency, above, now())
    if called is None:
        return
    events.alert_escalated(session, alert, agency, called)
    for each in alert.responses:
        if called is Escalation.PARENT and each.agency not in known:
            events.agency_requested(session, alert, "", each.agency)
