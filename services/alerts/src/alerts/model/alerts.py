"""An alert and its rules."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from alerts.errors import AlertChanged, AlertClosed, NotClaimant, UnitBusy, UnitNotFound
from alerts.model.calls import Call
from alerts.model.enums import Audience, CancelClaim, ContactPreference, Escalation, Kind, ResponseState, RollCall, Routing, State, Status
from alerts.model.membership import Member
from alerts.model.outline import Outline
from alerts.model.responses import Parts, Response
from alerts.model.tables import Model
from alerts.model.units import Assignment, Unit, find_progress

if TYPE_CHECKING:
    from alerts.model.viewers import Viewer

_TICK = timedelta(microseconds=1)
_STANDS = "close_time IS NULL AND merged_into = ''"


class Alert(Call, Member, Outline, Model):
    """A call for help and what became of it."""

    __tablename__ = "alerts"

    kind: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[int] = mapped_column(SmallInteger)
    restricted: Mapped[bool]
    drill: Mapped[bool]
    area: Mapped[str]
    routing: Mapped[int] = mapped_column(SmallInteger)
    agency: Mapped[str]
    outcome: Mapped[int] = mapped_column(SmallInteger)
    escalation_level: Mapped[int]
    token_hash: Mapped[bytes]
    deliver_time: Mapped[datetime | None]
    acknowledge_time: Mapped[datetime | None]
    dispatch_time: Mapped[datetime | None]
    arrive_time: Mapped[datetime | None]
    # Since when it is in its state, and how many of that state's limits it has passed.
    state_time: Mapped[datetime]
    limit_step: Mapped[int] = mapped_column(SmallInteger)
    update_time: Mapped[datetime]
    revision: Mapped[int]

    responses: Mapped[list[Response]] = relationship(order_by=Response.request_time, lazy="raise")
    assignments: Mapped[list[Assignment]] = relationship(order_by=Assignment.number, lazy="raise")

    __table_args__ = (
        Index("ix_alerts_user", "user", "name"),
        Index("ix_alerts_incident", "incident", "name"),
        Index("ix_alerts_updated", "update_time"),
        Index("ix_alerts_cell", "cell", sqlite_where=text(_STANDS), postgresql_where=text(_STANDS)),
        Index("ix_alerts_waiting", "name", sqlite_where=text("grouping = 0"), postgresql_where=text("grouping = 0")),
        Index("ix_alerts_open", "name", sqlite_where=text("close_time IS NULL"), postgresql_where=text("close_time IS NULL")),
        # Few among many, and the oldest of them are removed.
        Index("ix_alerts_drills", "update_time", sqlite_where=text("drill IS 1"), postgresql_where=text("drill IS true")),
    )

    @property
    def parts(self) -> Parts:
        return Parts(self.name, self.responses)

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'

    def concerns(self, agency: str) -> bool:
        """Whether the agency has, or had to the end, a part in it."""
        return any(each.agency == agency and each.is_live for each in self.responses)

    @property
    def at_work(self) -> set[str]:
        """The units."""
        return {each.unit for each in self.assignments if each.is_active}

    def find_assignment(self, unit: str) -> Assignment | None:
        """The one that is active, or else the latest: a unit may be sent again, and past work of another alert be noted here later."""
        return max((each for each in self.assignments if each.unit == unit), key=lambda each: (each.is_active, each.number), default=None)

    def confirm_receipt(self, by: "Viewer", now: datetime) -> bool:
        """False where it was on a screen before. Raises NotClaimant where the agency has no part in it any more."""
        self.parts.require(by)
        if self.deliver_time:
            return False
        now = self._order(now)
        self.deliver_time = now
        for response in self.responses:
            response.confirm_receipt()
        self._changed(now)
        return True

    def acknowledge(self, operator: str, by: "Viewer", now: datetime) -> bool:
        """False where this one holds it already. What nobody holds, any agency with a part in it may take, and leads from then
        on. Raises AlreadyAcknowledged, NotClaimant and AlertClosed.
        """
        self.require_open()
        now = self._order(now)
        if not self.parts.acknowledge(operator, by, now):
            return False
        self._acknowledged(now)
        return True

    def assign(self, assignee: str, by: "Viewer", now: datetime) -> bool:
        """By a supervisor; what nobody holds, their agency leads from then on. False where the assignee holds it already.
        Raises AlreadyAcknowledged, NotClaimant and AlertClosed.
        """
        self.require_open()
        now = self._order(now)
        if not self.parts.assign(assignee, by, now):
            return False
        self._acknowledged(now)
        return True

    def release(self, by: "Viewer", now: datetime) -> None:
        """Raises NotAcknowledged, NotClaimant and AlertClosed."""
        self.require_open()
        own = self.parts.require_holder(by)
        now = self._order(now)
        self.parts.release(own, now)
        self._changed(now, shown=False)

    def request_agency(self, agency: str, reason: str, by: "Viewer", now: datetime, *, hand_over: bool) -> bool:
        """False where it has been asked so, or helps already. Raises NotAcknowledged, NotClaimant and AlertClosed."""
        self.require_open()
        own = self.parts.require_lead(by) if hand_over else self.parts.require_holder(by)
        now = self._order(now)
        if not self.parts.request(agency, own.agency, reason, now, hand_over=hand_over):
            return False
        self._changed(now, shown=False)
        return True

    def accept_request(self, operator: str, by: "Viewer", now: datetime) -> bool:
        """False where this one has accepted it. Raises NotRequested, AlreadyAcknowledged and AlertClosed."""
        self.require_open()
        now = self._order(now)
        former = self.parts.lead
        if not self.parts.accept(operator, by, now):
            return False
        self._dismiss(former, now)
        self._acknowledged(now)
        return True

    def reject_request(self, reason: str, by: "Viewer", now: datetime) -> bool:
        """False where it was rejected before. Raises NotRequested, NotClaimant, UnitBusy and AlertClosed."""
        self.require_open()
        own = self.parts.find(by.agency)
        if own is not None and own.is_asked and not own.claimant and (at_work := self._find_at_work(own.agency)):
            # Whoever sees the alert no more could not look after them.
            raise UnitBusy(unit=at_work[0])
        now = self._order(now)
        if not self.parts.reject(reason, by, now):
            return False
        self._changed(now, shown=False)
        return True

    def update(self, values: dict[str, Any], etag: str, by: "Viewer", now: datetime) -> bool:
        """`values` are columns; False where they are so already. Raises NotClaimant, AlertClosed and AlertChanged."""
        self.require_open()
        if self.parts.lead.claimant:
            self.parts.require_lead(by)
        elif self.agency != by.agency:
            raise NotClaimant
        if etag and etag != self.etag:
            raise AlertChanged
        if all(getattr(self, column) == value for column, value in values.items()):
            return False
        for column, value in values.items():
            self.change(column, value)
        if self.kind == Kind.VIOLENCE:
            self.change("restricted", value=True)
        if self.silent:
            self.change("contact_preference", int(ContactPreference.DO_NOT_CONTACT))
        self._changed(self._order(now))
        return True

    def reroute(self, area: str, routing: Routing, agency: str, now: datetime) -> bool:
        """Another agency is responsible: it leads at once where nobody holds the alert, else it is asked to. False where the
        same one is, and always for an exercise of one agency alone.
        """
        now, lead = self._order(now), self.parts.lead
        self.change("area", area)
        self.change("routing", int(routing))
        if agency == lead.agency or self.drill_agency:
            asked = False
        elif lead.claimant:
            asked = self.parts.request(agency, lead.agency, "", now, hand_over=True)
        else:
            asked = True
            self.pass_to(agency, now)
        self._changed(now)
        return asked

    def dispatch(self, units: Sequence[Unit], by: "Viewer", now: datetime, max_age: timedelta | None) -> list[Assignment]:
        """Those newly sent: all that are not at work for it already, or none. Their positions are no older than `max_age`, if any.
        Raises DrillMismatch, UnitOffDuty, UnitBusy, UnitPositionOld, NotAcknowledged, NotClaimant and AlertClosed.
        """
        self.require_open()
        own = self.parts.require_holder(by)
        at_work = self.at_work
        fresh = [unit for unit in units if unit.name not in at_work]
        for unit in fresh:
            unit.require_ready(now, max_age, drill=self.drill)
        if not fresh:
            return []
        now = self._order(now)
        sent: list[Assignment] = []
        for unit in fresh:
            unit.work_for(self.name, now)
            assignment = Assignment(
                alert=self.name,
                number=len(self.assignments),
                unit=unit.name,
                agency=own.agency,
                kind=unit.kind,
                crew=unit.crew,
                status=Status.ASSIGNED,
                reason="",
                dispatch_time=now,
                roll_step=0,
                missed_roll_calls=0,
            )
            self.assignments.append(assignment)
            sent.append(assignment)
        self.dispatch_time = self.dispatch_time or now
        self._helped(now)
        return sent

    def update_assignment(self, unit: str, status: Status, reason: str, now: datetime) -> bool:
        """False where nothing changes. Raises UnitNotFound, InvalidTransition and AlertClosed."""
        assignment = self.find_assignment(unit)
        if assignment is None:
            raise UnitNotFound(unit=unit)
        again = assignment.status == status
        if not again:
            self.require_open()
        now = self._order(now)
        if not assignment.advance(status, reason, now):
            return False
        if status is Status.ON_SCENE:
            self.arrive_time = self.arrive_time or now
        self._helped(now)
        return True

    def resolve(self, outcome: int, by: "Viewer", now: datetime) -> bool:
        """False where it was resolved so before. Raises NotAcknowledged, NotClaimant and AlertClosed."""
        if not self.parts.lead.claimant:
            self.require_open()  # nobody could take it any more
        self.parts.require_lead(by)
        if self.close_time and self.outcome == outcome:
            return False
        self.require_open()
        now = self._order(now)
        self.outcome = outcome
        self._close(now)
        return True

    def cancel(self, now: datetime, claim: CancelClaim = CancelClaim.UNVERIFIED) -> bool:
        """For the caller's side; for the agency's only where it was the caller and nobody can have made them. False where
        nothing changes. Raises AlertClosed.
        """
        first = self.cancel_time is None
        if first and self.caller_state == State.RESOLVED:
            raise AlertClosed
        if not first and claim <= self.cancel_claim:
            return False
        now = self._order(now)
        self.cancel_claim = claim
        if first:
            self.caller_state, self.cancel_time = State.CANCELLED, now
        if claim is CancelClaim.VERIFIED and not self.restricted and not self.close_time:
            self._close(now)
        elif claim is CancelClaim.DURESS and self.close_time:
            # Whoever ended it had been told what the caller was made to say.
            self.close_time, self.outcome = None, 0
            self.parts.reopen(now)
        self._changed(now, shown=first)
        return True

    def erase(self, now: datetime) -> bool:
        """False where it was asked for before."""
        if self.erase_time:
            return False
        now = self._order(now)
        self.erase_time = now
        self._changed(now, shown=True)
        return True

    def wipe(self) -> bool:
        if not super().wipe():
            return False
        self.cell, self.doubts, self.history = "", [], None
        for each in (*self.responses, *self.assignments):
            each.reason = ""
        return True

    def escalate(self, agency: str, above: str, now: datetime) -> tuple[Escalation, bool]:
        """A clock of an agency's has run out: who is called, and whether `above` is asked by it."""
        response = self.parts.find(agency)
        assert response is not None
        now = self._order(now)
        called, asked = self.parts.escalate(response, above, now)
        self.escalation_level += 1
        self._changed(now, shown=False)
        return called, asked

    def pass_limit(self, now: datetime) -> None:
        self.limit_step += 1
        self._changed(self._order(now), shown=False)

    def call_roll(self, number: int, now: datetime) -> tuple[Assignment, RollCall]:
        now = self._order(now)
        assignment = self.assignments[number]
        call = assignment.call_roll(now)
        self._changed(now, shown=False)
        return assignment, call

    def pass_to(self, agency: str, now: datetime) -> None:
        """It leads at once, asked by nobody."""
        former = self.parts.lead
        self.parts.make_lead(self.parts.bring_in(agency, "", "", now))
        self._dismiss(former, now)

    def touch(self, now: datetime, *, shown: bool | None) -> None:
        """Something about it has changed; None where the caller's side sees it as long as it sees anything."""
        self._changed(self._order(now), shown=shown)

    def require_open(self) -> None:
        """Raises AlertClosed."""
        if self.close_time:
            raise AlertClosed

    def _dismiss(self, former: Response, now: datetime) -> None:
        """One that leads no longer has given the alert away, unless its units are still at work for it: then it helps."""
        if former is not self.parts.lead and not self._find_at_work(former.agency):
            former.end(ResponseState.RELEASED, now)

    def _find_at_work(self, agency: str) -> list[str]:
        return [each.unit for each in self.assignments if each.is_active and each.agency == agency]

    def _acknowledged(self, now: datetime) -> None:
        """By somebody; the caller, who was told of no release, is not told of another one of the same agency either."""
        shown = None if self.acknowledge_time is None or self.parts.lead.agency != self.agency else False
        self.acknowledge_time = self.acknowledge_time or now
        # Whoever answers it has seen it.
        self.deliver_time = self.deliver_time or now
        self._changed(now, shown=shown)

    def _close(self, now: datetime) -> None:
        self.close_time = now
        for response in (each for each in self.responses if each.is_live):
            response.end(ResponseState.DONE, now)
        for assignment in (each for each in self.assignments if each.is_active):
            assignment.advance(Status.DONE, "", now)
        self._changed(now)

    @property
    def state_changed(self) -> bool:
        """Whether what it has come to is not yet its `state`."""
        return self._find_state() != self.state

    def _find_state(self) -> State:
        """How far the agencies' work has come; a release or a declined unit takes it back."""
        if self.close_time:
            return State.RESOLVED if self.outcome else State.CANCELLED
        return max(self._find_own_state(), State(self.followed_state or State.RAISED))

    def _find_own_state(self) -> State:
        # The times of one that stood for another are that one's, too, and what was done was not done for it.
        return find_progress(self.assignments, held=bool(self.parts.lead.claimant))

    def _order(self, now: datetime) -> datetime:
        """A change is later than the one before it: it may have waited for its turn, or come by a clock that is behind."""
        return max(now, self.update_time + _TICK)

    def _helped(self, now: datetime) -> None:
        """No news to the caller where it comes no further: they could tell by it whether another alert stands for theirs."""
        self._changed(now, shown=None if self._find_state() > self.caller_state else False)

    def _changed(self, now: datetime, *, shown: bool | None = None) -> None:
        """`shown` says whether the caller's side sees the change; where it is left out, unless they see nothing any more."""
        if passed := self.agency != self.parts.lead.agency:
            self.change("agency", self.parts.lead.agency)
        if (state := self._find_state()) != self.state or passed:
            # Whoever leads has as long for a state as their own limits say.
            self.state, self.state_time, self.limit_step = state, now, 0
        if shown is None:
            shown = self.caller_audience is Audience.CALLER
            if shown:
                # What the caller is shown never goes back.
                self.caller_state = max(self.caller_state, state)
        self.update_time, self.revision = now, self.revision + 1
        self.count_outline(self.responses, self.assignments, now)
        if shown:
            self.caller_update_time, self.caller_revision = now, self.caller_revision + 1
