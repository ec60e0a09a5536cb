"""Who issues public warnings and who reads them, and the directory that says where they are."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import shapely
from google.protobuf.json_format import ParseDict
from people import OTHER_ROOM, ROOM, SECONDS
from shapely import MultiPolygon, Polygon, box

from chassis.testing import Issuer
from siaga.alerts.v1 import warning_pb2, warning_service_pb2, warning_service_pb2_grpc
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

PROVINCE, CITY, OTHER_CITY, ISLANDS = "areas/31", "areas/31.71", "areas/31.72", "areas/31.01"
DISTRICT, OTHER_DISTRICT = f"{CITY}.01", f"{CITY}.02"
WEST, EAST, FAR = f"{DISTRICT}.1001", f"{DISTRICT}.1002", f"{OTHER_DISTRICT}.1001"
ACROSS = f"{OTHER_CITY}.01.1001"
ISLAND, OTHER_ISLAND = f"{ISLANDS}.01.1001", f"{ISLANDS}.01.1002"
JAYAPURA, SENTANI = "areas/91.71.01", "areas/91.03.01"
# Level, time zone.
AREAS = {
    PROVINCE: (1, "Asia/Jakarta"),
    CITY: (2, "Asia/Jakarta"),
    DISTRICT: (3, "Asia/Jakarta"),
    WEST: (4, "Asia/Jakarta"),
    EAST: (4, "Asia/Jakarta"),
    OTHER_DISTRICT: (3, "Asia/Jakarta"),
    FAR: (4, "Asia/Jakarta"),
    OTHER_CITY: (2, "Asia/Jakarta"),
    f"{OTHER_CITY}.01": (3, "Asia/Jakarta"),
    ACROSS: (4, "Asia/Jakarta"),
    f"{OTHER_CITY}.01.1002": (4, "Asia/Jakarta"),
    ISLANDS: (2, "Asia/Jakarta"),
    f"{ISLANDS}.01": (3, "Asia/Jakarta"),
    ISLAND: (4, "Asia/Jakarta"),
    OTHER_ISLAND: (4, "Asia/Jakarta"),
    "areas/91": (1, "Asia/Jayapura"),
    "areas/91.71": (2, "Asia/Jayapura"),
    JAYAPURA: (3, "Asia/Jayapura"),
    "areas/91.71.02": (3, "Asia/Jayapura"),
}
# Four squares of about 1.1 km in a row, of which the first three touch: the third is another city's.
SQUARES: dict[str, Polygon] = {
    WEST: box(106.80, -6.20, 106.81, -6.19),
    EAST: box(106.81, -6.20, 106.82, -6.19),
    ACROSS: box(106.82, -6.20, 106.83, -6.19),
    f"{OTHER_CITY}.01.1002": box(106.83, -6.20, 106.84, -6.19),
    FAR: box(106.90, -6.20, 106.91, -6.19),
    JAYAPURA: box(140.70, -2.60, 140.71, -2.59),
}
POINTS = {ISLAND: (-5.74, 106.61), OTHER_ISLAND: (-5.60, 106.55), "areas/91.71.02": (-2.7, 140.8)}
IN_WEST = {"latitude": -6.195, "longitude": 106.805}


def make_snapshot() -> GetSnapshotResponse:
    reply = GetSnapshotResponse(etag="one")
    for name, (level, time_zone) in AREAS.items():
        record = reply.snapshot.areas.add()
        parent = name.rpartition(".")[0]
        record.area.name, record.area.parent, record.area.level, record.area.time_zone = name, parent, level, time_zone
        record.area.point.latitude, record.area.point.longitude = POINTS.get(name, (0.0, 0.0))
        if name in SQUARES:
            record.boundary = shapely.to_wkb(MultiPolygon([SQUARES[name]]))
    reply.snapshot.agencies.add(name=ROOM, display_name="Jakarta Siaga 112")
    # It has no name of its own, and the first room stands above it.
    reply.snapshot.agencies.add(name=OTHER_ROOM, parent=ROOM)
    for area, agency in ((PROVINCE, ROOM), ("areas/91", ROOM), (OTHER_CITY, OTHER_ROOM)):
        reply.snapshot.coverage.add(area=area, category=agency_pb2.EMERGENCY, agency=agency)
    return reply


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    corners = [(south, west), (south, east), (north, east), (north, west)]
    return {"points": [{"latitude": latitude, "longitude": longitude} for latitude, longitude in corners]}


def circle(latitude: float, longitude: float, radius: float) -> dict[str, Any]:
    return {"center": {"latitude": latitude, "longitude": longitude}, "radiusMeters": radius}


def texts(event: str = "Banjir") -> dict[str, str]:
    return {
        "event": event,
        "headline": f"{event} di Gambir",
        "description": "Air naik.\nSudah 60 cm.",
        "instruction": "Naik ke lantai atas.",
        "areaDescription": "Gambir",
    }


def info(**other: Any) -> dict[str, Any]:
    """What a warning says, as JSON spells it: of one village, for an hour."""
    said: dict[str, Any] = {
        "categories": ["MET"],
        "urgency": "IMMEDIATE",
        "severity": "SEVERE",
        "certainty": "OBSERVED",
        "indonesian": texts(),
        "area": {"areas": [WEST]},
        "expireTime": in_hours(1),
    }
    return said | other


class Reader:
    """Somebody with a bearer token or none."""

    def __init__(self, channel: grpc.aio.Channel, bearer: str = "") -> None:
        self._stub: Any = warning_service_pb2_grpc.WarningServiceStub(channel)
        self._metadata = [("authorization", f"Bearer {bearer}")] if bearer else []

    async def __call__(self, rpc: str, **fields: Any) -> Any:  # each RPC has its own reply
        """`fields` as JSON spells their values."""
        return await getattr(self._stub, rpc)(to_request(rpc, **fields), timeout=SECONDS, metadata=self._metadata)

    def watch(self, **fields: Any) -> "WarningWatch":
        return WarningWatch(self._stub.WatchWarnings(to_request("WatchWarnings", **fields), metadata=self._metadata))

    async def issue(self, **fields: Any) -> warning_pb2.Warning:
        return await self("IssueWarning", **{"status": "ACTUAL", "info": info()} | fields)

    async def list_names(self, **filters: Any) -> list[str]:
        return [each.name for each in (await self("ListWarnings", **filters)).warnings]


class WarningWatch:
    """A watch as its reader has it."""

    def __init__(self, call: Any) -> None:  # a stream of grpc's own type
        self.call, self.cursor = call, ""

    async def read(self) -> tuple[str, str]:
        """What the next message says that says something, and of which warning."""
        message = await self.read_message()
        content = message.WhichOneof("content")
        return (message.event.type, message.event.warning.name) if content == "event" else (content, message.left.name)

    async def read_message(self) -> warning_service_pb2.WatchWarningsResponse:
        while True:
            message = await asyncio.wait_for(self.call.read(), SECONDS)
            assert message is not grpc.aio.EOF, "the watch is over"
            self.cursor = message.cursor
            if message.WhichOneof("content") != "heartbeat":
                return message

    async def read_snapshot(self) -> list[str]:
        found: list[str] = []
        while (said := await self.read())[0] == "WarningInForce":
            found.append(said[1])
        assert said[0] == "snapshot_end"
        return found

    async def begin(self) -> "WarningWatch":
        """Returns with the first message, of whatever kind: from then on nothing is missed."""
        self.cursor = (await asyncio.wait_for(self.call.read(), SECONDS)).cursor
        return self


class Readers:
    """Sari and Tono lead the province's room, and a system works for it; Citra and Cecep lead another city's, which is below it.
    Rina answers alerts.
    """

    def __init__(self, channel: grpc.aio.Channel, issuer: Issuer) -> None:
        self.channel, self.issuer = channel, issuer
        self.nobody = Reader(channel)
        self.dewi = self.sign_in("dewi", "citizen")
        self.rina = self.sign_in("rina", "dispatcher", agency=ROOM)
        self.sari = self.sign_in("sari", "supervisor", agency=ROOM)
        self.tono = self.sign_in("tono", "supervisor", agency=ROOM)
        self.machine = self.sign_in("room-system", "agency", agency=ROOM)
        self.citra = self.sign_in("citra", "supervisor", agency=OTHER_ROOM)
        self.cecep = self.sign_in("cecep", "supervisor", agency=OTHER_ROOM)

    def sign_in(self, user: str, *roles: str, **claims: Any) -> Reader:
        return Reader(self.channel, self.issuer.sign(user, *roles, **claims))


def to_request(rpc: str, **fields: Any) -> Any:
    return ParseDict(fields, getattr(warning_service_pb2, f"{rpc}Request")())


def state(warning: warning_pb2.Warning) -> str:
    return warning_pb2.Warning.State.Name(warning.state)
