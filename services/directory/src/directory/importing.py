"""The course of an import: the file arrives, is read and checked, and is written; its sender is told how far it is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from chassis.clock import now
from chassis.errors import InvalidRequest, RequestTooLarge
from directory import wire
from directory.changes import Action
from directory.current import CurrentDirectory
from directory.files import areas_geojson, facilities_csv, facilities_osm
from directory.files.reading import FacilityRecord, Reading
from directory.memory.areas import Areas
from directory.operations.imports import DryRun, Imported, Order, import_areas, import_facilities
from siaga.directory.v1 import directory_admin_service_pb2 as pb

_MAX_BYTES = 256 * 1024 * 1024
_TELL_SECONDS = 0.5
_CHANGES_AT_ONCE = 500
_Progress = pb.ImportDirectoryResponse.Progress

T = TypeVar("T")


@dataclass
class _Work:
    """What a thread does, as far as it has come."""

    phase: _Progress.Phase.ValueType
    total: int
    done: int = 0

    def report(self, done: int) -> None:
        self.done = done

    def tell(self) -> pb.ImportDirectoryResponse:
        return pb.ImportDirectoryResponse(progress=_Progress(phase=self.phase, done=self.done, total=self.total))


class Import:
    """One import by `actor`; numbers in its file are dialled in `country`."""

    def __init__(self, current: CurrentDirectory, country: str, actor: str) -> None:
        self._current, self._country, self._actor = current, country, actor

    async def follow(self, requests: AsyncIterator[pb.ImportDirectoryRequest]) -> AsyncIterator[pb.ImportDirectoryResponse]:
        """Its messages. Raises InvalidRequest, RequestTooLarge, InvalidImport, AreaNotFound, ServiceUnavailable."""
        head, file, fault = pb.ImportDirectoryRequest.Head(), bytearray(), None
        receiving = _Work(_Progress.RECEIVING, 0)
        told = asyncio.get_running_loop().time()
        async for request in requests:
            if request.HasField("head") == bool(head.scope):
                fault = fault or _misplaced_head()
            elif len(file) + len(request.chunk) > _MAX_BYTES:
                fault = fault or RequestTooLarge(maxBytes=str(_MAX_BYTES))
            if fault:
                # Told at the end: some clients hear of nothing but a failed write while they are sending.
                continue
            if request.HasField("head"):
                head, receiving.total = request.head, request.head.file_bytes
            file += request.chunk
            receiving.report(len(file))
            if asyncio.get_running_loop().time() - told > _TELL_SECONDS:
                told = asyncio.get_running_loop().time()
                yield receiving.tell()
        if fault or not head.scope:
            raise fault or _misplaced_head()
        if head.file_bytes not in {0, len(file)}:
            # A table that is cut at the end of a row would remove what it has lost.
            raise InvalidRequest(fields=[("head.fileBytes", f"says {head.file_bytes}, and {len(file)} came")])
        async for message in self._work(head, file):
            yield message

    async def _work(self, head: pb.ImportDirectoryRequest.Head, file: bytearray) -> AsyncIterator[pb.ImportDirectoryResponse]:
        checking = _Work(_Progress.CHECKING, len(file))
        # In a thread, because it takes seconds and everybody else is answered meanwhile.
        reading = asyncio.create_task(asyncio.to_thread(self._read, head, file, checking))
        async for message in _tell_while(reading, checking):
            yield message
        found = reading.result()
        writing = _Work(_Progress.WRITING, len(found.records))
        order = Order(head.scope, _source_of(head), head.dry_run, self._actor, now(), writing.report)
        operation: Any = import_areas if head.format == pb.AREAS_GEOJSON else import_facilities
        changing = asyncio.create_task(self._write(partial(operation, order=order, reading=found)))
        async for message in _tell_while(changing, writing):
            yield message
        imported = changing.result()
        for start in range(0, len(imported.changes), _CHANGES_AT_ONCE):
            some = imported.changes[start : start + _CHANGES_AT_ONCE]
            changes = pb.ImportDirectoryResponse.Changes(changes=[wire.to_change(each, source=order.source) for each in some])
            yield pb.ImportDirectoryResponse(changes=changes)
        yield pb.ImportDirectoryResponse(result=_sum_up(imported, found.passed_over, dry_run=head.dry_run))

    def _read(self, head: pb.ImportDirectoryRequest.Head, file: bytearray, checking: _Work) -> Reading[Any]:
        if head.format == pb.AREAS_GEOJSON:
            return areas_geojson.read_areas(file, checking.report)
        read = facilities_csv.read_facilities if head.format == pb.FACILITIES_CSV else facilities_osm.read_facilities
        reading = read(file, _source_of(head), self._country, checking.report)
        areas = self._current.directory.areas
        for record in reading.records:
            _place(record, areas)
        if head.format == pb.FACILITIES_CSV:
            return reading
        # An extract of a map reaches beyond every border.
        inside = [each for each in reading.records if wire.holds(head.scope, each.facility.area)]
        return reading._replace(records=inside, passed_over=reading.passed_over + len(reading.records) - len(inside))

    async def _write(self, operation: Any) -> Imported:  # noqa: ANN401
        try:
            return await self._current.change(operation, apart=True)
        except DryRun as shown:
            return shown.imported


def _misplaced_head() -> InvalidRequest:
    return InvalidRequest(fields=[("head", "must be in the first message and in no other")])


async def _tell_while(task: "asyncio.Task[T]", work: _Work) -> AsyncIterator[pb.ImportDirectoryResponse]:
    """How far it is, now and then until the task has ended; whoever hangs up ends it."""
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_TELL_SECONDS)
            if not task.done():
                yield work.tell()
    finally:
        task.cancel()


def _place(record: FacilityRecord, areas: Areas) -> None:
    """With the smallest area at its point, where the file names none."""
    facility = record.facility
    if not facility.area and facility.latitude is not None and facility.longitude is not None:
        found, _ = areas.find(facility.latitude, facility.longitude)
        facility.area = found[0].name if found else ""


def _source_of(head: pb.ImportDirectoryRequest.Head) -> str:
    return head.source or {pb.FACILITIES_CSV: "csv", pb.FACILITIES_OSM: "osm"}.get(head.format, "")


def _sum_up(imported: Imported, passed_over: int, *, dry_run: bool) -> pb.ImportDirectoryResponse.Result:
    added = sum(each.action is Action.CREATED for each in imported.changes)
    return pb.ImportDirectoryResponse.Result(
        added=added,
        changed=len(imported.changes) - added - imported.removed,
        unchanged=imported.unchanged,
        removed=imported.removed,
        kept=imported.kept,
        dry_run=dry_run,
        passed_over=passed_over,
    )
