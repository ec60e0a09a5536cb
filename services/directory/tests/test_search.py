"""Who can be called near a place: distances, order, filters and pages."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from administering import MONAS, Metadata, refuse
from hypothesis import given, settings
from hypothesis import strategies as st

from directory import answers
from directory.memory.facilities import Facilities, read_facilities
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.facility_pb2 import Facility

# The mean radius of the IUGG, as a reference of its own.
EARTH = 6_371_008.7714
HOSPITAL, POLICE, POST = 7, 2, 9


@pytest.fixture
def engine() -> str:
    """What is asked here never comes to the database, so that one of the two will do."""
    return "sqlite"


def haversine(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres between two points in degrees."""
    latitude, longitude, other_latitude, other_longitude = map(math.radians, (*one, *other))
    half = math.sin((other_latitude - latitude) / 2) ** 2
    half += math.cos(latitude) * math.cos(other_latitude) * math.sin((other_longitude - longitude) / 2) ** 2
    return 2 * EARTH * math.asin(math.sqrt(half))


places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
near_jakarta = st.tuples(st.floats(-6.4, -6.0), st.floats(106.6, 107.0))
facilities = st.lists(
    st.tuples(st.one_of(near_jakarta, places), st.sets(st.sampled_from([HOSPITAL, POLICE, POST]), min_size=1)), max_size=120
)


@given(facilities, st.one_of(near_jakarta, places), st.floats(1, 500_000), st.sets(st.sampled_from([HOSPITAL, POLICE, POST])))
@settings(max_examples=300, deadline=None)
def test_the_nearest_are_those_that_a_look_at_each_finds(
    entries: list[tuple[tuple[float, float], set[int]]], at: tuple[float, float], meters: float, wanted: set[int]
) -> None:
    # Some stand at the very place of another one.
    entries = entries + entries[:5]
    made = [
        Facility(
            name=f"facilities/{number:03}", categories=sorted(kinds), point={"latitude": place[0], "longitude": place[1]}, uid=str(number)
        )
        for number, (place, kinds) in enumerate(entries)
    ]
    found = list(Facilities(read_facilities(made)).walk_near(*at, meters, sorted(wanted)))
    away = {each.name: haversine(at, (each.point.latitude, each.point.longitude)) for each in made}
    assert [meters for meters, _ in found] == pytest.approx([away[record.facility.name] for _, record in found], abs=0.01)
    order = [(meters, record.facility.name) for meters, record in found]
    assert order == sorted(order)
    names = [name for _, name in order]
    assert len(set(names)) == len(names)
    for each in made:
        matches = not wanted or not wanted.isdisjoint(each.categories)
        if each.name in names:
            assert matches
            assert away[each.name] <= meters + 0.01
        elif matches:
            assert away[each.name] >= meters - 0.01


def test_thousands_at_one_place_come_once_and_in_order() -> None:
    made = [Facility(name=f"facilities/{number:05}", categories=[POLICE], point=MONAS) for number in range(3000)]
    found = [record.facility.name for _, record in Facilities(read_facilities(made)).walk_near(-6.18, 106.83, 5000)]
    assert found == [each.name for each in made]


async def create(stub: Any, admin: Metadata, facility_id: str, **content: Any) -> Facility:
    usual = {"display_name": f"Uji {facility_id}", "categories": ["HOSPITAL"], "point": MONAS}
    request = admin_pb.CreateFacilityRequest(facility_id=facility_id, facility={**usual, **content})
    return await stub.CreateFacility(request, metadata=admin)


async def search(stub: Any, **more: Any) -> list[Any]:
    """All the pages."""
    request, found = pb.SearchNearbyRequest(point=MONAS, **more), []
    while True:
        reply = await stub.SearchNearby(request)
        found += reply.contacts
        request.page_token = reply.next_page_token
        if not request.page_token:
            return found


def names_of(contacts: list[Any]) -> list[str]:
    return [contact.name.partition("/")[2] for contact in contacts if contact.name.startswith("facilities/")]


