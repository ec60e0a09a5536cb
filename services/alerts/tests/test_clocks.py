"""How long an alert may be in its state, whether a crew is well, and that nothing is forgotten; with a clock that the test holds."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from clockwork import AGUS, BAYU, CAHYA, CITY, DISTRICT, FIRE, HELPED, OVERDUE, Clocks, Happened, arrive, ask, make_router, send, take
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from moments import BUDI, CITRA, DEWI, RINA, ROOM, SARI, after, make_alert

from alerts.errors import AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant, NotRequested
from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER, LIMIT, ROLL_CALL
from alerts.model.enums import Status
from alerts.model.incidents import rest_with
from alerts.model.viewers import Viewer
from alerts.routing import Router


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return make_router(tmp_path, {})


@pytest.fixture
def clocks(router: Router) -> Clocks:
    return Clocks(make_alert(kind="MEDICAL"), router)


class TestHowLongAnAlertIsInItsState:
    def test_whoever_holds_it_is_warned_and_then_the_supervisors_are_called(self, clocks: Clocks) -> None:
        take(clocks.alert, second=5)
        assert clocks.run(5000) == [Happened(65, f"{OVERDUE} 1", ""), Happened(125, f"{OVERDUE} 2", "")]

    def test_each_state_has_limits_of_its_own(self, clocks: Clocks) -> None:
        take(clocks.alert, second=5)
        clocks.run(70)
        send(clocks.alert, second=70)
        assert clocks.find(LIMIT) == [(LIMIT, "", 70 + 480)]
        assert clocks.run(70 + 900) == [Happened(550, f"{OVERDUE} 1", ""), Happened(970, f"{OVERDUE} 2", "")]
        arrive(clocks.alert, 1000)
        assert clocks.find(LIMIT) == [(LIMIT, "", 1000 + 3600)]

    def test_a_release_has_none_and_the_next_one_begins_anew(self, clocks: Clocks) -> None:
        take(clocks.alert, second=5)
        clocks.run(70)
        clocks.alert.release(RINA, after(seconds=80))
        assert clocks.find(LIMIT) == []
        take(clocks.alert, BUDI, 90)
        assert clocks.find(LIMIT) == [(LIMIT, "", 150)]

    def test_those_of_one_that_rests_no_longer_begin_anew(self, clocks: Clocks) -> None:
        take(clocks.alert, second=5)
        clocks.run(70)
        rest_with(clocks.alert, "alerts/lead", after(seconds=80))
        assert clocks.find(LIMIT) == []
        rest_with(clocks.alert, "", after(seconds=200))
        assert clocks.run(5000) == [Happened(260, f"{OVERDUE} 1", ""), Happened(320, f"{OVERDUE} 2", "")]

    @pytest.mark.parametrize(("kind", "second"), [("FIRE", 15), ("MEDICAL", 35), ("CRIME", 35)])
    def test_an_agencys_own_for_the_kind_goes_before_its_own_for_all(self, tmp_path: Path, kind: str, second: int) -> None:
        limits = [
            {"state": "ACKNOWLEDGED", "warnSeconds": 30, "alertSeconds": 40},
            {"kind": "FIRE", "state": "ACKNOWLEDGED", "warnSeconds": 10, "alertSeconds": 20},
            {"kind": "MEDICAL", "state": "DISPATCHED", "warnSeconds": 1, "alertSeconds": 2},
        ]
        clocks = Clocks(make_alert(kind=kind), make_router(tmp_path, {ROOM: {"alertPolicy": {"limits": limits}}}))
        take(clocks.alert, second=5)
        assert clocks.find(LIMIT) == [(LIMIT, "", second)]

    def test_they_are_those_of_the_agency_that_leads(self, tmp_path: Path) -> None:
        limits = [{"state": "ACKNOWLEDGED", "warnSeconds": 300, "alertSeconds": 400}]
        clocks = Clocks(make_alert(agency=DISTRICT), make_router(tmp_path, {CITY: {"alertPolicy": {"limits": limits}}}))
        clocks.run(61)
        take(clocks.alert, BAYU, 65)
        assert clocks.find(LIMIT) == [(LIMIT, "", 365)]


class TestTheRollCall:
    @pytest.fixture
    def clocks(self, clocks: Clocks) -> Clocks:
        take(clocks.alert)
        send(clocks.alert)
        return clocks

    def call(self, clocks: Clocks, second: int) -> list[Happened]:
        return [each for each in clocks.run(second) if not each.what.startswith(OVERDUE)]

    def test_begins_at_the_scene(self, clocks: Clocks) -> None:
        assert clocks.find(ROLL_CALL) == []
        arrive(clocks.alert, 100)
        assert clocks.find(ROLL_CALL) == [(ROLL_CALL, "0", 160)]

    def test_a_crew_is_asked_asked_again_and_has_missed_it_and_two_raise_one_mayday(self, clocks: Clocks) -> None:
        arrive(clocks.alert, 100)
        happened = self.call(clocks, 820)
        calls = ["DUE", "DUE", "MISSED", "DUE", "DUE", "MAYDAY", "DUE", "DUE", "MISSED", "DUE", "DUE", "MISSED"]
        assert happened == [Happened(100 + 60 * number, what, "units/one") for number, what in enumerate(calls, 1)]
        assert (clocks.alert.assignments[0].missed_roll_calls, clocks.alert.assignments[0].mayday) == (4, True)

    def test_an_answer_begins_it_anew_and_is_no_news_to_the_caller(self, clocks: Clocks) -> None:
        arrive(clocks.alert, 100)
        self.call(clocks, 470)
        assert clocks.alert.assignments[0].mayday
        before = clocks.alert.caller_revision
        assert arrive(clocks.alert, 475)
        assert clocks.alert.caller_revision == before
        assert not clocks.alert.assignments[0].mayday
        assert clocks.find(ROLL_CALL) == [(ROLL_CALL, "0", 535)]
        assert [each.what for each in self.call(clocks, 475 + 360)] == ["DUE", "DUE", "MISSED", "DUE", "DUE", "MAYDAY"]

    def test_an_answer_that_nobody_asked_for_changes_nothing(self, clocks: Clocks) -> None:
        arrive(clocks.alert, 100)
        revision = clocks.alert.revision
        assert not arrive(clocks.alert, 130)
        assert (clocks.alert.revision, clocks.find(ROLL_CALL)) == (revision, [(ROLL_CALL, "0", 160)])

    def test_a_call_that_comes_late_leaves_the_crew_its_time_to_answer(self, clocks: Clocks) -> None:
        arrive(clocks.alert, 100)
        assert [each for each in clocks.run(700, late=True) if each.whom == "units/one"] == [Happened(700, "DUE", "units/one")]
        assert clocks.find(ROLL_CALL) == [(ROLL_CALL, "0", 760)]

    @pytest.mark.parametrize("ends", [Status.DONE, None], ids=["the unit is done", "the alert is closed"])
    def test_ends_with_the_work_and_so_does_a_mayday(self, clocks: Clocks, ends: Status | None) -> None:
        arrive(clocks.alert, 100)
        self.call(clocks, 470)
        if ends:
            clocks.alert.update_assignment("units/one", ends, "", after(seconds=480))
        else:
            clocks.alert.resolve(HELPED, RINA, after(seconds=480))
        assert (clocks.find(ROLL_CALL), clocks.alert.assignments[0].mayday) == ([], False)

    @pytest.mark.parametrize(("seconds", "due"), [(0, []), (20, [(ROLL_CALL, "0", 120)])])
    def test_its_policy_is_that_of_the_units_agency(self, tmp_path: Path, seconds: int, due: list[Any]) -> None:
        clocks = Clocks(make_alert(), make_router(tmp_path, {FIRE: {"alertPolicy": {"rollCallSeconds": seconds}}}))
        take(clocks.alert)
        ask(clocks.alert, FIRE)
        clocks.alert.accept_request("cahya", CAHYA, after(seconds=40))
        send(clocks.alert, CAHYA, 50)
        arrive(clocks.alert, 100)
        assert clocks.find(ROLL_CALL) == due


OPERATIONS: list[Callable[[Alert, Viewer, datetime], object]] = [
    lambda alert, by, now: alert.confirm_receipt(by, now),
    lambda alert, by, now: alert.acknowledge(by.user, by, now),
    lambda alert, by, now: alert.assign("somebody", by, now),
    lambda alert, by, now: alert.release(by, now),
    lambda alert, by, now: alert.request_agency(CITY, "", by, now, hand_over=False),
    lambda alert, by, now: alert.request_agency(CITY, "", by, now, hand_over=True),
    lambda alert, by, now: alert.accept_request(by.user, by, now),
    lambda alert, by, now: alert.reject_request("no", by, now),
    lambda alert, _, now: alert.cancel(now),
    lambda alert, by, now: alert.resolve(HELPED, by, now),
]
REFUSALS = (AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant, NotRequested)


@pytest.fixture(scope="module")
def shared_router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    return make_router(tmp_path_factory.mktemp("kept"), {})


@examples(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.sampled_from([AGUS, BAYU, RINA, SARI, CITRA, DEWI]), st.integers(0, 90)), max_size=12
    )
)
def test_whatever_is_done_an_open_alert_is_held_by_somebody_or_somebody_is_called(
    shared_router: Router, course: list[tuple[Callable[[Alert, Viewer, datetime], object], Viewer, int]]
) -> None:
    clocks = Clocks(make_alert(agency=DISTRICT), shared_router)
    second = 0
    for operation, by, passed in course:
        second += passed
        clocks.run(second)
        try:
            operation(clocks.alert, by, after(seconds=second))
        except REFUSALS:
            continue
        found = [(kind, subject) for kind, subject, _ in clocks.find()]
        assert len(found) == len(set(found)), "a timer for each"
        lead = clocks.alert.parts.lead
        if clocks.alert.close_time:
            assert found == []
        elif not lead.claimant:
            assert (ANSWER, lead.agency) in found
            assert min(due for kind, _, due in clocks.find() if kind == ANSWER) <= second + 60
