"""An alert from the SOS to its end, over gRPC, as each side sees it."""

from typing import Any

import pytest
from people import MONAS, OTHER_ROOM, ROOM, Party, People, new_alert_token, new_id, refusal_of
from threatened import PIN, set_pins

from siaga.alerts.v1 import alert_pb2

HIDDEN_FROM_THE_CALLER = ("responses", "outcome", "cancel_claim")


def state(alert: alert_pb2.Alert) -> str:
    return alert_pb2.Alert.State.Name(alert.state)


async def list_types(party: Party, name: str) -> list[str]:
    return [each.type for each in (await party("ListAlertEvents", name=name)).events]


async def shown_version(party: Party, name: str) -> tuple[Any, ...]:
    alert = await party("GetAlert", name=name)
    return alert.revision, alert.etag, alert.update_time.ToNanoseconds()


async def test_an_sos_is_raised_answered_given_back_taken_over_and_closed(people: People) -> None:
    rina, budi, sari = people.rina, people.budi, people.sari
    name, caller = await people.raise_alert(kind="FIRE", note="asap", location={"point": MONAS})
    watching = caller.watch("WatchAlert", name=name)
    assert [state(each) for each in await watching.read_snapshot()] == ["RAISED"]

    delivered = await rina("ConfirmReceipt", name=name)
    assert (state(delivered), delivered.HasField("deliver_time"), delivered.revision) == ("RAISED", True, 2)

    taken = await rina("AcknowledgeAlert", name=name)
    assert (state(taken), taken.responses[0].operator, taken.responses[0].agency) == ("ACKNOWLEDGED", "rina", ROOM)
    assert alert_pb2.Alert.Response.State.Name(taken.responses[0].state) == "ACCEPTED"

    refused = await refusal_of(budi("AcknowledgeAlert", name=name))
    assert refused[:3] == ("ABORTED", "ALREADY_ACKNOWLEDGED", {"operator": "rina", "agency": ROOM})

    noted = await budi("AddNote", name=name, text="two engines are on the way", audience="CALLER")
    assert noted.revision == taken.revision + 1

    released = await rina("ReleaseAlert", name=name)
    assert (state(released), released.responses[0].operator) == ("RAISED", "")
    assert not released.responses[0].HasField("accept_time")
    assert state(await caller("GetAlert", name=name)) == "ACKNOWLEDGED"

    taken_over = await budi("AcknowledgeAlert", name=name)
    assert (state(taken_over), taken_over.responses[0].operator) == ("ACKNOWLEDGED", "budi")
    assert taken_over.acknowledge_time == taken.acknowledge_time

    closed = await budi("ResolveAlert", name=name, outcome="HELPED")
    assert (state(closed), closed.outcome, closed.HasField("close_time")) == ("RESOLVED", alert_pb2.Alert.HELPED, True)
    assert closed.responses[0].end_time == closed.close_time == closed.update_time

    seen = [(await watching.read_event())[0] for _ in range(4)]
    assert seen == ["AlertDelivered", "AlertAcknowledged", "NoteAdded", "AlertResolved"]
    assert await watching.read_end() == "ALERT_CLOSED"

    everything = [
        *("AlertRaised", "AlertRouted", "AlertDelivered", "AlertAcknowledged", "NoteAdded"),
        *("AlertReleased", "AlertAcknowledged", "AlertResolved"),
    ]
    assert await list_types(sari, name) == everything
    # A second acknowledgement is no news to one who was not told of the release.
    assert await list_types(caller, name) == [*everything[:5], "AlertResolved"]


