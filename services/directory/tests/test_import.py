"""Imports over gRPC: Jakarta's own polygons, and what is refused."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import shapely
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2

from chassis.errors import STATUS_DETAILS
from chassis.testing import Issuer
from directory import servicer
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

Metadata = tuple[tuple[str, str]]

# What is refused before the database is asked is refused alike with either.
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def cut_file(content: bytes, scope: str = "areas/31") -> Iterator[pb.ImportDirectoryRequest]:
    yield pb.ImportDirectoryRequest(scope=scope)
    for start in range(0, len(content), 60_000):
        yield pb.ImportDirectoryRequest(chunk=content[start : start + 60_000])


async def refuse(call: Any) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo, list[tuple[str, str]]]:
    """The status, the reason and the fields at fault."""
    with pytest.raises(grpc.RpcError) as refused:
        await call
    status = status_pb2.Status.FromString(dict(refused.value.trailing_metadata())[STATUS_DETAILS])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    return refused.value.code(), info, [(each.field, each.description) for each in bad.field_violations]


async def resolve(stub: DirectoryServiceStub, point: shapely.Point) -> pb.ResolveLocationResponse:
    return await stub.ResolveLocation(pb.ResolveLocationRequest(point={"latitude": point.y, "longitude": point.x}))


async def test_every_village_resolves_by_its_polygon_and_gaps_by_the_nearest(
    stub: DirectoryServiceStub, admin: Metadata, kelurahan: Path
) -> None:
    content = kelurahan.read_bytes()
    before = await stub.GetSnapshot(pb.GetSnapshotRequest())
    assert await stub.ImportDirectory(cut_file(content), metadata=admin) == pb.ImportDirectoryResponse(changed=267)
    features = json.loads(content)["features"]
    shapes = {f"areas/{each['properties']['code']}": shapely.geometry.shape(each["geometry"]) for each in features}
    for name, shape in shapes.items():
        reply = await resolve(stub, shape.representative_point())
        assert (reply.areas[0].name, reply.match) == (name, pb.ResolveLocationResponse.BOUNDARY)
        assert [area.level for area in reply.areas] == [4, 3, 2, 1]

    whole = shapely.union_all(list(shapes.values()))
    gaps = [shapely.Polygon(ring) for part in whole.geoms for ring in part.interiors]
    # A sliver may be narrower than the precision of its own middle.
    middles = [gap.representative_point() for gap in sorted(gaps, key=lambda gap: -gap.area)]
    outside = [point for point in middles if not whole.covers(point)]
    assert len(outside) > 700
    for point in outside[::6]:
        reply = await resolve(stub, point)
        assert reply.match == pb.ResolveLocationResponse.NEAREST
        assert shapes[reply.areas[0].name].distance(point) == pytest.approx(whole.distance(point), rel=0.02)

    for sea in (shapely.Point(106.75, -5.9), shapely.Point(107.5, -5.0), shapely.Point(106.8166, -6.595)):
        reply = await resolve(stub, sea)
        assert (list(reply.areas), reply.emergency_number) == ([], "112")

    after = await stub.GetSnapshot(pb.GetSnapshotRequest(etag=before.etag))
    assert after.etag != before.etag
    kept = {record.area.name: record.boundary for record in after.snapshot.areas if record.boundary}
    assert all(shapely.from_wkb(kept[name]).equals(shape) for name, shape in shapes.items())
    assert set(kept) == set(shapes)

    assert await stub.ImportDirectory(cut_file(content), metadata=admin) == pb.ImportDirectoryResponse(unchanged=267)
    assert (await stub.GetSnapshot(pb.GetSnapshotRequest(etag=after.etag))).HasField("snapshot") is False


async def test_a_boundary_comes_as_geojson(stub: DirectoryServiceStub, admin: Metadata, kelurahan: Path) -> None:
    await stub.ImportDirectory(cut_file(kelurahan.read_bytes()), metadata=admin)
    # The one with the most islands.
    request = pb.GetAreaBoundaryRequest(name="areas/31.01.01.1003")
    feature = MessageToDict((await stub.GetAreaBoundary(request)).feature)
    assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "MultiPolygon")
    assert feature["properties"] == {"code": "31.01.01.1003", "name": "Pulau Harapan", "parent": "31.01.01"}
    [own] = [each for each in json.loads(kelurahan.read_bytes())["features"] if each["id"] == "31.01.01.1003"]
    assert shapely.geometry.shape(feature["geometry"]).equals(shapely.geometry.shape(own["geometry"]))
    assert (await stub.GetArea(pb.GetAreaRequest(name="areas/31.01.01.1003"))).has_boundary
    status, info, _ = await refuse(stub.GetAreaBoundary(pb.GetAreaBoundaryRequest(name="areas/31.01.01")))
    assert (status, info.reason) == (grpc.StatusCode.NOT_FOUND, "BOUNDARY_UNKNOWN")


def make_file(*changes: tuple[int, dict[str, Any]], path: Path) -> bytes:
    """Jakarta's file with each feature in a line of its own, from line 2; some of them changed."""
    collection = json.loads(path.read_bytes())
    for index, change in changes:
        feature = collection["features"][index]
        feature["properties"] |= change.get("properties", {})
        feature["geometry"] |= change.get("geometry", {})
    rows = ",\n".join(json.dumps(feature) for feature in collection["features"])
    return f'{{"type": "FeatureCollection", "features": [\n{rows}\n]}}'.encode()


