"""Those of several agencies, their units and crews, as clients of the service."""

from datetime import timedelta
from typing import Any

import grpc
from crews import FIRE, POLICE
from people import MONAS, ROOM, Party, People

from chassis.clock import now
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2


class Responders(People):
    """Oka and Putu answer for the police, Chief leads them, Eka answers for the fire brigade. Tono rides the room's
    ambulance, Wati another one, Joko the police's car.
    """

    def __init__(self, channel: grpc.aio.Channel, issuer: Issuer) -> None:
        super().__init__(channel, issuer)
        self.oka = self.sign_in("oka", "dispatcher", agency=POLICE)
        self.putu = self.sign_in("putu", "dispatcher", agency=POLICE)
        self.chief = self.sign_in("chief", "supervisor", agency=POLICE)
        self.police_system = self.sign_in("police-system", "agency", agency=POLICE)
        self.eka = self.sign_in("eka", "dispatcher", agency=FIRE)
        self.tono = self.sign_in("tono", "responder", agency=ROOM)
        self.wati = self.sign_in("wati", "responder", agency=ROOM)
        self.joko = self.sign_in("joko", "responder", agency=POLICE)

    async def make_unit(self, unit_id: str = "amb-1", by: Party | None = None, *, on_duty: bool = True, **unit: Any) -> str:
        """The room's ambulance with Tono, unless `by` and `unit` say otherwise."""
        usual = {"kind": "AMBULANCE", "displayName": unit_id, "crew": ["tono"]}
        name: str = (await (by or self.sari)("CreateUnit", unitId=unit_id, unit=usual | unit)).name
        if on_duty:
            await (by or self.sari)("StartDuty", name=name)
        return name

    async def make_car(self) -> str:
        return await self.make_unit("car-1", self.chief, kind="PATROL_CAR", crew=["joko"])

    async def take(self, by: Party | None = None, **fields: Any) -> tuple[str, Party]:
        """A new alert that Rina holds, unless `by` says otherwise, and its caller."""
        name, caller = await self.raise_alert(**({"location": {"point": MONAS}} | fields))
        await (by or self.rina)("AcknowledgeAlert", name=name)
        return name, caller

    async def send(self, name: str, *units: str, by: Party | None = None) -> alert_pb2.Alert:
        return await (by or self.rina)("DispatchAlert", name=name, units=list(units))

    async def move_on(self, name: str, unit: str, *statuses: str, by: Party | None = None) -> alert_pb2.Alert:
        moved = alert_pb2.Alert()
        for status in statuses:
            moved = await (by or self.rina)("UpdateAssignment", name=name, unit=unit, status=status)
        return moved

    async def ask_police(self, name: str) -> None:
        """For its help, which Oka gives."""
        await self.rina("RequestAgency", name=name, agency=POLICE, reason="a knife")
        await self.oka("RespondToRequest", name=name, answer="ACCEPT")


def report(unit: str, latitude: float = -6.18, longitude: float = 106.83, *, seconds_ago: float = 0, **position: Any) -> dict[str, Any]:
    """A position as ReportUnitPositions takes it."""
    fix_time = (now() - timedelta(seconds=seconds_ago)).isoformat()
    return {"unit": unit, "position": {"point": {"latitude": latitude, "longitude": longitude}, "fixTime": fix_time, **position}}


def states_of(alert: alert_pb2.Alert) -> dict[str, str]:
    """How far each agency's part has come, the lead's marked."""
    kinds = alert_pb2.Alert.Response
    return {each.agency: f"{kinds.State.Name(each.state)}{' leads' if each.part == kinds.LEAD else ''}" for each in alert.responses}


def statuses_of(alert: alert_pb2.Alert) -> dict[str, str]:
    return {each.unit: alert_pb2.Alert.Assignment.Status.Name(each.status) for each in alert.assignments}


def is_redacted(alert: alert_pb2.Alert) -> bool:
    return not alert.responses and not alert.HasField("caller")
