"""Units, what is sent where, and how far it has come."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import h3
from sqlalchemy import ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.errors import DrillMismatch, InvalidTransition, UnitBusy, UnitChanged, UnitOffDuty, UnitPositionOld
from alerts.model.enums import Duty, RollCall, State, Status
from alerts.model.tables import Model

_ACTIVE = frozenset({Status.ASSIGNED, Status.ACCEPTED, Status.EN_ROUTE, Status.ON_SCENE})
_ORDER = (Status.ASSIGNED, Status.ACCEPTED, Status.EN_ROUTE, Status.ON_SCENE, Status.DONE)
_ASKED_TWICE, _MAYDAY_MISSED = 2, 2
_TICK = timedelta(microseconds=1)


class Report(NamedTuple):
    """Where a unit was."""

    unit: str
    latitude: float
    longitude: float
    accuracy_meters: float | None
    fix_time: datetime


class Unit(Model):
    """A crew with its vehicle. Its position has no part in its version: it changes each few seconds."""

    __tablename__ = "units"

    name: Mapped[str] = mapped_column(primary_key=True)
    agency: Mapped[str]
    kind: Mapped[int] = mapped_column(SmallInteger)
    display_name: Mapped[str]
    crew: Mapped[list[str]]
    duty: Mapped[int] = mapped_column(SmallInteger, default=Duty.OFF_DUTY)
    duty_time: Mapped[datetime | None]
    # What it is at work for; empty when it is free.
    alert: Mapped[str] = mapped_column(default="")
    # Sent to exercises, and to nothing else.
    drill: Mapped[bool] = mapped_column(default=False)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    accuracy_meters: Mapped[float | None]
    fix_time: Mapped[datetime | None]
    update_time: Mapped[datetime]

    __table_args__ = (Index("ix_units_agency", "agency", "name"),)

    @property
    def etag(self) -> str:
        return f'"{self.update_time.timestamp() * 1e6:.0f}"'

    def require_etag(self, etag: str) -> None:
        """Raises UnitChanged; an empty one is anybody's."""
        if etag and etag != self.etag:
            raise UnitChanged

    def require_free(self) -> None:
        """Raises UnitBusy."""
        if self.alert:
            raise UnitBusy(unit=self.name)

    def require_ready(self, now: datetime, max_age: timedelta | None, *, drill: bool) -> None:
        """Raises DrillMismatch, UnitOffDuty, UnitBusy and UnitPositionOld; a unit that never said where it is has no old position."""
        if self.drill != drill:
            raise DrillMismatch(unit=self.name)
        if self.duty != Duty.ON_DUTY:
            raise UnitOffDuty(unit=self.name)
        self.require_free()
        age = now - self.fix_time if self.fix_time else None
        if age and max_age is not None and age > max_age:
            raise UnitPositionOld(unit=self.name, seconds=str(int(age.total_seconds())))

    def work_for(self, alert: str, now: datetime) -> None:
        self.alert = alert
        self.renew(now)

    def finish(self, alert: str, now: datetime) -> None:
        """Free again, unless it is at work for another one."""
        if self.alert == alert:
            self.work_for("", now)

    def set_duty(self, duty: Duty, now: datetime) -> bool:
        """False where nothing changes. Raises UnitBusy."""
        if self.duty == duty:
            return False
        if duty is Duty.OFF_DUTY:
            self.require_free()
        self.duty, self.duty_time = duty, now
        self.renew(now)
        return True

    def move(self, report: Report) -> bool:
        """False where a newer position is known."""
        if self.fix_time and self.fix_time >= report.fix_time:
            return False
        _, self.latitude, self.longitude, self.accuracy_meters, self.fix_time = report
        return True

    def measure_distance(self, place: tuple[float, float] | None) -> float | None:
        """In metres to a place (latitude, longitude); None where either is unknown."""
        if place is None or self.latitude is None or self.longitude is None:
            return None
        return h3.great_circle_distance((self.latitude, self.longitude), place, "m")

    def renew(self, now: datetime) -> None:
        self.update_time = max(now, self.update_time + _TICK)


