"""The questions about telephone numbers, by their keyed hashes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.enums import Sender
from alerts.model.texts import KEPT, NOWHERE, Number, NumberAlert
from alerts.model.timeline import Message
from alerts.store.alerts import find_alerts

_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def lock_number(session: Session, number: bytes, now: datetime) -> tuple[Number, bool]:
    """The number, made where it is not known yet, and whether it was: whoever comes from it at the same time waits here."""
    insert = _INSERT[session.connection().dialect.name]
    row = {"hash": number, **NOWHERE, "raise_count": 0, "raise_time": None, "update_time": now}
    question = select(Number).where(Number.hash == number).with_for_update().execution_options(populate_existing=True)
    made = 0
    while (found := session.scalars(question).one_or_none()) is None:
        # Where another one makes it at the same time, it is waited for and found; where one removes it, it is made again.
        made = session.execute(insert(Number).values(row).on_conflict_do_nothing()).rowcount  # pyright: ignore[reportAttributeAccessIssue]  # a CursorResult
    return found, made == 0


def take_number(session: Session, number: bytes) -> bool:
    """Locks it where that waits for nobody: False where somebody else holds it, or may hold an alert of it."""
    known = select(Number.hash).where(Number.hash == number)
    if session.scalars(known.with_for_update(skip_locked=True)).one_or_none() is None:
        return session.scalars(known).one_or_none() is None
    return not _find_open_names(session, number)


def forget_number(session: Session, number: Number) -> None:
    session.delete(number)


def link_alert(session: Session, number: bytes, alert: str) -> bool:
    """That the alert is of this number and no other; False where it was known."""
    known = session.scalars(select(NumberAlert.hash).where(NumberAlert.alert == alert)).all()
    if list(known) == [number]:
        return False
    session.execute(delete(NumberAlert).where(NumberAlert.alert == alert))
    session.add(NumberAlert(hash=number, alert=alert))
    return True


def lock_open_alerts(session: Session, number: bytes) -> Sequence[Alert]:
    """Those that an agency still works on, the oldest first."""
    # Those that were closed before they could be locked are none.
    found = find_alerts(session, _find_open_names(session, number), for_update=True)
    return [alert for alert in found if alert.close_time is None]


def count_messages(session: Session, number: bytes, since: datetime) -> int:
    """Those that its callers have added to its alerts since then."""
    of_number = select(NumberAlert.alert).where(NumberAlert.hash == number)
    mine = (Message.alert.in_(of_number), Message.sender == Sender.CALLER, Message.create_time > since)
    return session.scalars(select(func.count()).select_from(Message).where(*mine)).one()


def sweep_numbers(session: Session, now: datetime) -> None:
    """Removes what has expired: positions, numbers that were not heard of since, and what belongs to closed alerts."""
    session.execute(update(Number).where(Number.fix_time <= now - KEPT).values(NOWHERE))
    session.execute(delete(Number).where(Number.update_time <= now - KEPT))
    closed = select(Alert.name).where(Alert.name == NumberAlert.alert, Alert.close_time.is_not(None))
    session.execute(delete(NumberAlert).where(closed.exists()))


def _find_open_names(session: Session, number: bytes) -> Sequence[str]:
    of_number = select(NumberAlert.alert).where(NumberAlert.hash == number)
    return session.scalars(select(Alert.name).where(Alert.name.in_(of_number), Alert.close_time.is_(None))).all()