async def test_hotlines_come_first_then_telephones_without_a_place_then_the_nearest(stub: Any, admin: Metadata) -> None:
    number = [{"number": "0211234567", "use": "CALL"}]
    await create(stub, admin, "far", point={"latitude": -6.2, "longitude": 106.9})
    await create(stub, admin, "near", point={"latitude": -6.176, "longitude": 106.828})
    await create(stub, admin, "gone", status="CLOSED")
    intake = {"categories": ["SHELTER_INTAKE"], "numbers": number}
    await stub.CreateFacility(
        admin_pb.CreateFacilityRequest(facility_id="intake", facility={"display_name": "Uji", "area": "areas/31", **intake}), metadata=admin
    )
    elsewhere = {"display_name": "Uji", "area": "areas/31.01", **intake}
    await stub.CreateFacility(admin_pb.CreateFacilityRequest(facility_id="elsewhere", facility=elsewhere), metadata=admin)
    found = await search(stub)
    assert [contact.name.partition("/")[0] for contact in found] == ["hotlines"] * 8 + ["facilities"] * 3
    assert names_of(found) == ["intake", "near", "far"]
    intake_found = next(contact for contact in found if contact.name == "facilities/intake")
    assert (intake_found.HasField("point"), intake_found.HasField("distance_meters"), intake_found.address) == (False, False, "")
    assert intake_found.numbers[0].uri == "tel:+62-21-1234567"
    assert found[-1].distance_meters == pytest.approx(haversine((-6.1754, 106.8272), (-6.2, 106.9)), abs=0.01)
    assert names_of(await search(stub, page_size=1)) == ["intake", "near", "far"]
    assert names_of(await search(stub, max_distance_meters=1000)) == ["intake", "near"]
    assert names_of(await search(stub, categories=["SHELTER_INTAKE"])) == ["intake"]


async def test_pages_have_everything_once_also_where_many_stand_at_one_place(stub: Any, admin: Metadata) -> None:
    dice = random.Random(3)
    for number in range(40):
        place = MONAS if number % 2 else {"latitude": dice.uniform(-6.2, -6.1), "longitude": dice.uniform(106.8, 106.9)}
        await create(stub, admin, f"f{number:02}", point=place)
    whole = [contact.name for contact in await search(stub, page_size=1000)]
    assert len(whole) == len(set(whole)) == 48
    for size in (1, 7, 47, 48):
        assert [contact.name for contact in await search(stub, page_size=size)] == whole


async def test_what_is_known_of_a_facility_is_told(stub: Any, admin: Metadata) -> None:
    content = {
        "address": "Jalan Uji 1",
        "numbers": [{"number": "081234567890", "use": "WHATSAPP"}],
        "opening_hours": "24/7",
        "languages": ["id", "en"],
        "wheelchair": "LIMITED",
        "alert_text": "Pintu utara ditutup",
    }
    await create(stub, admin, "rs", **content)
    [found] = [contact for contact in await search(stub) if contact.name == "facilities/rs"]
    assert (found.address, found.opening_hours, list(found.languages), found.alert_text) == (
        "Jalan Uji 1",
        "24/7",
        ["id", "en"],
        "Pintu utara ditutup",
    )
    assert found.numbers[0].uri == "https://wa.me/6281234567890"
    assert (found.wheelchair, found.status, found.open_now, found.HasField("open_change_time")) == (2, 1, True, False)
    assert (found.assured_by, found.unassured) == ("unconfirmed", True)


def at(stub_time: str) -> datetime:
    return datetime.fromisoformat(stub_time).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "time", "is_open", "change"),
    [
        ("Mo-Fr 08:00-16:00; PH off", "2026-11-25T08:00:00+07:00", True, "2026-11-25T16:00:00+07:00"),
        ("Mo-Fr 08:00-16:00; PH off", "2026-11-25T07:59:59+07:00", False, "2026-11-25T08:00:00+07:00"),
        ("Mo-Fr 08:00-16:00; PH off", "2026-11-27T16:00:00+07:00", False, "2026-11-30T08:00:00+07:00"),
        # Christmas, a Friday; and the day of independence, a Monday.
        ("Mo-Fr 08:00-16:00; PH off", "2026-12-25T10:00:00+07:00", False, "2026-12-28T08:00:00+07:00"),
        ("Mo-Fr 08:00-16:00; PH off", "2026-08-17T10:00:00+07:00", False, "2026-08-18T08:00:00+07:00"),
        # Idul Fitri, which follows the moon, a Saturday and a Sunday.
        ("Mo-Su 08:00-16:00; PH off", "2026-03-21T10:00:00+07:00", False, "2026-03-23T08:00:00+07:00"),
        ("PH,Mo-Fr 08:00-16:00", "2026-03-21T10:00:00+07:00", True, "2026-03-21T16:00:00+07:00"),
        ('24/7; PH 10:00-12:00 "libur; kunjungan"', "2026-03-21T09:00:00+07:00", False, "2026-03-21T10:00:00+07:00"),
        ("Mo-Su 20:00-04:00", "2026-11-25T03:00:00+07:00", True, "2026-11-25T04:00:00+07:00"),
        ("24/7", "2026-11-25T03:00:00+07:00", True, None),
        ("off", "2026-11-25T03:00:00+07:00", False, None),
        ("Mo-Fr unknown", "2026-11-25T03:00:00+07:00", None, "2026-11-28T00:00:00+07:00"),
        ("", "2026-11-25T03:00:00+07:00", None, None),
    ],
)
async def test_opening_goes_by_the_local_time_and_the_holidays(
    stub: Any, admin: Metadata, monkeypatch: pytest.MonkeyPatch, hours: str, time: str, is_open: object, change: str | None
) -> None:
    await create(stub, admin, "rs", opening_hours=hours)
    monkeypatch.setattr("directory.servicer.directory.now", lambda: at(time))
    [found] = [contact for contact in await search(stub) if contact.name == "facilities/rs"]
    assert (found.open_now if found.HasField("open_now") else None) is is_open
    if is_open is not None:
        assert (found.open_change_time.ToDatetime(UTC) if found.HasField("open_change_time") else None) == (at(change) if change else None)
    assert names_of(await search(stub, open_now=True)) == (["rs"] if is_open else [])


