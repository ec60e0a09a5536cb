"""Whoever is shown no more of an alert than that it exists cannot tell by its numbers and times that something happens to it."""

from datetime import timedelta
from typing import Any

from cities import BANDUNG, IN_BANDUNG
from crews import POLICE
from people import MONAS, ROOM, People
from responders import Responders, is_redacted
from threatened import look

from siaga.alerts.v1 import alert_pb2

HIDDEN: list[tuple[str, str, dict[str, Any]]] = [
    ("caller", "SendMessage", {"text": "he is here"}),
    ("rina", "AddNote", {"text": "a brother, too"}),
    ("rina", "RecordContact", {"means": "CALL", "result": "REACHED"}),
    ("caller", "TrackAlert", {"locations": [{"point": MONAS}]}),
    ("caller", "CancelAlert", {}),
    ("caller", "EraseAlert", {}),
]


async def test_what_is_hidden_moves_nothing_and_what_is_shown_does(responders: Responders) -> None:
    name, caller = await responders.raise_alert(kind="VIOLENCE", location={"point": MONAS})
    await responders.rina("AcknowledgeAlert", name=name)
    watching = responders.budi.watch("WatchAlerts")
    [before] = await watching.read_snapshot()
    assert is_redacted(before)
    parties = {"caller": caller, "rina": responders.rina}
    for who, rpc, said in HIDDEN:
        await parties[who](rpc, name=name, **said)
        assert await responders.budi("GetAlert", name=name) == before, rpc
        assert list((await responders.budi("ListAlerts")).alerts) == [before]
    since = (before.update_time.ToDatetime() + timedelta(microseconds=1)).isoformat() + "Z"
    assert await responders.budi.list_names(updatedAfter=since) == []
    assert await responders.rina.list_names(updatedAfter=since) == await responders.sari.list_names(updatedAfter=since) == [name]
    await responders.rina("ReleaseAlert", name=name)
    kind, told = await watching.read_event()
    after = await responders.budi("GetAlert", name=name)
    # What is told is what whoever asks is shown, however much was not told before.
    assert (kind, told) == ("AlertReleased", after)
    assert after.revision == before.revision + 1
    assert after.etag != before.etag
    assert after.update_time.ToDatetime() > before.update_time.ToDatetime()
    assert await responders.budi.list_names(updatedAfter=since) == [name]


async def test_whatever_is_shown_anew_is_told(responders: Responders) -> None:
    unit = await responders.make_unit()
    name, _ = await responders.take()
    watching = responders.budi.watch("WatchAlerts")
    assert not is_redacted((await watching.read_snapshot())[0])

    async def told(kind: str) -> alert_pb2.Alert:
        told = await watching.read_event()
        assert told == (kind, await responders.budi("GetAlert", name=name))
        return told[1]

    await responders.rina("UpdateAlert", alert={"name": name, "kind": "VIOLENCE"})
    assert is_redacted(await told("AlertUpdated"))
    await responders.rina("UpdateAlert", alert={"name": name, "target": {"addressText": "the back door"}})
    await responders.rina("UpdateAlert", alert={"name": name, "target": {"point": IN_BANDUNG}})
    assert (await told("AlertUpdated")).area == BANDUNG
    await responders.send(name, unit)
    await told("AlertDispatched")
    await responders.rina("RequestAgency", name=name, agency=POLICE, reason="a knife")
    await responders.move_on(name, unit, "ON_SCENE")
    assert (await told("AssignmentUpdated")).state == alert_pb2.Alert.ON_SCENE
    await responders.rina("UpdateAssignment", name=name, unit=unit, status="DONE")
    after = await responders.budi("GetAlert", name=name)
    assert (await told("AssignmentUpdated")).etag == after.etag


async def test_what_another_agency_answers_moves_nothing(responders: Responders) -> None:
    name, _ = await responders.take(kind="VIOLENCE")
    watching = responders.budi.watch("WatchAlerts")
    [before] = await watching.read_snapshot()
    await responders.rina("RequestAgency", name=name, agency=POLICE, reason="a knife")
    await responders.oka("RespondToRequest", name=name, answer="ACCEPT")
    assert await responders.budi("GetAlert", name=name) == before
    held = await responders.oka("GetAlert", name=name)
    await responders.oka("ReleaseAlert", name=name)
    # Who held it is shown less, and so something newer.
    released = await responders.oka("GetAlert", name=name)
    assert is_redacted(released)
    assert released.update_time.ToDatetime() > held.update_time.ToDatetime()
    kind, told = await watching.read_event()
    assert (kind, told) == ("AlertReleased", released)
    await responders.oka("RespondToRequest", name=name, answer="REJECT", reason="no car")
    assert await responders.budi("GetAlert", name=name) == released


async def test_an_agency_that_has_refused_is_told_of_no_change_of_content(responders: Responders) -> None:
    name, _ = await responders.take()
    await responders.rina("RequestAgency", name=name, agency=POLICE)
    asked = await responders.oka("GetAlert", name=name)
    await responders.oka("RespondToRequest", name=name, answer="REJECT", reason="no car")
    before = await responders.oka("GetAlert", name=name)
    assert is_redacted(before)
    # Whoever asks for what is new finds their own refusal.
    since = asked.update_time.ToDatetime() + timedelta(microseconds=1)
    assert await responders.oka.list_names(updatedAfter=since.isoformat() + "Z") == [name]
    assert before.etag != asked.etag
    await responders.rina("AddNote", name=name, text="a note")
    assert look(await responders.oka("GetAlert", name=name)) == look(before)
    assert (await responders.oka("GetAlert", name=name)).update_time == before.update_time
    await responders.rina("ResolveAlert", name=name, outcome="HELPED")
    after = await responders.oka("GetAlert", name=name)
    assert (after.state, after.revision) == (alert_pb2.Alert.RESOLVED, before.revision + 1)


async def test_whoever_is_shown_less_than_before_has_something_newer(responders: Responders) -> None:
    name, _ = await responders.take(kind="VIOLENCE")
    await responders.rina("AddNote", name=name, text="a note")
    held = await responders.rina("GetAlert", name=name)
    since = (held.update_time.ToDatetime() + timedelta(microseconds=1)).isoformat() + "Z"
    await responders.sari("AssignAlert", name=name, assignee="budi")
    after = await responders.rina("GetAlert", name=name)
    assert is_redacted(after)
    assert after.update_time.ToDatetime() > held.update_time.ToDatetime()
    assert after.etag != held.etag
    assert await responders.rina.list_names(updatedAfter=since) == [name]


async def test_the_outline_of_a_new_one_is_as_old_as_it_is(people: People) -> None:
    name, _ = await people.raise_alert(kind="VIOLENCE")
    shown = await people.rina("GetAlert", name=name)
    assert (shown.revision, shown.update_time, shown.agency) == (1, shown.create_time, ROOM)
