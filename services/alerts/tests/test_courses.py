"""What holds of an alert whatever is done with it, by whom and in which order."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from moments import BUDI, DEWI, RINA, SARI, after, make_alert, make_position

from alerts.errors import AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant
from alerts.model.alerts import Alert
from alerts.model.enums import State, View
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2

HELPED = alert_pb2.Alert.HELPED


def operate(alert: Alert, operation: str, by: Viewer, now: datetime) -> None:
    """One operation of the service; what the rules refuse is refused."""
    operations: dict[str, Callable[[], object]] = {
        "confirm_receipt": lambda: alert.confirm_receipt(now),
        "acknowledge": lambda: alert.acknowledge(by.user, by, now),
        "release": lambda: alert.release(by, now),
        "resolve": lambda: alert.resolve(HELPED, by, now),
        "add_note": lambda: alert.touch(now, shown=False),
        "cancel": lambda: alert.cancel(now),
    }
    try:
        if operation == "track":
            alert.require_trackable(now)
            alert.track(make_position(alert, now), now)
            alert.touch(now, shown=True)
        else:
            operations[operation]()
    except (AlreadyAcknowledged, NotAcknowledged, NotClaimant, AlertClosed):
        pass


OPERATIONS = ["confirm_receipt", "acknowledge", "release", "resolve", "add_note", "cancel", "track"]
RANK = {State.RAISED: 0, State.ACKNOWLEDGED: 1, State.RESOLVED: 2, State.CANCELLED: 2}
# A change that waited for its turn, or came through a replica whose clock is behind, is older than the one before it.
courses = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.sampled_from([RINA, BUDI, SARI]), st.integers(0, 5)), max_size=12)


class TestWhatTheCallersSideIsShown:
    @examples(deadline=None)
    @given(courses, st.booleans())
    def test_it_never_goes_back(self, course: list[tuple[str, Viewer, int]], silent: bool) -> None:  # noqa: FBT001  # hypothesis
        alert = make_alert(silent=silent)
        shown = wire.to_message(alert, View.CALLER)
        for operation, by, seconds in course:
            operate(alert, operation, by, after(seconds=seconds))
            now_shown = wire.to_message(alert, View.CALLER)
            before, now = State(shown.state), State(now_shown.state)
            assert RANK[before] <= RANK[now]
            assert RANK[before] < 2 or before == now
            assert shown.revision <= now_shown.revision
            assert shown.update_time.ToDatetime(UTC) <= now_shown.update_time.ToDatetime(UTC)
            for field in ("deliver_time", "acknowledge_time", "close_time"):
                assert not shown.HasField(field) or getattr(shown, field) == getattr(now_shown, field)
            shown = now_shown

    @examples(deadline=None)
    @given(courses, courses)
    def test_after_a_cancel_nothing_changes_but_by_tracking(
        self, course: list[tuple[str, Viewer, int]], further: list[tuple[str, Viewer, int]]
    ) -> None:
        alert = make_alert()
        for operation, by, seconds in course:
            operate(alert, operation, by, after(seconds=seconds))
        operate(alert, "cancel", DEWI, after(seconds=3))
        for operation, by, seconds in further:
            shown = wire.to_message(alert, View.CALLER)
            operate(alert, operation, by, after(seconds=seconds))
            if alert.cancel_time and operation != "track":
                assert wire.to_message(alert, View.CALLER) == shown

    @examples(deadline=None)
    @given(courses)
    def test_of_a_silent_alert_nothing_changes_but_by_cancel_and_tracking(self, course: list[tuple[str, Viewer, int]]) -> None:
        alert = make_alert(silent=True)
        for operation, by, seconds in course:
            shown = wire.to_message(alert, View.CALLER)
            operate(alert, operation, by, after(seconds=seconds))
            if operation not in {"cancel", "track"}:
                assert wire.to_message(alert, View.CALLER) == shown

    @examples(deadline=None)
    @given(courses, st.booleans())
    def test_its_revision_counts_what_is_shown(self, course: list[tuple[str, Viewer, int]], silent: bool) -> None:  # noqa: FBT001
        alert = make_alert(silent=silent)
        for operation, by, seconds in course:
            shown = wire.to_message(alert, View.CALLER)
            operate(alert, operation, by, after(seconds=seconds))
            now_shown = wire.to_message(alert, View.CALLER)
            assert (shown == now_shown) == (shown.revision == now_shown.revision) == (shown.etag == now_shown.etag)
