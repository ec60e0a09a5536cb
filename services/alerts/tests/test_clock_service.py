"""The clocks of alerts in the service itself: who is shown what, on both databases, with time that the test lets pass."""

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clockwork import AGENCIES, CITY, DISTRICT, FIRE
from emergencies import Incidents
from google.protobuf.json_format import ParseDict
from moments import keep_agencies
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from people import MONAS, ROOM, Party, People, Watching
from sqlalchemy import select
from sqlalchemy.orm import Session

import alerts.operations.clocks
import alerts.servicer.alerts
import chassis.timers
from alerts.model.alerts import Alert
from alerts.model.clocks import find_clocks
from alerts.model.tables import Model, log
from alerts.routing import Router
from alerts.settings import Settings
from alerts.store import alerts as store
from chassis import clock
from chassis.database import open_database
from chassis.database.sqlite import create_sqlite_engine
from chassis.testing import find_points
from siaga.alerts.v1 import alert_pb2, unit_service_pb2, unit_service_pb2_grpc

TIMERS = Model.metadata.tables["timers"]
ESCALATION = alert_pb2.Alert.Escalation
SECONDS = 10.0


class Time:
    """What the service takes for it."""

    def __init__(self) -> None:
        self._passed = timedelta()

    def now(self) -> datetime:
        return clock.now() + self._passed

    def let_pass(self, seconds: float) -> None:
        self._passed += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    for module in (chassis.timers, alerts.operations.clocks, alerts.servicer.alerts):
        monkeypatch.setattr(module, "now", time.now)
    return time


@pytest.fixture(autouse=True)
def agencies(settings: Settings) -> None:
    """What the service has kept of the directory before it starts. Of MONAS' room nothing is known: the city's own takes it."""
    keep_agencies(settings.snapshot_file, AGENCIES)


async def read_until(watching: Watching, kind: str) -> alert_pb2.Alert:
    """The alert as an event of the kind shows it; those before it are passed over."""
    while True:
        message = await watching.read()
        if message.event.type == kind:
            return message.event.alert


async def until_escalated(people: People, name: str, level: int, by: Party | None = None) -> alert_pb2.Alert:
    async with asyncio.timeout(SECONDS):
        while (alert := await (by or people.sari)("GetAlert", name=name)).escalation_level < level:
            await asyncio.sleep(0.02)
    return alert


async def list_events(party: Party, name: str) -> list[str]:
    return [each.type for each in (await party("ListAlertEvents", name=name, pageSize=1000)).events]


def is_called(alert: alert_pb2.Alert, agency: str = ROOM) -> str:
    return next(ESCALATION.Name(each.escalation) for each in alert.responses if each.agency == agency)


async def create_unit(people: People, bearer: str, crew: str) -> str:
    """On duty."""
    stub: Any = unit_service_pb2_grpc.UnitServiceStub(people.channel)
    metadata = [("authorization", f"Bearer {bearer}")]
    unit = {"kind": "AMBULANCE", "displayName": "Ambulans 1", "crew": [crew]}
    made = await stub.CreateUnit(ParseDict({"unit": unit}, unit_service_pb2.CreateUnitRequest()), metadata=metadata)
    await stub.StartDuty(unit_service_pb2.StartDutyRequest(name=made.name), metadata=metadata)
    return made.name


