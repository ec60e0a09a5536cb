"""Which room answers at a place, with a directory, with what is kept of one, and without."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import shapely
from people import MONAS, People, run_service
from pydantic import SecretStr
from shapely import MultiPolygon, Polygon, box

import directory.settings
from alerts.model.enums import Kind, Routing, State
from alerts.model.policies import Limit, Policy
from alerts.routing import Route, Router
from alerts.settings import Settings
from chassis.settings import Platform
from chassis.testing import AUDIENCE, ISSUER, Issuer, free_port, is_listening
from directory.__main__ import serve as serve_directory
from directory.commands import migrate_database
from siaga.alerts.v1 import alert_pb2
from siaga.directory.v1 import agency_pb2, snapshot_pb2
from siaga.directory.v1.directory_admin_service_pb2 import ImportDirectoryRequest, UpdateAgencyRequest
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

DEFAULT_ROOM = "agencies/jakarta-112"
CITY_ROOM, DISTRICT_ROOM = "agencies/city-room", "agencies/district-room"
PROVINCE, CITY, DISTRICT, OTHER_DISTRICT = "areas/31", "areas/31.71", "areas/31.71.01", "areas/31.71.02"
VILLAGE, NEIGHBOUR, OTHER_VILLAGE, ISLAND = f"{DISTRICT}.1001", f"{DISTRICT}.1002", f"{OTHER_DISTRICT}.1001", "areas/31.01.01.1001"
LAWLESS, ARCHIPELAGO = "areas/99", "areas/98"
# Two squares of about 1.1 km with a sliver of 55 m between them, one of another district, one of no room.
SQUARES = {
    VILLAGE: box(106.80, -6.20, 106.81, -6.19),
    NEIGHBOUR: box(106.8105, -6.20, 106.82, -6.19),
    OTHER_VILLAGE: box(106.90, -6.20, 106.91, -6.19),
    LAWLESS: box(107.50, -6.20, 107.51, -6.19),
}
PARENTS = {
    PROVINCE: "",
    CITY: PROVINCE,
    DISTRICT: CITY,
    OTHER_DISTRICT: CITY,
    VILLAGE: DISTRICT,
    NEIGHBOUR: DISTRICT,
    OTHER_VILLAGE: OTHER_DISTRICT,
    ISLAND: PROVINCE,
    LAWLESS: "",
}
IN_VILLAGE = (-6.195, 106.805)


def make_snapshot(etag: str = "one") -> GetSnapshotResponse:
    reply = GetSnapshotResponse(etag=etag)
    for name, parent in PARENTS.items():
        record = reply.snapshot.areas.add()
        record.area.name, record.area.parent = name, parent
        record.area.point.latitude, record.area.point.longitude = -5.74, 106.61
        if name in SQUARES:
            record.boundary = shapely.to_wkb(MultiPolygon([SQUARES[name]]))
    for area, category, agency in (
        (CITY, agency_pb2.EMERGENCY, CITY_ROOM),
        (DISTRICT, agency_pb2.EMERGENCY, DISTRICT_ROOM),
        (VILLAGE, agency_pb2.POLICE, "agencies/police"),
    ):
        reply.snapshot.coverage.append(agency_pb2.Coverage(area=area, category=category, agency=agency))
    return reply


def make_router(kept: Path, address: str = "") -> Router:
    """Of a directory that nobody listens for, where no address is given."""
    return Router(address or f"127.0.0.1:{free_port()}", kept, DEFAULT_ROOM)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.directory"
    path.write_bytes(make_snapshot().SerializeToString())
    return path


class TestWhatIsKept:
    @pytest.mark.parametrize(
        ("latitude", "longitude", "route"),
        [
            # Within a boundary: the room of the area, or of the nearest area above it that has one.
            (*IN_VILLAGE, Route(VILLAGE, DISTRICT_ROOM, Routing.AREA)),
            (-6.195, 106.905, Route(OTHER_VILLAGE, CITY_ROOM, Routing.AREA)),
            # In the sliver between two boundaries, and within 500 m of one.
            (-6.195, 106.8101, Route(VILLAGE, DISTRICT_ROOM, Routing.NEAREST)),
            (-6.195, 106.8104, Route(NEIGHBOUR, DISTRICT_ROOM, Routing.NEAREST)),
            (-6.2044, 106.905, Route(OTHER_VILLAGE, CITY_ROOM, Routing.NEAREST)),
            # Further out there is nobody's area.
            (-6.2046, 106.905, Route("", DEFAULT_ROOM, Routing.DEFAULT)),
            (0.0, 0.0, Route("", DEFAULT_ROOM, Routing.DEFAULT)),
            (90.0, 180.0, Route("", DEFAULT_ROOM, Routing.DEFAULT)),
            (-90.0, -180.0, Route("", DEFAULT_ROOM, Routing.DEFAULT)),
            # Where no boundary is known an area reaches as far as its point does; above this one no room answers.
            (-5.76, 106.61, Route(ISLAND, DEFAULT_ROOM, Routing.DEFAULT)),
            (-5.93, 106.61, Route("", DEFAULT_ROOM, Routing.DEFAULT)),
            (-6.195, 107.505, Route(LAWLESS, DEFAULT_ROOM, Routing.DEFAULT)),
            # Without a place.
            (None, None, Route("", DEFAULT_ROOM, Routing.DEFAULT)),
        ],
    )
    def test_routes_without_the_directory(self, kept: Path, latitude: float | None, longitude: float | None, route: Route) -> None:
        assert make_router(kept).route(latitude, longitude) == route

    @pytest.mark.parametrize(
        ("place", "avoid", "agency"),
        [
            (IN_VILLAGE, DISTRICT_ROOM, DEFAULT_ROOM),
            # Above the topmost there is nobody: another room, else the police, else whoever is called there.
            (IN_VILLAGE, "agencies/nobody", DISTRICT_ROOM),
            ((-6.195, 106.905), CITY_ROOM, DEFAULT_ROOM),
            ((-6.195, 107.505), DEFAULT_ROOM, "agencies/lawless-police"),
            # Where nobody is called, and without a place, those of the city whose room it is.
            ((-5.76, 106.61), DEFAULT_ROOM, "agencies/archipelago-fire"),
            ((None, None), DEFAULT_ROOM, "agencies/archipelago-fire"),
        ],
    )
    def test_an_agency_to_avoid_is_passed(self, kept: Path, place: tuple[float | None, float | None], avoid: str, agency: str) -> None:
        snapshot = make_snapshot()
        for area, category, each in (
            (LAWLESS, agency_pb2.FIRE, "agencies/lawless-fire"),
            (LAWLESS, agency_pb2.POLICE, "agencies/lawless-police"),
            (ARCHIPELAGO, agency_pb2.EMERGENCY, DEFAULT_ROOM),
            (ARCHIPELAGO, agency_pb2.FIRE, "agencies/archipelago-fire"),
        ):
            snapshot.snapshot.coverage.add(area=area, category=category, agency=each)
        snapshot.snapshot.areas.add().area.name = ARCHIPELAGO
        kept.write_bytes(snapshot.SerializeToString())
        assert make_router(kept).route(*place, avoid).agency == agency

    def test_where_nobody_else_answers_the_one_to_avoid_does(self, kept: Path) -> None:
        assert make_router(kept).route(None, None, DEFAULT_ROOM).agency == DEFAULT_ROOM

    def test_an_area_holds_everything_below_it(self, kept: Path) -> None:
        router = make_router(kept)
        assert set(router.areas_within(CITY)) == {CITY, DISTRICT, OTHER_DISTRICT, VILLAGE, NEIGHBOUR, OTHER_VILLAGE}
        assert router.areas_within(VILLAGE) == [VILLAGE]
        assert router.areas_within("areas/unknown") == ["areas/unknown"]

    def test_without_it_everything_goes_to_the_default_room(self, tmp_path: Path) -> None:
        assert make_router(tmp_path / "none").route(*IN_VILLAGE) == Route("", DEFAULT_ROOM, Routing.DEFAULT)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda whole: whole[: len(whole) // 2],
            lambda whole: b"\xff" * len(whole),
            lambda _: GetSnapshotResponse(etag="x", snapshot=make_broken(b"no boundary")).SerializeToString(),
            lambda _: GetSnapshotResponse(etag="x", snapshot=make_broken(shapely.to_wkb(Polygon()))).SerializeToString(),
        ],
        ids=["cut off", "overwritten", "no boundary", "another shape"],
    )
    def test_damaged_it_costs_a_warning_and_not_the_start(
        self, kept: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
    ) -> None:
        kept.write_bytes(damage(kept.read_bytes()))
        assert make_router(kept).route(*IN_VILLAGE) == Route("", DEFAULT_ROOM, Routing.DEFAULT)
        assert f"{kept} cannot be read" in caplog.text

    def test_unreadable_it_costs_a_warning_and_not_the_start(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert make_router(tmp_path).route(*IN_VILLAGE) == Route("", DEFAULT_ROOM, Routing.DEFAULT)
        assert f"{tmp_path} cannot be read" in caplog.text


def make_broken(boundary: bytes) -> snapshot_pb2.Snapshot:
    snapshot = make_snapshot().snapshot
    snapshot.areas[-1].boundary = boundary
    return snapshot


@asynccontextmanager
async def following(router: Router) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(router.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float) -> float:
    """How long it took."""
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - begun


@asynccontextmanager
async def run_directory(data: Path, port: int, issuer: Issuer) -> AsyncIterator[grpc.aio.Channel]:
    """The directory itself, with Jakarta."""
    data.mkdir(exist_ok=True)
    platform = Platform(data=data, issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.jwks_url)
    address, url = f"127.0.0.1:{port}", f"sqlite:///{data / 'directory.db'}"
    # Its commands run a loop of their own.
    await asyncio.to_thread(migrate_database, url)
    serving = asyncio.create_task(
        serve_directory(directory.settings.Settings(platform=platform, listen=address, database_url=SecretStr(url)))
    )
    await until(lambda: is_listening(port), 10)
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def import_square(channel: grpc.aio.Channel, issuer: Issuer, scope: str, square: Polygon) -> None:
    properties = {"code": scope.removeprefix("areas/"), "name": "Gambir", "parent": scope.removeprefix("areas/").rpartition(".")[0]}
    feature = {"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(square)}
    file = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    requests = iter([ImportDirectoryRequest(head={"scope": scope, "format": "AREAS_GEOJSON"}), ImportDirectoryRequest(chunk=file)])
    metadata = [("authorization", f"Bearer {issuer.sign('indra', 'admin')}")]
    answers = [answer async for answer in DirectoryAdminServiceStub(channel).ImportDirectory(requests, timeout=10, metadata=metadata)]
    assert answers[-1].result.changed == 1


class TestFollowingTheDirectory:
    async def test_it_is_learnt_when_it_comes_and_again_when_it_changes(
        self, tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        port, kept, monas = free_port(), tmp_path / "alerts.directory", (MONAS["latitude"], MONAS["longitude"])
        router = make_router(kept, f"127.0.0.1:{port}")
        async with following(router):
            await until(lambda: "the directory cannot be had" in caplog.text, 5)
            assert router.route(*monas).routing is Routing.DEFAULT
            async with run_directory(tmp_path / "directory", port, issuer) as channel:
                await until(lambda: router.route(*monas).routing is Routing.NEAREST, 5)
                found = router.route(*monas)
                assert found.agency == DEFAULT_ROOM
                await until(kept.exists, 5)
                await import_square(channel, issuer, found.area, box(106.82, -6.18, 106.83, -6.17))
                # What a restart would find.
                await until(lambda: make_router(kept).route(*monas).routing is Routing.AREA, 15)
            # With the directory gone again.
            assert make_router(kept).route(*monas) == router.route(*monas) == Route(found.area, DEFAULT_ROOM, Routing.AREA)
        assert caplog.text.count("is in use") == 2

    async def test_an_unchanged_one_is_neither_read_nor_kept_again(
        self, tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        kept = tmp_path / "alerts.directory"
        router = make_router(kept)
        async with run_directory(tmp_path / "directory", free_port(), issuer) as channel:
            stub: Any = DirectoryServiceStub(channel)
            await router._refresh(stub)
            index, written = router._index, kept.stat()
            for each in (router, make_router(kept)):
                await each._refresh(stub)
            assert router._index is index
            assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
        assert caplog.text.count("is in use") == 1

    async def test_an_agencys_policy_is_learnt_with_the_next_look_and_kept(self, tmp_path: Path, issuer: Issuer) -> None:
        kept = tmp_path / "alerts.directory"
        router = make_router(kept)
        async with run_directory(tmp_path / "directory", free_port(), issuer) as channel:
            stub: Any = DirectoryServiceStub(channel)
            admin: Any = DirectoryAdminServiceStub(channel)
            await router._refresh(stub)
            assert router.find_policy(DEFAULT_ROOM) == Policy()
            limit = {"kind": "FIRE", "state": "ON_SCENE", "warn_seconds": 7, "alert_seconds": 8}
            policy = {"deliver_seconds": 1, "acknowledge_seconds": 2, "supervisor_seconds": 3, "parent_seconds": 4}
            policy |= {"roll_call_seconds": 0, "position_seconds": 6, "limits": [limit]}
            agency = {"name": DEFAULT_ROOM, "alert_policy": policy}
            metadata = [("authorization", f"Bearer {issuer.sign('indra', 'admin')}")]
            await admin.UpdateAgency(UpdateAgencyRequest(agency=agency), metadata=metadata)
            await router._refresh(stub)
        for each in (router, make_router(kept)):
            found = each.find_policy(DEFAULT_ROOM)
            seconds = [time.total_seconds() for time in (found.deliver, found.acknowledge, found.supervisor, found.parent)]
            assert (seconds, found.roll_call, found.position_age) == ([1, 2, 3, 4], timedelta(0), timedelta(seconds=6))
            assert found.limits == [Limit(Kind.FIRE, State.ON_SCENE, timedelta(seconds=7), timedelta(seconds=8))]
            assert each.find_policy("agencies/jakarta-fire") == Policy()

    @pytest.mark.parametrize("boundary", [b"no boundary", shapely.to_wkb(Polygon())], ids=["no boundary", "another shape"])
    async def test_a_broken_one_costs_a_warning_and_neither_the_routes_nor_the_service(
        self, kept: Path, caplog: pytest.LogCaptureFixture, boundary: bytes
    ) -> None:
        broken = GetSnapshotResponse(etag="two", snapshot=make_broken(boundary))

        async def answer(*_: object) -> GetSnapshotResponse:
            return broken

        async with run_faulty_directory(answer) as address:
            router = make_router(kept, address)
            async with following(router) as task:
                await until(lambda: "the directory cannot be had" in caplog.text or task.done(), 5)
                assert not task.done()
            assert router.route(*IN_VILLAGE) == Route(VILLAGE, DISTRICT_ROOM, Routing.AREA)
            assert make_router(kept).route(*IN_VILLAGE) == Route(VILLAGE, DISTRICT_ROOM, Routing.AREA)

    async def test_a_defect_of_ours_costs_no_more(self, kept: Path, caplog: pytest.LogCaptureFixture) -> None:
        class Defective(Router):
            def _learn(self, response: GetSnapshotResponse) -> None:
                raise KeyError(response.etag)

        async def answer(*_: object) -> GetSnapshotResponse:
            return make_snapshot()

        async with run_faulty_directory(answer) as address:
            router = Defective(address, kept, DEFAULT_ROOM)
            async with following(router) as task:
                await until(lambda: "the directory cannot be had (KeyError)" in caplog.text or task.done(), 5)
                assert not task.done()
            assert router.route(*IN_VILLAGE).agency == DEFAULT_ROOM

    async def test_a_full_disk_costs_a_warning_and_not_what_was_learnt(
        self, tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        not_a_folder = tmp_path / "file"
        not_a_folder.touch()
        port = free_port()
        async with run_directory(tmp_path / "directory", port, issuer):
            router = make_router(not_a_folder / "alerts.directory", f"127.0.0.1:{port}")
            async with following(router) as task:
                await until(lambda: "alerts.directory cannot be written" in caplog.text or task.done(), 5)
                assert not task.done()
            assert router.route(MONAS["latitude"], MONAS["longitude"]).area
            assert "cannot be had" not in caplog.text


@asynccontextmanager
async def run_faulty_directory(answer: Callable[..., Awaitable[GetSnapshotResponse]]) -> AsyncIterator[str]:
    """What no directory does but one with a fault."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer, response_serializer=GetSnapshotResponse.SerializeToString)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("siaga.directory.v1.DirectoryService", {"GetSnapshot": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


