"""The rules of an alert, with a clock that the test holds."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from moments import BUDI, CITRA, DEWI, HOLDER, NOBODY, RINA, ROOM, SARI, START, TOKEN_HASH, after, make_alert, make_position

from alerts.errors import AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant
from alerts.model.alerts import Alert
from alerts.model.callers import are_too_alike
from alerts.model.enums import Audience, CancelClaim, ResponseState, State, View
from alerts.model.viewers import Viewer
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import TrackAlertRequest

SYSTEM = Viewer(user="room-system", agency=ROOM, supervises=False, token_hash=b"")
HELPED, PRANK = alert_pb2.Alert.HELPED, alert_pb2.Alert.PRANK
LOCATION = {"point": {"latitude": -6.1, "longitude": 106.7}, "fixTime": "2026-03-01T12:00:00Z"}


def take(alert: Alert, by: Viewer = RINA, now: datetime = START) -> Alert:
    alert.acknowledge(by.user, by, now)
    return alert


class TestAcknowledging:
    def test_the_first_one_has_it(self) -> None:
        alert = make_alert(kind="FIRE")
        assert alert.acknowledge("Rina", RINA, after(seconds=5))
        assert (alert.state, alert.caller_state, alert.acknowledge_time) == (State.ACKNOWLEDGED, State.ACKNOWLEDGED, after(seconds=5))
        lead = alert.parts.lead
        assert (lead.operator, lead.claimant, lead.state, lead.accept_time) == ("Rina", "rina", ResponseState.ACCEPTED, after(seconds=5))

    def test_the_same_one_again_changes_nothing(self) -> None:
        alert = take(make_alert())
        before = (alert.revision, alert.caller_revision, alert.update_time)
        assert not alert.acknowledge("rina", RINA, after(minutes=1))
        assert (alert.revision, alert.caller_revision, alert.update_time) == before

    def test_the_second_one_is_told_who_has_it(self) -> None:
        alert = take(make_alert())
        with pytest.raises(AlreadyAcknowledged) as refused:
            take(alert, BUDI)
        assert refused.value.metadata == {"operator": "rina", "agency": ROOM}

    def test_a_system_that_acts_for_another_person_is_a_second_one(self) -> None:
        alert = make_alert()
        alert.acknowledge("Rina", SYSTEM, START)
        with pytest.raises(AlreadyAcknowledged):
            alert.acknowledge("Budi", SYSTEM, START)

    def test_a_person_of_the_same_name_in_another_system_is_a_second_one(self) -> None:
        alert = make_alert()
        alert.acknowledge("Rina", SYSTEM, START)
        with pytest.raises(AlreadyAcknowledged):
            alert.acknowledge("Rina", replace(SYSTEM, user="other-system"), START)

    def test_a_closed_alert_is_not_taken(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            take(alert, BUDI)

    def test_after_a_release_another_one_may_and_the_first_time_stays(self) -> None:
        alert = take(make_alert(), now=after(seconds=5))
        alert.release(RINA, after(seconds=10))
        take(alert, BUDI, after(seconds=20))
        assert alert.parts.lead.claimant == "budi"
        assert alert.acknowledge_time == after(seconds=5)
        assert alert.parts.lead.accept_time == after(seconds=20)


class TestReleasing:
    def test_the_room_has_it_again_and_the_caller_is_not_told(self) -> None:
        alert = take(make_alert())
        shown = wire.to_message(alert, View.CALLER)
        alert.release(RINA, after(seconds=9))
        assert (alert.state, alert.parts.lead.claimant, alert.parts.lead.operator) == (State.RAISED, "", "")
        assert (alert.parts.lead.state, alert.parts.lead.accept_time) == (ResponseState.REQUESTED, None)
        assert wire.to_message(alert, View.CALLER) == shown

    def test_nobody_gives_back_what_nobody_has(self) -> None:
        with pytest.raises(NotAcknowledged):
            make_alert().release(RINA, START)

    def test_another_one_may_not(self) -> None:
        with pytest.raises(NotClaimant):
            take(make_alert()).release(BUDI, START)

    def test_the_agencys_supervisor_may(self) -> None:
        alert = take(make_alert())
        alert.release(SARI, START)
        assert alert.parts.lead.claimant == ""

    def test_a_supervisor_of_another_agency_may_not(self) -> None:
        with pytest.raises(NotClaimant):
            take(make_alert()).release(CITRA, START)

    def test_a_closed_alert_is_not_given_back(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            alert.release(RINA, START)


class TestResolving:
    def test_it_is_closed_with_its_outcome(self) -> None:
        alert = take(make_alert())
        assert alert.resolve(HELPED, RINA, after(minutes=9))
        assert (alert.state, alert.caller_state, alert.outcome, alert.close_time) == (
            State.RESOLVED,
            State.RESOLVED,
            HELPED,
            after(minutes=9),
        )
        assert (alert.parts.lead.state, alert.parts.lead.end_time) == (ResponseState.DONE, after(minutes=9))

    def test_the_same_outcome_again_changes_nothing(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, after(minutes=9))
        revision = alert.revision
        assert not alert.resolve(HELPED, SARI, after(minutes=10))
        assert (alert.revision, alert.close_time) == (revision, after(minutes=9))

    def test_another_outcome_is_refused(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            alert.resolve(PRANK, RINA, START)

    def test_somebody_must_have_taken_it(self) -> None:
        with pytest.raises(NotAcknowledged):
            make_alert().resolve(HELPED, SARI, START)

    def test_another_one_may_not_even_where_it_is_closed(self) -> None:
        alert = take(make_alert())
        with pytest.raises(NotClaimant):
            alert.resolve(HELPED, BUDI, START)
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(NotClaimant):
            alert.resolve(HELPED, BUDI, START)


class TestConfirmingReceipt:
    def test_the_first_time_counts(self) -> None:
        alert = make_alert()
        assert alert.confirm_receipt(RINA, after(seconds=2))
        assert not alert.confirm_receipt(RINA, after(seconds=4))
        assert alert.deliver_time == after(seconds=2)
        assert (alert.state, alert.caller_state) == (State.RAISED, State.RAISED)


class TestCancelling:
    def test_the_callers_side_is_cancelled_and_the_agencys_is_not(self) -> None:
        alert = take(make_alert())
        assert alert.cancel(after(seconds=30))
        assert (alert.caller_state, alert.state) == (State.CANCELLED, State.ACKNOWLEDGED)
        assert (alert.cancel_claim, alert.close_time) == (CancelClaim.UNVERIFIED, None)

    def test_again_changes_nothing(self) -> None:
        alert = make_alert()
        alert.cancel(after(seconds=30))
        revision = alert.caller_revision
        assert not alert.cancel(after(seconds=60))
        assert (alert.cancel_time, alert.caller_revision) == (after(seconds=30), revision)

    def test_what_the_agency_has_closed_is_not_called_off(self) -> None:
        alert = take(make_alert())
        alert.resolve(HELPED, RINA, START)
        with pytest.raises(AlertClosed):
            alert.cancel(START)

    def test_a_silent_alert_that_the_agency_has_closed_is_called_off_as_if_it_were_open(self) -> None:
        alert = take(make_alert(silent=True))
        alert.resolve(HELPED, RINA, START)
        assert alert.cancel(after(seconds=30))
        assert (alert.caller_state, alert.state) == (State.CANCELLED, State.RESOLVED)

    def test_the_agency_works_on_after_it(self) -> None:
        alert = make_alert()
        alert.cancel(START)
        take(alert, now=after(minutes=1))
        alert.release(RINA, after(minutes=2))
        take(alert, BUDI, after(minutes=3))
        alert.resolve(PRANK, BUDI, after(minutes=4))
        assert (alert.state, alert.caller_state) == (State.RESOLVED, State.CANCELLED)


class TestTracking:
    def test_a_newer_fix_moves_it_and_the_one_before_becomes_history(self) -> None:
        alert = make_alert(location=LOCATION)
        replaced = alert.track(make_position(alert, after(seconds=10), -6.3, 106.9), after(seconds=11))
        assert (alert.latitude, alert.longitude, alert.fix_time) == (-6.3, 106.9, after(seconds=10))
        assert replaced
        assert (replaced.alert, replaced.latitude, replaced.longitude, replaced.fix_time) == (alert.name, -6.1, 106.7, START)

    def test_the_first_fix_of_an_alert_without_a_place_replaces_nothing(self) -> None:
        alert = make_alert()
        assert alert.track(make_position(alert, after(seconds=10)), after(seconds=10)) is None
        assert alert.latitude == -6.2

    @pytest.mark.parametrize("seconds", [0, -1, -86400])
    def test_a_fix_that_is_not_newer_is_kept_but_moves_nothing(self, seconds: int) -> None:
        alert = make_alert(location=LOCATION)
        late = make_position(alert, after(seconds=seconds), -7, 110)
        assert alert.track(late, after(seconds=30)) is late
        assert (alert.latitude, alert.longitude, alert.fix_time) == (-6.1, 106.7, START)

    @examples(deadline=None)
    @given(st.permutations(range(6)))
    def test_in_whatever_order_they_come_the_newest_is_shown_and_none_is_lost(self, order: list[int]) -> None:
        alert = make_alert(location=LOCATION)
        kept = [alert.track(make_position(alert, after(seconds=each + 1)), after(minutes=1)) for each in order]
        assert alert.fix_time == after(seconds=6)
        assert sorted(each.fix_time for each in kept if each) == [after(seconds=each) for each in range(6)]

    @pytest.mark.parametrize(("ahead", "taken"), [(0, 0), (5, 5), (6, 0), (86400, 0)])
    def test_a_fix_from_the_future_counts_as_one_of_now(self, ahead: int, taken: int) -> None:
        fix_time = (START + timedelta(seconds=ahead)).isoformat()
        alert = make_alert(location=LOCATION | {"fixTime": fix_time})
        assert alert.fix_time == after(seconds=taken)
        request = TrackAlertRequest(name=alert.name)
        location = request.locations.add()
        location.fix_time.FromDatetime(START + timedelta(seconds=ahead))
        assert wire.to_positions(request, START)[0].fix_time == after(seconds=taken)

    def test_a_fix_without_a_time_is_one_of_now(self) -> None:
        alert = make_alert(location={"point": LOCATION["point"]})
        assert alert.fix_time == START

    def test_it_is_taken_until_the_agency_closes(self) -> None:
        alert = take(make_alert())
        alert.require_trackable(after(days=3))
        alert.resolve(HELPED, RINA, after(days=3))
        with pytest.raises(AlertClosed):
            alert.require_trackable(after(days=3))

    @pytest.mark.parametrize("resolved", [False, True])
    def test_it_is_taken_of_a_silent_one_for_seven_days_whatever_the_agency_does(self, *, resolved: bool) -> None:
        alert = take(make_alert(silent=True))
        if resolved:
            alert.resolve(HELPED, RINA, after(minutes=2))
        alert.require_trackable(alert.create_time + timedelta(days=7))
        with pytest.raises(AlertClosed):
            alert.require_trackable(alert.create_time + timedelta(days=7, microseconds=1))

    @pytest.mark.parametrize("resolved", [False, True])
    @pytest.mark.parametrize("silent", [False, True])
    def test_it_is_taken_for_two_hours_after_a_cancel_whatever_the_agency_does(self, *, resolved: bool, silent: bool) -> None:
        alert = take(make_alert(silent=silent))
        alert.cancel(START + timedelta(minutes=1))
        if resolved:
            alert.resolve(PRANK, RINA, after(minutes=2))
        alert.require_trackable(after(hours=2, minutes=1))
        with pytest.raises(AlertClosed):
            alert.require_trackable(after(hours=2, minutes=1, microseconds=2))


class TestViews:
    @pytest.mark.parametrize(
        ("viewer", "open_alert", "silent", "restricted"),
        [
            (RINA, View.AGENCY, View.REDACTED, View.REDACTED),
            (SARI, View.AGENCY, View.AGENCY, View.AGENCY),
            (CITRA, None, None, None),
            (DEWI, View.CALLER, None, View.CALLER),
            (HOLDER, View.CALLER, View.CALLER, View.CALLER),
            (NOBODY, None, None, None),
            (Viewer("adi", "", supervises=False, token_hash=b""), None, None, None),
            (Viewer("adi", "", supervises=False, token_hash=TOKEN_HASH), View.CALLER, View.CALLER, View.CALLER),
            (Viewer("dewi", "", supervises=False, token_hash=b"another alert's"), View.CALLER, None, View.CALLER),
            (Viewer("", "", supervises=False, token_hash=b"another alert's"), None, None, None),
            # Who answers for the agency and has the alert's token, is in danger: behind them somebody may stand.
            (Viewer("rina", ROOM, supervises=False, token_hash=TOKEN_HASH), View.CALLER, View.CALLER, View.CALLER),
            (Viewer("dewi", ROOM, supervises=True, token_hash=b""), View.CALLER, None, View.CALLER),
            # A supervisor of another agency is a citizen like everybody else.
            (Viewer("dewi", "agencies/bandung-112", supervises=True, token_hash=b""), View.CALLER, None, View.CALLER),
        ],
    )
    def test_each_viewer_sees_their_own(self, viewer: Viewer, open_alert: View, silent: View, restricted: View) -> None:
        assert viewer.view(make_alert(kind="FIRE")) is open_alert
        assert viewer.view(make_alert(kind="FIRE", silent=True)) is silent
        assert viewer.view(make_alert(kind="VIOLENCE")) is restricted

    def test_an_anonymous_alert_belongs_to_no_account_and_to_nobody_without_its_token(self) -> None:
        alert = make_alert(user="")
        assert [each.view(alert) for each in (NOBODY, DEWI, HOLDER)] == [None, None, View.CALLER]

    def test_a_restricted_alert_is_open_to_whoever_holds_it_and_no_longer_than_that(self) -> None:
        alert = take(make_alert(silent=True))
        assert [each.view(alert) for each in (RINA, BUDI, SARI)] == [View.AGENCY, View.REDACTED, View.AGENCY]
        alert.release(RINA, START)
        take(alert, BUDI)
        assert [each.view(alert) for each in (RINA, BUDI, SARI)] == [View.REDACTED, View.AGENCY, View.AGENCY]

    def test_the_redacted_view_says_that_it_exists_and_no_more(self) -> None:
        alert = make_alert(
            kind="VIOLENCE",
            area="areas/31.71",
            note="he is here",
            location=LOCATION,
            target={"addressText": "Jalan Merdeka 1"},
            caller={"displayName": "Dewi", "callbackPhone": "+628123"},
            externalIds={"jaki": "7"},
            silent=True,
        )
        take(alert)
        alert.cancel(START)
        alert.resolve(HELPED, RINA, START)
        shown = {field.name for field, _ in wire.to_message(alert, View.REDACTED).ListFields()}
        assert shown == {
            *("name", "state", "restricted", "area", "agency"),
            *("create_time", "deliver_time", "acknowledge_time", "close_time", "update_time", "revision", "etag"),
        }

    @pytest.mark.parametrize("silent", [False, True])
    def test_what_the_agency_writes_reaches_the_caller_unless_silent_or_cancelled(self, *, silent: bool) -> None:
        alert = make_alert(silent=silent)
        assert alert.caller_audience is (Audience.RESPONDER if silent else Audience.CALLER)
        alert.cancel(START)
        assert alert.caller_audience is Audience.RESPONDER


def test_what_was_erased_says_neither_where_it_was_nor_why_anybody_was_asked() -> None:
    alert = take(make_alert(kind="FIRE", location=LOCATION))
    alert.request_agency("agencies/fire", "she is in the house of her brother", RINA, START, hand_over=False)
    alert.erase(START)
    assert not alert.wipe()
    assert alert.cell
    alert.resolve(HELPED, RINA, START)
    assert alert.wipe()
    assert alert.cell == ""
    assert {each.reason for each in alert.responses} == {""}


SHORT = st.text("012", max_size=5)


def slip(pin: str) -> set[str]:
    """All that may come of it where one key is not the right one."""
    places = range(len(pin) + 1)
    changed = {pin[:each] + key + pin[each + 1 :] for each in places[:-1] for key in ("", *"012")}
    added = {pin[:each] + key + pin[each:] for each in places for key in "012"}
    swapped = {pin[:each] + pin[each + 1] + pin[each] + pin[each + 2 :] for each in places[:-2]}
    return {pin} | changed | added | swapped


@given(SHORT, SHORT)
@examples(max_examples=1000)
def test_pins_are_too_alike_where_one_slip_makes_one_of_the_other(pin: str, other: str) -> None:
    assert are_too_alike(pin, other) == (other in slip(pin))
