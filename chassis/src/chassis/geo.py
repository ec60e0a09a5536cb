"""Which of many areas holds a point, from memory."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import MultiPolygon, Point, STRtree
from shapely.ops import nearest_points

# Between boundaries drawn apart lie slivers; the widest in Jakarta's are well below this.
GAP_METERS = 500.0
# How far an area without a boundary reaches from its point: nearly all of Jakarta's islands lie within 16 km of it, Bogor is 27 km away.
REACH_METERS = 20_000.0
# The mean radius of the earth (IUGG), and so the metres in a degree of a great circle.
METERS_PER_DEGREE = 6_371_008.8 * math.pi / 180


@dataclass(frozen=True, slots=True)
class Place:
    """An area as the index needs it: its boundary where that is known, else a point within it, as (longitude, latitude)."""

    name: str
    boundary: MultiPolygon | None
    point: tuple[float, float]


class AreaIndex:
    """Finds the smallest area at a point. Distances are in metres, exact to about 0.5 % up to some tens of kilometres near the
    equator; the nearest of two boundaries at nearly one distance may be mistaken far from it.

    A point within no boundary belongs to the area whose boundary is nearest, if that is within `gap_meters`; where an
    area has no boundary, to the one whose point is nearest, if that is within `reach_meters`.
    """

    def __init__(self, places: Iterable[Place], gap_meters: float = GAP_METERS, reach_meters: float = REACH_METERS) -> None:
        self._gap, self._reach = gap_meters, reach_meters
        bounded: list[tuple[str, MultiPolygon]] = []
        pointed: list[Place] = []
        for place in places:
            if place.boundary is None:
                pointed.append(place)
            else:
                bounded.append((place.name, place.boundary))
        # Where boundaries overlap or lie within each other, the smaller one comes first.
        bounded.sort(key=lambda each: (each[1].area, each[0]))
        self._names = [name for name, _ in bounded]
        self._boundaries = [boundary for _, boundary in bounded]
        shapely.prepare(self._boundaries)
        self._tree = STRtree(self._boundaries)
        self._point_names = [place.name for place in pointed]
        self._points = np.array([place.point for place in pointed], dtype=float).reshape(-1, 2)

    def find(self, latitude: float, longitude: float) -> tuple[str, bool] | None:
        """The area's name, and whether its boundary holds the point; None where no area is near enough."""
        if not self._names:
            near = self._find_nearest_point(latitude, longitude)
            return (near, False) if near else None
        point = Point(longitude, latitude)
        indexes: list[int] = self._tree.query(point).tolist()
        for index in sorted(indexes):
            if self._boundaries[index].covers(point):
                return self._names[index], True
        near = self._find_nearest_boundary(point) or self._find_nearest_point(latitude, longitude)
        return (near, False) if near else None

    def _find_nearest_boundary(self, point: Point) -> str | None:
        # A degree of longitude is shorter than one of latitude: candidates within the wider of the two are measured.
        stretch = math.cos(math.radians(point.y))
        reach = self._gap / METERS_PER_DEGREE / max(stretch, 0.01)
        best, best_meters = None, self._gap
        indexes: list[int] = self._tree.query(point, predicate="dwithin", distance=reach).tolist()
        for index in sorted(indexes):
            near, _ = nearest_points(self._boundaries[index], point)
            meters = METERS_PER_DEGREE * math.hypot((near.x - point.x) * stretch, near.y - point.y)
            if meters < best_meters:
                best, best_meters = self._names[index], meters
        return best

    def _find_nearest_point(self, latitude: float, longitude: float) -> str | None:
        if not len(self._points):
            return None
        east = (self._points[:, 0] - longitude) * math.cos(math.radians(latitude))
        squares = east**2 + (self._points[:, 1] - latitude) ** 2
        index = int(np.argmin(squares))
        return self._point_names[index] if METERS_PER_DEGREE * math.sqrt(squares[index]) <= self._reach else None
