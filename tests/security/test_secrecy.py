"""What must not be told is not told: that an alert exists, that help is coming, what a restricted one is about."""

import sqlite3
import statistics
import time
from typing import Any

import grpc
import httpx
import pytest

from contract.over_json import write_call
from contract.rpcs import AN_ABSENT_UUID, RPCS, Services, new_id, read_error, read_until_caught_up
from harness import RunningPlatform
from security.matrix import ABOUT, ALERT_STATES, REQUESTS, UNIT_STATES, fill
from security.tokens import POLICE
from siaga.alerts.v1 import alert_pb2

OF_ONE_ALERT = [key for key, request in REQUESTS.items() if ABOUT[key] == ALERT_STATES and "$alert" in str(request)]
# No person calls it.
OF_ONE_ALERT.remove("alerts.GetAlertView")
# Whoever calls them answers for an agency, or goes out for one.
FOR_THE_ROOM = {key for key, rpc in RPCS.items() if rpc.rule and rpc.rule.roles}
OF_ONE_UNIT = [key for key, request in REQUESTS.items() if ABOUT[key] == UNIT_STATES and "$unit" in str(request)]
ABSENT, NO_OTHER = f"alerts/{AN_ABSENT_UUID}", "ffffffff-ffff-7fff-8fff-ffffffffffff"
WORDS = {"note": "words that nobody else may read", "caller": {"displayName": "Somebody", "callbackPhone": "+628110000"}}
SECRETS = (b"words that nobody", b"Somebody", b"+628110000")


class Sos:
    """An alert with everything in it, and its steps."""

    def __init__(self, services: Services, tokens: dict[str, str], **content: Any) -> None:
        self.services, self.tokens = services, tokens
        self.secret = new_id()
        sos = {"kind": "MEDICAL", "alertToken": self.secret, **WORDS, **content}
        self.alert = services.call("alerts.RaiseAlert", sos, token=tokens["victim"]).message.alert
        self.name = self.alert.name

    def do(self, step: str, person: str, **more: Any) -> Any:
        content = more if "alert" in more else {"name": self.name, **more}
        return self.services.call(f"alerts.{step}", content, token=self.tokens[person]).message

    def ask(self, step: str, **more: Any) -> Any:
        """By the alert's token."""
        return self.services.call(f"alerts.{step}", {"name": self.name, **more}, alert_token=self.secret).message

    def dispatch(self, **unit: Any) -> str:
        """By whoever holds it; the unit."""
        name = make_unit(self.services, self.tokens, **unit)
        self.do("DispatchAlert", "dispatcher", units=[name])
        return name

    def go_through(self) -> None:
        """All that the room does with it."""
        self.do("ConfirmReceipt", "dispatcher")
        self.do("AcknowledgeAlert", "dispatcher")
        self.do("AddNote", "dispatcher", text="to everybody", audience="CALLER")
        self.do("UpdateAlert", "dispatcher", alert={"name": self.name, "kind": "FIRE", "contactPreference": "CALL"})
        self.do("RecordContact", "dispatcher", means="CALL", result="NO_ANSWER")
        self.do("RequestAgency", "dispatcher", agency=POLICE)
        self.do("RespondToRequest", "officer", answer="REJECT", reason="no car")
        unit = self.dispatch()
        for status in ("EN_ROUTE", "ON_SCENE", "DONE"):
            self.do("UpdateAssignment", "dispatcher", unit=unit, status=status)
        if not self.alert.silent:
            self.do("SendMessage", "dispatcher", text="to the caller")
        self.do("AssignAlert", "supervisor", assignee="secure-dispatcher-2")
        self.do("ReleaseAlert", "supervisor")
        self.do("AcknowledgeAlert", "colleague")
        self.do("ResolveAlert", "colleague", outcome="HELPED")

    def is_listed(self, person: str, **filters: Any) -> bool:
        content = {"pageSize": 1000, "createdAfter": self.alert.create_time.ToJsonString(), **filters}
        listed = self.services.call("alerts.ListAlerts", content, token=self.tokens[person]).message
        return self.name in [each.name for each in listed.alerts]


def make_unit(services: Services, tokens: dict[str, str], **fields: Any) -> str:
    """Of the room, on duty."""
    content = {"unit": {"kind": "AMBULANCE", "displayName": "A unit", "crew": ["secure-crew"], **fields}}
    name = services.call("alerts.CreateUnit", content, token=tokens["supervisor"]).message.name
    services.call("alerts.StartDuty", {"name": name}, token=tokens["supervisor"]).require_ok()
    return name


