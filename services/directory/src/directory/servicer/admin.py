"""DirectoryAdminService: one method per RPC."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from chassis.clock import new_uuid, now
from chassis.errors import InvalidRequest
from chassis.identity import caller
from chassis.masks import json_name, read_mask
from chassis.paging import Page
from directory import answers, wire
from directory.current import CurrentDirectory
from directory.errors import InvalidEntry
from directory.exporting import export_directory
from directory.importing import Import
from directory.model import UNCONFIRMED, Agency, Area, Facility, Hotline, Status, log
from directory.operations import entries, history
from directory.operations.entries import Change
from directory.settings import Settings
from directory.wire import Writer
from siaga.directory.v1 import agency_pb2, area_pb2, directory_admin_service_pb2_grpc, facility_pb2
from siaga.directory.v1 import directory_admin_service_pb2 as pb

# The stubs alone have the parameters.
_Context: TypeAlias = "grpc.aio.ServicerContext[Message, Message]"

_AREA = ("display_name", "point", "time_zone", "emergency_number")
_ASSURANCE = ("assured_by", "assured_time")
_AGENCY = ("display_name", "parent", "numbers", "sip_uri", "alert_policy", *_ASSURANCE)
_HOTLINE = ("display_name", "categories", "numbers", "area", *_ASSURANCE)
_FACILITY = (
    "display_name",
    "categories",
    "agency",
    "area",
    "point",
    "address",
    "numbers",
    "opening_hours",
    "languages",
    "wheelchair",
    "status",
    "alert_text",
    *_ASSURANCE,
)

E = TypeVar("E", Area, Agency, Hotline, Facility)


class DirectoryAdminServicer(directory_admin_service_pb2_grpc.DirectoryAdminServiceServicer):
    """Answers with entries as `writer` writes them."""

    def __init__(self, current: CurrentDirectory, writer: Writer, settings: Settings) -> None:
        self._current, self._writer, self._settings = current, writer, settings

    async def CreateArea(self, request: pb.CreateAreaRequest, context: _Context) -> area_pb2.Area:
        said = request.area
        parent = self._current.directory.areas.by_name.get(said.parent)
        columns = _read_columns(said, _AREA) | {"level": said.level, "parent": said.parent or None, "boundary": None}
        # What holds for the whole holds for its parts.
        for column in ("time_zone", "emergency_number"):
            columns[column] = columns[column] or (getattr(parent, column) if parent else "")
        if not request.area_id:
            raise InvalidRequest(fields=[("areaId", "is required: the official code")])
        if not said.HasField("point"):
            raise InvalidRequest(fields=[("area.point", "is required")])
        return self._writer.to_area(await self._create(request, Area, f"areas/{request.area_id}", columns))

    async def UpdateArea(self, request: pb.UpdateAreaRequest, context: _Context) -> area_pb2.Area:
        return self._writer.to_area(await self._update(request, Area, request.area, _AREA))

    async def DeleteArea(self, request: pb.DeleteAreaRequest, context: _Context) -> Empty:
        return await self._delete(request, Area)

    async def CreateAgency(self, request: pb.CreateAgencyRequest, context: _Context) -> agency_pb2.Agency:
        name = f"agencies/{request.agency_id or new_uuid()}"
        return self._show(self._writer.to_agency(await self._create(request, Agency, name, _read_columns(request.agency, _AGENCY))))

    async def UpdateAgency(self, request: pb.UpdateAgencyRequest, context: _Context) -> agency_pb2.Agency:
        return self._show(self._writer.to_agency(await self._update(request, Agency, request.agency, _AGENCY)))

    async def DeleteAgency(self, request: pb.DeleteAgencyRequest, context: _Context) -> Empty:
        return await self._delete(request, Agency)

    async def CreateHotline(self, request: pb.CreateHotlineRequest, context: _Context) -> agency_pb2.Hotline:
        name = f"hotlines/{request.hotline_id or new_uuid()}"
        return self._show(self._writer.to_hotline(await self._create(request, Hotline, name, _read_columns(request.hotline, _HOTLINE))))

    async def UpdateHotline(self, request: pb.UpdateHotlineRequest, context: _Context) -> agency_pb2.Hotline:
        return self._show(self._writer.to_hotline(await self._update(request, Hotline, request.hotline, _HOTLINE)))

    async def DeleteHotline(self, request: pb.DeleteHotlineRequest, context: _Context) -> Empty:
        return await self._delete(request, Hotline)

    async def CreateFacility(self, request: pb.CreateFacilityRequest, context: _Context) -> facility_pb2.Facility:
        name = f"facilities/{request.facility_id or new_uuid()}"
        columns = self._place(_read_columns(request.facility, _FACILITY))
        return self._show(self._writer.to_facility(await self._create(request, Facility, name, columns | {"source": ""})))

    async def UpdateFacility(self, request: pb.UpdateFacilityRequest, context: _Context) -> facility_pb2.Facility:
        return self._show(self._writer.to_facility(await self._update(request, Facility, request.facility, _FACILITY)))

    async def DeleteFacility(self, request: pb.DeleteFacilityRequest, context: _Context) -> Empty:
        return await self._delete(request, Facility)

    async def SetCoverage(self, request: pb.SetCoverageRequest, context: _Context) -> agency_pb2.Coverage:
        row = request.coverage
        operation = partial(entries.set_coverage, change=_change(request), area=row.area, category=row.category, agency=row.agency)
        return wire.to_coverage(await self._current.change(operation))

    async def RemoveCoverage(self, request: pb.RemoveCoverageRequest, context: _Context) -> Empty:
        operation = partial(entries.remove_coverage, change=_change(request), area=request.area, category=request.category)
        await self._current.change(operation)
        return Empty()

    async def ListDirectoryChanges(self, request: pb.ListDirectoryChangesRequest, context: _Context) -> pb.ListDirectoryChangesResponse:
        page = Page(request)

        def read(session: Session) -> pb.ListDirectoryChangesResponse:
            position, limit = page.after_number(), page.size + 1
            rows = log.timeline(session, request.name, 0, position, limit) if request.name else log.after(session, position, limit)
            events, token = page.cut(rows, lambda event: str(event.id))
            changes = [wire.to_change(history.read_changed(each), each) for each in events]
            return pb.ListDirectoryChangesResponse(changes=changes, next_page_token=token)

        return await self._current.read(read)

    async def ImportDirectory(
        self, request_iterator: AsyncIterator[pb.ImportDirectoryRequest], context: _Context
    ) -> AsyncIterator[pb.ImportDirectoryResponse]:
        async for message in Import(self._current, self._settings.country, caller.get().user).follow(request_iterator):
            yield message

    async def ExportDirectory(self, request: pb.ExportDirectoryRequest, context: _Context) -> AsyncIterator[pb.ExportDirectoryResponse]:
        export = partial(export_directory, request=request, country=self._settings.country)
        chunks = await self._current.read(export, apart=True)
        # In a thread, because a whole country takes a while.
        while chunk := await asyncio.to_thread(next, chunks, b""):
            yield pb.ExportDirectoryResponse(chunk=chunk)

    def _show(self, entry: answers.E) -> answers.E:
        """With whether its assurance has run out."""
        return answers.show_assurance(entry, self._settings.find_assured_since(now()))

    async def _create(self, request: Any, kind: type[E], name: str, columns: dict[str, Any]) -> E:  # noqa: ANN401  # requests share no type
        operation = partial(entries.create_entry, change=_change(request), kind=kind, name=name, columns=columns)
        return await self._current.change(operation)

    async def _update(self, request: Any, kind: type[E], said: Any, changeable: Iterable[str]) -> E:  # noqa: ANN401
        columns = _read_columns(said, read_mask(request.update_mask, said, changeable))
        if kind is Facility:
            columns = self._place(columns)
        elif kind is Area and columns.get("latitude", 0.0) is None:
            raise InvalidRequest(fields=[("area.point", "is required")])
        operation = partial(entries.update_entry, change=_change(request), kind=kind, name=said.name, columns=columns, etag=said.etag)
        return await self._current.change(operation)

    async def _delete(self, request: Any, kind: type[E]) -> Empty:  # noqa: ANN401
        operation = partial(entries.delete_entry, change=_change(request), kind=kind, name=request.name, etag=request.etag)
        await self._current.change(operation)
        return Empty()

    def _place(self, columns: dict[str, Any]) -> dict[str, Any]:
        """With the smallest area at its point, where a point is given and no area. Raises InvalidEntry."""
        latitude, longitude = columns.get("latitude"), columns.get("longitude")
        if latitude is not None and longitude is not None and not columns.get("area"):
            areas, _ = self._current.directory.areas.find(latitude, longitude)
            columns["area"] = areas[0].name if areas else None
        if "area" in columns and not columns["area"]:
            raise InvalidEntry(fields=[("facility.area", "must be named: no area holds the point, or there is none")])
        return columns


def _change(request: Any) -> Change:  # noqa: ANN401
    return Change(request.request_id, request, caller.get().user, now())


def _read_columns(said: Message, fields: Iterable[str]) -> dict[str, Any]:
    """What a request says of the fields, by column. Raises InvalidRequest."""
    try:
        columns = wire.to_columns(said, fields)
    except ValueError as wrong:
        raise InvalidRequest(fields=[(json_name(str(wrong)), "is out of range")]) from None
    defaults = {"assured_by": UNCONFIRMED, "status": Status.ACTIVE}
    return columns | {column: value for column, value in defaults.items() if column in columns and not columns[column]}
