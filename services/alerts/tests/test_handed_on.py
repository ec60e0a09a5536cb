"""What goes on for whom when one ends that leads on though its caller was made to call it off: the work, who helps, and what was said."""

from typing import NamedTuple

import pytest
from crews import FIRE, POLICE
from emergencies import Incidents, beside, incident_of, seen, until
from people import ROOM, refusal_of
from responders import Responders, states_of, statuses_of
from test_incident_leads import form_of_dewi
from threatened import DURESS, set_pins


class Forced(NamedTuple):
    """The lead that its caller was made to call off, whoever leads next, and another one."""

    incident: str
    lead: str
    heir: str
    other: str


async def be_forced(responders: Responders) -> Forced:
    """Sari holds the incident."""
    incident, alerts = await form_of_dewi(responders)
    await Incidents(responders.sari)("AcknowledgeIncident", name=incident)
    await responders.dewi("CancelAlert", name=alerts[0][0], pin=DURESS)
    return Forced(incident, *(name for name, _ in alerts))


async def understand(responders: Responders, name: str) -> None:
    await responders.sari("UpdateAlert", alert={"name": name, "kind": "VIOLENCE"}, updateMask="kind")


async def end(responders: Responders, name: str) -> None:
    await responders.sari("ResolveAlert", name=name, outcome="HELPED")


async def parts_of(responders: Responders, name: str) -> set[str]:
    return {each.agency for each in (await seen(responders, name)).responses}


@pytest.mark.parametrize("status", ["DONE", "DECLINED"])
async def test_a_crew_at_work_for_the_next_one_stays_so_where_its_past_work_comes_to_it(responders: Responders, status: str) -> None:
    forced, unit = await be_forced(responders), await responders.make_unit()
    await Incidents(responders.sari)("DispatchIncident", name=forced.incident, units=[unit])
    await responders.move_on(forced.lead, unit, status, by=responders.tono)
    await responders.send(forced.heir, unit, by=responders.sari)
    watching = responders.tono.watch("WatchAssignments", unit=unit)
    assert [each.name for each in await watching.read_snapshot()] == [forced.heir]
    await end(responders, forced.lead)
    for step in ("EN_ROUTE", "ON_SCENE"):
        moved = await responders.move_on(forced.heir, unit, step, by=responders.tono)
        assert step in {each.Status.Name(each.status) for each in moved.assignments}
    shown = await responders.tono.watch("WatchAssignments", unit=unit).read_snapshot()
    assert [each.name for each in shown] == [forced.heir]
    await responders.move_on(forced.heir, unit, "DONE", by=responders.tono)
    assert (await responders.sari("GetUnit", name=unit)).alert == ""


async def test_who_was_asked_for_one_that_is_kept_from_the_others_is_not_asked_for_them(responders: Responders) -> None:
    forced = await be_forced(responders)
    await understand(responders, forced.lead)
    await responders.sari("RequestAgency", name=forced.lead, agency=POLICE, reason="she was made to call it off")
    await end(responders, forced.lead)
    after = await seen(responders, forced.heir)
    assert (after.merged_into, {each.agency for each in after.responses}) == ("", {ROOM})


async def test_whose_unit_goes_on_has_a_part_in_what_it_goes_on_for(responders: Responders) -> None:
    forced, car = await be_forced(responders), await responders.make_car()
    await understand(responders, forced.lead)
    await responders.sari("RequestAgency", name=forced.lead, agency=POLICE, reason="she was made to call it off")
    await responders.chief("RespondToRequest", name=forced.lead, answer="ACCEPT")
    await responders.send(forced.lead, car, by=responders.chief)
    await responders.move_on(forced.lead, car, "ON_SCENE", by=responders.joko)
    await end(responders, forced.lead)
    shown = await responders.chief("GetAlert", name=forced.heir)
    assert (statuses_of(shown), (await responders.chief("GetUnit", name=car)).alert) == ({car: "ON_SCENE"}, forced.heir)
    assert {each.reason for each in shown.responses} == {""}


