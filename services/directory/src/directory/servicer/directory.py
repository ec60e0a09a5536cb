"""One method per RPC. Whatever only reads is answered from memory, without a question to the database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from chassis.errors import InvalidRequest, Problem, RequestTooLarge
from chassis.paging import Page
from directory import operations, wire
from directory.current import CurrentDirectory
from directory.errors import AgencyNotFound, AreaNotFound, BoundaryUnknown, HotlineNotFound
from directory.geojson import read_features
from directory.snapshot import rank_contact
from siaga.directory.v1 import agency_pb2, area_pb2, directory_service_pb2_grpc
from siaga.directory.v1 import directory_service_pb2 as pb

_MAX_IMPORT_BYTES = 256 * 1024 * 1024
# The stubs alone have the parameters.
_Context: TypeAlias = "grpc.aio.ServicerContext[Message, Message]"

T = TypeVar("T")


class DirectoryServicer(directory_service_pb2_grpc.DirectoryServiceServicer):
    """`dial` is the number for an emergency where no area holds the place."""

    def __init__(self, current: CurrentDirectory, dial: str) -> None:
        self._current, self._dial = current, dial

    async def SearchNearby(self, request: pb.SearchNearbyRequest, context: _Context) -> pb.SearchNearbyResponse:
        current, directory = self._current, self._current.directory
        areas, _ = directory.find_areas(request.point.latitude, request.point.longitude)
        found, token = _cut_page(request, directory.find_contacts(areas, request.categories), rank_contact)
        contacts = [
            pb.Contact(
                name=each.name,
                display_name=each.display_name,
                categories=each.categories,
                numbers=each.numbers,
                assurance=each.assurance,
            )
            for each in found
        ]
        return pb.SearchNearbyResponse(
            contacts=contacts, next_page_token=token, stale=current.stale, load_time=wire.to_timestamp(current.load_time)
        )

    async def ResolveLocation(self, request: pb.ResolveLocationRequest, context: _Context) -> pb.ResolveLocationResponse:
        current, directory = self._current, self._current.directory
        areas, within = directory.find_areas(request.point.latitude, request.point.longitude)
        match = pb.ResolveLocationResponse.BOUNDARY if within else pb.ResolveLocationResponse.NEAREST
        responsibilities = [
            pb.ResolveLocationResponse.Responsibility(category=category, agency=agency)
            for category, agency in directory.find_responsible(areas)
        ]
        return pb.ResolveLocationResponse(
            areas=areas,
            match=match if areas else pb.ResolveLocationResponse.MATCH_UNSPECIFIED,
            responsibilities=responsibilities,
            emergency_number=areas[0].emergency_number if areas else self._dial,
            stale=current.stale,
            load_time=wire.to_timestamp(current.load_time),
        )

    async def GetArea(self, request: pb.GetAreaRequest, context: _Context) -> area_pb2.Area:
        return _require(self._current.directory.areas, request.name, AreaNotFound)

    async def ListAreas(self, request: pb.ListAreasRequest, context: _Context) -> pb.ListAreasResponse:
        areas = (
            area
            for area in self._current.directory.areas.values()
            if (not request.parent or area.parent == request.parent) and (not request.level or area.level == request.level)
        )
        page, token = _cut_page(request, areas, lambda area: area.name)
        return pb.ListAreasResponse(areas=page, next_page_token=token)

    async def GetAreaBoundary(self, request: pb.GetAreaBoundaryRequest, context: _Context) -> pb.GetAreaBoundaryResponse:
        directory = self._current.directory
        area = _require(directory.areas, request.name, AreaNotFound)
        boundary = _require(directory.boundaries, request.name, BoundaryUnknown)
        return pb.GetAreaBoundaryResponse(feature=await asyncio.to_thread(wire.to_feature, area, boundary))

    async def GetAgency(self, request: pb.GetAgencyRequest, context: _Context) -> agency_pb2.Agency:
        return _require(self._current.directory.agencies, request.name, AgencyNotFound)

    async def ListAgencies(self, request: pb.ListAgenciesRequest, context: _Context) -> pb.ListAgenciesResponse:
        page, token = _cut_page(request, self._current.directory.agencies.values(), lambda agency: agency.name)
        return pb.ListAgenciesResponse(agencies=page, next_page_token=token)

    async def GetHotline(self, request: pb.GetHotlineRequest, context: _Context) -> agency_pb2.Hotline:
        return _require(self._current.directory.hotlines, request.name, HotlineNotFound)

    async def ListHotlines(self, request: pb.ListHotlinesRequest, context: _Context) -> pb.ListHotlinesResponse:
        page, token = _cut_page(request, self._current.directory.hotlines.values(), lambda hotline: hotline.name)
        return pb.ListHotlinesResponse(hotlines=page, next_page_token=token)

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: _Context) -> pb.GetSnapshotResponse:
        reply = self._current.directory.reply
        return pb.GetSnapshotResponse(etag=reply.etag) if request.etag == reply.etag else reply

    async def ImportDirectory(
        self, request_iterator: AsyncIterator[pb.ImportDirectoryRequest], context: _Context
    ) -> pb.ImportDirectoryResponse:
        scope, file = await _receive_file(request_iterator)
        # In a thread, because it takes seconds and everybody else is answered meanwhile.
        reading = await asyncio.to_thread(read_features, file)
        imported = await self._current.change(partial(operations.import_areas, scope=scope, reading=reading))
        return pb.ImportDirectoryResponse(**imported._asdict())


def _require(entries: Mapping[str, T], name: str, absent: type[Problem]) -> T:
    if name not in entries:
        raise absent
    return entries[name]


def _cut_page(request: Message, entries: Iterable[T], place: Callable[[T], str]) -> tuple[Sequence[T], str]:
    """The entries of the page, and the token of the next; they come in the order of their places."""
    page = Page(request)
    rest = (each for each in entries if place(each) > page.after)
    return page.cut(list(islice(rest, page.size + 1)), place)


async def _receive_file(requests: AsyncIterator[pb.ImportDirectoryRequest]) -> tuple[str, bytearray]:
    """The scope, and the whole file."""
    scope, file = "", bytearray()
    async for request in requests:
        if request.HasField("scope") == bool(scope):
            break
        scope = scope or request.scope
        file += request.chunk
        if len(file) > _MAX_IMPORT_BYTES:
            raise RequestTooLarge(maxBytes=str(_MAX_IMPORT_BYTES))
    else:
        if scope:
            return scope, file
    raise InvalidRequest(fields=[("scope", "must be in the first message and in no other")])