class TestAnAlertThatNobodyAnswers:
    async def test_its_room_is_told_at_each_step_who_is_called(self, people: People, time: Time) -> None:
        name, _ = await people.raise_alert()
        watching = await people.sari.watch("WatchAlerts", cursor="now").begin()
        called: list[tuple[str, int]] = []
        for seconds in (10, 5, 5, 40, 60):
            time.let_pass(seconds)
            alert = await read_until(watching, "AlertEscalated")
            called.append((is_called(alert), alert.escalation_level))
        assert called == [("EVERYONE", 1), ("EVERYONE", 2), ("SUPERVISOR", 3), ("PARENT", 4), ("PARENT", 5)]
        assert (await list_events(people.rina, name)).count("AlertEscalated") == 5

    async def test_its_log_says_the_very_time_from_which_its_clocks_count(self, people: People, time: Time) -> None:
        name, _ = await people.raise_alert()
        time.let_pass(10)
        alert = await until_escalated(people, name, 1)
        told = (await people.sari("ListAlertEvents", name=name)).events[-1]
        assert (told.type, told.create_time) == ("AlertEscalated", alert.update_time)

    async def test_its_caller_is_shown_nothing_of_it(self, people: People, time: Time) -> None:
        name, caller = await people.raise_alert()
        shown, told = await caller("GetAlert", name=name), await list_events(caller, name)
        time.let_pass(100)
        await until_escalated(people, name, 4)
        assert await caller("GetAlert", name=name) == shown
        assert await list_events(caller, name) == told

    async def test_an_answer_stops_it_and_a_release_begins_anew(self, people: People, time: Time) -> None:
        name, _ = await people.raise_alert()
        time.let_pass(9)
        await people.rina("AcknowledgeAlert", name=name)
        time.let_pass(600)
        # What does run out is another clock.
        watching = people.sari.watch("WatchAlerts")
        await watching.read_snapshot()
        await people.rina("ReleaseAlert", name=name)
        assert (await people.sari("GetAlert", name=name)).escalation_level == 0
        time.let_pass(15)
        assert is_called(await read_until(watching, "AlertEscalated")) == "EVERYONE"

    async def test_on_a_screen_it_has_until_the_next_step(self, people: People, time: Time) -> None:
        name, _ = await people.raise_alert()
        await people.rina("ConfirmReceipt", name=name)
        other, _ = await people.raise_alert()
        time.let_pass(12)
        await until_escalated(people, other, 1)
        assert (await people.sari("GetAlert", name=name)).escalation_level == 0
        time.let_pass(3)
        await until_escalated(people, name, 1)

    async def test_of_a_silent_one_its_caller_is_never_told_and_the_room_that_there_is_one(self, people: People, time: Time) -> None:
        name, caller = await people.raise_alert(silent=True)
        shown = await caller("GetAlert", name=name)
        watches = [await party.watch("WatchAlerts", cursor="now").begin() for party in (people.rina, people.sari)]
        time.let_pass(10)
        redacted, whole = [await read_until(each, "AlertEscalated") for each in watches]
        assert (redacted.name, redacted.restricted, list(redacted.responses)) == (name, True, [])
        assert is_called(whole) == "EVERYONE"
        assert await caller("GetAlert", name=name) == shown

    async def test_its_callers_cancel_does_not_silence_it(self, people: People, time: Time) -> None:
        name, caller = await people.raise_alert()
        await caller("CancelAlert", name=name)
        shown = await caller("GetAlert", name=name)
        time.let_pass(60)
        await until_escalated(people, name, 4)
        assert await caller("GetAlert", name=name) == shown

    async def test_a_drill_is_drilled_and_shown_to_those_who_drill_alone(self, people: People, time: Time) -> None:
        drill, _ = await people.raise_alert(people.rina, drill=True)
        without = await people.sari.watch("WatchAlerts", cursor="now").begin()
        including = await people.sari.watch("WatchAlerts", cursor="now", includeDrills=True).begin()
        time.let_pass(10)
        assert (await read_until(including, "AlertEscalated")).name == drill
        real, _ = await people.raise_alert()
        assert (await without.read()).event.alert.name == real


class TestTheAgencyAbove:
    async def test_it_is_asked_sees_the_alert_and_leads_when_it_answers(self, people: People, settings: Settings, time: Time) -> None:
        """The city's own room stands above all others; here the alert is handed to one of them, which does not answer."""
        agus = people.sign_in("agus", "dispatcher", agency=DISTRICT)
        bayu = people.sign_in("bayu", "supervisor", agency=CITY)
        name, _ = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("HandOverAlert", name=name, agency=DISTRICT)
        watching = await bayu.watch("WatchAlerts", cursor="now").begin()
        time.let_pass(60)
        alert = await read_until(watching, "AgencyRequested")
        assert (alert.name, alert.agency, is_called(alert, DISTRICT)) == (name, ROOM, "PARENT")
        assert await bayu.list_names() == [name]
        await bayu("RespondToRequest", name=name, answer="ACCEPT")
        alert = await agus("GetAlert", name=name)
        assert alert.agency == CITY
        assert [is_called(alert, agency) for agency in (DISTRICT, CITY)] == ["ESCALATION_UNSPECIFIED"] * 2
        await assert_timers_follow(settings)


