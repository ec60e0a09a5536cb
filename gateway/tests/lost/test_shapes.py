"""Shapes become points; what is no shape of the profile is refused."""

import math
from contextlib import suppress

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.adapters.lost.errors import LocationInvalid, LostError, SrsInvalid
from gateway.adapters.lost.shapes import read_point

METER = 'uom="urn:ogc:def:uom:EPSG::9001"'
DEGREE = 'uom="urn:ogc:def:uom:EPSG::9102"'
RADIAN = 'uom="urn:ogc:def:uom:EPSG::9101"'
# A horseshoe open to the north, whose middle is outside.
HORSESHOE = "0 0  0 3  3 3  3 2  1 2  1 1  3 1  3 0  0 0"


def read(shape: str) -> tuple[float, float]:
    wrapped = f'<x xmlns:gml="http://www.opengis.net/gml" xmlns:gs="http://www.opengis.net/pidflo/1.0">{shape}</x>'
    point = read_point(etree.fromstring(wrapped)[0])
    return point.latitude, point.longitude


def write(name: str, content: str, srs: str = "urn:ogc:def:crs:EPSG::4326") -> str:
    return f'<{name} srsName="{srs}">{content}</{name}>'


def write_ring(positions: str, more: str = "") -> str:
    ring = f"<gml:exterior><gml:LinearRing>{positions}</gml:LinearRing></gml:exterior>"
    return write("gml:Polygon", ring + more)


def write_band(inner: str, outer: str, start: str, opening: str, middle: str = "-43.5723 153.21760", unit: str = DEGREE) -> str:
    return write(
        "gs:ArcBand",
        f"<gml:pos>{middle}</gml:pos><gs:innerRadius {METER}> {inner} </gs:innerRadius><gs:outerRadius {METER}> {outer} "
        f"</gs:outerRadius><gs:startAngle {unit}>{start}</gs:startAngle><gs:openingAngle {unit}>{opening}</gs:openingAngle>",
    )


def write_circle(radius: str = "850.24", unit: str = METER) -> str:
    return write("gs:Circle", f"<gml:pos>42.5463 -73.2512</gml:pos><gs:radius {unit}>{radius}</gs:radius>")


def write_ellipse(major: str = "1275") -> str:
    return write(
        "gs:Ellipse",
        f"<gml:pos>42.5463 -73.2512</gml:pos><gs:semiMajorAxis {METER}>{major}</gs:semiMajorAxis><gs:semiMinorAxis {METER}>670"
        f"</gs:semiMinorAxis><gs:orientation {DEGREE}>43.2</gs:orientation>",
    )


@pytest.mark.parametrize("shape", [write_circle(), write_ellipse(), write("gml:Point", "<gml:pos>42.5463 -73.2512</gml:pos>")])
def test_a_point_a_circle_and_an_ellipse_are_where_their_middle_is(shape: str) -> None:
    assert read(shape) == (42.5463, -73.2512)


@pytest.mark.parametrize(
    ("srs", "position"),
    [
        ("urn:ogc:def:crs:EPSG::4326", "-6.1754 106.8272"),
        ("urn:ogc:def:crs:EPSG:6.9:4326", "-6.1754\n\t106.8272"),
        ("urn:ogc:def:crs:EPSG:4326", " -6.1754e0 +106.8272 "),
        ("urn:ogc:def:crs:EPSG::4979", "-6.1754 106.8272 36.6"),
    ],
)
def test_an_altitude_is_passed_over_where_the_system_has_one(srs: str, position: str) -> None:
    assert read(write("gml:Point", f"<gml:pos>{position}</gml:pos>", srs)) == (-6.1754, 106.8272)


def test_an_arc_band_is_half_way_into_its_opening() -> None:
    # Figure 12 of RFC 5491: 3,594 to 4,148 m, from 20 degrees on, 20 wide; so 3,871 m at 30 degrees, here on a plane.
    latitude, longitude = read(write_band("3594", "4148", "20", "20"))
    degree = 40_030_174 / 360
    north, east = (latitude + 43.5723) * degree, (longitude - 153.2176) * degree * math.cos(math.radians(-43.5723 + 0.015))
    assert north == pytest.approx(3871 * math.cos(math.radians(30)), abs=2)
    assert east == pytest.approx(3871 / 2, abs=2)


@pytest.mark.parametrize(
    ("start", "opening", "expected"),
    [("350", "20", (0.1, 0)), ("80", "20", (0, 0.1)), ("90", "180", (-0.1, 0)), ("0", "540", (0, -0.1))],
)
def test_an_opening_is_counted_clockwise_from_north(start: str, opening: str, expected: tuple[float, float]) -> None:
    # A tenth of a degree of a great circle is 11,119.5 m.
    found = read(write_band("11118.5", "11120.5", start, opening, middle="0 0"))
    assert found == pytest.approx(expected, abs=1e-5)


def test_angles_may_be_in_radians() -> None:
    found = read(write_band("11118.5", "11120.5", "0", str(math.pi), middle="0 0", unit=RADIAN))
    assert found == pytest.approx((0, 0.1), abs=1e-5)


def test_an_arc_band_may_cross_the_date_line() -> None:
    latitude, longitude = read(write_band("11118.5", "11120.5", "80", "20", middle="0 179.95"))
    assert (latitude, longitude) == pytest.approx((0, -179.95), abs=1e-5)


