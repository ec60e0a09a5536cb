"""Units and what they are sent to: when one can be sent, how far it comes, and what that makes of the alert."""

from datetime import timedelta
from typing import Any

import pytest
from crews import CHIEF, MAX_AGE, OKA, POLICE, accept, ask, make_unit, move_on, offer, part_of, send, take
from moments import BUDI, RINA, ROOM, SARI, START, after, make_alert

from alerts.errors import (
    AlertClosed,
    InvalidTransition,
    NotAcknowledged,
    NotClaimant,
    UnitBusy,
    UnitChanged,
    UnitNotFound,
    UnitOffDuty,
    UnitPositionOld,
)
from alerts.model.alerts import Alert
from alerts.model.enums import Duty, ResponseState, State, Status, View
from alerts.model.units import Assignment, Report, Unit
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2

HELPED = alert_pb2.Alert.HELPED
ASSIGNED, ACCEPTED, EN_ROUTE = Status.ASSIGNED, Status.ACCEPTED, Status.EN_ROUTE
ON_SCENE, DONE, DECLINED = Status.ON_SCENE, Status.DONE, Status.DECLINED
# How a unit comes to each status, and where it may go from there.
WAYS: dict[Status, list[Status]] = {
    ASSIGNED: [],
    ACCEPTED: [ACCEPTED],
    EN_ROUTE: [EN_ROUTE],
    ON_SCENE: [ON_SCENE],
    DONE: [DONE],
    DECLINED: [DECLINED],
}
ONWARD: dict[Status, set[Status]] = {
    ASSIGNED: {ACCEPTED, EN_ROUTE, ON_SCENE, DONE, DECLINED},
    ACCEPTED: {EN_ROUTE, ON_SCENE, DONE, DECLINED},
    EN_ROUTE: {ON_SCENE, DONE, DECLINED},
    ON_SCENE: {DONE},
    DONE: set(),
    DECLINED: set(),
}


def sent(*statuses: Status) -> Alert:
    return move_on(send(take(make_alert()), make_unit(), now=after(seconds=1)), "amb-1", *statuses, now=after(seconds=2))


def only(alert: Alert) -> Assignment:
    assert len(alert.assignments) == 1
    return alert.assignments[0]


class TestAUnit:
    def test_its_version_changes_with_everything_but_its_position(self) -> None:
        unit = make_unit(duty=Duty.OFF_DUTY)
        seen = [unit.etag]
        unit.set_duty(Duty.ON_DUTY, after(seconds=1))
        seen.append(unit.etag)
        unit.work_for("alerts/1", after(seconds=1))
        seen.append(unit.etag)
        unit.finish("alerts/1", after(seconds=1))
        seen.append(unit.etag)
        assert len(set(seen)) == 4
        unit.move(Report(unit.name, -6.2, 106.8, None, after(seconds=9)))
        assert unit.etag == seen[-1]
        unit.require_etag(seen[-1])
        unit.require_etag("")
        with pytest.raises(UnitChanged):
            unit.require_etag(seen[0])

    def test_its_duty_begins_and_ends_once(self) -> None:
        unit = make_unit(duty=Duty.OFF_DUTY)
        assert unit.set_duty(Duty.ON_DUTY, after(seconds=1))
        assert not unit.set_duty(Duty.ON_DUTY, after(seconds=2))
        assert unit.duty_time == after(seconds=1)
        assert unit.set_duty(Duty.OFF_DUTY, after(seconds=3))

    def test_one_at_work_finishes_first(self) -> None:
        unit = make_unit(alert="alerts/1")
        with pytest.raises(UnitBusy) as refused:
            unit.set_duty(Duty.OFF_DUTY, START)
        assert refused.value.metadata == {"unit": "units/amb-1"}
        unit.finish("alerts/of another one", START)
        assert unit.alert == "alerts/1"
        unit.finish("alerts/1", START)
        assert unit.set_duty(Duty.OFF_DUTY, START)

    def test_the_newest_position_counts(self) -> None:
        unit = make_unit()
        assert unit.move(Report(unit.name, -6.2, 106.8, 8.0, after(seconds=5)))
        for late in (5, 4):
            assert not unit.move(Report(unit.name, -7.0, 110.0, None, after(seconds=late)))
        assert (unit.latitude, unit.longitude, unit.accuracy_meters, unit.fix_time) == (-6.2, 106.8, 8.0, after(seconds=5))

    def test_its_distance_is_along_a_great_circle(self) -> None:
        unit = make_unit(latitude=-6.2, longitude=106.8)
        assert unit.measure_distance((-6.2, 106.9)) == pytest.approx(11_055, rel=0.001)
        assert unit.measure_distance(None) is None
        assert make_unit().measure_distance((-6.2, 106.9)) is None


