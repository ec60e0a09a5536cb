"""Which alert of an incident stands for the others, and that nobody who is helped by it loses the help with it."""

from functools import partial
from typing import Any

import pytest
from crews import FIRE, POLICE
from emergencies import FAR, Incidents, beside, form, incident_of, seen, until
from people import ROOM, Party, refusal_of
from responders import Responders, states_of, statuses_of
from threatened import PIN, WRONG, set_pins

from siaga.alerts.v1 import alert_pb2

STATE = alert_pb2.Alert.State
ENDS: dict[str, dict[str, str] | None] = {
    "pin": {"pin": PIN},
    "none": {},
    "wrong": {"pin": WRONG},
    "resolved": None,
}


def holder_of(alert: alert_pb2.Alert) -> str:
    return next(each.operator for each in alert.responses if each.part == alert_pb2.Alert.Response.LEAD)


async def form_of_dewi(responders: Responders, number: int = 3) -> tuple[str, list[tuple[str, Party]]]:
    """An incident whose lead Dewi has raised, who has PINs; its name, and its alerts with their callers."""
    await set_pins(responders)
    first, _ = await responders.raise_alert(responders.dewi, **beside())
    _, others = await form(responders, number - 1)
    incident = await until(lambda: incident_of(responders, first))
    for name, _ in others:
        assert await until(lambda name=name: incident_of(responders, name)) == incident
    return incident, [(first, responders.dewi), *others]


async def send_to(responders: Responders, incident: str, *statuses: str) -> str:
    """Rina takes the incident and sends the room's ambulance, which goes so far; the unit."""
    unit = await responders.make_unit()
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    sent = await Incidents(responders.rina)("DispatchIncident", name=incident, units=[unit])
    await responders.move_on(sent.lead, unit, *statuses)
    return unit


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_what_was_sent_for_all_goes_on_for_the_next_one(responders: Responders, end: dict[str, str] | None) -> None:
    incident, alerts = await form_of_dewi(responders)
    unit = await send_to(responders, incident, "EN_ROUTE")
    lead, heir = alerts[0][0], alerts[1][0]
    await responders.ask_police(lead)
    crew = responders.tono.watch("WatchAssignments", unit=unit)
    assert [each.name for each in await crew.read_snapshot()] == [lead]
    if end is None:
        await responders.rina("ResolveAlert", name=lead, outcome="FALSE_ALARM")
    else:
        await responders.dewi("CancelAlert", name=lead, **end)
    found = await Incidents(responders.rina)("GetIncident", name=incident)
    assert (found.lead, found.operator) == (heir, "rina")
    after = await seen(responders, heir)
    assert (STATE.Name(after.state), statuses_of(after)) == ("DISPATCHED", {unit: "EN_ROUTE"})
    assert states_of(after) == {ROOM: "ACCEPTED leads", POLICE: "ACCEPTED"}
    assert (await seen(responders, lead)).assignments[0].status == alert_pb2.Alert.Assignment.DONE
    # Whoever helps goes on seeing it, and the crew, which goes on to the next caller.
    assert (await Incidents(responders.oka)("GetIncident", name=incident)).lead == heir
    kind, shown = await crew.read_event()
    assert (kind, shown.name) == ("AlertDispatched", heir)
    assert (await crew.read()).left.name == lead
    await responders.move_on(heir, unit, "ON_SCENE", by=responders.tono)
    for name, caller in alerts[1:]:
        assert STATE.Name((await caller("GetAlert", name=name)).state) == "ON_SCENE"
    # It is free once that one ends.
    await responders.rina("ResolveAlert", name=heir, outcome="HELPED")
    last = alerts[2][0]
    assert (await responders.sari("GetUnit", name=unit)).alert == last
    await Incidents(responders.rina)("ResolveIncident", name=incident, outcome="HELPED")
    assert (await responders.sari("GetUnit", name=unit)).alert == ""


async def test_whoever_resolves_it_twice_closes_nobody_elses(responders: Responders) -> None:
    incident, alerts = await form(responders)
    apart, _ = await responders.raise_alert(responders.nobody, **beside(kind="MEDICAL"))
    await Incidents(responders.rina)("MergeAlerts", alerts=[alerts[0][0], apart])
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    await responders.rina("AcknowledgeAlert", name=apart)
    resolve = partial(Incidents(responders.rina), "ResolveIncident", name=incident)
    first = await resolve(outcome="FALSE_ALARM")
    assert (first.lead, first.open_count) == (apart, 1)
    assert await resolve(outcome="FALSE_ALARM") == first
    assert (await refusal_of(resolve(outcome="HELPED"))).reason == "ALERT_CLOSED"
    assert STATE.Name((await seen(responders, apart)).state) == "ACKNOWLEDGED"
    # Whoever joins it is to be answered for again.
    joining, _ = await responders.raise_alert(responders.nobody, **beside(kind="MEDICAL"))
    await Incidents(responders.rina)("MergeAlerts", alerts=[apart, joining])
    closed = await resolve(outcome="HELPED")
    assert (closed.lead, closed.open_count) == (apart, 0)


