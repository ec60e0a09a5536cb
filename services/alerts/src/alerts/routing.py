"""Which agency answers at a place, from the directory's last snapshot in memory."""

import asyncio
import logging
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, tzinfo
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc
import shapely
from shapely import MultiPolygon

from alerts.model.enums import Routing
from alerts.model.jurisdiction import Covered, Jurisdiction
from alerts.model.policies import Limit, Policy
from alerts.model.reach import Region, Regions
from chassis import telemetry
from chassis.geo import AreaIndex, Place
from siaga.directory.v1 import agency_pb2, directory_service_pb2, directory_service_pb2_grpc, snapshot_pb2

_REFRESH_SECONDS = 10.0
_CALL_SECONDS = 10.0
_MAX_SNAPSHOT = 256 * 1024 * 1024
_USUAL = Policy()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """Where help is needed and who gives it; `area` is empty when unknown."""

    area: str
    agency: str
    routing: Routing


@dataclass(frozen=True, slots=True)
class Known:
    """What the directory says of an area."""

    display_name: str
    zone: tzinfo


class Router:
    """Follows the directory at `address`; works from what is in `kept` while the directory is away."""

    def __init__(self, address: str, kept: Path, default_agency: str) -> None:
        self._address, self._kept = address, kept
        self._default = Route("", default_agency, Routing.DEFAULT)
        self._etag = ""
        self._index = AreaIndex([])
        self._regions = Regions([], self._index)
        self._agency_names: dict[str, str] = {}
        self._rooms: dict[str, str] = {}
        self._covering: dict[str, list[tuple[int, str]]] = {}
        self._home = ""
        self._parents: dict[str, str] = {}
        self._jurisdiction = Jurisdiction(self._regions, [], self._parents, self.find_room)
        self._policies: dict[str, Policy] = {}
        self._areas: dict[str, Known] = {}
        if kept.exists():
            try:
                self._learn(directory_service_pb2.GetSnapshotResponse.FromString(kept.read_bytes()))
            except Exception:  # noqa: BLE001  # whatever is wrong with it, SOS are taken all the same
                _log.warning("%s cannot be read: SOS go to the default room until the directory answers", kept)

    def route(self, latitude: float | None, longitude: float | None, avoid: str = "") -> Route:
        """The room that takes every SOS of the place's area or the nearest one above it; else the default room. Instead of the
        agency to `avoid`, the one above that or, above all of them, whoever else answers there; that one itself where nobody does.
        """
        found = self._index.find(latitude, longitude) if latitude is not None and longitude is not None else None
        if found is None:
            route = self._default
        else:
            area, within = found
            agency = self._rooms.get(area)
            route = Route(area, agency, Routing.AREA if within else Routing.NEAREST) if agency else replace(self._default, area=area)
        return replace(route, agency=self._pass(route.agency, route.area, avoid))

    def _pass(self, agency: str, area: str, avoid: str) -> str:
        if agency != avoid:
            return agency
        return self.find_above(avoid) or self._find_other(area, avoid) or self._find_other(self._home, avoid) or avoid

    def _find_other(self, area: str, avoid: str) -> str:
        """Another room, else the police, else whoever is called there for anything; of each the nearest. Empty where there is none."""
        covering = [each for around in self._regions.find_around(area) for each in self._covering.get(around, ())]
        return next((agency for _, agency in sorted(covering, key=itemgetter(0)) if agency != avoid), "")

    def find_room(self, area: str, avoid: str = "") -> str:
        """The one that takes every SOS of the area; the default room where no area is known, or it has none. Passes `avoid` as above."""
        return self._pass(self._rooms.get(area) or self._default.agency, area, avoid)

    @property
    def regions(self) -> Regions:
        return self._regions

    @property
    def jurisdiction(self) -> Jurisdiction:
        return self._jurisdiction

    def areas_within(self, area: str) -> list[str]:
        """The area and everything within it."""
        return list(self._regions.find_within(area))

    def name_agency(self, agency: str) -> str:
        """For people; as it is identified where the directory has no name for it."""
        return self._agency_names.get(agency) or agency.removeprefix("agencies/")

    @property
    def has_snapshot(self) -> bool:
        return bool(self._etag)

    def find_areas_below(self, area: str) -> list[str]:
        """Directly below it; without one, the largest that there are."""
        return self._regions.find_below(area)

    def find_display_name(self, area: str) -> str:
        return self._areas[area].display_name if area in self._areas else ""

    def find_zone(self, area: str) -> tzinfo:
        """Of an area that is not known: that of the city whose room answers what cannot be routed."""
        known = self._areas.get(area) or self._areas.get(self._home)
        return known.zone if known else UTC

    def knows(self, agency: str) -> bool:
        return agency in self._parents or agency == self._default.agency

    def find_policy(self, agency: str) -> Policy:
        return self._policies.get(agency, _USUAL)

    def find_above(self, agency: str, avoid: str = "") -> str:
        """Whom to call when the agency does not answer: the one above it, at last the city's room; empty for that one. Never
        the agency to `avoid`.
        """
        above = self._parents.get(agency) or (self._default.agency if agency != self._default.agency else "")
        return self.find_above(above) if above and above == avoid else above

    async def run(self) -> None:
        """Until cancelled. An unchanged directory costs a call and nothing more."""
        # A directory that is back is asked at the next turn: gRPC's own patience grows to two minutes.
        options = [("grpc.max_receive_message_length", _MAX_SNAPSHOT), ("grpc.max_reconnect_backoff_ms", 5000)]
        async with grpc.aio.insecure_channel(self._address, options=options) as channel:
            directory: directory_service_pb2_grpc.DirectoryServiceAsyncStub = directory_service_pb2_grpc.DirectoryServiceStub(channel)  # pyright: ignore[reportAssignmentType]
            away = False
            while True:
                try:
                    await self._refresh(directory)
                    away = False
                except Exception as error:  # noqa: BLE001  # whatever a snapshot has wrong with it
                    if not away:
                        cause = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
                        _log.warning("the directory cannot be had (%s): routing goes on from what is known", cause)
                    away = True
                await asyncio.sleep(_REFRESH_SECONDS if self._etag else 1.0)

    async def _refresh(self, directory: "directory_service_pb2_grpc.DirectoryServiceAsyncStub") -> None:
        request = directory_service_pb2.GetSnapshotRequest(etag=self._etag)
        with telemetry.outgoing_span("siaga.directory.v1.DirectoryService/GetSnapshot") as metadata:
            response = await directory.GetSnapshot(request, metadata=metadata, timeout=_CALL_SECONDS)
        if response.HasField("snapshot"):
            await asyncio.to_thread(self._learn, response)
            _log.info("the directory's snapshot %s is in use: %d areas", self._etag, len(response.snapshot.areas))
            try:
                await asyncio.to_thread(self._keep, response)
            except OSError as error:
                _log.warning("%s cannot be written (%s): the next start may have no snapshot", self._kept, error.strerror)

    def _learn(self, response: directory_service_pb2.GetSnapshotResponse) -> None:
        snapshot = response.snapshot
        rooms = {each.area: each.agency for each in snapshot.coverage if each.category == agency_pb2.EMERGENCY}
        parents = {each.area.parent for each in snapshot.areas}
        # Parents come before their children, who inherit from them where they have no room of their own.
        for each in snapshot.areas:
            if each.area.parent in rooms:
                rooms.setdefault(each.area.name, rooms[each.area.parent])
        # Whatever has a boundary, and of the rest the smallest areas alone: the larger ones' points say less.
        index = AreaIndex(_place(each) for each in snapshot.areas if each.boundary or each.area.name not in parents)
        above = {each.name: each.parent for each in snapshot.agencies}
        # Every way up ends at the city's room: one that leads nowhere or back is none.
        self._parents = {name: "" if parent not in above or _leads_back(name, above) else parent for name, parent in above.items()}
        self._policies = {each.name: _read_policy(each.alert_policy) for each in snapshot.agencies if each.HasField("alert_policy")}
        zones = {name: _find_zone(name) for name in {each.area.time_zone for each in snapshot.areas}}
        self._areas = {each.area.name: Known(each.area.display_name, zones[each.area.time_zone]) for each in snapshot.areas}
        self._home = next((area for area in self._areas if rooms.get(area) == self._default.agency), "")
        covering: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for each in snapshot.coverage:
            covering[each.area].append((each.category, each.agency))
        self._covering = covering
        self._agency_names = {each.name: each.display_name for each in snapshot.agencies}
        self._regions = Regions(map(_read_region, snapshot.areas), index)
        coverage = [Covered(each.area, each.category, each.agency) for each in snapshot.coverage]
        self._jurisdiction = Jurisdiction(self._regions, coverage, self._parents, self.find_room)
        self._index, self._rooms, self._etag = index, rooms, response.etag

    def _keep(self, response: directory_service_pb2.GetSnapshotResponse) -> None:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        new = self._kept.with_suffix(f".{os.getpid()}")
        new.write_bytes(response.SerializeToString())
        new.replace(self._kept)


