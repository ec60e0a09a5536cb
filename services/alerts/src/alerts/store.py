"""The questions and statements of alerts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, insert, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from alerts.model import Alert, Note, Position, Response, Viewer
from chassis.statements import Prepared

_INSERT_ALERT = Prepared(insert(Alert), Alert.__table__.c.keys())
_INSERT_RESPONSE = Prepared(insert(Response), Response.__table__.c.keys())
_WITH_RESPONSES = selectinload(Alert.responses)


@dataclass(frozen=True, slots=True)
class Filters:
    """Of a list; empty ones hold for every alert. `areas` are an area and all within it."""

    states: Collection[int]
    kinds: Collection[int]
    areas: Collection[str] | None
    agency: str
    created_after: datetime | None
    created_before: datetime | None
    updated_after: datetime | None
    drills: bool


def add_alert(session: Session, alert: dict[str, Any], response: dict[str, Any]) -> None:
    """On the driver's cursor: this is the path of every SOS."""
    connection = session.connection()
    _INSERT_ALERT.execute(connection, alert)
    _INSERT_RESPONSE.execute(connection, response)


def find_alert(session: Session, name: str, *, for_update: bool = False) -> Alert | None:
    # One statement, whether it finds something or not: who asks for what is not theirs learns nothing from the time it takes.
    question = select(Alert).where(Alert.name == name).options(joinedload(Alert.responses, innerjoin=True))
    if for_update:
        question = question.with_for_update().execution_options(populate_existing=True)
    return session.scalars(question).unique().one_or_none()


def find_alerts(session: Session, names: Collection[str]) -> Sequence[Alert]:
    return session.scalars(select(Alert).where(Alert.name.in_(names)).options(_WITH_RESPONSES)).all()


def find_open_alerts(session: Session, agency: str, *, drills: bool) -> Sequence[Alert]:
    """All that the agency has a part in, the oldest first."""
    question = select(Alert).join(Response).where(Response.agency == agency, Alert.close_time.is_(None))
    if not drills:
        question = question.where(Alert.drill.is_(False))
    return session.scalars(question.order_by(Alert.name).options(_WITH_RESPONSES)).all()


def list_alerts_of_agency(session: Session, viewer: Viewer, filters: Filters, before: str, limit: int) -> Sequence[Alert]:
    """The newest first. A restricted alert's kind is no secret to whoever may see it, and only to them."""
    question = select(Alert).join(Response).where(Response.agency == viewer.agency)
    if filters.updated_after:
        question = question.where(Alert.update_time >= filters.updated_after)
    if filters.states:
        question = question.where(Alert.state.in_(filters.states))
    if filters.kinds:
        kind = Alert.kind.in_(filters.kinds)
        question = question.where(
            kind if viewer.supervises else and_(kind, or_(Alert.restricted.is_(False), Response.claimant == viewer.user))
        )
    return _page(session, question, filters, before, limit)


def list_alerts_of_user(session: Session, user: str, filters: Filters, before: str, limit: int) -> Sequence[Alert]:
    """The newest first, without silent ones; the filters hold for what the caller's side is shown."""
    question = select(Alert).where(Alert.user == user, Alert.silent.is_(False))
    if filters.updated_after:
        question = question.where(Alert.caller_update_time >= filters.updated_after)
    if filters.states:
        question = question.where(Alert.caller_state.in_(filters.states))
    if filters.kinds:
        question = question.where(Alert.kind.in_(filters.kinds))
    return _page(session, question, filters, before, limit)


def _page(session: Session, question: Select[Alert], filters: Filters, before: str, limit: int) -> Sequence[Alert]:
    if filters.areas is not None:
        question = question.where(Alert.area.in_(filters.areas))
    if filters.agency:
        question = question.where(Alert.agency == filters.agency)
    if filters.created_after:
        question = question.where(Alert.create_time >= filters.created_after)
    if filters.created_before:
        question = question.where(Alert.create_time < filters.created_before)
    if not filters.drills:
        question = question.where(Alert.drill.is_(False))
    if before:
        question = question.where(Alert.name < before)
    return session.scalars(question.order_by(Alert.name.desc()).limit(limit).options(_WITH_RESPONSES)).all()


def add_positions(session: Session, positions: Sequence[Position]) -> None:
    session.add_all(positions)


def add_note(session: Session, note: Note) -> None:
    session.add(note)


def find_notes(session: Session, ids: Collection[str]) -> dict[str, str]:
    """Their texts, by id."""
    return {note.id: note.text for note in session.scalars(select(Note).where(Note.id.in_(ids)))} if ids else {}
