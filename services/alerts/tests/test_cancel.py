"""A cancel: for the caller's side it is over, for the agency it is a claim."""

from datetime import timedelta
from typing import Any

import pytest
from moments import RINA, START, make_alert, make_position
from people import MONAS, Party, People, refusal_of

from alerts.errors import AlertClosed
from alerts.model.calls import TRACKED_AFTER_CANCEL
from alerts.model.enums import View
from alerts.wire import alerts as wire
from siaga.alerts.v1 import alert_pb2

ELSEWHERE = {"point": {"latitude": -6.3, "longitude": 106.9}}


def state(alert: alert_pb2.Alert) -> str:
    return alert_pb2.Alert.State.Name(alert.state)


async def work_on(people: People, name: str) -> None:
    """Everything that an agency does with an alert."""
    await people.rina("ConfirmReceipt", name=name)
    await people.rina("AcknowledgeAlert", name=name)
    await people.rina("AddNote", name=name, text="she sounded afraid", audience="CALLER")
    await people.rina("AddNote", name=name, text="her sister was told", audience="CONTACT")
    await people.rina("ReleaseAlert", name=name)
    await people.budi("AcknowledgeAlert", name=name)
    await people.budi("ResolveAlert", name=name, outcome="FALSE_ALARM")


async def test_both_doors_of_the_caller_call_it_off(people: People) -> None:
    for by_account in (False, True):
        name, caller = await people.raise_alert(people.dewi)
        party = people.dewi if by_account else caller
        cancelled = await party("CancelAlert", name=name)
        assert (state(cancelled), cancelled.revision) == ("CANCELLED", 2)
        assert cancelled.close_time == cancelled.update_time
        for door in (caller, people.dewi):
            assert await door("GetAlert", name=name) == cancelled


