"""The course of an alert as the contract and README.md tell it, written down a second time without looking at the code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ROOM, POLICE = "agencies/jakarta-112", "agencies/jakarta-police"
ENDED = {"DONE", "DECLINED"}
LADDER = ["ASSIGNED", "ACCEPTED", "EN_ROUTE", "ON_SCENE", "DONE"]
STATES = ["RAISED", "ACKNOWLEDGED", "DISPATCHED", "ON_SCENE", "RESOLVED", "CANCELLED"]


class Refused(Exception):
    """By the reason that the contract documents."""

    def __init__(self, reason: str, **metadata: str) -> None:
        super().__init__(reason)
        self.reason, self.metadata = reason, metadata


@dataclass(frozen=True)
class Person:
    """`room` is the agency that they answer for, `unit` the one whose crew they are of."""

    user: str
    room: str = ""
    supervises: bool = False
    unit: str = ""


@dataclass
class Part:
    state: str = "REQUESTED"
    holder: str = ""
    asked_by: str = ""
    offered_the_lead: bool = False


@dataclass
class Crewed:
    """A unit; `alert` is what it is at work for."""

    agency: str
    crew: str
    on_duty: bool = True
    alert: str = ""


@dataclass
class Documented:
    """One alert. Each method is an RPC; it raises Refused or changes what follows from it, and nothing else."""

    name: str
    restricted: bool
    silent: bool
    units: dict[str, Crewed]
    lead: str = ROOM
    # The room that takes every SOS where help is needed.
    responsible: str = ROOM
    parts: dict[str, Part] = field(default_factory=lambda: {ROOM: Part()})
    # In the order in which they were sent.
    sent: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    arrived: bool = False
    outcome: str = ""
    cancelled: bool = False
    shown: str = "RAISED"

    @property
    def state(self) -> str:
        at_work = {status for _, status in self.sent} - ENDED
        if self.outcome:
            return "RESOLVED"
        if "ON_SCENE" in at_work:
            return "ON_SCENE"
        if at_work:
            return "DISPATCHED"
        if not self.parts[self.lead].holder:
            return "RAISED"
        return "ON_SCENE" if self.arrived else "ACKNOWLEDGED"

    def is_open_to(self, agency: str) -> bool:
        return self.parts[agency].state in {"REQUESTED", "ACCEPTED", "DONE"}

    def view(self, by: Person) -> str:
        """`full`, `redacted`, or empty where it does not exist."""
        part = self.parts.get(by.room)
        if part and self.is_open_to(by.room) and (not self.restricted or by.supervises or part.holder == by.user):
            return "full"
        if by.unit and self.latest(by.unit) not in {"", *ENDED}:
            return "full"
        return "redacted" if part else ""

    def latest(self, unit: str) -> str:
        """How far it has come; empty where it was not sent."""
        return next((status for name, status in reversed(self.sent) if name == unit), "")

    def at_work(self, agency: str) -> Iterator[str]:
        return (name for name, status in self.sent if status not in ENDED and self.units[name].agency == agency)

    def waits_for(self, agency: str) -> bool:
        """Whether a request of its own is unanswered."""
        part = self.parts.get(agency, Part())
        return bool(part.asked_by) and agency != self.lead and (part.state == "REQUESTED" or part.offered_the_lead)

    def acknowledge(self, by: Person) -> None:
        own = self._own(by)
        lead = self.parts[self.lead]
        if lead.holder and (lead.holder, self.lead) != (by.user, by.room):
            raise Refused("ALREADY_ACKNOWLEDGED", operator=lead.holder, agency=self.lead)
        if own.holder not in {"", by.user}:
            raise Refused("ALREADY_ACKNOWLEDGED", operator=own.holder, agency=by.room)
        self._lead_by(by.room)
        own.state, own.holder = "ACCEPTED", by.user
        self._show()

    def assign(self, by: Person, assignee: str) -> None:
        own, lead = self._own(by), self.parts[self.lead]
        if not own.holder:
            if lead.holder:
                raise Refused("ALREADY_ACKNOWLEDGED", operator=lead.holder, agency=self.lead)
            self._lead_by(by.room)
        own.state, own.holder = "ACCEPTED", assignee
        self._show()

    def release(self, by: Person) -> None:
        own = self._held(by)
        own.state, own.holder = "REQUESTED", ""

    def ask(self, by: Person, agency: str, *, to_lead: bool) -> None:
        self._content(by)
        if to_lead:
            self._require_open()
            self._require_leading(by)
        self._held(by)
        self._ask(agency, by.room, to_lead=to_lead)

    def accept(self, by: Person) -> None:
        own = self._part(by)
        self._require_open()
        if not self.is_open_to(by.room) or not own.asked_by:
            raise Refused("NOT_REQUESTED")
        if own.holder and own.holder != by.user and not (self.waits_for(by.room) and by.supervises):
            raise Refused("ALREADY_ACKNOWLEDGED", operator=own.holder, agency=by.room)
        if not self.waits_for(by.room):
            if own.holder:
                return
            raise Refused("NOT_REQUESTED")
        own.state, own.holder = "ACCEPTED", by.user
        if own.offered_the_lead:
            former = self.lead
            self._lead_by(by.room)
            self._dismiss(former)
        self._show()

    def reject(self, by: Person) -> None:
        own = self._part(by)
        self._require_open()
        if own.state == "REJECTED":
            return
        if not self.is_open_to(by.room) or not self.waits_for(by.room):
            raise Refused("NOT_REQUESTED")
        if own.holder:
            if own.holder != by.user and not by.supervises:
                raise Refused("NOT_CLAIMANT")
            own.offered_the_lead = False
            return
        for unit in self.at_work(by.room):
            raise Refused("UNIT_BUSY", unit=unit)
        own.state, own.offered_the_lead = "REJECTED", False

    def update(self, by: Person, responsible: str) -> None:
        """The target is where this agency takes every SOS."""
        self._content(by)
        self._require_open()
        if self.parts[self.lead].holder:
            self._require_leading(by)
            self._held(by)
        elif by.room != self.lead:
            raise Refused("NOT_CLAIMANT")
        former, self.responsible = self.responsible, responsible
        if responsible in {former, self.lead}:
            return
        if self.parts[self.lead].holder:
            self._ask(responsible, self.lead, to_lead=True)
            return
        part = self.parts.setdefault(responsible, Part())
        if part.state != "ACCEPTED":
            part.state, part.asked_by = "REQUESTED", ""
        before = self.lead
        self._lead_by(responsible)
        self._dismiss(before)
        self._show()

    def dispatch(self, by: Person, units: Sequence[str]) -> None:
        self._part(by)
        for unit in units:
            if self.units[unit].agency != by.room:
                raise Refused("UNIT_NOT_FOUND", unit=unit)
        self._held(by)
        for unit in units:
            if self.units[unit].alert != self.name:
                if not self.units[unit].on_duty:
                    raise Refused("UNIT_OFF_DUTY", unit=unit)
                if self.units[unit].alert:
                    raise Refused("UNIT_BUSY", unit=unit)
        for unit in units:
            if self.units[unit].alert != self.name:
                self.units[unit].alert = self.name
                self.sent.append((unit, "ASSIGNED"))
        self._show()

    def move_on(self, by: Person, unit: str, status: str) -> None:
        present = self.latest(unit)
        if not present or not (by.unit == unit or by.room == self.units[unit].agency):
            raise Refused("UNIT_NOT_FOUND", unit=unit) if self.view(by) else Refused("ALERT_NOT_FOUND")
        if present == status:
            return
        self._require_open()
        onward = present not in ENDED and (present != "ON_SCENE" if status == "DECLINED" else LADDER.index(status) > LADDER.index(present))
        if not onward:
            raise Refused("INVALID_TRANSITION", status=present)
        place = max(number for number, (name, _) in enumerate(self.sent) if name == unit)
        self.sent[place] = (unit, status)
        self.arrived |= status == "ON_SCENE"
        if status in ENDED:
            self.units[unit].alert = ""
        self._show()

    def end_duty(self, unit: str) -> None:
        if self.units[unit].alert:
            raise Refused("UNIT_BUSY", unit=unit)
        self.units[unit].on_duty = False

    def resolve(self, by: Person, outcome: str) -> None:
        self._part(by)
        self._require_leading(by)
        if self.parts[self.lead].holder != by.user and not by.supervises:
            raise Refused("NOT_CLAIMANT")
        if self.outcome == outcome:
            return
        self._require_open()
        self.outcome = outcome
        for part in self.parts.values():
            if part.state in {"REQUESTED", "ACCEPTED"}:
                part.state, part.offered_the_lead = "DONE", False
        for unit in {name for name, status in self.sent if status not in ENDED}:
            self.units[unit].alert = ""
        self.sent = [(name, status if status in ENDED else "DONE") for name, status in self.sent]
        self._show()

    def cancel(self) -> None:
        if not self.cancelled and self.shown == "RESOLVED":
            raise Refused("ALERT_CLOSED")
        self.cancelled, self.shown = True, "CANCELLED"

    def _part(self, by: Person) -> Part:
        if by.room not in self.parts:
            raise Refused("ALERT_NOT_FOUND")
        return self.parts[by.room]

    def _own(self, by: Person) -> Part:
        own = self._part(by)
        self._require_open()
        if not self.is_open_to(by.room):
            raise Refused("NOT_CLAIMANT")
        return own

    def _held(self, by: Person) -> Part:
        own = self._own(by)
        if not own.holder:
            raise Refused("NOT_ACKNOWLEDGED")
        if own.holder != by.user and not by.supervises:
            raise Refused("NOT_CLAIMANT")
        return own

    def _content(self, by: Person) -> None:
        self._part(by)
        if self.view(by) != "full":
            raise Refused("NOT_CLAIMANT")

    def _require_open(self) -> None:
        if self.outcome:
            raise Refused("ALERT_CLOSED")

    def _require_leading(self, by: Person) -> None:
        if not self.parts[self.lead].holder:
            raise Refused("NOT_ACKNOWLEDGED")
        if by.room != self.lead:
            raise Refused("NOT_CLAIMANT")

    def _ask(self, agency: str, by: str, *, to_lead: bool) -> None:
        part = self.parts.get(agency)
        if agency == self.lead:
            return
        if part and (part.state == "ACCEPTED" or (part.state == "REQUESTED" and part.asked_by)) and (part.offered_the_lead or not to_lead):
            return
        part = self.parts.setdefault(agency, Part())
        if part.state != "ACCEPTED":
            part.state = "REQUESTED"
        part.asked_by, part.offered_the_lead = by, to_lead

    def _lead_by(self, agency: str) -> None:
        """No offer of the former lead stands any more, nor what it was asked for itself."""
        if agency != self.lead:
            self.parts[self.lead].asked_by = ""
            self.lead = agency
            for part in self.parts.values():
                part.offered_the_lead = False

    def _dismiss(self, agency: str) -> None:
        if agency != self.lead and not any(self.at_work(agency)):
            self.parts[agency] = Part("RELEASED", asked_by=self.parts[agency].asked_by)

    def _show(self) -> None:
        """The caller is shown what has come, never that it went back, and nothing after a cancel or of a silent alert."""
        if not self.silent and not self.cancelled:
            self.shown = max(self.shown, self.state, key=STATES.index)
