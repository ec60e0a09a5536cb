"""Alerts without a service: how they come to be, and the hours of a day on which things happen to them."""

import itertools
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.enums import Routing
from alerts.model.responses import Response
from alerts.model.timeline import Position
from alerts.model.viewers import Viewer
from alerts.routing import Route
from alerts.store import alerts as store
from alerts.wire import alerts as wire
from chassis.database import Database
from chassis.timers import Timer
from siaga.alerts.v1.alert_service_pb2 import RaiseAlertRequest
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

ROOM = "agencies/jakarta-112"
_made = itertools.count()
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN_HASH = b"the hash of the alert's token"

RINA = Viewer(user="rina", agency=ROOM, supervises=False, token_hash=b"")
BUDI = Viewer(user="budi", agency=ROOM, supervises=False, token_hash=b"")
SARI = Viewer(user="sari", agency=ROOM, supervises=True, token_hash=b"")
CITRA = Viewer(user="citra", agency="agencies/bandung-112", supervises=True, token_hash=b"")
DEWI = Viewer(user="dewi", agency="", supervises=False, token_hash=b"")
HOLDER = Viewer(user="", agency="", supervises=False, token_hash=TOKEN_HASH)
NOBODY = Viewer(user="", agency="", supervises=False, token_hash=b"")


def after(**passed: float) -> datetime:
    return START + timedelta(**passed)


def make_name(now: datetime) -> str:
    """Of an alert that is raised then, after all those that were made before: a UUIDv7, as chassis.clock makes them."""
    head = int(now.timestamp() * 1000) << 80 | 0x7 << 76 | 0x2 << 62
    return f"alerts/{uuid.UUID(int=head | next(_made))}"


def make_alert(*, user: str = "dewi", agency: str = ROOM, area: str = "", now: datetime = START, **request: Any) -> Alert:
    """As RaiseAlert makes it; `request` as JSON spells it."""
    route = Route(area, agency, Routing.AREA if area else Routing.DEFAULT)
    message = ParseDict({"channel": "APP", **request}, RaiseAlertRequest())
    columns, response = wire.to_columns(message, make_name(now), user, "", TOKEN_HASH, route, now)
    return Alert(**columns, responses=[Response(**response)])


async def keep(database: Database, *alerts: Alert) -> None:
    """On the path of every SOS, in the order in which they are given."""

    def columns(row: Alert | Response) -> dict[str, Any]:
        return {each.key: getattr(row, each.key) for each in row.__table__.columns}

    def operation(session: Session) -> None:
        for each in alerts:
            store.add_alert(session, columns(each), columns(each.responses[0]), Timer("answer", each.name, each.agency, START))

    await database.write(operation)


async def change(database: Database, alert: Alert, work: Callable[[Alert], object]) -> None:
    def operation(session: Session) -> None:
        found = store.find_alert(session, alert.name, for_update=True)
        assert found
        work(found)

    await database.write(operation)


def make_position(alert: Alert, fix_time: datetime, latitude: float = -6.2, longitude: float = 106.8) -> Position:
    return Position(
        alert=alert.name, latitude=latitude, longitude=longitude, accuracy_meters=None, fix_time=fix_time, source=1, receive_time=fix_time
    )


def keep_agencies(kept: Path, agencies: Mapping[str, Mapping[str, Any]]) -> None:
    """A snapshot with these agencies and nothing else, in the file from which alerts starts; each as JSON spells it."""
    snapshot = {"agencies": [{"name": name, **said} for name, said in agencies.items()]}
    kept.write_bytes(ParseDict({"etag": "kept", "snapshot": snapshot}, GetSnapshotResponse()).SerializeToString())
