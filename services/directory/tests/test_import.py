"""Imports over gRPC: Jakarta's own polygons, and what is refused."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
import shapely
from administering import Metadata, cut_file, import_file, refuse
from google.protobuf.json_format import MessageToDict

from chassis.testing import Issuer
from directory import importing
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb

# What is refused before the database is asked is refused alike with either.
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


async def test_the_polygons_become_the_areas_boundaries_once(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    content = kelurahan.read_bytes()
    shapes = {f"areas/{each['properties']['code']}": shapely.geometry.shape(each["geometry"]) for each in json.loads(content)["features"]}
    before = await stub.GetSnapshot(pb.GetSnapshotRequest())
    imported = await import_file(stub, admin, content)
    assert imported.counts == {"changed": 267}
    assert [change.name for change in imported.changes] == sorted(shapes)
    assert {field.path for change in imported.changes for field in change.fields} <= {"boundary", "point"}
    after = await stub.GetSnapshot(pb.GetSnapshotRequest(etag=before.etag))
    assert after.etag != before.etag
    kept = {record.area.name: record.boundary for record in after.snapshot.areas if record.boundary}
    assert all(shapely.from_wkb(kept[name]).equals(shape) for name, shape in shapes.items())
    assert set(kept) == set(shapes)
    again = await import_file(stub, admin, content)
    assert (again.counts, again.changes) == ({"unchanged": 267}, [])
    assert (await stub.GetSnapshot(pb.GetSnapshotRequest(etag=after.etag))).HasField("snapshot") is False


async def test_a_dry_run_says_what_it_would_change_and_changes_nothing(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    content = kelurahan.read_bytes()
    before = await stub.GetSnapshot(pb.GetSnapshotRequest())
    shown = await import_file(stub, admin, content, dry_run=True)
    assert shown.counts == {"changed": 267, "dry_run": True}
    assert await stub.GetSnapshot(pb.GetSnapshotRequest()) == before
    done = await import_file(stub, admin, content)
    assert done.changes == shown.changes


async def test_a_long_import_says_how_far_it_is(stub: Any, admin: Metadata, kelurahan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_TELL_SECONDS", 0.0)
    imported = await import_file(stub, admin, kelurahan.read_bytes())
    phases = [each.phase for each in imported.progress]
    assert phases == sorted(phases)
    assert set(phases) == {1, 2, 3}
    assert all(0 <= each.done <= each.total for each in imported.progress)
    assert {each.total for each in imported.progress if each.phase == 1} == {len(kelurahan.read_bytes())}


async def test_a_boundary_comes_as_geojson(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    await import_file(stub, admin, kelurahan.read_bytes())
    # The one with the most islands.
    request = pb.GetAreaBoundaryRequest(name="areas/31.01.01.1003")
    feature = MessageToDict((await stub.GetAreaBoundary(request)).feature)
    assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "MultiPolygon")
    assert feature["properties"] == {"code": "31.01.01.1003", "name": "Pulau Harapan", "parent": "31.01.01"}
    [own] = [each for each in json.loads(kelurahan.read_bytes())["features"] if each["id"] == "31.01.01.1003"]
    assert shapely.geometry.shape(feature["geometry"]).equals(shapely.geometry.shape(own["geometry"]))
    assert (await stub.GetArea(pb.GetAreaRequest(name="areas/31.01.01.1003"))).has_boundary


async def test_an_area_without_a_boundary_has_that_of_what_lies_within_it(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    refusal = await refuse(stub.GetAreaBoundary(pb.GetAreaBoundaryRequest(name="areas/31.71")))
    assert refusal[:2] == (grpc.StatusCode.NOT_FOUND, "BOUNDARY_UNKNOWN")
    await import_file(stub, admin, kelurahan.read_bytes())
    feature = MessageToDict((await stub.GetAreaBoundary(pb.GetAreaBoundaryRequest(name="areas/31.71"))).feature)
    whole = shapely.geometry.shape(feature["geometry"])
    features = json.loads(kelurahan.read_bytes())["features"]
    parts = shapely.union_all([shapely.geometry.shape(each["geometry"]) for each in features if each["id"].startswith("31.71.")])
    assert whole.is_valid
    assert whole.covers(parts)
    # The slivers between the villages belong to it; there is no lake or other city in it.
    assert whole.area == pytest.approx(parts.area, rel=0.001)
    assert sum(len(part.interiors) for part in whole.geoms) == 0
    assert not (await stub.GetArea(pb.GetAreaRequest(name="areas/31.71"))).has_boundary


def make_file(*changes: tuple[int, dict[str, Any]], path: Path) -> bytes:
    """Jakarta's file with each feature in a line of its own, from line 2; some of them changed."""
    collection = json.loads(path.read_bytes())
    for index, change in changes:
        feature = collection["features"][index]
        feature["properties"] |= change.get("properties", {})
        feature["geometry"] |= change.get("geometry", {})
    rows = ",\n".join(json.dumps(feature) for feature in collection["features"])
    return f'{{"type": "FeatureCollection", "features": [\n{rows}\n]}}'.encode()