class Assignment(Model):
    """A unit at work for an alert; the crew is the one that was sent, or has relieved it."""

    __tablename__ = "assignments"

    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), primary_key=True)
    # How many were sent before it; a unit may be sent again.
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    unit: Mapped[str]
    agency: Mapped[str]
    kind: Mapped[int] = mapped_column(SmallInteger)
    crew: Mapped[list[str]]
    status: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str] = mapped_column(default="")
    dispatch_time: Mapped[datetime]
    accept_time: Mapped[datetime | None]
    en_route_time: Mapped[datetime | None]
    arrive_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    # When the crew was last heard of or asked, how often it was asked since it was heard of, and how many calls it has missed in a row.
    roll_time: Mapped[datetime | None]
    roll_step: Mapped[int] = mapped_column(SmallInteger, default=0)
    missed_roll_calls: Mapped[int] = mapped_column(default=0)
    # Of an alert that leads on though it was called off: who would have come to have it; empty for nobody, None where nobody leads on.
    heir: Mapped[str | None]
    # Read by replicas that are older than `heir`, as long as there are any; the next migration drops it.
    past: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (Index("ix_assignments_unit", "unit", "alert"),)

    @property
    def is_active(self) -> bool:
        return self.status in _ACTIVE

    @property
    def mayday(self) -> bool:
        return self.is_active and self.missed_roll_calls >= _MAYDAY_MISSED

    def advance(self, status: Status, reason: str, now: datetime) -> bool:
        """False where nothing changes. Raises InvalidTransition."""
        if status == self.status:
            return self._answer_roll(now)
        if not self._leads_to(status):
            raise InvalidTransition(status=Status(self.status).name)
        self.status, self.reason = status, reason if status is Status.DECLINED else ""
        if status in {Status.ACCEPTED, Status.EN_ROUTE, Status.ON_SCENE}:
            self.accept_time = self.accept_time or now
        if status == Status.EN_ROUTE:
            self.en_route_time = now
        elif status == Status.ON_SCENE:
            self.arrive_time = self.roll_time = now
        else:
            self.end_time = None if self.is_active else now
        return True

    def hand_on(self, alert: str, number: int, now: datetime) -> "Assignment":
        """The same for another alert, but for what its crew said of this one; here it ends, unless it has, and is due to nobody any
        more.
        """
        columns = {column.key: getattr(self, column.key) for column in Assignment.__table__.columns}
        if self.is_active:
            self.status, self.end_time = Status.DONE, now
        self.heir = ""
        return Assignment(**columns | {"alert": alert, "number": number, "reason": "", "heir": None})

    def find_roll_due(self, interval: timedelta) -> datetime | None:
        """When the crew is asked next, or has missed a call; None where the roll is not called."""
        if self.status != Status.ON_SCENE or not interval or self.roll_time is None:
            return None
        return self.roll_time + interval

    def call_roll(self, now: datetime) -> RollCall:
        """The crew is asked, asked again, and then has missed the call. It has the whole time for each answer, however late
        it is asked.
        """
        self.roll_time = now
        if self.roll_step < _ASKED_TWICE:
            self.roll_step += 1
            return RollCall.DUE
        self.roll_step = 0
        self.missed_roll_calls += 1
        return RollCall.MAYDAY if self.missed_roll_calls == _MAYDAY_MISSED else RollCall.MISSED

    def _answer_roll(self, now: datetime) -> bool:
        """False where nobody has asked."""
        if self.status != Status.ON_SCENE or not (self.roll_step or self.missed_roll_calls):
            return False
        self.roll_time, self.roll_step, self.missed_roll_calls = now, 0, 0
        return True

    def _leads_to(self, status: Status) -> bool:
        if not self.is_active:
            return False
        if status is Status.DECLINED:
            return self.status != Status.ON_SCENE
        return _ORDER.index(status) > _ORDER.index(Status(self.status))


def find_progress(assignments: Sequence[Assignment], *, held: bool) -> State:
    """How far the work of these units has come for an alert that somebody holds or nobody does."""
    active = {each.status for each in assignments if each.is_active}
    if Status.ON_SCENE in active:
        return State.ON_SCENE
    if active:
        return State.DISPATCHED
    if not held:
        return State.RAISED
    return State.ON_SCENE if any(each.arrive_time for each in assignments) else State.ACKNOWLEDGED
