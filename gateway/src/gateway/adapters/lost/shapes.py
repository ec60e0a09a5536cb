"""Where somebody is, by the shapes of the geodetic-2d profile (RFC 5222, section 12.2; RFC 5491, section 5.2).

Whoever sends a shape is content with an answer for any point of it, so one is taken: the middle, and of an arc band and
a polygon, whose middle may lie outside, a point well within.
"""

import math
import re

import shapely

from chassis.geo import METERS_PER_DEGREE
from gateway.adapters.lost.errors import LocationInvalid, SrsInvalid
from gateway.adapters.lost.names import GML, PIDF_SHAPES, Element
from siaga.type.v1.point_pb2 import Point

# Of a position in each system. The version may be left out with its colon, as in the standard's own figure 15.
NUMBERS = {"4326": 2, "4979": 3}
SYSTEM = re.compile(r"urn:ogc:def:crs:EPSG:(?:[0-9.]*:)?(4326|4979)")
METERS = {"urn:ogc:def:uom:EPSG::9001": 1.0}
DEGREES = {"urn:ogc:def:uom:EPSG::9102": 1.0, "urn:ogc:def:uom:EPSG::9101": 180 / math.pi}
# In metres or degrees; beyond it, sums and sines would be of no use.
MAX_MEASURE = 1e8
# A triangle that ends where it began.
MIN_RING = 4


def read_point(shape: Element | None) -> Point:
    """Take a point of the shape. Altitudes are left out, as the standard allows."""
    if shape is None or (reader := READERS.get(shape.tag)) is None:
        raise LocationInvalid("This is no shape of geodetic-2d: Point, Circle, Ellipse, ArcBand, Polygon.")
    system = SYSTEM.fullmatch(shape.get("srsName", ""))
    if system is None:
        raise SrsInvalid("srsName must be urn:ogc:def:crs:EPSG::4326 or urn:ogc:def:crs:EPSG::4979.")
    latitude, longitude = reader(shape, NUMBERS[system[1]])
    return Point(latitude=latitude, longitude=longitude)


def read_middle(shape: Element, numbers: int) -> tuple[float, float]:
    found = read_positions(shape.findall(f"{GML}pos"), numbers)
    if len(found) != 1:
        raise LocationInvalid("The shape needs one position.")
    return found[0]


def read_circle(shape: Element, numbers: int) -> tuple[float, float]:
    read_measure(shape, "radius", METERS)
    return read_middle(shape, numbers)


def read_ellipse(shape: Element, numbers: int) -> tuple[float, float]:
    read_measure(shape, "semiMajorAxis", METERS)
    read_measure(shape, "semiMinorAxis", METERS)
    read_measure(shape, "orientation", DEGREES)
    return read_middle(shape, numbers)


def read_arc_band(shape: Element, numbers: int) -> tuple[float, float]:
    """Go from the middle half-way into the band, in the direction of the middle of its opening, clockwise from north."""
    inner, outer = read_measure(shape, "innerRadius", METERS), read_measure(shape, "outerRadius", METERS)
    start, opening = read_measure(shape, "startAngle", DEGREES), read_measure(shape, "openingAngle", DEGREES)
    if inner > outer:
        raise LocationInvalid("innerRadius is above outerRadius.")
    latitude, longitude = map(math.radians, read_middle(shape, numbers))
    bearing, way = math.radians(start + opening / 2), math.radians((inner + outer) / 2 / METERS_PER_DEGREE)
    # Along a great circle. At a pole, rounding carries the sine past 1.
    sine = math.sin(latitude) * math.cos(way) + math.cos(latitude) * math.sin(way) * math.cos(bearing)
    end = math.asin(max(-1.0, min(1.0, sine)))
    east = math.atan2(math.sin(bearing) * math.sin(way) * math.cos(latitude), math.cos(way) - math.sin(latitude) * math.sin(end))
    return math.degrees(end), (math.degrees(longitude + east) + 540) % 360 - 180


def read_polygon(shape: Element, numbers: int) -> tuple[float, float]:
    rings = shape.findall(f"{GML}exterior/{GML}LinearRing")
    if len(rings) != 1 or shape.find(f"{GML}interior") is not None:
        raise LocationInvalid("A polygon needs one exterior, a LinearRing, and no interior.")
    positions = read_positions([*rings[0].findall(f"{GML}posList"), *rings[0].findall(f"{GML}pos")], numbers)
    if len(positions) < MIN_RING or positions[0] != positions[-1]:
        raise LocationInvalid("A polygon needs four positions, the last of which is the first again.")
    polygon = shapely.Polygon([(longitude, latitude) for latitude, longitude in positions])
    if not polygon.is_valid:
        raise LocationInvalid("The polygon's sides cross.")
    within = polygon.representative_point()
    return within.y, within.x


def read_positions(elements: list[Element], numbers: int) -> list[tuple[float, float]]:
    """Read latitude before longitude, and pass over the altitude."""
    flat = [read_number(word) for element in elements for word in (element.text or "").split()]
    if len(flat) % numbers:
        raise LocationInvalid(f"A position in this reference system is {numbers} numbers.")
    found = list(zip(flat[::numbers], flat[1::numbers], strict=True))
    if not all(abs(latitude) <= 90 and abs(longitude) <= 180 for latitude, longitude in found):  # noqa: PLR2004  # degrees
        raise LocationInvalid("A latitude is -90 to 90, a longitude -180 to 180, in this order.")
    return found


def read_measure(shape: Element, name: str, units: dict[str, float]) -> float:
    measure = shape.find(f"{PIDF_SHAPES}{name}")
    if measure is None or (unit := units.get(measure.get("uom", ""))) is None:
        raise LocationInvalid(f"{name} is missing, or not in one of the units {', '.join(units)}.")
    value = read_number(measure.text or "") * unit
    if not 0 <= value <= MAX_MEASURE:
        raise LocationInvalid(f"{name} is negative or beyond all measure.")
    return value


def read_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise LocationInvalid("A number cannot be read.") from error
    if not math.isfinite(number):
        raise LocationInvalid("A number is not finite.")
    return number


READERS = {
    f"{GML}Point": read_middle,
    f"{GML}Polygon": read_polygon,
    f"{PIDF_SHAPES}Circle": read_circle,
    f"{PIDF_SHAPES}Ellipse": read_ellipse,
    f"{PIDF_SHAPES}ArcBand": read_arc_band,
}
