"""Which event a change of an alert emits, and who is shown it."""

from collections.abc import Sequence
from typing import Any

import h3
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.enums import Audience, Escalation, Kind, MessageType, ResponseState, RollCall, State, Status
from alerts.model.incidents import Incident
from alerts.model.responses import Response
from alerts.model.tables import log
from alerts.model.units import Assignment
from alerts.model.warnings import PublicWarning

# Cells of about 5 km², so that nobody can be found by one.
_CELL_RESOLUTION = 7
# Attributes that tell of whoever called for help.
PERSONAL = ("user", "cell")


def alert_raised(session: Session, alert: Alert, operator: str) -> None:
    """With what other services need to decide without asking."""
    about: dict[str, Any] = {
        "user": alert.user,
        "kind": alert.kind,
        "silent": alert.silent,
        "restricted": alert.restricted,
        "drill": alert.drill,
        "area": alert.area,
    }
    if alert.latitude is not None and alert.longitude is not None and not alert.silent and alert.kind != Kind.VIOLENCE:
        about["cell"] = h3.latlng_to_cell(alert.latitude, alert.longitude, _CELL_RESOLUTION)
    log.append(session, "AlertRaised", alert.name, Audience.CALLER, operator, **about)


def alert_routed(session: Session, alert: Alert) -> None:
    log.append(session, "AlertRouted", alert.name, alert.caller_audience, agency=alert.agency)


def alert_delivered(session: Session, alert: str, audience: Audience, operator: str) -> None:
    log.append(session, "AlertDelivered", alert, audience, operator)


def alert_acknowledged(session: Session, alert: Alert, operator: str, *, again: bool) -> None:
    """After a release it is no news to the caller, who was not told of that either."""
    log.append(session, "AlertAcknowledged", alert.name, Audience.RESPONDER if again else alert.caller_audience, operator)


def alert_assigned(session: Session, alert: Alert, operator: str, assignee: str) -> None:
    log.append(session, "AlertAssigned", alert.name, Audience.RESPONDER, operator, assignee=assignee)


def alert_released(session: Session, alert: Alert, operator: str) -> None:
    log.append(session, "AlertReleased", alert.name, Audience.RESPONDER, operator)


def alert_updated(session: Session, alert: Alert, operator: str, *, outline: bool) -> None:
    """`outline` is whether those see it, too, who are shown no more of a restricted alert than that it exists."""
    log.append(session, "AlertUpdated", alert.name, alert.caller_audience, operator, outline=outline)


def alert_tracked(session: Session, alert: Alert) -> None:
    log.append(session, "AlertTracked", alert.name, Audience.CALLER)


def note_added(session: Session, alert: Alert, operator: str, audience: Audience, note: str) -> None:
    log.append(session, "NoteAdded", alert.name, audience, operator, note=note)


def contact_recorded(session: Session, alert: Alert, operator: str, means: int, result: int, note: str) -> None:
    log.append(session, "ContactRecorded", alert.name, Audience.RESPONDER, operator, means=means, result=result, note=note)


def message_sent(session: Session, alert: Alert, operator: str) -> None:
    log.append(session, "MessageSent", alert.name, Audience.CALLER, operator)


def agency_requested(session: Session, alert: Alert, operator: str, agency: str) -> None:
    log.append(session, "AgencyRequested", alert.name, Audience.RESPONDER, operator, agency=agency)


def agency_accepted(session: Session, alert: Alert, operator: str, agency: str) -> None:
    log.append(session, "AgencyAccepted", alert.name, Audience.RESPONDER, operator, agency=agency)


def agency_rejected(session: Session, alert: Alert, operator: str, agency: str) -> None:
    log.append(session, "AgencyRejected", alert.name, Audience.RESPONDER, operator, agency=agency)


def alert_handed_over(session: Session, alert: Alert, operator: str, former: str) -> None:
    """Another agency than the former one leads, with whoever holds it there or with nobody yet."""
    log.append(session, "AlertHandedOver", alert.name, alert.caller_audience, operator, agency=alert.agency, former=former)


def alert_dispatched(session: Session, alert: Alert, operator: str, sent: Sequence[Assignment], *, news: bool) -> None:
    """`news` is whether the caller has been shown no help that is as far."""
    audience = alert.caller_audience if news else Audience.RESPONDER
    log.append(session, "AlertDispatched", alert.name, audience, operator, units=[each.unit for each in sent])


def assignment_updated(session: Session, alert: Alert, operator: str, assignment: Assignment, *, news: bool, outline: bool) -> None:
    """`news` is as of `alert_dispatched`, `outline` as of `alert_updated`."""
    audience = alert.caller_audience if news else Audience.RESPONDER
    status = Status(assignment.status).name
    log.append(session, "AssignmentUpdated", alert.name, audience, operator, units=[assignment.unit], status=status, outline=outline)


def crew_changed(session: Session, alert: Alert, operator: str, assignment: Assignment) -> None:
    """Other people see the alert from now on."""
    log.append(session, "CrewChanged", alert.name, Audience.RESPONDER, operator, units=[assignment.unit])


def alert_escalated(session: Session, alert: Alert, agency: str, called: Escalation) -> None:
    """At the very time from which its next clock counts."""
    log.append(session, "AlertEscalated", alert.name, Audience.AGENCY, time=alert.update_time, agency=agency, called=called.name)