def test_an_arc_band_may_end_at_a_pole() -> None:
    latitude, _ = read(write_band("8352051.5", "8352051.5", "0", "0", "14.8883 0"))
    assert latitude == pytest.approx(90)


@pytest.mark.parametrize(
    "ring",
    [
        f"<gml:posList>{HORSESHOE}</gml:posList>",
        "".join(f"<gml:pos>{each}</gml:pos>" for each in HORSESHOE.split("  ")),
    ],
)
def test_a_polygon_is_a_point_within_it_also_where_its_middle_is_not(ring: str) -> None:
    latitude, longitude = read(write_ring(ring))
    polygon = shapely.Polygon([tuple(map(float, each.split())) for each in HORSESHOE.split("  ")])
    assert not polygon.covers(polygon.centroid)
    assert polygon.contains(shapely.Point(latitude, longitude))


@pytest.mark.parametrize(
    "srs", ["", "urn:ogc:def:crs:EPSG::3857", "EPSG:4326", "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::43261"]
)
def test_another_reference_system_is_refused(srs: str) -> None:
    with pytest.raises(SrsInvalid):
        read(write("gml:Point", "<gml:pos>-6.1754 106.8272</gml:pos>", srs))


@pytest.mark.parametrize(
    "shape",
    [
        write("gml:Point", "<gml:pos>106.8272 -6.1754</gml:pos>"),
        write("gml:Point", "<gml:pos>-6.1754 180.1</gml:pos>"),
        write("gml:Point", "<gml:pos>-6.1754</gml:pos>"),
        write("gml:Point", "<gml:pos>-6.1754 106.8272 3</gml:pos>"),
        write("gml:Point", "<gml:pos>-6.1754 106.8272</gml:pos>", "urn:ogc:def:crs:EPSG::4979"),
        write("gml:Point", "<gml:pos>-6.1754, 106.8272</gml:pos>"),
        write("gml:Point", "<gml:pos>nan 106.8272</gml:pos>"),
        write("gml:Point", "<gml:pos>-6.1754 inf</gml:pos>"),
        write("gml:Point", "<gml:pos/>"),
        write("gml:Point", "<gml:pos>0 0</gml:pos><gml:pos>0 0</gml:pos>"),
        write("gml:Point", "<gml:coordinates>0,0</gml:coordinates>"),
        write("gml:LineString", "<gml:posList>0 0 1 1</gml:posList>"),
        write("Point", "<pos>0 0</pos>"),
        write("gs:Sphere", f"<gml:pos>0 0</gml:pos><gs:radius {METER}>1</gs:radius>"),
        write("gs:Circle", "<gml:pos>0 0</gml:pos>"),
        write_circle("-1"),
        write_circle("far"),
        write_circle("inf"),
        write_circle("1", 'uom="m"'),
        write_circle("1", ""),
        write_circle("1", DEGREE),
        write_ellipse("-1"),
        write_band("2", "1", "0", "0"),
        write_band("0", "1e308", "0", "0"),
        write_band("0", "1", "1e308", "1e308", unit=RADIAN),
        write_ring(""),
        write_ring("<gml:posList>0 0 0 1 1 1</gml:posList>"),
        write_ring("<gml:posList>0 0 0 1 1 1 1 0</gml:posList>"),
        write_ring("<gml:posList>0 0 1 1 1 0 0 1 0 0</gml:posList>"),
        write_ring("<gml:posList>0 0 0 1 0 2 0 0</gml:posList>"),
        write_ring(f"<gml:posList>{HORSESHOE}</gml:posList>", "<gml:interior/>"),
        write("gml:Polygon", ""),
    ],
)
def test_a_broken_shape_is_refused(shape: str) -> None:
    with pytest.raises(LocationInvalid):
        read(shape)


def test_no_error_repeats_a_position() -> None:
    with pytest.raises(LostError) as refused:
        read(write("gml:Point", "<gml:pos>106.8272 -6.1754</gml:pos>"))
    assert "6.1754" not in refused.value.text


POSITIONS = st.tuples(st.floats(-90, 90), st.floats(-180, 180)) | st.tuples(st.integers(-3, 3), st.integers(-3, 3))


@given(st.lists(POSITIONS, min_size=3, max_size=6))
def test_any_polygon_is_a_place_on_earth_or_refused(corners: list[tuple[float, float]]) -> None:
    positions = " ".join(f"{latitude} {longitude}" for latitude, longitude in [*corners, corners[0]])
    with suppress(LocationInvalid):
        latitude, longitude = read(write_ring(f"<gml:posList>{positions}</gml:posList>"))
        assert abs(latitude) <= 90 and abs(longitude) <= 180


@given(st.tuples(*[st.floats(0, 1e9) | st.floats()] * 4), POSITIONS)
def test_any_arc_band_is_a_place_on_earth_or_refused(measures: tuple[float, ...], middle: tuple[float, float]) -> None:
    inner, outer, start, opening = map(str, measures)
    with suppress(LocationInvalid):
        latitude, longitude = read(write_band(inner, outer, start, opening, f"{middle[0]} {middle[1]}"))
        assert abs(latitude) <= 90 and abs(longitude) <= 180
