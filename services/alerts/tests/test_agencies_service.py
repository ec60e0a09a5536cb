"""Several agencies on one alert, over gRPC: what each RPC does, whom it refuses and why."""

from typing import Any

import pytest
from cities import BANDUNG, IN_BANDUNG, JAKARTA
from crews import FIRE, POLICE
from people import MONAS, OTHER_ROOM, ROOM, Party, new_id, refusal_of
from responders import Responders, is_redacted, states_of, statuses_of
from threatened import PIN, set_pins

from siaga.alerts.v1 import alert_pb2, events_pb2
from siaga.alerts.v1.alert_service_pb2 import UpdateAlertRequest

CLOSED = ("FAILED_PRECONDITION", "ALERT_CLOSED")
NOT_CLAIMANT = ("PERMISSION_DENIED", "NOT_CLAIMANT")
NOT_FOUND = ("NOT_FOUND", "ALERT_NOT_FOUND")
NOT_ACKNOWLEDGED = ("FAILED_PRECONDITION", "NOT_ACKNOWLEDGED")
NOT_REQUESTED = ("FAILED_PRECONDITION", "NOT_REQUESTED")


def state(alert: alert_pb2.Alert) -> str:
    return alert_pb2.Alert.State.Name(alert.state)


async def timeline(party: Party, name: str) -> list[events_pb2.AlertEvent]:
    return list((await party("ListAlertEvents", name=name)).events)


async def test_a_fire_has_three_agencies_and_everybody_sees_their_own(responders: Responders) -> None:
    rina, oka, eka = responders.rina, responders.oka, responders.eka
    ambulance, car = await responders.make_unit(), await responders.make_car()
    name, caller = await responders.take(kind="FIRE", note="third floor")
    await rina("RequestAgency", name=name, agency=POLICE, reason="the street is blocked")
    await rina("RequestAgency", name=name, agency=FIRE, reason="a fire")
    asked = await oka("GetAlert", name=name)
    assert states_of(asked) == {ROOM: "ACCEPTED leads", POLICE: "REQUESTED", FIRE: "REQUESTED"}
    assert [(each.requester, each.reason) for each in asked.responses[1:]] == [(ROOM, "the street is blocked"), (ROOM, "a fire")]
    await oka("RespondToRequest", name=name, answer="ACCEPT")
    refused = await eka("RespondToRequest", name=name, answer="REJECT", reason="all engines are out")
    assert is_redacted(refused)
    seen = await rina("GetAlert", name=name)
    assert states_of(seen) == {ROOM: "ACCEPTED leads", POLICE: "ACCEPTED", FIRE: "REJECTED"}
    assert seen.responses[2].reason == "all engines are out"
    await responders.send(name, ambulance)
    await responders.send(name, car, by=oka)
    await responders.move_on(name, car, "EN_ROUTE", "ON_SCENE", by=responders.joko)
    seen = await rina("GetAlert", name=name)
    assert (state(seen), statuses_of(seen)) == ("ON_SCENE", {ambulance: "ASSIGNED", car: "ON_SCENE"})
    closed = await rina("ResolveAlert", name=name, outcome="HELPED")
    assert states_of(closed) == {ROOM: "DONE leads", POLICE: "DONE", FIRE: "REJECTED"}
    assert statuses_of(closed) == {ambulance: "DONE", car: "DONE"}

    entries = [(each.type, each.actor, each.agency, list(each.units), each.status) for each in await timeline(oka, name)]
    status = alert_pb2.Alert.Assignment
    assert entries[2:] == [
        ("AlertAcknowledged", "rina", "", [], 0),
        ("AgencyRequested", "rina", POLICE, [], 0),
        ("AgencyRequested", "rina", FIRE, [], 0),
        ("AgencyAccepted", "oka", POLICE, [], 0),
        ("AgencyRejected", "eka", FIRE, [], 0),
        ("AlertDispatched", "rina", "", [ambulance], 0),
        ("AlertDispatched", "oka", "", [car], 0),
        ("AssignmentUpdated", "joko", "", [car], status.EN_ROUTE),
        ("AssignmentUpdated", "joko", "", [car], status.ON_SCENE),
        ("AlertResolved", "rina", "", [], 0),
    ]
    of_caller = await timeline(caller, name)
    assert [each.type for each in of_caller] == [
        *("AlertRaised", "AlertRouted", "AlertAcknowledged", "AlertDispatched", "AssignmentUpdated", "AlertResolved")
    ]
    assert {field.name for each in of_caller for field, _ in each.ListFields()} == {"name", "type", "audience", "create_time"}
    shown = await caller("GetAlert", name=name)
    assert (state(shown), shown.HasField("dispatch_time"), shown.HasField("arrive_time")) == ("RESOLVED", True, True)
    assert not shown.responses
    assert not shown.assignments


