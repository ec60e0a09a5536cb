"""The questions and statements of the statistics."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, cast

from sqlalchemy import ColumnElement, Select, String, Table, and_, bindparam, delete, func, or_, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.statistics import DAY, MONTH, Contribution, Counted, Counting, Key, Sum
from alerts.model.units import Assignment
from chassis.statements import Prepared

_REMOVED_AT_ONCE = 1000
_COUNTABLE = (
    *(Alert.name, Alert.kind, Alert.drill, Alert.area, Alert.agency, Alert.outcome, Alert.cancel_claim, Alert.merged_into),
    *(Alert.create_time, Alert.deliver_time, Alert.acknowledge_time, Alert.dispatch_time, Alert.arrive_time, Alert.close_time),
    Alert.revision,
)
_ADDED = tuple(getattr(Counted, name).label(f"counted_{name}") for name in Contribution._fields)


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both of which belong to it, as date.toordinal has them."""

    first: int
    last: int

    @property
    def days(self) -> int:
        return self.last - self.first + 1

    def split(self) -> Mapping[str, int]:
        """Whole months, and the days before and after them; all of it are days before where there is no whole month."""
        start, end = date.fromordinal(self.first), date.fromordinal(self.last + 1)
        first_month = start if start.day == 1 else _next_month(start)
        after_months = end.replace(day=1)
        if first_month >= after_months:
            return self.by_days()
        months, after = first_month.toordinal(), after_months.toordinal()
        return {"before": self.first, "months": months, "after": after, "last": self.last}

    def by_days(self) -> Mapping[str, int]:
        return {"before": self.first, "months": self.last + 1, "after": self.last + 1, "last": self.last}


@dataclass(frozen=True, slots=True)
class Question:
    """Which sums: of these areas and kinds, of one agency or, where it is empty, of each."""

    areas: Sequence[str]
    kinds: Sequence[int]
    agency: str
    period: Period
    by_days: bool
    by_hours: bool


class Found(Protocol):
    """A row of sums; the vector is by hours, or as well folded as it is kept."""

    area: str
    kind: int
    start: int
    vector: bytes


def lock_countings(session: Session) -> Sequence[Counting]:
    """The newest first; none where another replica counts."""
    question = select(Counting).order_by(Counting.number.desc()).with_for_update(skip_locked=True)
    return session.scalars(question, execution_options={"populate_existing": True}).all()


def find_countings(session: Session) -> Sequence[Counting]:
    """The newest first."""
    return session.scalars(select(Counting).order_by(Counting.number.desc())).all()


def find_current(session: Session) -> Counting | None:
    return session.scalars(select(Counting).where(Counting.current)).one_or_none()


def add_counting(session: Session, number: int) -> None:
    """Of nothing yet; unless it is there."""
    insert_on = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[session.connection().dialect.name]
    new = {"number": number, "current": False, "position": 0, "counted_to": ""}
    session.execute(insert_on(Counting).values(new).on_conflict_do_nothing())


def find_alerts_after(session: Session, name: str, limit: int) -> Sequence[str]:
    """Names, the oldest first."""
    return session.scalars(select(Alert.name).where(Alert.name > name).order_by(Alert.name).limit(limit)).all()


def find_members(session: Session, incidents: Collection[str]) -> Sequence[str]:
    """The names of the alerts that form these incidents."""
    return session.scalars(select(Alert.name).where(Alert.incident.in_(incidents))).all() if incidents else []


def find_changed(session: Session, counting: int, names: Collection[str]) -> list[tuple[Any, Contribution | None]]:
    """Of those alerts that have changed since they were counted what is counted, as a row, and what was."""
    counted = and_(Counted.counting == counting, Counted.alert == Alert.name)
    changed = or_(Counted.revision.is_(None), Counted.revision != Alert.revision)
    found = session.execute(select(*_COUNTABLE, *_ADDED).outerjoin(Counted, counted).where(Alert.name.in_(names), changed))
    return [(row, _to_contribution(row[len(_COUNTABLE) :])) for row in found]


def _to_contribution(columns: Sequence[Any]) -> Contribution | None:
    *key, adds = columns
    return Contribution._make((*key, tuple((place, count) for place, count in adds))) if adds else None


def find_turnouts(session: Session, names: Collection[str]) -> dict[str, tuple[datetime, datetime]]:
    """When the unit that set out first was sent, and when it did so, by alert."""
    sent = select(Assignment.alert, Assignment.dispatch_time, Assignment.en_route_time).where(Assignment.alert.in_(names))
    sent = sent.where(Assignment.en_route_time.is_not(None)).order_by(Assignment.en_route_time.desc())
    return {alert: (dispatched, set_out) for alert, dispatched, set_out in session.execute(sent) if set_out}


