"""The rules of entries, and that their numbers and words are the contract's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from directory.changes import Action, compare, describe_entry
from directory.model import UNCONFIRMED, Area, Category, Facility, Level, Shape, Status, Use, Wheelchair
from siaga.directory.v1 import agency_pb2, area_pb2, directory_admin_service_pb2, facility_pb2

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
    pairs = [
        (Level, area_pb2.Area.Level),
        (Category, agency_pb2.Category),
        (Use, agency_pb2.PhoneNumber.Use),
        (Wheelchair, facility_pb2.Facility.Wheelchair),
        (Status, facility_pb2.Facility.Status),
    ]
    for ours, contract in pairs:
        assert {each.name: each.value for each in ours} == {name: number for name, number in contract.items() if number}
    words = directory_admin_service_pb2.DirectoryChange.Action.items()
    assert {each.value for each in Action} == {name for name, number in words if number}


def test_an_area_holds_itself_and_what_lies_within_it_alone() -> None:
    area = make_area("areas/31.7")
    assert [area.holds(name) for name in ("areas/31.7", "areas/31.7.01", "areas/31.71", "areas/31")] == [True, True, False, False]


def test_a_child_is_one_level_below_and_shares_what_holds_for_the_whole() -> None:
    parent = make_area()
    assert parent.find_fault_of_child("areas/31.71.09", Level.DISTRICT) == ""
    child = parent.add_child("areas/31.71.09", "Baru", SHAPE)
    assert (child.level, child.parent, child.time_zone, child.emergency_number) == (Level.DISTRICT, "areas/31.71", "Asia/Jakarta", "112")
    assert (child.boundary, child.latitude, child.longitude) == SHAPE


@pytest.mark.parametrize(
    ("parent", "name", "level", "fault"),
    [
        (make_area(level=Level.VILLAGE), "areas/31.71.1", Level.VILLAGE, "holds no areas"),
        (make_area(), "areas/31.72.1", Level.DISTRICT, "does not begin"),
        (make_area(), "areas/31.71", Level.DISTRICT, "does not begin"),
        (make_area(), "areas/31.71.1", Level.REGENCY, "level is not below"),
    ],
)
def test_what_cannot_lie_within_an_area_is_told_why(parent: Area, name: str, level: Level, fault: str) -> None:
    assert fault in parent.find_fault_of_child(name, level)


@pytest.mark.parametrize("shape", [SHAPE._replace(latitude=16.0), SHAPE._replace(longitude=6.2)])
def test_a_place_far_from_its_parent_is_taken_for_a_mistake(shape: Shape) -> None:
    assert "swapped?" in make_area().find_fault_of_place(shape)
    assert make_area().find_fault_of_place(SHAPE) == ""


def test_a_boundary_brings_its_point_and_a_name_does_not() -> None:
    area = make_area()
    area.redraw("Pusat", SHAPE)
    assert (area.display_name, area.boundary, area.latitude) == ("Pusat", b"boundary", -6.2)
    area.latitude = -6.3
    area.redraw("Jakarta Pusat", SHAPE)
    assert (area.display_name, area.latitude) == ("Jakarta Pusat", -6.3)


def test_a_boundary_is_forgotten_once() -> None:
    area = make_area()
    area.redraw("Jakarta Pusat", SHAPE)
    assert [area.forget_boundary(), area.forget_boundary()] == [True, False]


def test_no_two_versions_have_the_same_etag_however_the_clock_goes() -> None:
    area, time = make_area(), datetime(2026, 11, 25, tzinfo=UTC)
    etags = [area.etag]
    for now in (time, time, time - timedelta(hours=1), time + timedelta(hours=1)):
        area.renew(now)
        etags.append(area.etag)
    assert len(set(etags)) == 5
    assert etags[0] == "0"


def make_facility(**changes: Any) -> Facility:
    usual = {
        "name": "facilities/rs",
        "display_name": "RS Uji",
        "categories": [Category.HOSPITAL],
        "area": "areas/31",
        "latitude": -6.2,
        "longitude": 106.8,
        "address": "",
        "numbers": [{"number": "0213441008", "use": Use.CALL}],
        "opening_hours": "24/7",
        "languages": [],
        "assured_by": UNCONFIRMED,
        "source": "osm",
    }
    return Facility(**(usual | changes))


def test_a_facility_as_it_should_be_has_no_fault() -> None:
    assert list(make_facility().find_faults()) == []
    by_telephone = make_facility(categories=[Category.SHELTER_INTAKE], latitude=None, longitude=None)
    assert list(by_telephone.find_faults()) == []
    assured = make_facility(assured_by="Dinkes", assured_time=datetime(2026, 1, 1, tzinfo=UTC))
    assert list(assured.find_faults()) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"display_name": " "}, "display_name"),
        ({"display_name": "two\nlines"}, "display_name"),
        ({"categories": []}, "categories"),
        ({"opening_hours": "in the morning"}, "opening_hours"),
        ({"categories": [Category.SHELTER_INTAKE]}, "point"),
        ({"categories": [Category.COMPLAINT_POST, Category.SHELTER_INTAKE], "latitude": None, "address": "Jalan 1"}, "address"),
        ({"latitude": None, "longitude": None, "numbers": []}, "numbers"),
        ({"assured_by": "Dinkes"}, "assured_time"),
        ({"assured_time": datetime(2026, 1, 1, tzinfo=UTC)}, "assured_time"),
    ],
)
def test_what_is_wrong_with_a_facility_is_told_by_its_field(changes: dict[str, Any], field: str) -> None:
    assert [name for name, _ in make_facility(**changes).find_faults()] == [field]


@pytest.mark.parametrize(
    ("fields", "source"),
    [({"alert_text"}, "osm"), ({"status", "assured_by", "assured_time"}, "osm"), ({"numbers"}, ""), ({"alert_text", "point"}, "")],
)
def test_what_is_changed_by_hand_is_kept_by_hand_unless_no_import_brings_it(fields: set[str], source: str) -> None:
    facility = make_facility()
    facility.keep_by_hand(fields)
    assert facility.source == source


def test_an_entry_is_described_in_the_contracts_words() -> None:
    said = describe_entry(make_facility(latitude=0.0, wheelchair=0, status=Status.ACTIVE))
    assert said["categories"] == ["HOSPITAL"]
    assert said["numbers"] == [{"number": "0213441008", "use": "CALL"}]
    assert (said["status"], said["point"]) == ("ACTIVE", {"latitude": 0.0, "longitude": 106.8})
    assert {"name", "wheelchair", "address", "update_time"}.isdisjoint(said)


def test_what_changed_is_named_with_what_it_was_and_what_it_is() -> None:
    assert compare("x", {"a": 1, "b": 2}, {"a": 1, "b": 2}) is None
    assert compare("x", {"a": 1, "b": 2}, {"a": 1, "c": 3}) == ("x", Action.UPDATED, {"b": (2, None), "c": (None, 3)})
    assert compare("x", {}, {"a": 1}) == ("x", Action.CREATED, {"a": (None, 1)})
    assert compare("x", {"a": 1}, {}) == ("x", Action.DELETED, {"a": (1, None)})