class TestTheTimeline:
    async def test_the_agency_reads_who_did_what_and_the_caller_does_not(self, people: People) -> None:
        name, caller = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("AddNote", name=name, text="help is near", audience="CALLER")
        await people.rina("AddNote", name=name, text="knife in the house")
        await people.rina("AddNote", name=name, text="back door is open", audience="RESPONDER")
        of_agency = (await people.budi("ListAlertEvents", name=name)).events
        assert [(each.type, each.actor, each.text) for each in of_agency[2:]] == [
            ("AlertAcknowledged", "rina", ""),
            ("NoteAdded", "rina", "help is near"),
            ("NoteAdded", "rina", "knife in the house"),
            ("NoteAdded", "rina", "back door is open"),
        ]
        of_caller = (await caller("ListAlertEvents", name=name)).events
        assert [(each.type, each.actor, each.text) for each in of_caller] == [
            ("AlertRaised", "", ""),
            ("AlertRouted", "", ""),
            ("AlertAcknowledged", "", ""),
            ("NoteAdded", "", "help is near"),
        ]
        assert all(each.name.startswith(f"{name}/events/") for each in of_caller)

    async def test_it_comes_in_pages_of_one_reader(self, people: People) -> None:
        name, caller = await people.raise_alert()
        for number in range(5):
            await people.rina("AddNote", name=name, text=f"{number}", audience="CALLER")
        texts: list[str] = []
        token = ""
        for _ in range(4):
            page = await people.rina("ListAlertEvents", name=name, pageSize=2, pageToken=token)
            texts += [each.text for each in page.events if each.text]
            token = page.next_page_token
            if token:
                refused = await refusal_of(caller("ListAlertEvents", name=name, pageToken=token))
                assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
        assert (texts, token) == ([f"{number}" for number in range(5)], "")

    async def test_a_closed_alert_takes_notes(self, people: People) -> None:
        name, _ = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="PRANK")
        await people.budi("AddNote", name=name, text="third time this week")
        assert (await list_types(people.rina, name))[-1] == "NoteAdded"

    async def test_of_a_restricted_alert_it_is_the_claimants_and_the_supervisors(self, people: People) -> None:
        name, caller = await people.raise_alert(kind="VIOLENCE", note="he is here")
        await people.rina("AcknowledgeAlert", name=name)
        for rpc, more in (("ListAlertEvents", {}), ("AddNote", {"text": "curious"})):
            refused = await refusal_of(people.budi(rpc, name=name, **more))
            assert refused[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT")
        for party in (people.rina, people.sari, caller):
            assert "AlertRaised" in await list_types(party, name)


class TestLists:
    async def test_an_agency_lists_its_alerts_another_one_nothing_and_a_caller_their_own(self, people: People) -> None:
        dewis, _ = await people.raise_alert(people.dewi, kind="FIRE")
        adis, _ = await people.raise_alert(people.adi, kind="CRIME")
        nobodys, _ = await people.raise_alert(people.nobody)
        silent, _ = await people.raise_alert(people.dewi, silent=True)
        for party in (people.rina, people.sari, people.machine):
            assert await party.list_names() == sorted([dewis, adis, nobodys, silent], reverse=True)
        assert await people.citra.list_names() == []
        assert await people.dewi.list_names() == [dewis]
        assert await people.adi.list_names() == [adis]
        refused = await refusal_of(people.nobody("ListAlerts"))
        assert refused[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")

    async def test_a_page_token_belongs_to_its_reader_and_its_filters(self, people: People) -> None:
        for _ in range(3):
            await people.raise_alert(kind="FIRE")
        first = await people.rina("ListAlerts", pageSize=2, kind=["FIRE"])
        second = await people.rina("ListAlerts", pageSize=1, kind=["FIRE"], pageToken=first.next_page_token)
        assert (len(first.alerts), len(second.alerts), second.next_page_token) == (2, 1, "")
        for party, more in ((people.rina, {}), (people.rina, {"kind": ["CRIME"]}), (people.budi, {"kind": ["FIRE"]})):
            refused = await refusal_of(party("ListAlerts", pageToken=first.next_page_token, **more))
            assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")

    async def test_a_restricted_alert_is_listed_redacted_to_those_who_do_not_hold_it(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE", note="he is here", location={"point": MONAS})
        redacted = (await people.rina("ListAlerts")).alerts[0]
        assert (redacted.name, redacted.restricted, redacted.kind, redacted.note) == (name, True, 0, "")
        assert not redacted.HasField("location")
        assert not redacted.HasField("caller")
        assert (await people.sari("ListAlerts")).alerts[0].note == "he is here"
        assert await people.rina.list_names(kind=["VIOLENCE"]) == []

    async def test_whoever_is_shown_that_one_exists_is_told_no_more_while_they_watch(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi, kind="VIOLENCE", note="he is here")
        await people.rina("AcknowledgeAlert", name=name)
        watches = [people.budi.watch("WatchAlerts"), people.budi.watch("WatchAlert", name=name), people.sari.watch("WatchAlert", name=name)]
        for each in watches:
            await each.read_snapshot()
        await people.rina("RecordContact", name=name, means="CALL", result="BUSY")
        await people.rina("AddNote", name=name, text="a voice in the background")
        await caller("CancelAlert", name=name)
        supervised = [(await watches[2].read_event())[0] for _ in range(3)]
        assert supervised == ["ContactRecorded", "NoteAdded", "AlertCancelled"]
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert [(await each.read_event())[0] for each in watches] == ["AlertResolved"] * 3

    async def test_nor_when_they_come_back_after_its_close(self, people: People) -> None:
        """An alert is shown as it is then, and not as it was when its caller called it off."""
        cursor = (await people.budi.watch("WatchAlerts", cursor="now").begin()).cursor
        name, caller = await people.raise_alert(people.dewi, kind="VIOLENCE")
        await people.rina("AcknowledgeAlert", name=name)
        await caller("CancelAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        await caller("EraseAlert", name=name)
        last, _ = await people.raise_alert(people.adi)
        # Of a closed one even a supervisor is shown no more, unless they say why they read it.
        for party in (people.budi, people.sari):
            told, resumed = list[str](), party.watch("WatchAlerts", cursor=cursor)
            while (message := await resumed.read()).event.alert.name != last:
                told += [message.event.type] if message.HasField("event") else []
            assert told == ["AlertRaised", "AlertRouted", "AlertAcknowledged", "AlertResolved"]

    async def test_what_was_called_off_before_anybody_took_it_is_closed_and_cannot_be_resolved(self, people: People) -> None:
        await set_pins(people)
        name, caller = await people.raise_alert(people.dewi)
        await caller("CancelAlert", name=name, pin=PIN)
        assert (await refusal_of(people.rina("ResolveAlert", name=name, outcome="HELPED"))).reason == "ALERT_CLOSED"

    async def test_drills_are_listed_when_asked_for(self, people: People) -> None:
        name, _ = await people.raise_alert(people.rina, drill=True)
        assert await people.rina.list_names() == []
        assert await people.rina.list_names(includeDrills=True) == [name]

    @pytest.mark.parametrize("field", ["created_after", "created_before", "updated_after"])
    async def test_a_time_that_is_none_is_named(self, people: People, field: str) -> None:
        from siaga.alerts.v1.alert_service_pb2 import ListAlertsRequest  # noqa: PLC0415

        first, second = field.split("_")
        for seconds, nanos in ((2**62, 0), (-(2**62), 0), (0, -1), (0, 2**31 - 1)):
            request = ListAlertsRequest()
            getattr(request, field).seconds, getattr(request, field).nanos = seconds, nanos
            refused = await refusal_of(people.rina.send("ListAlerts", request))
            assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_REQUEST")
            assert refused.fields == [first + second.capitalize()]


class TestWhoMayAct:
    async def test_to_everybody_else_an_alert_does_not_exist(self, people: People) -> None:
        name, _ = await people.raise_alert(people.dewi)
        writes: list[tuple[str, dict[str, Any]]] = [
            *(("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("ReleaseAlert", {})),
            *(("ResolveAlert", {"outcome": "HELPED"}), ("AddNote", {"text": "hello"})),
        ]
        reads: list[tuple[str, dict[str, Any]]] = [("GetAlert", {}), ("ListAlertEvents", {})]
        callers: list[tuple[str, dict[str, Any]]] = [("TrackAlert", {"locations": [{"point": MONAS}]}), ("CancelAlert", {})]
        absent = f"alerts/{new_id()}"
        for rpc, said in writes + reads + callers:
            denied = await refusal_of(people.citra(rpc, name=name, **said))
            assert denied[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND"), rpc
            assert denied == await refusal_of(people.citra(rpc, name=absent, **said)), rpc
        for party in (people.nobody, people.adi, people.nobody.holding(new_alert_token())):
            for rpc, said in reads + callers:
                assert (await refusal_of(party(rpc, name=name, **said)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND"), rpc

    async def test_a_caller_does_not_answer_and_who_answers_does_not_call_off(self, people: People) -> None:
        name, caller = await people.raise_alert()
        assert (await refusal_of(people.dewi("AcknowledgeAlert", name=name)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert (await refusal_of(caller("AcknowledgeAlert", name=name)))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")
        assert (await refusal_of(people.rina("CancelAlert", name=name)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        refused = await refusal_of(people.rina("TrackAlert", name=name, locations=[{"point": MONAS}]))
        assert refused[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")

    async def test_an_alerts_token_does_not_make_another_agency_answer_for_it(self, people: People) -> None:
        reply = await people.dewi("RaiseAlert", alertToken=new_alert_token())
        refused = await refusal_of(people.citra.holding(reply.alert_token)("AcknowledgeAlert", name=reply.alert.name))
        assert refused[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")

    async def test_a_dispatcher_in_danger_tracks_and_calls_off_their_own_sos(self, people: People) -> None:
        reply = await people.rina("RaiseAlert", alertToken=new_alert_token(), kind="VIOLENCE")
        name = reply.alert.name
        by_token = people.rina.holding(reply.alert_token)
        await by_token("TrackAlert", name=name, locations=[{"point": MONAS}])
        await people.rina("TrackAlert", name=name, locations=[{"point": MONAS}])
        tracked = await people.nobody.holding(reply.alert_token)("GetAlert", name=name)
        assert tracked.location.point.latitude == MONAS["latitude"]
        await by_token("CancelAlert", name=name)
        assert state(await people.nobody.holding(reply.alert_token)("GetAlert", name=name)) == "CANCELLED"

    async def test_a_system_says_for_whom_it_acts(self, people: People) -> None:
        name, _ = await people.raise_alert()
        for rpc, said in (
            *(("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("ReleaseAlert", {})),
            *(("ResolveAlert", {"outcome": "HELPED"}), ("AddNote", {"text": "a note"})),
        ):
            refused = await refusal_of(people.machine(rpc, name=name, **said))
            assert refused[:2] == ("INVALID_ARGUMENT", "OPERATOR_REQUIRED"), rpc
            assert refused.fields == ["operator"]
        taken = await people.machine("AcknowledgeAlert", name=name, operator="Wayan")
        assert taken.responses[0].operator == "Wayan"
        refused = await refusal_of(people.machine("AcknowledgeAlert", name=name, operator="Made"))
        assert refused[:3] == ("ABORTED", "ALREADY_ACKNOWLEDGED", {"operator": "Wayan", "agency": ROOM})

    async def test_a_person_acts_in_their_own_name_whatever_the_request_says(self, people: People) -> None:
        name, _ = await people.raise_alert()
        assert (await people.rina("AcknowledgeAlert", name=name, operator="budi")).responses[0].operator == "rina"

    async def test_only_the_holder_or_a_supervisor_gives_back_and_closes(self, people: People) -> None:
        name, _ = await people.raise_alert()
        for rpc, said in (("ReleaseAlert", {}), ("ResolveAlert", {"outcome": "HELPED"})):
            refused = await refusal_of(people.rina(rpc, name=name, **said))
            assert refused[:2] == ("FAILED_PRECONDITION", "NOT_ACKNOWLEDGED"), rpc
        await people.rina("AcknowledgeAlert", name=name)
        for rpc, said in (("ReleaseAlert", {}), ("ResolveAlert", {"outcome": "HELPED"})):
            refused = await refusal_of(people.budi(rpc, name=name, **said))
            assert refused[:2] == ("PERMISSION_DENIED", "NOT_CLAIMANT"), rpc
        await people.sari("ReleaseAlert", name=name)
        await people.budi("AcknowledgeAlert", name=name)
        assert state(await people.sari("ResolveAlert", name=name, outcome="HELPED")) == "RESOLVED"

    async def test_a_closed_alert_takes_no_more_of_it(self, people: People) -> None:
        name, caller = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        closed = await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert await people.rina("ResolveAlert", name=name, outcome="HELPED") == closed
        refusals = [
            *(people.rina("ResolveAlert", name=name, outcome="PRANK"), people.rina("ReleaseAlert", name=name)),
            *(people.budi("AcknowledgeAlert", name=name), people.rina("AcknowledgeAlert", name=name)),
            *(caller("CancelAlert", name=name), caller("TrackAlert", name=name, locations=[{"point": MONAS}])),
        ]
        for each in refusals:
            assert (await refusal_of(each))[:2] == ("FAILED_PRECONDITION", "ALERT_CLOSED")

    async def test_an_agency_of_no_ones_claim_answers_nothing(self, people: People) -> None:
        name, _ = await people.raise_alert()
        lost = people.sign_in("lost", "dispatcher", "supervisor")
        assert (await refusal_of(lost("AcknowledgeAlert", name=name)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        moonlighting = people.sign_in("rina", "dispatcher", agency=OTHER_ROOM)
        assert (await refusal_of(moonlighting("AcknowledgeAlert", name=name)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")


class TestWhatTheCallerIsShown:
    async def test_their_view_does_not_change_by_what_they_may_not_see(self, people: People) -> None:
        name, caller = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        before, seen_by_agency = await shown_version(caller, name), await shown_version(people.sari, name)
        await people.rina("AddNote", name=name, text="for us alone")
        await people.rina("ReleaseAlert", name=name)
        assert await shown_version(caller, name) == before
        revision, etag, update_time = await shown_version(people.sari, name)
        assert (revision, etag) == (seen_by_agency[0] + 2, f'"{seen_by_agency[0] + 2}"')
        assert update_time > seen_by_agency[2]

    async def test_it_changes_with_every_hop(self, people: People) -> None:
        name, caller = await people.raise_alert()
        seen = [await shown_version(caller, name)]
        for rpc, said in (("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("ResolveAlert", {"outcome": "HELPED"})):
            await people.rina(rpc, name=name, **said)
            seen.append(await shown_version(caller, name))
        assert [revision for revision, _, _ in seen] == [1, 2, 3, 4]
        assert sorted(seen, key=lambda each: each[2]) == seen

    async def test_nothing_of_the_agencys_work_is_in_it(self, people: People) -> None:
        name, caller = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="PRANK")
        for party in (caller, people.dewi):
            fields = {field.name for field, _ in (await party("GetAlert", name=name)).ListFields()}
            assert fields.isdisjoint(HIDDEN_FROM_THE_CALLER)

    async def test_of_a_silent_alert_the_token_sees_that_it_was_received_and_the_account_nothing(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi, silent=True)
        received = await caller("GetAlert", name=name)
        assert (state(received), received.revision) == ("RAISED", 1)
        await people.rina("ConfirmReceipt", name=name)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("AddNote", name=name, text="stay calm", audience="CALLER")
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert await caller("GetAlert", name=name) == received
        assert await list_types(caller, name) == ["AlertRaised"]
        for rpc in ("GetAlert", "ListAlertEvents", "CancelAlert"):
            assert (await refusal_of(people.dewi(rpc, name=name)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        assert state(await people.sari("GetAlert", name=name, reason="a complaint")) == "RESOLVED"
