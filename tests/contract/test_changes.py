"""Every change of an alert is made once for its request id, however often and however many at a time it is asked for."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from contract.over_json import Way, find_name, put
from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Services, new_id
from security.matrix import fill
from security.tokens import POLICE, ROOM, Signer

CHANGES = [key for key, rpc in RPCS.items() if rpc.service.name == "AlertService" and rpc.has("request_id")]
HERE = {"point": {"latitude": -6.17, "longitude": 106.82}}
FIRE_BRIGADE = "agencies/jakarta-fire"


class Change(NamedTuple):
    """How an RPC changes a fresh alert, after these steps; `$unit` and `$another` are units that are ready."""

    by: str = "dispatcher"
    content: dict[str, Any] = {}  # noqa: RUF012  # never changed
    other: dict[str, Any] = {}  # noqa: RUF012
    after: tuple[str, ...] = ()


HELD = ("AcknowledgeAlert",)
ASKED = (*HELD, "RequestAgency")
SENT = (*HELD, "DispatchAlert")
# `other` is another body that the RPC would take as well, where there is any. A word behind the RPC's name tells two of one RPC apart.
HOW = {
    "alerts.TrackAlert": Change("caller", {"locations": [HERE]}, {"locations": [HERE, HERE]}),
    "alerts.ConfirmReceipt": Change(other={"operator": "x"}),
    "alerts.AcknowledgeAlert": Change(other={"operator": "x"}),
    "alerts.ReleaseAlert": Change(other={"operator": "x"}, after=HELD),
    "alerts.ResolveAlert": Change(content={"outcome": "HELPED"}, other={"outcome": "PRANK"}, after=HELD),
    "alerts.CancelAlert": Change("caller", other={"pin": "1234"}),
    "alerts.EraseAlert": Change("caller"),
    "alerts.AddNote": Change(content={"text": "one"}, other={"text": "two"}),
    "alerts.AssignAlert": Change("supervisor", {"assignee": "somebody"}, {"assignee": "another"}, HELD),
    "alerts.UpdateAlert": Change(content={"alert": {"kind": "FIRE"}}, other={"updateMask": "kind"}),
    "alerts.RecordContact": Change(content={"means": "CALL", "result": "BUSY"}, other={"result": "REACHED"}),
    "alerts.SendMessage": Change(content={"text": "one"}, other={"text": "two"}),
    "alerts.SendMessage caller": Change("caller", {"text": "one"}, {"text": "two"}),
    "alerts.RequestAgency": Change(content={"agency": FIRE_BRIGADE, "reason": "smoke"}, other={"agency": POLICE}, after=HELD),
    "alerts.HandOverAlert": Change(content={"agency": FIRE_BRIGADE, "reason": "smoke"}, other={"agency": POLICE}, after=HELD),
    "alerts.RespondToRequest": Change("fire brigade", {"answer": "ACCEPT"}, {"answer": "REJECT", "reason": "no engine"}, ASKED),
    "alerts.DispatchAlert": Change(content={"units": ["$unit"]}, other={"units": ["$another"]}, after=HELD),
    "alerts.UpdateAssignment": Change("crew", {"unit": "$unit", "status": "EN_ROUTE"}, {"status": "ON_SCENE"}, SENT),
    # Of which the crew is shown no more than that it exists.
    "alerts.UpdateAssignment end": Change("crew", {"unit": "$unit", "status": "DONE"}, {"status": "DECLINED"}, SENT),
}
of_every_change = pytest.mark.parametrize("label", HOW)


# They change no alert, or many: those of incidents, units, warnings and webhooks have tests of their own.
OF_A_CALLER = {"alerts.SetPins": {"pin": "1234", "duressPin": "5678"}, "alerts.EraseMyAlerts": {}}


def key_of(label: str) -> str:
    return label.partition(" ")[0]


class Alert:
    """A fresh one, with people of its own, so that nobody asks too often for the gateway."""

    def __init__(self, services: Services, way: Way, signer: Signer, label: str) -> None:
        self.services, self.way, self.label = services, way, label
        mine = new_id()
        self.tokens = {
            "dispatcher": signer.sign(f"{mine}-dispatcher", "dispatcher", agency=ROOM),
            "supervisor": signer.sign(f"{mine}-supervisor", "supervisor", agency=ROOM),
            "fire brigade": signer.sign(f"{mine}-fire", "dispatcher", agency=FIRE_BRIGADE),
            "crew": signer.sign(f"{mine}-crew", "responder", agency=ROOM),
            "caller": "",
        }
        raised = services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).message
        self.name, self.alert_token = raised.alert.name, raised.alert_token
        self.words = {word: self._make_unit(f"{mine}-crew") if word in str(HOW[label]) else "" for word in ("$unit", "$another")}
        for step in HOW[label].after:
            self.do(f"alerts.{step}").require_ok()

    def do(self, label: str, **more: Any) -> Answer:
        """Straight at the service."""
        return self._ask(self.services, label, more)

    def change(self, **more: Any) -> Answer:
        """What the test is about."""
        return self._ask(self.way, self.label, more)

    def events(self) -> list[str]:
        content = {"name": self.name, "pageSize": 1000}
        listed = self.services.call("alerts.ListAlertEvents", content, token=self.tokens["supervisor"])
        return [event.type for event in listed.message.events]

    def _ask(self, way: Way, label: str, more: dict[str, Any]) -> Answer:
        key, how = key_of(label), HOW[label]
        content = put(fill(how.content, self.words), find_name(RPCS[key].bindings[0]), self.name) | fill(more, self.words)
        alert_token = self.alert_token if how.by == "caller" else ""
        return way.call(key, content, token=self.tokens[how.by], alert_token=alert_token)

    def _make_unit(self, crew: str) -> str:
        unit = {"kind": "AMBULANCE", "displayName": "A unit", "crew": [crew]}
        name = self.services.call("alerts.CreateUnit", {"unit": unit}, token=self.tokens["supervisor"]).message.name
        self.services.call("alerts.StartDuty", {"name": name}, token=self.tokens["supervisor"]).require_ok()
        return name


@pytest.fixture
def make_alert(services: Services, way: Way, signer: Signer) -> Callable[[str], Alert]:
    return lambda label: Alert(services, way, signer, label)


def name_another(label: str, name: str) -> dict[str, Any]:
    """What makes the same request about another alert."""
    field = find_name(RPCS[key_of(label)].bindings[0])
    first, _, _ = field.partition(".")
    return {first: put(HOW[label].content, field, name)[first]}


def test_every_change_is_known_here() -> None:
    # services/alerts/tests/test_statistics_service.py has the rebuilding asked for twice.
    assert set(CHANGES) == {*map(key_of, HOW), *OF_A_CALLER, "alerts.RaiseAlert", "alerts.RebuildAlertStatistics"}


@of_every_change
def test_a_change_makes_one_event(make_alert: Callable[[str], Alert], label: str) -> None:
    alert = make_alert(label)
    before = alert.events()
    assert alert.change().said == "OK"
    assert len(alert.events()) == len(before) + 1


@of_every_change
def test_a_repeated_change_is_the_same_resource_and_no_second_event(make_alert: Callable[[str], Alert], label: str) -> None:
    alert, request_id = make_alert(label), new_id()
    first = alert.change(requestId=request_id).message
    after = alert.events()
    # What comes back is the resource as it is now, and nothing has changed it since.
    assert [alert.change(requestId=request_id).message for _ in range(3)] == [first] * 3
    assert alert.events() == after


@of_every_change
def test_a_change_asked_for_twenty_times_at_once_is_made_once(make_alert: Callable[[str], Alert], label: str) -> None:
    alert, request_id = make_alert(label), new_id()
    before = alert.events()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: alert.change(requestId=request_id), range(20)))
    assert {answer.said for answer in answers} == {"OK"}
    assert len({answer.message.name for answer in answers}) == 1
    assert len(alert.events()) == len(before) + 1


@of_every_change
def test_another_request_under_the_same_id_is_refused(make_alert: Callable[[str], Alert], label: str) -> None:
    alert, request_id = make_alert(label), new_id()
    alert.change(requestId=request_id).require_ok()
    after = alert.events()
    others = [HOW[label].other] if HOW[label].other else []
    for more in (*others, name_another(label, make_alert("alerts.AddNote").name)):
        refused = alert.change(requestId=request_id, **more)
        assert (refused.said, refused.fields) == ("INVALID_ARGUMENT REQUEST_ID_REUSED", ["requestId"])
    assert alert.events() == after


@pytest.mark.parametrize("label", [label for label, how in HOW.items() if how.by in {"dispatcher", "supervisor"}])
def test_another_rpc_under_the_same_id_is_refused(make_alert: Callable[[str], Alert], label: str) -> None:
    alert, request_id = make_alert(label), new_id()
    alert.change(requestId=request_id).require_ok()
    other = "alerts.AddNote" if label != "alerts.AddNote" else "alerts.ConfirmReceipt"
    content = {"name": alert.name, "requestId": request_id, **HOW[other].content}
    answer = alert.way.call(other, content, token=alert.tokens[HOW[label].by])
    assert answer.said == "INVALID_ARGUMENT REQUEST_ID_REUSED"


@of_every_change
def test_a_failed_change_leaves_its_id_free(make_alert: Callable[[str], Alert], label: str) -> None:
    alert, request_id = make_alert(label), new_id()
    absent = name_another(label, f"alerts/{AN_ABSENT_UUID}")
    assert alert.change(requestId=request_id, **fill(absent, alert.words)).said == "NOT_FOUND ALERT_NOT_FOUND"
    assert alert.change(requestId=request_id).said == "OK"


def test_an_id_is_each_callers_own(make_alert: Callable[[str], Alert]) -> None:
    alert, request_id = make_alert("alerts.AddNote"), new_id()
    assert alert.change(requestId=request_id, text="hers").said == "OK"
    content = {"name": alert.name, "requestId": request_id, "text": "his"}
    assert alert.way.call("alerts.AddNote", content, token=alert.tokens["supervisor"]).said == "OK"
    assert alert.events().count("NoteAdded") == 2


@of_every_change
def test_an_id_that_is_no_uuid_is_refused(make_alert: Callable[[str], Alert], label: str) -> None:
    alert = make_alert(label)
    for request_id in ("1", "not-a-uuid", "0" * 32, f"{new_id()} "):
        answer = alert.change(requestId=request_id)
        assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["requestId"])


def test_a_repeated_sos_is_the_same_alert_whatever_it_now_says(way: Way, services: Services, citizen: str, supervisor: str) -> None:
    by_token = {"requestId": new_id(), "alertToken": f"{new_id()}-repeated"}
    by_user = {"requestId": new_id()}
    for ids, token in ((by_token, ""), (by_user, citizen)):
        first = way.call("alerts.RaiseAlert", {**ids, "kind": "FIRE"}, token=token).message
        again = way.call("alerts.RaiseAlert", {**ids, "kind": "MEDICAL", "note": "newer", "location": HERE}, token=token).message
        assert again.alert == first.alert
        assert again.alert_token == first.alert_token
        timeline = services.call("alerts.ListAlertEvents", {"name": first.alert.name}, token=supervisor).message
        assert [event.type for event in timeline.events] == ["AlertRaised", "AlertRouted"]
    # Whoever calls: with the token the person does not count.
    same = way.call("alerts.RaiseAlert", {**by_token, "kind": "FIRE"}, token=citizen).message
    assert same.alert.caller.user == ""


def test_without_its_token_or_its_caller_a_known_id_makes_a_new_alert(way: Way, citizen: str, dispatcher: str) -> None:
    request_id = new_id()
    answers = [
        way.call("alerts.RaiseAlert", {"requestId": request_id, "kind": "FIRE", **more}, token=token).message
        for more, token in (
            ({}, citizen),
            ({}, dispatcher),
            ({}, ""),
            ({}, ""),
            ({"alertToken": f"{new_id()}-one"}, ""),
            ({"alertToken": f"{new_id()}-two"}, ""),
        )
    ]
    assert len({answer.alert.name for answer in answers}) == len(answers)


def test_fifty_equal_sos_at_once_are_one_alert(way: Way) -> None:
    content = {"requestId": new_id(), "alertToken": new_id(), "kind": "FIRE"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: way.call("alerts.RaiseAlert", content), range(50)))
    assert len({answer.message.alert.name for answer in answers}) == 1


@pytest.mark.parametrize("key", OF_A_CALLER)
def test_what_a_caller_changes_for_themselves_is_changed_once(services: Services, way: Way, signer: Signer, key: str) -> None:
    request_id, user = new_id(), f"{new_id()}-caller"
    token = signer.sign(user, auth_time=int(time.time()))
    content = {"requestId": request_id, **OF_A_CALLER[key]}
    assert {way.call(key, content, token=token).said for _ in range(3)} == {"OK"}
    # What was raised since then is not erased by a repetition.
    name = services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}, token=token).message.alert.name
    assert way.call(key, content, token=token).said == "OK"
    assert services.call("alerts.GetAlert", {"name": name}, token=token).said == "OK"
    (other,) = OF_A_CALLER.keys() - {key}
    for asked, more in ((other, OF_A_CALLER[other]), ("alerts.SetPins", {"pin": "4321", "duressPin": "5678"})):
        assert way.call(asked, {"requestId": request_id, **more}, token=token).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"