async def test_one_bad_feature_refuses_the_whole_file(stub: DirectoryServiceStub, admin: Metadata, kelurahan: Path) -> None:
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
    status, info, fields = await refuse(stub.ImportDirectory(cut_file(file), metadata=admin))
    assert (status, info.reason, dict(info.metadata)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMPORT", {"badLines": "3"})
    assert [line for line, _ in fields] == ["line 6", "line 102", "line 202"]
    assert [words in text for words, (_, text) in zip(("itself", "its parent is", "outside"), fields, strict=True)] == [True] * 3
    assert await stub.GetSnapshot(pb.GetSnapshotRequest()) == before


@sqlite_only
async def test_any_client_can_read_the_error_of_a_file_that_is_all_wrong(
    stub: DirectoryServiceStub, admin: Metadata, kelurahan: Path
) -> None:
    file = make_file(*((index, {"geometry": {"type": "Polygon", "coordinates": []}}) for index in range(267)), path=kelurahan)
    for _ in range(20):  # gRPC drops what is too long only now and then.
        status, info, fields = await refuse(stub.ImportDirectory(cut_file(file), metadata=admin))
        assert (status, info.metadata["badLines"]) == (grpc.StatusCode.INVALID_ARGUMENT, "267")
        assert 80 <= len(fields) <= 100


async def test_an_import_changes_nothing_outside_its_scope(stub: DirectoryServiceStub, admin: Metadata, kelurahan: Path) -> None:
    content = kelurahan.read_bytes()
    _, info, fields = await refuse(stub.ImportDirectory(cut_file(content, "areas/31.71"), metadata=admin))
    assert (info.reason, info.metadata["badLines"]) == ("INVALID_IMPORT", str(267 - 44))
    assert all("lies outside areas/31.71" in text for _, text in fields)
    await stub.ImportDirectory(cut_file(content), metadata=admin)
    collection = json.loads(content)
    collection["features"] = [each for each in collection["features"] if each["id"].startswith("31.71.01.")]
    smaller = json.dumps(collection).encode()
    assert await stub.ImportDirectory(cut_file(smaller, "areas/31.71.01"), metadata=admin) == pb.ImportDirectoryResponse(unchanged=6)
    # Within its scope it is the whole truth.
    assert await stub.ImportDirectory(cut_file(smaller, "areas/31.71"), metadata=admin) == pb.ImportDirectoryResponse(
        unchanged=6, changed=38
    )
    snapshot = (await stub.GetSnapshot(pb.GetSnapshotRequest())).snapshot
    assert sum(record.area.has_boundary for record in snapshot.areas) == 267 - 38


@sqlite_only
async def test_only_an_administrator_imports(stub: DirectoryServiceStub, issuer: Issuer, kelurahan: Path) -> None:
    file = kelurahan.read_bytes()
    status, info, _ = await refuse(stub.ImportDirectory(cut_file(file)))
    assert (status, info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")
    citizen = (("authorization", f"Bearer {issuer.sign('ayu', 'citizen')}"),)
    status, info, _ = await refuse(stub.ImportDirectory(cut_file(file), metadata=citizen))
    assert (status, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


SCOPE, CHUNK = pb.ImportDirectoryRequest(scope="areas/31"), pb.ImportDirectoryRequest(chunk=b"{}")


@sqlite_only
@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "INVALID_REQUEST"),
        ([CHUNK, SCOPE], "INVALID_REQUEST"),
        ([SCOPE, CHUNK, SCOPE], "INVALID_REQUEST"),
        ([pb.ImportDirectoryRequest()], "INVALID_REQUEST"),
        ([pb.ImportDirectoryRequest(scope="31")], "INVALID_REQUEST"),
        ([SCOPE, pb.ImportDirectoryRequest(chunk=b"x" * 65_001)], "INVALID_REQUEST"),
        ([SCOPE, *[pb.ImportDirectoryRequest(chunk=b"x" * 50_000)] * 3], "REQUEST_TOO_LARGE"),
        ([SCOPE], "INVALID_IMPORT"),
        ([SCOPE, CHUNK], "INVALID_IMPORT"),
        ([pb.ImportDirectoryRequest(scope="areas/32"), CHUNK], "AREA_NOT_FOUND"),
    ],
)
async def test_a_stream_that_is_no_import_is_refused(
    stub: DirectoryServiceStub, admin: Metadata, monkeypatch: pytest.MonkeyPatch, requests: list[Any], reason: str
) -> None:
    monkeypatch.setattr(servicer, "_MAX_IMPORT_BYTES", 100_000)
    status, info, _ = await refuse(stub.ImportDirectory(iter(requests), metadata=admin))
    assert info.reason == reason
    assert status == (grpc.StatusCode.NOT_FOUND if reason == "AREA_NOT_FOUND" else grpc.StatusCode.INVALID_ARGUMENT)


@sqlite_only
async def test_everybody_is_answered_while_a_large_file_is_checked(stub: DirectoryServiceStub, admin: Metadata, kelurahan: Path) -> None:
    collection = json.loads(kelurahan.read_bytes())
    # Ten times the file; all but the first copy are refused as duplicates, and are checked before.
    collection["features"] *= 10
    importing = asyncio.ensure_future(refuse(stub.ImportDirectory(cut_file(json.dumps(collection).encode()), metadata=admin)))
    slowest, loop = 0.0, asyncio.get_running_loop()
    while not importing.done():
        began = loop.time()
        await stub.GetArea(pb.GetAreaRequest(name="areas/31"))
        slowest = max(slowest, loop.time() - began)
    _, info, _ = await importing
    assert info.metadata["badLines"] == str(9 * 267)
    assert slowest < 0.5