class TestSending:
    def test_units_are_at_work_for_it_and_the_caller_learns_it(self) -> None:
        alert, units = take(make_alert()), [make_unit("amb-1"), make_unit("amb-2", ROOM, "wati")]
        made = alert.dispatch(units, RINA, after(seconds=40), MAX_AGE)
        assert [(each.unit, each.number, each.status, each.crew, each.dispatch_time) for each in made] == [
            ("units/amb-1", 0, ASSIGNED, ["tono"], after(seconds=40)),
            ("units/amb-2", 1, ASSIGNED, ["wati"], after(seconds=40)),
        ]
        assert {each.alert for each in units} == {alert.name}
        assert (alert.state, alert.caller_state, alert.dispatch_time) == (State.DISPATCHED, State.DISPATCHED, after(seconds=40))
        assert not wire.to_message(alert, View.CALLER).assignments

    @pytest.mark.parametrize(
        ("columns", "refusal", "metadata"),
        [
            ({"duty": Duty.OFF_DUTY}, UnitOffDuty, {}),
            ({"alert": "alerts/another"}, UnitBusy, {}),
            ({"fix_time": START - MAX_AGE - timedelta(seconds=1)}, UnitPositionOld, {"seconds": "301"}),
        ],
    )
    def test_all_of_them_or_none(self, columns: dict[str, Any], refusal: type[Any], metadata: dict[str, str]) -> None:
        alert, ready = take(make_alert()), make_unit("amb-2")
        revision = alert.revision
        with pytest.raises(refusal) as refused:
            alert.dispatch([ready, make_unit(**columns)], RINA, START, MAX_AGE)
        assert refused.value.metadata == {"unit": "units/amb-1", **metadata}
        assert (ready.alert, alert.assignments, alert.revision, alert.dispatch_time) == ("", [], revision, None)

    @pytest.mark.parametrize(("age", "max_age"), [(MAX_AGE, MAX_AGE), (timedelta(days=3), None), (None, MAX_AGE)])
    def test_a_position_is_old_only_where_it_is_known_and_matters(self, age: timedelta | None, max_age: timedelta | None) -> None:
        unit = make_unit(fix_time=None if age is None else START - age)
        assert take(make_alert()).dispatch([unit], RINA, START, max_age)

    def test_one_that_is_at_work_for_it_is_not_sent_again(self) -> None:
        alert, first, second = take(make_alert()), make_unit("amb-1"), make_unit("amb-2")
        send(alert, first)
        revision = alert.revision
        assert alert.dispatch([first], RINA, START, MAX_AGE) == []
        assert alert.revision == revision
        assert [each.unit for each in alert.dispatch([first, second], RINA, START, MAX_AGE)] == ["units/amb-2"]

    def test_one_whose_work_has_ended_is_sent_again(self) -> None:
        alert, unit = take(make_alert()), make_unit()
        move_on(send(alert, unit), "amb-1", DECLINED)
        unit.finish(alert.name, START)
        send(alert, unit)
        assert [(each.number, each.status) for each in alert.assignments] == [(0, DECLINED), (1, ASSIGNED)]
        move_on(alert, "amb-1", EN_ROUTE)
        assert [each.status for each in alert.assignments] == [DECLINED, EN_ROUTE]

    def test_each_agency_that_helps_sends_its_own(self) -> None:
        alert = accept(ask(send(take(make_alert()), make_unit())))
        send(alert, make_unit("car-1", POLICE), by=OKA)
        assert [(each.unit, each.agency, each.crew) for each in alert.assignments] == [
            ("units/amb-1", ROOM, ["tono"]),
            ("units/car-1", POLICE, ["joko"]),
        ]

    @pytest.mark.parametrize(("by", "refusal"), [(BUDI, NotClaimant), (OKA, NotAcknowledged), (CHIEF, NotAcknowledged)])
    def test_only_who_holds_the_agencys_part_sends(self, by: Viewer, refusal: type[Exception]) -> None:
        alert = ask(take(make_alert()))
        with pytest.raises(refusal):
            alert.dispatch([make_unit()], by, START, MAX_AGE)
        assert alert.dispatch([make_unit()], SARI, START, MAX_AGE)

    def test_whether_one_may_is_asked_before_the_units_are_looked_at(self) -> None:
        alert, away = take(make_alert()), make_unit(duty=Duty.OFF_DUTY)
        with pytest.raises(NotClaimant):
            alert.dispatch([away], BUDI, START, MAX_AGE)
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            alert.dispatch([away], RINA, START, MAX_AGE)


