"""However often a request is repeated, it happens once; an SOS whoever then calls, everything else to the same caller."""

import asyncio
from functools import partial
from typing import Any

import pytest
from people import Party, People, new_alert_token, new_id, refusal_of, run_service, until_taken
from sqlalchemy import select

from alerts.model import Model
from alerts.settings import Settings
from chassis.database import open_database
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2

IDS, TIMES = 30, 20


async def count_alerts(people: People) -> int:
    reply = await people.sari("ListAlerts", pageSize=1000, includeDrills=True)
    assert not reply.next_page_token
    return len(reply.alerts)


async def test_each_of_many_request_ids_raises_one_alert_however_often_at_once(people: People, caplog: pytest.LogCaptureFixture) -> None:
    asked = [{"requestId": new_id(), "alertToken": new_alert_token(), "kind": "FIRE"} for _ in range(IDS)]
    calls = [partial(people.nobody, "RaiseAlert", **asked[n % IDS]) for n in range(IDS * TIMES)]
    replies = await asyncio.gather(*map(until_taken, calls))
    names = [{each.alert.name for each in replies[n::IDS]} for n in range(IDS)]
    assert [len(each) for each in names] == [1] * IDS
    assert len(set.union(*names)) == IDS
    assert await count_alerts(people) == IDS
    assert "gave way" not in caplog.text


class TestRaisingAgain:
    async def test_whoever_then_calls_it_is_the_same_alert(self, people: People) -> None:
        said = {"requestId": new_id(), "alertToken": new_alert_token()}
        first = await people.dewi("RaiseAlert", **said)
        expired = people.sign_in("dewi", "citizen", lifetime=-3600)
        for party in (people.dewi, people.nobody, people.adi, people.rina, expired, Party(people.channel, "no token")):
            again = await party("RaiseAlert", **said)
            assert (again.alert, again.alert_token) == (first.alert, first.alert_token)
        assert await count_alerts(people) == 1

    async def test_whatever_the_body_now_says_it_is_the_same_alert(self, people: People) -> None:
        said = {"requestId": new_id(), "alertToken": new_alert_token()}
        first = await people.dewi("RaiseAlert", **said, kind="FIRE")
        again = await people.dewi("RaiseAlert", **said, kind="CRIME", note="hurry", location={"point": {"latitude": 1, "longitude": 2}})
        assert again.alert == first.alert

    async def test_it_is_shown_as_it_is_now(self, people: People) -> None:
        said = {"requestId": new_id(), "alertToken": new_alert_token()}
        name = (await people.dewi("RaiseAlert", **said)).alert.name
        await people.rina("AcknowledgeAlert", name=name)
        again = await people.dewi("RaiseAlert", **said)
        assert (again.alert.name, again.alert.state) == (name, alert_pb2.Alert.ACKNOWLEDGED)

    async def test_an_id_in_capitals_is_the_same_id(self, people: People) -> None:
        request_id = new_id()
        for said in ({"alertToken": new_alert_token()}, {}):
            first = await people.dewi("RaiseAlert", requestId=request_id, **said)
            again = await people.dewi("RaiseAlert", requestId=request_id.upper(), **said)
            assert (again.alert, again.alert_token) == (first.alert, first.alert_token)

    async def test_with_another_token_it_is_another_alert_which_reveals_nothing(self, people: People) -> None:
        request_id = new_id()
        first = await people.dewi("RaiseAlert", requestId=request_id, alertToken=new_alert_token(), note="he is here", kind="VIOLENCE")
        token = new_alert_token()
        second = await people.nobody("RaiseAlert", requestId=request_id, alertToken=token)
        assert second.alert.name != first.alert.name
        assert (second.alert.note, second.alert.kind, second.alert.caller.user) == ("", 0, "")
        refused = await refusal_of(people.nobody.holding(token)("GetAlert", name=first.alert.name))
        assert refused[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")

    async def test_a_token_alone_does_not_join_two_requests(self, people: People) -> None:
        token = new_alert_token()
        names = {(await people.dewi("RaiseAlert", alertToken=token, **said)).alert.name for said in ({}, {}, {"requestId": new_id()})}
        assert len(names) == 3

    async def test_a_signed_in_caller_without_a_token_gets_the_same_alert_and_a_token_that_opens_it(self, people: People) -> None:
        request_id = new_id()
        first = await people.dewi("RaiseAlert", requestId=request_id)
        expired = people.sign_in("dewi", "citizen", lifetime=-3600)
        for party in (people.dewi, expired):
            again = await party("RaiseAlert", requestId=request_id)
            assert (again.alert, again.alert_token) == (first.alert, first.alert_token)
        opened = await people.nobody.holding(first.alert_token)("GetAlert", name=first.alert.name)
        assert opened == first.alert

    async def test_another_signed_in_caller_without_a_token_is_not_joined(self, people: People) -> None:
        request_id = new_id()
        replies = [await party("RaiseAlert", requestId=request_id) for party in (people.dewi, people.adi, people.nobody, people.nobody)]
        assert len({each.alert.name for each in replies}) == len({each.alert_token for each in replies}) == 4

    async def test_a_token_that_was_dropped_joins_nobody_with_anybody(self, people: People) -> None:
        said = {"requestId": new_id(), "alertToken": "short"}
        replies = [await people.nobody("RaiseAlert", **said) for _ in range(2)]
        assert replies[0].alert.name != replies[1].alert.name
        assert replies[0].alert_token != replies[1].alert_token

    async def test_nobodys_token_can_be_guessed_from_the_request(self, people: People) -> None:
        replies = [await people.dewi("RaiseAlert", requestId=new_id()) for _ in range(3)]
        replies += [await people.nobody("RaiseAlert") for _ in range(3)]
        assert len({each.alert_token for each in replies}) == 6
        assert all(len(each.alert_token) == 32 for each in replies)


# A write, and what its request says the second time.
WRITES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ConfirmReceipt": ({}, {"operator": "somebody"}),
    "AcknowledgeAlert": ({}, {"operator": "somebody"}),
    "ReleaseAlert": ({}, {"operator": "somebody"}),
    "ResolveAlert": ({"outcome": "HELPED"}, {"outcome": "PRANK"}),
    "AddNote": ({"text": "a note"}, {"text": "another note"}),
    "TrackAlert": (
        {"locations": [{"point": {"latitude": -6.2, "longitude": 106.8}}]},
        {"locations": [{"point": {"latitude": -6.3, "longitude": 106.8}}]},
    ),
    "CancelAlert": ({}, {"pin": "1234"}),
}


