"""Exercises: for one agency alone, with exercise units, among themselves in everything, and gone after a week."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from emergencies import FAR, until
from moments import ROOM, make_alert, make_position
from people import MONAS, OTHER_ROOM, Party, People, Watching, new_alert_token, new_id, refusal_of
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alerts.model import Model
from alerts.model.alerts import Alert
from alerts.model.clocks import ANSWER
from alerts.model.enums import Status
from alerts.model.incidents import Incident, IncidentState
from alerts.model.responses import Response
from alerts.model.tables import log
from alerts.model.timeline import Message, Note
from alerts.model.units import Assignment
from alerts.operations import clocks, drills
from alerts.routing import Router
from alerts.settings import Settings
from alerts.store import alerts as store
from chassis.clock import new_uuid, now
from chassis.database import Database, open_database
from chassis.timers import Timer
from siaga.alerts.v1 import alert_pb2, alert_service_pb2, incident_service_pb2, unit_pb2, unit_service_pb2
from siaga.alerts.v1.incident_service_pb2_grpc import IncidentServiceStub
from siaga.alerts.v1.unit_service_pb2_grpc import UnitServiceStub

DOUBT = alert_pb2.Alert.Doubt
LACK = alert_service_pb2.RecommendUnitsResponse.Shortfall
CONSOLE = "agencies/sentinel"
SECONDS = 15.0
WEEK = timedelta(days=7)


async def call_unit(party: Party, rpc: str, **fields: Any) -> Any:
    request = getattr(unit_service_pb2, f"{rpc}Request")(**fields)
    return await getattr(UnitServiceStub(party._channel), rpc)(request, metadata=party.metadata(), timeout=SECONDS)


async def call_incident(party: Party, rpc: str, **fields: Any) -> Any:
    request = getattr(incident_service_pb2, f"{rpc}Request")(**fields)
    return await getattr(IncidentServiceStub(party._channel), rpc)(request, metadata=party.metadata(), timeout=SECONDS)


async def raise_drill(by: Party, **fields: Any) -> Any:
    return await by("RaiseAlert", requestId=new_id(), alertToken=new_alert_token(), drill=True, **fields)


async def make_unit(people: People, name: str, *, drill: bool = False) -> str:
    unit = unit_pb2.Unit(kind=unit_pb2.Unit.AMBULANCE, display_name=name, crew=["umi"], drill=drill)
    made = await call_unit(people.sari, "CreateUnit", unit_id=name, unit=unit)
    assert made.drill == drill
    await call_unit(people.sari, "StartDuty", name=made.name)
    return made.name


@pytest.fixture
def console(people: People) -> Party:
    return people.sign_in("sentinel", "agency", agency=CONSOLE)


class TestForOneAgency:
    async def test_it_goes_there_wherever_its_place_is(self, people: People, console: Party) -> None:
        reply = await raise_drill(console, drillAgency=CONSOLE, location={"point": MONAS})
        assert (reply.alert.agency, reply.alert.drill, list(reply.ignored_fields)) == (CONSOLE, True, [])
        assert await console.list_names(includeDrills=True) == [reply.alert.name]
        for others in (people.rina, people.sari, people.machine):
            assert await others.list_names(includeDrills=True) == []
            assert (await refusal_of(others("GetAlert", name=reply.alert.name))).reason == "ALERT_NOT_FOUND"

    async def test_an_agency_that_the_directory_knows_may_be_drilled_by_another(self, people: People, console: Party) -> None:
        reply = await raise_drill(console, drillAgency=ROOM)
        assert (reply.alert.agency, list(reply.ignored_fields)) == (ROOM, [])
        assert await people.rina.list_names(includeDrills=True) == [reply.alert.name]

    async def test_it_is_ignored_and_named_without_a_drill_and_of_an_unknown_agency(self, people: People) -> None:
        cases: list[tuple[Party, dict[str, Any], list[str]]] = [
            (people.rina, {"drill": False, "drillAgency": ROOM}, ["drillAgency"]),
            (people.rina, {"drillAgency": OTHER_ROOM}, ["drillAgency"]),
            # Nor is there anybody else to take it.
            (people.rina, {"drillAgency": ROOM, "conflictAgency": ROOM}, ["drillAgency", "conflictAgency"]),
            (people.rina, {"drillAgency": "no agency"}, ["drillAgency"]),
            (people.dewi, {"drillAgency": ROOM}, ["drill", "drillAgency"]),
            (people.nobody, {"drillAgency": ROOM}, ["drill", "drillAgency"]),
        ]
        for by, said, ignored in cases:
            reply = await by("RaiseAlert", **({"requestId": new_id(), "alertToken": new_alert_token(), "drill": True} | said))
            assert list(reply.ignored_fields) == ignored, said
            assert reply.alert.drill == ("drill" not in ignored and said.get("drill", True)), said

    async def test_another_place_gives_it_to_nobody_else(self, console: Party) -> None:
        name = (await raise_drill(console, drillAgency=CONSOLE)).alert.name
        await console("AcknowledgeAlert", name=name, operator="sentinel")
        changed = await console("UpdateAlert", alert={"name": name, "target": {"point": MONAS}}, operator="sentinel")
        assert (changed.agency, [each.agency for each in changed.responses]) == (CONSOLE, [CONSOLE])


class TestNobodyElseSeesIt:
    async def test_neither_lists_nor_watches_show_a_drill_unless_asked(self, people: People) -> None:
        watching = await people.rina.watch("WatchAlerts").begin()
        incidents: Any = IncidentServiceStub(people.channel)
        watch = incidents.WatchIncidents(incident_service_pb2.WatchIncidentsRequest(), metadata=people.rina.metadata())
        following = await Watching(watch).begin()
        place = {"kind": "FIRE", "location": {"point": MONAS}}
        names = [(await raise_drill(people.rina, **place)).alert.name for _ in range(2)]

        async def formed() -> Any:
            return (await call_incident(people.rina, "ListIncidents", include_drills=True)).incidents

        (incident,) = await until(formed)
        assert incident.drill
        assert sorted(incident.alerts) == sorted(names)
        assert not (await call_incident(people.rina, "ListIncidents")).incidents
        assert await people.rina.list_names() == []
        # What comes next on either watch is the first thing that is no drill.
        real = [(await people.raise_alert(people.nobody, **place))[0] for _ in range(2)]
        assert (await watching.read_event())[1].name == real[0]
        formed_for_real: Any = await following.read()
        assert (formed_for_real.event.type, formed_for_real.event.incident.drill) == ("IncidentFormed", False)
        assert set(real).isdisjoint(names)

    async def test_a_drill_is_not_merged_with_an_emergency(self, people: People) -> None:
        real, _ = await people.raise_alert(people.nobody, location={"point": MONAS})
        drill = (await raise_drill(people.rina)).alert.name
        for alerts in ([real, drill], [drill, real]):
            refusal = await refusal_of(call_incident(people.sari, "MergeAlerts", alerts=alerts))
            assert (refusal.code, refusal.reason, refusal.metadata) == ("FAILED_PRECONDITION", "DRILL_MISMATCH", {"alert": drill})
        for name in (real, drill):
            assert (await people.sari("GetAlert", name=name)).incident == ""


class TestUnits:
    async def test_a_drill_takes_exercise_units_and_nothing_else_does(self, people: People) -> None:
        real_unit, exercise_unit = await make_unit(people, "A-1"), await make_unit(people, "X-1", drill=True)
        real, _ = await people.raise_alert(kind="MEDICAL", location={"point": MONAS})
        drill = (await raise_drill(people.rina, kind="MEDICAL")).alert.name
        for name, wrong, right in ((real, exercise_unit, real_unit), (drill, real_unit, exercise_unit)):
            await people.rina("AcknowledgeAlert", name=name)
            refusal = await refusal_of(people.rina("DispatchAlert", name=name, units=[wrong]))
            assert (refusal.code, refusal.reason, refusal.metadata) == ("FAILED_PRECONDITION", "DRILL_MISMATCH", {"unit": wrong})
            # All of the units or none.
            assert (await refusal_of(people.rina("DispatchAlert", name=name, units=[right, wrong]))).reason == "DRILL_MISMATCH"
            found = await people.rina("RecommendUnits", name=name)
            assert [each.unit.name for each in found.recommendations] == [right]
            sent = await people.rina("DispatchAlert", name=name, units=[right])
            assert [each.unit for each in sent.assignments] == [right]

    async def test_what_is_missing_is_said_to_be_for_the_other(self, people: People) -> None:
        drill = (await raise_drill(people.rina, kind="MEDICAL")).alert.name
        await people.rina("AcknowledgeAlert", name=drill)
        reasons: list[str] = []
        for name in ("", "A-1"):
            if name:
                await make_unit(people, name)
            found = await people.rina("RecommendUnits", name=drill)
            reasons += [LACK.Reason.Name(each.reason) for each in found.shortfalls]
        assert reasons == ["NONE_OF_THE_KIND", "DRILL_MISMATCH"]

    async def test_a_crew_sees_nothing_of_it_and_stays_free(self, people: People) -> None:
        real_unit, exercise_unit = await make_unit(people, "A-1"), await make_unit(people, "X-1", drill=True)
        umi = people.sign_in("umi", "responder", agency=ROOM)
        crew = umi.watch("WatchAssignments", unit=real_unit)
        await crew.read_snapshot()
        drill = (await raise_drill(people.rina, kind="MEDICAL")).alert.name
        await people.rina("AcknowledgeAlert", name=drill)
        await people.rina("DispatchAlert", name=drill, units=[exercise_unit])
        assert (await call_unit(umi, "GetUnit", name=real_unit)).alert == ""
        real, _ = await people.raise_alert(kind="MEDICAL", location={"point": MONAS})
        await people.rina("AcknowledgeAlert", name=real)
        await people.rina("DispatchAlert", name=real, units=[real_unit])
        assert (await crew.read_event())[1].name == real

    async def test_exercise_units_are_listed_when_asked_for_and_stay_what_they_are(self, people: People) -> None:
        real_unit, exercise_unit = await make_unit(people, "A-1"), await make_unit(people, "X-1", drill=True)
        assert [each.name for each in (await call_unit(people.rina, "ListUnits")).units] == [real_unit]
        both = await call_unit(people.rina, "ListUnits", include_drills=True)
        assert [each.name for each in both.units] == [real_unit, exercise_unit]
        mask = {"update_mask": {"paths": ["drill"]}, "unit": unit_pb2.Unit(name=exercise_unit)}
        assert (await refusal_of(call_unit(people.sari, "UpdateUnit", **mask))).reason == "INVALID_REQUEST"
        changed = await call_unit(people.sari, "UpdateUnit", unit=unit_pb2.Unit(name=real_unit, display_name="A-2", drill=True))
        assert (changed.display_name, changed.drill) == ("A-2", False)


class TestDoubts:
    async def test_what_was_raised_in_drills_says_nothing_of_an_emergency_nor_the_other_way(self, people: People) -> None:
        async def settle() -> None:
            for _ in range(2):
                drilled = await people.rina("RaiseAlert", requestId=new_id(), alertToken=new_alert_token(), drill=True, channel="APP")
                await people.budi("AcknowledgeAlert", name=drilled.alert.name)
                await people.budi("ResolveAlert", name=drilled.alert.name, outcome="PRANK")

        async def assessed(*, drill: bool) -> list[str]:
            reply = await people.rina("RaiseAlert", requestId=new_id(), alertToken=new_alert_token(), drill=drill, channel="APP")
            await looked_at_last(people)
            return [DOUBT.Name(each) for each in (await people.sari("GetAlert", name=reply.alert.name)).doubts]

        await settle()
        assert "PRANKS_BEFORE" not in await assessed(drill=False)
        assert "PRANKS_BEFORE" in await assessed(drill=True)

    async def test_words_of_drills_are_no_words_of_emergencies(self, people: People) -> None:
        words = "this is an exercise, nobody is hurt"
        for _ in range(7):
            await raise_drill(people.machine, note=words, kind="OTHER")
        point = {"latitude": MONAS["latitude"] + FAR, "longitude": MONAS["longitude"]}
        real, _ = await people.raise_alert(people.nobody, note=words, kind="OTHER", location={"point": point})
        await looked_at_last(people)
        assert list((await people.sari("GetAlert", name=real)).doubts) == []


async def looked_at_last(people: People) -> None:
    """One alert after the other is looked at: once the last one has its incident, all before it were."""
    names = [(await people.raise_alert(people.nobody, kind="FIRE", location={"point": MONAS}))[0] for _ in range(2)]

    async def joined() -> bool:
        return bool((await people.sari("GetAlert", name=names[1])).incident)

    await until(joined)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:
        yield database


def add_past(session: Session, *, drill: bool = True, age: timedelta = WEEK * 2, closed: bool = True, incident: str = "") -> str:
    """With something of everything that can belong to an alert."""
    then = now() - age
    alert = make_alert(drill=drill, now=then)
    alert.close_time = then if closed else None
    alert.incident = incident
    session.add(alert)
    session.flush()
    store.add_positions(session, [make_position(alert, then)])
    store.add_note(session, Note(id=new_uuid(), alert=alert.name, text="a note"))
    store.add_message(session, Message(id=new_uuid(), alert=alert.name, sender=1, operator="", text="a text", create_time=then))
    session.add(
        Assignment(alert=alert.name, number=0, unit="units/X", agency=ROOM, kind=1, crew=[], status=Status.DONE, dispatch_time=then)
    )
    store.timers.replace(session, alert.name, [Timer(ANSWER, alert.name, ROOM, then)])
    log.append(session, "AlertRaised", alert.name, 1)
    if incident:
        session.merge(
            Incident(
                name=incident,
                state=IncidentState.CLOSED,
                kind=1,
                area="",
                agency=ROOM,
                drill=drill,
                lead=alert.name,
                operator="",
                alert_count=1,
                open_count=0,
                create_time=then,
                update_time=then,
            )
        )
        log.append(session, "IncidentClosed", incident, 1)
    return alert.name


def find_rows(session: Session) -> dict[str, int]:
    """How many each table has, the request keys aside."""
    counts = {
        table.name: session.scalars(select(func.count()).select_from(table)).one()
        for table in Model.metadata.sorted_tables
        if table.name != "request_keys"
    }
    return {name: count for name, count in counts.items() if count}


def sweep(session: Session) -> None:
    before = now() - WEEK
    for remove in (drills.remove_drills, drills.remove_incidents):
        while remove(session, before=before, limit=2) == 2:
            pass


class TestRemoval:
    async def test_nothing_is_left_of_past_drills(self, database: Database) -> None:
        def add(session: Session) -> None:
            for number in range(5):
                add_past(session, incident=f"incidents/{number % 2}")

        await database.write(add)
        assert (await database.read(find_rows))["alerts"] == 5
        await database.write(sweep)
        # The log's newest row is where its readers are.
        assert await database.read(find_rows) == {"events": 1}

    async def test_everything_else_is_kept(self, database: Database) -> None:
        def add(session: Session) -> set[str]:
            kept = {
                add_past(session, drill=False, incident="incidents/real"),
                add_past(session, age=timedelta(days=6), incident="incidents/new"),
                add_past(session, closed=False),
            }
            add_past(session)
            return kept

        kept = await database.write(add)
        await database.write(sweep)
        rows = await database.read(find_rows)
        assert await database.read(lambda session: set(session.scalars(select(Alert.name)))) == kept
        assert rows == dict.fromkeys(("alerts", "responses", "assignments", "positions", "notes", "messages", "timers"), 3) | {
            "incidents": 2,
            "events": 6,
        }

    async def test_the_oldest_are_found_by_their_index(self, database: Database) -> None:
        def plan(session: Session) -> str:
            question = (
                select(Alert.name)
                .where(Alert.drill.is_(True), Alert.close_time.is_not(None), Alert.update_time < now())
                .order_by(Alert.update_time)
                .limit(20)
            )
            text = str(question.compile(session.connection(), compile_kwargs={"literal_binds": True}))
            if session.connection().dialect.name == "postgresql":
                session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
                return str(session.connection().exec_driver_sql(f"EXPLAIN {text}").all())
            return str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())

        assert "ix_alerts_drills" in await database.read(plan)


async def test_the_clocks_of_an_exercise_for_one_agency_call_nobody_of_another(database: Database, settings: Settings) -> None:
    router = Router(settings.directory, settings.snapshot_file, ROOM)

    def call(session: Session, drill_agency: str) -> list[str]:
        raised = make_alert(drill=True, agency=CONSOLE, now=now() - timedelta(hours=1))
        raised.drill_agency = drill_agency
        session.add(raised)
        session.flush()
        found = clocks.lock_subjects(session, [raised.name], wait=False)[raised.name]
        assert found is not None
        for _ in range(6):
            clocks.run_out(session, Timer(ANSWER, raised.name, CONSOLE, now()), found, router)
        return sorted(session.scalars(select(Response.agency).where(Response.alert == raised.name)))

    assert await database.write(lambda session: call(session, CONSOLE)) == [CONSOLE]
    assert await database.write(lambda session: call(session, "")) == [ROOM, CONSOLE]
