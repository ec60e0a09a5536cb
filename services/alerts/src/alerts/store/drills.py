"""The questions and statements about drills that nobody needs any more."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.incidents import Incident, IncidentState
from alerts.model.responses import Response
from alerts.model.units import Assignment


def lock_past_drills(session: Session, before: datetime, limit: int) -> Sequence[str]:
    """Those that are closed and have not changed since, the oldest first; without those that somebody else is at."""
    past = (Alert.drill.is_(True), Alert.close_time.is_not(None), Alert.update_time < before)
    question = select(Alert.name).where(*past).order_by(Alert.update_time).limit(limit)
    return session.scalars(question.with_for_update(skip_locked=True)).all()


def remove_alerts(session: Session, names: Collection[str]) -> None:
    """With their parts; what was kept beside them has gone before."""
    for table in (Response, Assignment):
        session.execute(delete(table).where(table.alert.in_(names)))
    session.execute(delete(Alert).where(Alert.name.in_(names)))


def find_empty_incidents(session: Session, before: datetime, limit: int) -> Sequence[str]:
    """Those of drills that have all been removed."""
    past = (Incident.drill.is_(True), Incident.state == IncidentState.CLOSED, Incident.update_time < before)
    return session.scalars(select(Incident.name).where(*past, ~exists().where(Alert.incident == Incident.name)).limit(limit)).all()


def remove_incidents(session: Session, names: Collection[str]) -> None:
    session.execute(delete(Incident).where(Incident.name.in_(names)))
