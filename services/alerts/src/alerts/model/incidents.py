"""Several alerts of one emergency, and what makes an alert doubtful."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.alerts import Alert
from alerts.model.enums import CancelClaim, Grouping, Kind, ResponseState, State
from alerts.model.responses import Response
from alerts.model.tables import Model
from alerts.model.units import Assignment, find_progress

# How far from each other alerts of one emergency are raised, in metres, and never farther than the cells in which they are
# looked for; of the others there are no two of one place.
REACH: dict[int, float] = {Kind.FIRE: 300.0, Kind.ACCIDENT: 150.0, Kind.CRIME: 100.0, Kind.DISASTER: 500.0, Kind.MEDICAL: 30.0}
# Of the H3 grid: an edge of about 530 m.
CELL_RESOLUTION = 8
# Above as many nobody could keep track; further ones form another incident.
MAX_MEMBERS = 200
# And how long after the last one before.
WITHIN = timedelta(minutes=30)
_TICK = timedelta(microseconds=1)
# As far as the help for a lead is now, its time is that of the others, too: what was taken back was not done for them.
_TIMES = (
    (State.RAISED, "deliver_time"),
    (State.ACKNOWLEDGED, "acknowledge_time"),
    (State.DISPATCHED, "dispatch_time"),
    (State.ON_SCENE, "arrive_time"),
)
# Each as (latitude, longitude).
Places = Sequence[tuple[float, float]]
_PRANKS = 2
_MANY = 5


_HAS_HEIR = "heir <> ''"


class IncidentState(IntEnum):
    OPEN = 1
    CLOSED = 2


class Doubt(IntEnum):
    PRANKS_BEFORE = 1
    MANY_OF_ONE_CALLER = 2
    SAME_WORDS = 3
    NOTHING_KNOWN = 4


class Due(NamedTuple):
    """At work for an alert that leads on though it was called off, and due to whoever would have come to have it."""

    alert: Alert
    assignment: Assignment


class Standing(NamedTuple):
    """What counts for an alert of what is done for others: who leads it and who holds it, how far the help is, and the alerts to which
    that has come.
    """

    agency: str
    holder: Response
    progress: State
    alerts: Sequence[Alert]


class Followed(NamedTuple):
    """What an alert was told by following another one: how far the help is, where that has changed, and whether it is news to its caller,
    to whom nothing that they were shown goes back; and that it has come to a screen.
    """

    state: State | None = None
    news: bool = False
    delivered: bool = False


class Incident(Model):
    """`area`, `agency` and `operator` are its lead's; `kind` is its heir's or, where there is none, its lead's. Its place is the middle
    of its open members', or of all once none is. Of a restricted one neither kind nor operator nor place stands here: not everybody
    who is shown the incident is shown that.
    """

    __tablename__ = "incidents"

    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[int] = mapped_column(SmallInteger)
    area: Mapped[str]
    agency: Mapped[str]
    drill: Mapped[bool] = mapped_column(default=False)
    lead: Mapped[str]
    # Who would lead, had the lead closed when its caller was made to call it off; empty where that is not so.
    heir: Mapped[str] = mapped_column(default="")
    operator: Mapped[str]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    alert_count: Mapped[int]
    open_count: Mapped[int]
    # With which all of it was resolved, as long as nobody has joined it since; 0 before that.
    outcome: Mapped[int] = mapped_column(SmallInteger, default=0)
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]

    __table_args__ = (
        Index("ix_incidents_agency", "agency", "name"),
        # Few among many.
        Index("ix_incidents_heir", "heir", sqlite_where=text(_HAS_HEIR), postgresql_where=text(_HAS_HEIR)),
    )

    def follow(self, lead: Alert | None, heir: Alert | None, members: int, still_open: int, places: Places, now: datetime) -> bool:
        """Takes over what its members have become; False where nothing has changed."""
        before = self._describe()
        if lead:
            self.lead, self.area, self.agency = lead.name, lead.area, lead.agency
            self.operator = "" if lead.restricted else lead.parts.lead.operator
            # Of one that was called off and is then understood to be something else, the others are not.
            like = heir or lead
            self.kind = 0 if like.restricted else like.kind
        self._place(places)
        if still_open > self.open_count:
            # A caller who was made to say that all is well has woken one of its alerts.
            self.outcome = 0
        self.state = IncidentState.OPEN if still_open else IncidentState.CLOSED
        self.alert_count, self.open_count = members, still_open
        if self._describe() == before:
            return False
        self.update_time = max(now, self.update_time + _TICK)
        return True

    def forget(self, places: Places) -> None:
        """One of its members was erased after all had ended; `places` are those of the others."""
        self._place(places)
        self.update_time += _TICK

    def admit(self, members: int, now: datetime) -> None:
        """So many rest with its lead from now on."""
        self.outcome = 0
        self.alert_count += members
        self.open_count += members
        self.update_time = max(now, self.update_time + _TICK)

    def _place(self, places: Places) -> None:
        self.latitude = sum(latitude for latitude, _ in places) / len(places) if places else None
        self.longitude = sum(longitude for _, longitude in places) / len(places) if places else None

    def _describe(self) -> tuple[object, ...]:
        who = (self.lead, self.kind, self.area, self.agency, self.operator)
        return (self.state, *who, self.latitude, self.longitude, self.alert_count, self.open_count)


def is_forced(alert: Alert) -> bool:
    """Whether its caller was made to call it off."""
    return alert.cancel_claim == CancelClaim.DURESS


def can_rest(alert: Alert) -> bool:
    """Whether anything may stand for it; whoever cannot speak, or was made to say that all is well, is answered for themselves, and so
    is whoever could see as somebody who answers what becomes of the others.
    """
    return not (alert.restricted or alert.by_staff) and alert.close_time is None and not is_forced(alert)


def can_lead(alert: Alert) -> bool:
    """Whether others may rest with it. By one that was called off, whoever comes later would be shown that it is still open."""
    return can_rest(alert) and not alert.cancel_time


def leads_on(alert: Alert, members: Iterable[Alert]) -> bool:
    """Whether it stands for others though it was called off, because its caller was made to do that: what is under way for all of
    them goes on as it was. The others' callers are shown what they would be, had their alerts inherited it.
    """
    return is_forced(alert) and any(each.merged_into == alert.name for each in members)


def rests_with(alert: Alert, lead: Alert, heir: Alert | None, former: str) -> bool:
    """Whether the lead stands for it; `former` is the agency that led until now, whose alerts go along with the lead."""
    passed = alert.merged_into == lead.name and alert.agency == former
    like = heir or lead
    alike = (alert.kind, alert.drill) == (like.kind, like.drill) and (alert.agency == lead.agency or passed)
    holder = lead.parts.lead if alert is heir else find_holding(lead, heir)
    return alike and can_rest(alert) and alert is not lead and not (is_held(alert) and not holder.claimant)


def is_held(alert: Alert) -> bool:
    """Whether somebody has taken it, and not another one that stands for it."""
    return bool(alert.parts.lead.claimant) and not alert.merged_into


def has_given_way(alert: Alert, incident: str) -> bool:
    """Whether what was under way for it has gone to the next one: not what it took with it when it was taken out."""
    return alert.incident == incident and bool(alert.close_time or alert.cancel_time)


def find_holding(lead: Alert, heir: Alert | None) -> Response:
    """The part of whoever holds what rests with the lead: of one that leads on though it was called off, and that nobody has taken,
    whoever has taken the one that would lead.
    """
    return heir.parts.lead if heir and is_held(heir) and not lead.parts.lead.claimant else lead.parts.lead


def find_doubts(pranks: int, lately: int, *, same_words: bool) -> list[int]:
    """`lately` is how many the account has raised within ten minutes."""
    found = {Doubt.PRANKS_BEFORE: pranks >= _PRANKS, Doubt.MANY_OF_ONE_CALLER: lately > _MANY, Doubt.SAME_WORDS: same_words}
    return [doubt for doubt, holds in found.items() if holds]


def list_doubts(alert: Alert) -> list[int]:
    """Those that were found, and what is plain to see: it may be known later."""
    known = alert.user or alert.callback_phone or alert.place or alert.erase_time
    return alert.doubts if known else [*alert.doubts, Doubt.NOTHING_KNOWN]


def assess(alert: Alert, doubts: list[int], history: dict[str, Any] | None, now: datetime) -> bool:
    """False where nothing was found that whoever answers should know at once."""
    alert.grouping, alert.doubts, alert.history = Grouping.DONE, doubts, history
    if found := is_news(doubts, history):
        alert.touch(now, shown=False)
    return found


def is_news(doubts: list[int], history: dict[str, Any] | None) -> bool:
    return bool(doubts or (history and history["pranks"]))


def join(alert: Alert, incident: str, now: datetime) -> None:
    alert.incident, alert.grouping = incident, Grouping.DONE
    alert.touch(now, shown=False)


def leave(alert: Alert, now: datetime) -> None:
    """For good: nothing puts it back by itself."""
    alert.incident, alert.grouping = "", Grouping.APART
    rest_with(alert, "", now)


def rest_with(alert: Alert, lead: str, now: datetime) -> None:
    """That one stands for it; or, for an empty one, nobody does, and its own clocks begin."""
    alert.merged_into = lead
    if not lead:
        alert.followed_state, alert.state_time, alert.limit_step = 0, now, 0
        alert.parts.resume(now)
    alert.touch(now, shown=False)


def find_standing(alert: Alert, lead: Alert, heir: Alert | None, due: Mapping[str, Sequence[Due]]) -> Standing:
    """By the lead with which it rests, which is itself where it rests with none, and by what is due to it. Of a lead that leads on though
    it was called off it is what it would be, had that one ended and `heir` led instead.
    """
    holder = find_holding(lead, heir) if lead is not alert else alert.parts.lead
    progress = State.RAISED if lead is alert else State(lead.state)
    standing = [lead, heir] if heir else [lead]
    if heir:
        progress = _find_progress(heir, due, holder)
    if owed := due.get(alert.name):
        progress = max(progress, _find_progress(alert, due, holder))
        standing += [each.alert for each in owed]
    return Standing(lead.agency, holder, progress, standing)


def _find_progress(alert: Alert, due: Mapping[str, Sequence[Due]], holder: Response) -> State:
    return find_progress([*alert.assignments, *[each.assignment for each in due.get(alert.name, ())]], held=bool(holder.claimant))


def follow(alert: Alert, standing: Standing, now: datetime) -> Followed:
    """Its caller is shown what is done for those that stand for it."""
    its, progress = standing.holder, standing.progress
    passed = alert.agency != standing.agency
    if passed:
        alert.pass_to(standing.agency, now)
    own, before = alert.parts.lead, alert.state
    timed = [
        field
        for state, field in _TIMES
        if progress >= state and not getattr(alert, field) and any(getattr(each, field) for each in standing.alerts)
    ]
    held = (own.operator, own.claimant) == (its.operator, its.claimant)
    alert.followed_state = progress
    if held and not passed and not timed and not alert.state_changed:
        return Followed()
    if its.claimant and not held:
        own.take(its.operator, its.claimant, now)
    elif not its.claimant and its is not own:
        own.release(now)
    # To the microsecond, or it could be told how it came to follow.
    now = max(now, alert.update_time + _TICK)
    for field in timed:
        setattr(alert, field, now)
    news = progress > alert.caller_state
    alert.touch(now, shown=None if news or passed or timed else False)
    return Followed(State(alert.state) if alert.state != before else None, news, "deliver_time" in timed)


def list_due(members: Iterable[Alert]) -> Mapping[str, Sequence[Due]]:
    """By the alert to which it is due."""
    due: defaultdict[str, list[Due]] = defaultdict(list)
    for alert in members:
        for each in alert.assignments:
            if each.heir:
                due[each.heir].append(Due(alert, each))
    return due


def fall_due(alert: Alert, heir: str, former: str, *, fresh: bool, passed: bool) -> None:
    """What was due to the former heir is to the next one, where it has `passed`; and so is what is `fresh`, due to nobody yet."""
    for each in alert.assignments:
        if each.heir == former or (fresh and each.heir is None):
            each.heir = heir if passed and each.is_active else each.heir or ""


def hand_on(
    alert: Alert, successor: Alert, assignments: Sequence[Assignment], now: datetime, *, whole: bool
) -> tuple[list[str], list[Response]]:
    """What is under way for it goes on for the other one: these units with their agencies, and, where it leaves the `whole` to that one,
    whoever else helps; units and helpers that are new there are returned. What was done for the other one, too, while this one led on,
    is from now on in its own past.
    """
    going = [each for each in assignments if each.is_active or each.heir == successor.name]
    handed = {each.unit: each.agency for each in going if each.is_active}
    for each in going:
        successor.assignments.append(each.hand_on(successor.name, len(successor.assignments), now))
    leading = {alert.agency, successor.agency}
    # What was asked since it was called off is, where it is kept from the others, asked of it alone; and why is told to nobody else.
    apart = alert.cancel_time if is_forced(alert) and alert.restricted else None
    helping: list[Response] = []
    for each in alert.responses:
        part = successor.parts.find(each.agency)
        goes_on = each.agency in handed.values() or (whole and each.is_live and not (apart and each.since > apart))
        # What somebody holds there is not taken from them.
        if goes_on and each.agency not in leading and not (part and part.state == ResponseState.ACCEPTED):
            # It may have been offered the lead of that one, or that of this one, which goes on there.
            offered = (part is not None and part.hand_over) or (each.hand_over and not (apart and each.request_time > apart))
            helping.append(successor.parts.bring_in(each.agency, each.requester, "" if apart else each.reason, now))
            helping[-1].take_over(each, hand_over=offered)
    if going or helping:
        alert.touch(now, shown=False)
        successor.touch(now, shown=False)
    return list(handed), helping