def keep_counted(session: Session, counting: int, contributions: Mapping[str, tuple[int, Contribution]]) -> None:
    """Each with the revision of the alert that it is from."""
    rows = [
        {"counting": counting, "alert": alert, "revision": revision, **each._asdict()} for alert, (revision, each) in contributions.items()
    ]
    _KEEP_COUNTED[session.connection().dialect.name].execute_many(session.connection(), rows)


def remove_counted(session: Session, counting: int, names: Collection[str]) -> None:
    session.execute(delete(Counted).where(Counted.counting == counting, Counted.alert.in_(names)))


def find_hours(session: Session, counting: int, keys: Collection[Key]) -> dict[Key, bytes]:
    """The vectors by hours of those rows that there are, and perhaps of some beside them."""
    by_start: defaultdict[tuple[int, int], list[Key]] = defaultdict(list)
    for key in keys:
        by_start[key.span, key.start].append(key)
    found: dict[Key, bytes] = {}
    for (span, start), some in by_start.items():
        question = select(Sum.area, Sum.kind, Sum.agency, Sum.hours).where(
            Sum.counting == counting,
            Sum.span == span,
            Sum.area.in_({key.area for key in some}),
            Sum.kind.in_({key.kind for key in some}),
            Sum.start == start,
        )
        found |= {Key(span, start, area, kind, agency): hours for area, kind, agency, hours in session.execute(question)}
    return found


def keep_sums(session: Session, counting: int, sums: Mapping[Key, tuple[bytes, bytes | None]]) -> None:
    rows = [{"counting": counting, **key._asdict(), "hours": hours, "whole": whole} for key, (hours, whole) in sums.items()]
    _KEEP_SUMS[session.connection().dialect.name].execute_many(session.connection(), rows)


def find_sums(session: Session, counting: int, question: Question) -> Sequence[Found]:
    split = question.period.by_days() if question.by_days else question.period.split()
    values = {"counting": counting, "areas": question.areas, "kinds": question.kinds, "agency": question.agency, **split}
    return cast("Sequence[Found]", session.execute(_BY_HOURS if question.by_hours else _WHOLE, values).all())


def remove_some(session: Session, counting: int) -> bool:
    """Of a count that is no longer told; False when nothing is left of it."""
    counted = select(Counted.alert).where(Counted.counting == counting).limit(_REMOVED_AT_ONCE)
    if names := session.scalars(counted).all():
        remove_counted(session, counting, names)
        return True
    rows = select(Sum.span, Sum.area).where(Sum.counting == counting).limit(1)
    if row := session.execute(rows).one_or_none():
        session.execute(delete(Sum).where(Sum.counting == counting, Sum.span == row.span, Sum.area == row.area))
        return True
    session.execute(delete(Counting).where(Counting.number == counting))
    return False


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _upsert(model: type[Counted | Sum], insert_on: Any) -> Prepared:  # noqa: ANN401  # the two dialects' inserts share no type
    table = cast("Table", model.__table__)
    names = [column.name for column in table.columns]
    statement = insert_on(table).values({name: bindparam(name) for name in names})
    keys = [column.name for column in table.primary_key.columns]
    replaced = {name: statement.excluded[name] for name in names if name not in keys}
    return Prepared(statement.on_conflict_do_update(index_elements=keys, set_=replaced))


_KEEP_COUNTED = {"sqlite": _upsert(Counted, sqlite.insert), "postgresql": _upsert(Counted, postgresql.insert)}
_KEEP_SUMS = {"sqlite": _upsert(Sum, sqlite.insert), "postgresql": _upsert(Sum, postgresql.insert)}


def _find(vector: Any) -> Any:  # noqa: ANN401  # a column, or one in place of another
    """Days, months and days, each a range of the primary key."""

    def select_span(span: int, *start: ColumnElement[bool]) -> Select[str, int, int, Any]:
        agency = bindparam("agency", type_=String)
        return select(Sum.area, Sum.kind, Sum.start, vector.label("vector")).where(
            Sum.counting == bindparam("counting"),
            Sum.span == span,
            Sum.area.in_(bindparam("areas", expanding=True)),
            Sum.kind.in_(bindparam("kinds", expanding=True)),
            *start,
            or_(agency == "", Sum.agency == agency),
        )

    before, months, after, last = (bindparam(name) for name in ("before", "months", "after", "last"))
    return union_all(
        select_span(DAY, Sum.start >= before, Sum.start < months),
        select_span(MONTH, Sum.start >= months, Sum.start < after),
        select_span(DAY, Sum.start >= after, Sum.start <= last),
    )


_BY_HOURS = _find(Sum.hours)
_WHOLE = _find(func.coalesce(Sum.whole, Sum.hours))
