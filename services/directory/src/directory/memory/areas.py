"""The areas, and which of them are at a place."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import shapely
from shapely import MultiPolygon, Polygon

from chassis.geo import GAP_METERS, METERS_PER_DEGREE, AreaIndex, Place
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.snapshot_pb2 import Snapshot

# Some thousand villages, as the largest provinces have; to unite them takes seconds.
_MAX_VERTICES = 1_000_000


class AreaRecord(NamedTuple):
    """An area; `wire` is its record in the snapshot, boundary and all."""

    area: Area
    boundary: MultiPolygon | None
    wire: bytes


class Neighbor(NamedTuple):
    """An area beyond a border: it and those that hold it, the smallest first, and how far its boundary is."""

    areas: Sequence[Area]
    meters: float


def read_areas(records: Iterable[Snapshot.AreaRecord]) -> dict[str, AreaRecord]:
    """By name. Raises ValueError and shapely's errors for a boundary that is none."""
    found = list(records)
    boundaries = shapely.from_wkb([each.boundary or None for each in found])
    if any(each is not None and not isinstance(each, MultiPolygon) for each in boundaries):
        message = "a boundary is no MultiPolygon"
        raise ValueError(message)
    return {
        each.area.name: AreaRecord(each.area, boundary, each.SerializeToString(deterministic=True))
        for each, boundary in zip(found, boundaries, strict=True)
    }


class Areas:
    """`records` are in the order of names, parents before their children. `former` lends its index where no place has moved."""

    def __init__(self, records: Mapping[str, AreaRecord], former: "Areas | None" = None) -> None:
        self.records = records
        self.by_name: dict[str, Area] = {name: record.area for name, record in records.items()}
        self._children: defaultdict[str, list[str]] = defaultdict(list)
        for name, area in self.by_name.items():
            self._children[area.parent].append(name)
        if former and [*map(_outline, records.values())] == [*map(_outline, former.records.values())]:
            self._index, self._unions = former._index, former._unions  # noqa: SLF001  # of its own kind
        else:
            self._index, self._unions = AreaIndex(self._list_places()), dict[str, MultiPolygon | None]()

    def find(self, latitude: float, longitude: float) -> tuple[Sequence[Area], bool]:
        """The areas at a point, the smallest first, and whether the smallest one's boundary holds it."""
        found = self._index.find(latitude, longitude)
        return (self.climb(found[0]), found[1]) if found else ([], False)

    def find_with_neighbors(self, latitude: float, longitude: float, meters: float) -> tuple[Sequence[Area], bool, Sequence[Neighbor]]:
        """As find; and the smallest areas beyond a border within `meters`, the nearest first."""
        found, near = self._index.find_with_near(latitude, longitude, meters)
        if found is None:
            return [], False, []
        areas = self.climb(found[0])
        own = {area.name for area in areas}
        chains = [(self.climb(name), away) for name, away in near if name not in own]
        holding = {area.name for chain, _ in chains for area in chain[1:]}
        return areas, found[1], [Neighbor(chain, away) for chain, away in chains if chain[0].name not in holding]

    def climb(self, name: str) -> Sequence[Area]:
        """The area and those that hold it, the smallest first."""
        chain: list[Area] = []
        while name:
            area = self.by_name[name]
            chain.append(area)
            name = area.parent
        return chain

    def list_within(self, name: str) -> Sequence[Area]:
        """Those directly within an area, by name."""
        return [self.by_name[child] for child in self._children.get(name, ())]

    def find_boundary(self, name: str) -> MultiPolygon | None:
        """Its own, else what the areas within it make together; None where nothing is known, or too much to put together."""
        own = self.records[name].boundary
        if own is not None:
            return own
        if name not in self._unions:
            parts = [part for child in self._children.get(name, ()) if (part := self.find_boundary(child)) is not None]
            drawn = 0 < shapely.count_coordinates(parts) <= _MAX_VERTICES
            self._unions[name] = _unite(parts) if drawn else None
        return self._unions[name]

    def _list_places(self) -> Iterable[Place]:
        """Whatever has a boundary, and of the rest the smallest areas alone: the larger ones' points say less."""
        for name, record in self.records.items():
            if record.boundary is not None or name not in self._children:
                yield Place(name, record.boundary, (record.area.point.longitude, record.area.point.latitude))


def _outline(record: AreaRecord) -> tuple[object, ...]:
    """What the index knows of an area."""
    area = record.area
    return area.name, record.boundary, area.point.latitude, area.point.longitude, area.parent


def _unite(parts: Sequence[MultiPolygon]) -> MultiPolygon:
    """Without the slivers between boundaries that were drawn apart: a point in one of those belongs to the nearest area, too."""
    whole = shapely.union_all(parts)
    half_gap = GAP_METERS / 2 / METERS_PER_DEGREE
    polygons: list[Polygon] = []
    for part in shapely.get_parts(whole):
        assert isinstance(part, Polygon)
        holes = [ring for ring in part.interiors if not Polygon(ring).buffer(-half_gap).is_empty]
        polygons.append(Polygon(part.exterior, holes))
    return MultiPolygon(polygons)
