"""A directory for tests: two cities with a room each, and the agencies that those bring in."""

from collections.abc import Mapping
from pathlib import Path

import shapely
from crews import FIRE, POLICE
from people import OTHER_ROOM, ROOM
from shapely import MultiPolygon, box

from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

JAKARTA, BANDUNG = "areas/31", "areas/32"
_BOXES = {JAKARTA: box(106.7, -6.3, 106.9, -6.1), BANDUNG: box(107.5, -7.0, 107.7, -6.8)}
IN_BANDUNG = {"latitude": -6.9147, "longitude": 107.6098}
# So that no clock runs out while a test thinks.
_PATIENT = agency_pb2.AlertPolicy(deliver_seconds=3600, acknowledge_seconds=3600, supervisor_seconds=3600, parent_seconds=3600)
POSITION_SECONDS = 120


def write_snapshot(path: Path, bandung: str = OTHER_ROOM) -> None:
    """As alerts keeps it; `bandung` takes every SOS of Bandung."""
    reply = GetSnapshotResponse(etag="kept")
    for name, polygon in _BOXES.items():
        record = reply.snapshot.areas.add(boundary=shapely.to_wkb(MultiPolygon([polygon])))
        record.area.name = name
    for name in (ROOM, OTHER_ROOM, POLICE, FIRE):
        agency = reply.snapshot.agencies.add(name=name)
        agency.alert_policy.CopyFrom(_PATIENT)
        agency.alert_policy.position_seconds = POSITION_SECONDS
    rooms: Mapping[str, str] = {JAKARTA: ROOM, BANDUNG: bandung}
    for area, room in rooms.items():
        reply.snapshot.coverage.add(area=area, category=agency_pb2.EMERGENCY, agency=room)
    reply.snapshot.coverage.add(area=JAKARTA, category=agency_pb2.POLICE, agency=POLICE)
    path.write_bytes(reply.SerializeToString())
