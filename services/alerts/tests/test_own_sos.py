"""Whoever answers for an agency and calls for help themselves is their alert's caller and nothing else: somebody may stand behind
them.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import pytest
from crews import make_unit, send, take
from emergencies import FAR, Incidents, beside, form, incident_of, until, wait_until_assessed
from moments import BUDI, RINA, ROOM, SARI, TOKEN_HASH, make_alert
from people import MONAS, Party, People, new_id, refusal_of
from responders import Responders
from threatened import DURESS, PIN, cancel, look, set_pins

from alerts.model.enums import View
from alerts.model.viewers import Viewer
from siaga.alerts.v1 import alert_pb2

ABSENT = ("NOT_FOUND", "ALERT_NOT_FOUND")
TRACK = {"locations": [{"point": MONAS, "fixTime": "2026-03-01T12:00:00Z"}]}
DOORS: dict[str, dict[str, Any]] = {"GetAlert": {}, "ListAlertEvents": {}, "ListMessages": {}, "TrackAlert": TRACK}
WORK: dict[str, dict[str, Any]] = {
    "ConfirmReceipt": {},
    "AcknowledgeAlert": {},
    "AddNote": {"text": "hello"},
    "RecordContact": {"means": "CALL", "result": "REACHED"},
    "RecommendUnits": {},
    "ReleaseAlert": {},
    "ResolveAlert": {"outcome": "PRANK"},
}


async def ask_every_door(people: People, by: Party, pin: str, **how: Any) -> list[str]:
    """All that they are shown of their own SOS from the cancel on, while the others of the room do what they can."""
    name, holder = await people.raise_alert(by, **how)
    both = by.holding(holder.alert_token)
    # The account alone opens no silent one.
    parties = [both, holder] if how.get("silent") else [by, both, holder]
    room = by.watch("WatchAlerts")
    assert name not in {each.name for each in await room.read_snapshot()}
    watching = [each.watch("WatchAlert", name=name) for each in parties]
    for each in watching:
        await each.read_snapshot()
    told: list[Any] = [await cancel(each, name, pin) for each in parties]
    told += [await each.read() for each in watching for _ in range(2)]
    for rpc, said in (("AcknowledgeAlert", {}), ("AddNote", {"text": "a car is on its way", "audience": "CALLER"})):
        # One that is closed to the room refuses it.
        with suppress(grpc.aio.AioRpcError):
            await people.sari(rpc, name=name, **said)
    for party in parties:
        told += [await party(rpc, name=name, **said) for rpc, said in DOORS.items()]
        told.append(await party("SendMessage", name=name, text="all is well"))
        for states in ([], ["RAISED", "ACKNOWLEDGED"], ["CANCELLED"]):
            assert party is holder or name not in await party.list_names(state=states)
    told += [each for each in (await by("ExportMyAlerts")).alerts if each.alert.name == name]
    # What they are told of next on the room's screen is another one's.
    other, _ = await people.raise_alert(people.adi)
    assert (await room.read_event())[1].name == other
    return [look(each) for each in told]


class TestWhatTheyAreShown:
    @pytest.mark.parametrize(
        ("role", "how"),
        [
            ("dispatcher", {"kind": "CRIME"}),
            ("supervisor", {"kind": "CRIME"}),
            ("dispatcher", {"kind": "VIOLENCE"}),
            ("supervisor", {"kind": "CRIME", "silent": True}),
        ],
    )
    async def test_nobody_can_tell_by_which_pin_it_was_called_off(self, people: People, role: str, how: dict[str, Any]) -> None:
        await set_pins(people, "own")
        by = people.sign_in("own", "citizen", role, agency=ROOM)
        shown = {pin: await ask_every_door(people, by, pin, **how) for pin in (PIN, DURESS, "")}
        assert shown[PIN] == shown[DURESS] == shown[""]
        assert '"CANCELLED"' in shown[PIN][0]

    async def test_a_restricted_one_is_open_to_them_by_account_and_by_token(self, people: People) -> None:
        name, holder = await people.raise_alert(people.rina, kind="VIOLENCE", note="he is here")
        await people.budi("AcknowledgeAlert", name=name)
        await people.budi("SendMessage", name=name, text="help is coming")
        for party in (people.rina, people.rina.holding(holder.alert_token), holder):
            assert (await party("GetAlert", name=name)).note == "he is here"
            assert (await party("ListMessages", name=name)).messages[0].text == "help is coming"
            assert (await party("ListAlertEvents", name=name)).events[0].type == "AlertRaised"
            assert (await party("SendMessage", name=name, text="please hurry")).operator == ""
        read = (await people.sari("ListAlertEvents", name=name)).events
        assert "rina" not in {each.actor for each in read}

    async def test_a_silent_one_does_not_exist_for_the_account_alone(self, people: People) -> None:
        name, holder = await people.raise_alert(people.sari, silent=True, note="he is here")
        assert (await refusal_of(people.sari("GetAlert", name=name)))[:2] == ABSENT
        assert await people.sari.list_names() == []
        assert (await people.sari.holding(holder.alert_token)("GetAlert", name=name)).note == "he is here"
        assert await people.rina.list_names() == [name]


class TestWhoWorksOnIt:
    async def test_nobody_on_their_own_and_their_colleagues_do(self, people: People) -> None:
        name, holder = await people.raise_alert(people.sari, kind="FIRE")
        for party in (people.sari, people.sari.holding(holder.alert_token)):
            for rpc, said in WORK.items():
                assert (await refusal_of(party(rpc, name=name, **said)))[:2] == ABSENT, rpc
            assert (await refusal_of(party("AssignAlert", name=name, assignee="budi")))[:2] == ABSENT
        for rpc in ("ConfirmReceipt", "AcknowledgeAlert", "ReleaseAlert"):
            await people.rina(rpc, name=name)
        assert await people.rina.list_names() == [name]

    async def test_on_a_call_that_was_written_down_whoever_wrote_it_down_does_whatever_token_comes_along(self, people: People) -> None:
        for said in ({"channel": "VOICE"}, {"subject": "OTHER"}):
            name, holder = await people.raise_alert(people.rina, note="my neighbour", **said)
            assert name in await people.rina.list_names()
            await people.rina("AcknowledgeAlert", name=name)
            taken = await people.rina.holding(holder.alert_token)("GetAlert", name=name)
            assert taken.responses[0].operator == "rina"
            await people.rina.holding(holder.alert_token)("ResolveAlert", name=name, outcome="HELPED")

    @pytest.mark.parametrize("by", ["PARTNER", "APP"])
    async def test_on_what_a_system_passed_on_it_does(self, people: People, by: str) -> None:
        name, holder = await people.raise_alert(people.machine, channel=by)
        assert await people.machine.list_names() == [name]
        await people.machine("AcknowledgeAlert", name=name, operator="Rina")
        assert (await people.machine("GetAlert", name=name)).responses[0].operator == "Rina"
        assert not (await holder("GetAlert", name=name)).responses

    async def test_on_a_drill_whoever_raised_it_does(self, people: People) -> None:
        name, _ = await people.raise_alert(people.rina, drill=True)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")


class TestCrews:
    async def test_the_crew_that_is_sent_to_its_own_sos_is_its_caller(self, responders: Responders) -> None:
        unit = await responders.make_unit(crew=["tono", "wati"])
        name, _ = await responders.raise_alert(responders.tono, location={"point": MONAS})
        await responders.rina("AcknowledgeAlert", name=name)
        own, other = (each.watch("WatchAssignments", unit=unit) for each in (responders.tono, responders.wati))
        for each in (own, other):
            await each.read_snapshot()
        await responders.send(name, unit)
        assert (await other.read_event())[1].name == name
        await cancel(responders.tono, name)
        assert not (await responders.tono("GetAlert", name=name)).cancel_claim
        refused = await refusal_of(responders.tono("UpdateAssignment", name=name, unit=unit, status="ACCEPTED"))
        assert refused[:2] == ("NOT_FOUND", "UNIT_NOT_FOUND")
        await responders.move_on(name, unit, "DONE", by=responders.wati)
        next_one, _ = await responders.take()
        await responders.send(next_one, unit)
        assert (await own.read_event())[1].name == next_one

    def test_whatever_they_are_beside_it(self) -> None:
        alert = send(take(make_alert(kind="VIOLENCE", user="budi")), make_unit("amb-1", ROOM, "budi"))
        assert replace(BUDI, crew_of=ROOM).view(alert) is View.CALLER
        assert not replace(BUDI, crew_of=ROOM).answers(alert)


def views(alert: Any, *viewers: Viewer) -> list[View | None]:
    return [each.view(alert) for each in viewers]


def test_what_has_been_erased_and_is_still_open_does_not_exist_for_the_account() -> None:
    alert = make_alert(user="sari")
    assert views(alert, SARI, RINA) == [View.CALLER, View.AGENCY]
    alert.erase(alert.create_time)
    assert views(alert, SARI, replace(SARI, token_hash=TOKEN_HASH), RINA) == [None, View.CALLER, View.AGENCY]


class TestAmongOthers:
    async def test_it_is_put_together_with_no_other_by_the_service_or_by_hand(self, people: People) -> None:
        own, holder = await people.raise_alert(people.rina, **beside())
        incident, alerts = await form(people)
        assert await incident_of(people, own) == ""
        for by, named in ((people.budi, own), (people.sari, own)):
            refused = await refusal_of(Incidents(by)("MergeAlerts", alerts=[alerts[0][0], named]))
            assert refused[:3] == ("FAILED_PRECONDITION", "CALLER_IS_STAFF", {"alert": own})
        # Nor does a later one of somebody else join it, which has nobody else to join.
        far, _ = await people.raise_alert(people.rina, **beside(FAR))
        later, _ = await people.raise_alert(people.nobody, **beside(FAR))
        await wait_until_assessed(people)
        assert [await incident_of(people, each) for each in (far, later)] == ["", ""]
        assert (await Incidents(people.rina)("GetIncident", name=incident)).alert_count == 3
        assert (await holder("GetAlert", name=own)).state == alert_pb2.Alert.RAISED

    async def test_and_so_is_a_crews_while_a_citizens_and_a_written_down_one_are(self, people: People) -> None:
        tono = people.sign_in("tono", "responder", agency=ROOM)
        own, _ = await people.raise_alert(tono, **beside())
        written, _ = await people.raise_alert(people.rina, **beside(channel="VOICE"))
        _, alerts = await form(people, 1)
        incident = await until(lambda: incident_of(people, alerts[0][0]))
        assert [await incident_of(people, each) for each in (own, written)] == ["", incident]


async def test_a_request_that_is_repeated_by_the_token_alone_counts_once(people: People) -> None:
    name, holder = await people.raise_alert(people.rina)
    said = {"name": name, "requestId": new_id(), "text": "in the cellar"}
    first = await people.rina.holding(holder.alert_token)("SendMessage", **said)
    assert await holder("SendMessage", **said) == first
    assert len((await holder("ListMessages", name=name)).messages) == 1
