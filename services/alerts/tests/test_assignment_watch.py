"""A crew's own watch: what its unit is sent to, every change of it, and its end."""

from typing import Any

import pytest
from crews import POLICE
from people import Party, Watching, new_id, refusal_of, run_service
from responders import Responders, is_redacted, statuses_of
from threatened import CLAIM, DURESS, WRONG, cancel, set_pins

from alerts.settings import Settings
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import WatchAlertsResponse

End = WatchAlertsResponse.End

UNIT_NOT_FOUND = ("NOT_FOUND", "UNIT_NOT_FOUND")


def summary(message: WatchAlertsResponse) -> tuple[str, str]:
    content = message.WhichOneof("content") or ""
    return (message.event.type, message.event.alert.name) if content == "event" else (content, message.left.name)


async def read(watching: Watching) -> WatchAlertsResponse:
    """The next that is about the unit: an event carries the alert as it is now, so that one from just before it was sent may bring it."""
    while True:
        message = await watching.read()
        if message.event.type not in {"AlertRaised", "AlertRouted", "AlertAcknowledged"}:
            return message


def watch(party: Party, unit: str, cursor: str = "") -> Watching:
    return party.watch("WatchAssignments", unit=unit, cursor=cursor)


async def test_it_begins_with_what_the_unit_is_at_work_for_and_goes_on_to_its_end(responders: Responders) -> None:
    unit = await responders.make_unit()
    idle = watch(responders.tono, unit)
    assert await idle.read_snapshot() == []
    name, caller = await responders.take(note="third floor")
    await responders.send(name, unit)
    busy = watch(responders.tono, unit)
    assert [each.note for each in await busy.read_snapshot()] == ["third floor"]
    assert summary(await read(idle)) == ("AlertDispatched", name)

    async def tell(kind: str, rpc: str, by: Party, **said: Any) -> None:
        await by(rpc, **({} if rpc == "UpdateAlert" else {"name": name}), **said)
        for each in (idle, busy):
            assert summary(await read(each)) == (kind, name)

    await tell("AssignmentUpdated", "UpdateAssignment", responders.tono, unit=unit, status="EN_ROUTE")
    await responders.rina("AddNote", name=name, text="for the room alone")
    await tell("NoteAdded", "AddNote", responders.rina, text="the back door", audience="RESPONDER")
    await tell("MessageSent", "SendMessage", caller, text="hurry")
    await tell("AlertUpdated", "UpdateAlert", responders.rina, alert={"name": name, "target": {"addressText": "back yard"}})
    await tell("left", "UpdateAssignment", responders.tono, unit=unit, status="DONE")
    # What becomes of it afterwards is not theirs.
    await responders.rina("AddNote", name=name, text="well done", audience="RESPONDER")
    second, _ = await responders.take()
    await responders.send(second, unit)
    for each in (idle, busy):
        assert summary(await read(each)) == ("AlertDispatched", second)


@pytest.mark.parametrize("end", ["DECLINED", "resolved"])
async def test_it_leaves_with_whatever_ends_the_work(responders: Responders, end: str) -> None:
    unit = await responders.make_unit()
    name, _ = await responders.take()
    await responders.send(name, unit)
    watching = watch(responders.tono, unit)
    await watching.read_snapshot()
    if end == "resolved":
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
    else:
        await responders.move_on(name, unit, end, by=responders.tono)
    assert summary(await watching.read()) == ("left", name)


async def test_of_a_silent_alert_a_crew_hears_what_its_caller_does_not(responders: Responders) -> None:
    unit = await responders.make_unit()
    watching = watch(responders.tono, unit)
    await watching.read_snapshot()
    name, caller = await responders.take(silent=True, note="he is here")
    await responders.send(name, unit)
    message = await read(watching)
    assert (message.event.type, message.event.alert.note) == ("AlertDispatched", "he is here")
    await caller("CancelAlert", name=name)
    kind, alert = await watching.read_event()
    assert (kind, alert.cancel_claim) == ("AlertCancelled", alert_pb2.Alert.UNVERIFIED)
    await responders.rina("ResolveAlert", name=name, outcome="HELPED")
    assert summary(await watching.read()) == ("left", name)


