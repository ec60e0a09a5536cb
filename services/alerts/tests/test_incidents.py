"""Alerts of one emergency: formed by themselves, watched, claimed and dispatched as one; and doubtful ones, which are never hidden."""

import asyncio
from typing import Any

import pytest
from crews import POLICE
from emergencies import FAR, NEAR, Incidents, beside, form, incident_of, make_prankster, seen, until, wait_until_assessed
from people import MONAS, OTHER_ROOM, ROOM, People, new_id, refusal_of, run_service
from responders import Responders
from sqlalchemy import update
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.enums import Grouping
from alerts.settings import Settings
from chassis.database import open_database
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2, unit_service_pb2, unit_service_pb2_grpc

STATE = alert_pb2.Alert.State
DOUBT = alert_pb2.Alert.Doubt


async def make_unit(people: People, name: str = "fire-1") -> str:
    stub: Any = unit_service_pb2_grpc.UnitServiceStub(people.channel)
    metadata = people.sari.metadata()
    unit = {"kind": "FIRE_ENGINE", "display_name": name, "crew": ["crew"]}
    made = await stub.CreateUnit(unit_service_pb2.CreateUnitRequest(unit_id=name, unit=unit), metadata=metadata)
    await stub.StartDuty(unit_service_pb2.StartDutyRequest(name=made.name), metadata=metadata)
    return made.name


