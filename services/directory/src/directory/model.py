"""Areas, agencies, hotlines and facilities, and who answers where."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import JSON, ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.clock import UtcTime
from chassis.events import EventLog
from chassis.idempotency import RequestKeys
from chassis.masks import json_name
from directory.hours import find_fault_of_hours

UNCONFIRMED = "unconfirmed"
# The steps of an AlertPolicy in their order, and the contract's defaults for those that it leaves out.
_STEPS = (("deliver_seconds", 10), ("acknowledge_seconds", 15), ("supervisor_seconds", 20), ("parent_seconds", 60))
# What may change without taking an entry from the import that brings it.
_NOT_IMPORTED = frozenset({"status", "alert_text", "assured_by", "assured_time"})
_TICK = timedelta(microseconds=1)


class Level(IntEnum):
    """How large an area is; the numbers are the contract's, as those of the other enums are."""

    PROVINCE = 1
    REGENCY = 2
    DISTRICT = 3
    VILLAGE = 4


class Category(IntEnum):
    """What somebody can be called for."""

    EMERGENCY = 1
    POLICE = 2
    FIRE = 3
    AMBULANCE = 4
    SEARCH_AND_RESCUE = 5
    WOMEN_AND_CHILDREN = 6
    HOSPITAL = 7
    HEALTH_CENTRE = 8
    COMPLAINT_POST = 9
    SHELTER_INTAKE = 10


class Use(IntEnum):
    """What reaches a number."""

    CALL = 1
    WHATSAPP = 2


class Wheelchair(IntEnum):
    """Whether somebody in a wheelchair gets in; 0 where nobody has said."""

    YES = 1
    LIMITED = 2
    NO = 3


class Status(IntEnum):
    """Whether a facility works."""

    ACTIVE = 1
    TEMPORARILY_CLOSED = 2
    CLOSED = 3


class PhoneNumber(TypedDict):
    """As it stands in the database's JSON."""

    number: str
    use: int


class Shape(NamedTuple):
    """A boundary, a MultiPolygon in well-known binary with longitude before latitude, and a point within it."""

    boundary: bytes
    latitude: float
    longitude: float


# A field, as the columns spell it, and what is wrong with it.
Fault: TypeAlias = tuple[str, str]


class Model(DeclarativeBase):
    """The tables of the directory."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )


log = EventLog(Model.metadata)
keys = RequestKeys(Model.metadata)


class Versioned:
    """What changes one after the other: no two versions have the same `update_time`, and so not the same `etag`."""

    update_time: Mapped[datetime | None] = mapped_column(UtcTime)

    @property
    def etag(self) -> str:
        """The same in every process."""
        return f"{self.update_time.timestamp() * 1e6:.0f}" if self.update_time else "0"

    def renew(self, now: datetime) -> None:
        """Note a change; it is later than the one before it, also by a clock that is behind."""
        self.update_time = max(now, self.update_time + _TICK) if self.update_time else now


class Area(Versioned, Model):
    """An administrative area. Its name begins with its parent's, so that the order of names has parents first."""

    __tablename__ = "areas"

    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    level: Mapped[int]
    parent: Mapped[str | None] = mapped_column(ForeignKey("areas.name"))
    latitude: Mapped[float]
    longitude: Mapped[float]
    time_zone: Mapped[str]
    emergency_number: Mapped[str]
    boundary: Mapped[bytes | None]

    def find_faults(self) -> Iterator[Fault]:
        """The rules that an area must keep by itself."""
        yield from _find_fault_of_name(self.display_name)
        if not self.level:
            yield "level", "is required"
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield "time_zone", "is no IANA time zone"
        if not self.emergency_number:
            yield "emergency_number", "is required where no area above has one"

    def holds(self, name: str) -> bool:
        """Tell whether the area of this name is this one or lies within it."""
        return name == self.name or name.startswith(f"{self.name}.")

    def find_fault_of_child(self, name: str, level: int) -> str:
        """Why no area of this name and level can lie directly within this one; empty where it can."""
        if self.level == Level.VILLAGE:
            return f"{self.name} is a village, which holds no areas"
        if name == self.name or not self.holds(name):
            return f"its code does not begin with that of {self.name}"
        return "" if level > self.level else f"its level is not below that of {self.name}"

    def find_fault_of_place(self, shape: Shape) -> str:
        """Why no area within this one can lie there; empty where it can."""
        # No province of any country is that wide; latitude and longitude taken for each other mostly lead further.
        if abs(shape.latitude - self.latitude) > 10 or abs(shape.longitude - self.longitude) > 10:  # noqa: PLR2004
            return f"it lies more than 10 degrees from {self.name}: are latitude and longitude swapped?"
        return ""

    def add_child(self, name: str, display_name: str, shape: Shape) -> "Area":
        """Make the area within this one; it shares what holds for the whole."""
        return Area(
            name=name,
            display_name=display_name,
            level=self.level + 1,
            parent=self.name,
            latitude=shape.latitude,
            longitude=shape.longitude,
            time_zone=self.time_zone,
            emergency_number=self.emergency_number,
            boundary=shape.boundary,
        )

    def redraw(self, display_name: str, shape: Shape) -> None:
        """Take a name and a shape; the point goes with the boundary, and stays with the same one."""
        self.display_name = display_name
        if shape.boundary != self.boundary:
            self.boundary, self.latitude, self.longitude = shape.boundary, shape.latitude, shape.longitude

    def forget_boundary(self) -> bool:
        """Tell whether there was one."""
        known, self.boundary = self.boundary is not None, None
        return known