async def test_what_is_closed_for_a_time_is_shown_and_not_open(stub: Any, admin: Metadata) -> None:
    await create(stub, admin, "rs", opening_hours="24/7", status="TEMPORARILY_CLOSED", alert_text="Banjir")
    [found] = [contact for contact in await search(stub) if contact.name == "facilities/rs"]
    assert (found.open_now, found.alert_text, found.status) == (False, "Banjir", 2)
    assert names_of(await search(stub, open_now=True)) == []


async def test_an_assurance_holds_for_a_year(stub: Any, admin: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(stub, admin, "rs", assured_by="Dinas Kesehatan", assured_time=datetime(2026, 1, 1, tzinfo=UTC))
    request = pb.GetFacilityRequest(name="facilities/rs")
    for days, unassured in ((364, False), (366, True)):
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
        monkeypatch.setattr("directory.servicer.directory.now", lambda time=time: time)
        [found] = [contact for contact in await search(stub) if contact.name == "facilities/rs"]
        assert found.unassured is unassured
        assert (await stub.GetFacility(request)).unassured is unassured


async def test_the_bundle_is_small_and_comes_once_for_an_etag(stub: Any, admin: Metadata) -> None:
    number = [{"number": "0211234567", "use": "CALL"}]
    for distance in range(5):
        place = {"latitude": -6.2307 - distance / 1000, "longitude": 106.8481}
        await create(stub, admin, f"rs{distance}", point=place, numbers=number, opening_hours="24/7")
    await create(stub, admin, "mute", point={"latitude": -6.2307, "longitude": 106.8481})
    whole = await stub.GetNumbersBundle(pb.GetNumbersBundleRequest(area="areas/31"))
    assert whole.emergency_number == "112"
    assert [contact.name for contact in whole.contacts][8:] == ["facilities/rs0", "facilities/rs1", "facilities/rs2"]
    assert not any(contact.HasField("open_now") or contact.HasField("distance_meters") for contact in whole.contacts)
    again = await stub.GetNumbersBundle(pb.GetNumbersBundleRequest(area="areas/31", etag=whole.etag))
    assert again == pb.GetNumbersBundleResponse(etag=whole.etag)
    # The hotlines of the whole serve each part; its facilities are its own.
    part = await stub.GetNumbersBundle(pb.GetNumbersBundleRequest(area="areas/31.01"))
    assert [contact.name for contact in part.contacts] == [contact.name for contact in whole.contacts][:8]
    call = stub.GetNumbersBundle(pb.GetNumbersBundleRequest(area="areas/31"))
    assert dict(await call.initial_metadata())["cache-control"] == "public, max-age=3600"
    assert (await refuse(stub.GetNumbersBundle(pb.GetNumbersBundleRequest(area="areas/99")))).reason == "AREA_NOT_FOUND"


def test_the_parts_of_a_contact_that_are_written_by_hand_are_the_contracts() -> None:
    assert pb.Contact.FromString(answers._UNASSURED) == pb.Contact(unassured=True)
    assert pb.Contact.FromString(answers._DISTANCE_HEAD + answers._DISTANCE.pack(1.5)) == pb.Contact(distance_meters=1.5)
