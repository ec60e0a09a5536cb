"""The facilities, and which of them are near a place."""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from chassis.geo import METERS_PER_DEGREE
from directory.memory.encoding import embed
from siaga.directory.v1.agency_pb2 import Agency, Category, Hotline
from siaga.directory.v1.directory_service_pb2 import Contact
from siaga.directory.v1.facility_pb2 import Facility

_EARTH_METERS = METERS_PER_DEGREE * 180 / math.pi
# How many times more are looked for when those found were not enough.
_GROWTH = 4
_NEVER = -(2**62)
_ALL = 0


class FacilityRecord(NamedTuple):
    """A facility; `contact` is what SearchNearby says of it that depends on neither time nor place."""

    facility: Facility
    contact: bytes
    assured_seconds: int


def read_facilities(facilities: Iterable[Facility]) -> dict[str, FacilityRecord]:
    """By name."""
    return {
        each.name: FacilityRecord(each, write_contact(each).SerializeToString(deterministic=True), read_assured_seconds(each))
        for each in facilities
    }


def read_assured_seconds(entry: Agency | Hotline | Facility) -> int:
    """When it was assured, of the Unix epoch; before all time where it was not."""
    return entry.assured_time.seconds if entry.HasField("assured_time") else _NEVER


def write_contact(facility: Facility) -> Contact:
    """What depends on neither time nor place."""
    return Contact(
        name=facility.name,
        display_name=facility.display_name,
        categories=facility.categories,
        numbers=facility.numbers,
        assured_by=facility.assured_by,
        assured_time=facility.assured_time if facility.HasField("assured_time") else None,
        point=facility.point if facility.HasField("point") else None,
        address=facility.address,
        opening_hours=facility.opening_hours,
        languages=facility.languages,
        wheelchair=facility.wheelchair,
        status=facility.status,
        alert_text=facility.alert_text,
    )


class Facilities:
    """`records` are in the order of names. Distances are in metres along a great circle of a sphere (mean radius of the IUGG)."""

    def __init__(self, records: Mapping[str, FacilityRecord]) -> None:
        self.records = records
        self.in_order = [record.facility for record in records.values()]
        self.names_by_uid = {record.facility.uid: name for name, record in records.items()}
        self._names: list[str] = []
        self._without_place: defaultdict[str, list[FacilityRecord]] = defaultdict(list)
        members: defaultdict[int, list[int]] = defaultdict(list)
        points: list[tuple[float, float]] = []
        for name, record in records.items():
            facility = record.facility
            if facility.status == Facility.CLOSED:
                continue
            if not facility.HasField("point"):
                self._without_place[facility.area].append(record)
                continue
            for category in (_ALL, *facility.categories):
                members[category].append(len(points))
            points.append((facility.point.latitude, facility.point.longitude))
            self._names.append(name)
        places = _project(np.array(points, dtype=float).reshape(-1, 2))
        # On the sphere's chords the nearest is the nearest along a great circle, too, also across the date line and at the poles.
        self._trees = {
            category: (KDTree(places[indexes], leafsize=16), np.array(indexes)) for category, indexes in members.items() if indexes
        }

    def find_without_place(self, areas: Iterable[str], categories: frozenset[int]) -> Iterator[FacilityRecord]:
        """Those that serve one of these areas by telephone alone, and have one of the categories, or any."""
        for area in areas:
            for record in self._without_place.get(area, ()):
                if not categories or not categories.isdisjoint(record.facility.categories):
                    yield record

    def walk_near(
        self, latitude: float, longitude: float, meters: float, categories: Iterable["Category.ValueType"] = (), first: int = 64
    ) -> Iterator[tuple[float, FacilityRecord]]:
        """The facilities within `meters` with one of the categories, or any: the nearest first, of those at one distance (to the
        millimetre) the one whose name comes first. Most callers take no more than `first`.
        """
        wanted = set(categories)
        trees = [tree for category in wanted or {_ALL} if (tree := self._trees.get(category))]
        at = _project_one(latitude, longitude)
        walks = [self._walk(tree, indexes, at, meters, first) for tree, indexes in trees]
        seen: set[str] = set()
        for away, name in walks[0] if len(walks) == 1 else heapq.merge(*walks):
            if name not in seen:
                if len(walks) > 1:
                    seen.add(name)
                yield away, self.records[name]

    def _walk(
        self, tree: KDTree, indexes: NDArray[np.int64], at: tuple[float, float, float], meters: float, first: int
    ) -> Iterator[tuple[float, str]]:
        # A chord is never longer than twice the radius; a little more, for the rounding.
        reach = 2 * math.sin(min(meters / _EARTH_METERS, math.pi) / 2) * (1 + 1e-12)
        told = -1.0
        for turn in count():
            wanted = min(first * _GROWTH**turn, len(indexes))
            chords, places = map(np.ravel, tree.query(at, k=wanted, distance_upper_bound=reach))
            found = np.isfinite(chords)
            enough = not found[-1] or wanted == len(indexes)
            away: list[float] = np.round(2 * _EARTH_METERS * np.arcsin(np.minimum(chords[found] / 2, 1)), 3).tolist()
            rows = sorted(zip(away, (self._names[each] for each in indexes[places[found]]), strict=True))
            # The last ones may have others at their distance that were not found yet.
            limit = math.inf if enough else rows[-1][0]
            for each, name in rows:
                if told < each < limit and each <= meters:
                    yield each, name
            if enough:
                return
            told = max((each for each, _ in rows if each < limit), default=told)


def embed_all(facilities: Iterable[Facility]) -> Iterator[bytes]:
    """Each as a field 1 of a message."""
    for facility in facilities:
        yield embed(1, facility.SerializeToString(deterministic=True))


def _project_one(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A point on the unit sphere; as _project, which costs ten times as much for a single one."""
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


def _project(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (latitude, longitude) on the unit sphere."""
    latitude, longitude = np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
    return np.column_stack((np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)))
