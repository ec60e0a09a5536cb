"""The endpoints below `/hsds`."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.errors import InvalidRequest
from gateway.adapters.hsds.entities import Entry, Json, Writer
from gateway.adapters.hsds.entries import Entries, Filters, Near
from gateway.adapters.hsds.questions import check_parameters, read_decimal, read_flag, read_id, read_page, read_text, read_time
from gateway.adapters.hsds.taxonomy import TAXONOMY_ID, Taxonomy
from gateway.adapters.services import Directory
from gateway.contract import Contract
from gateway.errors import MethodNotFound
from siaga.directory.v1.agency_pb2 import Agency
from siaga.directory.v1.facility_pb2 import Facility

BASE = {
    "version": "3.0",
    "profile": "https://docs.openreferral.org/en/3.0/hsds/schema_reference.html",
    "openapi_url": "https://raw.githubusercontent.com/openreferral/specification/3.0/schema/openapi.json",
}
OF_ALL = {"search", "modified_after"}
FILTERS = OF_ALL | {"taxonomy_term_id", "taxonomy_id", "organization_id"}
PLACE = {"latitude", "longitude", "proximity"}


class Hsds:
    """Answers from the directory, and of its own knows the taxonomy alone, which is the contract's."""

    def __init__(self, directory: Directory, contract: Contract) -> None:
        self._directory = directory
        self._taxonomy = Taxonomy(contract)
        self.routes = [
            Route("/hsds/", self.get_base),
            Route("/hsds/services", self.list_services),
            Route("/hsds/services/{id:uuid}", self.get_service),
            Route("/hsds/organizations", self.list_organizations),
            Route("/hsds/organizations/{id:uuid}", self.get_organization),
            Route("/hsds/service_at_locations", self.list_service_at_locations),
            Route("/hsds/service_at_locations/{id:uuid}", self.get_service_at_location),
            Route("/hsds/taxonomies", self.list_taxonomies),
            Route("/hsds/taxonomies/{id:uuid}", self.get_taxonomy),
            Route("/hsds/taxonomy_terms", self.list_taxonomy_terms),
            Route("/hsds/taxonomy_terms/{id:uuid}", self.get_taxonomy_term),
        ]

    async def get_base(self, request: Request) -> Response:
        check_parameters(request, set())
        return JSONResponse(BASE)

    async def list_services(self, request: Request) -> Response:
        page = read_page(request, FILTERS | {"full", "minimal"})
        full, minimal = read_flag(request, "full"), read_flag(request, "minimal")
        entries = Entries(self._directory, request)
        filters = self._read_filters(request)
        found, total = await entries.list_services(filters, page.skip, page.size) if filters else ([], 0)
        if minimal:
            writer = Writer(self._taxonomy.terms, {}, {})
            return JSONResponse(page.write(list(map(writer.write_minimal_service, found)), total))
        writer = await self._make_writer(entries, found, full=full)
        write = writer.write_full_service if full else writer.write_service
        return JSONResponse(page.write(list(map(write, found)), total))

    async def get_service(self, request: Request) -> Response:
        check_parameters(request, set())
        entries = Entries(self._directory, request)
        entry = await entries.get_service(str(request.path_params["id"]))
        return JSONResponse((await self._make_writer(entries, [entry], full=True)).write_full_service(entry))

    async def list_service_at_locations(self, request: Request) -> Response:
        page, full = read_page(request, FILTERS | PLACE | {"full"}), read_flag(request, "full")
        entries = Entries(self._directory, request)
        filters, near = self._read_filters(request), read_near(request)
        if filters is None:
            found, total = [], 0
        elif near:
            found, total = await entries.list_facilities_near(near, filters, page.skip, page.size)
        else:
            found, total = await entries.list_facilities(filters, page.skip, page.size)
        writer = await self._make_writer(entries, found, full=full)
        write = writer.write_full_service_at_location if full else writer.write_service_at_location
        return JSONResponse(page.write(list(map(write, found)), total))

    async def get_service_at_location(self, request: Request) -> Response:
        check_parameters(request, set())
        entries = Entries(self._directory, request)
        facility = await entries.get_facility(f"facilities/{request.path_params['id']}")
        return JSONResponse((await self._make_writer(entries, [facility], full=True)).write_full_service_at_location(facility))

    async def list_organizations(self, request: Request) -> Response:
        page, full = read_page(request, OF_ALL | {"full", "full_service"}), read_flag(request, "full")
        entries = Entries(self._directory, request)
        found, total = await entries.list_agencies(read_filters_of_all(request), page.skip, page.size)
        whole_services = read_flag(request, "full_service")
        if full or whole_services:
            return JSONResponse(page.write(await self._write_full_organizations(entries, found, whole_services), total))
        writer = Writer(self._taxonomy.terms, await entries.find_agencies({agency.parent for agency in found}), {})
        return JSONResponse(page.write(list(map(writer.write_organization, found)), total))

    async def get_organization(self, request: Request) -> Response:
        check_parameters(request, {"full_service"})
        entries = Entries(self._directory, request)
        agency = await entries.get_agency(f"agencies/{request.path_params['id']}")
        (written,) = await self._write_full_organizations(entries, [agency], read_flag(request, "full_service"))
        return JSONResponse(written)

    async def list_taxonomies(self, request: Request) -> Response:
        return list_known(request, [self._taxonomy.itself])

    async def get_taxonomy(self, request: Request) -> Response:
        return get_known(request, [self._taxonomy.itself])

    async def list_taxonomy_terms(self, request: Request) -> Response:
        """Every term is a topmost one, and none has one below it."""
        terms = [*self._taxonomy.terms.values()]
        read_flag(request, "top_only")
        asked = request.query_params
        other = "parent_id" in asked or ("taxonomy_id" in asked and read_id(request, "taxonomy_id") != TAXONOMY_ID)
        return list_known(request, [] if other else terms, {"top_only", "parent_id", "taxonomy_id"})

    async def get_taxonomy_term(self, request: Request) -> Response:
        return get_known(request, [*self._taxonomy.terms.values()])

    def _read_filters(self, request: Request) -> Filters | None:
        """Return None where nothing can meet them."""
        asked = request.query_params
        if "taxonomy_id" in asked and read_id(request, "taxonomy_id") != TAXONOMY_ID:
            return None
        filters = read_filters_of_all(request)
        if "taxonomy_term_id" in asked:
            term_id = read_id(request, "taxonomy_term_id")
            filters = filters._replace(categories=[category for category, term in self._taxonomy.terms.items() if term["id"] == term_id])
            if not filters.categories:
                return None
        if "organization_id" in asked:
            uid = read_id(request, "organization_id")
            return filters._replace(agency=f"agencies/{uid}") if uid else None
        return filters

    async def _make_writer(self, entries: Entries, found: Sequence[Entry], *, full: bool) -> Writer:
        names = {entry.agency for entry in found if isinstance(entry, Facility)}
        agencies, areas = await asyncio.gather(entries.find_agencies(names), entries.find_areas(found if full else ()))
        return Writer(self._taxonomy.terms, agencies, areas)

    async def _write_full_organizations(self, entries: Entries, found: Sequence[Agency], whole_services: bool) -> list[Json]:  # noqa: FBT001  # as asked for
        facilities = await asyncio.gather(*map(entries.list_facilities_of, found))
        agencies = await entries.find_agencies({agency.name for agency in found})
        areas = await entries.find_areas(chain.from_iterable(facilities)) if whole_services else {}
        writer = Writer(self._taxonomy.terms, agencies, areas)
        write = writer.write_full_service if whole_services else writer.write_service
        return [writer.write_full_organization(agency, map(write, each)) for agency, each in zip(found, facilities, strict=True)]


