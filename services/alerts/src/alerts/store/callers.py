"""The questions about callers."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, selectinload

from alerts.model.alerts import Alert
from alerts.model.callers import Caller
from alerts.store.alerts import find_alerts

_WITH_PARTS = (selectinload(Alert.responses), selectinload(Alert.assignments))


def find_caller(session: Session, user: str, *, for_update: bool = False) -> Caller | None:
    return session.get(Caller, user, with_for_update=for_update, populate_existing=for_update)


def lock_callers(session: Session, users: Collection[str]) -> None:
    """In one order, for all who lock several."""
    session.execute(select(Caller.user).where(Caller.user.in_(users)).order_by(Caller.user).with_for_update())


def make_caller(session: Session, user: str) -> Caller:
    """One without PINs, locked, or the one that somebody else makes at this moment."""
    insert = postgresql.insert if session.connection().dialect.name == "postgresql" else sqlite.insert
    empty = {"user": user, "pin_hash": "", "duress_hash": "", "decoy_pin_hash": "", "decoy_duress_hash": "", "wrong_count": 0}
    session.execute(insert(Caller).values(empty).on_conflict_do_nothing())
    caller = find_caller(session, user, for_update=True)
    assert caller is not None
    return caller


def has_open_alert(session: Session, user: str) -> bool:
    """One that its agency still works on, whatever the caller's side is shown."""
    return session.scalar(select(Alert.name).where(Alert.user == user, Alert.close_time.is_(None)).limit(1)) is not None


def list_alerts_of_caller(session: Session, user: str, after: str, limit: int) -> Sequence[Alert]:
    """The oldest first, without silent ones and those that they wanted erased."""
    question = select(Alert).where(Alert.user == user, Alert.silent.is_(False), Alert.erase_time.is_(None), Alert.name > after)
    return session.scalars(question.order_by(Alert.name).limit(limit).options(*_WITH_PARTS)).all()


def lock_alerts_of_caller(session: Session, user: str) -> Sequence[Alert]:
    """Silent ones, too, which nobody is shown by it. One that is raised meanwhile is none of them."""
    return find_alerts(session, session.scalars(select(Alert.name).where(Alert.user == user)).all(), for_update=True)
