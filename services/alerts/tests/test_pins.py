"""PINs and duress: what a cancel means to the agency, and that nobody who has the phone can tell."""

import asyncio
import json
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from people import MONAS, ROOM, Party, People, new_id, refusal_of

from siaga.alerts.v1 import alert_pb2

PIN, DURESS, WRONG = "2580", "9137", "0000"
CLAIM = alert_pb2.Alert.CancelClaim
STATE = alert_pb2.Alert.State
# Between the two replies of a pair that must look alike nothing may differ but what names the alert and when.
PARTS = ("name", "createTime", "updateTime", "closeTime", "deliverTime", "acknowledgeTime", "fixTime")


def fresh(people: People, user: str = "dewi") -> Party:
    """Somebody who has signed in just now."""
    return people.sign_in(user, "citizen", name=user.title(), auth_time=int(time.time()))


async def set_pins(people: People, user: str = "dewi", **more: Any) -> None:
    await fresh(people, user)("SetPins", **{"pin": PIN, "duressPin": DURESS} | more)


async def cancel(party: Party, name: str, pin: str = "") -> Any:
    return await party("CancelAlert", name=name, pin=pin)


async def seen(people: People, name: str) -> tuple[str, str]:
    """The state and the claim that the agency is shown."""
    alert = await people.sari("GetAlert", name=name)
    return STATE.Name(alert.state), CLAIM.Name(alert.cancel_claim)


