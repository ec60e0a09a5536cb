"""Facilities by file: what an import adds, changes, removes and leaves alone; on both databases."""

import asyncio
import gc
import json
from typing import Any

import grpc
import pytest
from administering import Metadata, cut_file, import_file, refuse

from chassis.database.postgres import PostgresDatabase
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.facility_pb2 import Facility

HEADER = "id,name,categories,latitude,longitude,numbers,opening_hours"
GAMBIR, PENJARINGAN = "-6.1754,106.8272", "-6.1359,106.80"
TABLE = f"""{HEADER}
1,RS Satu,HOSPITAL,{GAMBIR},021-3441008,24/7
2,Pos Dua,FIRE,{PENJARINGAN},113,
"""


async def import_table(stub: Any, admin: Metadata, table: str, scope: str = "areas/31", **head: Any) -> Any:
    return await import_file(stub, admin, table.encode(), scope, format="FACILITIES_CSV", **head)


async def list_facilities(stub: Any) -> dict[str, Facility]:
    reply = await stub.ListFacilities(pb.ListFacilitiesRequest(page_size=1000))
    return {each.name.removeprefix("facilities/"): each for each in reply.facilities}


async def test_a_table_is_imported_once_however_often_it_is_sent(stub: Any, admin: Metadata) -> None:
    shown = await import_table(stub, admin, TABLE, dry_run=True)
    assert shown.counts == {"added": 2, "dry_run": True}
    assert await list_facilities(stub) == {}
    done = await import_table(stub, admin, TABLE)
    assert done.changes == shown.changes
    assert done.counts == {"added": 2}
    found = await list_facilities(stub)
    assert {name: (each.area, each.source, each.status) for name, each in found.items()} == {
        "csv-1": ("areas/31.71.01.1001", "csv", 1),
        "csv-2": (found["csv-2"].area, "csv", 1),
    }
    assert found["csv-2"].area.startswith("areas/31.73.")
    assert found["csv-1"].numbers[0].number == "0213441008"
    again = await import_table(stub, admin, TABLE)
    assert (again.counts, again.changes) == ({"unchanged": 2}, [])
    assert await list_facilities(stub) == found


async def test_the_next_table_changes_adds_and_removes_what_differs(stub: Any, admin: Metadata) -> None:
    await import_table(stub, admin, TABLE)
    await import_table(stub, admin, TABLE, source="other")
    table = f"{HEADER}\n1,RS Satu,HOSPITAL,{GAMBIR},119,24/7\n3,RS Tiga,HOSPITAL,{GAMBIR},021500135,\n"
    done = await import_table(stub, admin, table)
    assert done.counts == {"added": 1, "changed": 1, "removed": 1}
    assert [(change.name, change.action) for change in done.changes] == [
        ("facilities/csv-1", 2),
        ("facilities/csv-2", 3),
        ("facilities/csv-3", 1),
    ]
    [numbers] = done.changes[0].fields
    assert (numbers.path, numbers.old_value, numbers.new_value) == (
        "numbers",
        '[{"number": "0213441008", "use": "CALL"}]',
        '[{"number": "119", "use": "CALL"}]',
    )
    # Another source's stay.
    assert set(await list_facilities(stub)) == {"csv-1", "csv-3", "other-1", "other-2"}
    history = await stub.ListDirectoryChanges(admin_pb.ListDirectoryChangesRequest(name="facilities/csv-2"), metadata=admin)
    assert [(change.action, change.actor, change.source) for change in history.changes] == [(1, "indra", "csv"), (3, "indra", "csv")]


async def test_a_smaller_scope_leaves_what_lies_outside_it(stub: Any, admin: Metadata) -> None:
    await import_table(stub, admin, TABLE)
    refusal = await refuse(stub.ImportDirectory(cut_file(TABLE.encode(), "areas/31.71", format="FACILITIES_CSV"), metadata=admin))
    [(line, text)] = refusal.fields
    assert (line, "is not within areas/31.71" in text) == ("line 3", True)
    central = "\n".join(TABLE.splitlines()[:2])
    assert (await import_table(stub, admin, central, "areas/31.71")).counts == {"unchanged": 1}
    assert set(await list_facilities(stub)) == {"csv-1", "csv-2"}


