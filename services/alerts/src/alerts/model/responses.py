"""The agencies' parts in an alert, and how long each may leave it unanswered."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.errors import AlreadyAcknowledged, NotAcknowledged, NotClaimant, NotRequested
from alerts.model.enums import Escalation, Part, ResponseState, State
from alerts.model.policies import Policy
from alerts.model.tables import Model
from chassis.events import Event

if TYPE_CHECKING:
    from alerts.model.viewers import Viewer

_LIVE = frozenset({ResponseState.REQUESTED, ResponseState.ACCEPTED, ResponseState.DONE})
# Whom each step of the clocks calls; the last one is repeated.
_CALLED = (Escalation.EVERYONE, Escalation.EVERYONE, Escalation.SUPERVISOR, Escalation.PARENT, Escalation.PARENT)
# The step after that of an alert which is on nobody's screen.
_UNACKNOWLEDGED = 1
_SEEN_BY_ALL = frozenset(
    {
        *("AlertRaised", "AlertRouted", "AlertDelivered", "AlertAcknowledged", "AlertAssigned", "AlertReleased", "AlertDispatched"),
        *("AlertHandedOver", "AlertEscalated", "AlertOverdue", "AlertResolved", "AlertReopened", "MaydayRaised", "CrewChanged"),
    }
)


class Response(Model):
    """One agency's part in an alert."""

    __tablename__ = "responses"

    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), primary_key=True)
    agency: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[int] = mapped_column(SmallInteger)
    # Whom the agency names as holding the alert, and the account that took it: a system acts for many.
    operator: Mapped[str] = mapped_column(default="")
    claimant: Mapped[str] = mapped_column(default="")
    request_time: Mapped[datetime]
    accept_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    # Empty for the first lead and for those whom an escalation brought in for it.
    requester: Mapped[str] = mapped_column(default="")
    # The agency below that did not answer, where that brought it in.
    instead_of: Mapped[str] = mapped_column(default="")
    hand_over: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(default="")
    escalation: Mapped[int] = mapped_column(SmallInteger, default=Escalation.NONE)
    # When the clocks of an unanswered request began, or last called the agency above; and which of their steps comes next.
    clock_time: Mapped[datetime]
    step: Mapped[int] = mapped_column(SmallInteger, default=0)

    __table_args__ = (Index("ix_responses_agency", "agency", "alert"),)

    @property
    def is_live(self) -> bool:
        """Whether the agency has, or had to the end, a part in the alert."""
        return self.state in _LIVE

    @property
    def is_asked(self) -> bool:
        """Whether it has a request to answer. Whoever leads has answered theirs."""
        return bool(self.requester) and self.part != Part.LEAD and (self.state == ResponseState.REQUESTED or self.hand_over)

    def is_held_by(self, operator: str, by: "Viewer") -> bool:
        return (self.agency, self.operator, self.claimant) == (by.agency, operator, by.user)

    def request(self, requester: str, reason: str, now: datetime, *, hand_over: bool) -> None:
        if self.state != ResponseState.ACCEPTED:
            self.state, self.end_time = ResponseState.REQUESTED, None
        self.requester, self.reason, self.hand_over, self.request_time = requester, reason, hand_over, now
        self.instead_of = ""
        self.start_clocks(now)

    @property
    def since(self) -> datetime:
        """When it was asked, first where it helps: it may be offered the lead later."""
        return min(self.request_time, self.accept_time or self.request_time)

    def take_over(self, other: "Response", *, hand_over: bool) -> None:
        """It is as far as the same agency's part in another alert."""
        for name in ("state", "operator", "claimant", "request_time", "accept_time", "instead_of", "escalation", "clock_time", "step"):
            setattr(self, name, getattr(other, name))
        self.hand_over = hand_over

    def take(self, operator: str, claimant: str, now: datetime) -> None:
        self.operator, self.claimant, self.state, self.accept_time = operator, claimant, ResponseState.ACCEPTED, now
        self.escalation = Escalation.NONE

    def release(self, now: datetime) -> None:
        """Back to the agency's room."""
        self.operator, self.claimant, self.state, self.accept_time = "", "", ResponseState.REQUESTED, None
        self.start_clocks(now)

    def end(self, state: ResponseState, now: datetime) -> None:
        self.state, self.end_time, self.hand_over = state, now, False
        if state is not ResponseState.DONE:
            self.operator, self.claimant, self.accept_time, self.part = "", "", None, Part.SUPPORT

    def start_clocks(self, now: datetime) -> None:
        """Of an alert that has been on a screen, or is another agency's."""
        self.clock_time, self.step, self.escalation = now, _UNACKNOWLEDGED, Escalation.NONE

    def confirm_receipt(self) -> None:
        """The alert is on a screen, and needs not be shown to be on one."""
        self.step = max(self.step, _UNACKNOWLEDGED)

    def escalate(self, now: datetime) -> Escalation:
        """Who is called now that the clock has run out."""
        called = _CALLED[self.step]
        self.step = min(self.step + 1, len(_CALLED) - 1)
        if called is Escalation.PARENT:
            # Or what was not called during an outage would be called all at once.
            self.clock_time = now
        self.escalation = called
        return called

    def find_due(self, policy: Policy) -> datetime:
        return self.clock_time + policy.when(self.step)


