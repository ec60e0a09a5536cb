"""Many who act at once on the same alerts and units: one wins each, and nobody waits for somebody who waits."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import grpc
import pytest
from emergencies import Incidents, beside, form, incident_of, until, wait_until_assessed
from locking import connect, count_deadlocks, let_go_together, on_postgres, wait_for_locks
from people import MONAS, ROOM, Party, People, new_id, read_refusal
from responders import Responders, report
from sqlalchemy import select
from sqlalchemy.orm import Session
from threatened import set_pins

from alerts.model.units import Unit
from alerts.operations import changes
from alerts.operations import units as unit_operations
from alerts.store import alerts as store
from alerts.store import units as unit_store
from siaga.alerts.v1 import alert_pb2

DISPATCHERS, ALERTS = 50, 200
# How many of them a dispatcher tries to take; all of them cost a minute.
TRIED = ALERTS if os.environ.get("SIAGA_NIGHTLY") else 40
ACTORS, ACTS, MUTANT_ACTS = 24, 1200, 20000
FLEET = [f"units/u-{each}" for each in range(6)]
CARS = [f"units/c-{each}" for each in range(2)]
# What may come of an act that somebody else's act came before.
REFUSALS = {
    *("UNIT_BUSY", "UNIT_OFF_DUTY", "UNIT_NOT_FOUND", "UNIT_CHANGED", "INVALID_TRANSITION", "ALERT_CLOSED", "ALERT_NOT_FOUND"),
    *("NOT_CLAIMANT", "NOT_ACKNOWLEDGED", "ALREADY_ACKNOWLEDGED", "NOT_REQUESTED", "CALLER_NOT_CONTACTABLE", "ALERT_CHANGED"),
}


async def race_for(responders: Responders, alerts: list[str], tried: int) -> tuple[dict[str, list[str]], list[str]]:
    """Each dispatcher tries to take as many, in an order of their own. Who has taken each, and what any other one was told
    than who that was.
    """
    told: dict[str, set[str]] = {name: set() for name in alerts}
    winners: dict[str, list[str]] = {name: [] for name in alerts}
    failures: list[str] = []

    async def work(number: int) -> None:
        user = f"dispatcher-{number}"
        party = responders.sign_in(user, "dispatcher", agency=ROOM)
        # As many for each, and as many who try for each of them.
        theirs = alerts[number % (len(alerts) // tried) :: len(alerts) // tried]
        for name in random.sample(theirs, tried):
            try:
                await party("AcknowledgeAlert", name=name, requestId=new_id())
                winners[name].append(user)
            except grpc.aio.AioRpcError as error:
                refusal = read_refusal(error)
                if refusal[:2] == ("ABORTED", "ALREADY_ACKNOWLEDGED") and refusal.metadata.keys() == {"operator", "agency"}:
                    told[name].add(refusal.metadata["operator"])
                else:
                    failures.append(refusal.reason)

    await asyncio.gather(*map(work, range(DISPATCHERS)))
    failures += [name for name, users in told.items() if not users <= set(winners[name])]
    return winners, failures


@pytest.mark.timeout(300)
async def test_of_fifty_dispatchers_one_takes_each_of_two_hundred_alerts(responders: Responders) -> None:
    alerts = [(await responders.raise_alert())[0] for _ in range(ALERTS)]
    winners, failures = await race_for(responders, alerts, TRIED)
    assert not failures
    assert [len(each) for each in winners.values()] == [1] * ALERTS
    for name, users in winners.items():
        seen = await responders.sari("GetAlert", name=name)
        assert [each.operator for each in seen.responses] == users
        taken = [each.actor for each in (await responders.sari("ListAlertEvents", name=name)).events if each.type == "AlertAcknowledged"]
        assert taken == users


@on_postgres
async def test_without_the_alerts_lock_several_would_take_it(responders: Responders, monkeypatch: pytest.MonkeyPatch) -> None:
    find_alert = store.find_alert
    monkeypatch.setattr(changes.store, "find_alert", lambda session, name, **_: find_alert(session, name))
    alerts = [(await responders.raise_alert())[0] for _ in range(20)]
    winners, failures = await race_for(responders, alerts, 4)
    # Or they would stumble over each other's timers.
    assert failures or max(len(each) for each in winners.values()) > 1


class Hunt:
    """Everybody at once on a few alerts and units, each act in whatever order its request names them."""

    def __init__(self, responders: Responders) -> None:
        self._responders, self._random = responders, random.Random(4)
        self._alerts: list[str] = []
        self.raised: list[str] = []
        self.acts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    async def run(self, acts: int) -> None:
        """To the first failure."""
        responders = self._responders
        for name in FLEET:
            await responders.make_unit(name.removeprefix("units/"))
        for name in CARS:
            await responders.make_unit(name.removeprefix("units/"), responders.chief, kind="PATROL_CAR", crew=["joko"])
        for _ in range(4):
            await self._raise()

        async def act() -> None:
            while self.acts.total() < acts and not self.failures:
                await self._act()

        await asyncio.gather(*(act() for _ in range(ACTORS)))

    async def _raise(self) -> None:
        name, _ = await self._responders.take(location={"point": MONAS})
        await self._responders.ask_police(name)
        self._alerts.append(name)
        self.raised.append(name)

    async def _act(self) -> None:
        pick, responders = self._random, self._responders
        name = pick.choice(self._alerts)
        fleet, by = pick.choice([(FLEET, responders.rina), (FLEET, responders.rina), (CARS, responders.oka)])
        some = pick.sample(fleet, pick.randint(1, len(fleet)))
        acts: list[Callable[[], Awaitable[Any]]] = [
            lambda: responders.send(name, *some, by=by),
            lambda: responders.send(name, *some[:2], by=by),
            lambda: responders.move_on(name, some[0], pick.choice(["EN_ROUTE", "ON_SCENE", "DONE", "DECLINED"]), by=by),
            lambda: responders.move_on(name, some[0], "DONE", by=by),
            lambda: self._update(some[0], responders.sari if fleet is FLEET else responders.chief),
            lambda: by("ReportUnitPositions", reports=[report(each) for each in some]),
            lambda: by("EndDuty", name=some[0]),
            lambda: by("StartDuty", name=some[0]),
            lambda: by("StartDuty", name=some[-1]),
            lambda: responders.rina("SendMessage", name=name, text="we come"),
            lambda: self._resolve(name),
        ]
        number = pick.choices(range(len(acts)), weights=[4, 4, 6, 6, 4, 6, 1, 2, 2, 1, 1])[0]
        try:
            await acts[number]()
        except grpc.aio.AioRpcError as error:
            reason = read_refusal(error).reason
            (self.acts if reason in REFUSALS else self.failures)[reason] += 1
        else:
            self.acts[f"act {number}"] += 1

    async def _update(self, unit: str, by: Party) -> None:
        crew = self._random.sample(["tono", "wati", "joko"], 2)
        await by("UpdateUnit", unit={"name": unit, "crew": crew}, requestId=new_id())

    async def _resolve(self, name: str) -> None:
        if name in self._alerts and len(self._alerts) > 2:
            self._alerts.remove(name)
            await self._raise()
        await self._responders.rina("ResolveAlert", name=name, outcome="HELPED")


async def find_faults(responders: Responders, raised: Collection[str]) -> list[str]:
    """Units that are not at work for the one alert which has them at work, and the other way round."""
    at_work = dict.fromkeys((*FLEET, *CARS), "")
    faults: list[str] = []
    for name in raised:
        for each in (await responders.rina("GetAlert", name=name)).assignments:
            if not each.HasField("end_time"):
                faults += [f"{each.unit} twice"] if at_work[each.unit] else []
                at_work[each.unit] = name
    for party in (responders.rina, responders.oka):
        for unit in (await party("ListUnits")).units:
            faults += [unit.name] if unit.alert != at_work[unit.name] else []
    return faults


@pytest.mark.timeout(180)
async def test_whatever_many_do_with_the_same_alerts_and_units_nobody_waits_for_ever(responders: Responders, database_url: str) -> None:
    hunt = Hunt(responders)
    await hunt.run(ACTS)
    print(f"\n{database_url.partition(':')[0]}: {sum(hunt.acts.values())} acts on {len(hunt.raised)} alerts: {dict(hunt.acts)}")
    assert not hunt.failures
    assert {f"act {each}" for each in range(11)} <= hunt.acts.keys()
    assert await find_faults(responders, hunt.raised) == []
    if not database_url.startswith("sqlite"):
        assert await count_deadlocks(database_url) == 0


@on_postgres
async def test_what_joins_an_incident_while_it_is_waited_for_is_not_in_anybodys_way(people: People, database_url: str) -> None:
    incident, _ = await form(people, 2)
    name, _ = await people.raise_alert(people.nobody)
    await wait_until_assessed(people)
    joining, answering, looking = [await connect(database_url) for _ in range(3)]
    lock_incident = "SELECT FROM incidents WHERE name = $1 FOR UPDATE"
    try:
        async with joining.transaction():
            await joining.execute(lock_incident, incident)
            await joining.execute("UPDATE alerts SET incident = $1 WHERE name = $2", incident, name)
            acknowledged = asyncio.create_task(people.rina("AcknowledgeAlert", name=name))
            await wait_for_locks(looking, 1)
            answer = answering.transaction()
            await answer.start()
            answered = asyncio.create_task(answering.execute(lock_incident, incident))
            await wait_for_locks(looking, 2)
        await answered
        # Where the first one has the alert and waits for the incident, neither comes any further.
        await wait_for_locks(looking, 1)
        await answering.execute("SELECT FROM alerts WHERE name = $1 FOR UPDATE", name)
        await answer.commit()
        assert (await acknowledged).state == alert_pb2.Alert.ACKNOWLEDGED
    finally:
        for each in (joining, answering, looking):
            await each.close()


@on_postgres
async def test_who_has_all_of_theirs_erased_waits_for_the_incidents_before_the_alerts(people: People, database_url: str) -> None:
    alerts = [(await people.raise_alert(people.dewi, **beside(0)))[0] for _ in range(2)]
    incident = await until(lambda: incident_of(people, alerts[1]))
    changing, looking = [await connect(database_url) for _ in range(2)]
    try:
        async with changing.transaction():
            # As whoever changes the second, and then all that is in its incident.
            await changing.execute("SELECT FROM incidents WHERE name = $1 FOR UPDATE", incident)
            await changing.execute("SELECT FROM alerts WHERE name = $1 FOR UPDATE", alerts[1])
            erased = asyncio.create_task(people.dewi("EraseMyAlerts"))
            await wait_for_locks(looking, 1)
            await changing.execute("SELECT FROM alerts WHERE name = $1 FOR UPDATE", alerts[0])
        await erased
    finally:
        for each in (changing, looking):
            await each.close()
    assert await people.dewi.list_names() == []
    assert await count_deadlocks(database_url) == 0


@on_postgres
async def test_who_has_all_of_theirs_erased_does_not_wait_for_whoever_waits_for_them_to_be_grouped(
    people: People, database_url: str
) -> None:
    first = [(await people.raise_alert(party, **beside(0)))[0] for party in (people.dewi, people.adi)]
    await until(lambda: incident_of(people, first[1]))
    async with let_go_together(database_url, "incidents", 2):
        await people.raise_alert(people.dewi, **beside(0))
        # It wants the incident and the new alert, as whoever looks at that one does half a second later.
        erased = asyncio.create_task(people.dewi("EraseMyAlerts"))
    await erased
    await wait_until_assessed(people)
    assert await count_deadlocks(database_url) == 0


@on_postgres
async def test_two_incidents_of_the_same_callers_are_resolved_at_once(people: People, database_url: str) -> None:
    callers = (people.dewi, people.adi)
    for each in ("dewi", "adi"):
        await set_pins(people, each)
    incidents: list[str] = []
    for kind, parties in (("FIRE", callers), ("ACCIDENT", callers[::-1])):
        names = [(await people.raise_alert(party, **beside(0, kind=kind)))[0] for party in parties]
        incidents.append(await until(lambda name=names[1]: incident_of(people, name)))
        await people.rina("AcknowledgeAlert", name=names[0])
    async with let_go_together(database_url, "callers", 2):
        resolved = [asyncio.create_task(Incidents(people.rina)("ResolveIncident", name=each, outcome="HELPED")) for each in incidents]
    await asyncio.gather(*resolved)
    assert await count_deadlocks(database_url) == 0


@on_postgres
async def test_an_incident_that_ends_waits_for_its_units_in_the_order_of_their_reports(responders: Responders, database_url: str) -> None:
    incident, [(lead, _), (other, _)] = await form(responders, 2)
    units = [await responders.make_unit(each) for each in ("amb-1", "amb-2")]
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    for name, unit in zip((lead, other), units, strict=True):
        await responders.send(name, unit)
    holding, looking = [await connect(database_url) for _ in range(2)]
    try:
        async with holding.transaction():
            await holding.execute("SELECT FROM units WHERE name = $1 FOR UPDATE", units[1])
            resolved = asyncio.create_task(Incidents(responders.rina)("ResolveIncident", name=incident, outcome="HELPED"))
            await wait_for_locks(looking, 1)
            reported = asyncio.create_task(responders.rina("ReportUnitPositions", reports=[report(unit) for unit in units]))
            await wait_for_locks(looking, 2)
        await asyncio.gather(resolved, reported)
    finally:
        for each in (holding, looking):
            await each.close()
    assert await count_deadlocks(database_url) == 0


def lock_units_as_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lock_units(session: Session, names: Collection[str]) -> dict[str, Unit]:
        question = select(Unit).with_for_update().execution_options(populate_existing=True)
        found = [session.scalars(question.where(Unit.name == name)).one_or_none() for name in names]
        return {unit.name: unit for unit in found if unit}

    monkeypatch.setattr(unit_store, "lock_units", lock_units)


def lock_units_before_their_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_unit(session: Session, name: str) -> Unit | None:
        return session.scalars(select(Unit).where(Unit.name == name).with_for_update()).one_or_none()

    monkeypatch.setattr(unit_operations.store, "find_unit", find_unit)


@on_postgres
@pytest.mark.timeout(180)
@pytest.mark.parametrize("mutant", [lock_units_as_named, lock_units_before_their_alerts])
async def test_in_another_order_they_would(
    responders: Responders, monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutant(monkeypatch)
    hunt = Hunt(responders)
    await hunt.run(MUTANT_ACTS)
    assert hunt.failures.keys() == {"SERVICE_UNAVAILABLE"}
