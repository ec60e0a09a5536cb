"""Units that are sent to an alert, over gRPC: what is checked at that moment, what their crews see and say."""

import asyncio
from typing import Any

import grpc
import pytest
from cities import POSITION_SECONDS
from crews import POLICE
from people import ROOM, Party, new_id, read_refusal, refusal_of
from responders import Responders, is_redacted, report, statuses_of

from alerts.operations import dispatch
from alerts.store import units as store
from siaga.alerts.v1 import alert_pb2, unit_pb2

AT_ONCE = 50
ALERT_NOT_FOUND, UNIT_NOT_FOUND = ("NOT_FOUND", "ALERT_NOT_FOUND"), ("NOT_FOUND", "UNIT_NOT_FOUND")


def state(alert: alert_pb2.Alert) -> str:
    return alert_pb2.Alert.State.Name(alert.state)


async def is_free(responders: Responders, unit: str) -> bool:
    return not (await responders.sari("GetUnit", name=unit)).alert


class TestTheMomentOfDispatch:
    async def test_duty_is_checked_then_and_not_before(self, responders: Responders) -> None:
        first, second = await responders.make_unit("amb-1"), await responders.make_unit("amb-2")
        name, _ = await responders.take()
        found = (await responders.rina("RecommendUnits", name=name)).recommendations
        assert [each.unit.name for each in found] == [first, second]
        await responders.tono("EndDuty", name=second)
        refused = await refusal_of(responders.send(name, first, second))
        assert refused[:3] == ("FAILED_PRECONDITION", "UNIT_OFF_DUTY", {"unit": second})
        assert await is_free(responders, first)
        assert not (await responders.rina("GetAlert", name=name)).assignments
        await responders.tono("StartDuty", name=second)
        assert statuses_of(await responders.send(name, first, second)) == {first: "ASSIGNED", second: "ASSIGNED"}

    async def test_so_is_how_old_its_position_is(self, responders: Responders) -> None:
        unit, fresh = await responders.make_unit(), await responders.make_unit("amb-2")
        name, _ = await responders.take()
        await responders.rina("ReportUnitPositions", reports=[report(unit, seconds_ago=POSITION_SECONDS + 5), report(fresh)])
        refused = await refusal_of(responders.send(name, fresh, unit))
        assert refused[:2] == ("FAILED_PRECONDITION", "UNIT_POSITION_OLD")
        assert refused.metadata.keys() == {"unit", "seconds"}
        assert refused.metadata["unit"] == unit
        assert POSITION_SECONDS + 5 <= int(refused.metadata["seconds"]) < POSITION_SECONDS + 20
        assert await is_free(responders, fresh)
        sent = await responders.rina("DispatchAlert", name=name, units=[fresh, unit], acceptOldPositions=True)
        assert statuses_of(sent) == {fresh: "ASSIGNED", unit: "ASSIGNED"}

    async def test_what_it_says_now_makes_it_fresh(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        await responders.tono("ReportUnitPositions", reports=[report(unit, seconds_ago=POSITION_SECONDS + 5)])
        assert (await refusal_of(responders.send(name, unit))).reason == "UNIT_POSITION_OLD"
        await responders.tono("ReportUnitPositions", reports=[report(unit)])
        assert statuses_of(await responders.send(name, unit)) == {unit: "ASSIGNED"}

    async def test_one_at_work_for_another_alert_is_not_sent(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        first, _ = await responders.take()
        second, _ = await responders.take()
        await responders.send(first, unit)
        assert (await refusal_of(responders.send(second, unit)))[:3] == ("FAILED_PRECONDITION", "UNIT_BUSY", {"unit": unit})
        # For the one that it is at work for it is not sent again.
        before = await responders.rina("GetAlert", name=first)
        assert await responders.send(first, unit) == before
        await responders.move_on(first, unit, "DONE")
        assert statuses_of(await responders.send(second, unit)) == {unit: "ASSIGNED"}

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        unit, car = await responders.make_unit(), await responders.make_car()
        name, _ = await responders.raise_alert()
        assert (await refusal_of(responders.send(name, unit)))[:2] == ("FAILED_PRECONDITION", "NOT_ACKNOWLEDGED")
        await responders.rina("AcknowledgeAlert", name=name)
        for wrong in (car, "units/none"):
            refused = await refusal_of(responders.send(name, unit, wrong))
            assert refused[:3] == (*UNIT_NOT_FOUND, {"unit": wrong})
        assert (await refusal_of(responders.send(name, unit, by=responders.budi)))[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT")
        assert (await refusal_of(responders.send(name, car, by=responders.oka)))[:2] == ALERT_NOT_FOUND
        assert (await refusal_of(responders.send(name, unit, by=responders.tono)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert (await refusal_of(responders.send(name, unit, by=responders.machine)))[:2] == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED")
        for units, field in (([], "units"), ([unit, unit], "units"), (["amb-1"], "units[0]"), ([f"units/{n}" for n in range(21)], "units")):
            refused = await refusal_of(responders.send(name, *units))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", [field])
        await responders.send(name, unit, by=responders.sari)
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await refusal_of(responders.send(name, unit)))[:2] == ("FAILED_PRECONDITION", "ALERT_CLOSED")
        assert await is_free(responders, unit)


async def race(responders: Responders, unit: str, alerts: list[str]) -> list[str]:
    """The alerts to which one unit was sent by all who hold them, at once."""

    async def send(name: str) -> bool:
        try:
            await responders.rina("DispatchAlert", name=name, units=[unit], requestId=new_id())
        except grpc.aio.AioRpcError as error:
            refusal = read_refusal(error)
            assert refusal[:3] == ("FAILED_PRECONDITION", "UNIT_BUSY", {"unit": unit})
            return False
        return True

    sent = await asyncio.gather(*map(send, alerts))
    return [name for name, won in zip(alerts, sent, strict=True) if won]


class TestTheRaceForAUnit:
    async def test_of_fifty_alerts_one_has_it(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        alerts = [(await responders.take())[0] for _ in range(AT_ONCE)]
        for _ in range(3):
            winners = await race(responders, unit, alerts)
            assert len(winners) == 1
            assert (await responders.sari("GetUnit", name=unit)).alert == winners[0]
            shown = [await responders.rina("GetAlert", name=name) for name in alerts]
            assert [each.name for each in shown if state(each) == "DISPATCHED"] == winners
            await responders.move_on(winners[0], unit, "DECLINED")

    # On SQLite one writes after the other.
    @pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
    async def test_without_the_units_lock_several_have_it(self, responders: Responders, monkeypatch: pytest.MonkeyPatch) -> None:
        unit = await responders.make_unit()
        alerts = [(await responders.take())[0] for _ in range(AT_ONCE)]
        monkeypatch.setattr(
            dispatch.unit_store, "lock_units", lambda session, names: {each: store.find_unit(session, each) for each in names}
        )
        winners: list[str] = []
        for place in range(0, AT_ONCE, 10):
            for winner in winners:
                await responders.move_on(winner, unit, "DECLINED")
            winners = await race(responders, unit, alerts[place : place + 10])
            if len(winners) > 1:
                break
        assert len(winners) > 1


class TestWhatACrewSeesAndSays:
    async def test_it_sees_its_alert_while_it_is_at_work_and_moves_itself_on(self, responders: Responders) -> None:
        tono, wati = responders.tono, responders.wati
        unit = await responders.make_unit()
        name, caller = await responders.take(kind="VIOLENCE", note="he is here")
        assert (await refusal_of(tono("GetAlert", name=name)))[:2] == ALERT_NOT_FOUND
        await responders.send(name, unit)
        assert (await tono("GetAlert", name=name)).note == "he is here"
        assert (await refusal_of(wati("GetAlert", name=name)))[:2] == ALERT_NOT_FOUND
        for status, expected, shown in (
            ("ACCEPTED", "DISPATCHED", "DISPATCHED"),
            ("EN_ROUTE", "DISPATCHED", "DISPATCHED"),
            ("ON_SCENE", "ON_SCENE", "ON_SCENE"),
        ):
            moved = await tono("UpdateAssignment", name=name, unit=unit, status=status)
            assert (state(moved), statuses_of(moved), moved.note) == (expected, {unit: status}, "he is here")
            assert state(await caller("GetAlert", name=name)) == shown
        done = await tono("UpdateAssignment", name=name, unit=unit, status="DONE")
        assert (done.name, state(done), is_redacted(done)) == (name, "ON_SCENE", True)
        assert await tono("UpdateAssignment", name=name, unit=unit, status="DONE") == done
        assert (await refusal_of(tono("GetAlert", name=name)))[:2] == ALERT_NOT_FOUND
        assert await is_free(responders, unit)

    async def test_why_it_declines_is_shown_to_the_agency_and_the_caller_sees_no_step_back(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, caller = await responders.take()
        await responders.send(name, unit)
        before = await caller("GetAlert", name=name)
        declined = await responders.tono("UpdateAssignment", name=name, unit=unit, status="DECLINED", reason="flat tyre")
        assert is_redacted(declined)
        seen = await responders.rina("GetAlert", name=name)
        assert (state(seen), seen.assignments[0].reason, statuses_of(seen)) == ("ACKNOWLEDGED", "flat tyre", {unit: "DECLINED"})
        assert await caller("GetAlert", name=name) == before
        assert await is_free(responders, unit)
        again = await responders.send(name, unit)
        assert [each.status for each in again.assignments] == [alert_pb2.Alert.Assignment.DECLINED, alert_pb2.Alert.Assignment.ASSIGNED]

    async def test_of_the_timeline_it_reads_what_is_for_crews(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        await responders.rina("AddNote", name=name, text="for the room alone")
        await responders.rina("AddNote", name=name, text="the back door is open", audience="RESPONDER")
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        await responders.send(name, unit)
        entries = (await responders.tono("ListAlertEvents", name=name)).events
        assert [(each.type, each.text, each.actor) for each in entries][2:] == [
            ("AlertAcknowledged", "", "rina"),
            ("NoteAdded", "the back door is open", "rina"),
            # Who else answers they are shown, too.
            ("AgencyRequested", "", "rina"),
            ("AlertDispatched", "", "rina"),
        ]

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        unit, other, car = await responders.make_unit(), await responders.make_unit("amb-2", crew=["wati"]), await responders.make_car()
        name, caller = await responders.take()
        await responders.send(name, unit)
        await responders.ask_police(name)
        await responders.send(name, car, by=responders.oka)

        async def refuse(party: Party, of: str, status: str = "ACCEPTED", **more: Any) -> tuple[str, str, dict[str, str]]:
            return (await refusal_of(party("UpdateAssignment", name=name, unit=of, status=status, **more)))[:3]

        assert await refuse(responders.rina, other) == (*UNIT_NOT_FOUND, {"unit": other})
        # To whom the alert does not exist, its units do not either.
        for party in (responders.wati, responders.eka, responders.citra):
            assert await refuse(party, unit) == (*ALERT_NOT_FOUND, {})
        # Another agency's, another crew's.
        for party, of in ((responders.rina, car), (responders.oka, unit), (responders.tono, car), (responders.joko, unit)):
            assert await refuse(party, of) == (*UNIT_NOT_FOUND, {"unit": of})
        assert (await refuse(responders.dewi, unit))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert (await refuse(caller, unit))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")
        assert (await refuse(responders.machine, unit))[:2] == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED")
        for status in ("ASSIGNED", "STATUS_UNSPECIFIED"):
            refused = await refusal_of(responders.tono("UpdateAssignment", name=name, unit=unit, status=status))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["status"])
        await responders.move_on(name, unit, "ON_SCENE", by=responders.tono)
        for status in ("ACCEPTED", "EN_ROUTE", "DECLINED"):
            assert await refuse(responders.tono, unit, status) == ("FAILED_PRECONDITION", "INVALID_TRANSITION", {"status": "ON_SCENE"})
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await refuse(responders.tono, unit, "EN_ROUTE"))[:2] == ("FAILED_PRECONDITION", "ALERT_CLOSED")
        # A crew that learns of the close late has nothing to mend.
        assert is_redacted(await responders.tono("UpdateAssignment", name=name, unit=unit, status="DONE"))

    async def test_a_responder_who_has_called_for_help_learns_nothing_of_units_by_asking(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        own, _ = await responders.raise_alert(responders.wati)
        await responders.rina("AcknowledgeAlert", name=own)
        await responders.send(own, unit)
        for asked in (unit, "units/none"):
            refused = await refusal_of(responders.wati("UpdateAssignment", name=own, unit=asked, status="ACCEPTED"))
            assert refused[:3] == (*UNIT_NOT_FOUND, {"unit": asked})

    async def test_who_rides_along_and_answers_for_the_agency_does_both(self, responders: Responders) -> None:
        both = responders.sign_in("both", "responder", "dispatcher", agency=ROOM)
        unit = await responders.make_unit(crew=["both"])
        name, _ = await responders.take(both, kind="VIOLENCE")
        await responders.send(name, unit, by=both)
        await responders.move_on(name, unit, "ON_SCENE", "DONE", by=both)
        assert state(await both("ResolveAlert", name=name, outcome="HELPED")) == "RESOLVED"

    async def test_the_close_frees_every_unit(self, responders: Responders) -> None:
        units = [await responders.make_unit(f"amb-{each}") for each in range(3)]
        car = await responders.make_car()
        name, _ = await responders.take()
        await responders.send(name, *units)
        await responders.ask_police(name)
        await responders.send(name, car, by=responders.oka)
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        for unit in units:
            assert await is_free(responders, unit)
            assert (await responders.sari("EndDuty", name=unit)).duty == unit_pb2.Unit.OFF_DUTY
        assert not (await responders.oka("GetUnit", name=car)).alert


class TestThoseWhoGaveItAway:
    async def test_an_agency_whose_units_are_at_work_goes_on_seeing_it(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        await responders.send(name, unit)
        await responders.rina("HandOverAlert", name=name, agency=POLICE)
        await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        seen = await responders.budi("GetAlert", name=name)
        assert (seen.agency, statuses_of(seen)) == (POLICE, {unit: "ASSIGNED"})
        assert [each.name for each in await responders.budi.watch("WatchAlerts").read_snapshot()] == [name]
        await responders.move_on(name, unit, "ON_SCENE", by=responders.tono)
        await responders.oka("ResolveAlert", name=name, outcome="HELPED")
        assert await is_free(responders, unit)
