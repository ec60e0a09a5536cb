"""The questions and statements of alerts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, delete, exists, func, not_, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload, selectinload

from alerts.model.alerts import Alert
from alerts.model.enums import Channel, ResponseState, State
from alerts.model.incidents import Incident, list_doubts
from alerts.model.responses import Response
from alerts.model.tables import timers
from alerts.model.texts import NOWHERE, Number, NumberAlert
from alerts.model.timeline import Message, Note, Position
from alerts.model.units import Unit
from alerts.model.viewers import Viewer
from chassis.statements import InsertTogether
from chassis.timers import Timer

_RAISE = InsertTogether(cast("Table", Alert.__table__), cast("Table", Response.__table__), timers.table)
_WITH_PARTS = (selectinload(Alert.responses), selectinload(Alert.assignments))
# What every change of an alert asks: put together once, which is half of what it would cost.
_ONE = Alert.name == bindparam("name")
_MANY = Alert.name.in_(bindparam("names", expanding=True))
_FIND_INCIDENTS = select(Alert.incident).where(_MANY, Alert.incident != "")
_LOCK = select(Alert.incident).where(_MANY).order_by(Alert.name).with_for_update()
_SAVEPOINT, _RELEASE, _ROLLBACK = (text(f"{verb} unlocked") for verb in ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT"))
_TRY_TO_LOCK = select(Alert).where(_MANY).options(*_WITH_PARTS).with_for_update(skip_locked=True)
_FIND = select(Alert).where(_ONE).options(joinedload(Alert.responses, innerjoin=True), joinedload(Alert.assignments))
_OPEN = (ResponseState.REQUESTED, ResponseState.ACCEPTED)
_OPEN_STATES = frozenset({State.RAISED, State.ACKNOWLEDGED, State.DISPATCHED, State.ON_SCENE})
# As far as its creation and the time in its name may lie apart.
_APART_MILLISECONDS = 60_000
# Of those the agency is shown no content.
_PAST = (ResponseState.REJECTED, ResponseState.RELEASED)


@dataclass(frozen=True, slots=True)
class Filters:
    """Of a list; empty ones hold for every alert. `areas` are an area and all within it."""

    states: Collection[int]
    kinds: Collection[int]
    areas: Collection[str] | None
    agency: str
    incident: str
    created_after: datetime | None
    created_before: datetime | None
    updated_after: datetime | None
    drills: bool


def add_alert(session: Session, alert: dict[str, Any], response: dict[str, Any], timer: Timer) -> None:
    """On the driver's cursor: this is the path of every SOS."""
    _RAISE.execute(session.connection(), alert, response, timer._asdict())


def lock_alerts(session: Session, names: Collection[str]) -> None:
    """With their incidents, which come first wherever both are locked."""
    if session.connection().dialect.name == "sqlite":
        # Whoever writes is alone.
        return
    asked = {"names": sorted(names)}
    while True:
        session.execute(_SAVEPOINT)
        if incidents := set(session.scalars(_FIND_INCIDENTS, asked)):
            session.execute(select(Incident.name).where(Incident.name.in_(incidents)).order_by(Incident.name).with_for_update())
        if incidents.issuperset(filter(None, session.scalars(_LOCK, asked))):
            session.execute(_RELEASE)
            return
        # One was put into another incident while it was waited for, which must not be waited for with the alert's lock.
        session.execute(_ROLLBACK)


def try_to_lock_alerts(session: Session, names: Collection[str]) -> Sequence[Alert]:
    """Without their incidents and without waiting: those that nobody else has locked."""
    return session.scalars(_TRY_TO_LOCK, {"names": list(names)}, execution_options={"populate_existing": True}).all()


def find_alert(session: Session, name: str, *, for_update: bool = False, fresh: bool = False) -> Alert | None:
    """`fresh` where it may have been read before it was locked."""
    if for_update:
        # By itself: whoever waited for it in one statement with its parts would see those as they were before.
        lock_alerts(session, [name])
    # The same statements, whether there is something or not: who asks for what is not theirs learns nothing from the time they take.
    found = session.scalars(_FIND, {"name": name}, execution_options={"populate_existing": for_update or fresh})
    return found.unique().one_or_none()


