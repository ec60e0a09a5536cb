"""What the tail of the log loads: whatever its events are about."""

from sqlalchemy.orm import Session

from alerts.servicer.alerts import load_shown
from alerts.servicer.warnings import load_warnings
from alerts.wire.alerts import Shown
from alerts.wire.warnings import ShownWarning


def load_subjects(session: Session, names: set[str]) -> dict[str, Shown | ShownWarning]:
    """Each by its name, which says what it is."""
    warnings = {name for name in names if name.startswith("warnings/")}
    found: dict[str, Shown | ShownWarning] = {}
    if names - warnings:
        found.update(load_shown(session, names - warnings))
    if warnings:
        found.update(load_warnings(session, warnings))
    return found