async def test_who_helped_before_goes_on_helping_though_the_lead_was_offered_later(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders)
    lead, heir = alerts[0][0], alerts[1][0]
    await Incidents(responders.sari)("AcknowledgeIncident", name=incident)
    await responders.sari("RequestAgency", name=lead, agency=POLICE, reason="a crowd")
    await responders.oka("RespondToRequest", name=lead, answer="ACCEPT")
    await responders.dewi("CancelAlert", name=lead, pin=DURESS)
    await understand(responders, lead)
    await responders.sari("HandOverAlert", name=lead, agency=POLICE, reason="she was made to")
    await responders.oka("RespondToRequest", name=lead, answer="REJECT", reason="keep it, she was made to")
    await end(responders, lead)
    after = await seen(responders, heir)
    assert {each.agency: each.reason for each in after.responses} == {ROOM: "", POLICE: ""}
    # Nobody has offered them the lead of this one.
    assert (await refusal_of(responders.oka("RespondToRequest", name=heir, answer="REJECT", reason="no"))).reason == "NOT_REQUESTED"


async def test_who_was_offered_the_lead_of_the_next_one_still_is(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders)
    lead, heir = alerts[0][0], alerts[1][0]
    await Incidents(responders.sari)("AcknowledgeIncident", name=incident)
    await responders.sari("RequestAgency", name=lead, agency=POLICE, reason="a crowd")
    await responders.oka("RespondToRequest", name=lead, answer="ACCEPT")
    await responders.dewi("CancelAlert", name=lead, pin=DURESS)
    await responders.sari("HandOverAlert", name=heir, agency=POLICE, reason="yours")
    await end(responders, lead)
    taken = await responders.chief("RespondToRequest", name=heir, answer="ACCEPT")
    assert states_of(taken)[POLICE] == "ACCEPTED leads"


async def test_who_helps_the_next_one_does_not_come_into_another_to_which_work_was_due(responders: Responders) -> None:
    forced, unit = await be_forced(responders), await responders.make_unit()
    await Incidents(responders.sari)("DispatchIncident", name=forced.incident, units=[unit])
    await responders.move_on(forced.lead, unit, "DONE", by=responders.tono)
    # It stands for itself from then on, and the other one leads next.
    await understand(responders, forced.heir)
    await responders.sari("RequestAgency", name=forced.lead, agency=FIRE, reason="smoke")
    await responders.eka("RespondToRequest", name=forced.lead, answer="ACCEPT")
    await end(responders, forced.lead)
    assert await parts_of(responders, forced.heir) == {ROOM}
    assert await parts_of(responders, forced.other) == {ROOM, FIRE}
    assert (await refusal_of(responders.eka("GetAlert", name=forced.heir))).reason == "ALERT_NOT_FOUND"


async def test_who_helps_does_not_come_into_another_forced_one_that_is_kept_from_them(responders: Responders) -> None:
    await set_pins(responders)
    await set_pins(responders, "adi")
    callers = (responders.dewi, responders.adi, responders.nobody)
    lead, second, third = [(await responders.raise_alert(caller, **beside()))[0] for caller in callers]
    incident = await until(lambda: incident_of(responders, third))
    await Incidents(responders.sari)("AcknowledgeIncident", name=incident)
    await responders.sari("RequestAgency", name=lead, agency=POLICE, reason="a crowd")
    await responders.oka("RespondToRequest", name=lead, answer="ACCEPT")
    # Its work makes it lead next.
    await responders.send(second, await responders.make_unit(), by=responders.sari)
    await responders.dewi("CancelAlert", name=lead, pin=DURESS)
    await responders.adi("CancelAlert", name=second, pin=DURESS)
    await understand(responders, second)
    await end(responders, lead)
    assert (await Incidents(responders.sari)("GetIncident", name=incident)).lead == second
    assert await parts_of(responders, second) == {ROOM}
    assert await parts_of(responders, third) == {ROOM, POLICE}


async def test_what_a_crew_has_said_of_one_is_not_told_with_the_other(responders: Responders) -> None:
    forced, unit = await be_forced(responders), await responders.make_unit()
    await understand(responders, forced.lead)
    await responders.send(forced.lead, unit, by=responders.sari)
    sent = {"name": forced.lead, "unit": unit, "status": "DECLINED", "reason": "her husband is armed"}
    await responders.tono("UpdateAssignment", **sent)
    await end(responders, forced.lead)
    after = await seen(responders, forced.heir)
    assert [(each.unit, each.reason) for each in after.assignments] == [(unit, "")]