def read_filters_of_all(request: Request) -> Filters:
    return Filters(query=read_text(request, "search", 100), updated_after=read_time(request, "modified_after"))


def read_near(request: Request) -> Near | None:
    """The standard has the centre of a postcode, which the directory does not know; here the centre itself is given."""
    if not PLACE & request.query_params.keys():
        return None
    unserved = sorted(request.query_params.keys() & (OF_ALL | {"organization_id"}))
    if unserved:
        raise InvalidRequest(fields=[(name, "is not served together with a place") for name in unserved])
    return Near(
        read_decimal(request, "latitude", -90, 90),
        read_decimal(request, "longitude", -180, 180),
        read_decimal(request, "proximity", 1, 500_000),
    )


def list_known(request: Request, entries: Sequence[Json], parameters: AbstractSet[str] = frozenset()) -> Response:
    page = read_page(request, {"search", *parameters})
    query = read_text(request, "search", 100).casefold()
    known = [each for each in entries if query in each["name"].casefold()]
    return JSONResponse(page.write(known[page.skip : page.skip + page.size], len(known)))


def get_known(request: Request, known: Sequence[Json]) -> Response:
    check_parameters(request, set())
    found = next((each for each in known if each["id"] == str(request.path_params["id"])), None)
    if found is None:
        raise MethodNotFound
    return JSONResponse(found)