class TestAnSos:
    async def test_it_goes_to_the_room_of_its_place_and_to_nobody_else(self, settings: Settings, issuer: Issuer) -> None:
        settings.snapshot_file.write_bytes(make_snapshot().SerializeToString())
        place = {"point": {"latitude": IN_VILLAGE[0], "longitude": IN_VILLAGE[1]}}
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            district, default = people.sign_in("made", "dispatcher", agency=DISTRICT_ROOM), people.rina
            watches = [await party.watch("WatchAlerts", cursor="now").begin() for party in (district, default)]
            here = (await people.dewi("RaiseAlert", location=place)).alert
            assert (here.area, here.agency, here.routing) == (VILLAGE, DISTRICT_ROOM, alert_pb2.Alert.AREA)
            # Help goes where it is needed, and that may be elsewhere than the caller.
            there = (await people.dewi("RaiseAlert", location={"point": MONAS}, target=place)).alert
            assert (there.area, there.agency) == (VILLAGE, DISTRICT_ROOM)
            # A target in words alone is no place: the caller's own is the best that is known.
            told = (await people.dewi("RaiseAlert", location=place, target={"addressText": "behind the market"})).alert
            assert (told.area, told.agency) == (VILLAGE, DISTRICT_ROOM)
            nowhere = (await people.dewi("RaiseAlert")).alert
            assert (nowhere.area, nowhere.agency, nowhere.routing) == ("", DEFAULT_ROOM, alert_pb2.Alert.DEFAULT)
            # Each watch begins with its own room's first alert: the others were raised before, or never come.
            assert [(await each.read_event())[1].name for each in watches] == [here.name, nowhere.name]
            routed = {here.name, there.name, told.name}
            assert set(await district.list_names()) == routed
            assert await default.list_names() == [nowhere.name]
            for area in (VILLAGE, DISTRICT, CITY, PROVINCE):
                assert set(await district.list_names(area=area)) == routed
            assert await district.list_names(area=NEIGHBOUR) == []
