"""Entries of the directory as objects of HSDS, without a directory."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import jsonschema
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.adapters.hsds.entities import Writer
from gateway.adapters.hsds.taxonomy import Taxonomy
from gateway.contract import Contract
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.agency_pb2 import Agency, Hotline, PhoneNumber
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.facility_pb2 import Facility
from siaga.type.v1.point_pb2 import Point

Check = Callable[[str, Any], None]

TAXONOMY = Taxonomy(Contract())


def make_uid(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, name))


def make_time(*when: int) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(datetime(*when, tzinfo=UTC))
    return time


ROOM = Agency(
    name="agencies/room",
    uid=make_uid("room"),
    display_name="Ruang 112",
    numbers=[PhoneNumber(number="112", use=PhoneNumber.CALL, uri="tel:112;phone-context=+62")],
)
POLICE = Agency(name="agencies/police", uid=make_uid("police"), display_name="Polda", parent="agencies/room")
GAMBIR = Area(name="areas/31.71.01", display_name="Gambir", time_zone="Asia/Jakarta")
WRITER = Writer(TAXONOMY.terms, {each.name: each for each in (ROOM, POLICE)}, {GAMBIR.name: GAMBIR})

STATION = Facility(
    name="facilities/gambir",
    uid=make_uid("gambir"),
    display_name="Polsek Gambir",
    categories=[agency_pb2.POLICE, agency_pb2.COMPLAINT_POST],
    agency="agencies/police",
    area="areas/31.71.01",
    point=Point(latitude=-6.1754, longitude=106.8272),
    address="Jl. Cideng Barat 1, Jakarta 10150",
    numbers=[
        PhoneNumber(number="0213456789", use=PhoneNumber.CALL, uri="tel:+62-21-3456789"),
        PhoneNumber(number="081317617622", use=PhoneNumber.WHATSAPP, uri="https://wa.me/6281317617622"),
    ],
    opening_hours="Mo-Fr 08:00-16:00; PH off",
    languages=["id", "en-GB"],
    wheelchair=Facility.LIMITED,
    status=Facility.TEMPORARILY_CLOSED,
    alert_text="Banjir sampai Senin",
    assured_by="Polda",
    assured_time=make_time(2026, 3, 1, 2),
    update_time=make_time(2026, 4, 5, 6, 7, 8, 91_234),
)
# Nothing but what every facility has.
INTAKE = Facility(
    name="facilities/intake",
    uid=make_uid("intake"),
    display_name="Penerimaan",
    categories=[agency_pb2.SHELTER_INTAKE],
    area="areas/31.71.01",
    status=Facility.ACTIVE,
)
HOTLINE = Hotline(
    name="hotlines/112",
    uid=make_uid("112"),
    display_name="Jakarta Siaga 112",
    categories=[agency_pb2.EMERGENCY],
    numbers=ROOM.numbers,
)


def test_all_that_is_known_of_a_facility_is_in_its_service(check: Check) -> None:
    service = WRITER.write_full_service(STATION)
    check("service", service)
    assert service["id"] == STATION.uid
    assert service["name"] == "Polsek Gambir"
    assert (service["status"], service["alert"]) == ("temporarily closed", "Banjir sampai Senin")
    assert (service["assured_date"], service["last_modified"]) == ("2026-03-01", "2026-04-05T06:07:08.091Z")
    assert [(each["code"], each.get("note")) for each in service["languages"]] == [("id", None), ("en", "en-GB")]
    assert [each["taxonomy_term"]["code"] for each in service["attributes"]] == ["POLICE", "COMPLAINT_POST"]
    assert [(each["byday"], each["opens_at"], each["closes_at"]) for each in service["schedules"]] == [
        ("MO,TU,WE,TH,FR", "08:00+07:00", "16:00+07:00")
    ]
    # Where it is says nothing of whom it serves.
    assert service["service_areas"] == []
    assert service["organization"] == WRITER.write_organization(POLICE)
    assert service["organization"]["parent_organization_id"] == ROOM.uid


def test_numbers_can_be_dialled_from_abroad_but_for_the_short_ones(check: Check) -> None:
    numbers = [(each["number"], each.get("type"), each.get("description")) for each in WRITER.write_full_service(STATION)["phones"]]
    assert numbers == [("+62-21-3456789", "voice", None), ("+6281317617622", None, "WhatsApp")]
    organization = WRITER.write_full_organization(ROOM, [])
    check("full_organization", organization)
    assert [each["number"] for each in organization["phones"]] == ["112"]


def test_a_place_is_a_physical_location(check: Check) -> None:
    (link,) = WRITER.write_full_service(STATION)["service_at_locations"]
    location = link["location"]
    check("location", location)
    assert (location["location_type"], location["latitude"], location["longitude"]) == ("physical", -6.1754, 106.8272)
    assert location["description"] == "Jl. Cideng Barat 1, Jakarta 10150"
    assert [each["description"] for each in location["accessibility"]] == ["Accessible by wheelchair in a part of it."]


def test_what_is_reached_by_telephone_alone_has_no_place(check: Check) -> None:
    service = WRITER.write_full_service(INTAKE)
    check("service", service)
    (link,) = service["service_at_locations"]
    assert link["location"] == {"id": INTAKE.uid, "location_type": "virtual", "name": "Penerimaan"}
    assert [each["name"] for each in service["service_areas"]] == ["Gambir"]


def test_what_is_not_known_is_absent(check: Check) -> None:
    service = WRITER.write_service(INTAKE)
    check("service_list", service)
    assert service == {"id": INTAKE.uid, "name": "Penerimaan", "status": "active"}
    assert not {"organization", "organization_id"} & set(WRITER.write_full_service(INTAKE))


def test_a_hotline_is_a_service_without_a_location(check: Check) -> None:
    service = WRITER.write_full_service(HOTLINE)
    check("service", service)
    assert "service_at_locations" not in service
    assert [each["name"] for each in service["service_areas"]] == ["The whole country"]
    assert [each["number"] for each in service["phones"]] == ["112"]


def test_a_service_at_a_location_holds_both(check: Check) -> None:
    full = WRITER.write_full_service_at_location(STATION)
    check("full_service_at_location", full)
    assert full["id"] == full["service_id"] == full["location_id"] == STATION.uid
    service = WRITER.write_full_service(STATION)
    del service["service_at_locations"]
    assert full["service"] == service
    brief = WRITER.write_service_at_location(STATION)
    check("service_at_location_list", brief)
    assert brief["service"] == WRITER.write_service(STATION)


def test_a_place_that_is_closed_for_good_is_defunct() -> None:
    closed = Facility()
    closed.CopyFrom(STATION)
    closed.status = Facility.CLOSED
    assert WRITER.write_service(closed)["status"] == "defunct"


def test_ids_of_parts_stay_when_other_parts_change() -> None:
    before = WRITER.write_full_service(STATION)["phones"][1]["id"]
    changed = Facility()
    changed.CopyFrom(STATION)
    del changed.numbers[0]
    assert WRITER.write_full_service(changed)["phones"][0]["id"] == before


def test_every_category_is_a_term_in_the_words_of_the_contract(check: Check) -> None:
    check("taxonomy", TAXONOMY.itself)
    for term in TAXONOMY.terms.values():
        check("taxonomy_term", term)
    assert [term["code"] for term in TAXONOMY.terms.values()] == agency_pb2.Category.keys()[1:]
    term = TAXONOMY.terms[agency_pb2.SEARCH_AND_RESCUE]
    assert (term["name"], term["description"]) == ("Search and rescue", "Search and rescue.")


@pytest.mark.parametrize(
    "fault",
    [
        {"id": "gambir"},
        {"status": "open"},
        {"opening_hours": "24/7"},
        {"name": 112},
        {"minimum_age": "12"},
        {"last_modified": "2026-04-05"},
        {"url": "polda.example"},
        {"url": "https://polda.example/pos 1"},
        {"email": "polda"},
        {"phones": [{"id": STATION.uid}]},
        {"phones": [{"id": STATION.uid, "number": "112", "extension": "7"}]},
        {"organization": {"id": STATION.uid, "name": "Polda"}},
        {"organization": WRITER.write_full_organization(POLICE, [])},
        {"service_at_locations": [{"id": STATION.uid, "location": {"id": STATION.uid}}]},
        {"service_at_locations": [WRITER.write_service_at_location(STATION)]},
    ],
)
def test_the_schemas_refuse_what_is_wrong(check: Check, fault: dict[str, Any]) -> None:
    service = WRITER.write_service(STATION)
    check("service", service)
    with pytest.raises(jsonschema.ValidationError):
        check("service", service | fault)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("service_list", WRITER.write_full_service(STATION)),
        ("service_list", WRITER.write_service(STATION) | {"organization": WRITER.write_organization(POLICE) | {"phones": []}}),
        ("organization_list", WRITER.write_full_organization(ROOM, [])),
        ("service_at_location_list", WRITER.write_full_service_at_location(STATION)),
        ("full_service_at_location", WRITER.write_full_service_at_location(STATION) | {"service": WRITER.write_full_service(STATION)}),
    ],
)
def test_the_schemas_refuse_what_another_answer_has(check: Check, name: str, answer: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
        check(name, answer)
