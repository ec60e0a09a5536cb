"""Polygons and circles on the globe, as public warnings have them: corners and middles are (latitude, longitude), WGS 84."""

import math
from collections.abc import Sequence
from itertools import pairwise

import h3
import shapely
from shapely import Point, Polygon
from shapely.geometry.base import BaseGeometry

from chassis.geo import METERS_PER_DEGREE

Corners = Sequence[Sequence[float]]
# Latitude, longitude and the radius in metres.
Circle = Sequence[float]
# South, west, north, east, in degrees.
Box = tuple[float, float, float, float]

_LEAST_CORNERS = 3
# A centimetre, which is as exact as a warning is told.
_DIGITS = 7
# In square degrees, which is about a square metre: a line has an area, too, by rounding.
_LEAST_AREA = 1e-10
_HALF_TURN, _QUARTER_TURN = 180.0, 90.0
# Of the polygon around a circle, which is too large by 0.1 % at most.
_SIDES = 64


def find_polygon_fault(corners: Corners) -> str:
    """What is wrong with the ring of these corners, the last of which is joined with the first; empty where nothing is."""
    corners = [[round(degrees, _DIGITS) for degrees in each] for each in corners]
    if len({tuple(each) for each in corners}) < _LEAST_CORNERS:
        return "needs three different corners"
    if any(abs(one[1] - other[1]) > _HALF_TURN for one, other in pairwise([*corners, corners[0]])):
        return "crosses the date line: give a polygon on each side of it"
    polygon = _to_polygon(corners)
    return "" if polygon.is_valid and polygon.area > _LEAST_AREA else "crosses or touches itself"


def find_circle_fault(circle: Circle) -> str:
    """As for a polygon."""
    latitude, longitude, radius = circle
    reach = radius / METERS_PER_DEGREE
    if abs(latitude) + reach >= _QUARTER_TURN:
        return "holds a pole"
    # The circle's easternmost point is nearer to the pole than its middle.
    east = math.degrees(math.asin(math.sin(math.radians(reach)) / math.cos(math.radians(latitude))))
    return "crosses the date line" if abs(longitude) + east > _HALF_TURN else ""


def to_geometry(polygons: Sequence[Corners], circles: Sequence[Circle]) -> BaseGeometry:
    """All of them together, longitude before latitude; empty where there are none."""
    return shapely.union_all([*map(_to_polygon, polygons), *map(_surround, circles)])


def find_box(polygons: Sequence[Corners], circles: Sequence[Circle]) -> Box | None:
    """The box that holds all of them."""
    if not polygons and not circles:
        return None
    west, south, east, north = to_geometry(polygons, circles).bounds
    return south, west, north, east


def hold(polygons: Sequence[Corners], circles: Sequence[Circle], latitude: float, longitude: float) -> bool:
    """Whether any of them holds the place; its line is part of it."""
    place = Point(longitude, latitude)
    if any(_to_polygon(each).covers(place) for each in polygons):
        return True
    return any(h3.great_circle_distance((latitude, longitude), (each[0], each[1]), "m") <= each[2] for each in circles)


def _to_polygon(corners: Corners) -> Polygon:
    return Polygon([(longitude, latitude) for latitude, longitude in corners])


def _surround(circle: Circle) -> Polygon:
    """The polygon whose sides touch the circle."""
    latitude, longitude = math.radians(circle[0]), math.radians(circle[1])
    reach = math.radians(circle[2] / METERS_PER_DEGREE) / math.cos(math.pi / _SIDES)
    corners: list[tuple[float, float]] = []
    for side in range(_SIDES):
        course = 2 * math.pi * side / _SIDES
        north = math.asin(math.sin(latitude) * math.cos(reach) + math.cos(latitude) * math.sin(reach) * math.cos(course))
        across = math.cos(reach) - math.sin(latitude) * math.sin(north)
        east = longitude + math.atan2(math.sin(course) * math.sin(reach) * math.cos(latitude), across)
        corners.append((math.degrees(north), math.degrees(east)))
    return _to_polygon(corners)
