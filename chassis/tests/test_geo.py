"""Which area holds a point: by its boundary, across a gap, by its point, or none."""

import math
import random

import pytest
from shapely import MultiPolygon, Point, Polygon, box

from chassis.geo import METERS_PER_DEGREE, AreaIndex, Place

GAP, REACH = 500.0, 5000.0
# Two squares of about 1.1 km in Jakarta, with a gap of about 110 m between them.
WEST = box(106.800, -6.210, 106.810, -6.200)
EAST = box(106.811, -6.210, 106.821, -6.200)


def bounded(name: str, *polygons: Polygon) -> Place:
    middle = polygons[0].representative_point()
    return Place(name, MultiPolygon(polygons), (middle.x, middle.y))


def pointed(name: str, latitude: float, longitude: float) -> Place:
    return Place(name, None, (longitude, latitude))


def make_index(*places: Place, gap: float = GAP, reach: float = REACH) -> AreaIndex:
    return AreaIndex(iter(places), gap, reach)


def move(latitude: float, longitude: float, north: float = 0, east: float = 0) -> tuple[float, float]:
    """A place some metres further."""
    return latitude + north / METERS_PER_DEGREE, longitude + east / METERS_PER_DEGREE / math.cos(math.radians(latitude))


def test_a_degree_is_as_long_as_on_the_mean_sphere() -> None:
    assert pytest.approx(111_195, abs=1) == METERS_PER_DEGREE


def test_no_areas_hold_no_point() -> None:
    assert make_index().find(-6.2, 106.8) is None


@pytest.mark.parametrize(("longitude", "name"), [(106.805, "west"), (106.815, "east")])
def test_a_point_within_a_boundary_belongs_to_it(longitude: float, name: str) -> None:
    assert make_index(bounded("west", WEST), bounded("east", EAST)).find(-6.205, longitude) == (name, True)


def test_the_line_itself_belongs_to_the_area() -> None:
    assert make_index(bounded("west", WEST)).find(-6.200, 106.805) == ("west", True)
    assert make_index(bounded("west", WEST)).find(-6.200, 106.800) == ("west", True)


@pytest.mark.parametrize(("longitude", "name"), [(106.8104, "west"), (106.8106, "east")])
def test_a_point_in_a_gap_belongs_to_the_nearer_boundary(longitude: float, name: str) -> None:
    assert make_index(bounded("west", WEST), bounded("east", EAST)).find(-6.205, longitude) == (name, False)


