"""Every RPC that reads, over gRPC, on the directory that comes with the program."""

from collections.abc import Callable, Iterable
from typing import Any

import grpc
import pytest
from administering import refuse

from siaga.directory.v1 import agency_pb2, area_pb2
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

GAMBIR = {"latitude": -6.1745, "longitude": 106.8227}
NOWHERE = {"latitude": 0.0, "longitude": 0.0}


@pytest.fixture
def engine() -> str:
    """What is asked here never comes to the database, so that one of the two will do."""
    return "sqlite"


async def turn_pages(call: Callable[[Any], Any], request: Any, entries: Callable[[Any], Iterable[Any]]) -> list[str]:
    """The names on all pages of two entries each."""
    request.page_size, names = 2, []
    while True:
        reply = await call(request)
        page = [entry.name for entry in entries(reply)]
        assert len(page) <= 2
        names += page
        if not reply.next_page_token:
            return names
        request.page_token = reply.next_page_token


async def test_a_place_has_its_areas_the_smallest_first_and_who_answers_there(stub: DirectoryServiceStub) -> None:
    reply = await stub.ResolveLocation(pb.ResolveLocationRequest(point=GAMBIR))
    assert [area.level for area in reply.areas] == [4, 3, 2, 1]
    assert [area.name for area in reply.areas][1:] == ["areas/31.71.01", "areas/31.71", "areas/31"]
    assert reply.match == pb.ResolveLocationResponse.NEAREST
    assert [(each.category, each.agency.name) for each in reply.responsibilities] == [
        (agency_pb2.EMERGENCY, "agencies/jakarta-112"),
        (agency_pb2.POLICE, "agencies/jakarta-police"),
        (agency_pb2.FIRE, "agencies/jakarta-fire"),
        (agency_pb2.AMBULANCE, "agencies/jakarta-ambulance"),
        (agency_pb2.SEARCH_AND_RESCUE, "agencies/basarnas-jakarta"),
        (agency_pb2.WOMEN_AND_CHILDREN, "agencies/jakarta-pppa"),
    ]
    assert reply.emergency_number == "112"
    assert not reply.stale
    assert reply.HasField("load_time")


async def test_every_villages_own_point_belongs_to_it(stub: DirectoryServiceStub) -> None:
    villages = await stub.ListAreas(pb.ListAreasRequest(level=area_pb2.Area.VILLAGE, page_size=1000))
    assert len(villages.areas) == 267
    for village in villages.areas:
        reply = await stub.ResolveLocation(pb.ResolveLocationRequest(point=village.point))
        assert reply.areas[0].name == village.name


@pytest.mark.parametrize(
    ("point", "village"),
    [
        # Islands far from their villages' points: Panjang, Pramuka, Bidadari.
        ((-5.645, 106.563), "areas/31.01.01.1002"),
        ((-5.7457, 106.6135), "areas/31.01.01.1001"),
        ((-6.0355, 106.7466), "areas/31.01.02.1001"),
        # Bogor, the open Java Sea, and the other side of the earth.
        ((-6.595, 106.8166), ""),
        ((-5.0, 107.5), ""),
        ((6.2, -73.2), ""),
    ],
)
async def test_islands_have_a_village_and_other_cities_and_the_open_sea_none(
    stub: DirectoryServiceStub, point: tuple[float, float], village: str
) -> None:
    reply = await stub.ResolveLocation(pb.ResolveLocationRequest(point={"latitude": point[0], "longitude": point[1]}))
    assert (reply.areas[0].name if reply.areas else "") == village


async def test_a_place_that_belongs_to_no_area_still_has_a_number_to_dial(stub: DirectoryServiceStub) -> None:
    reply = await stub.ResolveLocation(pb.ResolveLocationRequest(point=NOWHERE))
    assert (list(reply.areas), list(reply.responsibilities), reply.match) == ([], [], pb.ResolveLocationResponse.MATCH_UNSPECIFIED)
    assert reply.emergency_number == "112"


async def test_the_one_to_call_in_any_emergency_comes_first(stub: DirectoryServiceStub) -> None:
    reply = await stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR))
    assert [contact.name.removeprefix("hotlines/") for contact in reply.contacts] == [
        "112",
        "110",
        "113",
        "118",
        "119",
        "115",
        "sapa-129",
        "uptpppa",
    ]
    assert {contact.assured_by for contact in reply.contacts} == {"unconfirmed"}
    assert not reply.stale