class TestInTheVeryMoment:
    async def test_an_acknowledgement_and_a_step_are_one_after_the_other(self, people: People, settings: Settings, time: Time) -> None:
        async def take(name: str, number: int) -> None:
            await asyncio.sleep(number * 0.02)
            await people.rina("AcknowledgeAlert", name=name)

        # How often there was no step before it, and how often one.
        first = [0, 0]
        while not all(first):
            names = [(await people.raise_alert())[0] for _ in range(60)]
            time.let_pass(9.9)
            await asyncio.gather(*(take(name, number) for number, name in enumerate(names)))
            for name in names:
                steps = [each for each in await list_events(people.rina, name) if each in {"AlertEscalated", "AlertAcknowledged"}]
                assert steps in (["AlertAcknowledged"], ["AlertEscalated", "AlertAcknowledged"])
                assert (await people.sari("GetAlert", name=name)).escalation_level == len(steps) - 1
                first[len(steps) - 1] += 1
        await assert_timers_follow(settings)


class TestTheRollCall:
    async def test_a_crew_is_asked_answers_and_when_it_does_not_a_mayday_is_raised(
        self, people: People, time: Time, caplog: pytest.LogCaptureFixture, metric_reader: InMemoryMetricReader
    ) -> None:
        unit = await create_unit(people, people.issuer.sign("sari", "supervisor", agency=ROOM), "krisna")
        krisna = people.sign_in("krisna", "responder", agency=ROOM)
        name, caller = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("DispatchAlert", name=name, units=[unit])
        crew = await krisna.watch("WatchAssignments", unit=unit, cursor="now").begin()
        await krisna("UpdateAssignment", name=name, unit=unit, status="ON_SCENE")
        time.let_pass(60)
        await read_until(crew, "RollCallDue")
        shown = await caller("GetAlert", name=name)
        alert = await krisna("UpdateAssignment", name=name, unit=unit, status="ON_SCENE")
        assert await caller("GetAlert", name=name) == shown
        told = await list_events(caller, name)
        counted = read_count(metric_reader, "MAYDAY")
        for kind in ("RollCallDue", "RollCallDue", "RollCallMissed") * 2:
            time.let_pass(60)
            alert = await read_until(crew, kind)
        await read_until(crew, "MaydayRaised")
        assert (alert.assignments[0].missed_roll_calls, alert.assignments[0].mayday) == (2, True)
        assert await list_events(caller, name) == told
        async with asyncio.timeout(SECONDS):
            while f"{unit} does not answer at the scene of {name}: mayday" not in caplog.text:
                await asyncio.sleep(0.02)
        assert read_count(metric_reader, "MAYDAY") == counted + 1


def read_count(reader: InMemoryMetricReader, step: str) -> int:
    return sum(point.value for point in find_points(reader, "siaga.alerts.escalations") if point.attributes == {"step": step})


