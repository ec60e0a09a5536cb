"""Requests about several agencies, units and contacts that are sent again: each happens once, whatever has happened since."""

import asyncio
from typing import Any

import pytest
from crews import FIRE, POLICE
from people import Party, new_id, refusal_of
from responders import Responders, is_redacted, report, states_of, statuses_of

from siaga.alerts.v1 import unit_pb2

REUSED = ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
# What each request says, and what it says the second time.
WRITES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "AssignAlert": ({"assignee": "budi"}, {"assignee": "sari"}),
    "UpdateAlert": ({"alert": {"kind": "FIRE"}}, {"alert": {"kind": "CRIME"}}),
    "RecordContact": ({"means": "CALL", "result": "BUSY"}, {"text": "busy"}),
    "SendMessage": ({"text": "we come"}, {"text": "we come soon"}),
    "RequestAgency": ({"agency": FIRE}, {"reason": "a fire"}),
    "HandOverAlert": ({"agency": FIRE}, {"reason": "a fire"}),
    "RespondToRequest": ({"answer": "ACCEPT"}, {"operator": "somebody"}),
    "DispatchAlert": ({"units": ["units/amb-2"]}, {"acceptOldPositions": True}),
    "UpdateAssignment": ({"unit": "units/amb-1", "status": "EN_ROUTE"}, {"status": "ON_SCENE"}),
}


async def write(responders: Responders, rpc: str, name: str, request_id: str, said: dict[str, Any]) -> Any:
    """By whoever may."""
    by = {"AssignAlert": responders.sari, "RespondToRequest": responders.oka, "UpdateAssignment": responders.tono}
    said = {"alert": {"name": name, **said["alert"]}} if rpc == "UpdateAlert" else {"name": name, **said}
    return await by.get(rpc, responders.rina)(rpc, requestId=request_id, **said)


async def prepare(responders: Responders) -> str:
    """An alert that takes every write: the police have been asked, the first ambulance was sent."""
    name, _ = await responders.take()
    await responders.rina("RequestAgency", name=name, agency=POLICE)
    await responders.send(name, await responders.make_unit("amb-1"))
    await responders.make_unit("amb-2", crew=["wati"])
    return name


async def list_types(party: Party, name: str) -> list[str]:
    return [each.type for each in (await party("ListAlertEvents", name=name)).events]


