"""Areas, agencies and hotlines, and who answers where."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, TypedDict

from sqlalchemy import JSON, ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.clock import UtcTime


class Level(IntEnum):
    """How large an area is; the numbers are the contract's, as those of categories and uses are."""

    PROVINCE = 1
    REGENCY = 2
    DISTRICT = 3
    VILLAGE = 4


class PhoneNumber(TypedDict):
    """As it stands in the database's JSON."""

    number: str
    use: int


class Shape(NamedTuple):
    """A boundary, a MultiPolygon in well-known binary with longitude before latitude, and a point within it."""

    boundary: bytes
    latitude: float
    longitude: float


class Model(DeclarativeBase):
    """The tables of the directory."""

    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"})


class Area(Model):
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

    def holds(self, name: str) -> bool:
        """Tell whether the area of this name is this one or lies within it."""
        return name == self.name or name.startswith(f"{self.name}.")

    def find_fault_of_child(self, name: str, shape: Shape) -> str:
        """Why no area of this name and shape can lie directly within this one; empty where it can."""
        if self.level == Level.VILLAGE:
            return f"{self.name} is a village, which holds no areas"
        if name == self.name or not self.holds(name):
            return f"its code does not begin with that of {self.name}"
        return self.find_fault_of_place(shape)

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

    def redraw(self, display_name: str, shape: Shape) -> bool:
        """Take a name and a shape; tell whether that changed anything."""
        if (display_name, shape.boundary) == (self.display_name, self.boundary):
            return False
        self.display_name, self.boundary = display_name, shape.boundary
        self.latitude, self.longitude = shape.latitude, shape.longitude
        return True

    def forget_boundary(self) -> bool:
        """Tell whether there was one."""
        known, self.boundary = self.boundary is not None, None
        return known


class Agency(Model):
    """An organisation that answers; `parent` is asked when it does not."""

    __tablename__ = "agencies"

    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    parent: Mapped[str | None] = mapped_column(ForeignKey("agencies.name"))
    numbers: Mapped[list[PhoneNumber]] = mapped_column(JSON)
    assured_by: Mapped[str]
    assured_time: Mapped[datetime | None] = mapped_column(UtcTime)


class Hotline(Model):
    """A number for everybody in `area`, or in the whole country."""

    __tablename__ = "hotlines"

    name: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    categories: Mapped[list[int]] = mapped_column(JSON)
    numbers: Mapped[list[PhoneNumber]] = mapped_column(JSON)
    area: Mapped[str | None] = mapped_column(ForeignKey("areas.name"))
    assured_by: Mapped[str]
    assured_time: Mapped[datetime | None] = mapped_column(UtcTime)


class Coverage(Model):
    """Which agency answers for a category in an area and everything within it, unless an area within names another."""

    __tablename__ = "coverage"

    area: Mapped[str] = mapped_column(ForeignKey("areas.name"), primary_key=True)
    category: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    agency: Mapped[str] = mapped_column(ForeignKey("agencies.name"))


class Edition(Model):
    """The one row that is new whenever anything else is; empty where nothing has been put in yet."""

    __tablename__ = "edition"

    edition: Mapped[str] = mapped_column(primary_key=True)


class Contents(NamedTuple):
    """Everything in the directory, parents before their children."""

    areas: Sequence[Area]
    agencies: Sequence[Agency]
    hotlines: Sequence[Hotline]
    coverage: Sequence[Coverage]
