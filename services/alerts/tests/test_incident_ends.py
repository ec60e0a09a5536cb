"""What becomes of an incident when its lead ends or is called off: of those whom it stood for, of the help, and of who was told."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from crews import POLICE
from emergencies import FAR, NEAR, Incidents, beside, form, incident_of, make_prankster, seen, until
from people import ROOM, Party, People, refusal_of
from responders import Responders, states_of, statuses_of
from test_incident_leads import form_of_dewi, holder_of, send_to
from threatened import DURESS, PIN, WRONG, fresh, look

from siaga.alerts.v1 import alert_pb2

STATE = alert_pb2.Alert.State


Work = Callable[[Responders, str, str, str], Awaitable[None]]


async def types_of(party: Party, name: str) -> list[str]:
    return [each.type for each in (await party("ListAlertEvents", name=name)).events]


async def rests(people: People, name: str) -> str:
    return (await seen(people, name)).merged_into


async def test_what_is_under_way_goes_on_where_the_caller_was_made_to_call_it_off(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders)
    unit = await send_to(responders, incident, "EN_ROUTE")
    lead = alerts[0][0]
    await responders.ask_police(lead)
    await responders.dewi("CancelAlert", name=lead, pin=DURESS)
    after = await seen(responders, lead)
    assert (STATE.Name(after.state), statuses_of(after)) == ("DISPATCHED", {unit: "EN_ROUTE"})
    assert states_of(after) == {ROOM: "ACCEPTED leads", POLICE: "ACCEPTED"}
    assert (await responders.sari("GetUnit", name=unit)).alert == lead
    assert (await Incidents(responders.rina)("GetIncident", name=incident)).lead == lead
    # Whoever it stands for sees the help come.
    await responders.move_on(lead, unit, "ON_SCENE", by=responders.tono)
    for name, caller in alerts[1:]:
        assert STATE.Name((await caller("GetAlert", name=name)).state) == "ON_SCENE"
    await Incidents(responders.rina)("ResolveIncident", name=incident, outcome="HELPED")
    assert (await Incidents(responders.rina)("GetIncident", name=incident)).open_count == 0


async def show_the_lead(responders: Responders, lead: str, other: str, unit: str) -> None:  # noqa: ARG001
    await responders.rina("ConfirmReceipt", name=lead)


async def show_the_other(responders: Responders, lead: str, other: str, unit: str) -> None:  # noqa: ARG001
    await responders.rina("ConfirmReceipt", name=other)


async def send_for_all(responders: Responders, lead: str, other: str, unit: str) -> None:  # noqa: ARG001
    incident = await incident_of(responders, lead)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    await Incidents(responders.rina)("DispatchIncident", name=incident, units=[unit])


async def send_for_the_lead_and_home(responders: Responders, lead: str, other: str, unit: str) -> None:
    await send_for_all(responders, lead, other, unit)
    await responders.move_on(lead, unit, "EN_ROUTE", "ON_SCENE", "DONE")


async def send_for_the_other(responders: Responders, lead: str, other: str, unit: str) -> None:
    await responders.rina("AcknowledgeAlert", name=lead)
    await responders.send(other, unit)


async def send_for_the_other_to_the_scene(responders: Responders, lead: str, other: str, unit: str) -> None:
    await send_for_the_other(responders, lead, other, unit)
    await responders.move_on(other, unit, "ON_SCENE")


async def send_for_the_other_and_give_back(responders: Responders, lead: str, other: str, unit: str) -> None:
    await send_for_the_other(responders, lead, other, unit)
    await responders.rina("ReleaseAlert", name=lead)


async def go_on(responders: Responders, incident: str, first: str, second: str) -> None:
    """Whichever alert stands for the others by now."""
    by = Incidents(responders.rina)
    await by("AcknowledgeIncident", name=incident)
    lead = (await by("GetIncident", name=incident)).lead
    if statuses_of(await seen(responders, lead)).get(first) == "ASSIGNED":
        await responders.move_on(lead, first, "EN_ROUTE")
    await by("DispatchIncident", name=incident, units=[second])
    await responders.move_on(lead, second, "EN_ROUTE", "DECLINED")
    await by("DispatchIncident", name=incident, units=[second])
    await responders.move_on(lead, second, "EN_ROUTE", "ON_SCENE", "ON_SCENE", "DONE")


def find_order(alert: alert_pb2.Alert) -> list[set[str]]:
    """Of its times, which are equal and which come later."""
    times: dict[datetime, set[str]] = {}
    for field, value in alert.ListFields():
        if field.name.endswith("_time"):
            times.setdefault(value.ToDatetime(), set()).add(field.name)
    return [times[each] for each in sorted(times)]


@pytest.mark.parametrize(
    "work",
    [
        show_the_lead,
        show_the_other,
        send_for_all,
        send_for_the_lead_and_home,
        send_for_the_other,
        send_for_the_other_to_the_scene,
        send_for_the_other_and_give_back,
    ],
)
async def test_neither_the_others_nor_whoever_calls_later_can_tell_how_it_was_called_off(responders: Responders, work: Work) -> None:
    shown: dict[str, list[Any]] = {}
    for place, pin in enumerate((PIN, "", WRONG, DURESS)):
        # Of one account so many would be doubtful.
        mine = fresh(responders, f"caller-{place}")
        await mine("SetPins", pin=PIN, duressPin=DURESS)
        unit, second = [await responders.make_unit(f"{kind}-{place}") for kind in ("amb", "car")]
        lead, _ = await responders.raise_alert(mine, **beside())
        other, caller = await responders.raise_alert(responders.nobody, **beside(NEAR * 2))
        incident = await until(lambda other=other: incident_of(responders, other))
        await work(responders, lead, other, unit)
        reply = await mine("CancelAlert", name=lead, pin=pin)
        later, again = await responders.raise_alert(mine, **beside())
        assert await until(lambda later=later: incident_of(responders, later)) == incident
        doors = [(mine, lead), (caller, other), (again, later)]
        asked = [(party, rpc, name) for party, name in doors for rpc in ("GetAlert", "ListAlertEvents")]
        answers = [reply, *[await party(rpc, name=name) for party, rpc, name in asked]]
        await go_on(responders, incident, unit, second)
        answers += [await party(rpc, name=name) for party, rpc, name in asked]
        shown[pin] = [look(each).casefold().replace(f"caller-{place}", "") for each in answers]
        shown[pin] += [find_order(each) for each in answers if isinstance(each, alert_pb2.Alert)]
        for name in (lead, other, later):
            if not (await seen(responders, name)).HasField("close_time"):
                await responders.rina("AcknowledgeAlert", name=name)
                await responders.rina("ResolveAlert", name=name, outcome="HELPED")
    assert shown[DURESS] == shown[PIN] == shown[WRONG] == shown[""]


async def close(responders: Responders, incident: str, heir: str) -> None:  # noqa: ARG001
    await responders.rina("ResolveAlert", name=heir, outcome="HELPED")


async def take_out(responders: Responders, incident: str, heir: str) -> None:
    await Incidents(responders.rina)("UnmergeAlert", name=incident, alert=heir)


async def form_of_three(responders: Responders, place: int) -> tuple[Party, str, list[tuple[str, Party]]]:
    """Whoever raised the first has PINs; nobody has taken any."""
    mine = fresh(responders, f"caller-{place}")
    await mine("SetPins", pin=PIN, duressPin=DURESS)
    alerts = [await responders.raise_alert(mine, **beside())]
    alerts += [await responders.raise_alert(responders.nobody, **beside(NEAR * number)) for number in (1, 2)]
    return mine, await until(lambda: incident_of(responders, alerts[-1][0])), alerts


async def show(alerts: list[tuple[str, Party]]) -> list[Any]:
    answers = [await party(rpc, name=name) for name, party in alerts for rpc in ("GetAlert", "ListAlertEvents")]
    return [look(each) for each in answers] + [find_order(each) for each in answers if isinstance(each, alert_pb2.Alert)]


async def end(responders: Responders, alerts: list[tuple[str, Party]]) -> None:
    for name, _ in alerts:
        if not (await seen(responders, name)).HasField("close_time"):
            await responders.rina("AcknowledgeAlert", name=name)
            await responders.rina("ResolveAlert", name=name, outcome="HELPED")


@pytest.mark.parametrize("steps", [("ON_SCENE", "DONE"), ("ON_SCENE",), ("EN_ROUTE",)])
@pytest.mark.parametrize("depart", [close, take_out])
async def test_nor_once_the_one_that_would_lead_has_gone_too(
    responders: Responders, depart: Callable[[Responders, str, str], Awaitable[None]], steps: tuple[str, ...]
) -> None:
    shown: dict[str, list[Any]] = {}
    for place, pin in enumerate((PIN, DURESS)):
        mine, incident, alerts = await form_of_three(responders, place)
        unit = await responders.make_unit(f"amb-{place}")
        await send_for_all(responders, alerts[0][0], alerts[1][0], unit)
        await mine("CancelAlert", name=alerts[0][0], pin=pin)
        await responders.move_on((await Incidents(responders.rina)("GetIncident", name=incident)).lead, unit, *steps)
        await depart(responders, incident, alerts[1][0])
        alerts.append(await responders.raise_alert(responders.nobody, **beside()))
        assert await until(lambda later=alerts[-1][0]: incident_of(responders, later)) == incident
        shown[pin] = await show(alerts[2:])
        await end(responders, alerts)
    assert shown[PIN] == shown[DURESS]


@pytest.mark.parametrize(("held", "sent"), [(True, True), (False, True), (False, False)])
async def test_nor_where_another_one_is_put_to_them(responders: Responders, *, held: bool, sent: bool) -> None:
    shown: dict[str, list[Any]] = {}
    for place, pin in enumerate((PIN, DURESS)):
        mine, incident, alerts = await form_of_three(responders, place)
        if held:
            await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
        alerts.append(await responders.raise_alert(responders.nobody, **beside(FAR)))
        await mine("CancelAlert", name=alerts[0][0], pin=pin)
        await responders.rina("AcknowledgeAlert", name=alerts[-1][0])
        if sent:
            unit = await responders.make_unit(f"amb-{place}")
            await responders.send(alerts[-1][0], unit)
            await responders.move_on(alerts[-1][0], unit, "ON_SCENE")
        lead = (await Incidents(responders.rina)("GetIncident", name=incident)).lead
        await Incidents(responders.rina)("MergeAlerts", alerts=[lead, alerts[-1][0]])
        shown[pin] = await show(alerts[1:])
        await end(responders, alerts)
    assert shown[PIN] == shown[DURESS]


@pytest.mark.parametrize("cancels", [False, True])
async def test_nor_whoever_calls_later_far_from_the_lead_and_near_the_one_that_would_lead(responders: Responders, *, cancels: bool) -> None:
    found: dict[str, bool] = {}
    for place, pin in enumerate((PIN, DURESS)):
        mine = fresh(responders, f"caller-{place}")
        await mine("SetPins", pin=PIN, duressPin=DURESS)
        lead, _ = await responders.raise_alert(mine, **beside())
        other, caller = await responders.raise_alert(responders.nobody, **beside(3 * FAR))
        incident = (await Incidents(responders.rina)("MergeAlerts", alerts=[lead, other])).name
        await mine("CancelAlert", name=lead, pin=pin)
        if cancels:
            await caller("CancelAlert", name=other)
        later, _ = await responders.raise_alert(responders.nobody, **beside(3 * FAR))
        last, _ = await responders.raise_alert(responders.nobody, **beside(3 * FAR))
        joined = await until(lambda later=last: incident_of(responders, later))
        found[pin] = joined == incident
        assert joined == await incident_of(responders, later)
        for name in (lead, other, later, last):
            if not (await seen(responders, name)).HasField("close_time"):
                await responders.rina("AcknowledgeAlert", name=name)
                await responders.rina("ResolveAlert", name=name, outcome="HELPED")
    assert found == dict.fromkeys((PIN, DURESS), not cancels)


async def test_no_doubtful_one_comes_to_stand_for_a_genuine_one(people: People) -> None:
    await make_prankster(people)
    lead, _ = await people.raise_alert(people.dewi, **beside())
    doubtful, _ = await people.raise_alert(people.adi, **beside())
    await until(lambda: rests(people, doubtful))
    genuine, _ = await people.raise_alert(people.nobody, **beside())
    await until(lambda: rests(people, genuine))
    await people.rina("AcknowledgeAlert", name=lead)
    await people.rina("ResolveAlert", name=lead, outcome="HELPED")
    assert (await rests(people, doubtful), await rests(people, genuine)) == (genuine, "")


async def test_who_helped_is_told_of_the_end_and_of_the_next_one(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders, 2)
    await send_to(responders, incident)
    lead, heir = (name for name, _ in alerts)
    await responders.ask_police(lead)
    watching = responders.oka.watch("WatchAlerts")
    assert [each.name for each in await watching.read_snapshot()] == [lead]
    await responders.rina("ResolveAlert", name=lead, outcome="HELPED")
    awaited = {("AgencyAccepted", heir), ("AlertResolved", lead), ("left", lead)}
    while awaited:
        message = await watching.read()
        awaited.discard(("left", message.left.name) if message.HasField("left") else (message.event.type, message.event.alert.name))


async def test_one_that_is_kept_from_whoever_puts_its_next_one_elsewhere_goes_along(responders: Responders) -> None:
    _, alerts = await form_of_dewi(responders, 2)
    lead, other = (name for name, _ in alerts)
    await responders.dewi("CancelAlert", name=lead, pin=DURESS)
    await responders.sari("UpdateAlert", alert={"name": lead, "kind": "VIOLENCE"}, updateMask="kind")
    others = [(await responders.raise_alert(responders.nobody, **beside(FAR)))[0] for _ in range(2)]
    await until(lambda: incident_of(responders, others[1]))
    merged = await Incidents(responders.rina)("MergeAlerts", alerts=[others[0], other])
    assert sorted(merged.alerts) == sorted([lead, other, *others])


async def test_what_an_agency_has_accepted_of_the_next_one_is_not_taken_back(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders, 2)
    lead, heir = (name for name, _ in alerts)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    await responders.ask_police(heir)
    await responders.rina("RequestAgency", name=lead, agency=POLICE, reason="here, too")
    await responders.rina("ResolveAlert", name=lead, outcome="HELPED")
    part = next(each for each in (await seen(responders, heir)).responses if each.agency == POLICE)
    assert (part.state, part.operator) == (alert_pb2.Alert.Response.ACCEPTED, "oka")


async def test_those_that_rest_are_told_who_holds_them_and_when_they_rest_no_longer(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders, 2)
    lead, other = (name for name, _ in alerts)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    before = await types_of(responders.sari, other)
    await responders.sari("AssignAlert", name=lead, assignee="budi")
    assert holder_of(await seen(responders, other)) == "budi"
    assert (await types_of(responders.sari, other))[len(before) :] == ["AlertAssigned"]
    await responders.budi("ResolveAlert", name=lead, outcome="HELPED")
    assert await rests(responders, other) == ""
    assert (await types_of(responders.sari, other))[len(before) :] == ["AlertAssigned", "AlertMerged"]


async def test_what_a_colleague_holds_is_merged_into_nobody_elses_but_by_a_supervisor(responders: Responders) -> None:
    mine, _ = await responders.take(responders.rina, location=beside(FAR)["location"], kind="FIRE")
    theirs, _ = await responders.take(responders.budi, location=beside(-FAR)["location"], kind="FIRE")
    assert (await refusal_of(Incidents(responders.rina)("MergeAlerts", alerts=[mine, theirs]))).reason == "NOT_CLAIMANT"
    assert holder_of(await seen(responders, theirs)) == "budi"
    await Incidents(responders.sari)("MergeAlerts", alerts=[mine, theirs])
    assert len({holder_of(await seen(responders, name)) for name in (mine, theirs)}) == 1


async def test_a_text_to_all_that_is_repeated_says_whom_it_reached(responders: Responders) -> None:
    incident, alerts = await form_of_dewi(responders)
    await Incidents(responders.rina)("AcknowledgeIncident", name=incident)
    text = {"name": incident, "text": "help is on its way", "request_id": "0b1a6f3e-7b7e-4c52-9e8f-2f3f7d3a9c11"}
    assert (await Incidents(responders.rina)("MessageIncident", **text)).callers == 3
    await responders.rina("HandOverAlert", name=alerts[0][0], agency=POLICE)
    await responders.oka("RespondToRequest", name=alerts[0][0], answer="ACCEPT")
    assert (await refusal_of(Incidents(responders.rina)("GetIncident", name=incident))).reason == "INCIDENT_NOT_FOUND"
    assert (await Incidents(responders.rina)("MessageIncident", **text)).callers == 3
    await Incidents(responders.oka)("ResolveIncident", name=incident, outcome="HELPED")
    assert (await Incidents(responders.rina)("MessageIncident", **text)).callers == 3


async def test_who_helped_is_called_again_with_the_others(responders: Responders) -> None:
    await fresh(responders)("SetPins", pin=PIN, duressPin=DURESS)
    mine, _ = await responders.raise_alert(responders.dewi, kind="CRIME")
    await responders.rina("AcknowledgeAlert", name=mine)
    await responders.ask_police(mine)
    await responders.dewi("CancelAlert", name=mine, pin=PIN)
    assert states_of(await seen(responders, mine)) == {ROOM: "DONE leads", POLICE: "DONE"}
    await responders.dewi("CancelAlert", name=mine, pin=DURESS)
    again = await seen(responders, mine)
    assert states_of(again) == {ROOM: "REQUESTED leads", POLICE: "REQUESTED"}
    assert not any(each.HasField("end_time") for each in again.responses)
    await responders.oka("RespondToRequest", name=mine, answer="ACCEPT")


async def test_what_was_erased_of_its_alerts_does_not_stand_in_its_place(responders: Responders) -> None:
    incident, alerts = await form(responders, 2)
    (gone, caller), (kept, _) = alerts
    by = Incidents(responders.rina)
    await by("AcknowledgeIncident", name=incident)
    await by("ResolveIncident", name=incident, outcome="HELPED")
    places = [(await seen(responders, name)).location.point for name in (gone, kept)]
    assert (await by("GetIncident", name=incident)).point.latitude == pytest.approx(sum(each.latitude for each in places) / 2)
    await caller("EraseAlert", name=gone)
    assert (await by("GetIncident", name=incident)).point == places[1]
    await alerts[1][1]("EraseAlert", name=kept)
    assert not (await by("GetIncident", name=incident)).HasField("point")


async def test_nor_where_its_caller_wanted_it_erased_before_it_ended(responders: Responders) -> None:
    incident, [(name, caller), _] = await form(responders, 2)
    by = Incidents(responders.rina)
    await by("AcknowledgeIncident", name=incident)
    await caller("EraseAlert", name=name)
    await by("ResolveIncident", name=incident, outcome="HELPED")
    other = next(each for each in (await by("GetIncident", name=incident)).alerts if each != name)
    assert (await by("GetIncident", name=incident)).point == (await seen(responders, other)).location.point


async def test_what_was_taken_back_for_the_lead_is_not_shown_to_those_that_come_to_rest_with_it(responders: Responders) -> None:
    unit = await responders.make_unit()
    lead, _ = await responders.take(**beside())
    await responders.send(lead, unit)
    await responders.move_on(lead, unit, "DECLINED")
    other, caller = await responders.raise_alert(**beside(NEAR, kind="CRIME"))
    await responders.rina("AcknowledgeAlert", name=other)
    await responders.rina("ReleaseAlert", name=other)
    await responders.rina("UpdateAlert", alert={"name": other, "kind": "FIRE"}, updateMask="kind")
    before = await caller("GetAlert", name=other)
    await Incidents(responders.rina)("MergeAlerts", alerts=[lead, other])
    assert await rests(responders, other) == lead
    assert await caller("GetAlert", name=other) == before


async def test_what_the_caller_of_one_that_comes_to_rest_is_shown_anew_is_counted(responders: Responders) -> None:
    lead, _ = await responders.take(**beside())
    other, caller = await responders.raise_alert(**beside(NEAR, kind="CRIME"))
    before = await caller("GetAlert", name=other)
    await responders.rina("UpdateAlert", alert={"name": other, "kind": "FIRE"}, updateMask="kind")
    await Incidents(responders.rina)("MergeAlerts", alerts=[lead, other])
    after = await caller("GetAlert", name=other)
    assert after.HasField("deliver_time")
    assert after.HasField("acknowledge_time")
    assert after.revision > before.revision
