"""The directory as an administrator's client sees it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from chassis.errors import STATUS_DETAILS
from siaga.directory.v1 import directory_admin_service_pb2 as pb
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub

Metadata = tuple[tuple[str, str]]
MONAS = {"latitude": -6.1754, "longitude": 106.8272}


class Refusal(NamedTuple):
    """Why a call was refused."""

    code: grpc.StatusCode
    reason: str
    fields: list[tuple[str, str]]
    metadata: dict[str, str]


class Imported(NamedTuple):
    """All that an import said."""

    result: pb.ImportDirectoryResponse.Result
    changes: list[pb.DirectoryChange]
    progress: list[pb.ImportDirectoryResponse.Progress]

    @property
    def counts(self) -> dict[str, int]:
        return {field.name: value for field, value in self.result.ListFields()}


async def refuse(call: Any) -> Refusal:
    """How a call, or a stream, is refused."""
    with pytest.raises(grpc.RpcError) as refused:
        _ = [each async for each in call] if hasattr(call, "__aiter__") else await call
    status = status_pb2.Status.FromString(dict(refused.value.trailing_metadata())[STATUS_DETAILS])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    assert info.domain == "siaga"
    fields = [(each.field, each.description) for each in bad.field_violations]
    return Refusal(refused.value.code(), info.reason, fields, dict(info.metadata))


def cut_file(content: bytes, scope: str = "areas/31", **head: Any) -> Iterator[pb.ImportDirectoryRequest]:
    head = {"format": "AREAS_GEOJSON", "file_bytes": len(content), **head}
    yield pb.ImportDirectoryRequest(head={"scope": scope, **head})
    for start in range(0, len(content), 60_000):
        yield pb.ImportDirectoryRequest(chunk=content[start : start + 60_000])


async def import_file(stub: DirectoryAdminServiceStub, admin: Metadata, content: bytes, scope: str = "areas/31", **head: Any) -> Imported:
    result, changes, progress = None, list[pb.DirectoryChange](), list[pb.ImportDirectoryResponse.Progress]()
    async for message in stub.ImportDirectory(cut_file(content, scope, **head), metadata=admin):
        assert result is None
        match message.WhichOneof("content"):
            case "progress":
                progress.append(message.progress)
            case "changes":
                changes += message.changes.changes
            case _:
                result = message.result
    assert result is not None
    return Imported(result, changes, progress)
