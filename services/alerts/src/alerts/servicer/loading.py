"""What the resources of events are now, for the tail, which tells it to every watch."""

from sqlalchemy.orm import Session

from alerts.store import alerts as store
from alerts.store import incidents as incident_store
from alerts.store import warnings as warning_store
from alerts.wire.alerts import Shown
from alerts.wire.incidents import ShownIncident, show_incidents
from alerts.wire.warnings import ShownWarning


def load_subjects(session: Session, names: set[str]) -> dict[str, Shown | ShownIncident | ShownWarning]:
    """By name; what has gone has none."""
    incidents = {name for name in names if name.startswith("incidents/")}
    warnings = {name for name in names if name.startswith("warnings/")}
    alerts = store.find_alerts(session, names - incidents - warnings)
    found: dict[str, Shown | ShownIncident | ShownWarning] = {alert.name: Shown(alert) for alert in alerts}
    if incidents:
        found |= show_incidents(incident_store.find_incidents(session, incidents), incident_store.find_members(session, incidents))
    if warnings:
        found |= {warning.name: ShownWarning(warning) for warning in warning_store.find_warnings(session, warnings)}
    return found