async def test_one_bad_feature_refuses_the_whole_file(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    before = await stub.GetSnapshot(pb.GetSnapshotRequest())
    file = make_file(
        (
            4,
            {"geometry": {"type": "Polygon", "coordinates": [[[106.8, -6.2], [106.9, -6.1], [106.9, -6.2], [106.8, -6.1], [106.8, -6.2]]]}},
        ),
        (100, {"properties": {"parent": "31.99.99"}}),
        (200, {"properties": {"code": "32.01.01.1001"}}),
        path=kelurahan,
    )
    refusal = await refuse(stub.ImportDirectory(cut_file(file), metadata=admin))
    assert (refusal.code, refusal.reason, refusal.metadata) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMPORT", {"badLines": "3"})
    assert [line for line, _ in refusal.fields] == ["line 6", "line 102", "line 202"]
    assert [words in text for words, (_, text) in zip(("itself", "its parent is", "outside"), refusal.fields, strict=True)] == [True] * 3
    assert await stub.GetSnapshot(pb.GetSnapshotRequest()) == before


@sqlite_only
async def test_any_client_can_read_the_error_of_a_file_that_is_all_wrong(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    file = make_file(*((index, {"geometry": {"type": "Polygon", "coordinates": []}}) for index in range(267)), path=kelurahan)
    for _ in range(20):  # gRPC drops what is too long only now and then.
        refusal = await refuse(stub.ImportDirectory(cut_file(file), metadata=admin))
        assert (refusal.code, refusal.metadata["badLines"]) == (grpc.StatusCode.INVALID_ARGUMENT, "267")
        assert 80 <= len(refusal.fields) <= 100


async def test_an_import_changes_nothing_outside_its_scope(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    content = kelurahan.read_bytes()
    refusal = await refuse(stub.ImportDirectory(cut_file(content, "areas/31.71"), metadata=admin))
    assert (refusal.reason, refusal.metadata["badLines"]) == ("INVALID_IMPORT", str(267 - 44))
    assert all("lies outside areas/31.71" in text for _, text in refusal.fields)
    await import_file(stub, admin, content)
    collection = json.loads(content)
    collection["features"] = [each for each in collection["features"] if each["id"].startswith("31.71.01.")]
    smaller = json.dumps(collection).encode()
    assert (await import_file(stub, admin, smaller, "areas/31.71.01")).counts == {"unchanged": 6}
    # Within its scope it is the whole truth.
    assert (await import_file(stub, admin, smaller, "areas/31.71")).counts == {"unchanged": 6, "removed": 38}
    snapshot = (await stub.GetSnapshot(pb.GetSnapshotRequest())).snapshot
    assert sum(record.area.has_boundary for record in snapshot.areas) == 267 - 38


@sqlite_only
async def test_only_an_administrator_imports(stub: Any, issuer: Issuer) -> None:
    refusal = await refuse(stub.ImportDirectory(cut_file(b"")))
    assert refusal[:2] == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")
    citizen = (("authorization", f"Bearer {issuer.sign('ayu', 'citizen')}"),)
    refusal = await refuse(stub.ImportDirectory(cut_file(b""), metadata=citizen))
    assert refusal[:2] == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


def make_head(scope: str = "areas/31", **more: Any) -> admin_pb.ImportDirectoryRequest:
    return admin_pb.ImportDirectoryRequest(head={"scope": scope, "format": "AREAS_GEOJSON", **more})


HEAD, CHUNK = make_head(), admin_pb.ImportDirectoryRequest(chunk=b"{}")


@sqlite_only
@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "INVALID_REQUEST"),
        ([CHUNK, HEAD], "INVALID_REQUEST"),
        ([HEAD, CHUNK, HEAD], "INVALID_REQUEST"),
        ([admin_pb.ImportDirectoryRequest()], "INVALID_REQUEST"),
        ([make_head("31")], "INVALID_REQUEST"),
        ([make_head(format=0)], "INVALID_REQUEST"),
        ([make_head(source="Not A Word")], "INVALID_REQUEST"),
        ([HEAD, admin_pb.ImportDirectoryRequest(chunk=b"x" * 65_001)], "INVALID_REQUEST"),
        ([HEAD, *[admin_pb.ImportDirectoryRequest(chunk=b"x" * 50_000)] * 3], "REQUEST_TOO_LARGE"),
        ([HEAD], "INVALID_IMPORT"),
        ([HEAD, CHUNK], "INVALID_IMPORT"),
        ([make_head("areas/32"), CHUNK], "AREA_NOT_FOUND"),
    ],
)
async def test_a_stream_that_is_no_import_is_refused(
    stub: Any, admin: Metadata, monkeypatch: pytest.MonkeyPatch, requests: list[Any], reason: str
) -> None:
    monkeypatch.setattr(importing, "_MAX_BYTES", 100_000)
    refusal = await refuse(stub.ImportDirectory(iter(requests), metadata=admin))
    assert refusal.reason == reason
    assert refusal.code == (grpc.StatusCode.NOT_FOUND if reason == "AREA_NOT_FOUND" else grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.alone
@sqlite_only
async def test_everybody_is_answered_while_a_large_file_is_checked(stub: Any, admin: Metadata, kelurahan: Path) -> None:
    collection = json.loads(kelurahan.read_bytes())
    # Ten times the file; all but the first copy are refused as duplicates, and are checked before.
    collection["features"] *= 10
    file, loop, held_up = json.dumps(collection).encode(), asyncio.get_running_loop(), []
    # Whom an import holds up, it holds up every time; a pause of the machine falls into one of them.
    for _ in range(3):
        running, waited = asyncio.ensure_future(refuse(stub.ImportDirectory(cut_file(file), metadata=admin))), []
        while not running.done():
            began = loop.time()
            await stub.GetArea(pb.GetAreaRequest(name="areas/31"))
            waited.append(loop.time() - began)
        refusal = await running
        assert refusal.metadata["badLines"] == str(9 * 267)
        held_up.append(max(waited) / sum(waited))
    assert min(held_up) < 0.2, held_up