def ask_of(key: str, name: str) -> dict[str, Any]:
    """The usual request of one alert."""
    return fill(REQUESTS[key], {"$alert": name, "$operator": "", "$unit": "units/nobody", "$fellow": f"alerts/{NO_OTHER}"})


def asked_by(key: str) -> list[str]:
    return ["officer"] if key in FOR_THE_ROOM else ["officer", "stranger", "nobody"]


@pytest.mark.parametrize("key", OF_ONE_ALERT)
def test_anothers_alert_and_none_are_answered_alike(services: Services, tokens: dict[str, str], key: str) -> None:
    sos = Sos(services, tokens)
    for person in asked_by(key):
        one, other = (
            services.call(key, ask_of(key, name), token=tokens.get(person, ""), alert_token=new_id()) for name in (sos.name, ABSENT)
        )
        assert one.said == "NOT_FOUND ALERT_NOT_FOUND"
        assert (one.text, one.status.SerializeToString()) == (other.text, other.status.SerializeToString())


@pytest.mark.parametrize("key", OF_ONE_ALERT)
def test_they_are_answered_alike_over_json_to_the_byte(
    platform: RunningPlatform, services: Services, tokens: dict[str, str], key: str
) -> None:
    sos = Sos(services, tokens)
    headers = {"authorization": f"Bearer {tokens['officer']}"}
    told: list[tuple[int, bytes, dict[str, str]]] = []
    for name in (sos.name, ABSENT):
        call = write_call(RPCS[key].bindings[0], ask_of(key, name))
        answer = httpx.request(call.method, f"{platform.url}{call.path}", params=call.query or None, json=call.body, headers=headers)
        told.append((answer.status_code, answer.content, {word: value for word, value in answer.headers.items() if word != "date"}))
    assert told[0] == told[1]
    assert told[0][0] == 404


@pytest.mark.parametrize("key", OF_ONE_UNIT)
def test_another_agencys_unit_and_none_are_answered_alike(services: Services, tokens: dict[str, str], key: str) -> None:
    unit = make_unit(services, tokens)
    one, other = (
        services.call(key, fill(REQUESTS[key], {"$unit": name}), token=tokens["officer"]) for name in (unit, f"units/{AN_ABSENT_UUID}")
    )
    assert one.said == "NOT_FOUND UNIT_NOT_FOUND"
    # Where several were named, it says which one.
    assert one.metadata == ({"unit": unit} if "reports" in REQUESTS[key] else {})
    assert one.text == other.text
    assert one.status.SerializeToString().replace(unit.encode(), b"") == other.status.SerializeToString().replace(
        f"units/{AN_ABSENT_UUID}".encode(), b""
    )


@pytest.mark.alone
def test_they_take_as_long(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens)
    times: dict[str, list[float]] = {sos.name: [], ABSENT: []}
    for _ in range(200):
        for name, taken in times.items():
            began = time.perf_counter()
            services.call("alerts.GetAlert", {"name": name}, token=tokens["stranger"])
            taken.append(time.perf_counter() - began)
    one, other = map(statistics.median, times.values())
    assert abs(one - other) < 0.001


def test_a_silent_alert_is_gone_for_the_account_that_raised_it(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens, silent=True)
    for key in OF_ONE_ALERT:
        said = services.call(key, ask_of(key, sos.name), token=tokens["victim"]).said
        assert said == ("PERMISSION_DENIED ACCESS_DENIED" if key in FOR_THE_ROOM else "NOT_FOUND ALERT_NOT_FOUND")
    assert not sos.is_listed("victim")
    assert not sos.is_listed("victim", kind=["MEDICAL"])
    assert sos.is_listed("supervisor")


def test_whoever_has_the_phone_sees_of_a_silent_alert_that_it_was_received_and_no_more(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens, silent=True, contactPreference="CALL")
    before = sos.ask("GetAlert")
    assert before.state == before.RAISED
    assert before.contact_preference == before.DO_NOT_CONTACT
    with services.watch("alerts.WatchAlert", {"name": sos.name}, alert_token=sos.secret) as stream:
        read_until_caught_up(stream)
        sos.go_through()
        # Not a byte is different: neither a state nor a time nor a revision says that anybody has moved.
        assert sos.ask("GetAlert") == before
        assert [event.type for event in sos.ask("ListAlertEvents").events] == ["AlertRaised"]
        sos.ask("CancelAlert")
        rest = list(stream)
    assert [message.event.type for message in rest if message.HasField("event")] == ["AlertCancelled"]
    assert [event.type for event in sos.ask("ListAlertEvents").events] == ["AlertRaised", "AlertCancelled"]