@pytest.mark.parametrize("latitude", [0.0, -6.2, 52.5, -60.0])
@pytest.mark.parametrize(("north", "east"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_gap_is_as_wide_in_every_direction_and_latitude(latitude: float, north: int, east: int) -> None:
    square = box(*reversed(move(latitude, 10.0, -1000, -1000)), *reversed(move(latitude, 10.0, 1000, 1000)))
    index = make_index(bounded("square", square))
    # The cosine is that of the point and not of the square's middle.
    inside = move(latitude, 10.0, north * 1495, east * 1495)
    outside = move(latitude, 10.0, north * 1505, east * 1505)
    assert index.find(*inside) == ("square", False)
    assert index.find(*outside) is None


def test_a_hole_is_outside() -> None:
    holed = WEST.difference(box(106.803, -6.207, 106.807, -6.203))
    assert isinstance(holed, Polygon)
    assert make_index(bounded("west", holed), gap=10).find(-6.205, 106.805) is None
    island = box(106.804, -6.206, 106.806, -6.204)
    assert make_index(bounded("west", holed), bounded("island", island), gap=10).find(-6.205, 106.805) == ("island", True)


def test_every_part_of_an_area_belongs_to_it() -> None:
    index = make_index(bounded("both", WEST, EAST))
    assert [index.find(-6.205, longitude) for longitude in (106.805, 106.815)] == [("both", True)] * 2


@pytest.mark.parametrize("order", [1, -1])
def test_where_areas_lie_upon_each_other_the_smaller_one_is_found(order: int) -> None:
    places = [bounded("district", box(106.7, -6.3, 106.9, -6.1)), bounded("village", WEST)][::order]
    index = make_index(*places)
    assert index.find(-6.205, 106.805) == ("village", True)
    assert index.find(-6.105, 106.705) == ("district", True)


def test_at_one_distance_the_smaller_one_is_found() -> None:
    district = box(106.700, -6.300, 106.810, -6.200)
    assert make_index(bounded("district", district), bounded("village", WEST)).find(-6.199, 106.805) == ("village", False)


def test_without_boundaries_the_nearest_point_is_found_within_reach() -> None:
    index = make_index(pointed("north", -6.10, 106.8), pointed("south", -6.12, 106.8))
    assert index.find(-6.109, 106.8) == ("north", False)
    assert index.find(-6.111, 106.8) == ("south", False)
    assert index.find(*move(-6.10, 106.8, north=4990)) == ("north", False)
    assert index.find(*move(-6.10, 106.8, north=5010)) is None
    assert index.find(*move(-6.10, 106.8, east=4990)) == ("north", False)
    assert index.find(*move(-6.10, 106.8, east=5010)) is None


def test_a_boundary_goes_before_a_point_and_a_point_takes_what_no_boundary_is_near() -> None:
    index = make_index(bounded("west", WEST), pointed("beside", -6.205, 106.8105))
    assert index.find(-6.205, 106.809) == ("west", True)
    assert index.find(-6.205, 106.8103) == ("west", False)
    assert index.find(*move(-6.205, 106.810, east=600)) == ("beside", False)


def test_the_other_side_of_the_earth_is_none_of_it() -> None:
    index = make_index(bounded("west", WEST), pointed("point", -6.3, 106.8))
    for latitude, longitude in ((6.2, -73.2), (90.0, 0.0), (-90.0, 180.0), (0.0, -180.0)):
        assert index.find(latitude, longitude) is None


def test_the_index_agrees_with_looking_at_every_area() -> None:
    """On a torn grid: each cell is a little smaller than its place, so that there are gaps."""
    cells = {
        f"{row}.{column}": box(106 + column / 100, -6 + row / 100, 106.0097 + column / 100, -5.9903 + row / 100)
        for row in range(12)
        for column in range(12)
    }
    index = make_index(*(bounded(name, cell) for name, cell in cells.items()))
    chance = random.Random(7)
    for _ in range(2000):
        point = Point(chance.uniform(105.99, 106.13), chance.uniform(-6.01, -5.87))
        found = index.find(point.y, point.x)
        nearest = min(cells, key=lambda name: cells[name].distance(point))
        meters = cells[nearest].distance(point) * METERS_PER_DEGREE
        if meters == 0:
            assert found == (nearest, True)
        elif meters < GAP * 0.98:
            assert found is not None
            # Degrees are not metres: at nearly one distance either is right.
            assert cells[found[0]].distance(point) <= cells[nearest].distance(point) * 1.01
            assert found[1] is False
        elif meters > GAP * 1.02:
            assert found is None


def test_a_shape_meets_what_it_shares_more_than_a_border_with() -> None:
    touching = box(106.810, -6.210, 106.820, -6.200)
    index = make_index(bounded("west", WEST), bounded("middle", touching), bounded("far", box(107.0, -6.21, 107.1, -6.2)))
    assert index.find_met(WEST) == {"west": True}
    assert index.find_met(box(106.805, -6.205, 106.806, -6.204)) == {"west": False}
    assert index.find_met(box(106.800, -6.210, 106.815, -6.200)) == {"west": True, "middle": False}
    assert index.find_met(box(0, 0, 1, 1)) == {}
    assert make_index().find_met(WEST) == {}


def test_an_area_without_a_boundary_is_met_where_its_point_is_held() -> None:
    index = make_index(bounded("west", WEST), pointed("island", -5.7, 106.6), pointed("other", -5.6, 106.5))
    assert index.find_met(box(106.55, -5.75, 106.65, -5.65)) == {"island": True}
    assert index.find_met(box(106.0, -7.0, 107.0, -5.0)) == {"west": True, "island": True, "other": True}
    assert make_index(pointed("island", -5.7, 106.6)).find_met(WEST) == {}


def test_what_is_within_the_gap_lies_beside_an_area() -> None:
    far = box(106.830, -6.210, 106.840, -6.200)
    index = make_index(bounded("west", WEST), bounded("east", EAST), bounded("far", far), pointed("island", -6.205, 106.8105))
    assert set(index.find_beside("west")) == {"west", "east"}
    assert set(index.find_beside("far")) == {"far"}
    assert index.find_beside("island") == index.find_beside("none") == []