class Agency(Versioned, Model):
    """An organisation that answers; `parent` is asked when it does not."""

    __tablename__ = "agencies"

    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    parent: Mapped[str | None] = mapped_column(ForeignKey("agencies.name"))
    numbers: Mapped[list[PhoneNumber]] = mapped_column(JSON)
    sip_uri: Mapped[str] = mapped_column(default="", server_default="")
    # The contract's AlertPolicy in its JSON: what alerts reads, the directory keeps.
    alert_policy: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    assured_by: Mapped[str]
    assured_time: Mapped[datetime | None] = mapped_column(UtcTime)

    def find_faults(self) -> Iterator[Fault]:
        """The rules that an agency must keep by itself."""
        yield from _find_fault_of_name(self.display_name)
        yield from _find_fault_of_assurance(self)
        yield from _find_faults_of_policy(self.alert_policy or {})


class Hotline(Versioned, Model):
    """A number for everybody in `area`, or in the whole country."""

    __tablename__ = "hotlines"

    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    categories: Mapped[list[int]] = mapped_column(JSON)
    numbers: Mapped[list[PhoneNumber]] = mapped_column(JSON)
    area: Mapped[str | None] = mapped_column(ForeignKey("areas.name"))
    assured_by: Mapped[str]
    assured_time: Mapped[datetime | None] = mapped_column(UtcTime)

    def find_faults(self) -> Iterator[Fault]:
        """The rules that a hotline must keep by itself."""
        yield from _find_fault_of_name(self.display_name)
        yield from _find_fault_of_assurance(self)
        if not self.categories:
            yield "categories", "must name at least one"
        if not self.numbers:
            yield "numbers", "must name at least one"