def test_after_a_cancel_the_callers_side_is_shown_nothing_of_what_the_room_does(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens)
    sos.do("ConfirmReceipt", "dispatcher")
    cancelled = sos.ask("CancelAlert")
    assert (cancelled.state, cancelled.HasField("deliver_time"), cancelled.cancel_claim) == (cancelled.CANCELLED, True, 0)
    sos.do("AcknowledgeAlert", "dispatcher")
    sos.do("AddNote", "dispatcher", text="we are coming", audience="CALLER")
    sos.do("UpdateAlert", "dispatcher", alert={"name": sos.name, "kind": "FIRE", "target": {"addressText": "next door"}})
    sos.do("UpdateAssignment", "dispatcher", unit=sos.dispatch(), status="ON_SCENE")
    sos.do("ResolveAlert", "dispatcher", outcome="HELPED")
    assert sos.ask("GetAlert") == cancelled
    assert sos.do("GetAlert", "victim") == cancelled
    assert [event.type for event in sos.ask("ListAlertEvents").events] == ["AlertRaised", "AlertRouted", "AlertDelivered", "AlertCancelled"]
    assert sos.is_listed("victim")
    assert sos.is_listed("victim", state=["CANCELLED"])
    # A filter must not tell either.
    assert not sos.is_listed("victim", state=["RESOLVED"])
    room = sos.do("GetAlert", "supervisor")
    assert (room.state, room.cancel_claim) == (room.RESOLVED, room.UNVERIFIED)


def test_no_filter_tells_the_caller_that_the_room_goes_on(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens)
    sos.ask("CancelAlert")
    acknowledged = sos.do("AcknowledgeAlert", "dispatcher").update_time.ToJsonString()
    assert sos.is_listed("dispatcher", updatedAfter=acknowledged)
    assert not sos.is_listed("victim", updatedAfter=acknowledged)


def test_what_the_caller_is_shown_never_goes_back(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens)
    sos.do("AcknowledgeAlert", "dispatcher")
    sos.do("ReleaseAlert", "dispatcher")
    assert sos.ask("GetAlert").state == sos.alert.ACKNOWLEDGED
    assert sos.do("GetAlert", "supervisor").state == sos.alert.RAISED


def test_the_callers_side_is_told_nobodys_name(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens)
    sos.go_through()
    told = b"".join(sos.ask(step).SerializeToString() for step in ("GetAlert", "ListAlertEvents", "ListMessages"))
    assert b"to the caller" in told
    for name in (b"secure-dispatcher", b"secure-colleague", b"secure-supervisor", b"secure-officer", POLICE.encode(), b"units/"):
        assert name not in told


def take_until(stream: Any, name: str, event: str) -> list[Any]:
    """What a watch says, up to and with an event of this type of one alert."""
    found: list[Any] = []
    for message in stream:
        found.append(message)
        if (message.event.alert.name, message.event.type) == (name, event):
            break
    return found