async def test_what_is_taken_out_of_an_incident_is_as_far_as_what_was_done_for_it(responders: Responders) -> None:
    incident, alerts = await form(responders)
    await send_to(responders, incident, "ON_SCENE")
    taken_out, caller = alerts[2]
    assert STATE.Name((await seen(responders, taken_out)).state) == "ON_SCENE"
    await Incidents(responders.rina)("UnmergeAlert", name=incident, alert=taken_out)
    assert STATE.Name((await seen(responders, taken_out)).state) == "ACKNOWLEDGED"
    # What its caller was shown never goes back.
    assert STATE.Name((await caller("GetAlert", name=taken_out)).state) == "ON_SCENE"


async def test_who_has_taken_an_alert_keeps_it_when_it_joins_an_older_one(responders: Responders) -> None:
    older, caller = await responders.raise_alert(responders.nobody, **beside(FAR))
    taken, _ = await responders.take(responders.budi, location=beside(-FAR)["location"], kind="FIRE")
    incident = await Incidents(responders.budi)("MergeAlerts", alerts=[older, taken])
    assert (incident.lead, incident.operator) == (taken, "budi")
    assert STATE.Name((await caller("GetAlert", name=older)).state) == "ACKNOWLEDGED"
    assert [each.type for each in (await responders.sari("ListAlertEvents", name=taken)).events].count("AlertReleased") == 0


async def test_who_releases_or_assigns_one_of_them_does_so_for_all(responders: Responders) -> None:
    incident, alerts = await form(responders)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    await responders.sari("AssignAlert", name=alerts[2][0], assignee="budi")
    assert (await Incidents(responders.rina)("GetIncident", name=incident)).operator == "budi"
    assert {holder_of(await seen(responders, name)) for name, _ in alerts} == {"budi"}
    assert STATE.Name((await responders.budi("ReleaseAlert", name=alerts[1][0])).state) == "RAISED"
    assert (await Incidents(responders.rina)("GetIncident", name=incident)).operator == ""
    assert {STATE.Name((await seen(responders, name)).state) for name, _ in alerts} == {"RAISED"}


async def test_who_helps_with_one_that_rests_answers_for_that_one_alone(responders: Responders) -> None:
    incident, alerts = await form(responders)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    lead, other = alerts[0][0], alerts[1][0]
    for name in (lead, other):
        await responders.ask_police(name)
    refusal = await refusal_of(responders.putu("AcknowledgeAlert", name=other))
    assert (refusal.reason, refusal.metadata["operator"]) == ("ALREADY_ACKNOWLEDGED", "rina")
    given = await responders.chief("AssignAlert", name=other, assignee="putu")
    assert {each.agency: each.operator for each in given.responses} == {ROOM: "rina", POLICE: "putu"}
    released = await responders.putu("ReleaseAlert", name=other)
    assert states_of(released) == {ROOM: "ACCEPTED leads", POLICE: "REQUESTED"}
    assert {each.operator for each in (await seen(responders, lead)).responses} == {"rina", "oka"}


async def test_with_the_lead_all_that_rest_with_it_are_handed_over(responders: Responders) -> None:
    incident, alerts = await form(responders)
    apart, _ = await responders.raise_alert(responders.nobody, **beside(kind="ACCIDENT"))
    await Incidents(responders.rina)("MergeAlerts", alerts=[alerts[0][0], apart])
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    watching = Incidents(responders.rina).watch()
    while (await watching.read()).WhichOneof("content") != "snapshot_end":
        pass
    await responders.rina("HandOverAlert", name=alerts[0][0], agency=FIRE, reason="theirs")
    await responders.eka("RespondToRequest", name=alerts[0][0], answer="ACCEPT")
    found = await Incidents(responders.eka)("GetIncident", name=incident)
    assert (found.agency, found.operator, found.alert_count) == (FIRE, "eka", 3)
    for name, caller in alerts:
        assert (await caller("GetAlert", name=name)).agency == FIRE
    # What could not go along is the room's, alone; and to its screens the incident is gone.
    left = await seen(responders, apart)
    assert (left.agency, left.incident, left.merged_into) == (ROOM, "", "")
    assert (await refusal_of(Incidents(responders.rina)("GetIncident", name=incident))).reason == "INCIDENT_NOT_FOUND"
    while (message := await watching.read()).WhichOneof("content") != "left":
        assert message.event.incident.agency == ROOM
    assert message.left.name == incident
    await Incidents(responders.eka)("UnmergeAlert", name=incident, alert=alerts[2][0])


async def test_one_that_is_handed_over_alone_leaves_the_incident(responders: Responders) -> None:
    incident, alerts = await form(responders)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    await responders.rina("HandOverAlert", name=alerts[2][0], agency=FIRE, reason="theirs")
    await responders.eka("RespondToRequest", name=alerts[2][0], answer="ACCEPT")
    found = await Incidents(responders.rina)("GetIncident", name=incident)
    assert (found.agency, list(found.alerts)) == (ROOM, [name for name, _ in alerts[:2]])
    assert holder_of(await responders.eka("GetAlert", name=alerts[2][0])) == "eka"


async def test_a_caller_is_told_each_hop_once(responders: Responders) -> None:
    incident, alerts = await form(responders, 2)
    unit = await send_to(responders, incident)
    name, caller = alerts[1]
    await responders.move_on(alerts[0][0], unit, "DECLINED")
    await Incidents(responders.rina)("DispatchIncident", name=incident, units=[unit])

    async def told() -> list[Any]:
        return [each.type for each in (await caller("ListAlertEvents", name=name)).events]

    hops = await told()
    assert (hops.count("AlertAcknowledged"), hops.count("AlertDispatched")) == (1, 1)
