"""The questions about incidents, and about what an alert belongs to."""

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, selectinload

from alerts.model.alerts import Alert
from alerts.model.enums import Grouping
from alerts.model.incidents import Incident, IncidentState
from chassis.geo import METERS_PER_DEGREE

_WITH_PARTS = (selectinload(Alert.responses), selectinload(Alert.assignments))
# The number has no meaning but to be the same in every replica.
_LOCK = text("SELECT pg_advisory_xact_lock(358444844866)")
_MAX_NEAR = 200
_MAX_MEMBERS = 1000


class History(NamedTuple):
    """Of an account's earlier alerts."""

    alerts: int
    pranks: int
    false_alarms: int


def lock_grouping(session: Session) -> None:
    """One alert after the other finds what it belongs to, or two would make two incidents of one emergency."""
    if session.connection().dialect.name == "postgresql":
        session.execute(_LOCK)


def add_incident(session: Session, incident: Incident) -> None:
    session.add(incident)
    session.flush()


def find_incident(session: Session, name: str, *, for_update: bool = False) -> Incident | None:
    return session.get(Incident, name, with_for_update=for_update, populate_existing=for_update)


def find_incidents(session: Session, names: Collection[str]) -> Sequence[Incident]:
    return session.scalars(select(Incident).where(Incident.name.in_(names))).all()


def find_open_incidents(session: Session, agency: str) -> Sequence[Incident]:
    """The oldest first."""
    question = select(Incident).where(Incident.agency == agency, Incident.state == IncidentState.OPEN)
    return session.scalars(question.order_by(Incident.name)).all()


def list_incidents(session: Session, agency: str, state: int, kinds: Collection[int], before: str, limit: int) -> Sequence[Incident]:
    """The newest first."""
    question = select(Incident).where(Incident.agency == agency)
    if state:
        question = question.where(Incident.state == state)
    if kinds:
        question = question.where(Incident.kind.in_(kinds))
    if before:
        question = question.where(Incident.name < before)
    return session.scalars(question.order_by(Incident.name.desc()).limit(limit)).all()


def find_members(session: Session, incidents: Iterable[str]) -> dict[str, list[str]]:
    """The newest members' names by incident, the oldest first."""
    members: dict[str, list[str]] = {}
    for name in incidents:
        found = select(Alert.name).where(Alert.incident == name).order_by(Alert.name.desc()).limit(_MAX_MEMBERS)
        members[name] = list(session.scalars(found))[::-1]
    return members


def count_members(session: Session, incident: str) -> int:
    return session.scalars(select(func.count()).select_from(Alert).where(Alert.incident == incident)).one()


def lock_open_members(session: Session, incident: str) -> list[Alert]:
    """The oldest first; the incident is locked."""
    mine = (Alert.incident == incident, Alert.close_time.is_(None))
    session.execute(select(Alert.name).where(*mine).order_by(Alert.name).with_for_update())
    return list(session.scalars(select(Alert).where(*mine).order_by(Alert.name).options(*_WITH_PARTS)))


def find_waiting(session: Session, limit: int) -> Sequence[tuple[str, str]]:
    """The names and notes of alerts that nobody has looked at for what they belong to, the oldest first."""
    waiting = select(Alert.name, Alert.note).where(Alert.grouping == Grouping.WAITING, Alert.close_time.is_(None))
    return [(name, note) for name, note in session.execute(waiting.order_by(Alert.name).limit(limit))]


def find_near(session: Session, alert: Alert, meters: float, since: datetime) -> Sequence[Alert]:
    """Open ones of the same kind and agency that may be of the same emergency: those in a square around it."""
    if alert.place is None:
        return []
    latitude, longitude = alert.place
    north = meters / METERS_PER_DEGREE
    east = north / max(math.cos(math.radians(latitude)), 0.01)
    at_latitude = func.coalesce(Alert.target_latitude, Alert.latitude)
    at_longitude = func.coalesce(Alert.target_longitude, Alert.longitude)
    question = select(Alert).where(
        Alert.close_time.is_(None),
        Alert.grouping == Grouping.DONE,
        Alert.kind == alert.kind,
        Alert.agency == alert.agency,
        Alert.drill.is_(alert.drill),
        Alert.restricted.is_(False),
        Alert.name != alert.name,
        Alert.create_time >= since,
        at_latitude.between(latitude - north, latitude + north),
        at_longitude.between(longitude - east, longitude + east),
    )
    return session.scalars(question.order_by(Alert.name).limit(_MAX_NEAR)).all()


def read_history(session: Session, user: str, name: str, since: datetime, prank: int, false_alarm: int) -> History:
    """Of what the account raised since then, the alert of this name excepted."""
    question = select(
        func.count(),
        func.count().filter(Alert.outcome == prank),
        func.count().filter(Alert.outcome == false_alarm),
    ).where(Alert.user == user, Alert.name != name, Alert.create_time >= since, Alert.drill.is_(False))
    return History._make(session.execute(question).one())


def count_lately(session: Session, user: str, since: datetime) -> int:
    question = select(func.count()).select_from(Alert).where(Alert.user == user, Alert.create_time >= since, Alert.drill.is_(False))
    return session.scalars(question).one()
