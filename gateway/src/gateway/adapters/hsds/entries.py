"""What the adapter asks the directory: entries by number and filter, and what they name."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request

from gateway.adapters.hsds.entities import Entry
from gateway.adapters.services import Directory, ServiceProblem
from siaga.directory.v1.agency_pb2 import Agency, Category, Hotline
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.directory_service_pb2 import (
    GetAgencyRequest,
    GetAreaRequest,
    GetFacilityRequest,
    GetHotlineRequest,
    ListAgenciesRequest,
    ListFacilitiesRequest,
    ListFacilitiesResponse,
    ListHotlinesRequest,
    ListHotlinesResponse,
    SearchNearbyRequest,
    SearchNearbyResponse,
)
from siaga.directory.v1.facility_pb2 import Facility
from siaga.type.v1.point_pb2 import Point

Question = TypeVar("Question", bound=Message)
Answer = TypeVar("Answer", bound=Message)
PagedQuestion = TypeVar("PagedQuestion", SearchNearbyRequest, ListFacilitiesRequest, ListHotlinesRequest)
PagedAnswer = TypeVar("PagedAnswer", SearchNearbyResponse, ListFacilitiesResponse, ListHotlinesResponse)
# The most that the contract gives at once.
ALL = 1000


class Filters(NamedTuple):
    """Which entries are asked for; all of them where nothing is said. `agency` is a name by its uid."""

    categories: Sequence[Category.ValueType] = ()
    agency: str = ""
    query: str = ""
    updated_after: Timestamp | None = None


class Near(NamedTuple):
    """Around where, and how far at most."""

    latitude: float
    longitude: float
    meters: float


class Entries:
    """The directory in the name of one request. Whatever it asks raises Problem."""

    def __init__(self, directory: Directory, request: Request) -> None:
        self._directory = directory
        self._stub = directory.stub
        self._request = request

    async def get_service(self, uid: str) -> Entry:
        """Return the facility of the uid, else the hotline."""
        try:
            return await self.get_facility(f"facilities/{uid}")
        except ServiceProblem as no_facility:
            if no_facility.name != "FACILITY_NOT_FOUND":
                raise
        return await self._ask(self._stub.GetHotline, GetHotlineRequest(name=f"hotlines/{uid}"))

    async def get_facility(self, name: str) -> Facility:
        return await self._ask(self._stub.GetFacility, GetFacilityRequest(name=name))

    async def get_agency(self, name: str) -> Agency:
        return await self._ask(self._stub.GetAgency, GetAgencyRequest(name=name))

    async def get_area(self, name: str) -> Area:
        return await self._ask(self._stub.GetArea, GetAreaRequest(name=name))

    async def list_agencies(self, filters: Filters, skip: int, size: int) -> tuple[Sequence[Agency], int]:
        question = ListAgenciesRequest(skip=skip, page_size=size, query=filters.query, updated_after=filters.updated_after)
        answer = await self._ask(self._stub.ListAgencies, question)
        return answer.agencies, answer.total_size

    async def list_services(self, filters: Filters, skip: int, size: int) -> tuple[Sequence[Entry], int]:
        """Hotlines before facilities, and how many there are of both."""
        hotlines = await self._list_hotlines(filters)
        found = hotlines[skip : skip + size]
        facilities, total = await self.list_facilities(filters, max(skip - len(hotlines), 0), size - len(found))
        return [*found, *facilities], len(hotlines) + total

    async def _list_hotlines(self, filters: Filters) -> Sequence[Hotline]:
        # Nobody runs a hotline, as far as the contract says.
        if filters.agency:
            return []
        question = ListHotlinesRequest(page_size=ALL, query=filters.query, updated_after=filters.updated_after)
        hotlines = [each async for page in self._ask_all(self._stub.ListHotlines, question) for each in page.hotlines]
        return [each for each in hotlines if not filters.categories or set(filters.categories) & set(each.categories)]

    async def list_facilities(self, filters: Filters, skip: int, size: int) -> tuple[Sequence[Facility], int]:
        # A size of 0 would stand for the contract's default; how many there are is asked for all the same.
        question = ListFacilitiesRequest(
            skip=skip,
            page_size=max(size, 1),
            categories=filters.categories,
            agency=filters.agency,
            query=filters.query,
            updated_after=filters.updated_after,
        )
        answer = await self._ask(self._stub.ListFacilities, question)
        return answer.facilities[:size], answer.total_size

    async def list_facilities_of(self, agency: Agency) -> Sequence[Facility]:
        question = ListFacilitiesRequest(page_size=ALL, agency=agency.name)
        return [each async for page in self._ask_all(self._stub.ListFacilities, question) for each in page.facilities]

    async def list_facilities_near(self, near: Near, filters: Filters, skip: int, size: int) -> tuple[Sequence[Facility], int]:
        """The nearest first; only those that have a place and are not closed for good."""
        question = SearchNearbyRequest(
            point=Point(latitude=near.latitude, longitude=near.longitude),
            max_distance_meters=near.meters,
            categories=filters.categories,
            page_size=ALL,
        )
        contacts = [each async for page in self._ask_all(self._stub.SearchNearby, question) for each in page.contacts]
        names = [contact.name for contact in contacts if contact.HasField("distance_meters")]
        # A contact lacks who runs it and when it changed.
        return await asyncio.gather(*map(self.get_facility, names[skip : skip + size])), len(names)

    async def find_agencies(self, names: set[str]) -> dict[str, Agency]:
        """Return the agencies of these names, and those above them."""
        found = await asyncio.gather(*map(self.get_agency, names - {""}))
        above = {agency.parent for agency in found} - names - {""}
        return {agency.name: agency for agency in (*found, *await asyncio.gather(*map(self.get_agency, above)))}

    async def find_areas(self, entries: Iterable[Entry]) -> dict[str, Area]:
        names = {entry.area for entry in entries} - {""}
        return {area.name: area for area in await asyncio.gather(*map(self.get_area, names))}

    async def _ask(self, rpc: grpc.aio.UnaryUnaryMultiCallable[Question, Answer], question: Question) -> Answer:
        return await self._directory.ask(rpc, question, self._request)

    async def _ask_all(
        self, rpc: grpc.aio.UnaryUnaryMultiCallable[PagedQuestion, PagedAnswer], question: PagedQuestion
    ) -> AsyncIterator[PagedAnswer]:
        """Yield every page of a list."""
        while True:
            page = await self._ask(rpc, question)
            yield page
            if not page.next_page_token:
                return
            question.page_token = page.next_page_token
