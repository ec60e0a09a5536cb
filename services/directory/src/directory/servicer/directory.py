"""DirectoryService: one method per RPC. Everything is answered from memory, without a question to the database."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from chassis.clock import now
from chassis.errors import Problem
from chassis.paging import Page
from directory import answers, wire
from directory.current import CurrentDirectory
from directory.errors import AgencyNotFound, AreaNotFound, BoundaryUnknown, FacilityNotFound, HotlineNotFound
from directory.following import Following
from directory.settings import Settings
from siaga.directory.v1 import agency_pb2, area_pb2, directory_service_pb2_grpc, facility_pb2
from siaga.directory.v1 import directory_service_pb2 as pb

# The stubs alone have the parameters.
_Context: TypeAlias = "grpc.aio.ServicerContext[Message, Message]"
_EVER = (0, 0)
_BUNDLE_CACHED = (("cache-control", "public, max-age=3600"),)

T = TypeVar("T")


class DirectoryServicer(directory_service_pb2_grpc.DirectoryServiceServicer):
    """Answers as `settings` say."""

    def __init__(self, current: CurrentDirectory, following: Following, settings: Settings) -> None:
        self._current, self._following, self._settings = current, following, settings

    async def SearchNearby(  # pyright: ignore[reportIncompatibleMethodOverride]  # bytes, most of them serialized before
        self, request: pb.SearchNearbyRequest, context: _Context
    ) -> bytes:
        return answers.search_nearby(self._scene(), request)

    async def ResolveLocation(  # pyright: ignore[reportIncompatibleMethodOverride]  # as SearchNearby
        self, request: pb.ResolveLocationRequest, context: _Context
    ) -> bytes:
        return answers.resolve_location(self._scene(), request)

    async def GetNumbersBundle(self, request: pb.GetNumbersBundleRequest, context: _Context) -> pb.GetNumbersBundleResponse:
        area = _require(self._current.directory.areas.by_name, request.area, AreaNotFound)
        await context.send_initial_metadata(_BUNDLE_CACHED)
        # In a thread, because to choose from a country's facilities takes a while.
        return await asyncio.to_thread(answers.bundle_numbers, self._scene(), area, request.etag)

    async def GetArea(self, request: pb.GetAreaRequest, context: _Context) -> area_pb2.Area:
        return _require(self._current.directory.areas.by_name, request.name, AreaNotFound)

    async def ListAreas(self, request: pb.ListAreasRequest, context: _Context) -> pb.ListAreasResponse:
        directory = self._current.directory
        areas = directory.select(
            ("areas", request.parent, request.level),
            lambda: directory.areas.list_within(request.parent) if request.parent else directory.areas.by_name.values(),
            lambda area: not request.level or area.level == request.level,
        )
        page, token = _cut_page(request, areas, lambda area: area.name)
        return pb.ListAreasResponse(areas=page, next_page_token=token)

    async def GetAreaBoundary(self, request: pb.GetAreaBoundaryRequest, context: _Context) -> pb.GetAreaBoundaryResponse:
        areas = self._current.directory.areas
        area = _require(areas.by_name, request.name, AreaNotFound)
        # In a thread, because a whole country takes a while.
        boundary = await asyncio.to_thread(areas.find_boundary, request.name)
        if boundary is None:
            raise BoundaryUnknown
        return pb.GetAreaBoundaryResponse(feature=await asyncio.to_thread(wire.to_feature, area, boundary))

    async def GetAgency(self, request: pb.GetAgencyRequest, context: _Context) -> agency_pb2.Agency:
        directory = self._current.directory
        return self._show(_require(directory.agencies, _name_of(directory.names_by_uid, request.name), AgencyNotFound))

    async def ListAgencies(self, request: pb.ListAgenciesRequest, context: _Context) -> pb.ListAgenciesResponse:
        wanted = _Filters.read(request)
        agencies = [each for each in self._current.directory.agencies.values() if wanted.hold(each)]
        page, token = _cut_page(request, agencies, lambda agency: agency.name, request.skip)
        return pb.ListAgenciesResponse(agencies=map(self._show, page), next_page_token=token, total_size=len(agencies))

    async def GetHotline(self, request: pb.GetHotlineRequest, context: _Context) -> agency_pb2.Hotline:
        directory = self._current.directory
        return self._show(_require(directory.hotlines, _name_of(directory.names_by_uid, request.name), HotlineNotFound))

    async def ListHotlines(self, request: pb.ListHotlinesRequest, context: _Context) -> pb.ListHotlinesResponse:
        wanted = _Filters.read(request)
        hotlines = [each for each in self._current.directory.hotlines.values() if wanted.hold(each)]
        page, token = _cut_page(request, hotlines, lambda hotline: hotline.name, request.skip)
        return pb.ListHotlinesResponse(hotlines=map(self._show, page), next_page_token=token, total_size=len(hotlines))

    async def GetFacility(self, request: pb.GetFacilityRequest, context: _Context) -> facility_pb2.Facility:
        facilities = self._current.directory.facilities
        name = _name_of(facilities.names_by_uid, request.name)
        return self._show(_require(facilities.records, name, FacilityNotFound).facility)

    async def ListFacilities(self, request: pb.ListFacilitiesRequest, context: _Context) -> pb.ListFacilitiesResponse:
        directory, wanted = self._current.directory, _Filters.read(request)
        agency = _name_of(directory.names_by_uid, request.agency)
        categories = frozenset[int](request.categories)
        # In a thread, because to look at each of a country's takes a while.
        facilities = await asyncio.to_thread(
            directory.select,
            ("facilities", categories, request.area, agency, wanted),
            lambda: directory.facilities.in_order,
            lambda facility: (
                (not categories or not categories.isdisjoint(facility.categories))
                and (not request.area or wire.holds(request.area, facility.area))
                and (not agency or facility.agency == agency)
                and wanted.hold(facility)
            ),
        )
        page, token = _cut_page(request, facilities, lambda facility: facility.name, request.skip)
        return pb.ListFacilitiesResponse(facilities=map(self._show, page), next_page_token=token, total_size=len(facilities))

    async def ListCoverage(self, request: pb.ListCoverageRequest, context: _Context) -> pb.ListCoverageResponse:
        rows = [row for row in self._current.directory.list_coverage() if not request.area or row.area == request.area]
        page, token = _cut_page(request, rows, lambda row: f"{row.area} {row.category:03}")
        return pb.ListCoverageResponse(coverage=page, next_page_token=token)

    async def GetSnapshot(  # pyright: ignore[reportIncompatibleMethodOverride]  # as SearchNearby
        self, request: pb.GetSnapshotRequest, context: _Context
    ) -> bytes:
        directory = self._current.directory
        if request.etag == directory.etag:
            return pb.GetSnapshotResponse(etag=directory.etag).SerializeToString()
        # In a thread, because a whole country takes a while.
        return await asyncio.to_thread(lambda: directory.snapshot)

    async def WatchDirectory(self, request: pb.WatchDirectoryRequest, context: _Context) -> AsyncIterator[pb.WatchDirectoryResponse]:
        async for message in self._following.watch(request.cursor):
            yield message

    def _scene(self) -> answers.Scene:
        current, settings, time = self._current, self._settings, now()
        assured_since, country, dial = settings.find_assured_since(time), settings.country, settings.platform.dial
        return answers.Scene(current.directory, time, assured_since, country, dial, current.stale, current.load_stamp)

    def _show(self, entry: answers.E) -> answers.E:
        """With whether its assurance has run out."""
        shown = type(entry)()
        shown.CopyFrom(entry)
        return answers.show_assurance(shown, self._settings.find_assured_since(now()))


class _Filters(NamedTuple):
    """What every list of entries can be narrowed by."""

    query: str
    updated_after: tuple[int, int]

    @classmethod
    def read(cls, request: pb.ListAgenciesRequest | pb.ListHotlinesRequest | pb.ListFacilitiesRequest) -> "_Filters":
        return cls(request.query.casefold(), (request.updated_after.seconds, request.updated_after.nanos))

    def hold(self, entry: agency_pb2.Agency | agency_pb2.Hotline | facility_pb2.Facility) -> bool:
        if self.query and self.query not in entry.display_name.casefold():
            return False
        return self.updated_after == _EVER or (entry.update_time.seconds, entry.update_time.nanos) >= self.updated_after


def _require(entries: Mapping[str, T], name: str, absent: type[Problem]) -> T:
    if name not in entries:
        raise absent
    return entries[name]


def _name_of(names_by_uid: Mapping[str, str], name: str) -> str:
    """The entry's own name, where it is asked for by its uid."""
    return names_by_uid.get(name.partition("/")[2], name)


def _cut_page(request: Message, entries: Sequence[T], place: Callable[[T], str], skip: int = 0) -> tuple[Sequence[T], str]:
    """The entries of the page, and the token of the next; they come in the order of their places."""
    page = Page(request)
    start = bisect_right(entries, page.after, key=place) if page.after else skip
    return page.cut(entries[start : start + page.size + 1], place)
