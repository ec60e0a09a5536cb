"""A small directory over real gRPC, which says what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.struct_pb2 import Struct

from chassis.errors import STATUS_DETAILS, Problem, documented
from chassis.testing import free_port
from gateway.adapters.app import make_app
from gateway.settings import Settings
from siaga.directory.v1 import agency_pb2, error_reason_pb2
from siaga.directory.v1.agency_pb2 import Agency, Category, Coverage, PhoneNumber
from siaga.directory.v1.area_pb2 import Area
from siaga.directory.v1.directory_service_pb2 import (
    GetAreaBoundaryRequest,
    GetAreaBoundaryResponse,
    ListCoverageRequest,
    ListCoverageResponse,
    ResolveLocationRequest,
    ResolveLocationResponse,
)
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceServicer, add_DirectoryServiceServicer_to_server

POLICE = Agency(
    name="agencies/police",
    display_name="Polisi",
    numbers=[
        PhoneNumber(number="110", use=PhoneNumber.CALL, uri="tel:110;phone-context=+62"),
        PhoneNumber(number="02100", use=PhoneNumber.CALL, uri="tel:+62-21-00"),
        PhoneNumber(number="0811", use=PhoneNumber.WHATSAPP, uri="https://wa.me/62811"),
    ],
    sip_uri="sip:110@police.example",
    etag="one",
)
ROOM = Agency(name="agencies/room", display_name="Siaga 112", numbers=[PhoneNumber(number="112", uri="tel:112;phone-context=+62")])
SIX = (
    agency_pb2.EMERGENCY,
    agency_pb2.POLICE,
    agency_pb2.FIRE,
    agency_pb2.AMBULANCE,
    agency_pb2.SEARCH_AND_RESCUE,
    agency_pb2.WOMEN_AND_CHILDREN,
)


class BoundaryUnknown(Problem):
    reason = documented(error_reason_pb2.ErrorReason.DESCRIPTOR, error_reason_pb2.BOUNDARY_UNKNOWN)
    text = "There is none."


def answer_for(category: Category.ValueType) -> ResolveLocationResponse.Responsibility:
    if category in {agency_pb2.EMERGENCY, agency_pb2.POLICE}:
        agency = POLICE if category == agency_pb2.POLICE else ROOM
        return ResolveLocationResponse.Responsibility(category=category, agency=agency, number=agency.numbers[0].number, area="areas/31")
    return ResolveLocationResponse.Responsibility(category=category, agency=ROOM, number="112", area="areas/31", by_default=True)


class SmallDirectory(DirectoryServiceServicer):
    """Knows one province with one city and one village, and who answers in them for police and any emergency."""

    def __init__(self) -> None:
        self.found = ResolveLocationResponse(
            areas=[Area(name=f"areas/{code}") for code in ("31.71.01", "31.71", "31")], responsibilities=map(answer_for, SIX)
        )
        self.coverage = [
            Coverage(area="areas/31", category=agency_pb2.EMERGENCY, agency=ROOM.name),
            Coverage(area="areas/31", category=agency_pb2.POLICE, agency=POLICE.name),
        ]
        self.boundaries: dict[str, list[Any]] = {}
        self.seconds = 0.0
        self.problem: Problem | None = None
        self.asked: list[tuple[Any, Mapping[str, str]]] = []

    async def ResolveLocation(self, request: ResolveLocationRequest, context: Any) -> ResolveLocationResponse:
        await self._receive(request, context)
        return self.found

    async def ListCoverage(self, request: ListCoverageRequest, context: Any) -> ListCoverageResponse:
        """In pages of one."""
        await self._receive(request, context)
        page = int(request.page_token or 0)
        more = page + 1 < len(self.coverage)
        return ListCoverageResponse(coverage=self.coverage[page : page + 1], next_page_token=str(page + 1) if more else "")

    async def GetAreaBoundary(self, request: GetAreaBoundaryRequest, context: Any) -> GetAreaBoundaryResponse:
        await self._receive(request, context)
        if request.name not in self.boundaries:
            await refuse(context, BoundaryUnknown())
        feature = Struct()
        geometry = {"type": "MultiPolygon", "coordinates": self.boundaries[request.name]}
        feature.update({"type": "Feature", "properties": {}, "geometry": geometry})
        return GetAreaBoundaryResponse(feature=feature)

    async def _receive(self, request: Any, context: Any) -> None:
        self.asked.append((request, dict(context.invocation_metadata())))
        await asyncio.sleep(self.seconds)
        if self.problem:
            await refuse(context, self.problem)


async def refuse(context: Any, problem: Problem) -> None:
    await context.abort(problem.reason.code, problem.text, ((STATUS_DETAILS, problem.to_status().SerializeToString()),))


class Client:
    """Of the adapters that ask the small directory."""

    def __init__(self, http: httpx.AsyncClient, directory: SmallDirectory, server: grpc.aio.Server) -> None:
        self.http, self.directory, self.server = http, directory, server

    async def ask(self, query: str, **headers: str | bytes) -> httpx.Response:
        """Headers as bytes may break the rules of HTTP."""
        sent = {"content-type": "application/lost+xml"} | headers
        encoded = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in sent.items()]
        return await self.http.post("/lost", content=query, headers=encoded)


@asynccontextmanager
async def run_adapters(monkeypatch: pytest.MonkeyPatch, folder: str) -> AsyncIterator[Client]:
    monkeypatch.setenv("SIAGA_DATA", folder)
    address = f"127.0.0.1:{free_port()}"
    directory = SmallDirectory()
    server = grpc.aio.server()
    add_DirectoryServiceServicer_to_server(directory, server)
    server.add_insecure_port(address)
    await server.start()
    app = make_app(Settings(upstreams={"directory": [address], "alerts": [address]}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://adapters") as http:
        yield Client(http, directory, server)
    await server.stop(None)