def ends_part(event: Event, agency: str) -> bool:
    """Whether this took an agency's part in an alert from it, by its own refusal or by another one's lead."""
    named = {"AgencyRejected": "agency", "AlertHandedOver": "former"}.get(event.type)
    return named is not None and event.attributes.get(named) == agency


def tells_that_it_exists(event: Event, agency: str, state: int) -> bool:
    """Whether whoever is shown no more of an alert than that it exists is told of an event: of what changes its state, calls somebody,
    or concerns their own agency's part. `state` is the alert's, as they are shown it.
    """
    match event.type:
        case "AlertCancelled":
            # That closes none that is restricted; where another end has come since, it is that one.
            return state == State.CANCELLED
        case "AlertUpdated" | "AssignmentUpdated":
            return bool(event.attributes.get("outline"))
        case _:
            return event.type in _SEEN_BY_ALL or agency in {event.attributes.get("agency"), event.attributes.get("former")}


class Parts:
    """The responses of one alert: who leads, who helps, who is asked."""

    def __init__(self, alert: str, responses: list[Response]) -> None:
        self._alert, self._responses = alert, responses

    @property
    def lead(self) -> Response:
        return next(each for each in self._responses if each.part == Part.LEAD)

    def find(self, agency: str) -> Response | None:
        return next((each for each in self._responses if each.agency == agency), None)

    def require(self, by: "Viewer") -> Response:
        """The viewer's own. Raises NotClaimant where their agency has no part any more."""
        own = self.find(by.agency)
        if own is None or not own.is_live:
            raise NotClaimant
        return own

    def require_holder(self, by: "Viewer") -> Response:
        """The viewer's own, which they hold or supervise. Raises NotAcknowledged and NotClaimant."""
        own = self.require(by)
        if not own.claimant:
            raise NotAcknowledged
        if own.claimant != by.user and not by.supervises:
            raise NotClaimant
        return own

    def require_lead(self, by: "Viewer") -> Response:
        """As require_holder, and it leads."""
        if not self.lead.claimant:
            raise NotAcknowledged
        if self.lead.agency != by.agency:
            raise NotClaimant
        return self.require_holder(by)

    def acknowledge(self, operator: str, by: "Viewer", now: datetime) -> bool:
        """False where this one holds it already. Raises NotClaimant and AlreadyAcknowledged."""
        own, lead = self.require(by), self.lead
        held = lead if lead.claimant else own
        if held.claimant and not held.is_held_by(operator, by):
            raise AlreadyAcknowledged(operator=held.operator, agency=held.agency)
        if lead.claimant:
            return False
        self.make_lead(own)
        own.take(operator, by.user, now)
        return True

    def assign(self, assignee: str, by: "Viewer", now: datetime) -> bool:
        """False where the assignee holds it already. Raises NotClaimant and AlreadyAcknowledged."""
        own, lead = self.require(by), self.lead
        if own.claimant == assignee:
            return False
        if not own.claimant:
            if lead.claimant:
                raise AlreadyAcknowledged(operator=lead.operator, agency=lead.agency)
            self.make_lead(own)
        own.take(assignee, assignee, now)
        return True

    def accept(self, operator: str, by: "Viewer", now: datetime) -> bool:
        """False where this one has accepted it. Raises NotRequested and AlreadyAcknowledged."""
        own = self._require_requested(by)
        if own.claimant and not own.is_held_by(operator, by) and not (own.is_asked and by.supervises):
            raise AlreadyAcknowledged(operator=own.operator, agency=own.agency)
        if not own.is_asked:
            if not own.claimant:
                raise NotRequested
            return False
        if own.hand_over:
            self.make_lead(own)
        own.take(operator, by.user, now)
        return True

    def reject(self, reason: str, by: "Viewer", now: datetime) -> bool:
        """False where it was rejected before. Raises NotRequested, NotClaimant."""
        own = self.find(by.agency)
        if own is not None and own.state == ResponseState.REJECTED:
            return False
        own = self._require_requested(by)
        if not own.is_asked:
            raise NotRequested
        if own.claimant:
            # It goes on helping, and does not lead.
            self.require_holder(by)
            own.hand_over = False
        else:
            own.end(ResponseState.REJECTED, now)
        own.reason = reason
        return True

    def request(self, agency: str, requester: str, reason: str, now: datetime, *, hand_over: bool) -> bool:
        """False where it has been asked for as much, or does it."""
        found = self.find(agency)
        asked = found and (found.state == ResponseState.ACCEPTED or (found.is_live and found.requester))
        if found and (found.part == Part.LEAD or (asked and found.hand_over >= hand_over)):
            return False
        if found:
            self._ask(found, requester, reason, now, hand_over=hand_over)
        else:
            self.bring_in(agency, requester, reason, now).hand_over = hand_over
        return True

    def bring_in(self, agency: str, requester: str, reason: str, now: datetime) -> Response:
        """Asked, unless it helps already."""
        found = self.find(agency)
        if found is None:
            found = Response(alert=self._alert, agency=agency, part=Part.SUPPORT, state=0, operator="", claimant="")
            self._responses.append(found)
        if found.state != ResponseState.ACCEPTED:
            self._ask(found, requester, reason, now, hand_over=False)
        return found

    def escalate(self, response: Response, above: str, now: datetime) -> tuple[Escalation, bool]:
        """Who is called, and whether `above` is asked by it, unless it has a part already or has refused just this."""
        called = response.escalate(now)
        found = self.find(above)
        if called is not Escalation.PARENT or not above or (found and (found.is_live or found.instead_of == response.agency)):
            return called, False
        asked = self.bring_in(above, response.requester, response.reason, now)
        asked.hand_over, asked.instead_of = response.hand_over, response.agency
        return called, True

    def release(self, response: Response, now: datetime) -> None:
        """The clocks of whoever is awaited again by it begin anew."""
        awaited = self.find_awaited()
        response.release(now)
        for each in self.find_awaited():
            if each not in awaited:
                each.start_clocks(now)

    def reopen(self, now: datetime) -> None:
        """Whoever had a part to the end is called again."""
        for each in self._responses:
            if each.state == ResponseState.DONE:
                each.end_time = None
                self.release(each, now)

    def resume(self, now: datetime) -> None:
        """The clocks of all that stood still begin anew; those of agencies that were asked did not."""
        for each in self.find_awaited():
            if not each.is_asked:
                each.start_clocks(now)

    def make_lead(self, response: Response) -> None:
        """Whoever else was asked to lead is asked to help: the one who asked them has no longer anything to give. What the former
        lead was asked for, it has answered.
        """
        former = self.lead
        if response is former:
            return
        former.part, former.requester = Part.SUPPORT, ""
        response.part = Part.LEAD
        for each in self._responses:
            each.hand_over = False

    def is_awaited(self, response: Response) -> bool:
        """Whether its clocks run: it has a request that neither it nor one of those asked in its place has accepted, or nobody has
        taken the alert.
        """
        if response.is_asked:
            chain = self._find_chain(response)
            return not any(each.state == ResponseState.ACCEPTED and not each.hand_over for each in chain)
        return response.state == ResponseState.REQUESTED and not self.lead.claimant

    def find_awaited(self) -> list[Response]:
        return [each for each in self._responses if self.is_awaited(each)]

    def _ask(self, response: Response, requester: str, reason: str, now: datetime, *, hand_over: bool) -> None:
        response.request(requester, reason, now, hand_over=hand_over)
        for each in self._responses:
            if each.instead_of == response.agency:
                # For an earlier request, which is over.
                each.instead_of = ""

    def _find_chain(self, response: Response) -> list[Response]:
        """Everybody whom one request went to, from the agency that was asked up to the one called last."""
        names = {response.agency}
        for _ in self._responses:
            names |= {each.agency for each in self._responses if each.instead_of in names}
            names |= {each.instead_of for each in self._responses if each.agency in names and each.instead_of}
        return [each for each in self._responses if each.agency in names]

    def _require_requested(self, by: "Viewer") -> Response:
        """The viewer's own. Raises NotRequested where nobody has asked their agency, or it has refused or given it away."""
        own = self.find(by.agency)
        if own is None or not own.is_live or not own.requester:
            raise NotRequested
        return own
