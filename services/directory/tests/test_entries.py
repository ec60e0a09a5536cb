"""What an administrator may put in, what is refused, and what everybody sees of it; on both databases."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest
from administering import MONAS, Metadata, refuse

from chassis.testing import execute, free_port
from directory import current, loading
from directory.settings import Settings
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.area_pb2 import Area

Run = Callable[[Settings], AbstractAsyncContextManager[Any]]
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

WEST_JAVA = {
    "display_name": "Jawa Barat",
    "level": "PROVINCE",
    "point": {"latitude": -6.9, "longitude": 107.6},
    "time_zone": "Asia/Jakarta",
    "emergency_number": "112",
}
HOSPITAL = {"display_name": "RS Uji", "categories": ["HOSPITAL"], "point": MONAS}


async def create_area(stub: Any, admin: Metadata, code: str, **content: Any) -> Area:
    return await stub.CreateArea(admin_pb.CreateAreaRequest(area_id=code, area=content), metadata=admin)


async def create_facility(stub: Any, admin: Metadata, facility_id: str = "rs", **content: Any) -> Any:
    request = admin_pb.CreateFacilityRequest(facility_id=facility_id, facility={**HOSPITAL, **content})
    return await stub.CreateFacility(request, metadata=admin)


async def test_an_area_takes_from_its_parent_what_holds_for_the_whole(stub: Any, admin: Metadata) -> None:
    await create_area(stub, admin, "32", **WEST_JAVA)
    city = {"display_name": "Kota Bandung", "level": "REGENCY", "parent": "areas/32", "point": {"latitude": -6.91, "longitude": 107.61}}
    made = await create_area(stub, admin, "32.73", **city)
    assert (made.name, made.parent, made.time_zone, made.emergency_number) == ("areas/32.73", "areas/32", "Asia/Jakarta", "112")
    assert await stub.GetArea(pb.GetAreaRequest(name="areas/32.73")) == made
    reply = await stub.ResolveLocation(pb.ResolveLocationRequest(point=made.point))
    assert [area.name for area in reply.areas] == ["areas/32.73", "areas/32"]
    # Nobody has been named there yet: the number for any emergency is.
    assert {(each.number, each.agency.name) for each in reply.responsibilities} == {("112", "")}


@pytest.mark.parametrize(
    ("code", "changes", "reason", "field"),
    [
        ("", {}, "INVALID_REQUEST", "areaId"),
        ("..", {}, "INVALID_REQUEST", "areaId"),
        ("33", {"point": None}, "INVALID_REQUEST", "area.point"),
        ("33", {"level": 0}, "INVALID_ENTRY", "area.level"),
        ("33", {"time_zone": "Asia/Nowhere"}, "INVALID_ENTRY", "area.timeZone"),
        ("33", {"time_zone": "../etc/passwd"}, "INVALID_ENTRY", "area.timeZone"),
        ("33", {"emergency_number": ""}, "INVALID_ENTRY", "area.emergencyNumber"),
        ("33", {"display_name": "  "}, "INVALID_ENTRY", "area.displayName"),
        ("33.01", {"parent": "areas/31", "level": "REGENCY"}, "INVALID_ENTRY", "area.name"),
        ("31.99", {"parent": "areas/31", "level": "PROVINCE"}, "INVALID_ENTRY", "area.name"),
        ("31.71.01.1001.1", {"parent": "areas/31.71.01.1001", "level": "VILLAGE"}, "INVALID_ENTRY", "area.name"),
        ("33.01", {"parent": "areas/33", "level": "REGENCY"}, "AREA_NOT_FOUND", ""),
        ("31", {}, "ENTRY_EXISTS", ""),
    ],
)
async def test_an_area_that_cannot_be_is_refused(
    stub: Any, admin: Metadata, code: str, changes: dict[str, Any], reason: str, field: str
) -> None:
    content = {name: value for name, value in (WEST_JAVA | changes).items() if value is not None}
    refusal = await refuse(stub.CreateArea(admin_pb.CreateAreaRequest(area_id=code, area=content), metadata=admin))
    assert (refusal.reason, [name for name, _ in refusal.fields]) == (reason, [field] if field else [])


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"display_name": ""}, "INVALID_ENTRY", "facility.displayName"),
        ({"categories": []}, "INVALID_ENTRY", "facility.categories"),
        ({"opening_hours": "mornings"}, "INVALID_ENTRY", "facility.openingHours"),
        ({"categories": ["SHELTER_INTAKE"], "area": "areas/31"}, "INVALID_ENTRY", "facility.point"),
        ({"point": {"latitude": 0, "longitude": 0}}, "INVALID_ENTRY", "facility.area"),
        ({"assured_by": "Dinkes"}, "INVALID_ENTRY", "facility.assuredTime"),
        ({"numbers": [{"number": "021-344", "use": "CALL"}]}, "INVALID_REQUEST", "facility.numbers[0].number"),
        ({"numbers": [{"number": "021344"}]}, "INVALID_REQUEST", "facility.numbers[0].use"),
        ({"languages": ["bahasa indonesia"]}, "INVALID_REQUEST", "facility.languages[0]"),
        ({"categories": ["HOSPITAL", "HOSPITAL"]}, "INVALID_REQUEST", "facility.categories"),
        ({"area": "areas/99"}, "AREA_NOT_FOUND", ""),
        ({"agency": "agencies/none"}, "AGENCY_NOT_FOUND", ""),
    ],
)
async def test_a_facility_that_cannot_be_is_refused(stub: Any, admin: Metadata, changes: dict[str, Any], reason: str, field: str) -> None:
    request = admin_pb.CreateFacilityRequest(facility_id="rs", facility={**HOSPITAL, **changes})
    refusal = await refuse(stub.CreateFacility(request, metadata=admin))
    assert (refusal.reason, [name for name, _ in refusal.fields]) == (reason, [field] if field else [])
    assert (await stub.ListFacilities(pb.ListFacilitiesRequest())).total_size == 0


async def test_a_facility_belongs_to_the_smallest_area_at_its_point_and_moves_with_it(stub: Any, admin: Metadata) -> None:
    made = await create_facility(stub, admin)
    assert made.area == "areas/31.71.01.1001"
    assert (made.status, made.assured_by, made.source) == (1, "unconfirmed", "")
    update = {"name": made.name, "point": {"latitude": -6.1359, "longitude": 106.9254}}
    moved = await stub.UpdateFacility(admin_pb.UpdateFacilityRequest(facility=update), metadata=admin)
    assert moved.area.startswith("areas/31.72.")
    assert moved.etag != made.etag


async def test_an_entry_is_found_by_its_uid_too(stub: Any, admin: Metadata) -> None:
    made = await create_facility(stub, admin)
    assert await stub.GetFacility(pb.GetFacilityRequest(name=f"facilities/{made.uid}")) == await stub.GetFacility(
        pb.GetFacilityRequest(name=made.name)
    )
    agency = await stub.GetAgency(pb.GetAgencyRequest(name="agencies/jakarta-112"))
    assert await stub.GetAgency(pb.GetAgencyRequest(name=f"agencies/{agency.uid}")) == agency
    hotline = await stub.GetHotline(pb.GetHotlineRequest(name="hotlines/112"))
    assert await stub.GetHotline(pb.GetHotlineRequest(name=f"hotlines/{hotline.uid}")) == hotline
    assert (await refuse(stub.GetHotline(pb.GetHotlineRequest(name=f"hotlines/{agency.uid}")))).reason == "HOTLINE_NOT_FOUND"


async def test_facilities_are_listed_by_what_is_asked_of_them(stub: Any, admin: Metadata) -> None:
    await create_facility(stub, admin, "a", agency="agencies/jakarta-112")
    await create_facility(stub, admin, "b", categories=["POLICE", "COMPLAINT_POST"])
    await create_facility(stub, admin, "c", point={"latitude": -6.1359, "longitude": 106.9254}, status="CLOSED")
    agency = await stub.GetAgency(pb.GetAgencyRequest(name="agencies/jakarta-112"))

    async def names(**filters: Any) -> str:
        reply = await stub.ListFacilities(pb.ListFacilitiesRequest(**filters))
        assert reply.total_size == len(reply.facilities)
        return "".join(each.name[-1] for each in reply.facilities)

    assert await names() == "abc"
    assert await names(categories=["HOSPITAL"]) == "ac"
    assert await names(categories=["COMPLAINT_POST"]) == "b"
    assert await names(area="areas/31.71") == "ab"
    assert await names(area="areas/31.7") == ""
    assert await names(agency=f"agencies/{agency.uid}") == await names(agency="agencies/jakarta-112") == "a"
    assert await names(query="UJI") == "abc"
    assert await names(query="rs uji ") == await names(query="nobody") == ""
    changed = await stub.GetFacility(pb.GetFacilityRequest(name="facilities/b"))
    assert await names(updated_after=changed.update_time) == "bc"
    assert await names(updated_after=changed.update_time, categories=["HOSPITAL"]) == "c"
    skipped = await stub.ListFacilities(pb.ListFacilitiesRequest(skip=1, page_size=1))
    assert ([each.name[-1] for each in skipped.facilities], skipped.total_size) == (["b"], 3)


async def test_agencies_and_hotlines_are_listed_by_name_and_change(stub: Any, admin: Metadata) -> None:
    fire = await stub.ListAgencies(pb.ListAgenciesRequest(query="KEBAKARAN"))
    assert ([each.name for each in fire.agencies], fire.total_size) == (["agencies/jakarta-fire"], 1)
    ambulances = await stub.ListHotlines(pb.ListHotlinesRequest(query="ambulans"))
    assert [each.name for each in ambulances.hotlines] == ["hotlines/118", "hotlines/119"]
    update = {"name": "agencies/jakarta-112", "sip_uri": "sip:112@room.example"}
    changed = await stub.UpdateAgency(admin_pb.UpdateAgencyRequest(agency=update), metadata=admin)
    # What came with the program never changed.
    newer = await stub.ListAgencies(pb.ListAgenciesRequest(updated_after=changed.update_time))
    assert list(newer.agencies) == [changed]
    assert not (await stub.ListHotlines(pb.ListHotlinesRequest(updated_after=changed.update_time))).hotlines


@pytest.mark.parametrize(
    ("rpc", "name", "by"),
    [
        ("DeleteArea", "areas/31.71.01", "areas/31.71.01.1001"),
        ("DeleteArea", "areas/31", "areas/31.01"),
        ("DeleteArea", "areas/31.71.01.1001", "facilities/rs"),
        ("DeleteAgency", "agencies/jakarta-112", "agencies/basarnas-jakarta"),
        ("DeleteAgency", "agencies/jakarta-fire", "coverage/31.FIRE"),
    ],
)
async def test_what_others_need_stays(stub: Any, admin: Metadata, rpc: str, name: str, by: str) -> None:
    await create_facility(stub, admin)
    refusal = await refuse(getattr(stub, rpc)(getattr(admin_pb, f"{rpc}Request")(name=name), metadata=admin))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ENTRY_IN_USE")
    assert refusal.metadata["by"].partition("/")[0] == by.partition("/")[0]


async def test_an_agency_is_never_above_itself(stub: Any, admin: Metadata) -> None:
    update = {"name": "agencies/jakarta-112", "parent": "agencies/jakarta-police"}
    refusal = await refuse(stub.UpdateAgency(admin_pb.UpdateAgencyRequest(agency=update), metadata=admin))
    assert (refusal.reason, refusal.fields[0][0]) == ("INVALID_ENTRY", "agency.parent")
    itself = {"name": "agencies/jakarta-fire", "parent": "agencies/jakarta-fire"}
    assert (await refuse(stub.UpdateAgency(admin_pb.UpdateAgencyRequest(agency=itself), metadata=admin))).reason == "INVALID_ENTRY"


async def test_coverage_is_set_over_and_over_and_removed_once(stub: Any, admin: Metadata) -> None:
    for agency in ("jakarta-police", "jakarta-112"):
        row = {"area": "areas/31.71", "category": "POLICE", "agency": f"agencies/{agency}"}
        await stub.SetCoverage(admin_pb.SetCoverageRequest(coverage=row), metadata=admin)
    listed = await stub.ListCoverage(pb.ListCoverageRequest(area="areas/31.71"))
    assert [(row.category, row.agency) for row in listed.coverage] == [(2, "agencies/jakarta-112")]
    removal = admin_pb.RemoveCoverageRequest(area="areas/31.71", category="POLICE")
    await stub.RemoveCoverage(removal, metadata=admin)
    assert (await refuse(stub.RemoveCoverage(removal, metadata=admin))).reason == "COVERAGE_NOT_FOUND"
    unknown = {"area": "areas/31.71", "category": "POLICE", "agency": "agencies/none"}
    assert (await refuse(stub.SetCoverage(admin_pb.SetCoverageRequest(coverage=unknown), metadata=admin))).reason == "AGENCY_NOT_FOUND"


async def test_the_history_says_who_changed_what(stub: Any, admin: Metadata) -> None:
    made = await create_facility(stub, admin, alert_text="lama")
    update = {"name": made.name, "alert_text": "baru", "numbers": [{"number": "119", "use": "CALL"}]}
    await stub.UpdateFacility(admin_pb.UpdateFacilityRequest(facility=update), metadata=admin)
    # What changes nothing is no change.
    await stub.UpdateFacility(admin_pb.UpdateFacilityRequest(facility=update), metadata=admin)
    await stub.DeleteFacility(admin_pb.DeleteFacilityRequest(name=made.name), metadata=admin)
    listed = await stub.ListDirectoryChanges(admin_pb.ListDirectoryChangesRequest(name=made.name), metadata=admin)
    created, updated, deleted = listed.changes
    assert {(each.name, each.actor, each.source) for each in listed.changes} == {(made.name, "indra", "")}
    assert [each.action for each in listed.changes] == [1, 2, 3]
    assert {field.path: (field.old_value, field.new_value) for field in updated.fields} == {
        "alertText": ('"lama"', '"baru"'),
        "numbers": ("", '[{"number": "119", "use": "CALL"}]'),
    }
    assert {field.path for field in created.fields} == {
        "displayName",
        "categories",
        "area",
        "point",
        "status",
        "alertText",
        "assuredBy",
    }
    assert {field.path for field in deleted.fields} == {*(field.path for field in created.fields), "numbers"}
    everything = await stub.ListDirectoryChanges(admin_pb.ListDirectoryChangesRequest(), metadata=admin)
    assert everything.changes == listed.changes


def at(settings: Settings) -> Settings:
    return settings.model_copy(update={"listen": f"127.0.0.1:{free_port()}"})


async def change_some(stub: Any, admin: Metadata) -> None:
    """One of each kind made, changed and removed."""
    await create_area(stub, admin, "32", **WEST_JAVA)
    await stub.UpdateArea(admin_pb.UpdateAreaRequest(area={"name": "areas/31.71", "display_name": "Pusat"}), metadata=admin)
    await stub.DeleteArea(admin_pb.DeleteAreaRequest(name="areas/31.71.01.1001"), metadata=admin)
    agency = {"display_name": "Baru", "parent": "agencies/jakarta-112"}
    await stub.CreateAgency(admin_pb.CreateAgencyRequest(agency_id="baru", agency=agency), metadata=admin)
    row = {"area": "areas/32", "category": "FIRE", "agency": "agencies/baru"}
    await stub.SetCoverage(admin_pb.SetCoverageRequest(coverage=row), metadata=admin)
    await stub.RemoveCoverage(admin_pb.RemoveCoverageRequest(area="areas/31", category="FIRE"), metadata=admin)
    await stub.DeleteHotline(admin_pb.DeleteHotlineRequest(name="hotlines/118"), metadata=admin)
    hotline = {"display_name": "Baru", "categories": ["FIRE"], "numbers": [{"number": "1234", "use": "CALL"}]}
    await stub.CreateHotline(admin_pb.CreateHotlineRequest(hotline_id="baru", hotline=hotline), metadata=admin)
    for facility_id in ("a", "b"):
        await create_facility(stub, admin, facility_id, area="areas/31.71")
    await stub.DeleteFacility(admin_pb.DeleteFacilityRequest(name="facilities/a"), metadata=admin)


async def etags(stub: Any) -> tuple[str, str]:
    async for message in stub.WatchDirectory(pb.WatchDirectoryRequest()):
        return message.event.directory.etag, message.event.directory.facilities_etag
    raise AssertionError


async def check_increments(settings: Settings, run: Run, admin: Metadata) -> None:
    async with run(settings) as stub:
        await change_some(stub, admin)
        grown = await etags(stub)
        snapshot = await stub.GetSnapshot(pb.GetSnapshotRequest())
    async with run(at(settings)) as stub:
        assert await etags(stub) == grown
        assert await stub.GetSnapshot(pb.GetSnapshotRequest()) == snapshot


async def test_what_has_grown_change_by_change_is_what_a_fresh_start_loads(settings: Settings, run: Run, admin: Metadata) -> None:
    await check_increments(settings, run, admin)


@sqlite_only
async def test_mutant_a_loader_that_forgets_removals_is_found_out(
    settings: Settings, run: Run, admin: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in = loading._take_in

    def keep_all(contents: Any, _: frozenset[str], former: Any, writer: Any) -> Any:
        return take_in(contents, frozenset(each.name for rows in contents[:3] for each in rows), former, writer)

    monkeypatch.setattr(loading, "_take_in", keep_all)
    with pytest.raises(AssertionError):
        await check_increments(settings, run, admin)


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_the_other_replica_follows_and_whole_where_it_has_missed_much(
    settings: Settings, run: Run, admin: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(current, "_MAX_CHANGES", 3)
    async with run(settings) as one, run(at(settings)) as other:
        await change_some(one, admin)
        wanted = await etags(one)
        async with asyncio.timeout(8):
            while await etags(other) != wanted:
                await asyncio.sleep(0.02)
        # A change over there, on what was learnt from here.
        update = {"name": "facilities/b", "alert_text": "dari sana"}
        await other.UpdateFacility(admin_pb.UpdateFacilityRequest(facility=update), metadata=admin)
        async with asyncio.timeout(8):
            while (await one.GetFacility(pb.GetFacilityRequest(name="facilities/b"))).alert_text != "dari sana":
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_a_database_that_was_put_back_is_loaded_whole(
    settings: Settings, run: Run, admin: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another history under the same positions of the log is not taken for the one that was followed."""
    monkeypatch.setattr(current, "_CHECK_SECONDS", 0.05)
    async with run(settings) as stub:
        for facility_id in ("first", "second"):
            await create_facility(stub, admin, facility_id, area="areas/31.71")
        edition = "another"
        await asyncio.to_thread(
            execute,
            settings.database_url.get_secret_value(),
            "DELETE FROM facilities WHERE name = 'facilities/second'",
            f"""UPDATE events SET attributes = jsonb_set(attributes::jsonb, '{{former}}', '"{edition}"')""",
            f"UPDATE edition SET edition = '{edition}'",
        )
        async with asyncio.timeout(8):
            while (await stub.ListFacilities(pb.ListFacilitiesRequest())).total_size != 1:
                await asyncio.sleep(0.02)
