"""What the resources of events are now, for the tail, which tells it to every watch."""

from sqlalchemy.orm import Session

from alerts.store import alerts as store
from alerts.store import incidents as incident_store
from alerts.wire.alerts import Shown
from alerts.wire.incidents import ShownIncident, show_incidents


def load_subjects(session: Session, names: set[str]) -> dict[str, Shown | ShownIncident]:
    """By name; what has gone has none."""
    incidents = {name for name in names if name.startswith("incidents/")}
    found: dict[str, Shown | ShownIncident] = {alert.name: Shown(alert) for alert in store.find_alerts(session, names - incidents)}
    if incidents:
        found |= show_incidents(incident_store.find_incidents(session, incidents), incident_store.find_members(session, incidents))
    return found
