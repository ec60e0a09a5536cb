"""The questions about incidents, and about what an alert belongs to."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, literal_column, or_, select, text, update
from sqlalchemy.orm import Session, aliased, selectinload

from alerts.model.alerts import Alert
from alerts.model.enums import Grouping, Outcome
from alerts.model.incidents import MAX_MEMBERS, Incident, IncidentState, is_news

_WITH_PARTS = (selectinload(Alert.responses), selectinload(Alert.assignments))
# The number has no meaning but to be the same in every replica.
_LOCK = text("SELECT pg_advisory_xact_lock(358444844868)")
_LATITUDE = func.coalesce(Alert.target_latitude, Alert.latitude)
_LONGITUDE = func.coalesce(Alert.target_longitude, Alert.longitude)
_MAX_MEMBERS = 1000
# Revisions of an alert that nobody has changed yet.
_RAISED, _ASSESSED = 1, 2


class History(NamedTuple):
    """Of an account's alerts within a year; `lately` within some minutes."""

    alerts: int
    pranks: int
    false_alarms: int
    lately: int

    def describe(self) -> dict[str, int]:
        return {"alerts": self.alerts, "pranks": self.pranks, "false_alarms": self.false_alarms}


class Waiting(NamedTuple):
    """A new alert, as far as it matters here."""

    name: str
    kind: int
    agency: str
    drill: bool
    cell: str
    create_time: datetime
    user: str
    note: str
    restricted: bool
    by_staff: bool
    latitude: float
    longitude: float

    @property
    def place(self) -> tuple[float, float]:
        return self.latitude, self.longitude


class Candidate(NamedTuple):
    """What a new alert may be near: one of an incident of `members`, or alone, of which the last was raised at `latest_time`."""

    name: str
    kind: int
    agency: str
    drill: bool
    cell: str
    incident: str
    doubts: list[int]
    latest_time: datetime
    members: int
    latitude: float
    longitude: float

    @property
    def place(self) -> tuple[float, float]:
        return self.latitude, self.longitude

    def fits(self, alert: Waiting, within: timedelta) -> bool:
        """Whether it was there first, and not long ago, of the same kind and agency."""
        same = (self.kind, self.agency, self.drill) == (alert.kind, alert.agency, alert.drill)
        first = self.name < alert.name or bool(self.incident)
        return same and first and alert.create_time - self.latest_time <= within


def _ask_for_candidates(*conditions: ColumnElement[bool], alone: bool = False) -> Select[*tuple[Any, ...]]:
    columns = [getattr(Alert, name) for name in Candidate._fields[:7]]
    member = aliased(Alert)
    latest = select(member.create_time).where(member.incident == Alert.incident).order_by(member.name.desc()).limit(1)
    return (
        select(
            *columns,
            case((Alert.incident == "", Alert.create_time), else_=latest.scalar_subquery()),
            func.coalesce(Incident.alert_count, 1),
            _LATITUDE,
            _LONGITUDE,
        )
        .join(Incident, Incident.name == Alert.incident, isouter=alone)
        .where(*conditions, Alert.cell.in_(bindparam("cells", expanding=True)), Alert.grouping != Grouping.APART)
        .where(Alert.close_time.is_(None), Alert.cancel_time.is_(None), Alert.restricted.is_(False), Alert.by_staff.is_(False))
    )


# Put together once: in a flood they are asked ten times a second.
_CANDIDATES = _ask_for_candidates(
    or_(Incident.alert_count < MAX_MEMBERS, and_(Incident.alert_count.is_(None), Alert.name <= bindparam("newest"))),
    Alert.merged_into == "",
    alone=True,
)
# As the index has it, or it would not be used.
_HEIRS = select(Incident.heir).where(Incident.heir != literal_column("''"), Incident.state == IncidentState.OPEN)
_OF_HEIRS = _ask_for_candidates(Alert.name.in_(bindparam("heirs", expanding=True)), Incident.alert_count < MAX_MEMBERS)
_WAITING = (
    select(*(getattr(Alert, name) for name in Waiting._fields[:-2]), _LATITUDE, _LONGITUDE)
    .where(Alert.grouping == Grouping.WAITING, Alert.close_time.is_(None))
    .order_by(Alert.name)
    .limit(bindparam("most"))
)
_FIRST_WAITING = select(Alert.name).where(Alert.grouping == Grouping.WAITING, Alert.close_time.is_(None)).order_by(Alert.name).limit(1)

_NEWEST_TIME = select(Alert.create_time).order_by(Alert.name.desc()).limit(1)


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


def find_open_incidents(session: Session, agency: str, *, drills: bool) -> Sequence[Incident]:
    """The oldest first."""
    question = select(Incident).where(Incident.agency == agency, Incident.state == IncidentState.OPEN)
    if not drills:
        question = question.where(Incident.drill.is_(False))
    return session.scalars(question.order_by(Incident.name)).all()


def list_incidents(
    session: Session, agency: str, state: int, kinds: Collection[int], before: str, limit: int, *, drills: bool
) -> Sequence[Incident]:
    """The newest first."""
    question = select(Incident).where(Incident.agency == agency)
    if not drills:
        question = question.where(Incident.drill.is_(False))
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


