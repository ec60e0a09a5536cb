"""Answers LoST queries: translates them into questions to the directory, and its answers back."""

from collections.abc import Iterable

import shapely
from google.protobuf import json_format
from lxml import etree
from shapely import MultiPolygon, Polygon
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.errors import Problem
from gateway.adapters.body import read_body
from gateway.adapters.lost.errors import BY_REASON, BadRequest, InternalError, Loop, LostError, NotFound, ServiceNotImplemented
from gateway.adapters.lost.names import SERVICES, SOS, Element
from gateway.adapters.lost.queries import Query, read_query
from gateway.adapters.lost.replies import end_reply, write_errors, write_mapping, write_services
from gateway.adapters.services import Directory, ServiceProblem
from gateway.settings import Settings
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.agency_pb2 import Coverage
from siaga.directory.v1.directory_service_pb2 import (
    GetAreaBoundaryRequest,
    ListCoverageRequest,
    ResolveLocationRequest,
    ResolveLocationResponse,
)
from siaga.type.v1.point_pb2 import Point

MEDIA_TYPE = "application/lost+xml"


class Lost:
    """One LoST server, authoritative for what the directory knows."""

    def __init__(self, settings: Settings, directory: Directory) -> None:
        self._source = settings.lost_source
        self._directory = directory
        self.routes = [Route("/lost", self.answer, methods=["POST"])]

    async def answer(self, request: Request) -> Response:
        """Answer with 200 also for an error, as the standard has it: other statuses are for HTTP's own."""
        try:
            reply = await self._answer(request)
        except LostError as error:
            reply = write_errors(self._source, error)
        except Problem as problem:
            kind = BY_REASON.get(str(problem), InternalError)
            reply = write_errors(self._source, kind(problem.to_status().message))
        return Response(etree.tostring(reply, encoding="UTF-8", xml_declaration=True), media_type=MEDIA_TYPE)

    async def _answer(self, request: Request) -> Element:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise BadRequest(f"A query is sent as {MEDIA_TYPE}.")
        query = read_query(await read_body(request))
        path = [*query.path, self._source]
        if self._source in query.path:
            raise Loop("The query has been here before.")
        match query.kind:
            case "findService":
                location, point = query.find_place()
                return end_reply(await self._find_service(query, point, request), path, location)
            case "listServices":
                return end_reply(write_services("listServicesResponse", list_services(query.service)), path)
            case "listServicesByLocation":
                location, point = query.find_place()
                found = await self._resolve(point, request)
                named = {each.category for each in found.responsibilities if not each.by_default}
                services = [service for service in list_services(query.service) if SERVICES[service] in named]
                return end_reply(write_services("listServicesByLocationResponse", services), path, location)
            case _:
                raise NotFound("There is no such boundary: they are given by value, in the answer to findService.")

    async def _find_service(self, query: Query, point: Point, request: Request) -> Element:
        asked = query.service.lower()
        service = find_nearest_service(asked)
        found = await self._resolve(point, request)
        responsible = next(each for each in found.responsibilities if each.category == SERVICES[service])
        warnings: dict[str, str] = {}
        if responsible.by_default:
            service = SOS
            warnings["defaultMappingReturned"] = "Nobody is named for this service here: whoever answers any emergency does."
        if service != asked:
            warnings["serviceSubstitution"] = f"Whoever answers for {service} does so for this service, too."
        boundary = await self._find_boundary(found, responsible, point, request) if query.with_boundary else None
        # As it was written, where it is what is served.
        return write_mapping(self._source, query.service if service == asked else service, responsible, boundary, warnings)

    async def _resolve(self, point: Point, request: Request) -> ResolveLocationResponse:
        question = ResolveLocationRequest(point=point, border_meters=0)
        found = await self._directory.ask(self._directory.stub.ResolveLocation, question, request)
        if not found.areas:
            raise NotFound("Nobody is responsible at this place.")
        return found

    async def _find_boundary(
        self, found: ResolveLocationResponse, responsible: ResolveLocationResponse.Responsibility, point: Point, request: Request
    ) -> Polygon | None:
        """Find where the answer holds: the largest area around the place within which no other agency is named.

        Of an area of several parts it is the part that holds the place, because the standard does not tell clearly
        whether several shapes in one boundary add up. None where no boundary is known, or none holds the place.
        """
        categories = {responsible.category, *([agency_pb2.EMERGENCY] if responsible.by_default else [])}
        others = {
            each.area
            for each in await self._list_coverage(request)
            if each.category in categories and each.agency != responsible.agency.name
        }
        around = [area.name for area in found.areas]
        if responsible.area not in around:
            return None
        # From the responsible one downwards; the code of an area begins with those of the areas that hold it.
        for area in reversed(around[: around.index(responsible.area) + 1]):
            if not any(other.startswith(f"{area}.") for other in others):
                return await self._find_part(area, point, request)
        return None

    async def _list_coverage(self, request: Request) -> list[Coverage]:
        coverage: list[Coverage] = []
        question = ListCoverageRequest(page_size=1000)
        while True:
            page = await self._directory.ask(self._directory.stub.ListCoverage, question, request)
            coverage += page.coverage
            question.page_token = page.next_page_token
            if not question.page_token:
                return coverage

    async def _find_part(self, area: str, point: Point, request: Request) -> Polygon | None:
        try:
            found = await self._directory.ask(self._directory.stub.GetAreaBoundary, GetAreaBoundaryRequest(name=area), request)
        except ServiceProblem as problem:
            if problem.name == "BOUNDARY_UNKNOWN":
                return None
            raise
        boundary = shapely.geometry.shape(json_format.MessageToDict(found.feature)["geometry"])
        assert isinstance(boundary, MultiPolygon)
        place = shapely.Point(point.longitude, point.latitude)
        return next((part for part in boundary.geoms if part.covers(place)), None)


def find_nearest_service(asked: str) -> str:
    """Find the service that is served: itself, or the nearest one above it."""
    while asked not in SERVICES:
        asked, _, label = asked.rpartition(".")
        if not label:
            raise ServiceNotImplemented("This service is not served here: ask listServices for those that are.")
    return asked


def list_services(service: str) -> Iterable[str]:
    """List the immediate children of the service; without one, the topmost services."""
    if not service:
        return [each for each in SERVICES if "." not in each]
    parent = find_nearest_service(service.lower())
    if parent != service.lower():
        raise ServiceNotImplemented("This service is not served here by itself.")
    return [each for each in SERVICES if each.rpartition(".")[0] == parent]