class Facility(Versioned, Model):
    """A place where help is, or the telephone of one that has no place; `source` is the import that brings it."""

    __tablename__ = "facilities"

    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    categories: Mapped[list[int]] = mapped_column(JSON)
    agency: Mapped[str | None] = mapped_column(ForeignKey("agencies.name"), index=True)
    area: Mapped[str] = mapped_column(ForeignKey("areas.name"), index=True)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    address: Mapped[str] = mapped_column(default="")
    numbers: Mapped[list[PhoneNumber]] = mapped_column(JSON)
    opening_hours: Mapped[str] = mapped_column(default="")
    languages: Mapped[list[str]] = mapped_column(JSON)
    wheelchair: Mapped[int] = mapped_column(default=0)
    status: Mapped[int] = mapped_column(default=Status.ACTIVE)
    alert_text: Mapped[str] = mapped_column(default="")
    assured_by: Mapped[str] = mapped_column(default=UNCONFIRMED)
    assured_time: Mapped[datetime | None] = mapped_column(UtcTime)
    source: Mapped[str] = mapped_column(default="")

    def find_faults(self) -> Iterator[Fault]:
        """The rules that a facility must keep by itself."""
        yield from _find_fault_of_name(self.display_name)
        yield from _find_fault_of_assurance(self)
        if not self.categories:
            yield "categories", "must name at least one"
        if self.opening_hours and (fault := find_fault_of_hours(self.opening_hours)):
            yield "opening_hours", fault
        if Category.SHELTER_INTAKE in self.categories:
            # Whoever looks for the people in a safe house would look here first.
            if self.latitude is not None:
                yield "point", "is never given for a shelter's intake"
            if self.address:
                yield "address", "is never given for a shelter's intake"
        if self.latitude is None and not self.numbers:
            yield "numbers", "must name at least one where there is no point"

    def copy(self) -> "Facility":
        """A new one of the same content: an operation that is run again must not meet an entity of its first run."""
        return Facility(**{column: getattr(self, column) for column in self.__table__.columns.keys()})  # noqa: SIM118  # a column collection iterates over columns

    def take_over(self, other: "Facility", columns: Iterable[str]) -> None:
        """Become as another one in these columns."""
        for column in columns:
            setattr(self, column, getattr(other, column))

    def keep_by_hand(self, fields: AbstractSet[str]) -> None:
        """Note that `fields` were changed by hand: imports leave the entry alone from now on, unless those are none of theirs."""
        if fields - _NOT_IMPORTED:
            self.source = ""


class Coverage(Model):
    """Which agency answers for a category in an area and everything within it, unless an area within names another."""

    __tablename__ = "coverage"

    area: Mapped[str] = mapped_column(ForeignKey("areas.name"), primary_key=True)
    category: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    agency: Mapped[str] = mapped_column(ForeignKey("agencies.name"))

    @property
    def name(self) -> str:
        """What the history calls it."""
        return name_coverage(self.area, self.category)


class Edition(Model):
    """The one row that is new whenever anything else is; empty where nothing has been put in yet."""

    __tablename__ = "edition"

    edition: Mapped[str] = mapped_column(primary_key=True)


Entry: TypeAlias = Area | Agency | Hotline | Facility | Coverage


class Contents(NamedTuple):
    """Everything in the directory, parents before their children."""

    areas: Sequence[Area]
    agencies: Sequence[Agency]
    hotlines: Sequence[Hotline]
    coverage: Sequence[Coverage]
    facilities: Sequence[Facility] = ()


def name_coverage(area: str, category: int) -> str:
    """Such as `coverage/31.71.POLICE`."""
    return f"coverage/{area.removeprefix('areas/')}.{Category(category).name}"


def _find_fault_of_name(text: str) -> Iterator[Fault]:
    if not text.strip() or not text.isprintable():
        yield "display_name", "must be text in one line"


def _find_fault_of_assurance(entry: Agency | Hotline | Facility) -> Iterator[Fault]:
    if (entry.assured_time is None) != (entry.assured_by == UNCONFIRMED):
        yield "assured_time", "goes with assured_by: both, or neither"


def _find_faults_of_policy(policy: dict[str, Any]) -> Iterator[Fault]:
    seconds = {step: policy.get(json_name(step), usual) for step, usual in _STEPS}
    for earlier, later in pairwise(seconds):
        if seconds[later] < seconds[earlier]:
            absent = "" if json_name(later) in policy else ", which is the default"
            yield f"alert_policy.{later}", f"{seconds[later]}{absent}, may not be before {json_name(earlier)}, {seconds[earlier]}"
    known = set[tuple[str, str]]()
    for place, limit in enumerate(policy.get("limits", ())):
        path, kind = f"alert_policy.limits[{place}]", (limit.get("kind", ""), limit["state"])
        if limit["alertSeconds"] < limit["warnSeconds"]:
            yield f"{path}.alert_seconds", "may not be before warnSeconds"
        if kind in known:
            yield path, "is of the same kind and state as one before it"
        known.add(kind)
