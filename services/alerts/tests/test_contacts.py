"""Between the caller and whoever answers: calls, texts, and when there must be none."""

import asyncio
from typing import Any

import pytest
from crews import POLICE
from people import Party, new_alert_token, new_id, refusal_of
from responders import Responders

from siaga.alerts.v1 import alert_service_pb2, events_pb2

CALLER, AGENCY = alert_service_pb2.AlertMessage.CALLER, alert_service_pb2.AlertMessage.AGENCY
NOT_CONTACTABLE = ("FAILED_PRECONDITION", "CALLER_NOT_CONTACTABLE")
CLOSED = ("FAILED_PRECONDITION", "ALERT_CLOSED")
NOT_FOUND = ("NOT_FOUND", "ALERT_NOT_FOUND")


async def texts(party: Party, name: str) -> list[tuple[int, str, str]]:
    found = (await party("ListMessages", name=name)).messages
    assert all(each.name.startswith(f"{name}/messages/") and each.HasField("create_time") for each in found)
    return [(each.sender, each.operator, each.text) for each in found]


class TestTexts:
    async def test_they_go_to_and_fro_and_the_caller_is_not_told_who_writes(self, responders: Responders) -> None:
        name, caller = await responders.take(responders.rina)
        sent = await responders.rina("SendMessage", name=name, text="are you alone?")
        assert (sent.sender, sent.operator, sent.text) == (AGENCY, "rina", "are you alone?")
        answer = await caller("SendMessage", name=name, text="yes")
        assert (answer.sender, answer.operator) == (CALLER, "")
        await responders.dewi("SendMessage", name=name, text="hurry")
        await responders.machine("SendMessage", name=name, text="we come", operator="Wayan")
        shown = [(AGENCY, "rina", "are you alone?"), (CALLER, "", "yes"), (CALLER, "", "hurry"), (AGENCY, "Wayan", "we come")]
        assert await texts(responders.budi, name) == shown
        assert await texts(caller, name) == [(sender, "", text) for sender, _, text in shown]

    async def test_both_sides_hear_of_them_at_once_and_none_is_in_the_log(self, responders: Responders) -> None:
        name, caller = await responders.take()
        watches = [caller.watch("WatchAlert", name=name), responders.budi.watch("WatchAlerts")]
        for each in watches:
            await each.read_snapshot()
        for party in (responders.rina, caller):
            await party("SendMessage", name=name, text="the words of the text")
            for each in watches:
                assert (await each.read_event())[0] == "MessageSent"
        for party in (responders.sari, caller):
            entries = (await party("ListAlertEvents", name=name)).events
            assert [each.text for each in entries if each.type == "MessageSent"] == ["", ""]

    async def test_they_come_in_pages(self, responders: Responders) -> None:
        name, caller = await responders.take()
        for number in range(5):
            await responders.rina("SendMessage", name=name, text=f"{number}")
        for party in (responders.budi, caller):
            read: list[str] = []
            token = ""
            for _ in range(3):
                page = await party("ListMessages", name=name, pageSize=2, pageToken=token)
                read += [each.text for each in page.messages]
                token = page.next_page_token
            assert (read, token) == ([f"{number}" for number in range(5)], "")
        other, _ = await responders.take()
        first = await responders.rina("ListMessages", name=name, pageSize=2)
        refused = await refusal_of(responders.rina("ListMessages", name=other, pageToken=first.next_page_token))
        assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")

    async def test_a_crew_writes_while_it_is_at_work(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, caller = await responders.take()
        assert (await refusal_of(responders.tono("SendMessage", name=name, text="which floor?")))[:2] == NOT_FOUND
        await responders.send(name, unit)
        await responders.tono("SendMessage", name=name, text="which floor?")
        await caller("SendMessage", name=name, text="the third")
        assert await texts(responders.tono, name) == [(AGENCY, "tono", "which floor?"), (CALLER, "", "the third")]
        await responders.move_on(name, unit, "DONE", by=responders.tono)
        assert (await refusal_of(responders.tono("ListMessages", name=name)))[:2] == NOT_FOUND

    async def test_an_agency_that_helps_writes_and_one_that_has_refused_does_not(self, responders: Responders) -> None:
        name, _ = await responders.take()
        await responders.rina("RequestAgency", name=name, agency=POLICE)
        await responders.oka("SendMessage", name=name, text="is the door locked?")
        await responders.oka("RespondToRequest", name=name, answer="REJECT", reason="no")
        for rpc, said in (("SendMessage", {"text": "hello"}), ("ListMessages", {})):
            assert (await refusal_of(responders.oka(rpc, name=name, **said)))[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT")

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        name, caller = await responders.take()
        strangers = [responders.nobody, responders.adi, responders.citra, responders.nobody.holding(new_alert_token())]
        for party in strangers:
            for rpc, said in (("SendMessage", {"text": "hello"}), ("ListMessages", {})):
                assert (await refusal_of(party(rpc, name=name, **said)))[:2] == NOT_FOUND
        assert (await refusal_of(responders.machine("SendMessage", name=name, text="hello")))[:2] == (
            "INVALID_ARGUMENT",
            "OPERATOR_REQUIRED",
        )
        for text in ("", "a" * 1001):
            refused = await refusal_of(caller("SendMessage", name=name, text=text))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["text"])
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        for party in (responders.rina, caller):
            assert (await refusal_of(party("SendMessage", name=name, text="thanks")))[:2] == CLOSED
            assert await texts(party, name) == []

    async def test_of_a_restricted_alert_they_are_for_who_holds_it(self, responders: Responders) -> None:
        name, caller = await responders.take(kind="VIOLENCE", contactPreference="TEXT")
        await caller("SendMessage", name=name, text="he is here")
        for rpc, said in (("SendMessage", {"text": "hello"}), ("ListMessages", {})):
            assert (await refusal_of(responders.budi(rpc, name=name, **said)))[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT")
        for party in (responders.rina, responders.sari):
            assert await texts(party, name) == [(CALLER, "", "he is here")]


class TestWhoMustNotBeContacted:
    @pytest.mark.parametrize("raised", [{"contactPreference": "DO_NOT_CONTACT"}, {"silent": True}, {"silent": True, "kind": "VIOLENCE"}])
    async def test_nobody_writes_to_them_and_they_may_write(self, responders: Responders, raised: dict[str, Any]) -> None:
        unit = await responders.make_unit()
        name, caller = await responders.take(**raised)
        await responders.send(name, unit)
        for party in (responders.rina, responders.sari, responders.tono):
            assert (await refusal_of(party("SendMessage", name=name, text="hello")))[:2] == NOT_CONTACTABLE
        await caller("SendMessage", name=name, text="behind the shop")
        assert await texts(responders.sari, name) == await texts(caller, name) == [(CALLER, "", "behind the shop")]

    async def test_after_a_cancel_whoever_holds_the_phone_is_written_to_no_more(self, responders: Responders) -> None:
        name, caller = await responders.take()
        await responders.rina("SendMessage", name=name, text="we come")
        await caller("CancelAlert", name=name)
        assert (await refusal_of(responders.rina("SendMessage", name=name, text="are you safe?")))[:2] == NOT_CONTACTABLE
        # Whoever has it may write still: that, too, says where the caller is.
        await caller("SendMessage", name=name, text="all is well")
        await responders.rina("ResolveAlert", name=name, outcome="FALSE_ALARM")
        await caller("SendMessage", name=name, text="really")
        shown = [(AGENCY, "", "we come"), (CALLER, "", "all is well"), (CALLER, "", "really")]
        assert await texts(caller, name) == shown
        assert (await refusal_of(responders.rina("SendMessage", name=name, text="hello")))[:2] == CLOSED

    async def test_a_preference_that_is_changed_holds_from_then_on(self, responders: Responders) -> None:
        name, _ = await responders.take()
        await responders.rina("UpdateAlert", alert={"name": name, "contactPreference": "DO_NOT_CONTACT"})
        assert (await refusal_of(responders.rina("SendMessage", name=name, text="hello")))[:2] == NOT_CONTACTABLE
        await responders.rina("UpdateAlert", alert={"name": name, "contactPreference": "TEXT"})
        await responders.rina("SendMessage", name=name, text="hello")

    async def test_the_caller_of_a_silent_alert_hears_nothing_of_calls(self, responders: Responders) -> None:
        name, caller = await responders.take(silent=True)
        shown = await caller("GetAlert", name=name)
        await responders.rina("RecordContact", name=name, means="VISIT", result="REACHED", text="she is with us")
        assert await caller("GetAlert", name=name) == shown
        assert [each.type for each in (await caller("ListAlertEvents", name=name)).events] == ["AlertRaised"]


class TestContacts:
    async def test_they_stand_in_the_timeline_with_means_result_and_words(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, caller = await responders.take()
        await responders.send(name, unit)
        contact = events_pb2.AlertEvent.Contact
        for means, result, text in (("CALL", "NO_ANSWER", ""), ("CALL", "OTHER_PERSON", "a man answered"), ("VISIT", "REACHED", "safe")):
            await responders.rina("RecordContact", name=name, means=means, result=result, text=text)
        for party in (responders.rina, responders.budi, responders.tono):
            entries = [each for each in (await party("ListAlertEvents", name=name)).events if each.type == "ContactRecorded"]
            assert [(each.contact.means, each.contact.result, each.text, each.actor) for each in entries] == [
                (contact.CALL, contact.NO_ANSWER, "", "rina"),
                (contact.CALL, contact.OTHER_PERSON, "a man answered", "rina"),
                (contact.VISIT, contact.REACHED, "safe", "rina"),
            ]
        assert "ContactRecorded" not in [each.type for each in (await caller("ListAlertEvents", name=name)).events]

    async def test_a_closed_alert_takes_them(self, responders: Responders) -> None:
        name, caller = await responders.take()
        await responders.rina("ResolveAlert", name=name, outcome="UNREACHABLE")
        shown = await caller("GetAlert", name=name)
        await responders.budi("RecordContact", name=name, means="CALL", result="REACHED")
        assert await caller("GetAlert", name=name) == shown

    async def test_whom_it_refuses(self, responders: Responders) -> None:
        name, _ = await responders.take(kind="VIOLENCE")
        said = {"means": "CALL", "result": "BUSY"}
        assert (await refusal_of(responders.budi("RecordContact", name=name, **said)))[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT")
        assert (await refusal_of(responders.oka("RecordContact", name=name, **said)))[:2] == NOT_FOUND
        assert (await refusal_of(responders.machine("RecordContact", name=name, **said)))[:2] == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED")
        for wrong, field in (({"means": "CALL"}, "result"), ({"result": "BUSY"}, "means"), ({**said, "text": "a" * 4001}, "text")):
            refused = await refusal_of(responders.rina("RecordContact", name=name, **wrong))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", [field])


async def test_who_writes_while_the_alert_is_called_off_either_comes_before_it_or_is_refused(responders: Responders) -> None:
    for _ in range(10):
        name, caller = await responders.take()
        write = responders.rina("SendMessage", name=name, text="we come", requestId=new_id())
        wrote, cancelled = await asyncio.gather(write, caller("CancelAlert", name=name), return_exceptions=True)
        assert not isinstance(cancelled, BaseException)
        events = (await responders.sari("ListAlertEvents", name=name)).events
        # So many of one caller are doubtful, whenever somebody looks.
        types = [each.type for each in events if each.type != "AlertAssessed"][3:]
        assert types == (["AlertCancelled"] if isinstance(wrote, BaseException) else ["MessageSent", "AlertCancelled"])
