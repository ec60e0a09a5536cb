"""The questions about public warnings."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select
from sqlalchemy.orm import Session, joinedload

from alerts.model.enums import WarningState, WarningStatus
from alerts.model.shapes import find_box
from alerts.model.warnings import Message, PublicWarning, Reached

_OPEN = (WarningState.PENDING, WarningState.ISSUED, WarningState.UPDATED)
_IN_FORCE = (WarningState.ISSUED, WarningState.UPDATED)


@dataclass(frozen=True, slots=True)
class Place:
    """A point, and every area that holds it."""

    latitude: float
    longitude: float
    areas: Collection[str]


@dataclass(frozen=True, slots=True)
class Filters:
    """Of a list; without states what is in force. `reader` is the agency whose own ones are found before they are sent."""

    reader: str
    states: Collection[int]
    areas: Collection[str] | None
    place: Place | None
    agency: str
    unexpired: bool
    exercises: bool


def add_warning(session: Session, warning: PublicWarning) -> None:
    session.add(warning)
    session.flush()
    keep_place(session, warning)


def add_message(session: Session, message: Message) -> None:
    session.add(message)


def keep_place(session: Session, warning: PublicWarning) -> None:
    """By which areas and around which shapes it is found."""
    warning.south, warning.west, warning.north, warning.east = find_box(warning.polygons, warning.circles) or (None,) * 4
    session.execute(delete(Reached).where(Reached.warning == warning.name))
    session.add_all(Reached(area=area, warning=warning.name) for area in warning.reached)


def find_warning(session: Session, name: str, *, for_update: bool = False) -> PublicWarning | None:
    if for_update:
        # By itself: whoever waited for it in one statement with its update would see that as it was before.
        session.execute(select(PublicWarning.name).where(PublicWarning.name == name).with_for_update())
    question = select(PublicWarning).where(PublicWarning.name == name).options(joinedload(PublicWarning.proposal))
    return session.scalars(question, execution_options={"populate_existing": for_update}).one_or_none()


def try_to_lock_warnings(session: Session, names: Collection[str]) -> Sequence[PublicWarning]:
    """Without waiting: those that nobody else has locked."""
    question = select(PublicWarning.name).where(PublicWarning.name.in_(names)).with_for_update(skip_locked=True)
    locked = session.scalars(question).all()
    return find_warnings(session, locked) if locked else ()


def find_warnings(session: Session, names: Collection[str]) -> Sequence[PublicWarning]:
    return session.scalars(_all().where(PublicWarning.name.in_(names))).all()


def find_message(session: Session, warning: str, number: int) -> Message | None:
    return session.get(Message, (warning, number))


def find_warnings_in_force(session: Session, areas: Collection[str] | None, now: datetime, *, exercises: bool) -> Sequence[PublicWarning]:
    """The oldest first."""
    question = _all().where(PublicWarning.state.in_(_IN_FORCE), PublicWarning.expire_time > now)
    question = _narrow(question, areas, exercises=exercises)
    return session.scalars(question.order_by(PublicWarning.name)).all()


def list_warnings(session: Session, filters: Filters, now: datetime, before: str, limit: int) -> Sequence[PublicWarning]:
    """The newest first."""
    question = _all().where(_is_in(filters, now))
    if filters.agency:
        question = question.where(PublicWarning.agency == filters.agency)
    if filters.unexpired:
        question = question.where(PublicWarning.expire_time > now)
    question = _narrow(question, filters.areas, exercises=filters.exercises)
    question = question.order_by(PublicWarning.name.desc())
    place = filters.place
    if place is None:
        return list(islice(_read(session, question, before, limit), limit))
    # The box of a shape is larger than the shape: what it finds in vain does not count.
    near = _read(session, question.where(_is_near(place)), before, limit)
    return list(islice((each for each in near if each.holds(place.latitude, place.longitude, place.areas)), limit))


def find_change_time(session: Session, now: datetime) -> datetime | None:
    """When anything last changed that everybody may read."""
    sent = session.scalar(select(func.max(PublicWarning.sent_time)))
    passed = select(func.max(PublicWarning.expire_time)).where(PublicWarning.expire_time <= now, PublicWarning.number > 0)
    return max(filter(None, (sent, session.scalar(passed))), default=None)


def _all() -> Select[PublicWarning]:
    return select(PublicWarning).options(joinedload(PublicWarning.proposal))


def _read(session: Session, question: Select[PublicWarning], before: str, at_once: int) -> Iterator[PublicWarning]:
    while True:
        page = question.where(PublicWarning.name < before) if before else question
        found = session.scalars(page.limit(at_once)).all()
        yield from found
        if len(found) < at_once:
            return
        before = found[-1].name


def _is_in(filters: Filters, now: datetime) -> ColumnElement[bool]:
    """In one of the states, as far as the reader may know."""
    open_states = [state for state in filters.states or _IN_FORCE if state in _OPEN]
    wanted = and_(PublicWarning.state.in_(open_states), PublicWarning.expire_time > now)
    if WarningState.CANCELLED in filters.states:
        wanted = or_(wanted, PublicWarning.state == WarningState.CANCELLED)
    if WarningState.EXPIRED in filters.states:
        wanted = or_(wanted, and_(PublicWarning.state.in_(_OPEN), PublicWarning.expire_time <= now))
    known = PublicWarning.number > 0
    if filters.reader and WarningState.PENDING in filters.states:
        known = or_(known, PublicWarning.agency == filters.reader)
    return and_(wanted, known)


def _narrow(question: Select[PublicWarning], areas: Collection[str] | None, *, exercises: bool) -> Select[PublicWarning]:
    if not exercises:
        question = question.where(PublicWarning.status == WarningStatus.ACTUAL)
    if areas is not None:
        question = question.where(PublicWarning.name.in_(select(Reached.warning).where(Reached.area.in_(areas))))
    return question


def _is_near(place: Place) -> ColumnElement[bool]:
    named = PublicWarning.name.in_(select(Reached.warning).where(Reached.area.in_(place.areas)))
    around = and_(
        PublicWarning.south <= place.latitude,
        PublicWarning.north >= place.latitude,
        PublicWarning.west <= place.longitude,
        PublicWarning.east >= place.longitude,
    )
    return or_(named, around)