async def test_nobody_else_does(people: People) -> None:
    name, caller = await people.raise_alert(people.dewi)
    for party in (people.nobody, people.adi, people.citra):
        assert (await refusal_of(party("CancelAlert", name=name)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
    assert (await refusal_of(people.sari("CancelAlert", name=name)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
    assert state(await caller("GetAlert", name=name)) == "RAISED"


async def test_the_agency_keeps_it_open_with_the_claim_and_goes_on(people: People) -> None:
    name, caller = await people.raise_alert()
    await caller("CancelAlert", name=name, pin="1234")
    claimed = await people.rina("GetAlert", name=name)
    assert (state(claimed), claimed.cancel_claim, claimed.HasField("close_time")) == ("RAISED", alert_pb2.Alert.UNVERIFIED, False)
    assert [each.name for each in await people.rina.watch("WatchAlerts").read_snapshot()] == [name]
    await work_on(people, name)
    closed = await people.rina("GetAlert", name=name)
    assert (state(closed), closed.cancel_claim, closed.outcome) == (
        "RESOLVED",
        alert_pb2.Alert.UNVERIFIED,
        alert_pb2.Alert.FALSE_ALARM,
    )


@pytest.mark.parametrize("taken", [False, True])
async def test_the_caller_sees_cancelled_and_nothing_after(people: People, *, taken: bool) -> None:
    name, caller = await people.raise_alert(people.dewi)
    if taken:
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ReleaseAlert", name=name)
    cancelled = await caller("CancelAlert", name=name)
    assert cancelled.HasField("acknowledge_time") == taken
    timeline = await caller("ListAlertEvents", name=name)
    listed = await people.dewi("ListAlerts")
    await work_on(people, name)
    for door in (caller, people.dewi):
        assert await door("GetAlert", name=name) == cancelled
        assert await door("CancelAlert", name=name) == cancelled
        assert await door("ListAlertEvents", name=name) == timeline
    assert await people.dewi("ListAlerts") == listed
    assert [each.type for each in timeline.events][-1] == "AlertCancelled"


async def test_a_list_by_time_of_change_does_not_tell_that_the_agency_goes_on(people: People) -> None:
    name, caller = await people.raise_alert(people.dewi)
    cancelled = await caller("CancelAlert", name=name)
    just_after = {"updatedAfter": (cancelled.update_time.ToDatetime() + timedelta(microseconds=1)).isoformat() + "Z"}
    await work_on(people, name)
    assert await people.dewi.list_names(**just_after) == []
    assert await people.rina.list_names(**just_after) == [name]


async def test_a_watching_caller_sees_their_cancel_and_the_end(people: People) -> None:
    name, caller = await people.raise_alert(people.dewi)
    watches = [caller.watch("WatchAlert", name=name), people.dewi.watch("WatchAlert", name=name)]
    for each in watches:
        await each.read_snapshot()
    await caller("CancelAlert", name=name)
    for each in watches:
        kind, alert = await each.read_event()
        assert (kind, state(alert)) == ("AlertCancelled", "CANCELLED")
        assert await each.read_end() == "ALERT_CLOSED"


async def test_whoever_begins_to_watch_later_sees_no_more_than_that(people: People) -> None:
    name, caller = await people.raise_alert()
    cancelled = await caller("CancelAlert", name=name)
    await work_on(people, name)
    watching = caller.watch("WatchAlert", name=name)
    assert await watching.read_snapshot() == [cancelled]
    assert await watching.read_end() == "ALERT_CLOSED"


async def test_the_agencys_watch_goes_on_after_it(people: People) -> None:
    name, caller = await people.raise_alert()
    watching = people.rina.watch("WatchAlert", name=name)
    await watching.read_snapshot()
    await caller("CancelAlert", name=name)
    kind, alert = await watching.read_event()
    assert (kind, state(alert), alert.cancel_claim) == ("AlertCancelled", "RAISED", alert_pb2.Alert.UNVERIFIED)
    await caller("TrackAlert", name=name, locations=[ELSEWHERE])
    kind, alert = await watching.read_event()
    assert (kind, alert.location.point.latitude) == ("AlertTracked", -6.3)


async def test_what_the_agency_has_closed_is_not_called_off(people: People) -> None:
    name, caller = await people.raise_alert()
    await work_on(people, name)
    assert (await refusal_of(caller("CancelAlert", name=name)))[:2] == ("FAILED_PRECONDITION", "ALERT_CLOSED")


class TestASilentAlert:
    async def test_its_token_calls_it_off_and_its_account_cannot(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi, silent=True)
        assert (await refusal_of(people.dewi("CancelAlert", name=name)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        assert state(await caller("CancelAlert", name=name)) == "CANCELLED"
        open_still = await people.sari("GetAlert", name=name)
        assert (state(open_still), open_still.cancel_claim) == ("RAISED", alert_pb2.Alert.UNVERIFIED)

    async def test_whether_the_agency_has_worked_on_it_cannot_be_told_from_the_reply(self, people: People) -> None:
        replies: list[alert_pb2.Alert] = []
        for worked_on in (False, True):
            name, caller = await people.raise_alert(people.dewi, silent=True)
            if worked_on:
                await work_on(people, name)
            cancelled = await caller("CancelAlert", name=name)
            for field in ("name", "create_time", "update_time", "close_time"):
                cancelled.ClearField(field)
            replies.append(cancelled)
        assert replies[0] == replies[1]


async def track(party: Party, name: str, latitude: float, **more: Any) -> alert_pb2.Alert:
    return await party("TrackAlert", name=name, locations=[{"point": {"latitude": latitude, "longitude": 106.8}, **more}])


class TestTrackingAfterIt:
    @pytest.mark.parametrize("silent", [False, True])
    async def test_the_phone_is_followed_still_whatever_the_agency_does(self, people: People, *, silent: bool) -> None:
        name, caller = await people.raise_alert(people.dewi, silent=silent, location={"point": MONAS})
        await caller("CancelAlert", name=name)
        assert (await track(caller, name, -6.3)).location.point.latitude == -6.3
        await work_on(people, name)
        shown = await track(caller, name, -6.4)
        assert (state(shown), shown.location.point.latitude) == ("CANCELLED", -6.4)
        seen = await people.sari("GetAlert", name=name, reason="a complaint")
        assert (state(seen), seen.location.point.latitude) == ("RESOLVED", -6.4)

    async def test_a_late_fix_does_not_move_it_back(self, people: People) -> None:
        name, caller = await people.raise_alert(location={"point": MONAS, "fixTime": "2026-03-01T12:00:00Z"})
        await caller("CancelAlert", name=name)
        await track(caller, name, -6.5, fixTime="2026-03-01T12:00:10Z")
        shown = await track(caller, name, -6.9, fixTime="2026-03-01T12:00:05Z")
        assert shown.location.point.latitude == -6.5

    async def test_a_broken_position_is_an_error_that_names_the_field(self, people: People) -> None:
        name, caller = await people.raise_alert()
        for location, field in (
            ({"point": {"latitude": 91, "longitude": 106}}, "locations[0].point.latitude"),
            ({"point": {"latitude": -6}}, "locations[0].point.longitude"),
            ({"accuracyMeters": 5}, "locations[0].point"),
        ):
            refused = await refusal_of(caller("TrackAlert", name=name, locations=[location]))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", [field])
        refused = await refusal_of(caller("TrackAlert", name=name))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["locations"])

    @pytest.mark.parametrize("resolved", [False, True])
    @pytest.mark.parametrize("silent", [False, True])
    def test_after_two_hours_it_is_over(self, *, silent: bool, resolved: bool) -> None:
        alert = make_alert(silent=silent, location={"point": MONAS, "fixTime": START.isoformat()})
        alert.acknowledge("rina", RINA, START)
        alert.cancel(START)
        assert alert.cancel_time
        last = alert.cancel_time + TRACKED_AFTER_CANCEL
        if resolved:
            alert.resolve(alert_pb2.Alert.HELPED, RINA, START)
        alert.require_trackable(last)
        alert.track(make_position(alert, last), last)
        alert.touch(last, shown=True)
        assert wire.to_message(alert, View.CALLER).location.point.latitude == -6.2
        with pytest.raises(AlertClosed):
            alert.require_trackable(last + timedelta(microseconds=1))