class TestResuming:
    async def test_at_every_cursor_exactly_the_rest_follows(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        watching = watch(responders.tono, unit)
        await watching.read_snapshot()
        cursors, told = [watching.cursor], list[tuple[str, str]]()

        async def go_on(count: int) -> None:
            for _ in range(count):
                told.append(summary(await read(watching)))
                cursors.append(watching.cursor)

        first, _ = await responders.take()
        await responders.send(first, unit)
        await go_on(1)
        await responders.move_on(first, unit, "ACCEPTED", "ON_SCENE")
        await go_on(2)
        for position, cursor in enumerate(cursors):
            resumed = await watch(responders.tono, unit, cursor).begin()
            assert [summary(await read(resumed)) for _ in told[position:]] == told[position:]
            resumed.call.cancel()
        await responders.move_on(first, unit, "DONE")
        await go_on(1)
        assert told[-1] == ("left", first)
        # Whoever comes back later is told that it has left, for every event that they missed.
        resumed = await watch(responders.tono, unit, cursors[1]).begin()
        assert [summary(await resumed.read()) for _ in range(3)] == [("left", first)] * 3

    async def test_nothing_is_missed_across_a_restart_of_the_service(self, settings: Settings, issuer: Issuer) -> None:
        async with run_service(settings) as channel:
            responders = Responders(channel, issuer)
            await responders.dewi("ListAlerts")
            unit = await responders.make_unit()
            watching = watch(responders.tono, unit)
            await watching.read_snapshot()
            name, _ = await responders.take()
            await responders.send(name, unit)
            assert summary(await read(watching)) == ("AlertDispatched", name)
            await responders.move_on(name, unit, "EN_ROUTE")
        async with run_service(settings) as channel:
            responders = Responders(channel, issuer)
            await responders.dewi("ListAlerts")
            resumed = await watch(responders.tono, unit, watching.cursor).begin()
            await responders.move_on(name, unit, "ON_SCENE")
            told = [await resumed.read() for _ in range(2)]
        assert [summary(each) for each in told] == [("AssignmentUpdated", name)] * 2
        assert statuses_of(told[-1].event.alert) == {unit: "ON_SCENE"}

    async def test_from_now_it_tells_what_ends_also_where_it_began_before(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        await responders.send(name, unit)
        watching = await watch(responders.tono, unit, "now").begin()
        await responders.move_on(name, unit, "DONE")
        assert summary(await watching.read()) == ("left", name)

    async def test_a_cursor_of_another_unit_is_refused(self, responders: Responders) -> None:
        first, second = await responders.make_unit("amb-1"), await responders.make_unit("amb-2")
        watching = watch(responders.tono, first)
        await watching.read_snapshot()
        for cursor in (watching.cursor, "nonsense"):
            refused = await refusal_of(watch(responders.tono, second, cursor).read())
            assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_CURSOR")


class TestACrewThatIsRelieved:
    async def test_the_new_one_sees_the_alert_and_the_watch_of_the_other_ends(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take(kind="VIOLENCE", note="he is here")
        await responders.send(name, unit)
        of_unit, of_alert = watch(responders.tono, unit), responders.tono.watch("WatchAlert", name=name)
        of_room = responders.rina.watch("WatchAlert", name=name)
        for each in (of_unit, of_alert, of_room):
            await each.read_snapshot()
        assert (await refusal_of(watch(responders.wati, unit).read()))[:2] == UNIT_NOT_FOUND
        await responders.sari("UpdateUnit", unit={"name": unit, "crew": ["wati"]})

        assert summary(await of_unit.read()) == ("left", name)
        assert (await of_unit.read()).end.reason == End.CREW_RELIEVED
        assert (await refusal_of(of_unit.read()))[:2] == UNIT_NOT_FOUND
        assert await of_alert.read_end() == "ALERT_CLOSED"
        assert (await of_room.read_event())[0] == "CrewChanged"
        assert (await refusal_of(responders.tono("GetAlert", name=name)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        assert (await refusal_of(watch(responders.tono, unit, of_unit.cursor).read()))[:2] == UNIT_NOT_FOUND
        assert (await refusal_of(responders.move_on(name, unit, "ACCEPTED", by=responders.tono)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        relieved = watch(responders.wati, unit)
        assert [each.note for each in await relieved.read_snapshot()] == ["he is here"]
        await responders.move_on(name, unit, "ACCEPTED", by=responders.wati)
        assert summary(await relieved.read()) == ("AssignmentUpdated", name)
        entries = [(each.type, each.actor, list(each.units)) for each in (await responders.rina("ListAlertEvents", name=name)).events]
        assert ("CrewChanged", "sari", [unit]) in entries

    async def test_at_home_the_watch_of_the_other_ends_with_the_next_alert(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        watching = watch(responders.tono, unit)
        await watching.read_snapshot()
        await responders.sari("UpdateUnit", unit={"name": unit, "crew": ["wati"]})
        name, _ = await responders.take()
        await responders.send(name, unit)
        assert (await watching.read()).end.reason == End.CREW_RELIEVED
        assert (await refusal_of(watching.read()))[:2] == UNIT_NOT_FOUND

    async def test_the_same_crew_again_is_no_change(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        await responders.send(name, unit)
        before = await responders.rina("GetAlert", name=name)
        await responders.sari("UpdateUnit", unit={"name": unit, "crew": ["tono"], "displayName": "A 1"})
        assert await responders.rina("GetAlert", name=name) == before


class TestWhoMay:
    async def test_its_crew_and_whoever_answers_for_its_agency(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        for party in (responders.tono, responders.rina, responders.sari, responders.machine):
            assert await watch(party, unit).read_snapshot() == []
        for party in (responders.wati, responders.joko, responders.oka, responders.chief):
            for asked in (unit, f"units/{new_id()}"):
                assert (await refusal_of(watch(party, asked).read()))[:2] == UNIT_NOT_FOUND
        assert (await refusal_of(watch(responders.dewi, unit).read()))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")

    async def test_of_a_restricted_alert_the_room_sees_no_more_by_it_than_elsewhere(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take(kind="VIOLENCE", note="he is here")
        await responders.send(name, unit)
        of_a_colleague = watch(responders.budi, unit)
        assert [is_redacted(each) for each in await of_a_colleague.read_snapshot()] == [True]
        for party in (responders.rina, responders.sari, responders.tono):
            watching = watch(party, unit)
            assert [is_redacted(each) for each in await watching.read_snapshot()] == [False]
            await responders.rina("AddNote", name=name, text="a note", audience="RESPONDER")
            kind, told = await watching.read_event()
            assert (kind, is_redacted(told)) == ("NoteAdded", False)
        await responders.move_on(name, unit, "ON_SCENE")
        kind, told = await of_a_colleague.read_event()
        assert (kind, is_redacted(told)) == ("AssignmentUpdated", True)

    async def test_the_crew_is_told_when_more_is_known_of_a_cancel(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        await set_pins(responders)
        name, _ = await responders.raise_alert(responders.dewi)
        await responders.rina("AcknowledgeAlert", name=name)
        await responders.send(name, unit)
        watches = [watch(responders.tono, unit), responders.tono.watch("WatchAlert", name=name)]
        for each in watches:
            await each.read_snapshot()
        for pin, kind, claim in ((WRONG, "AlertCancelled", "UNVERIFIED"), (DURESS, "CancelClaimed", "DURESS")):
            await cancel(responders.dewi, name, pin)
            for each in watches:
                told, alert = await each.read_event()
                assert (told, CLAIM.Name(alert.cancel_claim)) == (kind, claim)

    async def test_the_watch_of_an_alert_ends_with_the_crews_work_for_it(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take(note="third floor")
        await responders.send(name, unit)
        watching = responders.tono.watch("WatchAlert", name=name)
        assert [each.note for each in await watching.read_snapshot()] == ["third floor"]
        await responders.move_on(name, unit, "ON_SCENE")
        assert (await watching.read_event())[0] == "AssignmentUpdated"
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        assert (await watching.read_event())[0] == "AgencyRequested"
        await responders.move_on(name, unit, "DONE")
        await responders.rina("AddNote", name=name, text="another crew comes", audience="RESPONDER")
        assert await watching.read_end() == "ALERT_CLOSED"
