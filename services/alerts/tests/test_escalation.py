"""Who is called when nobody answers, with a clock that the test holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clockwork import (
    AGUS,
    BAYU,
    CITY,
    DIAN,
    DISTRICT,
    EKA,
    EVERYONE,
    FIRE,
    HELPED,
    OVERDUE,
    PARENT,
    POLICE,
    POST,
    SUPERVISOR,
    Clocks,
    Happened,
    ask,
    make_router,
    state_of,
    take,
)
from moments import RINA, ROOM, after, make_alert

from alerts.errors import AlreadyAcknowledged, NotRequested
from alerts.model.clocks import ANSWER
from alerts.model.enums import CancelClaim, Part, ResponseState
from alerts.model.viewers import Viewer
from alerts.routing import Router


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return make_router(tmp_path, {})


@pytest.fixture
def clocks(router: Router) -> Clocks:
    return Clocks(make_alert(kind="MEDICAL"), router)


class TestAnAlertThatNobodyAnswers:
    def test_calls_everyone_twice_then_the_supervisors_then_whoever_is_above_over_and_over(self, clocks: Clocks) -> None:
        assert clocks.run(200) == [
            Happened(10, EVERYONE),
            Happened(15, EVERYONE),
            Happened(20, SUPERVISOR),
            Happened(60, PARENT),
            Happened(120, PARENT),
            Happened(180, PARENT),
        ]
        assert clocks.alert.escalation_level == 6
        assert [each.agency for each in clocks.alert.responses] == [ROOM]

    def test_on_a_screen_in_time_it_needs_not_be_shown_again_before_it_is_unacknowledged(self, clocks: Clocks) -> None:
        clocks.alert.confirm_receipt(RINA, after(seconds=9))
        assert clocks.run(59) == [Happened(15, EVERYONE), Happened(20, SUPERVISOR)]

    def test_on_a_screen_too_late_it_was_shown_again(self, clocks: Clocks) -> None:
        assert clocks.run(12) == [Happened(10, EVERYONE)]
        clocks.alert.confirm_receipt(RINA, after(seconds=12))
        assert clocks.run(59) == [Happened(15, EVERYONE), Happened(20, SUPERVISOR)]

    def test_on_a_screen_much_too_late_it_goes_on_where_it_is(self, clocks: Clocks) -> None:
        clocks.run(30)
        clocks.alert.confirm_receipt(RINA, after(seconds=30))
        assert clocks.run(119) == [Happened(60, PARENT)]

    def test_once_it_is_acknowledged_nobody_is_called(self, clocks: Clocks) -> None:
        clocks.run(12)
        take(clocks.alert, second=12)
        assert clocks.find(ANSWER) == []
        assert clocks.run(59) == []

    def test_a_release_begins_anew_without_the_screen(self, clocks: Clocks) -> None:
        take(clocks.alert)
        clocks.alert.release(RINA, after(seconds=100))
        assert clocks.run(161) == [Happened(115, EVERYONE), Happened(120, SUPERVISOR), Happened(160, PARENT)]

    def test_an_agencys_own_policy_says_when(self, tmp_path: Path) -> None:
        policy = {"deliverSeconds": 30, "acknowledgeSeconds": 45, "supervisorSeconds": 90, "parentSeconds": 120}
        clocks = Clocks(make_alert(), make_router(tmp_path, {ROOM: {"alertPolicy": policy}}))
        assert clocks.run(240) == [
            Happened(30, EVERYONE),
            Happened(45, EVERYONE),
            Happened(90, SUPERVISOR),
            Happened(120, PARENT),
            Happened(240, PARENT),
        ]

    def test_what_a_policy_leaves_out_is_as_ever(self, tmp_path: Path) -> None:
        clocks = Clocks(make_alert(), make_router(tmp_path, {ROOM: {"alertPolicy": {"supervisorSeconds": 40}}}))
        assert clocks.run(60) == [Happened(10, EVERYONE), Happened(15, EVERYONE), Happened(40, SUPERVISOR), Happened(60, PARENT)]

    def test_after_an_outage_each_step_is_taken_once_and_the_last_one_not_for_all_of_its_times(self, clocks: Clocks) -> None:
        steps = [EVERYONE, EVERYONE, SUPERVISOR, PARENT]
        assert clocks.run(3600, late=True) == [Happened(3600, step) for step in steps]
        assert clocks.run(3719) == [Happened(3660, PARENT)]

    @pytest.mark.parametrize("request_", [{"silent": True}, {"kind": "VIOLENCE"}, {"drill": True}], ids=["silent", "restricted", "drill"])
    def test_its_clocks_run_whatever_is_shown_of_it_and_to_whom(self, router: Router, request_: dict[str, Any]) -> None:
        assert len(Clocks(make_alert(**request_), router).run(60)) == 4

    def test_its_callers_cancel_stops_none(self, clocks: Clocks) -> None:
        clocks.alert.cancel(after(seconds=3))
        assert len(clocks.run(60)) == 4

    def test_closed_it_has_none(self, clocks: Clocks) -> None:
        take(clocks.alert)
        ask(clocks.alert, FIRE)
        clocks.alert.resolve(HELPED, RINA, after(seconds=40))
        assert clocks.find() == []

    def test_closed_by_a_pin_it_has_none_and_opened_by_the_other_they_begin_anew(self, clocks: Clocks) -> None:
        clocks.alert.cancel(after(seconds=3), CancelClaim.VERIFIED)
        assert clocks.find() == []
        clocks.alert.cancel(after(seconds=50), CancelClaim.DURESS)
        assert clocks.run(70) == [Happened(65, EVERYONE), Happened(70, SUPERVISOR)]

    def test_the_caller_is_shown_nothing_of_it(self, clocks: Clocks) -> None:
        before = (clocks.alert.caller_revision, clocks.alert.caller_update_time, clocks.alert.caller_state)
        clocks.run(600)
        assert (clocks.alert.caller_revision, clocks.alert.caller_update_time, clocks.alert.caller_state) == before


class TestTheAgenciesAbove:
    @pytest.fixture
    def clocks(self, router: Router) -> Clocks:
        return Clocks(make_alert(agency=DISTRICT), router)

    def test_each_is_called_by_the_one_below_and_has_clocks_of_its_own(self, clocks: Clocks) -> None:
        assert clocks.run(185) == [
            Happened(10, EVERYONE, DISTRICT),
            Happened(15, EVERYONE, DISTRICT),
            Happened(20, SUPERVISOR, DISTRICT),
            Happened(60, PARENT, DISTRICT),
            Happened(75, EVERYONE, CITY),
            Happened(80, SUPERVISOR, CITY),
            Happened(120, PARENT, DISTRICT),
            Happened(120, PARENT, CITY),
            Happened(135, EVERYONE, ROOM),
            Happened(140, SUPERVISOR, ROOM),
            Happened(180, PARENT, DISTRICT),
            Happened(180, PARENT, CITY),
            Happened(180, PARENT, ROOM),
        ]
        parts = [(each.agency, each.part, each.instead_of) for each in clocks.alert.responses]
        assert parts == [(DISTRICT, Part.LEAD, ""), (CITY, Part.SUPPORT, DISTRICT), (ROOM, Part.SUPPORT, CITY)]

    def test_whoever_takes_it_leads_and_nobody_is_called_any_more(self, clocks: Clocks) -> None:
        clocks.run(90)
        take(clocks.alert, BAYU, 90)
        assert (clocks.alert.agency, clocks.alert.parts.lead.agency) == (CITY, CITY)
        assert clocks.find(ANSWER) == []

    def test_so_does_whoever_a_supervisor_gives_it_to(self, clocks: Clocks) -> None:
        clocks.run(90)
        assert clocks.alert.assign("somebody", BAYU, after(seconds=90))
        assert (clocks.alert.agency, clocks.alert.parts.lead.claimant) == (CITY, "somebody")
        assert clocks.find(ANSWER) == []

    def test_after_a_release_everybody_who_was_called_is_called_anew(self, clocks: Clocks) -> None:
        clocks.run(90)
        take(clocks.alert, AGUS, 90)
        clocks.alert.release(AGUS, after(seconds=1000))
        assert clocks.run(1016) == [Happened(1015, EVERYONE, DISTRICT), Happened(1015, EVERYONE, CITY)]

    def test_one_that_has_refused_to_help_is_called_when_nobody_answers(self, clocks: Clocks) -> None:
        take(clocks.alert, AGUS)
        ask(clocks.alert, CITY, AGUS)
        clocks.alert.reject_request("no crew", BAYU, after(seconds=35))
        clocks.alert.release(AGUS, after(seconds=100))
        clocks.run(160)
        assert state_of(clocks.alert, CITY) == ResponseState.REQUESTED

    def test_one_that_helps_already_is_not_asked_again(self, clocks: Clocks) -> None:
        take(clocks.alert, AGUS)
        ask(clocks.alert, CITY, AGUS)
        clocks.alert.accept_request("bayu", BAYU, after(seconds=35))
        clocks.alert.release(AGUS, after(seconds=100))
        clocks.run(170)
        assert state_of(clocks.alert, CITY) == ResponseState.ACCEPTED
        assert [each.agency for each in clocks.alert.responses] == [DISTRICT, CITY]

    @pytest.mark.parametrize(
        ("changes", "above"),
        [
            ({CITY: {"parent": DISTRICT}}, [ROOM]),
            ({DISTRICT: {"parent": DISTRICT}}, [ROOM]),
            ({DISTRICT: {"parent": "agencies/nowhere"}}, [ROOM]),
            ({CITY: {"parent": FIRE}, FIRE: {"parent": POLICE}, POLICE: {"parent": CITY}}, [CITY, ROOM]),
            ({ROOM: {"parent": POLICE}}, [CITY, ROOM, POLICE]),
            ({ROOM: {"parent": POLICE}, POLICE: {"parent": ROOM}}, [CITY, ROOM]),
        ],
        ids=["a circle of two", "of itself", "unknown", "a circle above", "above the city's room", "a circle with the city's room"],
    )
    def test_every_way_up_comes_to_the_citys_room(self, tmp_path: Path, changes: dict[str, dict[str, Any]], above: list[str]) -> None:
        clocks = Clocks(make_alert(agency=DISTRICT), make_router(tmp_path, changes))
        clocks.run(600)
        assert [each.agency for each in clocks.alert.responses] == [DISTRICT, *above]


class TestAnAgencyThatIsAsked:
    @pytest.fixture
    def clocks(self, clocks: Clocks) -> Clocks:
        take(clocks.alert)
        ask(clocks.alert, POST)
        return clocks

    def test_has_clocks_of_its_own_while_whoever_asked_stays_responsible(self, clocks: Clocks) -> None:
        assert [each for each in clocks.run(160) if not each.what.startswith(OVERDUE)] == [
            Happened(45, EVERYONE, POST),
            Happened(50, SUPERVISOR, POST),
            Happened(90, PARENT, POST),
            Happened(105, EVERYONE, POLICE),
            Happened(110, SUPERVISOR, POLICE),
            # Above the police is the room that asks, and has a part already.
            Happened(150, PARENT, POST),
            Happened(150, PARENT, POLICE),
        ]
        assert (clocks.alert.agency, clocks.alert.parts.lead.claimant) == (ROOM, "rina")
        police = clocks.alert.parts.find(POLICE)
        assert police
        assert (police.requester, police.instead_of, police.reason) == (ROOM, POST, "smoke")

    @pytest.mark.parametrize("answer", ["accept_request", "reject_request"])
    def test_its_answer_ends_them(self, clocks: Clocks, answer: str) -> None:
        assert getattr(clocks.alert, answer)("no crew", DIAN, after(seconds=40))
        assert clocks.find(ANSWER) == []

    @pytest.mark.parametrize("by", [DIAN, EKA], ids=["the one that was asked", "the one above it"])
    def test_so_does_that_of_any_that_was_asked_in_its_place(self, clocks: Clocks, by: Viewer) -> None:
        clocks.run(100)
        assert {subject for _, subject, _ in clocks.find(ANSWER)} == {POST, POLICE}
        assert clocks.alert.accept_request("somebody", by, after(seconds=100))
        assert clocks.find(ANSWER) == []

    def test_a_refusal_by_the_one_above_is_not_asked_for_again(self, clocks: Clocks) -> None:
        clocks.run(100)
        clocks.alert.reject_request("no crew", EKA, after(seconds=100))
        assert [each for each in clocks.run(220) if each.what == PARENT] == [Happened(150, PARENT, POST), Happened(210, PARENT, POST)]
        assert state_of(clocks.alert, POLICE) == ResponseState.REJECTED

    def test_when_it_gives_it_back_all_of_them_are_called_anew(self, clocks: Clocks) -> None:
        clocks.run(100)
        clocks.alert.accept_request("somebody", EKA, after(seconds=100))
        clocks.alert.release(EKA, after(seconds=500))
        assert clocks.find(ANSWER) == [(ANSWER, POLICE, 515), (ANSWER, POST, 515)]

    def test_another_request_is_another_matter(self, clocks: Clocks) -> None:
        clocks.run(100)
        clocks.alert.accept_request("somebody", EKA, after(seconds=100))
        assert clocks.alert.reject_request("too late", DIAN, after(seconds=110))
        ask(clocks.alert, POST, EKA, 120)
        assert clocks.find(ANSWER) == [(ANSWER, POST, 135)]

    def test_asked_to_lead_it_is_awaited_though_it_helps_already(self, clocks: Clocks) -> None:
        clocks.alert.accept_request("dian", DIAN, after(seconds=40))
        ask(clocks.alert, POST, RINA, 50, hand_over=True)
        clocks.run(115)
        police = clocks.alert.parts.find(POLICE)
        assert police
        assert police.hand_over
        # Whoever takes it in its place leads, and nobody takes it from them by a late answer.
        clocks.alert.accept_request("eka", EKA, after(seconds=116))
        assert (clocks.alert.agency, clocks.find(ANSWER)) == (POLICE, [])
        with pytest.raises((NotRequested, AlreadyAcknowledged)):
            clocks.alert.accept_request("another", replace(DIAN, user="another"), after(seconds=120))
