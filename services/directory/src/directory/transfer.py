"""The other side of imports and exports: a person sends a file to the running service and sees what it does, or fetches one."""

# ruff: noqa: T201  # A person at a keyboard reads it.

import json
import os
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2

from chassis.errors import STATUS_DETAILS
from directory.files.geojson import walk_features
from directory.files.reading import UnreadableFile
from siaga.directory.v1 import directory_admin_service_pb2 as pb
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub

_CHUNK_BYTES = 60_000
_MAX_SHOWN = 200
_LINE_SECONDS = 3
_SIGN_IN = """\
an administrator's access token is needed: give it as --token or in SIAGA_TOKEN.
In development:  curl -d '{"person": "admin"}' http://localhost:8080/dev/token   and take its accessToken"""
# What a service says that did not do what it was asked for; of anything else the caller cannot know.
_REFUSALS = {
    *(grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED),
    *(grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED),
}

_Change = pb.DirectoryChange
_Progress = pb.ImportDirectoryResponse.Progress


def import_file(server: str, token: str, file: Path, head: pb.ImportDirectoryRequest.Head) -> None:
    """Show what changes, or would change; ends the process where the file is refused. `head` need not have a format."""
    try:
        # Without a buffer, it can be closed while another thread waits for what it holds next.
        content = file.open("rb", buffering=0)
    except OSError as error:
        sys.exit(f"{file}: {error.strerror}")
    with content:
        head.format = head.format or _guess_format(file)
        head.file_bytes = file.stat().st_size
        sending, display = _Sending(content, head), _Display(None if head.dry_run else _MAX_SHOWN)
        with _call(server, token, display, sending) as (stub, metadata):
            for response in stub.ImportDirectory(sending.requests(), metadata=metadata):
                display.show(response)


def export_file(server: str, token: str, request: pb.ExportDirectoryRequest, output: Path | None) -> None:
    """Write the file, which is there as a whole or not at all; without `output`, to the standard output."""
    with _call(server, token) as (stub, metadata):
        chunks = (response.chunk for response in stub.ExportDirectory(request, metadata=metadata))
        if output is None:
            sys.stdout.buffer.writelines(chunks)
            sys.stdout.buffer.flush()
            return
        part = output.parent / f".{output.name}.part"
        try:
            with part.open("wb") as file:
                file.writelines(chunks)
            part.replace(output)
        except OSError as error:
            sys.exit(f"{output}: {error.strerror}")
        finally:
            part.unlink(missing_ok=True)


class _Sending:
    """A file on its way."""

    def __init__(self, content: FileIO, head: pb.ImportDirectoryRequest.Head) -> None:
        self._content, self._head, self._whole = content, head, False
        self.name = str(content.name)

    def requests(self) -> Iterator[pb.ImportDirectoryRequest]:
        yield pb.ImportDirectoryRequest(head=self._head)
        while chunk := self._content.read(_CHUNK_BYTES):
            yield pb.ImportDirectoryRequest(chunk=chunk)
        self._whole = True

    def may_be_done(self) -> bool:
        """Tell whether an import that nothing more is heard of may have been carried out: only a whole file is."""
        return self._whole and not self._head.dry_run


class _Display:
    """What the service says of an import: how far it is on the error output, what changes on the output, at most `limit`."""

    def __init__(self, limit: int | None) -> None:
        self._limit, self._changes = limit, 0
        self._shown, self._drawn = time.monotonic(), False

    def show(self, response: pb.ImportDirectoryResponse) -> None:
        match response.WhichOneof("content"):
            case "progress":
                self._show_progress(response.progress)
            case "changes":
                self.clear()
                for change in response.changes.changes:
                    self._changes += 1
                    if self._limit is None or self._changes <= self._limit:
                        print(_describe_change(change))
            case _:
                self.clear()
                if self._limit is not None and self._changes > self._limit:
                    print(f"… and {self._changes - self._limit} more")
                print(_describe_result(response.result))

    def clear(self) -> None:
        """Take the progress away from a terminal."""
        if self._drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._drawn = False

    def _show_progress(self, progress: _Progress) -> None:
        share = f"{100 * progress.done // progress.total} %" if progress.total else f"{progress.done}"
        text = f"{_Progress.Phase.Name(progress.phase).lower()}: {share}"
        if sys.stderr.isatty():
            self._drawn = True
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._shown >= _LINE_SECONDS:
            self._shown = time.monotonic()
            print(text, file=sys.stderr, flush=True)


