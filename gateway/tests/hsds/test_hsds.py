"""HSDS at the edge, from a directory with a few hundred facilities, as a harvester reads it."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from harness import RunningPlatform
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.agency_pb2 import PhoneNumber
from siaga.directory.v1.directory_admin_service_pb2 import CreateFacilityRequest
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub
from siaga.directory.v1.facility_pb2 import Facility
from siaga.type.v1.point_pb2 import Point

Check = Callable[[str, Any], None]
Json = dict[str, Any]

HOTLINES = 8
AGENCIES = ("", "agencies/jakarta-police", "agencies/jakarta-fire", "agencies/jakarta-pppa")
CATEGORIES = (agency_pb2.POLICE, agency_pb2.FIRE, agency_pb2.WOMEN_AND_CHILDREN, agency_pb2.HOSPITAL, agency_pb2.HEALTH_CENTRE)
HOURS = ("", "24/7", "Mo-Fr 08:00-16:00; PH off", "Mo[1] 08:00-12:00", "Mo-Th 07:30-12:00,13:00-16:00; Fr 07:30-11:00")
PLACE = (-6.1751234, 106.8272345)


def make_facility(number: int) -> Facility:
    """Every seventh serves its area by telephone alone."""
    has_place = bool(number % 7)
    return Facility(
        display_name=f"Facility {number}",
        categories=[CATEGORIES[number % len(CATEGORIES)]] if has_place else [agency_pb2.SHELTER_INTAKE],
        agency=AGENCIES[number % len(AGENCIES)],
        area="" if has_place else "areas/31.71",
        point=Point(latitude=-6.1 - number % 17 / 100, longitude=106.7 + number % 23 / 100) if has_place else None,
        address=f"Jl. Merdeka {number}" if has_place and number % 2 else "",
        numbers=[
            PhoneNumber(number="0213456789", use=PhoneNumber.CALL),
            PhoneNumber(number="081317617622", use=PhoneNumber.WHATSAPP),
        ],
        opening_hours=HOURS[number % len(HOURS)],
        languages=["id", "en-GB"][: number % 3],
        wheelchair=[Facility.WHEELCHAIR_UNSPECIFIED, Facility.YES, Facility.LIMITED, Facility.NO][number % 4],
        status=Facility.ACTIVE,
        assured_by="Dinas",
        assured_time=Timestamp(seconds=1_772_330_400),
    )


FACILITIES = [make_facility(number) for number in range(228)]
FACILITIES += [
    Facility(display_name="Flooded", categories=[agency_pb2.FIRE], point=Point(latitude=-6.2, longitude=106.8)),
    Facility(display_name="Gone", categories=[agency_pb2.FIRE], point=Point(latitude=-6.2, longitude=106.8)),
]
FACILITIES[-2].status, FACILITIES[-2].alert_text = Facility.TEMPORARILY_CLOSED, "Banjir sampai Senin"
FACILITIES[-1].status = Facility.CLOSED
ALL = HOTLINES + len(FACILITIES)


@pytest.fixture(scope="module")
def client(platform: RunningPlatform) -> Iterator[httpx.Client]:
    metadata = (("authorization", f"Bearer {platform.token('admin')}"),)
    with grpc.insecure_channel(platform.address("directory")) as channel:
        directory = DirectoryAdminServiceStub(channel)
        for number, facility in enumerate(FACILITIES):
            directory.CreateFacility(CreateFacilityRequest(facility_id=f"f{number}", facility=facility), metadata=metadata, timeout=10)
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        yield client


def get(client: httpx.Client, path: str, **parameters: str | float) -> Json:
    answer = client.get(f"/hsds{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(client: httpx.Client, check: Check, path: str, per_page: int, **parameters: str | float) -> list[Json]:
    """Every item, page by page, until the last page says that it is one."""
    found: list[Json] = []
    for number in range(1, 1000):
        page = get(client, path, page=number, per_page=per_page, **parameters)
        check("page", page)
        assert page["page_number"] == number
        assert page["first_page"] == (number == 1)
        assert page["size"] == len(page["contents"])
        assert page["empty"] == (not page["contents"])
        found += page["contents"]
        if page["last_page"]:
            assert page["total_items"] == len(found)
            assert page["total_pages"] == math.ceil(len(found) / per_page)
            return found
        assert page["size"] == per_page
    raise AssertionError("there is no last page")


def read_ids(items: list[Json]) -> list[str]:
    return [item["id"] for item in items]


def find_named(client: httpx.Client, check: Check, name: str) -> Json:
    return next(each for each in walk(client, check, "/services", 100, full="true") if each["name"] == name)


def test_the_base_says_which_standard_it_is(client: httpx.Client, check: Check) -> None:
    base = get(client, "/")
    check("base", base)
    assert base["version"] == "3.0"


@pytest.mark.parametrize("per_page", [7, 50, 100])
def test_a_harvester_finds_every_service_once(client: httpx.Client, check: Check, per_page: int) -> None:
    services = walk(client, check, "/services", per_page)
    for each in services:
        check("service_list", each)
    assert len(services) == len(set(read_ids(services))) == ALL
    assert {each["name"] for each in services} >= {each.display_name for each in FACILITIES} | {"Jakarta Siaga 112"}


def test_every_service_is_found_again_by_its_id_with_all_that_it_has(client: httpx.Client, check: Check) -> None:
    full = walk(client, check, "/services", 100, full="true")
    for each in full:
        check("service", each)
    assert read_ids(full) == read_ids(walk(client, check, "/services", 100))
    for each in full[::5]:
        assert get(client, f"/services/{each['id']}") == each
    locations = [link["location"]["location_type"] for each in full for link in each.get("service_at_locations", [])]
    assert locations.count("virtual") == sum(not each.HasField("point") for each in FACILITIES)
    assert len(locations) == len(FACILITIES)


def test_a_closed_place_says_so(client: httpx.Client, check: Check) -> None:
    flooded = find_named(client, check, "Flooded")
    assert (flooded["status"], flooded["alert"]) == ("temporarily closed", "Banjir sampai Senin")
    assert find_named(client, check, "Gone")["status"] == "defunct"


def test_numbers_hours_and_areas_are_told_in_the_standards_form(client: httpx.Client, check: Check) -> None:
    facility = find_named(client, check, "Facility 2")
    assert [each["number"] for each in facility["phones"]] == ["+62-21-3456789", "+6281317617622"]
    (schedule,) = facility["schedules"]
    assert (schedule["byday"], schedule["opens_at"], schedule["closes_at"]) == ("MO,TU,WE,TH,FR", "08:00+07:00", "16:00+07:00")
    intake = find_named(client, check, "Facility 7")
    assert [each["taxonomy_term"]["code"] for each in intake["attributes"]] == ["SHELTER_INTAKE"]
    assert len(intake["service_areas"]) == 1
    assert facility["last_modified"].endswith("Z")
    assert facility["assured_date"] == "2026-03-01"
    hotline = find_named(client, check, "Jakarta Siaga 112")
    assert [each["number"] for each in hotline["phones"]] == ["112"]


def test_every_facility_is_a_service_at_a_location(client: httpx.Client, check: Check) -> None:
    links = walk(client, check, "/service_at_locations", 60)
    full = walk(client, check, "/service_at_locations", 100, full="true")
    for each in links:
        check("service_at_location_list", each)
    for each in full:
        check("full_service_at_location", each)
    assert len(links) == len(set(read_ids(links))) == len(FACILITIES)
    assert read_ids(links) == read_ids(full)
    for each in full[::20]:
        assert get(client, f"/service_at_locations/{each['id']}") == each
        assert get(client, f"/services/{each['service_id']}")["service_at_locations"][0]["location"] == each["location"]


def test_every_organization_has_its_services(client: httpx.Client, check: Check) -> None:
    brief = walk(client, check, "/organizations", 4)
    full = walk(client, check, "/organizations", 100, full="true")
    for each in brief:
        check("organization_list", each)
    for each in full:
        check("full_organization", each)
    assert read_ids(brief) == read_ids(full)
    assert {each["parent_organization_id"] for each in brief if "parent_organization_id" in each} <= set(read_ids(brief))
    for each in full:
        assert get(client, f"/organizations/{each['id']}") == each
        assert sorted(read_ids(each["services"])) == sorted(read_ids(walk(client, check, "/services", 100, organization_id=each["id"])))
    assert sum(len(each["services"]) for each in full) == sum(bool(each.agency) for each in FACILITIES)


def test_every_term_finds_the_services_that_have_it(client: httpx.Client, check: Check) -> None:
    (taxonomy,) = walk(client, check, "/taxonomies", 100)
    assert get(client, f"/taxonomies/{taxonomy['id']}") == taxonomy
    terms = walk(client, check, "/taxonomy_terms", 3)
    for each in terms:
        check("taxonomy_term", each)
        assert get(client, f"/taxonomy_terms/{each['id']}") == each
        found = walk(client, check, "/services", 100, taxonomy_term_id=each["id"], full="true")
        assert all(each["id"] in [attribute["taxonomy_term_id"] for attribute in service["attributes"]] for service in found)
    counts = {each["code"]: get(client, "/services", taxonomy_term_id=each["id"])["total_items"] for each in terms}
    assert sum(counts.values()) == ALL
    assert counts["SHELTER_INTAKE"] == 33
    assert get(client, "/services", taxonomy_id=taxonomy["id"])["total_items"] == ALL
    assert get(client, "/taxonomy_terms", taxonomy_id=taxonomy["id"].upper())["total_items"] == len(terms)
    assert get(client, "/taxonomy_terms", taxonomy_id=terms[0]["id"])["total_items"] == 0


def test_filters_hold_together(client: httpx.Client, check: Check) -> None:
    terms = {each["code"]: each["id"] for each in walk(client, check, "/taxonomy_terms", 100)}
    organizations = {each["name"]: each["id"] for each in walk(client, check, "/organizations", 100)}
    asked = {"taxonomy_term_id": terms["HOSPITAL"], "organization_id": organizations["Polda Metro Jaya"]}
    wanted = {f.display_name for f in FACILITIES if agency_pb2.HOSPITAL in f.categories and f.agency == "agencies/jakarta-police"}
    for path in ("/services", "/service_at_locations"):
        found = walk(client, check, path, 5, **asked)
        assert {each.get("service", each)["name"] for each in found} == wanted
    for nothing in ({"taxonomy_term_id": asked["organization_id"]}, {"taxonomy_id": "x"}, {"organization_id": asked["taxonomy_term_id"]}):
        assert get(client, "/services", **nothing)["empty"]


def test_near_a_place_the_nearest_come_first(client: httpx.Client, check: Check) -> None:
    latitude, longitude = PLACE
    found = walk(client, check, "/service_at_locations", 20, latitude=latitude, longitude=longitude, proximity=5000)
    away = [measure(each["location"]["latitude"], each["location"]["longitude"]) for each in found]
    assert all(earlier <= later + 1 for earlier, later in pairwise(away))
    near = [each for each in FACILITIES if each.HasField("point") and measure(each.point.latitude, each.point.longitude) < 5000]
    assert sorted(each["service"]["name"] for each in found) == sorted(each.display_name for each in near if each.status != Facility.CLOSED)
    assert found


def measure(latitude: float, longitude: float) -> float:
    """Metres from PLACE by the haversine."""
    here, there = math.radians(PLACE[0]), math.radians(latitude)
    half = math.sin((there - here) / 2) ** 2 + math.cos(here) * math.cos(there) * math.sin(math.radians(longitude - PLACE[1]) / 2) ** 2
    return 2 * 6_371_009 * math.asin(math.sqrt(half))


def test_beyond_the_last_page_there_is_an_empty_one(client: httpx.Client, check: Check) -> None:
    page = get(client, "/services", page=10_000, per_page=100)
    check("page", page)
    assert page == {
        "total_items": ALL,
        "total_pages": 3,
        "page_number": 10_000,
        "size": 0,
        "first_page": False,
        "last_page": True,
        "empty": True,
        "contents": [],
    }


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/services", "page=0", "page"),
        ("/services", "page=10001", "page"),
        ("/services", "page=one", "page"),
        ("/services", "per_page=101", "per_page"),
        ("/services", "per_page=", "per_page"),
        ("/services", "full=yes", "full"),
        ("/services", "format=ndjson", "format"),
        ("/services", "search=a%0Ab", "search"),
        ("/services", f"search={'x' * 101}", "search"),
        ("/services", "modified_after=yesterday", "modified_after"),
        ("/services", "modified_after=0000-01-01", "modified_after"),
        ("/service_at_locations", "latitude=-6&longitude=106&proximity=500&search=x", "search"),
        ("/services", "minimal=yes", "minimal"),
        ("/services", "latitude=-6", "latitude"),
        ("/services/0b5d6b1c-7f0e-4a52-9a3b-5d9c1f6a2e01", "full=true", "full"),
        ("/organizations", "full_service=1", "full_service"),
        ("/service_at_locations", "postcode=10110", "postcode"),
        ("/service_at_locations", "proximity=500", "latitude"),
        ("/service_at_locations", "latitude=nan&longitude=1&proximity=500", "latitude"),
        ("/service_at_locations", "latitude=-6&longitude=181&proximity=500", "longitude"),
        ("/service_at_locations", "latitude=-6&longitude=106&proximity=0", "proximity"),
        ("/service_at_locations", "latitude=-6&longitude=106&proximity=500&organization_id=x", "organization_id"),
        ("/taxonomy_terms", "top_only=x", "top_only"),
        ("/taxonomies", "parent_id=x", "parent_id"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(client: httpx.Client, path: str, query: str, field: str) -> None:
    answer = client.get(f"/hsds{path}?{query}")
    assert answer.status_code == 400
    info, bad = answer.json()["details"]
    assert info["reason"] == "INVALID_REQUEST"
    assert [each["field"] for each in bad["fieldViolations"]] == [field]


def test_a_harvester_asks_for_what_has_changed_and_what_has_a_name(client: httpx.Client, check: Check) -> None:
    facilities = walk(client, check, "/service_at_locations", 100)
    assert walk(client, check, "/service_at_locations", 100, modified_after="2000-01-01") == facilities
    assert walk(client, check, "/service_at_locations", 100, modified_after="2100-01-01") == []
    for kind in ("/services", "/organizations"):
        everything = walk(client, check, kind, 100)
        changed = [each for each in everything if "last_modified" in each]
        # What came with the program never changed.
        assert walk(client, check, kind, 100, modified_after="2000-01-01") == changed
        assert walk(client, check, kind, 100, modified_after="2100-01-01T00:00:00+07:00") == []
        if changed:
            times = sorted(each["last_modified"] for each in changed)
            newer = walk(client, check, kind, 100, modified_after=times[len(times) // 2])
            assert 0 < len(newer) < len(everything)
    names = [each["name"] for each in walk(client, check, "/services", 100)]
    found = [each["name"] for each in walk(client, check, "/services", 3, search="aMbulans")]
    assert found == [name for name in names if "ambulans" in name.lower()]
    assert found
    assert [each["name"] for each in walk(client, check, "/organizations", 50, search="BASARNAS")] == ["Basarnas Jakarta"]


def test_a_harvester_may_ask_for_little_and_for_everything_at_once(client: httpx.Client, check: Check) -> None:
    services = walk(client, check, "/services", 100)
    for each in walk(client, check, "/services", 100, minimal="true"):
        check("service_list", each)
        assert set(each) <= {"id", "name", "status", "last_modified"}
    assert read_ids(walk(client, check, "/services", 100, minimal="true")) == read_ids(services)
    for each in walk(client, check, "/organizations", 50, full_service="true"):
        check("full_organization", each)
        assert client.get(f"/hsds/organizations/{each['id']}?full_service=true").json() == each
        for service in each["services"]:
            assert client.get(f"/hsds/services/{service['id']}").json() == service


def test_terms_are_found_by_their_name_and_none_lies_below_another(client: httpx.Client, check: Check) -> None:
    terms = walk(client, check, "/taxonomy_terms", 50)
    assert walk(client, check, "/taxonomy_terms", 50, top_only="true") == terms
    assert walk(client, check, "/taxonomy_terms", 50, parent_id=terms[0]["id"]) == []
    assert [each["code"] for each in walk(client, check, "/taxonomy_terms", 50, search="hospital")] == ["HOSPITAL"]
    assert walk(client, check, "/taxonomies", 50, search="siaga") == walk(client, check, "/taxonomies", 50)


@pytest.mark.parametrize("kind", ["services", "organizations", "service_at_locations", "taxonomies", "taxonomy_terms"])
def test_what_is_not_there_is_not_found(client: httpx.Client, kind: str) -> None:
    for name in ("0b5d6b1c-7f0e-4a52-9a3b-5d9c1f6a2e01", "f1", "jakarta-police", "112"):
        answer = client.get(f"/hsds/{kind}/{name}")
        assert answer.status_code == 404
        assert answer.json()["code"] == 5


def test_a_hotline_is_no_service_at_a_location(client: httpx.Client, check: Check) -> None:
    hotline = find_named(client, check, "Jakarta Siaga 112")
    assert client.get(f"/hsds/service_at_locations/{hotline['id']}").status_code == 404


def test_nothing_can_be_written(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/hsds/services").status_code == 404


def test_a_position_is_in_no_log(client: httpx.Client, platform: RunningPlatform) -> None:
    latitude, longitude = PLACE
    for proximity in (5000, 0):
        client.get("/hsds/service_at_locations", params={"latitude": latitude, "longitude": longitude, "proximity": proximity})
    for part in ("envoy", "adapters", "directory"):
        log = platform.log(part)
        assert not any(word in log for word in (str(latitude), str(longitude), "proximity"))
