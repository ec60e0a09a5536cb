"""Any course of two alerts and three units against what the contract says of it: on the entities, and through the service."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from acting import CREWS, PERSONS, RAISED, OnEntities, Stage, ThroughTheService
from cities import write_snapshot
from crews import POLICE
from documented import LADDER, Crewed, Documented, Refused
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from people import People, run_service

from alerts.model.alerts import Alert
from alerts.model.responses import Parts, Response
from alerts.model.units import Assignment
from alerts.settings import Settings
from chassis.testing import Issuer

alerts = st.sampled_from(range(len(RAISED)))
names = [each.user for each in PERSONS.values() if each.room]
# Most of the time it is the one who may: a course in which most are refused gets nowhere.
HOLDER, ASKED, CREW = "whoever holds the lead", "somebody who was asked", "the unit's crew"
dispatchers = st.sampled_from([*names, *[HOLDER] * 12])
answering = st.sampled_from([*names, *[ASKED] * 12])
supervisors = st.sampled_from([each.user for each in PERSONS.values() if each.supervises])
everybody = st.sampled_from([*PERSONS, *[CREW] * len(PERSONS)])
agencies = st.sampled_from(sorted({agency for agency, _ in CREWS.values()}))
units = st.sampled_from(list(CREWS))
LATEST = "the one that was sent last"
statuses = st.sampled_from([*LADDER[1:], "DECLINED"])


class Courses(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = self.make_stage()
        self.units = {name: Crewed(*crew) for name, crew in CREWS.items()}
        self.told = [
            Documented(str(number), restricted="silent" in raised, silent="silent" in raised, units=self.units)
            for number, raised in enumerate(RAISED)
        ]
        self.touched = 0

    def make_stage(self) -> Stage:
        """A new one for each course."""
        return OnEntities()

    def act(self, rpc: str, by: str, alert: int, **said: object) -> None:
        """It is done or refused as the contract says."""
        self.touched = alert
        told = self.told[alert]
        by = self.find(by, alert)
        expected: tuple[str, dict[str, str]] = ("", {})
        try:
            getattr(told, rpc)(*([] if rpc == "cancel" else [PERSONS[by]]), **said)
        except Refused as refused:
            metadata = {key: f"units/{value}" if key == "unit" else value for key, value in refused.metadata.items()}
            expected = (refused.reason, metadata)
        assert self.stage.act(rpc, by, alert, **said) == expected

    def find(self, by: str, alert: int) -> str:
        told = self.told[alert]
        holder = told.parts[told.lead].holder or next(each for each in names if PERSONS[each].room == told.lead)
        if by == ASKED:
            return next((each for each in names if told.waits_for(PERSONS[each].room)), holder)
        return holder if by == HOLDER else by

    @initialize(alert=alerts, sent=st.sampled_from([[], ["amb-1"], ["amb-1", "amb-2"]]))
    def begin(self, alert: int, sent: list[str]) -> None:
        """Somebody takes one of them; most courses would end before anything else has happened."""
        self.act("acknowledge", HOLDER, alert)
        if sent:
            self.act("dispatch", HOLDER, alert, units=sent)

    @rule(alert=alerts, by=answering)
    def acknowledge(self, alert: int, by: str) -> None:
        self.act("acknowledge", by, alert)

    @rule(alert=alerts, by=supervisors, assignee=st.sampled_from(names))
    def assign(self, alert: int, by: str, assignee: str) -> None:
        self.act("assign", by, alert, assignee=assignee)

    @rule(alert=alerts, by=dispatchers, also=st.integers(0, 2))
    def release(self, alert: int, by: str, also: int) -> None:
        if also == 0:
            self.act("release", by, alert)

    @rule(alert=alerts, by=dispatchers, agency=agencies, to_lead=st.booleans())
    def ask(self, alert: int, by: str, agency: str, to_lead: bool) -> None:  # noqa: FBT001  # hypothesis
        self.act("ask", by, alert, agency=agency, to_lead=to_lead)

    @rule(alert=alerts, by=answering)
    def accept(self, alert: int, by: str) -> None:
        self.act("accept", by, alert)

    @rule(alert=alerts, by=answering)
    def reject(self, alert: int, by: str) -> None:
        self.act("reject", by, alert)

    @rule(alert=alerts, by=dispatchers, responsible=agencies)
    def update(self, alert: int, by: str, responsible: str) -> None:
        self.act("update", by, alert, responsible=responsible)

    @rule(alert=alerts, by=dispatchers, sent=st.lists(units, min_size=1, max_size=2, unique=True), own=st.integers(0, 3))
    def dispatch(self, alert: int, by: str, sent: list[str], own: int) -> None:
        by = self.find(by, alert)
        theirs = [each for each, (agency, _) in CREWS.items() if agency == PERSONS[by].room]
        self.act("dispatch", by, alert, units=theirs if own else sent)

    @precondition(lambda self: any(each.sent for each in self.told))
    @rule(alert=alerts, by=everybody, unit=st.sampled_from([*CREWS, *[LATEST] * 6]), status=statuses)
    def move_on(self, alert: int, by: str, unit: str, status: str) -> None:
        if unit == LATEST:
            unit = self.told[alert].sent[-1][0] if self.told[alert].sent else "amb-1"
        self.act("move_on", CREWS[unit][1] if by == CREW else by, alert, unit=unit, status=status)

    @rule(unit=units, on=st.booleans())
    def set_duty(self, unit: str, on: bool) -> None:  # noqa: FBT001
        busy = self.units[unit].alert and not on
        answer = self.stage.set_duty(unit, on=on)
        assert answer.reason == ("UNIT_BUSY" if busy else "")
        if not busy:
            self.units[unit].on_duty = on

    # Rare, or most courses would be over before much has happened.
    @precondition(lambda self: self.told[0].sent or self.told[1].sent)
    @rule(alert=alerts, by=dispatchers, outcome=st.sampled_from(["HELPED", "PRANK"]), also=st.integers(0, 3))
    def resolve(self, alert: int, by: str, outcome: str, also: int) -> None:
        if also == 0:
            self.act("resolve", by, alert, outcome=outcome)

    @rule(alert=alerts, also=st.integers(0, 3))
    def cancel(self, alert: int, also: int) -> None:
        if also == 0:
            self.act("cancel", "rina", alert)

    @invariant()
    def everything_is_as_told(self) -> None:
        told, seen = self.told[self.touched], self.stage.see(self.touched)
        assert (seen.state, seen.shown, seen.lead, seen.sent) == (told.state, told.shown, told.lead, told.sent)
        assert seen.parts == {
            agency: ("LEAD" if agency == told.lead else "SUPPORT", part.state, part.holder, part.asked_by, part.offered_the_lead)
            for agency, part in told.parts.items()
        }

    @invariant()
    def everybody_is_shown_their_own(self) -> None:
        told = self.told[self.touched]
        for by, person in PERSONS.items():
            assert (by, self.stage.view(by, self.touched)) == (by, told.view(person))


USUAL = examples(max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


def test_on_the_entities_every_course_is_as_documented() -> None:
    run_state_machine_as_test(Courses, settings=USUAL)


def keep_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_lead(parts: Parts, response: Response) -> None:
        parts.lead.part, response.part = 2, 1

    monkeypatch.setattr(Parts, "make_lead", make_lead)


def forget_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Alert, "_find_at_work", lambda *_: [])


def keep_who_gave_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Alert, "_dismiss", lambda *_: None)


def go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Assignment, "_leads_to", lambda assignment, _: assignment.is_active)


@pytest.mark.parametrize("mutant", [keep_offers, forget_units, keep_who_gave_it_away, go_back])
def test_a_rule_that_is_broken_is_found(monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None]) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Courses, settings=examples(USUAL, max_examples=5000, report_multiple_bugs=False, phases=[Phase.generate]))


@contextmanager
def open_stage(settings: Settings, issuer: Issuer) -> Iterator[tuple[asyncio.Runner, People]]:
    """A service in which POLICE takes every SOS of the other city."""
    write_snapshot(settings.snapshot_file, POLICE)
    with asyncio.Runner() as loop:
        service = run_service(settings)
        people = People(loop.run(service.__aenter__()), issuer)
        loop.run(people.dewi("ListAlerts"))
        yield loop, people
        loop.run(service.__aexit__(None, None, None))


def test_through_the_service_every_course_is_as_documented(settings: Settings, issuer: Issuer) -> None:
    with open_stage(settings, issuer) as (loop, people):

        class Served(Courses):
            def make_stage(self) -> Stage:
                return ThroughTheService(loop, people)

        run_state_machine_as_test(Served, settings=examples(USUAL, max_examples=12, stateful_step_count=25))