def find_places(session: Session, incident: str) -> list[tuple[float, float]]:
    """Of its members, as far as everybody who is shown it may know them."""
    known = (Alert.incident == incident, Alert.restricted.is_(False), _LATITUDE.is_not(None))
    return [(latitude, longitude) for latitude, longitude in session.execute(select(_LATITUDE, _LONGITUDE).where(*known))]


def count_members(session: Session, incident: str) -> int:
    return session.scalars(select(func.count()).select_from(Alert).where(Alert.incident == incident)).one()


def lock_open_members(session: Session, incident: str) -> list[Alert]:
    """The oldest first; the incident is locked."""
    mine = (Alert.incident == incident, Alert.close_time.is_(None))
    session.execute(select(Alert.name).where(*mine).order_by(Alert.name).with_for_update())
    return list(session.scalars(select(Alert).where(*mine).order_by(Alert.name).options(*_WITH_PARTS)))


def find_waiting(session: Session, limit: int) -> Sequence[Waiting]:
    """Alerts that nobody has looked at for what they belong to, the oldest first."""
    return [Waiting._make(row) for row in session.execute(_WAITING, {"most": limit})]


def find_first_waiting(session: Session) -> str | None:
    """By its name alone, whatever else of it cannot be read."""
    return session.scalars(_FIRST_WAITING).one_or_none()


def find_newest_time(session: Session) -> datetime | None:
    """When the newest alert was raised."""
    return session.scalars(_NEWEST_TIME).one_or_none()


def mark_done(session: Session, names: Collection[str]) -> None:
    waiting = (Alert.name.in_(names), Alert.grouping == Grouping.WAITING)
    session.execute(update(Alert).where(*waiting).values(grouping=Grouping.DONE), execution_options={"synchronize_session": False})


def find_candidates(session: Session, cells: Collection[str], newest: str) -> Sequence[Candidate]:
    """Open alerts in these cells that stand for others, if not for too many, or for themselves alone; of the latter none that is
    newer than `newest`.

    Nothing here depends on whether the agency still works on one that was called off: its caller may raise the new alert. Where it
    leads on, the one counts that would lead if it were closed, wherever that one is.
    """
    found = session.execute(_CANDIDATES, {"cells": cells, "newest": newest}).all()
    # Asked apart: there are none, mostly.
    heirs = session.scalars(_HEIRS).all()
    if heirs:
        found = [*found, *session.execute(_OF_HEIRS, {"cells": cells, "heirs": heirs})]
    return list({each[0]: Candidate._make(each) for each in found}.values())


def assess_fresh(
    session: Session, names: Collection[str], doubts: list[int], history: dict[str, int] | None, time: datetime
) -> Sequence[str]:
    """What `assess` does, for those that are as they were raised; returns them."""
    values: dict[str, Any] = {"grouping": Grouping.DONE, "doubts": doubts, "history": history}
    if is_news(doubts, history):
        values |= {"update_time": time, "revision": _ASSESSED}
    return _update(session, (Alert.name.in_(names), Alert.revision == _RAISED, Alert.update_time <= time), values)


def rest_fresh(
    session: Session, names: Collection[str], doubtful: Collection[str], incident: str, lead: str, time: datetime, *, delivered: bool
) -> Sequence[str]:
    """Those that are as they were raised rest with the lead from now on; returns them. The doubtful ones among them are as
    `assess_fresh` has just left them. `delivered` is whether the lead is on a screen, which their callers are shown then.
    """
    fresh = or_(Alert.revision == _RAISED, and_(Alert.revision == _ASSESSED, Alert.name.in_(doubtful)))
    apart = (Alert.incident == "", Alert.close_time.is_(None), Alert.restricted.is_(False), Alert.update_time <= time)
    values = {"incident": incident, "merged_into": lead, "update_time": time, "revision": Alert.revision + 1}
    if delivered:
        values |= {"deliver_time": time, "caller_update_time": time, "caller_revision": Alert.caller_revision + 1}
        values |= {"outline_update_time": time, "outline_revision": Alert.outline_revision + 1}
    return _update(session, (Alert.name.in_(names), fresh, *apart), values)


def _update(session: Session, conditions: Iterable[ColumnElement[bool]], values: dict[str, Any]) -> Sequence[str]:
    """Alerts that are not loaded; the names of those that fulfil the conditions."""
    updated = update(Alert).where(*conditions).values(values).returning(Alert.name)
    return sorted(session.scalars(updated, execution_options={"synchronize_session": False}))


def read_histories(session: Session, users: Collection[str], since: datetime, lately: datetime) -> dict[tuple[str, bool], History]:
    """Of what the accounts raised since then, by account: of drills (True) and of emergencies, which say nothing of each other."""
    if not users:
        return {}
    question = (
        select(
            Alert.user,
            Alert.drill,
            func.count(),
            func.count().filter(Alert.outcome == Outcome.PRANK),
            func.count().filter(Alert.outcome == Outcome.FALSE_ALARM),
            func.count().filter(Alert.create_time >= lately),
        )
        .where(Alert.user.in_(users), Alert.create_time >= since)
        .group_by(Alert.user, Alert.drill)
    )
    return {(user, drill): History._make(counts) for user, drill, *counts in session.execute(question)}