class TestWhatChangesAnAlert:
    @pytest.mark.parametrize("rpc", WRITES)
    async def test_it_happens_once_and_another_body_is_refused(self, responders: Responders, rpc: str) -> None:
        (said, said_then), name, request_id = WRITES[rpc], await prepare(responders), new_id()
        before = await list_types(responders.sari, name)
        first = await write(responders, rpc, name, request_id, said)
        happened = await list_types(responders.sari, name)
        assert len(happened) == len(before) + 1
        replies = await asyncio.gather(*(write(responders, rpc, name, request_id, said) for _ in range(5)))
        assert all(each == first for each in replies)
        refused = await refusal_of(write(responders, rpc, name, request_id, {**said, **said_then}))
        assert refused[:2] == REUSED
        assert await list_types(responders.sari, name) == happened

    @pytest.mark.parametrize("rpc", WRITES)
    async def test_it_happens_once_however_often_at_once(self, responders: Responders, rpc: str) -> None:
        said, name, request_id = WRITES[rpc][0], await prepare(responders), new_id()
        before = await list_types(responders.sari, name)
        replies = await asyncio.gather(*(write(responders, rpc, name, request_id, said) for _ in range(10)))
        assert all(each == replies[0] for each in replies)
        assert len(await list_types(responders.sari, name)) == len(before) + 1

    async def test_a_repetition_sends_nobody_again_who_has_come_home_since(self, responders: Responders) -> None:
        name, request_id = await prepare(responders), new_id()
        said = {"name": name, "units": ["units/amb-2"], "requestId": request_id}
        await responders.rina("DispatchAlert", **said)
        await responders.move_on(name, "units/amb-2", "DONE")
        late = await responders.rina("DispatchAlert", **said)
        assert statuses_of(late) == {"units/amb-1": "ASSIGNED", "units/amb-2": "DONE"}
        assert (await responders.sari("GetUnit", name="units/amb-2")).alert == ""

    async def test_a_repetition_takes_no_unit_back(self, responders: Responders) -> None:
        name, request_id = await prepare(responders), new_id()
        said = {"name": name, "unit": "units/amb-1", "status": "ACCEPTED", "requestId": request_id}
        await responders.tono("UpdateAssignment", **said)
        await responders.move_on(name, "units/amb-1", "ON_SCENE", by=responders.tono)
        assert statuses_of(await responders.tono("UpdateAssignment", **said)) == {"units/amb-1": "ON_SCENE"}

    async def test_a_crews_last_word_is_repeated_although_it_sees_the_alert_no_more(self, responders: Responders) -> None:
        name, request_id = await prepare(responders), new_id()
        said = {"name": name, "unit": "units/amb-1", "status": "DONE", "requestId": request_id}
        first = await responders.tono("UpdateAssignment", **said)
        assert await responders.tono("UpdateAssignment", **said) == first

    async def test_a_repeated_answer_takes_nothing_again_that_was_given_back_since(self, responders: Responders) -> None:
        name, request_id = await prepare(responders), new_id()
        await responders.oka("RespondToRequest", name=name, answer="ACCEPT", requestId=request_id)
        await responders.oka("ReleaseAlert", name=name)
        late = await responders.oka("RespondToRequest", name=name, answer="ACCEPT", requestId=request_id)
        assert states_of(late)[POLICE] == "REQUESTED"

    async def test_what_was_given_away_meanwhile_can_be_repeated(self, responders: Responders) -> None:
        name, _ = await responders.take()
        said = {"name": name, "agency": POLICE, "reason": "theirs", "requestId": new_id()}
        text = {"name": name, "text": "we come", "requestId": new_id()}
        contact = {"name": name, "means": "CALL", "result": "BUSY", "requestId": new_id()}
        sent = await responders.rina("SendMessage", **text)
        await responders.rina("RecordContact", **contact)
        await responders.rina("HandOverAlert", **said)
        await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        assert (await responders.rina("HandOverAlert", **said)).agency == POLICE
        assert await responders.rina("SendMessage", **text) == sent
        assert is_redacted(await responders.rina("RecordContact", **contact))

    async def test_a_callers_text_is_one_also_when_their_own_token_has_expired(self, responders: Responders) -> None:
        name, caller = await responders.raise_alert(responders.dewi)
        text = {"name": name, "text": "hurry", "requestId": new_id()}
        first = await caller("SendMessage", **text)
        assert await responders.nobody.holding(caller.alert_token)("SendMessage", **text) == first

    async def test_a_repeated_text_is_the_same_one_and_another_rpc_under_its_id_is_refused(self, responders: Responders) -> None:
        name, request_id = await prepare(responders), new_id()
        first = await responders.rina("SendMessage", name=name, text="we come", requestId=request_id)
        assert await responders.rina("SendMessage", name=name, text="we come", requestId=request_id) == first
        assert len((await responders.rina("ListMessages", name=name)).messages) == 1
        refused = await refusal_of(responders.rina("AddNote", name=name, text="we come", requestId=request_id))
        assert refused[:2] == REUSED
        # Without an id a repetition is another one.
        for _ in range(2):
            await responders.rina("SendMessage", name=name, text="we come")
        assert len((await responders.rina("ListMessages", name=name)).messages) == 3

    async def test_a_refused_one_leaves_no_key(self, responders: Responders) -> None:
        name, request_id = await prepare(responders), new_id()
        said = {"name": name, "units": ["units/amb-2"], "requestId": request_id}
        await responders.sari("EndDuty", name="units/amb-2")
        assert (await refusal_of(responders.rina("DispatchAlert", **said))).reason == "UNIT_OFF_DUTY"
        await responders.sari("StartDuty", name="units/amb-2")
        assert statuses_of(await responders.rina("DispatchAlert", **said))["units/amb-2"] == "ASSIGNED"