class TestHowFarAUnitComes:
    @pytest.mark.parametrize("target", Status)
    @pytest.mark.parametrize("present", Status)
    def test_only_onward_and_declined_before_it_is_there(self, present: Status, target: Status) -> None:
        alert = sent(*WAYS[present])
        assignment, revision = only(alert), alert.revision
        assert assignment.status == present
        if target in ONWARD[present]:
            assert alert.update_assignment("units/amb-1", target, "", after(seconds=9))
            assert assignment.status == target
        elif target == present:
            assert not alert.update_assignment("units/amb-1", target, "", after(seconds=9))
            assert alert.revision == revision
        else:
            with pytest.raises(InvalidTransition) as refused:
                alert.update_assignment("units/amb-1", target, "", after(seconds=9))
            assert refused.value.metadata == {"status": present.name}
            assert (assignment.status, alert.revision) == (present, revision)

    def test_every_step_has_its_time(self) -> None:
        alert = sent()
        for seconds, status in enumerate((ACCEPTED, EN_ROUTE, ON_SCENE, DONE), 10):
            alert.update_assignment("units/amb-1", status, "", after(seconds=seconds))
        times = [getattr(only(alert), f"{each}_time") for each in ("dispatch", "accept", "en_route", "arrive", "end")]
        assert times == [after(seconds=each) for each in (1, 10, 11, 12, 13)]
        assert alert.arrive_time == after(seconds=12)

    def test_who_leaves_at_once_has_accepted_it_by_that(self) -> None:
        assignment = only(sent(EN_ROUTE))
        assert (assignment.accept_time, assignment.en_route_time) == (after(seconds=2), after(seconds=2))
        assert only(sent(DECLINED)).accept_time is None

    def test_why_it_is_declined_is_kept_and_nothing_else(self) -> None:
        alert = sent()
        alert.update_assignment("units/amb-1", ACCEPTED, "chatter", START)
        assert only(alert).reason == ""
        alert.update_assignment("units/amb-1", DECLINED, "flat tyre", START)
        assert only(alert).reason == "flat tyre"

    def test_of_a_unit_that_was_not_sent_nothing_is_said(self) -> None:
        with pytest.raises(UnitNotFound) as refused:
            sent().update_assignment("units/amb-9", ACCEPTED, "", START)
        assert refused.value.metadata == {"unit": "units/amb-9"}

    def test_after_the_close_only_what_it_knows_already(self) -> None:
        alert = sent(ON_SCENE)
        alert.resolve(HELPED, RINA, START)
        assert not alert.update_assignment("units/amb-1", DONE, "", START)
        with pytest.raises(AlertClosed):
            alert.update_assignment("units/amb-1", ON_SCENE, "", START)