class TestAssigning:
    async def test_the_caller_is_told_that_somebody_has_it(self, responders: Responders) -> None:
        name, caller = await responders.raise_alert()
        watching = caller.watch("WatchAlert", name=name)
        await watching.read_snapshot()
        given = await responders.sari("AssignAlert", name=name, assignee="budi")
        assert (state(given), given.responses[0].operator) == ("ACKNOWLEDGED", "budi")
        kind, shown = await watching.read_event()
        assert (kind, state(shown)) == ("AlertAcknowledged", "ACKNOWLEDGED")
        await responders.sari("AssignAlert", name=name, assignee="rina")
        entries = [(each.type, each.actor, each.assignee) for each in (await timeline(responders.rina, name))[2:]]
        assert entries == [
            ("AlertAcknowledged", "sari", ""),
            ("AlertAssigned", "sari", "budi"),
            ("AlertAssigned", "sari", "rina"),
        ]
        # What passes between colleagues is no news to them.
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await watching.read_event())[0] == "AlertResolved"

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        name, caller = await responders.take()
        sari, chief, citra = responders.sari, responders.chief, responders.citra
        for party in (responders.rina, responders.machine, responders.dewi, responders.tono):
            assert (await refusal_of(party("AssignAlert", name=name, assignee="x")))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert (await refusal_of(caller("AssignAlert", name=name, assignee="x")))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")
        assert (await refusal_of(citra("AssignAlert", name=name, assignee="citra")))[:2] == NOT_FOUND
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        refused = await refusal_of(chief("AssignAlert", name=name, assignee="oka"))
        assert refused[:3] == ("ABORTED", "ALREADY_ACKNOWLEDGED", {"operator": "rina", "agency": ROOM})
        await responders.oka("RespondToRequest", name=name, answer="REJECT", reason="no")
        assert (await refusal_of(chief("AssignAlert", name=name, assignee="oka")))[:2] == NOT_CLAIMANT
        refused = await refusal_of(sari("AssignAlert", name=name))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["assignee"])
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await refusal_of(sari("AssignAlert", name=name, assignee="budi")))[:2] == CLOSED