class TestWhatChangesAUnit:
    async def test_it_happens_once_and_another_body_is_refused(self, responders: Responders) -> None:
        boat = {"kind": "BOAT", "displayName": "B 1"}
        created = await responders.sari("CreateUnit", unit=boat)
        name = created.name
        writes: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("CreateUnit", {"unit": boat}, {"unit": {**boat, "displayName": "B 2"}}),
            ("CreateUnit", {"unit": boat, "unitId": "b-3"}, {"unitId": "b-4"}),
            ("UpdateUnit", {"unit": {"name": name, "displayName": "B 5"}}, {"unit": {"name": name, "displayName": "B 6"}}),
            ("StartDuty", {"name": name}, {"name": "units/b-3"}),
            ("EndDuty", {"name": name}, {"name": "units/b-3"}),
        ]
        for rpc, said, said_then in writes:
            request_id = new_id()
            replies = await asyncio.gather(*(responders.sari(rpc, requestId=request_id, **said) for _ in range(8)))
            assert all(each == replies[0] for each in replies), rpc
            refused = await refusal_of(responders.sari(rpc, requestId=request_id, **{**said, **said_then}))
            assert refused[:2] == REUSED, rpc
        assert len((await responders.sari("ListUnits")).units) == 3

    async def test_a_repetition_does_not_undo_what_was_done_since(self, responders: Responders) -> None:
        name, request_id = await responders.make_unit(), new_id()
        await responders.tono("EndDuty", name=name, requestId=request_id)
        await responders.tono("StartDuty", name=name)
        assert (await responders.tono("EndDuty", name=name, requestId=request_id)).duty == unit_pb2.Unit.ON_DUTY

    async def test_a_repeated_creation_shows_what_the_unit_is_at_work_for(self, responders: Responders) -> None:
        said = {"unitId": "amb-1", "unit": {"kind": "AMBULANCE", "displayName": "A"}, "requestId": new_id()}
        unit = (await responders.sari("CreateUnit", **said)).name
        await responders.sari("StartDuty", name=unit)
        name, _ = await responders.take()
        await responders.send(name, unit)
        again = await responders.sari("CreateUnit", **said)
        assert again == await responders.sari("GetUnit", name=unit)
        assert again.alert == name

    async def test_a_removal_is_repeated_and_what_was_removed_is_not_made_again(self, responders: Responders) -> None:
        made, removed = new_id(), new_id()
        said = {"unitId": "amb-1", "unit": {"kind": "AMBULANCE", "displayName": "A"}, "requestId": made}
        name = (await responders.sari("CreateUnit", **said)).name
        for _ in range(2):
            await responders.sari("DeleteUnit", name=name, requestId=removed)
        assert (await refusal_of(responders.sari("DeleteUnit", name=name, etag="x", requestId=removed)))[:2] == REUSED
        assert (await refusal_of(responders.sari("DeleteUnit", name=name)))[:2] == ("NOT_FOUND", "UNIT_NOT_FOUND")
        assert (await refusal_of(responders.sari("CreateUnit", **said)))[:2] == ("NOT_FOUND", "UNIT_NOT_FOUND")

    async def test_a_repeated_report_moves_nobody(self, responders: Responders) -> None:
        name, request_id = await responders.make_unit(), new_id()
        # Without a time it would be of now each time.
        said = {"reports": [{"unit": name, "position": {"point": {"latitude": -6.1, "longitude": 106.8}}}], "requestId": request_id}
        assert (await responders.tono("ReportUnitPositions", **said)).moved == 1
        await responders.tono("ReportUnitPositions", reports=[report(name, -6.2)])
        assert (await responders.tono("ReportUnitPositions", **said)).moved == 0
        assert (await responders.tono("GetUnit", name=name)).position.point.latitude == -6.2
        refused = await refusal_of(responders.tono("ReportUnitPositions", reports=[report(name)], requestId=request_id))
        assert refused[:2] == REUSED