class TestWhatItMakesOfTheAlert:
    @pytest.mark.parametrize(
        ("statuses", "state", "shown"),
        [
            ([ACCEPTED], State.DISPATCHED, State.DISPATCHED),
            ([EN_ROUTE], State.DISPATCHED, State.DISPATCHED),
            ([ON_SCENE], State.ON_SCENE, State.ON_SCENE),
            # Somebody was there: who holds it still deals with it.
            ([ON_SCENE, DONE], State.ON_SCENE, State.ON_SCENE),
            ([DONE], State.ACKNOWLEDGED, State.DISPATCHED),
            ([EN_ROUTE, DECLINED], State.ACKNOWLEDGED, State.DISPATCHED),
        ],
    )
    def test_the_state_follows_for_the_agency_and_never_goes_back_for_the_caller(
        self, statuses: list[Status], state: State, shown: State
    ) -> None:
        alert = sent(*statuses)
        assert (alert.state, alert.caller_state) == (state, shown)

    @pytest.mark.parametrize(
        ("first", "second", "state"),
        [
            ([DECLINED], [], State.DISPATCHED),
            ([DECLINED], [DECLINED], State.ACKNOWLEDGED),
            ([ON_SCENE], [], State.ON_SCENE),
            ([ON_SCENE, DONE], [], State.DISPATCHED),
            ([ON_SCENE, DONE], [DECLINED], State.ON_SCENE),
        ],
    )
    def test_with_two_units_the_one_that_is_furthest_counts(self, first: list[Status], second: list[Status], state: State) -> None:
        alert = send(take(make_alert()), make_unit("amb-1"), make_unit("amb-2"))
        move_on(move_on(alert, "amb-1", *first), "amb-2", *second)
        assert alert.state == state

    def test_given_back_while_a_unit_is_on_its_way_it_is_on_its_way_still(self) -> None:
        alert = sent(EN_ROUTE)
        alert.release(RINA, START)
        assert (alert.state, part_of(alert, ROOM).state) == (State.DISPATCHED, ResponseState.REQUESTED)
        move_on(alert, "amb-1", DECLINED)
        assert (alert.state, alert.caller_state) == (State.RAISED, State.DISPATCHED)

    def test_the_caller_is_told_how_far_the_help_is_and_no_more(self) -> None:
        alert = sent()
        told: list[Status] = []
        for status in (ACCEPTED, EN_ROUTE, ON_SCENE, ON_SCENE, DONE):
            before = wire.to_message(alert, View.CALLER)
            move_on(alert, "amb-1", status, now=after(seconds=5))
            if wire.to_message(alert, View.CALLER) != before:
                told.append(status)
        # That it is on the way they know since it was sent.
        assert told == [ON_SCENE]

    @pytest.mark.parametrize(("raised", "cancelled"), [({"silent": True}, False), ({}, True)])
    def test_a_caller_who_is_shown_nothing_learns_of_no_unit(self, raised: dict[str, Any], *, cancelled: bool) -> None:
        alert = take(make_alert(**raised))
        if cancelled:
            alert.cancel(START)
        shown = wire.to_message(alert, View.CALLER)
        move_on(send(alert, make_unit()), "amb-1", EN_ROUTE, ON_SCENE, DONE)
        assert wire.to_message(alert, View.CALLER) == shown

    def test_the_close_ends_every_units_work(self) -> None:
        alert, units = take(make_alert()), [make_unit("amb-1"), make_unit("amb-2"), make_unit("amb-3")]
        send(alert, *units)
        move_on(move_on(alert, "amb-2", ON_SCENE), "amb-3", DECLINED)
        assert alert.at_work == {"units/amb-1", "units/amb-2"}
        alert.resolve(HELPED, RINA, after(minutes=9))
        assert [each.status for each in alert.assignments] == [DONE, DONE, DECLINED]
        assert [each.end_time for each in alert.assignments[:2]] == [after(minutes=9)] * 2
        assert (alert.at_work, alert.state) == (set(), State.RESOLVED)


class TestTheRoll:
    def test_the_same_status_again_answers_it(self) -> None:
        alert = sent(ON_SCENE)
        for _ in range(6):
            alert.call_roll(0, after(minutes=1))
        assert only(alert).mayday
        assert alert.update_assignment("units/amb-1", ON_SCENE, "", after(minutes=9))
        assert (only(alert).missed_roll_calls, only(alert).mayday, only(alert).roll_time) == (0, False, after(minutes=9))


def test_a_hand_over_leaves_units_to_those_who_sent_them() -> None:
    unit: Unit = make_unit()
    alert = accept(offer(send(take(make_alert()), unit)))
    assert (only(alert).agency, unit.alert, alert.state) == (ROOM, alert.name, State.DISPATCHED)
    move_on(alert, "amb-1", ON_SCENE)
    alert.dispatch([make_unit("amb-2")], RINA, START, MAX_AGE)
