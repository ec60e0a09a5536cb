"""What holds of an alert whatever is done with it, by whom and in which order."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from crews import CHIEF, FIRE, OKA, POLICE, make_unit
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from moments import BUDI, DEWI, RINA, ROOM, SARI, after, make_alert, make_position

from alerts.model.alerts import Alert
from alerts.model.enums import Kind, Part, ResponseState, Routing, State, Status, View
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from chassis.errors import Problem
from siaga.alerts.v1 import alert_pb2

HELPED = alert_pb2.Alert.HELPED
TARGET = {"target_latitude": -6.9, "target_longitude": 107.6, "target_address": "Jalan Braga 1"}
# What an alert is offered as an agency of, and what a unit is said to have come to.
AGENCIES, UNITS = [ROOM, POLICE, FIRE], ["amb-1", "amb-2"]
STATUSES = [each for each in Status if each is not Status.ASSIGNED]


def track(alert: Alert, now: datetime) -> None:
    alert.require_trackable(now)
    alert.track(make_position(alert, now), now)
    alert.touch(now, shown=True)


def update(alert: Alert, by: Viewer, now: datetime) -> None:
    alert.update({"kind": list(Kind)[now.second % 7], **TARGET, "callback_phone": f"{now.second}"}, "", by, now)


def send(alert: Alert, by: Viewer, now: datetime) -> None:
    unit = UNITS[now.second % 2]
    alert.dispatch([make_unit(unit, by.agency)], by, now, None)


def move_on(alert: Alert, now: datetime) -> None:
    alert.update_assignment(f"units/{UNITS[now.second % 2]}", STATUSES[now.microsecond % 5], "", now)


def call_roll(alert: Alert, now: datetime) -> None:
    if alert.assignments and alert.assignments[-1].status == Status.ON_SCENE:
        alert.call_roll(len(alert.assignments) - 1, now)


def escalate(alert: Alert, agency: str, now: datetime) -> None:
    if any(each.agency == agency for each in alert.parts.find_awaited()):
        alert.escalate(agency, FIRE, now)


def reroute(alert: Alert, now: datetime) -> None:
    alert.require_open()
    alert.reroute("areas/32", Routing.NEAREST, AGENCIES[now.second % 3], now)


OPERATIONS: dict[str, Callable[[Alert, Viewer, datetime], object]] = {
    "confirm_receipt": lambda alert, by, now: alert.confirm_receipt(by, now),
    "acknowledge": lambda alert, by, now: alert.acknowledge(by.user, by, now),
    "assign": lambda alert, by, now: by.supervises and alert.assign("budi", by, now),
    "release": lambda alert, by, now: alert.release(by, now),
    "request": lambda alert, by, now: alert.request_agency(AGENCIES[now.second % 3], "help", by, now, hand_over=False),
    "hand_over": lambda alert, by, now: alert.request_agency(AGENCIES[now.second % 3], "yours", by, now, hand_over=True),
    "accept": lambda alert, by, now: alert.accept_request(by.user, by, now),
    "reject": lambda alert, by, now: alert.reject_request("no", by, now),
    "update": update,
    "reroute": lambda alert, _, now: reroute(alert, now),
    "dispatch": send,
    "move_on": lambda alert, _, now: move_on(alert, now),
    "escalate": lambda alert, by, now: escalate(alert, by.agency, now),
    "pass_limit": lambda alert, _, now: alert.pass_limit(now),
    "call_roll": lambda alert, _, now: call_roll(alert, now),
    "resolve": lambda alert, by, now: alert.resolve(HELPED, by, now),
    "add_note": lambda alert, _, now: alert.touch(now, shown=False),
    "cancel": lambda alert, _, now: alert.cancel(now),
    "track": lambda alert, _, now: track(alert, now),
}
Course = list[tuple[str, Viewer, float]]
RANK = {State.RAISED: 0, State.ACKNOWLEDGED: 1, State.DISPATCHED: 2, State.ON_SCENE: 3, State.RESOLVED: 4, State.CANCELLED: 4}
# A change that waited for its turn, or came through a replica whose clock is behind, is older than the one before it.
moments = st.builds(lambda seconds, micros: seconds + micros / 1e6, st.integers(0, 5), st.integers(0, 4))
steps = st.tuples(st.sampled_from(list(OPERATIONS)), st.sampled_from([RINA, BUDI, SARI, OKA, CHIEF]), moments)
# Most courses get nowhere where nobody takes the alert, so that these begin with it.
courses = st.builds(
    lambda taken, course: [*taken, *course], st.sampled_from([[], [("acknowledge", RINA, 1.0)]]), st.lists(steps, max_size=16)
)


def operate(alert: Alert, operation: str, by: Viewer, seconds: float) -> None:
    """One operation of the service; what the rules refuse is refused."""
    with suppress(Problem):
        OPERATIONS[operation](alert, by, after(seconds=seconds))


class TestWhatTheCallersSideIsShown:
    @examples(deadline=None)
    @given(courses, st.booleans())
    def test_it_never_goes_back(self, course: Course, silent: bool) -> None:  # noqa: FBT001  # hypothesis
        alert = make_alert(silent=silent)
        shown = wire.to_message(alert, View.CALLER)
        for step in course:
            operate(alert, *step)
            now_shown = wire.to_message(alert, View.CALLER)
            before, now = State(shown.state), State(now_shown.state)
            assert RANK[before] <= RANK[now]
            assert RANK[before] < 4 or before == now
            assert shown.revision <= now_shown.revision
            assert shown.update_time.ToDatetime(UTC) <= now_shown.update_time.ToDatetime(UTC)
            for field in ("deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "close_time"):
                assert not shown.HasField(field) or getattr(shown, field) == getattr(now_shown, field)
            assert not (now_shown.responses or now_shown.assignments or now_shown.cancel_claim or now_shown.escalation_level)
            shown = now_shown

    @examples(deadline=None)
    @given(courses, courses)
    def test_after_a_cancel_nothing_changes_but_by_tracking(self, course: Course, further: Course) -> None:
        alert = make_alert()
        for step in course:
            operate(alert, *step)
        operate(alert, "cancel", DEWI, 3)
        for step in further:
            shown = wire.to_message(alert, View.CALLER)
            operate(alert, *step)
            if alert.cancel_time and step[0] != "track":
                assert wire.to_message(alert, View.CALLER) == shown

    @examples(deadline=None)
    @given(courses)
    def test_of_a_silent_alert_nothing_changes_but_by_cancel_and_tracking(self, course: Course) -> None:
        alert = make_alert(silent=True)
        for step in course:
            shown = wire.to_message(alert, View.CALLER)
            operate(alert, *step)
            if step[0] not in {"cancel", "track"}:
                assert wire.to_message(alert, View.CALLER) == shown

    @examples(deadline=None)
    @given(courses, st.booleans())
    def test_its_revision_counts_what_is_shown(self, course: Course, silent: bool) -> None:  # noqa: FBT001
        alert = make_alert(silent=silent)
        for step in course:
            shown = wire.to_message(alert, View.CALLER)
            operate(alert, *step)
            now_shown = wire.to_message(alert, View.CALLER)
            assert (shown == now_shown) == (shown.revision == now_shown.revision) == (shown.etag == now_shown.etag)


class TestWhatTheAgenciesSee:
    @examples(deadline=None)
    @given(courses)
    def test_one_agency_leads_whatever_happens(self, course: Course) -> None:
        alert = make_alert()
        for step in course:
            operate(alert, *step)
            leads = [each for each in alert.responses if each.part == Part.LEAD]
            assert [each.agency for each in leads] == [alert.agency]
            assert leads[0].is_live
            assert len({each.agency for each in alert.responses}) == len(alert.responses)

    @examples(deadline=None)
    @given(courses)
    def test_whoever_holds_a_part_has_accepted_it_and_nobody_else(self, course: Course) -> None:
        alert = make_alert()
        for step in course:
            operate(alert, *step)
            for each in alert.responses:
                assert bool(each.claimant) == bool(each.operator) == bool(each.accept_time)
                assert each.state != ResponseState.ACCEPTED or each.claimant
                assert not each.claimant or each.state in {ResponseState.ACCEPTED, ResponseState.DONE}

    @examples(deadline=None)
    @given(courses)
    def test_who_looks_after_units_at_work_sees_where(self, course: Course) -> None:
        alert = make_alert()
        for step in course:
            operate(alert, *step)
            for each in alert.assignments:
                part = alert.parts.find(each.agency)
                assert not each.is_active or (part and part.is_live)

    @examples(deadline=None)
    @given(courses)
    def test_every_change_is_a_new_version_later_than_the_one_before(self, course: Course) -> None:
        alert = make_alert()
        for step in course:
            seen = wire.to_message(alert, View.AGENCY)
            operate(alert, *step)
            now_seen = wire.to_message(alert, View.AGENCY)
            assert (seen == now_seen) == (seen.revision == now_seen.revision) == (seen.etag == now_seen.etag)
            assert seen == now_seen or seen.update_time.ToNanoseconds() < now_seen.update_time.ToNanoseconds()