@contextmanager
def _call(
    server: str, token: str, display: _Display | None = None, sending: _Sending | None = None
) -> Generator[tuple[DirectoryAdminServiceStub, tuple[tuple[str, str]]], None, None]:
    """Whatever goes wrong ends the process with what to do next."""
    if not token:
        sys.exit(_SIGN_IN)
    try:
        # The lines at fault come as error details, which are more than gRPC takes by default.
        with grpc.insecure_channel(server, [("grpc.max_metadata_size", 65536)]) as channel:
            yield DirectoryAdminServiceStub(channel), (("authorization", f"Bearer {token}"),)
    except grpc.RpcError as error:
        if display:
            display.clear()
        sys.exit(_explain(error, server, sending))
    except KeyboardInterrupt:
        print(f"\nstopped: {_tell_outcome(sending)}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever reads has seen enough. What waits to be written would fail again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _guess_format(file: Path) -> pb.FileFormat.ValueType:
    """By the name, and of GeoJSON by the first feature: areas have codes."""
    if file.suffix.lower() == ".csv":
        return pb.FACILITIES_CSV
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        try:
            _, feature = next(walk_features(iter(partial(text.read, _CHUNK_BYTES), "")))
            return pb.AREAS_GEOJSON if "code" in feature["properties"] else pb.FACILITIES_OSM
        except (UnreadableFile, KeyError, TypeError):
            # The service says what is wrong with it.
            return pb.AREAS_GEOJSON


def _describe_change(change: _Change) -> str:
    if change.action == _Change.UPDATED:
        return f"~ {change.name} {', '.join(map(_describe_field, change.fields))}"
    mark = "+" if change.action == _Change.CREATED else "-"
    name = next((json.loads(each.new_value or each.old_value) for each in change.fields if each.path == "displayName"), "")
    return f"{mark} {change.name} {name}"


def _describe_field(field: _Change.FieldChange) -> str:
    if not field.old_value and not field.new_value:
        return field.path
    return f"{field.path} {field.old_value or 'nothing'} → {field.new_value or 'nothing'}"


def _describe_result(result: pb.ImportDirectoryResponse.Result) -> str:
    begin = "dry run, nothing was changed: " if result.dry_run else ""
    counts = f"added {result.added}, changed {result.changed}, unchanged {result.unchanged}, removed {result.removed}"
    passed_over = f", passed over {result.passed_over}" if result.passed_over else ""
    return f"{begin}{counts}, kept by hand {result.kept}{passed_over}"


def _tell_outcome(sending: _Sending | None, *, refused: bool = False) -> str:
    if sending is None:
        return "nothing was exported"
    if refused or not sending.may_be_done():
        return "nothing was imported"
    return "either all of it was imported or nothing; the same command with --dry-run shows which"


def _explain(error: grpc.RpcError, server: str, sending: _Sending | None) -> str:
    """What went wrong and what to do next."""
    assert isinstance(error, grpc.Call)
    if error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return f"the token is not valid or has expired; {_SIGN_IN}"
    if error.code() == grpc.StatusCode.PERMISSION_DENIED:
        return f"the token is not an administrator's; {_SIGN_IN}"
    details = next((each.value for each in error.trailing_metadata() or () if each.key == STATUS_DETAILS), None)
    outcome = _tell_outcome(sending, refused=error.code() in _REFUSALS)
    if error.code() == grpc.StatusCode.UNAVAILABLE and details is None:
        return f"no directory answers at {server}: start it with `python -m directory`, or say where it is with --server; {outcome}"
    violations, lines = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details if isinstance(details, bytes) else b"").details:
        _ = detail.Unpack(violations) or detail.Unpack(lines)
    bad = [f"{sending.name if sending else 'export'}: {each.field}: {each.description}" for each in violations.field_violations]
    more = int(lines.metadata.get("badLines", "0")) - len(bad)
    return "\n".join([*bad, *([f"… and {more} more"] if more > 0 else []), f"{outcome}: {error.details()}"])
