"""What of OpenStreetMap becomes a facility, what is passed over, and what is written for others to read."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import shapely

from directory.changes import describe_entry
from directory.files.facilities_osm import read_facilities, write_facilities
from directory.files.reading import FacilityRecord, Reading
from directory.model import Category, Facility, Status, Use, Wheelchair

POINT = {"type": "Point", "coordinates": [106.8272, -6.1754]}
POLICE = {"amenity": "police", "name": "Polsek Gambir"}
L_SHAPE = [[0, 0], [9, 0], [9, 1], [1, 1], [1, 9], [0, 9], [0, 0]]


def make_feature(tags: dict[str, Any], geometry: Any = POINT, element: str = "node/1") -> dict[str, Any]:
    """As overpass turbo has it."""
    return {"type": "Feature", "properties": {"@id": element, **tags}, "geometry": geometry, "id": element}


def read(*features: Any) -> Reading[FacilityRecord]:
    """The first feature stands in line 3."""
    rows = ",\n".join(map(json.dumps, features))
    return read_file(f'{{"type": "FeatureCollection", "generator": "overpass-turbo",\n"features": [\n{rows}\n]}}'.encode())


def read_file(file: bytes, source: str = "osm") -> Reading[FacilityRecord]:
    return read_facilities(file, source, "ID", lambda _: None)


def read_one(tags: dict[str, Any], geometry: Any = POINT, element: str = "node/1") -> Facility:
    found = read(make_feature(tags, geometry, element))
    assert (found.faults, found.passed_over) == ([], 0)
    return found.records[0].facility


def describe(facility: Facility) -> dict[str, object]:
    return {"name": facility.name, **describe_entry(facility)}


def test_tags_become_a_facility_of_its_source() -> None:
    facility = read_one(
        {
            "@timestamp": "2024-01-01T00:00:00Z",
            "amenity": "hospital",
            "emergency": "ambulance_station",
            "name": "RSUD Tarakan",
            "phone": "+62 21 3503150; +62 21 3503412",
            "contact:whatsapp": "https://wa.me/628111129129",
            "emergency:phone": "119",
            "addr:street": "Jalan Kyai Caringin",
            "addr:housenumber": "7",
            "addr:city": "Jakarta Pusat",
            "addr:postcode": "10150",
            "opening_hours": "24/7",
            "wheelchair": "limited",
            "language:id": "yes",
            "language:en": "yes",
            "language:fr": "no",
        }
    )
    assert describe(facility) == {
        "name": "facilities/osm-n1",
        "display_name": "RSUD Tarakan",
        "categories": ["AMBULANCE", "HOSPITAL"],
        "point": {"latitude": -6.1754, "longitude": 106.8272},
        "address": "Jalan Kyai Caringin 7, Jakarta Pusat 10150",
        "numbers": [
            {"number": "119", "use": "CALL"},
            {"number": "0213503150", "use": "CALL"},
            {"number": "0213503412", "use": "CALL"},
            {"number": "08111129129", "use": "WHATSAPP"},
        ],
        "opening_hours": "24/7",
        "languages": ["id", "en"],
        "wheelchair": "LIMITED",
        "status": "ACTIVE",
        "assured_by": "unconfirmed",
        "source": "osm",
    }


KINDS = {
    "amenity=police": Category.POLICE,
    "amenity=fire_station": Category.FIRE,
    "amenity=hospital": Category.HOSPITAL,
    "healthcare=hospital": Category.HOSPITAL,
    "amenity=clinic": Category.HEALTH_CENTRE,
    "amenity=clinic;pharmacy": Category.HEALTH_CENTRE,
    "amenity=doctors": Category.HEALTH_CENTRE,
    "amenity=health_post": Category.HEALTH_CENTRE,
    "healthcare=centre": Category.HEALTH_CENTRE,
    "healthcare=clinic": Category.HEALTH_CENTRE,
    "emergency=ambulance_station": Category.AMBULANCE,
    "emergency=water_rescue": Category.SEARCH_AND_RESCUE,
    "emergency=mountain_rescue": Category.SEARCH_AND_RESCUE,
    "emergency=lifeguard lifeguard=base": Category.SEARCH_AND_RESCUE,
    "amenity=rescue_station": Category.SEARCH_AND_RESCUE,
    "amenity=social_facility social_facility=outreach social_facility:for=woman;child": Category.WOMEN_AND_CHILDREN,
    "amenity=clinic disused:amenity=hospital disused=no": Category.HEALTH_CENTRE,
}


def make_tags(words: str) -> dict[str, str]:
    return dict(word.split("=") for word in words.split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_tag_says_what_a_place_is_there_for(kind: str) -> None:
    assert read_one({"name": "A"} | make_tags(kind)).categories == [KINDS[kind]]


OTHERS = [
    "amenity=cafe",
    "emergency=phone",
    "emergency=lifeguard lifeguard=tower",
    "disused:amenity=police",
    "abandoned:amenity=hospital",
    "amenity=hospital abandoned=yes",
    "amenity=social_facility social_facility=shelter social_facility:for=woman",
    "amenity=social_facility social_facility=group_home social_facility:for=child",
    "amenity=social_facility social_facility:for=abused",
    "amenity=social_facility social_facility=outreach social_facility:for=senior",
    "amenity=clinic social_facility=shelter;outreach social_facility:for=woman",
]


@pytest.mark.parametrize("kind", OTHERS)
def test_whatever_is_no_place_to_call_and_every_shelter_is_passed_over(kind: str) -> None:
    found = read(make_feature({"name": "A"} | make_tags(kind)), make_feature(POLICE, element="node/2"))
    assert (len(found.records), found.faults, found.passed_over) == (1, [], 1)


def test_a_place_is_called_by_its_name_or_by_what_it_is_and_who_runs_it() -> None:
    names = {"name": "A", "name:id": "B", "official_name": "C", "operator": "Dinas"}
    tags = {"amenity": "fire_station", **names}
    said = list[str]()
    for name in names:
        said.append(read_one(tags).display_name)
        del tags[name]
    assert said == ["A", "B", "C", "Pos Pemadam Kebakaran Dinas"]
    assert read(make_feature(tags), make_feature(POLICE)).passed_over == 1


def test_what_cannot_be_used_of_what_anybody_may_have_written_is_left_out() -> None:
    facility = read_one(
        {
            **POLICE,
            "name": " Polsek\n Gam\0bir\ud800 " + "x" * 300,
            "phone": "call us; +1 212 555 1234, 110",
            "contact:phone": "110",
            "opening_hours": "usually",
            "wheelchair": "perhaps",
            "language:indonesian!": "yes",
            "language:id": "yes",
            "language:ID": "yes",
            "addr:full": "Jalan\nMerdeka\x1b",
            "@relations": [{"role": "", "rel": 7}],
        }
    )
    assert facility.display_name == "Polsek Gambir " + "x" * 186
    assert facility.numbers == [{"number": "110", "use": Use.CALL}]
    assert facility.languages == ["ID"]
    assert (facility.opening_hours, facility.wheelchair, facility.address) == ("", 0, "Jalan Merdeka")


def test_of_a_way_and_of_a_relation_it_is_a_point_within() -> None:
    way = read_one(POLICE, {"type": "Polygon", "coordinates": [L_SHAPE]}, "way/12")
    assert way.name == "facilities/osm-w12"
    assert shapely.Polygon(L_SHAPE).contains(shapely.Point(way.longitude, way.latitude))
    relation = read_one(POLICE, {"type": "MultiPolygon", "coordinates": [[L_SHAPE]]}, "relation/3")
    assert (relation.name, relation.latitude) == ("facilities/osm-r3", way.latitude)
    line = read_one(POLICE, {"type": "LineString", "coordinates": L_SHAPE[:3]}, "way/13")
    assert line.latitude is not None


FORMS = {
    "nested": {"id": "way/5", "properties": {"type": "way", "id": 5, "tags": POLICE, "relations": [], "meta": {}}},
    "nested, without an id of its own": {"properties": {"type": "way", "id": 5, "tags": POLICE}},
    "flat": {"id": "way/5", "properties": {"id": "way/5", **POLICE}},
    "flat, without an id of its own": {"properties": {"@id": "way/5", **POLICE, "type": "multipolygon"}},
}


@pytest.mark.parametrize("form", FORMS)
def test_an_element_has_its_id_wherever_a_program_puts_it(form: str) -> None:
    [record] = read({"type": "Feature", "geometry": POINT} | FORMS[form]).records
    assert (record.facility.name, record.facility.display_name) == ("facilities/osm-w5", "Polsek Gambir")


BAD_FEATURES = {
    "not an object": (17, "is not a Feature"),
    "no properties": ({"type": "Feature", "geometry": POINT}, "has no properties"),
    "no id": ({"type": "Feature", "properties": POLICE, "geometry": POINT}, "id: is required"),
    "no geometry": (make_feature(POLICE, None), "area: is required where there is no point"),
    "a geometry that is none": (make_feature(POLICE, {"type": "Point"}), "its geometry cannot be read"),
    "a number for a geometry": (make_feature(POLICE, 7), "its geometry cannot be read"),
    "an empty geometry": (make_feature(POLICE, {"type": "Point", "coordinates": []}), "its geometry cannot be read"),
    "infinity": (make_feature(POLICE, {"type": "Point", "coordinates": [float("inf"), 0]}), "its geometry cannot be read"),
    "out of range": (make_feature(POLICE, {"type": "Point", "coordinates": [-6, 106]}), "latitude: '106.0' is not"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_a_bad_feature_is_named_by_its_line_and_the_good_ones_are_read(case: str) -> None:
    bad, text = BAD_FEATURES[case]
    found = read(make_feature(POLICE, element="node/8"), bad, make_feature(POLICE, element="node/9"))
    [fault] = found.faults
    assert fault.line == 4
    assert text in fault.text
    assert [record.line for record in found.records] == [3, 5]


def test_a_file_without_any_facility_is_refused() -> None:
    [fault] = read(make_feature({"amenity": "cafe"})).faults
    assert (fault.line, fault.text) == (1, "has no facility among its 1 features")
    [fault] = read_file(b"id,name\n").faults
    assert fault.text.startswith("is not a FeatureCollection in JSON")


def make_facility(name: str, *categories: Category, **fields: Any) -> Facility:
    content: dict[str, Any] = {
        "agency": None,
        "area": "areas/31.71",
        "latitude": -6.1754,
        "longitude": 1 / 3,
        "address": "",
        "numbers": [],
        "opening_hours": "",
        "languages": [],
        "wheelchair": 0,
        "status": Status.ACTIVE,
        "alert_text": "",
        "assured_by": "unconfirmed",
        "assured_time": None,
        "source": "osm",
    }
    return Facility(name=f"facilities/osm-{name}", display_name=f"Pos {name}", categories=list(categories), **content | fields)


CALL, CHAT = ({"number": number, "use": use} for number, use in (("0213503150", Use.CALL), ("08111129129", Use.WHATSAPP)))
FACILITIES = [
    *(make_facility(f"n{category}", category, numbers=[CALL]) for category in Category if category != Category.SHELTER_INTAKE),
    make_facility("w7", Category.HOSPITAL, Category.AMBULANCE, Category.EMERGENCY, agency="agencies/dinkes", area=""),
    make_facility("own", Category.FIRE, Category.POLICE, numbers=[CHAT, CALL], address="Jl. X\nNo. 1", wheelchair=Wheelchair.NO),
    make_facility(
        *("r9", Category.WOMEN_AND_CHILDREN, Category.COMPLAINT_POST),
        numbers=[{"number": "129", "use": Use.CALL}, CALL, CHAT],
        opening_hours="Mo-Fr 08:00-16:00; PH off",
        languages=["id", "zh-Hant"],
        status=Status.TEMPORARILY_CLOSED,
        alert_text="Sampai Senin",
        assured_by="Dinas PPAPP",
        assured_time=datetime(2026, 1, 31, 1, 2, 3, 4, tzinfo=UTC),
    ),
    make_facility("intake", Category.SHELTER_INTAKE, numbers=[CALL], latitude=None, longitude=None),
]


def test_what_is_written_is_read_as_it_was() -> None:
    found = read_file(b"".join(write_facilities(FACILITIES, "ID")))
    assert found.faults == []
    assert [describe(record.facility) for record in found.records] == [describe(facility) for facility in FACILITIES]


def test_others_find_the_tags_they_know_and_the_element_where_there_is_one() -> None:
    features = json.loads(b"".join(write_facilities(FACILITIES, "ID")))["features"]
    hospital, own, _, intake = features[-4:]
    assert (hospital["id"], hospital["properties"]) == (
        "way/7",
        {"@id": "way/7", "name": "Pos w7", "amenity": "hospital"} | hospital["properties"],
    )
    assert hospital["properties"]["emergency"] == "ambulance_station"
    assert own["id"] == "own"
    assert "@id" not in own["properties"]
    assert own["properties"]["phone"] == "+62-21-3503150"
    assert own["properties"]["contact:whatsapp"] == "+62-811-1129-129"
    assert intake["geometry"] is None


def test_tags_that_were_changed_in_a_written_file_are_read() -> None:
    [feature] = json.loads(b"".join(write_facilities(FACILITIES[:1], "ID")))["features"]
    feature["properties"] |= {"phone": "110", "name": "Pos B"}
    [record] = read(feature).records
    assert (record.facility.display_name, record.facility.numbers[0]["number"]) == ("Pos B", "110")


def test_what_tags_cannot_say_is_carried_by_a_written_file_alone() -> None:
    tags = {"display_name", "categories", "area", "latitude", "longitude", "address", "numbers", "opening_hours", "languages", "wheelchair"}
    assert read(make_feature(POLICE)).carried == tags
    assert read_file(b"".join(write_facilities(FACILITIES, "ID"))).carried == tags | {
        *("agency", "status", "alert_text", "assured_by", "assured_time")
    }


def test_no_tag_can_say_who_has_confirmed_an_entry() -> None:
    facility = read_one({**POLICE, "siaga": "x", "assured_by": "Polri", "siaga:assured_by": "Polri", "status": "closed"})
    assert (facility.assured_by, facility.status) == ("unconfirmed", Status.ACTIVE)