class TestWhoeverRunsTheServiceAtNight:
    async def test_each_step_is_counted_and_the_call_to_the_agency_above_is_logged(
        self, people: People, time: Time, caplog: pytest.LogCaptureFixture, metric_reader: InMemoryMetricReader
    ) -> None:
        steps = ("EVERYONE", "SUPERVISOR", "PARENT")
        before = [read_count(metric_reader, step) for step in steps]
        name, _ = await people.raise_alert(note="the caller's own words")
        drill, _ = await people.raise_alert(people.rina, drill=True)
        time.let_pass(60)
        for each in (name, drill):
            await until_escalated(people, each, 4)
        async with asyncio.timeout(SECONDS):
            while f"{name} is not answered by {ROOM}: nobody above it is called" not in caplog.text:
                await asyncio.sleep(0.02)
        assert [read_count(metric_reader, step) - was for step, was in zip(steps, before, strict=True)] == [2, 1, 1]
        assert drill not in caplog.text
        assert "words" not in caplog.text
        assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def assert_timers_follow(settings: Settings) -> None:
    """What is in the database is what follows from each alert."""
    router = Router("127.0.0.1:1", settings.snapshot_file, ROOM)

    def compare(session: Session) -> None:
        alerts = store.find_alerts(session, session.scalars(select(Alert.name)).all())
        follow = [(each.name, *due) for each in alerts for due in find_clocks(each, router.find_policy)]
        columns = (TIMERS.c.resource, TIMERS.c.kind, TIMERS.c.subject, TIMERS.c.due_time)
        assert sorted(tuple(row) for row in session.execute(select(*columns))) == sorted(follow)

    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite"):
        # The service holds the file for itself: another connection of its process looks into it.
        engine = create_sqlite_engine(Path(url.removeprefix("sqlite:///")), "BEGIN", query_only=1)
        with Session(engine) as session:
            compare(session)
        engine.dispose()
    else:
        async with open_database(url, log.before_commit, lambda: None) as database:
            await database.read(compare)


async def test_every_change_leaves_the_timers_that_follow_from_the_alert(people: People, settings: Settings) -> None:
    agus = people.sign_in("agus", "supervisor", agency=DISTRICT)
    cahya = people.sign_in("cahya", "dispatcher", agency=FIRE)
    unit = await create_unit(people, people.issuer.sign("sari", "supervisor", agency=ROOM), "krisna")
    name, caller = await people.raise_alert(location={"point": MONAS})
    await assert_timers_follow(settings)
    changes: list[tuple[Party, str, dict[str, Any]]] = [
        (people.machine, "ConfirmReceipt", {"operator": "Rina"}),
        (people.rina, "AcknowledgeAlert", {}),
        (people.rina, "RequestAgency", {"agency": FIRE}),
        (people.rina, "RequestAgency", {"agency": CITY}),
        (cahya, "RespondToRequest", {"answer": "REJECT", "reason": "no crew"}),
        (people.rina, "DispatchAlert", {"units": [unit]}),
        (people.rina, "UpdateAssignment", {"unit": unit, "status": "EN_ROUTE"}),
        (people.rina, "UpdateAssignment", {"unit": unit, "status": "ON_SCENE"}),
        (people.rina, "AddNote", {"text": "a note"}),
        (people.rina, "RecordContact", {"means": "CALL", "result": "REACHED"}),
        (people.rina, "SendMessage", {"text": "we are coming"}),
        (caller, "TrackAlert", {"locations": [{"point": MONAS}]}),
        (people.rina, "UpdateAssignment", {"unit": unit, "status": "DONE"}),
        (people.rina, "ReleaseAlert", {}),
        (people.sari, "AssignAlert", {"assignee": "budi"}),
        (people.budi, "HandOverAlert", {"agency": DISTRICT}),
        (caller, "CancelAlert", {}),
        (agus, "RespondToRequest", {"answer": "ACCEPT"}),
        (agus, "ResolveAlert", {"outcome": "HELPED"}),
    ]
    for party, rpc, fields in changes:
        await party(rpc, name=name, **fields)
        await assert_timers_follow(settings)
    # What leaves an incident because another agency leads it.
    grouped = [(await people.raise_alert(kind=kind))[0] for kind in ("CRIME", "VIOLENCE")]
    await Incidents(people.sari)("MergeAlerts", alerts=grouped)
    await people.sari("AcknowledgeAlert", name=grouped[1])
    await people.sari("HandOverAlert", name=grouped[1], agency=DISTRICT)
    await agus("RespondToRequest", name=grouped[1], answer="ACCEPT")
    assert (await agus("GetAlert", name=grouped[1])).incident == ""
    await assert_timers_follow(settings)
    other, _ = await people.raise_alert(kind="CRIME")
    await people.rina("AcknowledgeAlert", name=other)
    await people.rina("UpdateAlert", alert={"name": other, "kind": "FIRE"}, updateMask="kind")
    await assert_timers_follow(settings)
