"""PINs: what a cancel means to the agency, how they are set, and who reads what is restricted."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest
from crews import POLICE
from emergencies import NEAR, Incidents, beside, wait_until_assessed
from locking import let_go_together, on_postgres
from people import MONAS, ROOM, People, new_id, refusal_of
from responders import Responders
from threatened import DURESS, PIN, WRONG, attempt, cancel, fresh, look, seen, set_pins

from siaga.alerts.v1 import alert_pb2


async def rest_with_another(people: People) -> tuple[str, str, str]:
    """An alert of somebody's, one of Dewi's that rests with it, and their incident; Dewi has PINs."""
    await set_pins(people)
    lead, _ = await people.raise_alert(people.nobody, **beside(0))
    name, _ = await people.raise_alert(people.dewi, **beside(NEAR))
    await wait_until_assessed(people)
    incident = (await people.sari("GetAlert", name=name)).incident
    return lead, name, incident


class TestWhatACancelMeans:
    async def test_with_the_right_pin_the_agency_closes_it_too(self, people: People) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        watching = people.rina.watch("WatchAlerts")
        await watching.read_snapshot()
        await cancel(people.dewi, name, PIN)
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")
        assert (await watching.read_event())[0] == "AlertCancelled"
        assert (await watching.read()).left.name == name

    @pytest.mark.parametrize(("pin", "claim"), [("", "UNVERIFIED"), (WRONG, "UNVERIFIED"), (DURESS, "DURESS")])
    async def test_with_any_other_the_agency_works_on(self, people: People, pin: str, claim: str) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        await cancel(people.dewi, name, pin)
        assert await seen(people, name) == ("RAISED", claim)
        await people.rina("AcknowledgeAlert", name=name)
        assert await seen(people, name) == ("ACKNOWLEDGED", claim)

    @pytest.mark.parametrize("how", [{"silent": True}, {"kind": "VIOLENCE"}, {"conflictAgency": "agencies/jakarta-police"}])
    async def test_a_restricted_one_stays_open_whatever_the_pin(self, people: People, how: dict[str, Any]) -> None:
        await set_pins(people)
        name, caller = await people.raise_alert(people.dewi, **how)
        await cancel(caller, name, PIN)
        assert await seen(people, name) == ("RAISED", "VERIFIED")

    async def test_who_has_no_pin_is_never_verified(self, people: People) -> None:
        for by in (people.adi, people.nobody):
            name, caller = await people.raise_alert(by)
            await cancel(caller, name, PIN)
            assert await seen(people, name) == ("RAISED", "UNVERIFIED")

    async def test_the_token_of_an_accounts_alert_takes_the_accounts_pin(self, people: People) -> None:
        await set_pins(people)
        name, caller = await people.raise_alert(people.dewi)
        await cancel(caller, name, DURESS)
        assert await seen(people, name) == ("RAISED", "DURESS")

    async def test_a_better_pin_counts_later_and_a_worse_one_does_not(self, people: People) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        first = await cancel(people.dewi, name)
        for pin, expected in ((WRONG, ("RAISED", "UNVERIFIED")), (PIN, ("CANCELLED", "VERIFIED")), (DURESS, ("RAISED", "DURESS"))):
            assert await cancel(people.dewi, name, pin) == first
            assert await seen(people, name) == expected
        assert await cancel(people.dewi, name, PIN) == first
        assert await seen(people, name) == ("RAISED", "DURESS")

    async def test_under_duress_it_rests_with_no_other_and_is_nobodys_duplicate(self, people: People) -> None:
        lead, name, incident = await rest_with_another(people)
        await cancel(people.dewi, name, "")
        assert (await people.sari("GetAlert", name=name)).merged_into == lead
        await cancel(people.dewi, name, DURESS)
        assert (await people.sari("GetAlert", name=name)).merged_into == ""
        await people.rina("AcknowledgeAlert", name=lead)
        await Incidents(people.rina)("ResolveIncident", name=incident, outcome="HELPED")
        assert await seen(people, lead) == ("RESOLVED", "CANCEL_CLAIM_UNSPECIFIED")
        assert await seen(people, name) == ("RAISED", "DURESS")

    async def test_the_duress_pin_after_the_right_one_wakes_the_agency_again(self, people: People) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        await people.rina("AcknowledgeAlert", name=name)
        await cancel(people.dewi, name, PIN)
        watching = people.rina.watch("WatchAlerts")
        await watching.read_snapshot()
        await cancel(people.dewi, name, DURESS)
        kinds = [(await watching.read_event())[0] for _ in range(2)]
        assert kinds == ["CancelClaimed", "AlertReopened"]
        assert await people.rina.list_names(state=["RAISED"]) == [name]

    # The caller of a silent one is not shown that the agency has ended it.
    @pytest.mark.parametrize(
        ("before", "how"), [("", {}), (WRONG, {}), ("", {"kind": "VIOLENCE"}), ("", {"silent": True}), (None, {"silent": True})]
    )
    async def test_the_duress_pin_after_the_agency_ended_it_wakes_it_again(
        self, people: People, before: str | None, how: dict[str, Any]
    ) -> None:
        await set_pins(people)
        name, holder = await people.raise_alert(people.dewi, **how)
        caller = people.dewi.holding(holder.alert_token)
        if before is not None:
            await cancel(caller, name, before)
        await people.sari("AcknowledgeAlert", name=name)
        await people.sari("ResolveAlert", name=name, outcome="FALSE_ALARM")
        shown = await cancel(caller, name, DURESS)
        assert shown.state == alert_pb2.Alert.CANCELLED
        assert await seen(people, name) == ("RAISED", "DURESS")
        assert (await people.sari("GetAlert", name=name)).outcome == 0
        told = [each.type for each in (await people.sari("ListAlertEvents", name=name)).events]
        assert [each for each in told if each != "AlertRead"][-1] == "AlertReopened"
        await people.sari("AcknowledgeAlert", name=name)
        await people.sari("ResolveAlert", name=name, outcome="HELPED")

    @pytest.mark.parametrize("never_closed", [0, 1])
    async def test_an_incident_that_it_opens_again_is_resolved_again(self, people: People, never_closed: int) -> None:
        lead, name, incident = await rest_with_another(people)
        assert (await people.sari("GetAlert", name=name)).merged_into == lead
        by = Incidents(people.rina)
        await by("AcknowledgeIncident", name=incident)
        # A restricted one is no part of what the incident is resolved with.
        restricted = [(await people.raise_alert(kind="VIOLENCE"))[0] for _ in range(never_closed)]
        await Incidents(people.sari)("MergeAlerts", alerts=[lead, name, *restricted])
        await cancel(people.dewi, name, WRONG)
        assert (await by("ResolveIncident", name=incident, outcome="HELPED")).open_count == never_closed
        await cancel(people.dewi, name, DURESS)
        assert (await by("AcknowledgeIncident", name=incident)).open_count == never_closed + 1
        assert (await by("ResolveIncident", name=incident, outcome="HELPED")).open_count == never_closed
        assert await seen(people, name) == ("RESOLVED", "DURESS")


class TestWhatContactsAreShown:
    """Those whom the caller chose, by the service that told them."""

    @pytest.mark.parametrize("how", [{}, {"silent": True}, {"kind": "VIOLENCE"}])
    async def test_the_close_ends_it_whatever_the_caller_is_shown(self, people: People, how: dict[str, Any]) -> None:
        told = people.sign_in("circles", "service")
        name, _ = await people.raise_alert(people.dewi, location={"point": MONAS}, **how)
        await people.rina("AcknowledgeAlert", name=name)
        assert (await told("GetAlertView", name=name)).location.point.latitude == MONAS["latitude"]
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await refusal_of(told("GetAlertView", name=name))).reason == "ALERT_NOT_FOUND"

    @pytest.mark.parametrize("pin", [PIN, DURESS, ""])
    @pytest.mark.parametrize("how", [{}, {"silent": True}])
    async def test_the_cancel_ends_it_whichever_pin_came_along(self, people: People, how: dict[str, Any], pin: str) -> None:
        await set_pins(people)
        told = people.sign_in("circles", "service")
        name, caller = await people.raise_alert(people.dewi, location={"point": MONAS}, **how)
        await cancel(caller, name, pin)
        assert (await refusal_of(told("GetAlertView", name=name))).reason == "ALERT_NOT_FOUND"


class TestGuessing:
    async def test_after_five_wrong_ones_the_right_one_is_wrong_and_nobody_is_told(self, people: People) -> None:
        await set_pins(people)
        replies = list[str]()
        for pin in (WRONG, "1111", "2222", "3333", "4444", PIN):
            name, _ = await people.raise_alert(people.dewi)
            replies.append(look(await cancel(people.dewi, name, pin)))
            assert await seen(people, name) == ("RAISED", "UNVERIFIED")
        assert len(set(replies)) == 1

    async def test_the_duress_pin_counts_all_the_same(self, people: People) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        for pin in (WRONG, "1111", "2222", "3333", "4444", "5555", DURESS):
            await cancel(people.dewi, name, pin)
        assert await seen(people, name) == ("RAISED", "DURESS")

    async def test_a_stranger_tries_nobodys_pin(self, people: People) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        for _ in range(6):
            assert (await refusal_of(cancel(people.adi, name, WRONG)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        await cancel(people.dewi, name, PIN)
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")


class TestSettingPins:
    async def test_a_sign_in_of_long_ago_needs_the_old_pin(self, people: People) -> None:
        for stale in (people.dewi, people.sign_in("dewi", "citizen", auth_time=int(time.time()) - 301)):
            refused = await refusal_of(stale("SetPins", pin=PIN, duressPin=DURESS))
            assert refused[:2] == ("PERMISSION_DENIED", "SIGN_IN_REQUIRED")
        await set_pins(people)
        await people.dewi("SetPins", pin="7531", duressPin="8642", oldPin=PIN)
        name, _ = await people.raise_alert(people.dewi)
        await cancel(people.dewi, name, "7531")
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")

    async def test_a_wrong_old_pin_is_refused_and_five_of_them_are_the_end_of_guessing(self, people: People) -> None:
        await set_pins(people)
        for old in (WRONG, "1111", "2222", "3333", "4444", PIN):
            refused = await refusal_of(people.dewi("SetPins", pin="7531", duressPin="8642", oldPin=old))
            assert refused[:2] == ("PERMISSION_DENIED", "WRONG_PIN")

    async def test_the_duress_pin_as_the_old_one_only_seems_to_set_them(self, people: People) -> None:
        await set_pins(people)
        told = await people.dewi("SetPins", pin="7531", duressPin="8642", oldPin=DURESS)
        assert told == await fresh(people, "adi")("SetPins", pin="7531", duressPin="8642")
        name, _ = await people.raise_alert(people.dewi)
        # Nobody else knows it.
        await cancel(people.dewi, name, "7531")
        assert await seen(people, name) == ("RAISED", "DURESS")
        name, _ = await people.raise_alert(people.dewi)
        await cancel(people.dewi, name, PIN)
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")

    async def test_a_repetition_is_told_the_same(self, people: People) -> None:
        await set_pins(people)
        for old, reason in ((PIN, ""), (WRONG, "WRONG_PIN")):
            request = {"pin": "7531", "duressPin": "8642", "oldPin": old, "requestId": new_id()}
            assert [await attempt(people.dewi, **request) for _ in range(2)] == [reason] * 2

    async def test_a_repetition_is_told_so_after_the_sign_in_has_grown_old(self, people: People) -> None:
        request = {"pin": PIN, "duressPin": DURESS, "requestId": new_id()}
        said = [await attempt(party, **request) for party in (people.dewi, fresh(people), people.dewi)]
        assert said == ["SIGN_IN_REQUIRED", "", ""]
        assert await attempt(people.dewi, **request | {"requestId": new_id()}) == "SIGN_IN_REQUIRED"

    @on_postgres
    async def test_of_several_first_ones_at_once_each_sets_them(self, people: People, database_url: str) -> None:
        party = fresh(people)
        async with let_go_together(database_url, "callers", 6):
            setting = [asyncio.create_task(attempt(party, pin=f"{each}580", duressPin=DURESS)) for each in range(6)]
        assert await asyncio.gather(*setting) == [""] * 6

    async def test_an_old_pin_is_one_once_even_at_once_and_whichever_it_is(self, people: People) -> None:
        for user, old in (("dewi", PIN), ("adi", DURESS)):
            await set_pins(people, user)
            party = people.sign_in(user, "citizen")
            pairs = [(f"{each}531", f"{each}642") for each in range(6)]
            said = await asyncio.gather(*(attempt(party, pin=pin, duressPin=duress, oldPin=old) for pin, duress in pairs))
            assert sorted(said) == ["", *["WRONG_PIN"] * 5]
            # They were guesses, and no more are allowed.
            [new] = [pin for (pin, _), reason in zip(pairs, said, strict=True) if not reason]
            assert await attempt(party, pin="7531", duressPin="8642", oldPin=new) == "WRONG_PIN"

    @pytest.mark.parametrize("duress", [PIN, "2581", "3580", "25800", "12580", "25580", "2850", "5280"])
    async def test_one_that_could_be_typed_for_the_other_is_refused(self, people: People, duress: str) -> None:
        refused = await refusal_of(fresh(people)("SetPins", pin=PIN, duressPin=duress))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "PINS_TOO_ALIKE", ["duressPin"])

    async def test_while_an_alert_is_open_the_old_ones_hold(self, people: People) -> None:
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        await set_pins(people, pin="7531", duressPin="8642")
        await cancel(people.dewi, name, "7531")
        assert await seen(people, name) == ("RAISED", "UNVERIFIED")
        await cancel(people.dewi, name, PIN)
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")
        # It has ended: the new ones hold from now on.
        name, _ = await people.raise_alert(people.dewi)
        await cancel(people.dewi, name, "7531")
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")

    async def test_they_hold_after_the_agency_has_closed_the_last_one(self, people: People) -> None:
        name, _ = await people.raise_alert(people.dewi)
        await set_pins(people)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        name, _ = await people.raise_alert(people.dewi)
        await cancel(people.dewi, name, PIN)
        assert await seen(people, name) == ("CANCELLED", "VERIFIED")

    async def test_a_hundred_at_once_leave_one(self, people: People) -> None:
        party = fresh(people)
        request_id = new_id()
        calls: list[Awaitable[Any]] = [party("SetPins", pin=PIN, duressPin=DURESS, requestId=request_id) for _ in range(20)]
        await asyncio.gather(*calls)
        refused = await refusal_of(party("SetPins", pin="7531", duressPin="8642", requestId=request_id))
        assert refused.reason == "REQUEST_ID_REUSED"


async def readings(people: People, name: str) -> list[tuple[str, str]]:
    """Who read it and why, the last one excepted, which is this one."""
    events = (await people.sari("ListAlertEvents", name=name, reason="audit")).events
    return [(each.actor, each.text) for each in events if each.type == "AlertRead"][:-1]


class TestRestrictedAlerts:
    async def test_each_reading_is_recorded(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE")
        await people.sari("GetAlert", name=name)
        await people.rina("GetAlert", name=name)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("GetAlert", name=name)
        await people.sari.list_names()
        # Of those who were shown that it exists there is none.
        assert await readings(people, name) == [("sari", ""), ("rina", ""), ("sari", "")]

    async def test_a_watch_leaves_one_trace_and_nobody_is_told_of_readings(self, people: People) -> None:
        name, _ = await people.raise_alert(silent=True)
        watching = people.sari.watch("WatchAlerts")
        await watching.read_snapshot()
        other = people.machine.watch("WatchAlerts")
        await other.read_snapshot()
        await people.rina("ConfirmReceipt", name=name)
        await people.rina("AcknowledgeAlert", name=name)
        assert [(await each.read_event())[0] for each in (watching, other, watching, other)] == [
            "AlertDelivered",
            "AlertDelivered",
            "AlertAcknowledged",
            "AlertAcknowledged",
        ]
        assert await readings(people, name) == [("sari", "")]

    async def test_a_change_that_leaves_no_trace_of_its_own_is_a_reading(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE", note="he is here", location={"point": MONAS})
        await people.rina("ConfirmReceipt", name=name)
        assert (await people.sari("ConfirmReceipt", name=name)).note == "he is here"
        await people.sari("AssignAlert", name=name, assignee="sari")
        await people.sari("RecommendUnits", name=name)
        assert await readings(people, name) == [("sari", ""), ("sari", "")]

    async def test_no_change_of_a_closed_one_shows_it(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE", note="he is here", location={"point": MONAS})
        await people.rina("AcknowledgeAlert", name=name)
        request_id = new_id()
        changes: dict[str, dict[str, Any]] = {
            "ResolveAlert": {"outcome": "HELPED", "requestId": request_id},
            "ConfirmReceipt": {},
            "AddNote": {"text": "a neighbour called"},
            "RecordContact": {"means": "CALL", "result": "REACHED"},
        }
        for rpc, more in [*changes.items(), ("ResolveAlert", changes["ResolveAlert"])]:
            shown = await people.rina(rpc, name=name, **more)
            assert (shown.state, shown.note, shown.kind) == (alert_pb2.Alert.RESOLVED, "", 0)
        assert (await refusal_of(people.sari("RecommendUnits", name=name))).reason == "ALERT_CLOSED"

    async def test_a_closed_one_needs_a_reason(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        for rpc in ("GetAlert", "ListAlertEvents", "ListMessages"):
            for reason in ("", " ", "\t\u3000"):
                refused = await refusal_of(people.sari(rpc, name=name, reason=reason))
                assert refused[:2] == ("FAILED_PRECONDITION", "REASON_REQUIRED")
        assert (await people.sari("GetAlert", name=name, reason="the court asks")).kind == alert_pb2.Alert.VIOLENCE
        assert [each.kind for each in (await people.sari("ListAlerts")).alerts] == [0]
        assert await readings(people, name) == [("sari", "the court asks")]


class TestAnAgencyInConflict:
    async def test_it_never_learns_of_the_alert_and_the_police_do(self, responders: Responders) -> None:
        for place in ({"location": {"point": MONAS}}, {}):
            name, caller = await responders.raise_alert(conflictAgency=ROOM, **place)
            assert await responders.sari.list_names() == []
            assert (await refusal_of(responders.sari("GetAlert", name=name))).reason == "ALERT_NOT_FOUND"
            assert (await responders.chief("GetAlert", name=name)).conflict_agency == ROOM
            shown = await caller("GetAlert", name=name)
            assert (shown.restricted, shown.conflict_agency) == (True, "")
            await responders.oka("AcknowledgeAlert", name=name)
            # Wherever it is needed, it stays with them.
            moved = await responders.oka("UpdateAlert", alert={"name": name, "target": {"point": MONAS}}, updateMask="target")
            assert (moved.agency, len(moved.responses)) == (POLICE, 1)

    async def test_where_nobody_else_answers_it_does_and_the_caller_is_told_so(self, people: People) -> None:
        raised = await people.dewi("RaiseAlert", conflictAgency=ROOM)
        assert list(raised.ignored_fields) == ["conflictAgency"]
        assert (await people.sari("GetAlert", name=raised.alert.name)).restricted
        assert not (await people.rina("GetAlert", name=raised.alert.name)).note

    async def test_nobody_can_bring_it_in(self, people: People) -> None:
        name, _ = await people.raise_alert(conflictAgency="agencies/bandung-112")
        await people.rina("AcknowledgeAlert", name=name)
        for rpc in ("RequestAgency", "HandOverAlert"):
            refused = await refusal_of(people.rina(rpc, name=name, agency="agencies/bandung-112"))
            assert refused.reason in {"AGENCY_IN_CONFLICT", "AGENCY_NOT_FOUND"}
