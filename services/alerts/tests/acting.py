"""The persons of the documented course, acting on two alerts: on the entities alone, or through the service."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import grpc
from crews import make_unit
from documented import POLICE, ROOM, Person
from moments import after, make_alert
from people import Party, People, new_id, read_refusal

from alerts.errors import AlertNotFound, NotClaimant, UnitNotFound
from alerts.model.alerts import Alert
from alerts.model.enums import Duty, Routing, Status, View
from alerts.model.units import Unit
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from chassis.errors import Problem
from siaga.alerts.v1 import alert_pb2

PERSONS = {
    each.user: each
    for each in (
        *(Person("rina", ROOM), Person("budi", ROOM), Person("sari", ROOM, supervises=True)),
        *(Person("oka", POLICE), Person("putu", POLICE), Person("chief", POLICE, supervises=True)),
        *(Person("tono", unit="amb-1"), Person("wati", unit="amb-2"), Person("joko", unit="car-1")),
    )
}
CREWS = {"amb-1": (ROOM, "tono"), "amb-2": (ROOM, "wati"), "car-1": (POLICE, "joko")}
# Where each of them takes every SOS.
PLACES = {ROOM: (-6.1754, 106.8272), POLICE: (-6.9147, 107.6098)}
# One whose content is for everybody of the agencies, and one whose caller is shown nothing.
RAISED: Sequence[dict[str, Any]] = ({"kind": "FIRE"}, {"kind": "VIOLENCE", "silent": True})
OUTCOMES = {"HELPED": alert_pb2.Alert.HELPED, "PRANK": alert_pb2.Alert.PRANK}


class Answer(NamedTuple):
    """Why it was refused, and what is documented with that; both empty where it was done."""

    reason: str = ""
    metadata: dict[str, str] = {}  # noqa: RUF012  # never changed


class Seen(NamedTuple):
    """What the agencies see of an alert, and the state that its caller is shown."""

    state: str
    shown: str
    lead: str
    # (part, state, holder, who asked, asked to lead) by agency; (unit, status) as they were sent.
    parts: dict[str, tuple[str, str, str, str, bool]]
    sent: list[tuple[str, str]]


class Stage(Protocol):
    """Where they act; alerts and persons are named by their places in RAISED and PERSONS, units by those in CREWS."""

    def act(self, rpc: str, by: str, alert: int, **said: Any) -> Answer: ...
    def set_duty(self, unit: str, *, on: bool) -> Answer: ...
    def see(self, alert: int) -> Seen: ...
    def view(self, by: str, alert: int) -> str: ...


def read(message: alert_pb2.Alert, shown: int, units: dict[str, str]) -> Seen:
    response, alert = alert_pb2.Alert.Response.DESCRIPTOR, alert_pb2.Alert.DESCRIPTOR
    part, state = response.enum_types_by_name["Part"].values_by_number, response.enum_types_by_name["State"].values_by_number
    states = alert.enum_types_by_name["State"].values_by_number
    status = alert.nested_types_by_name["Assignment"].enum_types_by_name["Status"].values_by_number
    parts = {
        each.agency: (part[each.part].name, state[each.state].name, each.operator, each.requester, each.hand_over)
        for each in message.responses
    }
    sent = [(units[each.unit], status[each.status].name) for each in message.assignments]
    return Seen(states[message.state].name, states[shown].name, message.agency, parts, sent)


class OnEntities:
    """Asks of them what the operations ask, in the same order."""

    def __init__(self) -> None:
        self._alerts = [make_alert(**each) for each in RAISED]
        self._units: dict[str, Unit] = {name: make_unit(name, *crew) for name, crew in CREWS.items()}
        self._rooms = [ROOM, ROOM]
        self._seconds = 0

    def act(self, rpc: str, by: str, alert: int, **said: Any) -> Answer:
        self._seconds += 1
        try:
            self._act(rpc, self._viewer(by), alert, said)
        except Problem as problem:
            return Answer(problem.reason.name, problem.metadata)
        finally:
            for unit in self._units.values():
                self._free(unit)
        return Answer()

    def set_duty(self, unit: str, *, on: bool) -> Answer:
        try:
            self._units[unit].set_duty(Duty.ON_DUTY if on else Duty.OFF_DUTY, after(seconds=self._seconds))
        except Problem as problem:
            return Answer(problem.reason.name, {**problem.metadata, "unit": unit})
        return Answer()

    def see(self, alert: int) -> Seen:
        names = {f"units/{each}": each for each in CREWS}
        return read(wire.to_message(self._alerts[alert], View.AGENCY), self._alerts[alert].caller_state, names)

    def view(self, by: str, alert: int) -> str:
        view = self._viewer(by).view(self._alerts[alert])
        return {None: "", View.AGENCY: "full", View.CREW: "full", View.REDACTED: "redacted"}.get(view, "caller")

    def _act(self, rpc: str, by: Viewer, number: int, said: dict[str, Any]) -> None:
        alert, now = self._alerts[number], after(seconds=self._seconds)
        if rpc not in {"cancel", "move_on"} and not by.answers(alert):
            raise AlertNotFound
        if rpc in {"ask", "update"} and by.view(alert) is View.REDACTED:
            raise NotClaimant
        acts: dict[str, Callable[[], object]] = {
            "cancel": lambda: alert.cancel(now),
            "move_on": lambda: self._move_on(alert, by, said["unit"], Status[said["status"]]),
            "acknowledge": lambda: alert.acknowledge(by.user, by, now),
            "assign": lambda: alert.assign(said["assignee"], by, now),
            "release": lambda: alert.release(by, now),
            "ask": lambda: alert.request_agency(said["agency"], "", by, now, hand_over=said["to_lead"]),
            "accept": lambda: alert.accept_request(by.user, by, now),
            "reject": lambda: alert.reject_request("no", by, now),
            "update": lambda: self._update(number, by, said["responsible"]),
            "dispatch": lambda: self._dispatch(alert, by, said["units"]),
            "resolve": lambda: alert.resolve(OUTCOMES[said["outcome"]], by, now),
        }
        acts[rpc]()

    def _update(self, number: int, by: Viewer, room: str) -> None:
        alert, now = self._alerts[number], after(seconds=self._seconds)
        latitude, longitude = PLACES[room]
        alert.update({"target_latitude": latitude, "target_longitude": longitude}, "", by, now)
        alert.reroute("", Routing.AREA, room if room != self._rooms[number] else alert.agency, now)
        self._rooms[number] = room

    def _dispatch(self, alert: Alert, by: Viewer, names: Sequence[str]) -> None:
        units = [self._units[each] for each in names]
        for unit in units:
            if unit.agency != by.agency:
                raise UnitNotFound(unit=unit.name)
        alert.dispatch(units, by, after(seconds=self._seconds), None)

    def _move_on(self, alert: Alert, by: Viewer, unit: str, status: Status) -> None:
        assignment = alert.find_assignment(f"units/{unit}")
        if assignment is None or not by.commands(assignment):
            raise UnitNotFound(unit=f"units/{unit}") if by.view(alert) else AlertNotFound
        alert.update_assignment(f"units/{unit}", status, "", after(seconds=self._seconds))

    def _free(self, unit: Unit) -> None:
        for alert in self._alerts:
            if unit.name not in alert.at_work:
                unit.finish(alert.name, after(seconds=self._seconds))

    def _viewer(self, by: str) -> Viewer:
        person = PERSONS[by]
        crew_of = CREWS[person.unit][0] if person.unit else ""
        return Viewer(person.user, person.room, supervises=person.supervises, token_hash=b"", crew_of=crew_of)


class ThroughTheService:
    """The same over gRPC, on alerts and units of their own; `loop` is the one that the service runs on."""

    def __init__(self, loop: asyncio.Runner, people: People) -> None:
        self._loop, self._people = loop, people
        self._parties = {user: self._sign_in(person) for user, person in PERSONS.items()}
        self._alerts: list[tuple[str, Party]] = [loop.run(people.raise_alert(**each)) for each in RAISED]
        run = new_id()[:8]
        self._units = {name: f"units/{name}-{run}" for name in CREWS}
        for name, (agency, crew) in CREWS.items():
            self._ask("CreateUnit", self._chief(agency), unitId=f"{name}-{run}", unit={"kind": "TEAM", "displayName": name, "crew": [crew]})
            self.set_duty(name, on=True)

    def act(self, rpc: str, by: str, alert: int, **said: Any) -> Answer:
        name, caller = self._alerts[alert]
        if rpc == "cancel":
            return self._ask("CancelAlert", caller, name=name)
        if rpc == "ask":
            rpc, said = "HandOverAlert" if said["to_lead"] else "RequestAgency", {"agency": said["agency"]}
        elif rpc in {"accept", "reject"}:
            rpc, said = "RespondToRequest", {"answer": rpc.upper(), "reason": "no"}
        elif rpc == "update":
            latitude, longitude = PLACES[said["responsible"]]
            target = {"point": {"latitude": latitude, "longitude": longitude}}
            return self._ask("UpdateAlert", self._parties[by], alert={"name": name, "target": target})
        elif rpc == "dispatch":
            rpc, said = "DispatchAlert", {"units": [self._units[each] for each in said["units"]]}
        elif rpc == "move_on":
            rpc, said = "UpdateAssignment", {"unit": self._units[said["unit"]], "status": said["status"]}
        else:
            rpc = f"{rpc.capitalize()}Alert"
        return self._ask(rpc, self._parties[by], name=name, **said)

    def set_duty(self, unit: str, *, on: bool) -> Answer:
        return self._ask("StartDuty" if on else "EndDuty", self._chief(CREWS[unit][0]), name=self._units[unit])

    def see(self, alert: int) -> Seen:
        name, caller = self._alerts[alert]
        found = [self._loop.run(self._find(self._chief(agency), name)) for agency in (ROOM, POLICE)]
        full = next(each for each in found if each and each.responses)
        shown = self._loop.run(caller("GetAlert", name=name)).state
        return read(full, shown, {unit: name for name, unit in self._units.items()})

    def view(self, by: str, alert: int) -> str:
        found = self._loop.run(self._find(self._parties[by], self._alerts[alert][0]))
        if found is None:
            return ""
        return "full" if found.responses else "caller" if found.HasField("caller") else "redacted"

    async def _find(self, party: Party, name: str) -> alert_pb2.Alert | None:
        try:
            return await party("GetAlert", name=name, reason="what it has become")
        except grpc.aio.AioRpcError as error:
            if read_refusal(error).reason != "ALERT_NOT_FOUND":
                raise
            return None

    def _ask(self, rpc: str, party: Party, **said: Any) -> Answer:
        try:
            self._loop.run(party(rpc, requestId=new_id(), **said))
        except grpc.aio.AioRpcError as error:
            refusal = read_refusal(error)
            names = {unit: f"units/{name}" for name, unit in self._units.items()}
            return Answer(refusal.reason, {key: names.get(value, value) for key, value in refusal.metadata.items()})
        return Answer()

    def _chief(self, agency: str) -> Party:
        return self._parties["sari" if agency == ROOM else "chief"]

    def _sign_in(self, person: Person) -> Party:
        role = "responder" if person.unit else "supervisor" if person.supervises else "dispatcher"
        return self._people.sign_in(person.user, role, agency=person.room or CREWS[person.unit][0])