async def test_what_was_changed_by_hand_is_kept_by_hand(stub: Any, admin: Metadata) -> None:
    await import_table(stub, admin, TABLE)
    corrected = {"name": "facilities/csv-1", "numbers": [{"number": "0215001350", "use": "CALL"}]}
    await stub.UpdateFacility(admin_pb.UpdateFacilityRequest(facility=corrected), metadata=admin)
    flooded = {"name": "facilities/csv-2", "alert_text": "Banjir", "status": "TEMPORARILY_CLOSED"}
    await stub.UpdateFacility(admin_pb.UpdateFacilityRequest(facility=flooded), metadata=admin)
    done = await import_table(stub, admin, TABLE)
    assert done.counts == {"unchanged": 1, "kept": 1}
    found = await list_facilities(stub)
    assert (found["csv-1"].source, found["csv-1"].numbers[0].number) == ("", "0215001350")
    # What the table has no column for stays, and so does the source that brings the rest.
    assert (found["csv-2"].source, found["csv-2"].alert_text, found["csv-2"].status) == ("csv", "Banjir", 2)
    # A table without it does not take it away either.
    assert (await import_table(stub, admin, "\n".join([HEADER, TABLE.splitlines()[2]]))).counts == {"unchanged": 1}
    assert set(await list_facilities(stub)) == {"csv-1", "csv-2"}


async def test_one_bad_row_refuses_the_table_and_every_bad_row_is_named(stub: Any, admin: Metadata) -> None:
    await import_table(stub, admin, TABLE)
    before = await list_facilities(stub)
    rows = [
        HEADER,
        f"1,RS Satu,HOSPITAL,{GAMBIR},119,24/7",
        f"2,,FIRE,{GAMBIR},113,",
        "3,RS Tiga,HOSPITAL,106.8,-6.2,119,",
        f"4,RS Empat,CLINIC,{GAMBIR},119,mornings",
        f"1,RS Lagi,HOSPITAL,{GAMBIR},119,",
        "5,RS Laut,HOSPITAL,-5.0,107.5,119,",
    ]
    table = "\n".join(rows).encode()
    refusal = await refuse(stub.ImportDirectory(cut_file(table, format="FACILITIES_CSV"), metadata=admin))
    assert (refusal.code, refusal.reason, refusal.metadata) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMPORT", {"badLines": "5"})
    assert [line for line, _ in refusal.fields] == [f"line {number}" for number in range(3, 8)]
    for words, (_, text) in zip(("name", "latitude", "categories", "already in line 2", "no area"), refusal.fields, strict=True):
        assert words in text
    assert await list_facilities(stub) == before


@pytest.mark.parametrize(("column", "value", "fault"), [("agency", "none", "there is no agencies/none"), ("area", "99", "areas/99")])
async def test_a_row_names_nobody_who_is_not_there(stub: Any, admin: Metadata, column: str, value: str, fault: str) -> None:
    table = f"{HEADER},{column}\n1,RS Satu,HOSPITAL,{GAMBIR},119,,{value}\n"
    refusal = await refuse(stub.ImportDirectory(cut_file(table.encode(), format="FACILITIES_CSV"), metadata=admin))
    [(line, text)] = refusal.fields
    assert (line, fault in text) == ("line 2", True)


async def test_a_file_that_came_short_is_refused(stub: Any, admin: Metadata) -> None:
    await import_table(stub, admin, TABLE)
    cut = "\n".join(TABLE.splitlines()[:2]).encode()
    call = stub.ImportDirectory(cut_file(cut, format="FACILITIES_CSV", file_bytes=len(TABLE)), metadata=admin)
    refusal = await refuse(call)
    assert (refusal.reason, refusal.fields[0][0]) == ("INVALID_REQUEST", "head.fileBytes")
    assert set(await list_facilities(stub)) == {"csv-1", "csv-2"}


def make_element(number: int, longitude: float, latitude: float, **tags: str) -> dict[str, Any]:
    point = {"type": "Point", "coordinates": [longitude, latitude]}
    return {"type": "Feature", "id": f"node/{number}", "properties": {"@id": f"node/{number}", **tags}, "geometry": point}