def find_alerts(session: Session, names: Collection[str], *, for_update: bool = False) -> Sequence[Alert]:
    """The oldest first."""
    if for_update and names:
        lock_alerts(session, names)
    question = select(Alert).where(Alert.name.in_(names)).order_by(Alert.name).options(*_WITH_PARTS)
    return session.scalars(question, execution_options={"populate_existing": for_update}).all() if names else []


def find_open_alerts(session: Session, agency: str, *, drills: bool) -> Sequence[Alert]:
    """All in which the agency has something to do: the oldest first, doubtful ones last, and restricted ones as if nothing were known."""
    # From the open ones, which are few, to their parts: an agency has parts in all that it ever had.
    has_part = exists().where(Response.alert == Alert.name, Response.agency == agency, Response.state.in_(_OPEN))
    question = select(Alert).where(Alert.close_time.is_(None), has_part)
    if not drills:
        question = question.where(Alert.drill.is_(False))
    found = session.scalars(question.order_by(Alert.name).options(*_WITH_PARTS)).all()
    # Doubtful ones after all others, and none is left out. Where a restricted one stands, those see who are not shown its doubts.
    return sorted(found, key=lambda alert: not alert.restricted and bool(list_doubts(alert)))


def find_alerts_of_unit(session: Session, unit: str) -> Sequence[Alert]:
    """Those that the unit is at work for."""
    question = select(Alert).where(Alert.name == select(Unit.alert).where(Unit.name == unit).scalar_subquery())
    return session.scalars(question.options(*_WITH_PARTS)).all()


def list_alerts_of_agency(session: Session, viewer: Viewer, filters: Filters, before: str, limit: int) -> Sequence[Alert]:
    """The newest first, without the viewer's own SOS. A restricted alert's kind is no secret to whoever may see it, and only to them."""
    own: list[ColumnElement[bool]] = [Response.alert == Alert.name, Response.agency == viewer.agency]
    # Of a closed one a list shows no more than that it exists, whose ever it was.
    open_to_them = [Alert.close_time.is_(None), *([] if viewer.supervises else [Response.claimant == viewer.user])]
    shown = and_(Response.state.not_in(_PAST), or_(Alert.restricted.is_(False), and_(*open_to_them)))
    if filters.kinds:
        own += [Alert.kind.in_(filters.kinds), shown]
    if filters.updated_after:
        # Its outline is never newer than the alert, by which the rows are found.
        own.append(or_(shown, func.coalesce(Alert.outline_update_time, Alert.update_time) >= filters.updated_after))
    conditions = [*_find_conditions(filters), not_(_is_raised_by(viewer))]
    still_open = bool(filters.states) and _OPEN_STATES.issuperset(filters.states)
    newest: ColumnElement[str] | InstrumentedAttribute[str] = Alert.name
    if still_open or filters.incident or filters.updated_after:
        # Of all alerts few: from them to the agency's part.
        question = select(Alert).where(*conditions, exists().where(*own))
        if still_open:
            question = question.where(Alert.close_time.is_(None))
        elif not filters.incident:
            # No index is in this order, or SQLite would go through all alerts by it.
            newest = Alert.name.concat("")
    else:
        # The agency's parts in order, until the page is full.
        question = select(Alert).join(Response).where(*own, *conditions)
        newest = Response.alert
    return _page(session, question, newest, filters, before, limit)


def _is_raised_by(viewer: Viewer) -> ColumnElement[bool]:
    """As `Viewer.has_raised`: a list that had them would tell by its filters what they are to the agency."""
    known = [Alert.token_hash == viewer.token_hash, *([] if viewer.is_system else [Alert.user == viewer.user])]
    return and_(Alert.drill.is_(False), Alert.channel == Channel.APP, or_(*known))


def _find_conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """What an agency's list asks of the alert itself."""
    found: list[ColumnElement[bool]] = []
    if filters.updated_after:
        found.append(Alert.update_time >= filters.updated_after)
    if filters.states:
        found.append(Alert.state.in_(filters.states))
    if filters.areas is not None:
        found.append(Alert.area.in_(filters.areas))
    if filters.agency:
        found.append(Alert.agency == filters.agency)
    if filters.incident:
        found.append(Alert.incident == filters.incident)
    return found


