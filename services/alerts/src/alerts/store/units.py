"""The questions about units."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from alerts.model.units import Unit


def add_unit(session: Session, columns: Mapping[str, Any]) -> bool:
    """False where there is one of this name, or somebody makes it at this moment."""
    insert = postgresql.insert if session.connection().dialect.name == "postgresql" else sqlite.insert
    added = session.execute(insert(Unit).values(columns).on_conflict_do_nothing())
    return added.rowcount == 1  # pyright: ignore[reportAttributeAccessIssue]  # a CursorResult


def find_unit(session: Session, name: str) -> Unit | None:
    return session.get(Unit, name)


def lock_units(session: Session, names: Collection[str]) -> dict[str, Unit]:
    """Those that there are, by name; locked in one order, so that nobody waits for somebody who waits."""
    question = select(Unit).where(Unit.name.in_(names)).order_by(Unit.name).with_for_update().execution_options(populate_existing=True)
    return {unit.name: unit for unit in session.scalars(question)}


def find_units_of(session: Session, agency: str) -> Sequence[Unit]:
    return session.scalars(select(Unit).where(Unit.agency == agency).order_by(Unit.name)).all()


def list_units(session: Session, agency: str, kinds: Collection[int], duty: int, after: str, limit: int, *, drills: bool) -> Sequence[Unit]:
    """By name."""
    question = select(Unit).where(Unit.agency == agency, Unit.name > after)
    if kinds:
        question = question.where(Unit.kind.in_(kinds))
    if not drills:
        question = question.where(Unit.drill.is_(False))
    if duty:
        question = question.where(Unit.duty == duty)
    return session.scalars(question.order_by(Unit.name).limit(limit)).all()


def remove_unit(session: Session, unit: Unit) -> None:
    session.delete(unit)