async def test_an_extract_of_the_map_becomes_the_facilities_within_the_scope(stub: Any, admin: Metadata) -> None:
    elements = [
        make_element(1, 106.8272, -6.1754, amenity="hospital", name="RS Satu", phone="+62 21 3441008", opening_hours="24/7"),
        make_element(2, 106.8272, -6.1764, amenity="police", name="Polsek Dua", wheelchair="yes"),
        # A bench, a house of refuge whose place is nobody's business, and a hospital in another city.
        make_element(3, 106.8272, -6.1774, amenity="bench", name="Bangku"),
        make_element(4, 106.8272, -6.1774, amenity="social_facility", social_facility="shelter", name="Rumah Aman"),
        make_element(5, 107.6, -6.9, amenity="hospital", name="RS Bandung"),
    ]
    content = json.dumps({"type": "FeatureCollection", "features": elements}).encode()
    done = await import_file(stub, admin, content, format="FACILITIES_OSM")
    assert done.counts == {"added": 2, "passed_over": 3}
    found = await list_facilities(stub)
    assert {name: (each.display_name, list(each.categories), each.source) for name, each in found.items()} == {
        "osm-n1": ("RS Satu", [7], "osm"),
        "osm-n2": ("Polsek Dua", [2], "osm"),
    }
    assert all(each.unassured for each in found.values())
    assert (await import_file(stub, admin, content, format="FACILITIES_OSM")).counts == {"unchanged": 2, "passed_over": 3}
    # An assurance is no business of the map's.
    assured = {"name": "facilities/osm-n1", "assured_by": "Dinas Kesehatan", "assured_time": "2026-11-01T00:00:00Z"}
    request = admin_pb.UpdateFacilityRequest()
    request.facility.name, request.facility.assured_by = assured["name"], assured["assured_by"]
    request.facility.assured_time.FromJsonString(assured["assured_time"])
    await stub.UpdateFacility(request, metadata=admin)
    assert (await import_file(stub, admin, content, format="FACILITIES_OSM")).counts == {"unchanged": 2, "passed_over": 3}
    assert (await list_facilities(stub))["osm-n1"].assured_by == "Dinas Kesehatan"


async def export(stub: Any, admin: Metadata, scope: str, form: str, source: str = "") -> bytes:
    request = admin_pb.ExportDirectoryRequest(scope=scope, format=form, source=source)
    return b"".join([message.chunk async for message in stub.ExportDirectory(request, metadata=admin)])


@pytest.mark.parametrize("form", ["FACILITIES_CSV", "FACILITIES_OSM"])
async def test_what_is_exported_changes_nothing_when_it_is_imported(stub: Any, admin: Metadata, form: str) -> None:
    await import_table(stub, admin, TABLE)
    await import_table(stub, admin, TABLE, source="other")
    content = await export(stub, admin, "areas/31", form, "csv")
    before = await list_facilities(stub)
    assert (await import_file(stub, admin, content, format=form, source="csv")).counts == {"unchanged": 2}
    assert await list_facilities(stub) == before
    assert len(await export(stub, admin, "areas/31", form)) > len(content)
    refusal = await refuse(stub.ExportDirectory(admin_pb.ExportDirectoryRequest(scope="areas/99", format=form), metadata=admin))
    assert refusal[:2] == (grpc.StatusCode.NOT_FOUND, "AREA_NOT_FOUND")


async def find_slowest_answer(stub: Any, admin: Metadata) -> float:
    """While ten thousand facilities are checked, compared, written and loaded."""
    rows = [f"{number},Uji {number},HOSPITAL,{-6.1 - number / 100_000:.5f},106.82,119,24/7" for number in range(10_000)]
    # What thousands of other tests have left in this process is no burden of the service's.
    gc.collect()
    gc.freeze()
    running = asyncio.ensure_future(import_table(stub, admin, "\n".join([HEADER, *rows])))
    slowest, loop = 0.0, asyncio.get_running_loop()
    while not running.done():
        began = loop.time()
        await stub.GetArea(pb.GetAreaRequest(name="areas/31"))
        slowest = max(slowest, loop.time() - began)
    gc.unfreeze()
    assert (await running).counts == {"added": 10_000}
    print(f"the slowest answer took {slowest:.2f} s")
    return slowest


@pytest.mark.alone
async def test_everybody_is_answered_while_many_are_written(stub: Any, admin: Metadata) -> None:
    assert await find_slowest_answer(stub, admin) < 0.5


@pytest.mark.alone
@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_mutant_an_import_on_the_loop_would_keep_everybody_waiting(
    stub: Any, admin: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDatabase, "_transact_apart", PostgresDatabase._transact)
    assert await find_slowest_answer(stub, admin) > 0.5