@pytest.mark.parametrize("restricted", [{"silent": True}, {"kind": "VIOLENCE"}, {"silent": True, "kind": "VIOLENCE"}])
def test_a_restricted_alert_is_redacted_for_the_other_dispatchers_by_every_door(
    services: Services, tokens: dict[str, str], restricted: dict[str, Any]
) -> None:
    other, room = tokens["colleague"], {"createdAfter": "2000-01-01T00:00:00Z", "pageSize": 1000}
    with services.watch("alerts.WatchAlerts", {"cursor": "now"}, token=other) as stream:
        read_until_caught_up(stream)
        sos = Sos(services, tokens, **restricted)
        sos.do("AddNote", "supervisor", text="words that nobody else may read")
        sos.do("AcknowledgeAlert", "dispatcher")
        # Others of the room's come between, and what its own clocks say.
        live = [message for message in take_until(stream, sos.name, "AlertAcknowledged") if sos.name in str(message)]
    told = [
        *live,
        *services.call("alerts.WatchAlerts", token=other).messages,
        *services.call("alerts.WatchAlert", {"name": sos.name}, token=other).messages,
        services.call("alerts.GetAlert", {"name": sos.name}, token=other).message,
        services.call("alerts.ConfirmReceipt", {"name": sos.name}, token=other).message,
        next(each for each in services.call("alerts.ListAlerts", room, token=other).message.alerts if each.name == sos.name),
    ]
    about = [message for message in told if sos.name in str(message)]
    assert [message.event.type for message in live if message.event.type != "AlertEscalated"] == [
        "AlertRaised",
        "AlertRouted",
        "AlertAcknowledged",
    ]
    assert len(about) >= 7
    for message in about:
        content = message.SerializeToString()
        assert [secret for secret in (*SECRETS, b"secure-victim", b"secure-dispatcher") if secret in content] == []
        shown = message.event.alert if message.DESCRIPTOR.name == "WatchAlertsResponse" else message
        assert (shown.restricted, shown.silent, shown.kind, shown.subject) == (True, False, 0, 0)
    # Of which kind it is, no filter tells either; those who may see it find it by its kind.
    kinds = ["VIOLENCE"] if "kind" in restricted else ["MEDICAL"]
    assert sos.is_listed("colleague")
    assert not sos.is_listed("colleague", kind=kinds)
    for person in ("supervisor", "dispatcher"):
        assert sos.is_listed(person, kind=kinds)
        assert sos.do("GetAlert", person).note == WORDS["note"]


def test_an_incident_tells_of_a_restricted_member_that_it_is_one_and_no_more(services: Services, tokens: dict[str, str]) -> None:
    here, there = ({"location": {"point": {"latitude": latitude, "longitude": 106.82}}} for latitude in (-6.17, -6.18))

    def show(*members: Sos) -> Any:
        incident = services.call("alerts.MergeAlerts", {"alerts": [each.name for each in members]}, token=tokens["supervisor"]).message
        services.call("alerts.AcknowledgeIncident", {"name": incident.name}, token=tokens["supervisor"]).require_ok()
        return services.call("alerts.GetIncident", {"name": incident.name}, token=tokens["colleague"]).message

    hidden, plain = Sos(services, tokens, kind="VIOLENCE", **here), Sos(services, tokens, kind="OTHER", **there)
    shown = show(hidden, plain)
    assert (shown.lead, shown.kind, shown.operator) == (plain.name, alert_pb2.Alert.OTHER, "secure-supervisor")
    assert (set(shown.alerts), shown.point.latitude) == ({hidden.name, plain.name}, -6.18)
    alone = show(Sos(services, tokens, kind="VIOLENCE", **here), Sos(services, tokens, silent=True, **there))
    assert (alone.kind, alone.operator, alone.HasField("point")) == (0, "", False)


def test_a_silent_alerts_event_tells_no_cell_of_the_map(platform: RunningPlatform, services: Services, tokens: dict[str, str]) -> None:
    place = {"location": {"point": {"latitude": -6.17, "longitude": 106.82}}}
    open_one, silent, violence = (Sos(services, tokens, **place, **more) for more in ({}, {"silent": True}, {"kind": "VIOLENCE"}))
    connection = sqlite3.connect(f"file:{platform.folder / 'alerts.db'}?mode=ro", uri=True)
    rows = dict(connection.execute("SELECT resource, attributes FROM events WHERE type = 'AlertRaised'").fetchall())
    connection.close()
    assert ["cell" in rows[sos.name] for sos in (open_one, silent, violence)] == [True, False, False]


# What opens an alert, each with a request about it.
DOORS = {"GetAlert": {}, "WatchAlert": {}, "ListAlertEvents": {}, "ListMessages": {}}


def test_a_crew_sees_a_restricted_alert_while_it_is_at_work_for_it_and_no_longer(services: Services, tokens: dict[str, str]) -> None:
    crew = tokens["crew"]

    def look() -> set[str]:
        return {services.call(f"alerts.{door}", {"name": sos.name, **more}, token=crew).said for door, more in DOORS.items()}

    sos = Sos(services, tokens, kind="VIOLENCE")
    assert look() == {"NOT_FOUND ALERT_NOT_FOUND"}
    sos.do("AcknowledgeAlert", "dispatcher")
    unit = sos.dispatch()
    assert look() == {"OK"}
    assert sos.do("GetAlert", "crew").note == WORDS["note"]
    with services.watch("alerts.WatchAlert", {"name": sos.name}, token=crew) as stream:
        cursor = read_until_caught_up(stream)[-1].cursor
        last = sos.do("UpdateAssignment", "crew", unit=unit, status="DONE")
        rest = list(stream)
    sos.do("AddNote", "dispatcher", text="words that nobody else may read", audience="RESPONDER")
    watched = services.call("alerts.WatchAssignments", {"unit": unit, "cursor": cursor}, token=crew)
    # Neither what ends it nor what comes after that tells any more.
    assert [message.WhichOneof("content") for message in rest][-1] == "end"
    for message in (last, *rest, *watched.messages):
        assert [secret for secret in SECRETS if secret in message.SerializeToString()] == []
    assert look() == {"NOT_FOUND ALERT_NOT_FOUND"}