def look(message: Any) -> str:
    """What a reader can tell from a message, its own names and times aside."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: "" if key in PARTS else clean(each) for key, each in value.items()}
        return [clean(each) for each in value] if isinstance(value, list) else value

    return json.dumps(clean(MessageToDict(message)), sort_keys=True)


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


class TestNobodyCanTell:
    async def ask_every_door(self, people: People, name: str, caller: Party, pin: str) -> list[str]:
        """All that the caller's side is shown from the cancel on, while the agency does all that it can."""
        watching = [caller.watch("WatchAlert", name=name), people.dewi.watch("WatchAlert", name=name)]
        for each in watching:
            await each.read_snapshot()
        request_id = new_id()
        told: list[Any] = [await people.dewi("CancelAlert", name=name, pin=pin, requestId=request_id)]
        told.append(await people.dewi("CancelAlert", name=name, pin=pin, requestId=request_id))
        told.append(await cancel(caller, name, pin))
        for each in watching:
            told.append((await each.read()).event)
            told.append((await each.read()).end)
        # Whatever the agency does with the one that is still open to it.
        for rpc, more in (("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("AddNote", {"text": "calling", "audience": "CALLER"})):
            # One that is closed to it, too, refuses some of it.
            with suppress(grpc.aio.AioRpcError):
                await people.rina(rpc, name=name, **more)
        for party in (caller, people.dewi):
            told.append(await party("GetAlert", name=name))
            told.append(await party("ListAlertEvents", name=name))
            told.append(await party("TrackAlert", name=name, locations=[{"point": MONAS, "fixTime": "2026-03-01T12:00:00Z"}]))
            told.append(await party("ListMessages", name=name))
        told.append(next(each for each in (await people.dewi("ListAlerts")).alerts if each.name == name))
        told.append(await people.dewi("ListAlerts", state=["RAISED", "ACKNOWLEDGED"]))
        return [look(each) for each in told]

    async def test_a_duress_pin_shows_nothing_that_the_right_one_does_not(self, people: People) -> None:
        await set_pins(people)
        shown: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            name, caller = await people.raise_alert(people.dewi, location={"point": MONAS})
            shown[pin] = await self.ask_every_door(people, name, caller, pin)
        assert shown[PIN] == shown[DURESS]

    async def test_a_later_sos_tells_nothing_of_the_earlier_one(self, people: People) -> None:
        await set_pins(people)
        replies: dict[str, str] = {}
        for pin in (PIN, DURESS):
            name, _ = await people.raise_alert(people.dewi)
            await cancel(people.dewi, name, pin)
            later = await people.dewi("RaiseAlert", requestId=new_id(), kind="MEDICAL")
            replies[pin] = look(later.alert)
            await cancel(people.dewi, later.alert.name, PIN)
        assert replies[PIN] == replies[DURESS]

    async def test_the_replies_are_as_long_and_none_comes_as_soon_as_it_could(self, people: People) -> None:
        await set_pins(people)
        sizes, took = set[int](), list[float]()
        for pin in (PIN, DURESS, WRONG, PIN, DURESS):
            name, _ = await people.raise_alert(people.dewi)
            began = time.perf_counter()
            sizes.add(len(look(await cancel(people.dewi, name, pin))))
            took.append(time.perf_counter() - began)
        assert len(sizes) == 1
        # tests/recovery/test_duress.py measures how far they are apart.
        assert min(took) >= 0.25


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
        await cancel(people.dewi, name, "7531")
        assert await seen(people, name) == ("RAISED", "UNVERIFIED")

    @pytest.mark.parametrize("duress", [PIN, "2581", "3580"])
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

    async def test_a_closed_one_needs_a_reason(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        for rpc in ("GetAlert", "ListAlertEvents", "ListMessages"):
            assert (await refusal_of(people.sari(rpc, name=name)))[:2] == ("FAILED_PRECONDITION", "REASON_REQUIRED")
        assert (await people.sari("GetAlert", name=name, reason="the court asks")).kind == alert_pb2.Alert.VIOLENCE
        assert [each.kind for each in (await people.sari("ListAlerts")).alerts] == [0]
        assert await readings(people, name) == [("sari", "the court asks")]


class TestAnAgencyInConflict:
    async def test_it_never_learns_of_the_alert(self, people: People) -> None:
        name, caller = await people.raise_alert(conflictAgency=ROOM)
        assert await people.sari.list_names() == []
        assert (await refusal_of(people.sari("GetAlert", name=name))).reason == "ALERT_NOT_FOUND"
        shown = await caller("GetAlert", name=name)
        assert (shown.restricted, shown.conflict_agency) == (True, "")

    async def test_nobody_can_bring_it_in(self, people: People) -> None:
        name, _ = await people.raise_alert(conflictAgency="agencies/bandung-112")
        await people.rina("AcknowledgeAlert", name=name)
        for rpc in ("RequestAgency", "HandOverAlert"):
            refused = await refusal_of(people.rina(rpc, name=name, agency="agencies/bandung-112"))
            assert refused.reason in {"AGENCY_IN_CONFLICT", "AGENCY_NOT_FOUND"}


class TestErasure:
    async def test_what_is_closed_goes_at_once_and_the_counts_stay(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi, kind="FIRE", note="my secret", location={"point": MONAS})
        await caller("SendMessage", name=name, text="another secret")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("AddNote", name=name, text="a third one")
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        erased = await caller("EraseAlert", name=name)
        assert (erased.note, erased.HasField("location"), erased.caller.user) == ("", False, "")
        kept = await people.rina("GetAlert", name=name)
        assert (kept.kind, kept.outcome, kept.note, kept.caller.user) == (alert_pb2.Alert.FIRE, alert_pb2.Alert.HELPED, "", "")
        assert "secret" not in str((await people.rina("ListAlertEvents", name=name)).events)
        assert await people.dewi.list_names() == []

    async def test_what_is_open_goes_with_its_end_and_nobody_can_tell(self, people: People) -> None:
        await set_pins(people)
        replies: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            name, caller = await people.raise_alert(people.dewi, note="my secret", location={"point": MONAS})
            await cancel(people.dewi, name, pin)
            said = [await caller("EraseAlert", name=name), await caller("GetAlert", name=name)]
            track = {"locations": [{"point": MONAS, "fixTime": "2026-03-01T12:00:00Z"}]}
            said.append(await caller("TrackAlert", name=name, **track))
            replies[pin] = [look(each) for each in said]
            assert (await refusal_of(people.dewi("GetAlert", name=name))).reason == "ALERT_NOT_FOUND"
        assert replies[PIN] == replies[DURESS]
        seen_still = await people.rina("GetAlert", name=name)
        assert seen_still.note == "my secret"
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await people.rina("GetAlert", name=name)).note == ""

    async def test_everything_of_an_account_is_exported_and_erased(self, people: People) -> None:
        names = [(await people.raise_alert(people.dewi, note=f"note {number}"))[0] for number in range(3)]
        await people.raise_alert(people.dewi, silent=True)
        await people.raise_alert(people.adi)
        page = await people.dewi("ExportMyAlerts", pageSize=2)
        rest = await people.dewi("ExportMyAlerts", pageSize=2, pageToken=page.next_page_token)
        found = [*page.alerts, *rest.alerts]
        assert [(each.alert.name, each.alert.note) for each in found] == [(name, f"note {n}") for n, name in enumerate(names)]
        assert [each.type for each in found[0].events] == ["AlertRaised", "AlertRouted"]
        await people.dewi("EraseMyAlerts")
        assert await people.dewi.list_names() == []
        assert len(await people.adi.list_names()) == 1