def list_alerts_of_user(session: Session, user: str, filters: Filters, before: str, limit: int) -> Sequence[Alert]:
    """The newest first, without silent ones; the filters hold for what the caller's side is shown, which is no incident."""
    if filters.incident:
        return []
    question = select(Alert).where(Alert.user == user, Alert.silent.is_(False), Alert.erase_time.is_(None))
    if filters.updated_after:
        question = question.where(Alert.caller_update_time >= filters.updated_after)
    if filters.states:
        question = question.where(Alert.caller_state.in_(filters.states))
    if filters.kinds:
        question = question.where(func.coalesce(Alert.withheld["kind"].as_integer(), Alert.kind).in_(filters.kinds))
    if filters.areas is not None:
        question = question.where(func.coalesce(Alert.withheld["area"].as_string(), Alert.area).in_(filters.areas))
    if filters.agency:
        question = question.where(func.coalesce(Alert.withheld["agency"].as_string(), Alert.agency) == filters.agency)
    return _page(session, question, Alert.name, filters, before, limit)


def _page(
    session: Session,
    question: Select[Alert],
    newest: ColumnElement[str] | InstrumentedAttribute[str],
    filters: Filters,
    before: str,
    limit: int,
) -> Sequence[Alert]:
    """`newest` is the alert's name, by which the rows are found, or are not to be."""
    if filters.created_after:
        question = question.where(
            Alert.create_time >= filters.created_after, newest >= _name_at(filters.created_after, -_APART_MILLISECONDS)
        )
    if filters.created_before:
        question = question.where(
            Alert.create_time < filters.created_before, newest < _name_at(filters.created_before, _APART_MILLISECONDS)
        )
    if not filters.drills:
        question = question.where(Alert.drill.is_(False))
    if before:
        question = question.where(newest < before)
    return session.scalars(question.order_by(newest.desc()).limit(limit).options(*_WITH_PARTS)).all()


def _name_at(time: datetime, later: int) -> str:
    """How the name of an alert begins that was raised so many milliseconds later: it is a UUIDv7, 48 bits of Unix milliseconds and
    more.
    """
    digits = f"{max(int(time.timestamp() * 1000) + later, 0):012x}"
    return f"alerts/{digits[:8]}-{digits[8:]}"


def add_positions(session: Session, positions: Sequence[Position]) -> None:
    session.add_all(positions)


def add_note(session: Session, note: Note) -> None:
    session.add(note)


def find_notes(session: Session, ids: Collection[str]) -> dict[str, str]:
    """Their texts, by id."""
    return {note.id: note.text for note in session.scalars(select(Note).where(Note.id.in_(ids)))} if ids else {}


def add_message(session: Session, message: Message) -> None:
    session.add(message)


def find_message(session: Session, name: str) -> Message | None:
    return session.get(Message, name)


def list_messages(session: Session, alert: str, after: str, limit: int) -> Sequence[Message]:
    """The oldest first."""
    return session.scalars(select(Message).where(Message.alert == alert, Message.id > after).order_by(Message.id).limit(limit)).all()


def remove_content(session: Session, alert: str) -> None:
    """What was kept beside an alert."""
    # Without waiting: whoever has locked a number may wait for the alert, and tells where it is now.
    mine = select(Number.hash).join(NumberAlert, NumberAlert.hash == Number.hash).where(NumberAlert.alert == alert)
    numbers = session.scalars(mine.with_for_update(of=Number, skip_locked=True)).all()
    session.execute(update(Number).where(Number.hash.in_(numbers)).values(NOWHERE))
    for table in (Position, Note, Message, NumberAlert):
        session.execute(delete(table).where(table.alert == alert))


def list_positions(session: Session, alert: str) -> Sequence[Position]:
    """The oldest first."""
    return session.scalars(select(Position).where(Position.alert == alert).order_by(Position.fix_time)).all()