async def prepare(people: People, rpc: str) -> tuple[str, Party]:
    """An alert that takes the write, and who may write."""
    # By nobody known: of whoever raises many the service says that it doubts them.
    name, caller = await people.raise_alert(people.nobody)
    if rpc in {"ReleaseAlert", "ResolveAlert"}:
        await people.rina("AcknowledgeAlert", name=name)
    return name, caller if rpc in {"TrackAlert", "CancelAlert"} else people.rina


async def count_events(people: People, name: str) -> int:
    return len((await people.sari("ListAlertEvents", name=name)).events)


class TestChangingAgain:
    async def test_every_write_happens_once_and_another_body_is_refused(self, people: People) -> None:
        for rpc, (said, said_then) in WRITES.items():
            name, party = await prepare(people, rpc)
            request_id = new_id()
            await party(rpc, name=name, requestId=request_id, **said)
            happened = await count_events(people, name)
            again = await asyncio.gather(*(party(rpc, name=name, requestId=request_id, **said) for _ in range(5)))
            assert {each.name for each in again} == {name}, rpc
            refused = await refusal_of(party(rpc, name=name, requestId=request_id, **{**said, **said_then}))
            assert refused[:2] == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED"), rpc
            assert await count_events(people, name) == happened, rpc

    async def test_every_write_happens_once_however_often_at_once(self, people: People) -> None:
        for rpc, (said, _) in WRITES.items():
            name, party = await prepare(people, rpc)
            before = await count_events(people, name)
            request_id = new_id()
            replies = await asyncio.gather(*(party(rpc, name=name, requestId=request_id, **said) for _ in range(10)))
            assert len({each.revision for each in replies}) == 1, rpc
            assert await count_events(people, name) == before + 1, rpc

    async def test_another_rpc_under_the_same_id_is_refused(self, people: People) -> None:
        name, _ = await people.raise_alert()
        request_id = new_id()
        await people.rina("ConfirmReceipt", name=name, requestId=request_id)
        refused = await refusal_of(people.rina("AcknowledgeAlert", name=name, requestId=request_id))
        assert refused[:2] == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")

    async def test_another_alert_under_the_same_id_is_refused(self, people: People) -> None:
        one, _ = await people.raise_alert()
        other, _ = await people.raise_alert()
        request_id = new_id()
        await people.rina("AcknowledgeAlert", name=one, requestId=request_id)
        refused = await refusal_of(people.rina("AcknowledgeAlert", name=other, requestId=request_id))
        assert refused[:2] == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")

    async def test_ids_are_each_callers_own(self, people: People) -> None:
        name, caller = await people.raise_alert()
        request_id = new_id()
        await people.rina("AddNote", name=name, requestId=request_id, text="rina's")
        await people.budi("AddNote", name=name, requestId=request_id, text="budi's")
        await caller("CancelAlert", name=name, requestId=request_id)
        events = (await people.rina("ListAlertEvents", name=name)).events
        assert [each.text for each in events if each.type == "NoteAdded"] == ["rina's", "budi's"]

    async def test_a_repeated_acknowledge_does_not_take_the_alert_again_after_its_release(self, people: People) -> None:
        name, _ = await people.raise_alert()
        request_id = new_id()
        await people.rina("AcknowledgeAlert", name=name, requestId=request_id)
        await people.rina("ReleaseAlert", name=name)
        late = await people.rina("AcknowledgeAlert", name=name, requestId=request_id)
        assert (late.state, late.responses[0].operator) == (alert_pb2.Alert.RAISED, "")
        assert (await people.budi("AcknowledgeAlert", name=name)).responses[0].operator == "budi"

    async def test_a_repeated_release_does_not_give_back_what_was_taken_since(self, people: People) -> None:
        name, _ = await people.raise_alert()
        request_id = new_id()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ReleaseAlert", name=name, requestId=request_id)
        await people.rina("AcknowledgeAlert", name=name)
        late = await people.rina("ReleaseAlert", name=name, requestId=request_id)
        assert late.responses[0].operator == "rina"

    async def test_a_refused_call_leaves_no_key(self, people: People) -> None:
        name, _ = await people.raise_alert()
        request_id = new_id()
        await people.rina("AcknowledgeAlert", name=name)
        for _ in range(2):
            refused = await refusal_of(people.budi("AcknowledgeAlert", name=name, requestId=request_id))
            assert refused[:2] == ("ABORTED", "ALREADY_ACKNOWLEDGED")
        await people.rina("ReleaseAlert", name=name)
        taken = await people.budi("AcknowledgeAlert", name=name, requestId=request_id)
        assert taken.responses[0].operator == "budi"

    async def test_a_call_for_an_absent_alert_leaves_no_key(self, people: People) -> None:
        request_id = new_id()
        refused = await refusal_of(people.rina("AcknowledgeAlert", name=f"alerts/{new_id()}", requestId=request_id))
        assert refused[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        name, _ = await people.raise_alert()
        assert (await people.rina("AcknowledgeAlert", name=name, requestId=request_id)).responses[0].operator == "rina"

    async def test_the_reply_to_a_repetition_says_no_more_than_its_caller_may_know_by_then(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE", note="he is here")
        request_id = new_id()
        await people.rina("AcknowledgeAlert", name=name, requestId=request_id)
        await people.sari("ReleaseAlert", name=name)
        again = await people.rina("AcknowledgeAlert", name=name, requestId=request_id)
        assert (again.restricted, again.note, again.kind) == (True, "", 0)

    @pytest.mark.parametrize("request_id", ["1", "not-a-uuid", "0" * 36])
    async def test_an_id_that_is_no_uuid_is_an_error_elsewhere_than_in_an_sos(self, people: People, request_id: str) -> None:
        name, _ = await people.raise_alert()
        refused = await refusal_of(people.rina("AcknowledgeAlert", name=name, requestId=request_id))
        assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        assert refused.fields == ["requestId"]


async def test_nothing_kept_opens_an_alert_or_repeats_a_request(settings: Settings, issuer: Issuer) -> None:
    token, request_id = new_alert_token(), new_id()
    async with run_service(settings) as channel:
        await People(channel, issuer).nobody("RaiseAlert", requestId=request_id, alertToken=token, note="kept")
    async with open_database(settings.database_url.get_secret_value(), lambda _: None, lambda: None) as database:
        kept = await database.read(lambda session: str([session.execute(select(each)).all() for each in Model.metadata.tables.values()]))
    assert "kept" in kept
    assert token not in kept
    assert request_id not in kept
