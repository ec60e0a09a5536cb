"""Which event a change of an alert emits, and who is shown it."""

from typing import Any

import h3
from sqlalchemy.orm import Session

from alerts.model import Alert, Audience, Kind, log

# Cells of about 5 km², so that nobody can be found by one.
_CELL_RESOLUTION = 7


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


def alert_delivered(session: Session, alert: Alert, operator: str) -> None:
    log.append(session, "AlertDelivered", alert.name, alert.caller_audience, operator)


def alert_acknowledged(session: Session, alert: Alert, operator: str, *, again: bool) -> None:
    """After a release it is no news to the caller, who was not told of that either."""
    log.append(session, "AlertAcknowledged", alert.name, Audience.AGENCY if again else alert.caller_audience, operator)


def alert_released(session: Session, alert: Alert, operator: str) -> None:
    log.append(session, "AlertReleased", alert.name, Audience.AGENCY, operator)


def alert_tracked(session: Session, alert: Alert) -> None:
    log.append(session, "AlertTracked", alert.name, Audience.RESPONDER)


def note_added(session: Session, alert: Alert, operator: str, audience: Audience, note: str) -> None:
    log.append(session, "NoteAdded", alert.name, audience, operator, note=note)


def alert_resolved(session: Session, alert: Alert, operator: str) -> None:
    log.append(session, "AlertResolved", alert.name, alert.caller_audience, operator)


def alert_cancelled(session: Session, alert: Alert) -> None:
    log.append(session, "AlertCancelled", alert.name, Audience.CALLER)
