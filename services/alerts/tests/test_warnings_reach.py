"""Shapes that can be drawn, what they hold, and which areas a warning reaches."""

from typing import Any

import pytest
import shapely
from shapely import MultiPolygon
from warned import (
    ACROSS,
    AREAS,
    CITY,
    DISTRICT,
    EAST,
    FAR,
    ISLAND,
    ISLANDS,
    JAYAPURA,
    OTHER_CITY,
    OTHER_DISTRICT,
    OTHER_ISLAND,
    POINTS,
    PROVINCE,
    SENTANI,
    SQUARES,
    WEST,
)

from alerts.model.reach import Region, Regions
from alerts.model.shapes import Corners, find_box, find_circle_fault, find_polygon_fault, hold, to_geometry
from chassis.geo import AreaIndex, Place

Shape = list[list[float]]


def ring(west: float, south: float, east: float, north: float) -> Shape:
    return [[south, west], [south, east], [north, east], [north, west]]


def make_regions(squares: dict[str, Any] | None = None) -> Regions:
    squares = SQUARES if squares is None else squares
    regions = [Region(name, name.rpartition(".")[0], level, zone, bounded=name in squares) for name, (level, zone) in AREAS.items()]
    parents = {each.parent for each in regions}
    places = [
        Place(each.name, MultiPolygon([squares[each.name]]) if each.name in squares else None, POINTS.get(each.name, (0.0, 0.0))[::-1])
        for each in regions
        if each.name in squares or each.name not in parents
    ]
    return Regions(regions, AreaIndex(places))


class TestAPolygon:
    @pytest.mark.parametrize(
        ("corners", "wrong"),
        [
            (ring(106.80, -6.20, 106.81, -6.19), ""),
            # Either way round, and in any place.
            (ring(106.80, -6.20, 106.81, -6.19)[::-1], ""),
            (ring(-179.9, -16.0, -179.0, -15.0), ""),
            (ring(179.0, -16.0, 179.9, -15.0), ""),
            # A point twice in a row does no harm.
            ([[0, 0], [0, 0], [0, 1], [1, 1]], ""),
            # In the wrong order it is a bow tie.
            ([[0, 0], [1, 1], [0, 1], [1, 0]], "crosses or touches itself"),
            # Out and back on one line, all on one line, and touching itself in a point.
            ([[0, 0], [0, 1], [0, 2]], "crosses or touches itself"),
            ([[-6.17, 106.82], [-6.18, 106.83], [-6.19, 106.84]], "crosses or touches itself"),
            ([[0, 0], [0, 2], [1, 1], [0, 1], [1, 3], [2, 0]], "crosses or touches itself"),
            ([[0, 0], [1, 1], [0, 0]], "needs three different corners"),
            # To a centimetre these are one.
            ([[0, 0], [0, 1e-8], [1e-8, 1e-8], [1e-8, 0]], "needs three different corners"),
            ([[0, 0], [0, 0], [0, 0], [0, 0]], "needs three different corners"),
            (ring(-179.0, -16.0, 179.0, -15.0), "crosses the date line: give a polygon on each side of it"),
            # It is the way back that crosses.
            ([[0, -100], [0, 0], [1, 100]], "crosses the date line: give a polygon on each side of it"),
        ],
    )
    def test_what_cannot_be_drawn_is_told(self, corners: Shape, wrong: str) -> None:
        assert find_polygon_fault(corners) == wrong

    def test_it_holds_its_line_and_nothing_beyond(self) -> None:
        corners = ring(106.80, -6.20, 106.81, -6.19)
        for direction in (corners, corners[::-1]):
            assert hold([direction], [], -6.195, 106.805)
            assert hold([direction], [], -6.20, 106.805)
            assert not hold([direction], [], -6.1899, 106.805)


class TestACircle:
    @pytest.mark.parametrize(
        ("circle", "wrong"),
        [
            ((-6.2, 106.8, 1000), ""),
            ((89.0, 0, 100_000), ""),
            ((89.5, 0, 100_000), "holds a pole"),
            ((-90, 0, 1), "holds a pole"),
            ((0, 179.9, 1000), ""),
            ((0, 179.9, 20_000), "crosses the date line"),
            ((0, -179.9, 20_000), "crosses the date line"),
            # Far from the equator a degree is short.
            ((80, 170, 100_000), ""),
            ((80, 170, 200_000), "crosses the date line"),
        ],
    )
    def test_what_cannot_be_drawn_is_told(self, circle: tuple[float, float, float], wrong: str) -> None:
        assert find_circle_fault(circle) == wrong

    @pytest.mark.parametrize("latitude", [0.0, -6.2, 60.0, -75.0])
    @pytest.mark.parametrize("radius", [1.0, 500.0, 50_000.0, 1_000_000.0])
    def test_the_polygon_around_it_holds_it_and_little_more(self, latitude: float, radius: float) -> None:
        around = to_geometry([], [(latitude, 106.8, radius)])
        one_degree = 111_195.08
        for north in (1, -1):
            edge = latitude + north * radius / one_degree
            assert around.covers(shapely.Point(106.8, edge))
            assert not around.covers(shapely.Point(106.8, latitude + north * radius * 1.002 / one_degree))
            assert hold([], [(latitude, 106.8, radius)], latitude + north * 0.999 * radius / one_degree, 106.8)

    def test_a_box_holds_every_shape(self) -> None:
        assert find_box([], []) is None
        south, west, north, east = find_box([ring(106.80, -6.20, 106.81, -6.19)], [(-6.3, 106.9, 111_195)]) or (0, 0, 0, 0)
        assert (south, west) == (pytest.approx(-7.301, abs=0.001), pytest.approx(105.893, abs=0.001))
        assert (north, east) == (pytest.approx(-5.299, abs=0.001), pytest.approx(107.907, abs=0.001))