def test_a_crew_that_was_relieved_sees_no_more(services: Services, tokens: dict[str, str]) -> None:
    sos = Sos(services, tokens)
    sos.do("AcknowledgeAlert", "dispatcher")
    unit = sos.dispatch()
    assert sos.do("GetAlert", "crew").note == WORDS["note"]
    with services.watch("alerts.WatchAssignments", {"unit": unit, "cursor": "now"}, token=tokens["crew"]) as stream:
        read_until_caught_up(stream)
        relieved = {"unit": {"name": unit, "crew": ["somebody-else"]}}
        services.call("alerts.UpdateUnit", relieved, token=tokens["supervisor"]).require_ok()
        sos.do("AddNote", "dispatcher", text="words that nobody else may read", audience="RESPONDER")
        said, ended = read_rest(stream)
    assert ended in {"OK", "NOT_FOUND UNIT_NOT_FOUND"}
    assert [secret for secret in SECRETS if secret in b"".join(message.SerializeToString() for message in said)] == []
    for door, more in DOORS.items():
        assert services.call(f"alerts.{door}", {"name": sos.name, **more}, token=tokens["crew"]).said == "NOT_FOUND ALERT_NOT_FOUND"


def read_rest(stream: Any) -> tuple[list[Any], str]:
    """What a watch says until it ends or has nothing more to say, and the error that it ends with."""
    said: list[Any] = []
    try:
        for message in stream:
            if message.WhichOneof("content") == "heartbeat":
                break
            said.append(message)
    except grpc.RpcError as error:
        return said, read_error(error).said
    return said, "OK"


def test_an_agency_that_has_refused_an_alert_sees_by_every_door_that_it_exists_and_no_more(
    services: Services, tokens: dict[str, str]
) -> None:
    other, recent = tokens["officer"], {"createdAfter": "2000-01-01T00:00:00Z", "pageSize": 1000}
    sos = Sos(services, tokens)
    sos.do("AcknowledgeAlert", "dispatcher")
    sos.do("RequestAgency", "dispatcher", agency=POLICE)
    assert sos.do("GetAlert", "officer").note == WORDS["note"]
    with services.watch("alerts.WatchAlerts", {"cursor": "now"}, token=other) as stream:
        read_until_caught_up(stream)
        sos.do("RespondToRequest", "officer", answer="REJECT", reason="no car")
        sos.do("AddNote", "dispatcher", text="words that nobody else may read")
        # Until another one comes, of which the officer is told.
        further = Sos(services, tokens)
        further.do("AcknowledgeAlert", "dispatcher")
        further.do("RequestAgency", "dispatcher", agency=POLICE)
        live = [message for message in take_until(stream, further.name, "AgencyRequested") if sos.name in str(message)]
    # That they were asked before it began may come only now.
    live = [message for message in live if message.event.type != "AgencyRequested"]
    told = [
        *live,
        *services.call("alerts.WatchAlert", {"name": sos.name}, token=other).messages,
        sos.do("GetAlert", "officer"),
        next(each for each in services.call("alerts.ListAlerts", recent, token=other).message.alerts if each.name == sos.name),
    ]
    assert [message.WhichOneof("content") for message in live] == ["left"]
    for message in told:
        content = message.SerializeToString()
        assert [secret for secret in (*SECRETS, b"secure-victim", b"secure-dispatcher") if secret in content] == []
    assert sos.name not in [each.event.alert.name for each in services.call("alerts.WatchAlerts", token=other).messages]
    assert not sos.is_listed("officer", kind=["MEDICAL"])
    for door in ("ListAlertEvents", "ListMessages"):
        assert services.call(f"alerts.{door}", {"name": sos.name}, token=other).said == "PERMISSION_DENIED NOT_CLAIMANT"
