"""Agencies beside the room, their units and crews, without a service."""

from datetime import datetime, timedelta
from typing import Any

from moments import RINA, ROOM, START

from alerts.model.alerts import Alert
from alerts.model.enums import Duty, Status, UnitKind
from alerts.model.responses import Response
from alerts.model.units import Unit
from alerts.model.viewers import Viewer

POLICE, FIRE = "agencies/jakarta-police", "agencies/jakarta-fire"

OKA = Viewer(user="oka", agency=POLICE, supervises=False, token_hash=b"")
PUTU = Viewer(user="putu", agency=POLICE, supervises=False, token_hash=b"")
CHIEF = Viewer(user="chief", agency=POLICE, supervises=True, token_hash=b"")
EKA = Viewer(user="eka", agency=FIRE, supervises=False, token_hash=b"")
# Tono and Wati ride the room's ambulance, Joko the police's car.
TONO = Viewer(user="tono", agency="", supervises=False, token_hash=b"", crew_of=ROOM)
WATI = Viewer(user="wati", agency="", supervises=False, token_hash=b"", crew_of=ROOM)
JOKO = Viewer(user="joko", agency="", supervises=False, token_hash=b"", crew_of=POLICE)
MAX_AGE = timedelta(minutes=5)


def make_unit(name: str = "amb-1", agency: str = ROOM, *crew: str, **columns: Any) -> Unit:
    """On duty and free, unless `columns` say otherwise."""
    usual = {"kind": UnitKind.AMBULANCE, "duty": Duty.ON_DUTY, "drill": False, "alert": "", "update_time": START}
    crew = crew or {ROOM: ("tono",), POLICE: ("joko",)}.get(agency, ())
    return Unit(name=f"units/{name}", agency=agency, display_name=name, crew=list(crew), **(usual | columns))


def take(alert: Alert, by: Viewer = RINA, now: datetime = START) -> Alert:
    alert.acknowledge(by.user, by, now)
    return alert


def send(alert: Alert, *units: Unit, by: Viewer = RINA, now: datetime = START) -> Alert:
    alert.dispatch(units, by, now, MAX_AGE)
    return alert


def move_on(alert: Alert, unit: str, *statuses: Status, now: datetime = START) -> Alert:
    for status in statuses:
        alert.update_assignment(f"units/{unit}", status, "", now)
    return alert


def ask(alert: Alert, agency: str = POLICE, by: Viewer = RINA, now: datetime = START) -> Alert:
    """For its help."""
    assert alert.request_agency(agency, "a knife", by, now, hand_over=False)
    return alert


def offer(alert: Alert, agency: str = POLICE, by: Viewer = RINA, now: datetime = START) -> Alert:
    """To lead."""
    assert alert.request_agency(agency, "yours", by, now, hand_over=True)
    return alert


def accept(alert: Alert, by: Viewer = OKA, now: datetime = START) -> Alert:
    assert alert.accept_request(by.user, by, now)
    return alert


def part_of(alert: Alert, agency: str) -> Response:
    part = alert.parts.find(agency)
    assert part
    return part