async def test_contacts_of_some_categories_are_those_alone(stub: DirectoryServiceStub) -> None:
    wanted = [agency_pb2.WOMEN_AND_CHILDREN, agency_pb2.FIRE]
    reply = await stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR, categories=wanted))
    assert [contact.name for contact in reply.contacts] == ["hotlines/113", "hotlines/sapa-129", "hotlines/uptpppa"]


async def test_numbers_that_hold_in_the_whole_country_are_found_anywhere(stub: DirectoryServiceStub) -> None:
    reply = await stub.SearchNearby(pb.SearchNearbyRequest(point=NOWHERE))
    [contact] = reply.contacts
    assert contact.name == "hotlines/sapa-129"
    # Nobody is left without a number for any emergency.
    assert reply.emergency_number == "112"
    assert [(number.number, agency_pb2.PhoneNumber.Use.Name(number.use)) for number in contact.numbers] == [
        ("129", "CALL"),
        ("021129", "CALL"),
        ("08111129129", "WHATSAPP"),
    ]


async def test_contacts_come_in_pages(stub: DirectoryServiceStub) -> None:
    names = await turn_pages(stub.SearchNearby, pb.SearchNearbyRequest(point=GAMBIR), lambda reply: reply.contacts)
    whole = await stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR))
    assert names == [contact.name for contact in whole.contacts]


async def test_areas_come_in_pages_parents_before_their_children(stub: DirectoryServiceStub) -> None:
    request = pb.ListAreasRequest()
    names = await turn_pages(stub.ListAreas, request, lambda reply: reply.areas)
    assert len(names) == len(set(names)) == 318
    seen = {""}
    for name in names:
        assert (await stub.GetArea(pb.GetAreaRequest(name=name))).parent in seen
        seen.add(name)


async def test_areas_can_be_asked_for_by_parent_and_level(stub: DirectoryServiceStub) -> None:
    children = await turn_pages(stub.ListAreas, pb.ListAreasRequest(parent="areas/31.71.01"), lambda reply: reply.areas)
    assert children == [f"areas/31.71.01.100{number}" for number in range(1, 7)]
    regencies = await stub.ListAreas(pb.ListAreasRequest(level=area_pb2.Area.REGENCY))
    assert [area.name for area in regencies.areas] == ["areas/31.01", *(f"areas/31.7{number}" for number in range(1, 6))]


async def test_agencies_and_hotlines_come_in_pages_by_name(stub: DirectoryServiceStub) -> None:
    agencies = await turn_pages(stub.ListAgencies, pb.ListAgenciesRequest(), lambda reply: reply.agencies)
    hotlines = await turn_pages(stub.ListHotlines, pb.ListHotlinesRequest(), lambda reply: reply.hotlines)
    assert (len(agencies), len(hotlines)) == (7, 8)
    assert agencies == sorted(agencies)
    assert hotlines == sorted(hotlines)


async def test_every_agency_but_the_test_console_has_the_112_room_above_it_and_its_numbers(stub: DirectoryServiceStub) -> None:
    reply = await stub.ListAgencies(pb.ListAgenciesRequest())
    found = {agency.name: (agency.parent, [number.number for number in agency.numbers]) for agency in reply.agencies}
    assert found == {
        "agencies/jakarta-112": ("", ["112"]),
        "agencies/jakarta-police": ("agencies/jakarta-112", ["110"]),
        "agencies/jakarta-fire": ("agencies/jakarta-112", ["113"]),
        "agencies/jakarta-ambulance": ("agencies/jakarta-112", ["118", "119"]),
        "agencies/basarnas-jakarta": ("agencies/jakarta-112", ["115"]),
        "agencies/jakarta-pppa": ("agencies/jakarta-112", ["081317617622"]),
        "agencies/sentinel": ("", []),
    }


