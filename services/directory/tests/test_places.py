"""Who is responsible at a place: all of Jakarta's villages, their borders, the gaps between them, and what is beyond a border."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import shapely
from administering import Metadata, import_file
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point

from chassis.geo import METERS_PER_DEGREE
from directory.memory.areas import Areas, read_areas
from siaga.directory.v1 import agency_pb2, snapshot_pb2
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.area_pb2 import Area

MONAS = Point(106.8272, -6.1754)
_METER = 1 / METERS_PER_DEGREE
Shapes = dict[str, MultiPolygon]


@pytest.fixture
def engine() -> str:
    """What is asked here never comes to the database, so that one of the two will do."""
    return "sqlite"


@pytest.fixture(scope="module")
def shapes(kelurahan: Path) -> Shapes:
    features = json.loads(kelurahan.read_bytes())["features"]
    found = {f"areas/{each['id']}": shapely.geometry.shape(each["geometry"]) for each in features}
    shapely.prepare(list(found.values()))
    return found


@pytest.fixture(scope="module")
def areas(shapes: Shapes) -> Areas:
    """The villages alone, as the service has them in memory."""
    records = [
        snapshot_pb2.Snapshot.AreaRecord(area=Area(name=name), boundary=shapely.to_wkb(_multi(shape))) for name, shape in shapes.items()
    ]
    return Areas(read_areas(records))


@pytest.fixture
async def jakarta(stub: Any, admin: Metadata, kelurahan: Path) -> Any:
    """The service with the polygons in it."""
    await import_file(stub, admin, kelurahan.read_bytes())
    return stub


def _multi(shape: Any) -> MultiPolygon:
    return shape if isinstance(shape, MultiPolygon) else MultiPolygon([shape])


async def resolve(stub: Any, point: Point, **more: Any) -> pb.ResolveLocationResponse:
    return await stub.ResolveLocation(pb.ResolveLocationRequest(point={"latitude": point.y, "longitude": point.x}, **more))


def pick_within(shape: MultiPolygon, dice: random.Random) -> Point:
    west, south, east, north = shape.bounds
    while True:
        point = Point(dice.uniform(west, east), dice.uniform(south, north))
        if shape.contains(point):
            return point


async def test_twenty_points_in_each_village_resolve_to_it(jakarta: Any, shapes: Shapes) -> None:
    dice = random.Random(1)
    for name, shape in shapes.items():
        for _ in range(20):
            point = pick_within(shape, dice)
            reply = await resolve(jakarta, point, border_meters=0)
            # Where the boundaries overlap, the village is the smaller one of those that hold the point.
            holding = {other for other, each in shapes.items() if each.covers(point)}
            assert reply.areas[0].name == min(holding, key=lambda each: (shapes[each].area, each))
            assert reply.areas[0].name == name or len(holding) > 1
            assert (reply.match, [area.level for area in reply.areas]) == (pb.ResolveLocationResponse.BOUNDARY, [4, 3, 2, 1])


async def test_within_five_metres_of_a_border_it_is_one_of_the_two(jakarta: Any, shapes: Shapes) -> None:
    dice = random.Random(2)
    tree = shapely.STRtree(list(shapes.values()))
    names = list(shapes)
    for shape in shapes.values():
        for _ in range(5):
            on_border = shape.boundary.interpolate(dice.random(), normalized=True)
            angle, away = dice.uniform(0, math.tau), dice.uniform(0, 5) * _METER
            point = Point(on_border.x + away * math.cos(angle), on_border.y + away * math.sin(angle))
            near = {names[index] for index in tree.query(point, predicate="dwithin", distance=6 * _METER).tolist()}
            reply = await resolve(jakarta, point)
            assert reply.areas[0].name in near
            # Whoever answers on the other side is named, too.
            assert near <= {reply.areas[0].name, *(each.areas[0].name for each in reply.neighbors)}


async def test_every_gap_between_villages_resolves_to_the_nearest(jakarta: Any, shapes: Shapes) -> None:
    whole = shapely.union_all(list(shapes.values()))
    middles = [shapely.Polygon(ring).representative_point() for part in whole.geoms for ring in part.interiors]
    # A sliver may be narrower than the precision of its own middle.
    gaps = [point for point in middles if not whole.covers(point)]
    assert len(gaps) > 700
    for point in gaps:
        reply = await resolve(jakarta, point)
        assert reply.match == pb.ResolveLocationResponse.NEAREST
        assert shapes[reply.areas[0].name].distance(point) == pytest.approx(whole.distance(point), rel=0.02)


async def test_the_open_sea_and_other_cities_belong_to_nobody(jakarta: Any) -> None:
    for sea in (Point(106.75, -5.9), Point(107.5, -5.0), Point(106.8166, -6.595)):
        reply = await resolve(jakarta, sea)
        assert (list(reply.areas), list(reply.responsibilities), list(reply.neighbors)) == ([], [], [])
        assert reply.emergency_number == "112"


async def test_neighbours_are_those_within_the_border_and_the_nearest_comes_first(jakarta: Any, shapes: Shapes) -> None:
    assert list((await resolve(jakarta, MONAS)).neighbors) == []
    reply = await resolve(jakarta, MONAS, border_meters=1000)
    away = [each.distance_meters for each in reply.neighbors]
    assert away == sorted(away)
    assert away[-1] <= 1000
    within = {name for name, shape in shapes.items() if shape.distance(MONAS) * METERS_PER_DEGREE < 990}
    assert within - {reply.areas[0].name} <= {each.areas[0].name for each in reply.neighbors}
    for each in reply.neighbors:
        assert [area.level for area in each.areas] == [4, 3, 2, 1]
        assert [said.category for said in each.responsibilities] == [1, 2, 3, 4, 5, 6]
        measured = shapes[each.areas[0].name].distance(MONAS) * METERS_PER_DEGREE
        assert each.distance_meters == pytest.approx(measured, rel=0.01, abs=0.2)


async def test_at_most_ten_neighbours_are_named(jakarta: Any) -> None:
    assert len((await resolve(jakarta, MONAS, border_meters=5000)).neighbors) == 10


@given(st.floats(-6.4, -6.05), st.floats(106.65, 107.0), st.floats(1, 3000))
@settings(max_examples=300, deadline=None)
def test_what_is_near_is_what_a_look_at_every_boundary_finds(
    areas: Areas, shapes: Shapes, latitude: float, longitude: float, meters: float
) -> None:
    point, stretch = Point(longitude, latitude), math.cos(math.radians(latitude))

    def flatten(coordinates: Any) -> Any:
        return (coordinates - [longitude, latitude]) * [stretch, 1]

    found, _, neighbors = areas.find_with_neighbors(latitude, longitude, meters)
    assert found == areas.find(latitude, longitude)[0]
    named = {each.areas[0].name: each.meters for each in neighbors} if found else {}
    for name, shape in shapes.items():
        if found and shape.distance(point) < 0.06 and name not in {area.name for area in found}:
            away = shapely.transform(shape, flatten).distance(Point(0, 0)) * METERS_PER_DEGREE
            if name in named:
                assert named[name] == pytest.approx(away, rel=0.01, abs=0.5)
                assert away <= meters * 1.01 + 0.5
            else:
                assert away >= meters * 0.99 - 0.5


async def answering(stub: Any, point: Point = MONAS) -> dict[str, tuple[str, str, str, bool]]:
    reply = await resolve(stub, point)
    return {
        agency_pb2.Category.Name(each.category): (each.agency.name.removeprefix("agencies/"), each.number, each.area, each.by_default)
        for each in reply.responsibilities
    }


async def test_coverage_climbs_from_the_village_to_the_city_and_at_last_to_the_room_for_every_emergency(stub: Any, admin: Metadata) -> None:
    assert (await answering(stub))["FIRE"] == ("jakarta-fire", "113", "areas/31", False)
    await stub.CreateAgency(
        admin_pb.CreateAgencyRequest(
            agency_id="gambir-fire", agency={"display_name": "Pos Gambir", "numbers": [{"number": "0211", "use": "CALL"}]}
        ),
        metadata=admin,
    )
    row = {"area": "areas/31.71.01", "category": "FIRE", "agency": "agencies/gambir-fire"}
    await stub.SetCoverage(admin_pb.SetCoverageRequest(coverage=row), metadata=admin)
    assert (await answering(stub))["FIRE"] == ("gambir-fire", "0211", "areas/31.71.01", False)
    # Next door nothing has changed.
    assert (await answering(stub, Point(106.9, -6.12)))["FIRE"] == ("jakarta-fire", "113", "areas/31", False)
    for area in ("areas/31.71.01", "areas/31"):
        await stub.RemoveCoverage(admin_pb.RemoveCoverageRequest(area=area, category="FIRE"), metadata=admin)
    assert (await answering(stub))["FIRE"] == ("jakarta-112", "112", "areas/31", True)
    await stub.RemoveCoverage(admin_pb.RemoveCoverageRequest(area="areas/31", category="EMERGENCY"), metadata=admin)
    said = await answering(stub)
    assert said["FIRE"] == said["EMERGENCY"] == ("", "112", "", True)
    assert said["POLICE"] == ("jakarta-police", "110", "areas/31", False)


async def test_a_category_that_is_not_needed_everywhere_is_named_where_somebody_answers_for_it(stub: Any, admin: Metadata) -> None:
    assert "COMPLAINT_POST" not in await answering(stub)
    row = {"area": "areas/31.71", "category": "COMPLAINT_POST", "agency": "agencies/jakarta-pppa"}
    await stub.SetCoverage(admin_pb.SetCoverageRequest(coverage=row), metadata=admin)
    assert (await answering(stub))["COMPLAINT_POST"] == ("jakarta-pppa", "081317617622", "areas/31.71", False)
    assert "COMPLAINT_POST" not in await answering(stub, Point(106.9, -6.12))
