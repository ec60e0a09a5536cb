"""An alert whose clocks run as far as a test lets them, and the agencies that are called by them."""

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from crews import make_unit
from moments import RINA, ROOM, START, after, keep_agencies

from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER, LIMIT, find_clocks
from alerts.model.enums import ResponseState, Status
from alerts.model.viewers import Viewer
from alerts.routing import Router
from siaga.alerts.v1 import alert_pb2

DISTRICT, CITY, FIRE, POST, POLICE = (f"agencies/{name}" for name in ("district", "city", "fire", "post", "police"))
AGENCIES: dict[str, dict[str, Any]] = {ROOM: {}, DISTRICT: {"parent": CITY}, CITY: {}, FIRE: {}, POST: {"parent": POLICE}, POLICE: {}}
AGUS, BAYU, CAHYA, DIAN, EKA = (
    Viewer(user=f"of {agency}", agency=agency, supervises=True, token_hash=b"") for agency in (DISTRICT, CITY, FIRE, POST, POLICE)
)
HELPED = alert_pb2.Alert.HELPED


class Happened(NamedTuple):
    """At a second since the alert was raised."""

    second: int
    what: str
    whom: str = ROOM


EVERYONE, SUPERVISOR, PARENT, OVERDUE = "EVERYONE", "SUPERVISOR", "PARENT", "OVERDUE"


class Clocks:
    """Of one alert: they run as far as the test lets them."""

    def __init__(self, alert: Alert, router: Router) -> None:
        self.alert, self._router = alert, router

    def find(self, *kinds: str) -> list[tuple[str, str, int]]:
        """When each of them is due."""
        found = find_clocks(self.alert, self._router.find_policy)
        return sorted((each.kind, each.subject, tell_second(each.due_time)) for each in found if not kinds or each.kind in kinds)

    def run(self, second: float, *, late: bool = False) -> list[Happened]:
        """What happens up to then: each thing at its time or, where they are `late`, all of them then."""
        happened: list[Happened] = []
        end = after(seconds=second)
        while due := sorted(
            (each for each in find_clocks(self.alert, self._router.find_policy) if each.due_time <= end), key=lambda c: c[2]
        ):
            kind, subject, due_time = due[0]
            time = end if late else due_time
            if kind == ANSWER:
                called, _ = self.alert.escalate(subject, self._router.find_above(subject), time)
                happened.append(Happened(tell_second(time), called.name, subject))
            elif kind == LIMIT:
                self.alert.pass_limit(time)
                happened.append(Happened(tell_second(time), f"{OVERDUE} {self.alert.limit_step}", ""))
            else:
                assignment, call = self.alert.call_roll(int(subject), time)
                happened.append(Happened(tell_second(time), call.name, assignment.unit))
        return happened


def tell_second(time: datetime) -> int:
    return round((time - START).total_seconds())


def make_router(folder: Path, changes: dict[str, dict[str, Any]]) -> Router:
    kept = folder / "directory"
    keep_agencies(kept, AGENCIES | changes)
    return Router("127.0.0.1:1", kept, ROOM)


def take(alert: Alert, by: Viewer = RINA, second: float = 5) -> None:
    alert.acknowledge(by.user, by, after(seconds=second))


def ask(alert: Alert, agency: str, by: Viewer = RINA, second: float = 30, *, hand_over: bool = False) -> None:
    assert alert.request_agency(agency, "smoke", by, after(seconds=second), hand_over=hand_over)


def send(alert: Alert, by: Viewer = RINA, second: float = 30, unit: str = "one") -> None:
    assert alert.dispatch([make_unit(unit, by.agency)], by, after(seconds=second), None)


def arrive(alert: Alert, second: float, unit: str = "units/one") -> bool:
    return alert.update_assignment(unit, Status.ON_SCENE, "", after(seconds=second))


def state_of(alert: Alert, agency: str) -> ResponseState:
    found = alert.parts.find(agency)
    assert found
    return ResponseState(found.state)