def alert_overdue(session: Session, alert: Alert) -> None:
    """It has been in its state for too long: once for whoever holds it, once for the supervisors."""
    log.append(session, "AlertOverdue", alert.name, Audience.AGENCY, state=State(alert.state).name, step=alert.limit_step)


def roll_called(session: Session, alert: Alert, assignment: Assignment, call: RollCall) -> None:
    """The crew is asked whether all are well, or has not answered; at the very time from which its next clock counts."""
    kind = "RollCallDue" if call is RollCall.DUE else "RollCallMissed"
    missed, time = assignment.missed_roll_calls, assignment.roll_time
    log.append(session, kind, alert.name, Audience.RESPONDER, time=time, units=[assignment.unit], missed=missed)
    if call is RollCall.MAYDAY:
        log.append(session, "MaydayRaised", alert.name, Audience.RESPONDER, time=time, units=[assignment.unit])


def alert_resolved(session: Session, alert: Alert, operator: str) -> None:
    log.append(session, "AlertResolved", alert.name, alert.caller_audience, operator)


def alert_cancelled(session: Session, alert: Alert) -> None:
    log.append(session, "AlertCancelled", alert.name, Audience.CALLER)


def cancel_claimed(session: Session, alert: Alert) -> None:
    """More is known of a cancel than before; what, stands in the alert alone."""
    log.append(session, "CancelClaimed", alert.name, Audience.RESPONDER)


def alert_reopened(session: Session, alert: Alert) -> None:
    log.append(session, "AlertReopened", alert.name, Audience.AGENCY)


def alert_read(session: Session, alert: str, reader: str, note: str) -> None:
    """A restricted one; `note` holds why, where somebody had to say."""
    log.append(session, "AlertRead", alert, Audience.AGENCY, reader, note=note)


def alert_erased(session: Session, alert: Alert) -> None:
    log.append(session, "AlertErased", alert.name, Audience.CALLER)


def alert_assessed(session: Session, alert: str) -> None:
    """There is a reason to doubt it, or a history of its caller."""
    log.append(session, "AlertAssessed", alert, Audience.AGENCY)


def alert_merged(session: Session, alert: str, operator: str, incident: str) -> None:
    log.append(session, "AlertMerged", alert, Audience.RESPONDER, operator, incident=incident)


def alert_unmerged(session: Session, alert: Alert, operator: str, incident: str) -> None:
    log.append(session, "AlertUnmerged", alert.name, Audience.RESPONDER, operator, incident=incident)


def alert_followed(session: Session, alert: Alert, state: State, operator: str, *, news: bool) -> None:
    """What was done for the alert that stands for it: its caller sees each hop once."""
    audience = alert.caller_audience if news else Audience.RESPONDER
    match state:
        case State.ACKNOWLEDGED:
            log.append(session, "AlertAcknowledged", alert.name, audience, operator)
        case State.DISPATCHED:
            log.append(session, "AlertDispatched", alert.name, audience, operator, units=[])
        case State.ON_SCENE:
            log.append(session, "AssignmentUpdated", alert.name, audience, operator, unit="", status=state.name)
        case _:
            alert_released(session, alert, operator)


def units_handed_on(session: Session, alert: Alert, successor: Alert, units: Sequence[str]) -> None:
    """They go on for another alert of the same emergency: what their crews see moves there."""
    log.append(session, "AlertDispatched", successor.name, Audience.RESPONDER, units=units)
    for unit in units:
        log.append(session, "AssignmentUpdated", alert.name, Audience.RESPONDER, units=[unit], status=Status.DONE.name)


def helper_handed_on(session: Session, successor: Alert, part: Response) -> None:
    """Its agency goes on for another alert of the same emergency."""
    if part.state == ResponseState.ACCEPTED:
        agency_accepted(session, successor, part.operator, part.agency)
    else:
        agency_requested(session, successor, "", part.agency)


def incident_changed(session: Session, incident: Incident, event: str, former: str = "") -> None:
    """`IncidentFormed`, `IncidentChanged` or `IncidentClosed`; `former` is the agency whose it is no longer."""
    about: dict[str, Any] = {"former": former} if former else {}
    log.append(session, event, incident.name, Audience.AGENCY, **about)


def warning_proposed(session: Session, warning: PublicWarning, operator: str) -> None:
    """The warning, or an update of it, awaits a second person."""
    log.append(session, "WarningProposed", warning.name, Audience.AGENCY, operator)


def warning_withdrawn(session: Session, warning: PublicWarning, operator: str) -> None:
    """What awaited a second person is never sent."""
    log.append(session, "WarningWithdrawn", warning.name, Audience.AGENCY, operator)


def warning_sent(session: Session, warning: PublicWarning, operator: str) -> None:
    kind = {MessageType.ALERT: "WarningIssued", MessageType.UPDATE: "WarningUpdated", MessageType.CANCEL: "WarningCancelled"}
    log.append(session, kind[MessageType(warning.type)], warning.name, Audience.PUBLIC, operator, number=warning.number)


def warning_expired(session: Session, warning: PublicWarning) -> None:
    log.append(session, "WarningExpired", warning.name, Audience.PUBLIC, number=warning.number)