class TestForming:
    async def test_alerts_of_one_place_and_kind_are_one(self, people: People) -> None:
        name, alerts = await form(people)
        incident = await Incidents(people.rina)("GetIncident", name=name)
        assert list(incident.alerts) == [each for each, _ in alerts]
        assert (incident.lead, incident.alert_count, incident.open_count) == (alerts[0][0], 3, 3)
        assert [(await seen(people, each)).merged_into for each, _ in alerts] == ["", alerts[0][0], alerts[0][0]]

    async def test_what_is_elsewhere_of_another_kind_silent_or_a_drill_is_not(self, people: People) -> None:
        _, alerts = await form(people, 2)
        others = [
            (await people.raise_alert(**each))[0]
            for each in (beside(FAR), beside(kind="CRIME"), beside(silent=True), beside(kind="VIOLENCE"))
        ]
        drill = await people.sari("RaiseAlert", drill=True, requestId=new_id(), **beside())
        await wait_until_assessed(people)
        for each in (*others, drill.alert.name):
            assert (await seen(people, each)).incident == ""
        assert len(alerts) == 2

    async def test_forty_calls_of_a_fire_are_one_while_a_silent_one_in_the_street_keeps_its_clock(self, people: People) -> None:
        silent, _ = await people.raise_alert(people.dewi, silent=True, **beside())
        names = [
            reply[0]
            for reply in await asyncio.gather(*(people.raise_alert(people.nobody, **beside(NEAR * each / 40)) for each in range(40)))
        ]
        incident = await until(lambda: incident_of(people, names[-1]))
        found = await until(lambda: _with_members(people, incident, 40))
        assert sorted(found.alerts) == sorted(names)
        # Those that rest call nobody: of the forty one clock runs, and the silent one's.
        escalated = await until(lambda: _escalated(people, [*names, silent]))
        assert escalated == sorted([found.lead, silent])

    async def test_one_that_cannot_be_grouped_keeps_nobody_else_from_it(
        self, settings: Settings, issuer: Issuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        def break_all(session: Session) -> None:
            session.execute(update(Alert).values(cell="nonsense", grouping=Grouping.WAITING))

        async with run_service(settings) as channel:
            broken, _ = await People(channel, issuer).raise_alert(**beside())
        async with open_database(settings.database_url.get_secret_value(), lambda _: None, lambda: None) as database:
            await database.write(break_all)
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            await people.dewi("ListAlerts")
            await form(people)
            assert not await incident_of(people, broken)
            assert (await people.rina("AcknowledgeAlert", name=broken)).state == STATE.ACKNOWLEDGED
        # Once with the others, once alone, and never again.
        assert caplog.text.count("an alert cannot be grouped: ") == 2

    async def test_two_of_one_place_that_come_at_once_make_one_incident(self, people: People) -> None:
        for round_ in range(5):
            place = beside(FAR * (2 + round_))
            names = [reply[0] for reply in await asyncio.gather(*(people.raise_alert(people.nobody, **place) for _ in range(6)))]
            incident = await until(lambda names=names: incident_of(people, names[0]))
            await until(lambda incident=incident: _with_members(people, incident, 6))


async def _with_members(people: People, name: str, number: int) -> Any:
    incident = await Incidents(people.rina)("GetIncident", name=name)
    return incident if incident.alert_count == number else None


async def _escalated(people: People, names: list[str]) -> list[str]:
    """Those for whom somebody was called again, once both clocks that run have run out."""
    levels = {name: (await seen(people, name)).escalation_level for name in names}
    found = sorted(name for name, level in levels.items() if level)
    return found if len(found) >= 2 else []


class TestAnsweringAsOne:
    async def test_it_is_taken_once_and_every_caller_sees_it(self, people: People) -> None:
        name, alerts = await form(people)
        taken = await Incidents(people.rina)("AcknowledgeIncident", name=name)
        assert taken.operator == "rina"
        for alert, caller in alerts:
            assert STATE.Name((await caller("GetAlert", name=alert)).state) == "ACKNOWLEDGED"
        refused = await refusal_of(Incidents(people.budi)("AcknowledgeIncident", name=name))
        assert (*refused[:2], refused.metadata["operator"]) == ("ABORTED", "ALREADY_ACKNOWLEDGED", "rina")

    async def test_who_takes_one_of_them_takes_all(self, people: People) -> None:
        name, alerts = await form(people)
        await people.rina("AcknowledgeAlert", name=alerts[2][0])
        assert (await Incidents(people.rina)("GetIncident", name=name)).operator == "rina"
        assert (await refusal_of(people.budi("AcknowledgeAlert", name=alerts[1][0]))).reason == "ALREADY_ACKNOWLEDGED"

    async def test_who_joins_later_is_answered_already(self, people: People) -> None:
        name, _ = await form(people)
        await Incidents(people.rina)("AcknowledgeIncident", name=name)
        late, caller = await people.raise_alert(people.nobody, **beside())
        watching = caller.watch("WatchAlert", name=late)
        await watching.read_snapshot()
        await until(lambda: incident_of(people, late))
        assert STATE.Name((await caller("GetAlert", name=late)).state) == "ACKNOWLEDGED"

    async def test_units_are_sent_once_and_every_caller_sees_them_come(self, people: People) -> None:
        name, alerts = await form(people)
        unit = await make_unit(people)
        await Incidents(people.rina)("AcknowledgeIncident", name=name)
        watching = [caller.watch("WatchAlert", name=alert) for alert, caller in alerts]
        for each in watching:
            await each.read_snapshot()
        await Incidents(people.rina)("DispatchIncident", name=name, units=[unit])
        crew = people.sign_in("crew", "responder", agency=ROOM)
        await crew("UpdateAssignment", name=alerts[0][0], unit=unit, status="ON_SCENE")
        for each in watching:
            found = [await each.read_event() for _ in range(2)]
            assert [kind for kind, _ in found] == ["AlertDispatched", "AssignmentUpdated"]
            assert STATE.Name(found[-1][1].state) == "ON_SCENE"

    async def test_one_text_reaches_everybody_who_may_be_written_to(self, people: People) -> None:
        name, alerts = await form(people, 2)
        quiet, _ = await people.raise_alert(people.nobody, contactPreference="DO_NOT_CONTACT", **beside())
        await until(lambda: incident_of(people, quiet))
        await Incidents(people.rina)("AcknowledgeIncident", name=name)
        sent = await Incidents(people.rina)("MessageIncident", name=name, text="Leave the building by the stairs")
        assert sent.callers == 2
        for alert, caller in alerts:
            assert [each.text for each in (await caller("ListMessages", name=alert)).messages] == ["Leave the building by the stairs"]

    async def test_it_is_closed_as_one_and_those_that_rested_are_duplicates(self, people: People) -> None:
        name, alerts = await form(people)
        await Incidents(people.rina)("AcknowledgeIncident", name=name)
        watching = Incidents(people.rina).watch()
        await watching.read()
        await watching.read()
        closed = await Incidents(people.rina)("ResolveIncident", name=name, outcome="HELPED")
        assert (closed.open_count, closed.state) == (0, 2)
        outcomes = [alert_pb2.Alert.Outcome.Name((await seen(people, each)).outcome) for each, _ in alerts]
        assert outcomes == ["HELPED", "DUPLICATE", "DUPLICATE"]
        last = await watching.read()
        while last.WhichOneof("content") != "left":
            last = await watching.read()
        assert last.left.name == name

    async def test_when_the_lead_ends_alone_the_next_one_stands_for_the_rest(self, people: People) -> None:
        name, alerts = await form(people)
        await Incidents(people.rina)("AcknowledgeIncident", name=name)
        await people.rina("ResolveAlert", name=alerts[0][0], outcome="PRANK")
        incident = await Incidents(people.rina)("GetIncident", name=name)
        assert (incident.lead, incident.operator, incident.open_count) == (alerts[1][0], "rina", 2)
        assert (await seen(people, alerts[2][0])).merged_into == alerts[1][0]


class TestMergingByHand:
    async def test_what_a_dispatcher_puts_together_is_one(self, people: People) -> None:
        one, _ = await people.raise_alert(people.nobody, **beside(FAR))
        other, _ = await people.raise_alert(people.nobody, **beside(FAR * 3))
        violence, _ = await people.raise_alert(people.nobody, **beside(kind="VIOLENCE"))
        request_id = new_id()
        incident = await Incidents(people.sari)("MergeAlerts", alerts=[other, one, violence], request_id=request_id)
        assert (incident.lead, incident.alert_count) == (one, 3)
        assert [(await seen(people, each)).merged_into for each in (one, other, violence)] == ["", one, ""]
        again = await Incidents(people.sari)("MergeAlerts", alerts=[other, one, violence], request_id=request_id)
        assert again.name == incident.name

    async def test_what_is_taken_out_has_its_own_clocks_and_is_not_put_back(self, people: People) -> None:
        name, alerts = await form(people)
        left = await Incidents(people.rina)("UnmergeAlert", name=name, alert=alerts[1][0])
        assert alerts[1][0] not in left.alerts
        await people.raise_alert(people.nobody, **beside())
        await wait_until_assessed(people)
        apart = await seen(people, alerts[1][0])
        assert (apart.incident, apart.merged_into) == ("", "")
        await until(lambda: _is_escalated(people, alerts[1][0]))

    async def test_one_of_which_all_were_put_into_another_is_not_answered_any_more(self, people: People) -> None:
        left, alerts = await form(people, 2)
        one, other = [(await people.raise_alert(people.nobody, **beside(metres)))[0] for metres in (FAR, FAR * 3)]
        await Incidents(people.sari)("MergeAlerts", alerts=[one, other])
        await Incidents(people.sari)("MergeAlerts", alerts=[one, *(name for name, _ in alerts)])
        assert (await Incidents(people.sari)("GetIncident", name=left)).open_count == 0
        for rpc, more in (
            ("AcknowledgeIncident", {}),
            ("DispatchIncident", {"units": ["units/a"]}),
            ("MessageIncident", {"text": "a"}),
            ("ResolveIncident", {"outcome": "HELPED"}),
        ):
            assert (await refusal_of(Incidents(people.sari)(rpc, name=left, **more))).reason == "ALERT_CLOSED", rpc
        assert {(await seen(people, name)).state for name, _ in alerts} == {alert_pb2.Alert.RAISED}

    async def test_to_a_caller_no_alert_is_of_any(self, people: People) -> None:
        first, _ = await people.raise_alert(people.dewi, **beside())
        await people.raise_alert(people.adi, **beside())
        incident = await until(lambda: incident_of(people, first))
        assert first in await people.rina.list_names(incident=incident)
        assert await people.dewi.list_names(incident=incident) == []

    async def test_incidents_are_the_agencys_own(self, people: People) -> None:
        name, alerts = await form(people, 2)
        for rpc, more in (
            ("GetIncident", {}),
            ("AcknowledgeIncident", {}),
            ("ResolveIncident", {"outcome": "HELPED"}),
            ("MessageIncident", {"text": "a"}),
            ("UnmergeAlert", {"alert": alerts[0][0]}),
        ):
            assert (await refusal_of(Incidents(people.citra)(rpc, name=name, **more))).reason == "INCIDENT_NOT_FOUND", rpc
        assert (await refusal_of(Incidents(people.citra)("MergeAlerts", alerts=[each for each, _ in alerts]))).reason == "ALERT_NOT_FOUND"
        assert not (await Incidents(people.citra)("ListIncidents")).incidents
        assert [each.name for each in (await Incidents(people.rina)("ListIncidents")).incidents] == [name]
        assert OTHER_ROOM != ROOM


async def _is_escalated(people: People, name: str) -> bool:
    return (await seen(people, name)).escalation_level > 0


class TestDoubts:
    async def doubts(self, people: People, name: str) -> list[str]:
        return [DOUBT.Name(each) for each in (await seen(people, name)).doubts]

    async def test_pranks_before_are_shown_and_rank_the_next_one_down(self, people: People) -> None:
        await make_prankster(people)
        doubtful, caller = await people.raise_alert(people.adi, location={"point": MONAS})
        genuine, _ = await people.raise_alert(people.dewi, location={"point": MONAS})
        await until(lambda: self.doubts(people, doubtful))
        assert await self.doubts(people, doubtful) == ["PRANKS_BEFORE"]
        history = (await seen(people, doubtful)).caller_history
        assert (history.alerts, history.pranks, history.false_alarms) == (2, 2, 0)
        watching = people.rina.watch("WatchAlerts")
        assert [each.name for each in await watching.read_snapshot()] == [genuine, doubtful]
        # Nothing of it is shown to whoever raised it.
        shown = await caller("GetAlert", name=doubtful)
        assert (list(shown.doubts), shown.HasField("caller_history")) == ([], False)

    async def test_a_genuine_one_never_rests_with_a_doubtful_one_and_a_doubtful_one_may_rest_with_it(self, people: People) -> None:
        await make_prankster(people)
        prank, _ = await people.raise_alert(people.adi, **beside())
        genuine, _ = await people.raise_alert(people.dewi, **beside())
        await until(lambda: self.doubts(people, prank))
        again, _ = await people.raise_alert(people.adi, **beside())
        last, _ = await people.raise_alert(people.dewi, **beside())

        async def rests() -> bool:
            return bool((await seen(people, last)).merged_into)

        await until(rests)
        found = [await seen(people, each) for each in (prank, genuine, last)]
        assert [each.merged_into for each in found] == ["", "", genuine]
        assert found[0].incident != found[1].incident or not found[0].incident
        assert (await seen(people, again)).merged_into in {prank, genuine}

    async def test_one_of_whom_nothing_is_known_is_doubtful_until_something_is(self, people: People) -> None:
        name, caller = await people.raise_alert(people.nobody)
        assert await self.doubts(people, name) == ["NOTHING_KNOWN"]
        await caller("TrackAlert", name=name, locations=[{"point": MONAS}])
        assert await self.doubts(people, name) == []

    async def say_the_same(self, people: People, *places: dict[str, Any]) -> list[list[str]]:
        """The doubts of alerts that many raise with the same words, in their order."""
        users = [people.sign_in(f"user-{number}", "citizen") for number in range(len(places))]
        words = "everything is on fire here, come quickly"
        names = [(await people.raise_alert(user, note=words, **place))[0] for user, place in zip(users, places, strict=True)]
        await wait_until_assessed(people)
        return [await self.doubts(people, name) for name in names]

    async def test_the_same_words_with_more_than_five_others_are_doubtful(self, people: People) -> None:
        places = [beside(FAR * 3 * number, kind="OTHER") for number in range(8)]
        assert await self.say_the_same(people, *places) == [[]] * 6 + [["SAME_WORDS"]] * 2

    async def test_those_who_stand_where_it_burns_are_not_doubtful_by_what_they_say_alike(self, people: People) -> None:
        assert await self.say_the_same(people, *[beside(NEAR * number) for number in range(9)]) == [[]] * 9

    async def test_what_comes_from_nowhere_comes_from_elsewhere(self, people: People) -> None:
        assert await self.say_the_same(people, *[{"kind": "FIRE"}] * 6, beside(), {"kind": "FIRE"}) == [[]] * 6 + [["SAME_WORDS"]] * 2


class TestWhoMayMerge:
    async def test_an_agency_that_only_helps_puts_nothing_together_and_takes_nothing_out(self, responders: Responders) -> None:
        pair = [(await responders.take(kind="FIRE", location={"point": place}))[0] for place in (MONAS, beside(FAR)["location"]["point"])]
        for name in pair:
            await responders.ask_police(name)
        assert (await refusal_of(Incidents(responders.oka)("MergeAlerts", alerts=pair))).reason == "NOT_CLAIMANT"
        incident = await Incidents(responders.rina)("MergeAlerts", alerts=pair)
        refused = Incidents(responders.oka)("UnmergeAlert", name=incident.name, alert=pair[1])
        assert (await refusal_of(refused)).reason == "NOT_CLAIMANT"
        assert list((await Incidents(responders.rina)("GetIncident", name=incident.name)).alerts) == pair

    async def test_one_that_an_agency_must_not_know_of_is_in_no_incident(self, responders: Responders) -> None:
        hidden, _ = await responders.take(responders.oka, conflictAgency=ROOM)
        # Led by the room at first, and given to the police, who lead both.
        plain, _ = await responders.take(location=beside(FAR)["location"])
        await responders.rina("HandOverAlert", name=plain, agency=POLICE, reason="a knife")
        await responders.oka("RespondToRequest", name=plain, answer="ACCEPT")
        refused = await refusal_of(Incidents(responders.oka)("MergeAlerts", alerts=[hidden, plain]))
        assert (refused.reason, refused.metadata) == ("AGENCY_IN_CONFLICT", {"alert": hidden})
