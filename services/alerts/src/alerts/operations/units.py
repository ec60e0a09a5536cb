"""What changes units."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import NotCrew, UnitChanged, UnitExists, UnitNotFound
from alerts.model.alerts import Alert
from alerts.model.enums import Duty
from alerts.model.tables import keys
from alerts.model.units import Report, Unit
from alerts.model.viewers import Viewer
from alerts.store import alerts as alert_store
from alerts.store import units as store


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A request to change a unit."""

    name: str
    request_id: str
    request: Message
    viewer: Viewer
    now: datetime


def create_unit(session: Session, change: UnitChange, columns: Mapping[str, Any]) -> Unit:
    """A new one, or the one that this request made. Raises UnitExists."""
    if earlier := _claim(session, change):
        return _find(session, earlier, change.viewer)
    made = {"name": change.name, "agency": change.viewer.agency, "duty": Duty.OFF_DUTY, "alert": "", "update_time": change.now}
    if not store.add_unit(session, {**columns, **made}):
        raise UnitExists(name=change.name)
    return _find(session, change.name, change.viewer)


def update_unit(session: Session, change: UnitChange, columns: Mapping[str, Any], etag: str) -> Unit:
    replayed = _claim(session, change)
    unit = _find(session, change.name, change.viewer)
    if replayed:
        return unit
    # What it is at work for is locked first, as wherever both are.
    alert = alert_store.find_alert(session, unit.alert, for_update=True) if unit.alert else None
    unit = _lock(session, change.name, change.viewer)
    unit.require_etag(etag)
    if unit.alert and (alert is None or alert.name != unit.alert):
        # It was sent to another one meanwhile, whose lock would come after the unit's.
        raise UnitChanged
    for column, value in columns.items():
        setattr(unit, column, value)
    unit.renew(change.now)
    if alert and unit.alert:
        _relieve(session, alert, unit, change)
    return unit


def delete_unit(session: Session, change: UnitChange, etag: str) -> None:
    if _claim(session, change):
        return
    unit = _lock(session, change.name, change.viewer)
    unit.require_etag(etag)
    unit.require_free()
    store.remove_unit(session, unit)


def set_duty(session: Session, change: UnitChange, duty: Duty) -> Unit:
    replayed = _claim(session, change)
    unit = _lock(session, change.name, change.viewer)
    _require_crew(change.viewer, unit)
    if not replayed:
        unit.set_duty(duty, change.now)
    return unit


def report_positions(session: Session, change: UnitChange, reports: Sequence[Report]) -> int:
    """How many moved their unit; all are kept or none. Raises UnitNotFound and NotCrew."""
    viewer = change.viewer
    if _claim(session, change):
        return 0
    units = store.lock_units(session, {report.unit for report in reports})
    moved = 0
    for report in reports:
        unit = units.get(report.unit)
        if unit is None or unit.agency not in {viewer.agency, viewer.crew_of}:
            raise UnitNotFound(unit=report.unit)
        _require_crew(viewer, unit)
        moved += unit.move(report)
    return moved


def free_units(session: Session, alert: Alert, names: Collection[str]) -> None:
    """Those that were at work for the alert and are no longer."""
    for unit in store.lock_units(session, names).values():
        unit.finish(alert.name, alert.update_time)


def _relieve(session: Session, alert: Alert, unit: Unit, change: UnitChange) -> None:
    """The crew that the unit has now sees what it is at work for, and the one before it no longer."""
    assignment = alert.find_assignment(unit.name)
    if assignment and assignment.is_active and assignment.crew != unit.crew:
        assignment.crew = unit.crew
        alert.touch(change.now, shown=False)
        events.crew_changed(session, alert, change.viewer.user, assignment)


def _claim(session: Session, change: UnitChange) -> str | None:
    if not change.request_id:
        return None
    return keys.claim(session, f"unit\0{change.viewer.user}", change.request_id, change.request, change.name)


def _find(session: Session, name: str, viewer: Viewer) -> Unit:
    return require_unit(viewer, store.find_unit(session, name))


def _lock(session: Session, name: str, viewer: Viewer) -> Unit:
    return require_unit(viewer, store.lock_units(session, [name]).get(name))


def require_unit(viewer: Viewer, unit: Unit | None) -> Unit:
    """Raises UnitNotFound, alike for what is absent and what is another agency's."""
    if unit is None or unit.agency not in {viewer.agency, viewer.crew_of}:
        raise UnitNotFound
    return unit


def _require_crew(viewer: Viewer, unit: Unit) -> None:
    if unit.agency != viewer.agency and viewer.user not in unit.crew:
        raise NotCrew
