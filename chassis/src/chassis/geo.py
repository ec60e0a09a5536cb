"""Which of many areas holds a point, from memory."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import MultiPolygon, Point, STRtree
from shapely.geometry.base import BaseGeometry
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
        sizes = shapely.area([boundary for _, boundary in bounded])
        order = sorted(range(len(bounded)), key=lambda index: (sizes[index], bounded[index][0]))
        self._names = [bounded[index][0] for index in order]
        self._boundaries = [bounded[index][1] for index in order]
        shapely.prepare(self._boundaries)
        self._tree = STRtree(self._boundaries)
        self._point_names = [place.name for place in pointed]
        self._points = np.array([place.point for place in pointed], dtype=float).reshape(-1, 2)

    def find(self, latitude: float, longitude: float) -> tuple[str, bool] | None:
        """The area's name, and whether its boundary holds the point; None where no area is near enough."""
        found, _ = self.find_with_near(latitude, longitude, 0.0)
        return found

    def find_with_near(
        self, latitude: float, longitude: float, meters: float
    ) -> tuple[tuple[str, bool] | None, Sequence[tuple[str, float]]]:
        """As find; and the areas whose boundary is within `meters`, the nearest first, with their distance: 0 where it holds the
        point.
        """
        if not self._names:
            return self._find_nearest_point(latitude, longitude), []
        point = Point(longitude, latitude)
        # A degree of longitude is shorter than one of latitude: what is within the wider of the two is measured.
        stretch = math.cos(math.radians(latitude))
        indexes = self._query(point, meters, stretch)
        holding = [index for index in indexes if self._boundaries[index].covers(point)]
        found = (self._names[holding[0]], True) if holding else None
        near: Sequence[tuple[str, float]] = []
        if meters:
            near = [(self._names[index], 0.0) for index in holding]
            near += self._measure(point, [index for index in indexes if index not in holding], meters, stretch)
        if found is None:
            gap = self._measure(point, self._query(point, self._gap, stretch), self._gap, stretch)
            found = (gap[0][0], False) if gap else self._find_nearest_point(latitude, longitude)
        return found, near

    def find_met(self, shape: BaseGeometry) -> dict[str, bool]:
        """The areas that the shape meets by more than a common border, and whether it holds all of each. An area without a
        boundary is met, and held, where the shape holds its point.
        """
        near = sorted(self._tree.query(shape, predicate="intersects").tolist()) if self._names else []
        met = {self._names[index]: shape.covers(self._boundaries[index]) for index in near if not self._boundaries[index].touches(shape)}
        return met | {name: True for name, point in zip(self._point_names, self._points, strict=True) if shape.covers(Point(point))}

    def find_beside(self, area: str) -> list[str]:
        """The areas whose boundary is within `gap_meters` of this one's, itself among them; none where its boundary is not known."""
        if area not in self._names:
            return []
        boundary = self._boundaries[self._names.index(area)]
        indexes = self._query(boundary, self._gap, math.cos(math.radians(boundary.centroid.y)))
        return [self._names[index] for index in indexes]

    def _query(self, shape: BaseGeometry, meters: float, stretch: float) -> Sequence[int]:
        """The smaller ones first."""
        if not meters:
            return sorted(self._tree.query(shape).tolist())
        reach = meters / METERS_PER_DEGREE / max(stretch, 0.01)
        return sorted(self._tree.query(shape, predicate="dwithin", distance=reach).tolist())

    def _measure(self, point: Point, indexes: Sequence[int], meters: float, stretch: float) -> list[tuple[str, float]]:
        found: list[tuple[float, int]] = []
        for index in indexes:
            near, _ = nearest_points(self._boundaries[index], point)
            away = METERS_PER_DEGREE * math.hypot((near.x - point.x) * stretch, near.y - point.y)
            if away <= meters:
                found.append((away, index))
        # The smaller one of those at one distance comes first.
        return [(self._names[index], away) for away, index in sorted(found)]

    def _find_nearest_point(self, latitude: float, longitude: float) -> tuple[str, bool] | None:
        if not len(self._points):
            return None
        east = (self._points[:, 0] - longitude) * math.cos(math.radians(latitude))
        squares = east**2 + (self._points[:, 1] - latitude) ** 2
        index = int(np.argmin(squares))
        return (self._point_names[index], False) if METERS_PER_DEGREE * math.sqrt(squares[index]) <= self._reach else None