class TestAsking:
    @pytest.mark.parametrize("rpc", ["RequestAgency", "HandOverAlert"])
    async def test_whom_it_refuses(self, responders: Responders, rpc: str) -> None:
        rina, budi = responders.rina, responders.budi
        name, _ = await responders.raise_alert()
        assert (await refusal_of(rina(rpc, name=name, agency=POLICE)))[:2] == NOT_ACKNOWLEDGED
        await rina("AcknowledgeAlert", name=name)
        unknown = await refusal_of(rina(rpc, name=name, agency="agencies/nobody"))
        assert unknown[:2] == ("NOT_FOUND", "AGENCY_NOT_FOUND")
        assert (await refusal_of(budi(rpc, name=name, agency=POLICE)))[:2] == NOT_CLAIMANT
        assert (await refusal_of(responders.oka(rpc, name=name, agency=FIRE)))[:2] == NOT_FOUND
        refused = await refusal_of(responders.machine(rpc, name=name, agency=POLICE))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED", ["operator"])
        refused = await refusal_of(rina(rpc, name=name, agency="police"))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["agency"])
        await responders.ask_police(name)
        # Who helps may ask for more help, and hand nothing over.
        refusals = {"RequestAgency": None, "HandOverAlert": NOT_CLAIMANT}
        if refusals[rpc]:
            assert (await refusal_of(responders.oka(rpc, name=name, agency=FIRE)))[:2] == refusals[rpc]
        else:
            assert states_of(await responders.oka(rpc, name=name, agency=FIRE))[FIRE] == "REQUESTED"
        await rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await refusal_of(rina(rpc, name=name, agency=OTHER_ROOM)))[:2] == CLOSED

    async def test_of_a_restricted_alert_only_who_sees_it_asks(self, responders: Responders) -> None:
        name, _ = await responders.take(kind="VIOLENCE", note="he is here")
        assert (await refusal_of(responders.budi("RequestAgency", name=name, agency=POLICE)))[:2] == NOT_CLAIMANT
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        assert is_redacted(await responders.oka("GetAlert", name=name))
        accepted = await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        assert (accepted.note, states_of(accepted)[POLICE]) == ("he is here", "ACCEPTED")
        assert is_redacted(await responders.putu("GetAlert", name=name))

    async def test_who_has_refused_is_told_of_a_cancel_that_closed_it_and_of_no_other(self, responders: Responders) -> None:
        await set_pins(responders)
        for pin, told in ((PIN, "AlertCancelled"), ("", "AlertResolved")):
            name, caller = await responders.take()
            await responders.rina("RequestAgency", name=name, agency=POLICE)
            await responders.oka("RespondToRequest", name=name, answer="REJECT", reason="no car")
            watching = responders.oka.watch("WatchAlert", name=name)
            await watching.read_snapshot()
            await caller("CancelAlert", name=name, pin=pin)
            if not pin:
                await responders.rina("ResolveAlert", name=name, outcome="HELPED")
            assert (await watching.read_event())[0] == told
            assert await watching.read_end() == "ALERT_CLOSED"

    async def test_an_answer_is_refused_to_whom_nobody_asked(self, responders: Responders) -> None:
        name, _ = await responders.take()
        answers: list[dict[str, Any]] = [{"answer": "ACCEPT"}, {"answer": "REJECT", "reason": "no"}]
        for answer in answers:
            assert (await refusal_of(responders.rina("RespondToRequest", name=name, **answer)))[:2] == NOT_REQUESTED
            assert (await refusal_of(responders.oka("RespondToRequest", name=name, **answer)))[:2] == NOT_FOUND
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        for reason in ("", " "):
            refused = await refusal_of(responders.oka("RespondToRequest", name=name, answer="REJECT", reason=reason))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["reason"])
        refused = await refusal_of(responders.oka("RespondToRequest", name=name))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["answer"])
        refused = await refusal_of(responders.police_system("RespondToRequest", name=name, answer="ACCEPT"))
        assert refused[:2] == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED")
        await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        await responders.rina("HandOverAlert", name=name, agency=POLICE)
        # Of what a colleague holds.
        refused = await refusal_of(responders.putu("RespondToRequest", name=name, answer="ACCEPT"))
        assert refused[:3] == ("ABORTED", "ALREADY_ACKNOWLEDGED", {"operator": "oka", "agency": POLICE})
        refused = await refusal_of(responders.putu("RespondToRequest", name=name, answer="REJECT", reason="no"))
        assert refused[:2] == NOT_CLAIMANT
        await responders.oka("RespondToRequest", name=name, answer="REJECT", reason="you do it")
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        for answer in answers:
            assert (await refusal_of(responders.oka("RespondToRequest", name=name, **answer)))[:2] == CLOSED

    async def test_who_has_refused_acts_no_more_until_asked_again(self, responders: Responders) -> None:
        name, _ = await responders.take()
        oka = responders.oka
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        await oka("RespondToRequest", name=name, answer="REJECT", reason="no")
        acts: list[tuple[str, dict[str, Any]]] = [
            *(("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("ReleaseAlert", {}), ("AddNote", {"text": "a note"})),
            *(("UpdateAlert", {}), ("RequestAgency", {"agency": FIRE}), ("HandOverAlert", {"agency": FIRE})),
            *(("RecordContact", {"means": "CALL", "result": "REACHED"}), ("SendMessage", {"text": "hello"})),
            *(("ListMessages", {}), ("ListAlertEvents", {}), ("RecommendUnits", {}), ("ResolveAlert", {"outcome": "HELPED"})),
        ]
        for rpc, said in acts:
            fields = {"alert": {"name": name}} if rpc == "UpdateAlert" else {"name": name, **said}
            assert (await refusal_of(oka(rpc, **fields)))[:2] == NOT_CLAIMANT, rpc
        assert (await refusal_of(oka("RespondToRequest", name=name, answer="ACCEPT")))[:2] == NOT_REQUESTED
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        assert states_of(await oka("RespondToRequest", name=name, answer="ACCEPT"))[POLICE] == "ACCEPTED"

    async def test_an_agency_whose_units_are_at_work_refuses_once_they_are_home(self, responders: Responders) -> None:
        name, _ = await responders.take()
        car = await responders.make_car()
        await responders.ask_police(name)
        await responders.send(name, car, by=responders.oka)
        await responders.oka("ReleaseAlert", name=name)
        refused = await refusal_of(responders.putu("RespondToRequest", name=name, answer="REJECT", reason="no"))
        assert refused[:3] == ("FAILED_PRECONDITION", "UNIT_BUSY", {"unit": car})
        await responders.move_on(name, car, "DONE", by=responders.putu)
        await responders.putu("RespondToRequest", name=name, answer="REJECT", reason="no")


class TestHandingOver:
    async def test_the_lead_answers_until_the_other_one_accepts(self, responders: Responders) -> None:
        name, caller = await responders.take(kind="CRIME")
        watching = caller.watch("WatchAlert", name=name)
        await watching.read_snapshot()
        offered = await responders.rina("HandOverAlert", name=name, agency=POLICE, reason="a crime")
        assert states_of(offered) == {ROOM: "ACCEPTED leads", POLICE: "REQUESTED"}
        assert offered.responses[1].hand_over
        accepted = await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        assert (accepted.agency, states_of(accepted)) == (POLICE, {POLICE: "ACCEPTED leads", ROOM: "RELEASED"})
        assert is_redacted(await responders.rina("GetAlert", name=name))
        kind, shown = await watching.read_event()
        assert (kind, shown.agency, state(shown)) == ("AlertHandedOver", POLICE, "ACKNOWLEDGED")
        entries = [(each.type, each.actor, each.agency) for each in (await timeline(responders.oka, name))[3:]]
        assert entries == [
            ("AgencyRequested", "rina", POLICE),
            ("AgencyAccepted", "oka", POLICE),
            ("AlertHandedOver", "oka", POLICE),
        ]
        assert (await refusal_of(responders.rina("ResolveAlert", name=name, outcome="HELPED")))[:2] == NOT_CLAIMANT
        assert state(await responders.oka("ResolveAlert", name=name, outcome="HELPED")) == "RESOLVED"

    async def test_agencies_watch_what_comes_to_them_and_what_leaves(self, responders: Responders) -> None:
        name, _ = await responders.take()
        of_room, of_police = responders.budi.watch("WatchAlerts"), responders.putu.watch("WatchAlerts")
        assert [each.name for each in await of_room.read_snapshot()] == [name]
        assert await of_police.read_snapshot() == []
        await responders.rina("HandOverAlert", name=name, agency=POLICE)
        for each in (of_room, of_police):
            kind, alert = await each.read_event()
            assert (kind, states_of(alert)[POLICE]) == ("AgencyRequested", "REQUESTED")
        await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        assert [(await of_police.read_event())[0] for _ in range(2)] == ["AgencyAccepted", "AlertHandedOver"]
        assert (await of_room.read()).left.name == name
        assert [each.name for each in await responders.oka.watch("WatchAlerts").read_snapshot()] == [name]
        assert await responders.rina.watch("WatchAlerts").read_snapshot() == []
        # Whoever has left it is not told where it goes from there.
        await responders.oka("HandOverAlert", name=name, agency=FIRE)
        await responders.eka("RespondToRequest", name=name, answer="REJECT", reason="no fire")
        await responders.oka("HandOverAlert", name=name, agency=FIRE)
        await responders.eka("RespondToRequest", name=name, answer="ACCEPT")
        fresh, _ = await responders.raise_alert()
        kind, alert = await of_room.read_event()
        assert (kind, alert.name) == ("AlertRaised", fresh)


class TestUpdating:
    async def test_what_nobody_holds_goes_at_once_to_where_help_is_needed(self, responders: Responders) -> None:
        name, caller = await responders.raise_alert(location={"point": MONAS})
        moved = await responders.budi("UpdateAlert", alert={"name": name, "target": {"point": IN_BANDUNG, "addressText": "Braga"}})
        assert (moved.agency, moved.area, is_redacted(moved)) == (OTHER_ROOM, BANDUNG, True)
        seen = await responders.citra("GetAlert", name=name)
        assert (states_of(seen), seen.target.address_text) == ({OTHER_ROOM: "REQUESTED leads", ROOM: "RELEASED"}, "Braga")
        entries = [(each.type, each.actor, each.agency) for each in (await timeline(responders.citra, name))[2:]]
        assert entries == [("AlertUpdated", "budi", ""), ("AlertHandedOver", "", OTHER_ROOM)]
        shown = await caller("GetAlert", name=name)
        assert (shown.agency, shown.target.address_text) == (OTHER_ROOM, "Braga")

    async def test_what_somebody_holds_is_offered_once(self, responders: Responders) -> None:
        name, _ = await responders.take()
        for latitude in (-6.9147, -6.9148):
            target = {"point": {**IN_BANDUNG, "latitude": latitude}}
            seen = await responders.rina("UpdateAlert", alert={"name": name, "target": target})
            assert (seen.agency, seen.area) == (ROOM, BANDUNG)
            assert states_of(seen) == {ROOM: "ACCEPTED leads", OTHER_ROOM: "REQUESTED"}
        types = [(each.type, each.agency) for each in await timeline(responders.rina, name)][3:]
        assert types == [("AlertUpdated", ""), ("AgencyRequested", OTHER_ROOM), ("AlertUpdated", "")]
        accepted = await responders.citra("RespondToRequest", name=name, answer="ACCEPT")
        assert (accepted.agency, states_of(accepted)[ROOM]) == (OTHER_ROOM, "RELEASED")

    async def test_who_was_given_it_keeps_it_while_the_same_room_is_responsible(self, responders: Responders) -> None:
        name, _ = await responders.take()
        await responders.rina("HandOverAlert", name=name, agency=POLICE)
        await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
        near = {"point": {"latitude": -6.18, "longitude": 106.83}}
        seen = await responders.oka("UpdateAlert", alert={"name": name, "target": near})
        assert (seen.agency, seen.area, states_of(seen)) == (POLICE, JAKARTA, {POLICE: "ACCEPTED leads", ROOM: "RELEASED"})

    async def test_the_mask_says_what_changes(self, responders: Responders) -> None:
        name, _ = await responders.take(kind="FIRE", caller={"displayName": "Dewi", "callbackPhone": "+6281"})
        rina = responders.rina
        new = {"name": name, "kind": "MEDICAL", "caller": {"callbackPhone": "+6282"}, "contactPreference": "TEXT"}
        seen = await rina("UpdateAlert", alert=new, updateMask="kind")
        assert (seen.kind, seen.caller.callback_phone, seen.contact_preference) == (alert_pb2.Alert.MEDICAL, "+6281", 0)
        seen = await rina("UpdateAlert", alert=new)
        assert (seen.caller.callback_phone, seen.caller.display_name) == ("+6282", "Dewi")
        assert seen.contact_preference == alert_pb2.Alert.TEXT
        seen = await rina("UpdateAlert", alert={"name": name}, updateMask="caller.displayName,contactPreference")
        assert (seen.caller.display_name, seen.caller.callback_phone, seen.contact_preference) == ("", "+6282", 0)
        seen = await rina("UpdateAlert", alert={"name": name, "kind": "CRIME"}, updateMask="*")
        assert (seen.kind, seen.caller.callback_phone, seen.HasField("target")) == (alert_pb2.Alert.CRIME, "", False)
        for mask in ("state", "caller.user", "caller", "note,kind"):
            refused = await refusal_of(rina("UpdateAlert", alert=new, updateMask=mask))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["updateMask"]), mask

    async def test_an_unknown_word_is_no_kind(self, responders: Responders) -> None:
        name, _ = await responders.take()
        for field, wrong in (("kind", "alert.kind"), ("contact_preference", "alert.contactPreference")):
            request = UpdateAlertRequest()
            request.alert.name = name
            setattr(request.alert, field, 99)
            refused = await refusal_of(responders.rina.send("UpdateAlert", request))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", [wrong])

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        name, _ = await responders.raise_alert(location={"point": MONAS})
        new = {"name": name, "kind": "FIRE"}
        assert (await refusal_of(responders.oka("UpdateAlert", alert=new)))[:2] == NOT_FOUND
        await responders.budi("UpdateAlert", alert=new)
        await responders.rina("AcknowledgeAlert", name=name)
        assert (await refusal_of(responders.budi("UpdateAlert", alert=new)))[:2] == NOT_CLAIMANT
        await responders.ask_police(name)
        for party in (responders.oka, responders.chief):
            assert (await refusal_of(party("UpdateAlert", alert=new)))[:2] == NOT_CLAIMANT
        assert (await refusal_of(responders.machine("UpdateAlert", alert=new)))[:2] == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED")
        etag = (await responders.sari("UpdateAlert", alert=new)).etag
        # What is so already is no change.
        assert (await responders.rina("UpdateAlert", alert={**new, "etag": etag})).etag == etag
        await responders.rina("UpdateAlert", alert={**new, "kind": "CRIME", "etag": etag})
        stale = await refusal_of(responders.rina("UpdateAlert", alert={**new, "etag": etag}))
        assert stale[:2] == ("ABORTED", "ALERT_CHANGED")
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await refusal_of(responders.rina("UpdateAlert", alert=new)))[:2] == CLOSED
        assert (await refusal_of(responders.rina("UpdateAlert", alert={"name": f"alerts/{new_id()}"})))[:2] == NOT_FOUND