async def test_one_entry_can_be_asked_for_by_its_name(stub: DirectoryServiceStub) -> None:
    area = await stub.GetArea(pb.GetAreaRequest(name="areas/31.71.01.1001"))
    assert (area.display_name, area.time_zone, area.emergency_number, area.has_boundary) == ("Gambir", "Asia/Jakarta", "112", False)
    agency = await stub.GetAgency(pb.GetAgencyRequest(name="agencies/jakarta-112"))
    assert agency.display_name == "Jakarta Siaga 112, BPBD DKI Jakarta"
    assert not agency.HasField("assured_time")
    hotline = await stub.GetHotline(pb.GetHotlineRequest(name="hotlines/112"))
    assert (hotline.area, list(hotline.categories)) == ("areas/31", [agency_pb2.EMERGENCY])


async def test_what_is_not_there_is_refused_by_its_own_reason(stub: DirectoryServiceStub) -> None:
    absent = grpc.StatusCode.NOT_FOUND
    assert (await refuse(stub.GetArea(pb.GetAreaRequest(name="areas/99"))))[:2] == (absent, "AREA_NOT_FOUND")
    assert (await refuse(stub.GetAgency(pb.GetAgencyRequest(name="agencies/none"))))[:2] == (absent, "AGENCY_NOT_FOUND")
    assert (await refuse(stub.GetHotline(pb.GetHotlineRequest(name="hotlines/none"))))[:2] == (absent, "HOTLINE_NOT_FOUND")
    assert (await refuse(stub.GetAreaBoundary(pb.GetAreaBoundaryRequest(name="areas/99"))))[:2] == (absent, "AREA_NOT_FOUND")
    assert (await refuse(stub.GetAreaBoundary(pb.GetAreaBoundaryRequest(name="areas/31.71.01.1001"))))[:2] == (absent, "BOUNDARY_UNKNOWN")


async def test_a_page_token_of_another_question_is_refused(stub: DirectoryServiceStub) -> None:
    reply = await stub.ListAreas(pb.ListAreasRequest(page_size=1))
    wrong = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    token = reply.next_page_token
    assert (await refuse(stub.ListAreas(pb.ListAreasRequest(page_token=token, parent="areas/31"))))[:2] == wrong
    assert (await refuse(stub.ListAgencies(pb.ListAgenciesRequest(page_token=token))))[:2] == wrong
    assert (await refuse(stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR, page_token="bm9uc2Vuc2U"))))[:2] == wrong


@pytest.mark.parametrize(
    ("rpc", "request_message"),
    [
        ("ResolveLocation", pb.ResolveLocationRequest()),
        ("ResolveLocation", pb.ResolveLocationRequest(point={"latitude": -6.2})),
        ("SearchNearby", pb.SearchNearbyRequest(point={"latitude": 91, "longitude": 0})),
        ("SearchNearby", pb.SearchNearbyRequest(point={"latitude": float("nan"), "longitude": 0})),
        ("SearchNearby", pb.SearchNearbyRequest(point=GAMBIR, categories=[0])),
        ("ListAreas", pb.ListAreasRequest(page_size=1001)),
        ("GetArea", pb.GetAreaRequest(name="31.71")),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused(stub: DirectoryServiceStub, rpc: str, request_message: Any) -> None:
    assert (await refuse(getattr(stub, rpc)(request_message)))[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_the_snapshot_is_everything_and_comes_once_for_an_etag(stub: DirectoryServiceStub) -> None:
    whole = await stub.GetSnapshot(pb.GetSnapshotRequest())
    snapshot = whole.snapshot
    assert [len(snapshot.areas), len(snapshot.agencies), len(snapshot.hotlines), len(snapshot.coverage)] == [318, 7, 8, 6]
    assert all(record.boundary == b"" for record in snapshot.areas)
    again = await stub.GetSnapshot(pb.GetSnapshotRequest(etag=whole.etag))
    assert (again.etag, again.HasField("snapshot")) == (whole.etag, False)
    other = await stub.GetSnapshot(pb.GetSnapshotRequest(etag="another"))
    assert other == whole


async def test_an_invalid_token_is_refused_and_none_is_fine(stub: DirectoryServiceStub) -> None:
    metadata = (("authorization", "Bearer nonsense"),)
    call = stub.GetArea(pb.GetAreaRequest(name="areas/31"), metadata=metadata)
    assert (await refuse(call))[:2] == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")
    assert (await stub.GetArea(pb.GetAreaRequest(name="areas/31"))).display_name == "DKI Jakarta"