class TestHowFarAWarningReaches:
    @pytest.mark.parametrize(
        ("areas", "wide"),
        [
            ([WEST], False),
            ([WEST, EAST], False),
            ([DISTRICT], False),
            ([DISTRICT, WEST], False),
            ([CITY], True),
            ([PROVINCE], True),
            ([CITY, WEST], True),
            # Of two cities.
            ([WEST, ACROSS], True),
            # All parts of a city are the city.
            ([DISTRICT, OTHER_DISTRICT], True),
            ([WEST, EAST, FAR], True),
            ([ISLAND], False),
            ([ISLAND, OTHER_ISLAND], True),
            ([ISLANDS], True),
            # Larger than a city, or nobody knows.
            (["areas/91"], True),
            ([JAYAPURA], False),
            ([SENTANI], True),
            ([], True),
        ],
    )
    def test_by_its_areas(self, areas: list[str], wide: bool) -> None:  # noqa: FBT001  # the expectation
        assert make_regions().measure(areas, [], []).wide == wide

    @pytest.mark.parametrize(
        ("polygon", "reached", "wide"),
        [
            (ring(106.801, -6.199, 106.809, -6.191), [WEST], False),
            (ring(106.801, -6.199, 106.811, -6.191), [WEST, EAST], False),
            # Drawn along a border, it is not in what lies beyond it; across it, it is.
            (ring(106.81, -6.20, 106.82, -6.19), [EAST], False),
            (ring(106.81, -6.20, 106.8201, -6.19), [EAST, ACROSS], True),
            # Two districts of a city, but not all of either.
            (ring(106.815, -6.18, 106.905, -6.10), [], True),
            (ring(106.80, -6.25, 106.95, -6.195), [WEST, EAST, FAR, ACROSS, f"{OTHER_CITY}.01.1002"], True),
            # Around all that a city has.
            (ring(106.825, -6.199, 106.831, -6.191), [ACROSS, f"{OTHER_CITY}.01.1002"], False),
            (ring(106.8200001, -6.21, 106.85, -6.18), [ACROSS, f"{OTHER_CITY}.01.1002"], False),
            (ring(106.82, -6.21, 106.85, -6.18), [ACROSS, f"{OTHER_CITY}.01.1002"], True),
            # Around the points of islands whose shores nobody knows, of one, and of all.
            (ring(106.60, -5.75, 106.62, -5.73), [ISLAND], False),
            (ring(106.50, -5.80, 106.70, -5.50), [ISLAND, OTHER_ISLAND], True),
            # Near an island's point.
            (ring(106.61, -5.76, 106.62, -5.75), [ISLAND], False),
            # Out at sea.
            (ring(100.0, -10.0, 101.0, -9.0), [], True),
        ],
    )
    def test_by_its_shapes(self, polygon: Corners, reached: list[str], wide: bool) -> None:  # noqa: FBT001
        for corners in (polygon, list(polygon)[::-1]):
            reach = make_regions().measure([], [corners], [])
            assert (set(reach.areas), reach.wide) == (set(reached), wide)

    def test_shapes_and_areas_count_together(self) -> None:
        regions = make_regions()
        across = [(-6.195, 106.825, 100.0)]
        assert not regions.measure([], [], across).wide
        assert regions.measure([WEST], [], across).wide
        # A district by its name and the rest of the city by shapes.
        far = ring(106.89, -6.21, 106.92, -6.18)
        assert not regions.measure([], [far], []).wide
        assert regions.measure([DISTRICT], [far], []).wide

    def test_without_boundaries_a_shape_is_where_the_nearest_points_are(self) -> None:
        regions = make_regions({})
        assert set(regions.measure([], [], [(-5.70, 106.60, 100)]).areas) == {ISLAND}

    @pytest.mark.parametrize(
        ("areas", "circle", "zone"),
        [
            ([JAYAPURA, WEST], None, "Asia/Jayapura"),
            ([WEST, JAYAPURA], None, "Asia/Jakarta"),
            ([], (-2.595, 140.705, 10.0), "Asia/Jayapura"),
            # Where no area is, the first one's.
            ([], (-40.0, 100.0, 10.0), "Asia/Jakarta"),
        ],
    )
    def test_its_times_are_told_by_the_first_area_that_has_a_zone(
        self, areas: list[str], circle: tuple[float, float, float] | None, zone: str
    ) -> None:
        assert make_regions().measure(areas, [], [circle] if circle else []).time_zone == zone

    def test_of_no_directory_nothing_is_known(self) -> None:
        empty = Regions([], AreaIndex([]))
        assert empty.measure([WEST], [], [(-6.195, 106.805, 1.0)]) == ([WEST], True, "UTC")
        assert empty.find_unknown([WEST]) is None
        assert make_regions().find_unknown([WEST, "areas/1", "areas/2"]) == "areas/1"

    def test_what_is_around_an_area_and_within_it(self) -> None:
        regions = make_regions()
        assert list(regions.find_around(WEST)) == [WEST, DISTRICT, CITY, PROVINCE]
        assert set(regions.find_within(DISTRICT)) == {DISTRICT, WEST, EAST}
        assert regions.find_at(-6.195, 106.805) == [WEST, DISTRICT, CITY, PROVINCE]
        assert regions.find_at(-10.0, 100.0) == []