def _read_region(record: snapshot_pb2.Snapshot.AreaRecord) -> Region:
    area = record.area
    return Region(area.name, area.parent, area.level, area.time_zone, bounded=bool(record.boundary))


def _place(record: snapshot_pb2.Snapshot.AreaRecord) -> Place:
    boundary = shapely.from_wkb(record.boundary) if record.boundary else None
    if boundary is not None and not isinstance(boundary, MultiPolygon):
        raise ValueError(boundary.geom_type)
    return Place(record.area.name, boundary, (record.area.point.longitude, record.area.point.latitude))


def _find_zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        # The directory knows it; this machine's data may be older.
        _log.warning("the time zone %s is not known here: its days are counted in UTC", name)
        return UTC


def _leads_back(agency: str, parents: dict[str, str]) -> bool:
    above, passed = parents[agency], set[str]()
    while above and above not in passed:
        passed.add(above)
        above = parents.get(above, "")
    return agency in passed


def _read_policy(said: agency_pb2.AlertPolicy) -> Policy:
    seconds = {field.name: value for field, value in said.ListFields()}

    def read(field: str, usual: timedelta) -> timedelta:
        return timedelta(seconds=seconds[field]) if field in seconds else usual

    return Policy(
        deliver=read("deliver_seconds", _USUAL.deliver),
        acknowledge=read("acknowledge_seconds", _USUAL.acknowledge),
        supervisor=read("supervisor_seconds", _USUAL.supervisor),
        parent=read("parent_seconds", _USUAL.parent),
        roll_call=read("roll_call_seconds", _USUAL.roll_call),
        position_age=read("position_seconds", _USUAL.position_age),
        limits=[
            Limit(each.kind, each.state, timedelta(seconds=each.warn_seconds), timedelta(seconds=each.alert_seconds))
            for each in said.limits
        ],
    )
