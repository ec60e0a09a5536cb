"""The rules of areas, and that the numbers of the levels are the contract's."""

import pytest

from directory.model import Area, Level, Shape
from siaga.directory.v1 import area_pb2

SHAPE = Shape(b"boundary", -6.2, 106.8)


def make_area(name: str = "areas/31.71", level: Level = Level.REGENCY) -> Area:
    return Area(
        name=name,
        display_name="Jakarta Pusat",
        level=level,
        parent=None,
        latitude=-6.2,
        longitude=106.8,
        time_zone="Asia/Jakarta",
        emergency_number="112",
        boundary=None,
    )


def test_the_numbers_are_those_of_the_contract() -> None:
    unspecified = 0
    assert {each.name: each.value for each in Level} == {
        name: number for name, number in area_pb2.Area.Level.items() if number != unspecified
    }


def test_an_area_holds_itself_and_what_lies_within_it_alone() -> None:
    area = make_area("areas/31.7")
    assert [area.holds(name) for name in ("areas/31.7", "areas/31.7.01", "areas/31.71", "areas/31")] == [True, True, False, False]


def test_a_child_is_one_level_below_and_shares_what_holds_for_the_whole() -> None:
    parent = make_area()
    assert parent.find_fault_of_child("areas/31.71.09", SHAPE) == ""
    child = parent.add_child("areas/31.71.09", "Baru", SHAPE)
    assert (child.level, child.parent, child.time_zone, child.emergency_number) == (Level.DISTRICT, "areas/31.71", "Asia/Jakarta", "112")
    assert (child.boundary, child.latitude, child.longitude) == SHAPE


@pytest.mark.parametrize(
    ("parent", "name", "shape", "fault"),
    [
        (make_area(level=Level.VILLAGE), "areas/31.71.1", SHAPE, "holds no areas"),
        (make_area(), "areas/31.72.1", SHAPE, "does not begin"),
        (make_area(), "areas/31.71", SHAPE, "does not begin"),
        (make_area(), "areas/31.71.1", SHAPE._replace(latitude=16.0), "swapped?"),
        (make_area(), "areas/31.71.1", SHAPE._replace(longitude=6.2), "swapped?"),
    ],
)
def test_what_cannot_lie_within_an_area_is_told_why(parent: Area, name: str, shape: Shape, fault: str) -> None:
    assert fault in parent.find_fault_of_child(name, shape)


def test_redrawing_an_area_twice_changes_it_once() -> None:
    area = make_area()
    assert [area.redraw("Jakarta Pusat", SHAPE), area.redraw("Jakarta Pusat", SHAPE)] == [True, False]
    assert area.redraw("Pusat", SHAPE)
    assert area.boundary == b"boundary"


def test_a_boundary_is_forgotten_once() -> None:
    area = make_area()
    area.redraw("Jakarta Pusat", SHAPE)
    assert [area.forget_boundary(), area.forget_boundary()] == [True, False]
