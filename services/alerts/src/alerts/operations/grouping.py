"""What a new alert belongs to, and what makes it doubtful."""

from datetime import timedelta

import h3
from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.enums import Grouping, Outcome
from alerts.model.incidents import REACH, WITHIN, assess, can_rest, find_doubts
from alerts.operations.incidents import form_incident, join_incident
from alerts.routing import Router
from alerts.store import alerts as alert_store
from alerts.store import incidents as store
from chassis.clock import now

_A_YEAR = timedelta(days=365)
_LATELY = timedelta(minutes=10)


def assess_alert(session: Session, name: str, *, same_words: bool, router: Router) -> None:
    """Says of a new alert what makes it doubtful, and finds the emergency that it belongs to."""
    store.lock_grouping(session)
    alert = alert_store.find_alert(session, name)
    if alert is None or alert.grouping != Grouping.WAITING:
        return
    neighbor = _find_neighbor(session, alert)
    # The older one first, as everybody locks them.
    for each in sorted({name, neighbor.name if neighbor else name}):
        alert_store.lock_alert(session, each)
    alert = alert_store.find_alert(session, name, fresh=True)
    if alert is None or alert.close_time:
        return
    time = now()
    history = store.read_history(session, alert.user, name, time - _A_YEAR, Outcome.PRANK, Outcome.FALSE_ALARM) if alert.user else None
    lately = store.count_lately(session, alert.user, time - _LATELY) if alert.user else 0
    doubts = find_doubts(history.pranks if history else 0, lately, same_words=same_words)
    if assess(alert, doubts, history._asdict() if history and history.alerts else None, time):
        events.alert_assessed(session, alert)
    neighbor = alert_store.find_alert(session, neighbor.name, fresh=True) if neighbor else None
    if neighbor and can_rest(neighbor) and can_rest(alert):
        incident = store.find_incident(session, neighbor.incident, for_update=True) if neighbor.incident else None
        join_incident(
            session,
            incident or form_incident(session, min(alert, neighbor, key=lambda each: each.name), time),
            [neighbor, alert],
            router,
            time,
        )


def _find_neighbor(session: Session, alert: Alert) -> Alert | None:
    """The nearest one that may be of the same emergency."""
    meters = REACH.get(alert.kind, 0.0)
    if not meters or alert.place is None or not can_rest(alert):
        return None
    near = [
        (h3.great_circle_distance(alert.place, each.place, "m"), each)
        for each in store.find_near(session, alert, meters, alert.create_time - WITHIN)
        if each.place
    ]
    return min(((away, each.name, each) for away, each in near if away <= meters), default=(0.0, "", None))[2]
