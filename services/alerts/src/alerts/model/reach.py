"""Which areas a warning reaches, and whether that is more than one person may decide."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from alerts.model.shapes import Circle, Corners, to_geometry
from chassis.geo import AreaIndex

# The level of cities and regencies; the smaller the number, the larger the area.
_CITY = 2
_UNKNOWN_ZONE = "UTC"


class Region(NamedTuple):
    """An area of the directory. `level` is the contract's number, `bounded` whether its boundary is known."""

    name: str
    parent: str
    level: int
    time_zone: str
    bounded: bool


class Reach(NamedTuple):
    """`areas` are those that are named and those that a shape meets; `wide` calls for a second person."""

    areas: list[str]
    wide: bool
    time_zone: str


class Regions:
    """The directory's areas as a tree, with the index that knows where they are."""

    def __init__(self, regions: Iterable[Region], index: AreaIndex) -> None:
        self._regions = {each.name: each for each in regions}
        self._index = index
        self._children: dict[str, list[str]] = {}
        for each in self._regions.values():
            self._children.setdefault(each.parent, []).append(each.name)

    def find_unknown(self, areas: Iterable[str]) -> str | None:
        """The first that the directory does not have; without a directory none is known to be wrong."""
        return next((each for each in areas if self._regions and each not in self._regions), None)

    def find_within(self, area: str) -> Iterator[str]:
        """The area and everything within it."""
        yield area
        for child in self._children.get(area, ()):
            yield from self.find_within(child)

    def find_below(self, area: str) -> list[str]:
        """Directly below it; below none, the largest areas that there are."""
        return self._children.get(area, [])

    def find_around(self, area: str) -> Iterator[str]:
        """The area and everything that it lies in."""
        yield area
        if area in self._regions and self._regions[area].parent:
            yield from self.find_around(self._regions[area].parent)

    def find_beside(self, area: str) -> list[str]:
        """What it borders on, and itself; nothing where its boundary is not known."""
        return self._index.find_beside(area)

    def find_at(self, latitude: float, longitude: float) -> list[str]:
        """Every area that holds the place, or is the nearest to it where none does."""
        found = self._index.find(latitude, longitude)
        return list(self.find_around(found[0])) if found else []

    def measure(self, areas: Sequence[str], polygons: Sequence[Corners], circles: Sequence[Circle]) -> Reach:
        """Wide is what holds a whole city, or meets several, or none that is known. So is what names all parts of a city, and
        everything as long as no area is known.
        """
        met = self._find_met(polygons, circles) if polygons or circles else {}
        named = {leaf for area in areas for leaf in self._find_leaves(area)}
        cities = {self._find_city(each) for each in (*areas, *met)}
        city = cities.pop() if len(cities) == 1 else None
        whole = named | {area for area, held in met.items() if held}
        wide = city is None or whole.issuperset(self._find_leaves(city))
        reached = [*areas, *sorted(set(met).difference(areas))]
        zones = (self._regions[each].time_zone for each in (*reached, *self._regions) if each in self._regions)
        return Reach(reached, wide, next(filter(None, zones), _UNKNOWN_ZONE))

    def _find_met(self, polygons: Sequence[Corners], circles: Sequence[Circle]) -> dict[str, bool]:
        shape = to_geometry(polygons, circles)
        met = self._index.find_met(shape)
        # Where boundaries are not known, a shape may lie between the points of areas: it is in those nearest to its corners.
        parts = getattr(shape, "geoms", [shape])
        for longitude, latitude in (corner for part in parts for corner in part.exterior.coords):
            found = self._index.find(latitude, longitude)
            if found and not self._regions[found[0]].bounded:
                met.setdefault(found[0], False)
        return met

    def _find_leaves(self, area: str) -> set[str]:
        return {each for each in self.find_within(area) if each not in self._children}

    def _find_city(self, area: str) -> str | None:
        """None for what is larger than a city, or unknown."""
        return next((each for each in self.find_around(area) if each in self._regions and self._regions[each].level == _CITY), None)
