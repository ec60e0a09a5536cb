"""Worlds that are alike but for the PIN with which the first alert of an incident is called off, on the operations alone."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from crews import POLICE, make_unit
from google.protobuf.empty_pb2 import Empty
from moments import ROOM, keep, make_alert
from sqlalchemy import select
from sqlalchemy.orm import Session
from threatened import look

from alerts.model.alerts import Alert
from alerts.model.clocks import find_clocks
from alerts.model.enums import CancelClaim, Kind, Status, View
from alerts.model.incidents import Incident, is_forced
from alerts.model.tables import timers
from alerts.model.viewers import Viewer
from alerts.operations import alerts, answering, dispatch
from alerts.operations.changes import Change
from alerts.operations.grouping import assess_alerts
from alerts.operations.reading import read_timeline
from alerts.pins import Given, Match
from alerts.routing import Router
from alerts.store import alerts as store
from alerts.store import incidents as incident_store
from alerts.store import units as unit_store
from alerts.store.callers import make_caller
from alerts.wire import alerts as wire
from chassis.clock import now
from chassis.database import Database
from chassis.errors import Problem
from siaga.alerts.v1 import alert_pb2

Step = tuple[Any, ...]
Course = Sequence[Step]

HELPED = alert_pb2.Alert.HELPED
VIEWERS = {
    "rina": Viewer(user="rina", agency=ROOM, supervises=False, token_hash=b""),
    "sari": Viewer(user="sari", agency=ROOM, supervises=True, token_hash=b""),
    "oka": Viewer(user="oka", agency=POLICE, supervises=True, token_hash=b""),
}
# Where the alerts are raised, in degrees: the first three near each other, and the other two.
_NEAR, _FAR = 0.0009, 0.02
_OFFSETS = (0.0, _NEAR, 2 * _NEAR, _FAR, _FAR + _NEAR)
OTHERS = range(1, len(_OFFSETS))
# The first one, by the world's own PIN.
CALLED_OFF: Step = ("cancel", 0, None)
UNITS = (ROOM, ROOM, POLICE)
# What may have been done before the first one is called off, beside what is drawn.
_BEGINNINGS: Sequence[Sequence[Step]] = [
    [],
    [("acknowledge", "rina", ("lead", 1))],
    [("acknowledge", "rina", ("lead", 1)), ("send", "rina", ("lead", 1), 0)],
    [("acknowledge", "rina", ("lead", 1)), ("send", "rina", ("lead", 1), 0), ("move", 0, "ON_SCENE")],
    [("acknowledge", "rina", ("lead", 3)), ("send", "rina", ("lead", 3), 1)],
]
_OVER = {CancelClaim.VERIFIED, CancelClaim.DURESS}
_RARE = ["correct", "understand", "end", "hand_over", "release", "resolve", "close", "cancel", "raise", "unmerge", "ask"]


class World:
    """At a place of its own, with alerts, callers and units of its own. Alerts are named by their number, or as the lead of whatever
    incident one belongs to, by `lead` and that one's.
    """

    def __init__(self, database: Database, router: Router, number: int, pin: str) -> None:
        self._database, self._router, self._pin = database, router, pin
        self._id, self._place = f"{number:05}", (-6.9 + number % 100 * 0.05, 105.0 + number // 100 * 0.05)
        self._time = now()
        self.names: list[str] = []

    async def begin(self) -> None:
        await self._database.write(
            lambda session: session.add_all(make_unit(f"u{unit}-{self._id}", agency) for unit, agency in enumerate(UNITS))
        )
        await self._raise(*_OFFSETS)

    async def _raise(self, *offsets: float) -> None:
        latitude, longitude = self._place
        for offset in offsets:
            location = {"point": {"latitude": latitude + offset, "longitude": longitude}}
            alert = make_alert(user=f"c{len(self.names)}-{self._id}", kind="FIRE", location=location, now=self._pass())
            self.names.append(alert.name)
            await keep(self._database, alert)
        await self._database.write(partial(assess_alerts, limit=100, hear=lambda _: False, router=self._router))

    async def do(self, verb: str, *said: Any) -> str:
        """Why it was refused; empty where it was not."""
        if verb == "raise":
            await self._raise(_OFFSETS[said[0]])
            return ""
        try:
            await self._database.write(lambda session: getattr(self, f"_{verb}")(session, *said))
        except Problem as problem:
            return problem.reason.name
        return ""

    async def check(self) -> None:
        """Each alert has the clocks that follow from it; and whose unit is at work for one has a part in it, and can find it there."""

        def read(session: Session) -> None:
            found = [self._load(session, name) for name in self.names]
            due = {(alert.name, each.kind, each.subject) for alert in found for each in find_clocks(alert, self._router.find_policy)}
            kept = select(timers.table.c["resource", "kind", "subject"]).where(timers.table.c.resource.in_(self.names))
            assert due == {(a, b, c) for a, b, c in session.execute(kept)}
            for alert in found:
                for each in alert.assignments:
                    assert not each.is_active or (alert.concerns(each.agency) and alert.find_assignment(each.unit) is each)

        await self._database.read(read)

    async def show(self) -> list[list[Any]]:
        """What the caller of each alert but the first one is shown."""
        return await self._database.read(lambda session: [self._show(session, name) for name in self.names[1:]])

    def _show(self, session: Session, name: str) -> list[Any]:
        alert = self._load(session, name)
        message = wire.to_message(alert, View.CALLER)
        message.ClearField("caller")
        message.ClearField("location")
        times: dict[datetime, list[str]] = {}
        for field, value in message.ListFields():
            if field.name.endswith("_time"):
                times.setdefault(value.ToDatetime(), []).append(field.name)
        entries = [wire.to_entry(each, View.CALLER, {}) for each in read_timeline(session, name, View.CALLER, 0, 1000)]
        return [look(message), [times[each] for each in sorted(times)], *[look(each) for each in entries]]

    def _cancel(self, session: Session, alert: int, pin: str | None) -> None:
        name, pin = self.names[alert], self._pin if pin is None else pin
        user = self._load(session, name).user
        make_caller(session, user)
        match = Match(pin) if pin else None
        change = Change(name, "", Empty(), Viewer(user, "", supervises=False, token_hash=b""), user, self._pass(), self._router)
        alerts.cancel_alert(session, change, Given(match, match) if match else None)

    def _acknowledge(self, session: Session, by: str, alert: Any) -> None:
        alerts.acknowledge_alert(session, self._change(by, self._find(session, alert)))

    def _release(self, session: Session, by: str, alert: Any) -> None:
        alerts.release_alert(session, self._change(by, self._find(session, alert)))

    def _resolve(self, session: Session, by: str, alert: int) -> None:
        """Of whoever was made to call off theirs, only as all others are."""
        if not is_forced(self._load(session, self.names[alert])):
            alerts.resolve_alert(session, self._change(by, self.names[alert]), HELPED)

    def _correct(self, session: Session, by: str, alert: int, kind: Kind) -> None:
        if not is_forced(self._load(session, self.names[alert])):
            dispatch.update_alert(session, self._change(by, self.names[alert]), {"kind": int(kind)}, "")

    def _understand(self, session: Session, by: str, alert: int, kind: Kind) -> None:
        """What is behind it, of whoever was made to call off theirs, which nobody does for one that is over."""
        if is_forced(self._load(session, self.names[alert])):
            dispatch.update_alert(session, self._change(by, self.names[alert]), {"kind": int(kind)}, "")

    def _end(self, session: Session, by: str, alert: int) -> None:
        """As `understand`."""
        if is_forced(self._load(session, self.names[alert])):
            alerts.resolve_alert(session, self._change(by, self.names[alert]), HELPED)

    def _send(self, session: Session, by: str, alert: Any, unit: int) -> None:
        change = self._change(by, self._find(session, alert))
        dispatch.dispatch_alert(session, change, [self._unit(unit)], accept_old_positions=True)

    def _move(self, session: Session, unit: int, status: str) -> None:
        found = unit_store.find_unit(session, self._unit(unit))
        if found and found.alert:
            dispatch.update_assignment(
                session, self._change("oka" if found.agency == POLICE else "sari", found.alert), self._unit(unit), Status[status], ""
            )

    def _merge(self, session: Session, by: str, first: Any, second: Any) -> None:
        names = [self._find(session, each) for each in (first, second)]
        if names[0] != names[1]:
            answering.merge_alerts(session, self._change(by, ""), names)

    def _ask(self, session: Session, by: str, alert: Any) -> None:
        """The police, for help, who accept at once."""
        name = self._find(session, alert)
        dispatch.request_agency(session, self._change(by, name), POLICE, "", hand_over=False)
        dispatch.accept_request(session, self._change("oka", name))

    def _hand_over(self, session: Session, by: str, alert: Any) -> None:
        """The police accept at once what the room gives them, and the room what the police do."""
        name, to = self._find(session, alert), "sari" if by == "oka" else "oka"
        dispatch.request_agency(session, self._change(by, name), VIEWERS[to].agency, "", hand_over=True)
        dispatch.accept_request(session, self._change(to, name))

    def _unmerge(self, session: Session, by: str, alert: int) -> None:
        incident = self._incident(session, alert)
        # What is under way for one that would lead does not go with it (ADR 15).
        if incident and self.names[alert] not in {incident.lead, incident.heir}:
            answering.unmerge_alert(session, self._change(by, incident.name), self.names[alert])

    def _close(self, session: Session, by: str, alert: int) -> None:
        if incident := self._incident(session, alert):
            answering.resolve_incident(session, self._change(by, incident.name), HELPED)

    def _change(self, by: str, name: str) -> Change:
        return Change(name, "", Empty(), VIEWERS[by], by, self._pass(), self._router)

    def _find(self, session: Session, alert: int | tuple[str, int]) -> str:
        """Of one that is over in one of the worlds the lead, in both."""
        if isinstance(alert, int) and self._load(session, self.names[alert]).cancel_claim not in _OVER:
            return self.names[alert]
        alert = alert if isinstance(alert, int) else alert[1]
        incident = self._incident(session, alert)
        return incident.lead if incident and incident.open_count else self.names[alert]

    def _incident(self, session: Session, alert: int) -> Incident | None:
        name = self._load(session, self.names[alert]).incident
        return incident_store.find_incident(session, name) if name else None

    @staticmethod
    def _load(session: Session, name: str) -> Alert:
        alert = store.find_alert(session, name)
        assert alert is not None
        return alert

    def _unit(self, unit: int) -> str:
        return f"units/u{unit}-{self._id}"

    def _pass(self) -> datetime:
        self._time = max(now(), self._time + timedelta(microseconds=1))
        return self._time


class Told(NamedTuple):
    """Why a step was refused, and what the callers were shown after it."""

    refused: str
    shown: list[list[Any]]


async def run(world: World, course: Course) -> list[Told]:
    """Of each step from the one on with which the first is called off."""
    await world.begin()
    told: list[Told] = []
    for step in course:
        refused = await world.do(*step)
        await world.check()
        if step == CALLED_OFF or told:
            told.append(Told(refused, await world.show()))
    return told


def draw_course(choose: Callable[[Sequence[Any]], Any], before: int, after: int) -> Course:
    """So many steps before the first one is called off, and after it."""

    def alert() -> Any:
        number = choose(OTHERS)
        return choose([number, ("lead", number), ("lead", number)])

    def step() -> Step:
        by, unit, number = choose(["rina", "rina", "sari", "sari", "oka"]), choose(range(len(UNITS))), choose(OTHERS)
        verb = choose(["acknowledge", "acknowledge", "send", "send", "move", "move", "move", "merge", "merge", *_RARE])
        match verb:
            case "acknowledge" | "release" | "ask":
                said = by, alert()
            case "hand_over":
                said = by, ("lead", number)
            case "send":
                said = by, alert(), unit
            case "move":
                said = unit, choose(["EN_ROUTE", "ON_SCENE", "DONE"])
            case "merge":
                said = by, alert(), alert()
            case "cancel":
                said = number, choose(["", "pin", "duress", None])
            case "correct":
                said = by, number, choose([Kind.FIRE, Kind.ACCIDENT, Kind.VIOLENCE])
            case "end":
                said = by, choose([0, 0, number])
            case "understand":
                said = by, choose([0, 0, number]), choose([Kind.VIOLENCE, Kind.VIOLENCE, Kind.ACCIDENT])
            case "raise":
                said = (number,)
            case _:
                said = by, number
        return verb, *said

    return [*choose(_BEGINNINGS), *[step() for _ in range(before)], CALLED_OFF, *[step() for _ in range(after)]]
