"""Every change of an alert is made once for its request id, however often and however many at a time it is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from contract.rpcs import RPCS, Answer, Services, new_id

CHANGES = [key for key, rpc in RPCS.items() if rpc.upstream == "alerts" and rpc.has("request_id")]
HERE = {"point": {"latitude": -6.17, "longitude": 106.82}}


class Change(NamedTuple):
    """How an RPC changes a fresh alert; `held` where somebody must have taken it."""

    by: str = "dispatcher"
    content: dict[str, Any] = {}  # noqa: RUF012  # never changed
    other: dict[str, Any] = {}  # noqa: RUF012
    held: bool = False


# `other` is another body that the RPC would take as well.
HOW = {
    "alerts.TrackAlert": Change("caller", {"locations": [HERE]}, {"locations": [HERE, HERE]}),
    "alerts.ConfirmReceipt": Change(other={"operator": "x"}),
    "alerts.AcknowledgeAlert": Change(other={"operator": "x"}),
    "alerts.ReleaseAlert": Change(other={"operator": "x"}, held=True),
    "alerts.ResolveAlert": Change(content={"outcome": "HELPED"}, other={"outcome": "PRANK"}, held=True),
    "alerts.CancelAlert": Change("caller", other={"pin": "1234"}),
    "alerts.AddNote": Change(content={"text": "one"}, other={"text": "two"}),
}


# They change no alert: services/alerts/tests/test_webhook_service.py asks them twice.
OF_WEBHOOKS = {key for key, rpc in RPCS.items() if rpc.service.name == "WebhookService" and rpc.has("request_id")}


class Scene:
    """Makes alerts and changes them."""

    def __init__(self, services: Services, dispatcher: str, supervisor: str) -> None:
        self.services, self.dispatcher, self.supervisor = services, dispatcher, supervisor

    def raise_alert(self, key: str) -> tuple[str, Callable[..., Answer]]:
        """The name of a fresh alert, and what asks for the change of it."""
        raised = self.services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).message
        name = raised.alert.name
        if HOW[key].held:
            self.services.call("alerts.AcknowledgeAlert", {"name": name}, token=self.dispatcher)

        def change(**more: Any) -> Answer:
            content = {"name": name, **HOW[key].content, **more}
            if HOW[key].by == "caller":
                return self.services.call(key, content, alert_token=raised.alert_token)
            return self.services.call(key, content, token=self.dispatcher)

        return name, change

    def events(self, name: str) -> list[str]:
        listed = self.services.call("alerts.ListAlertEvents", {"name": name, "pageSize": 1000}, token=self.supervisor)
        return [event.type for event in listed.message.events]


@pytest.fixture(scope="module")
def scene(services: Services, dispatcher: str, supervisor: str) -> Scene:
    return Scene(services, dispatcher, supervisor)


def test_every_change_is_known_here() -> None:
    assert set(CHANGES) - OF_WEBHOOKS == {*HOW, "alerts.RaiseAlert"}


@pytest.mark.parametrize("key", HOW)
def test_a_change_makes_one_event(scene: Scene, key: str) -> None:
    name, change = scene.raise_alert(key)
    before = scene.events(name)
    assert change().code == "OK"
    assert len(scene.events(name)) == len(before) + 1


@pytest.mark.parametrize("key", HOW)
def test_a_repeated_change_is_the_same_resource_and_no_second_event(scene: Scene, key: str) -> None:
    name, change = scene.raise_alert(key)
    request_id = new_id()
    first = change(requestId=request_id).message
    after = scene.events(name)
    # What comes back is the resource as it is now, and nothing has changed it since.
    assert [change(requestId=request_id).message for _ in range(3)] == [first] * 3
    assert scene.events(name) == after


@pytest.mark.parametrize("key", HOW)
def test_a_change_asked_for_twenty_times_at_once_is_made_once(scene: Scene, key: str) -> None:
    name, change = scene.raise_alert(key)
    before = scene.events(name)
    request_id = new_id()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: change(requestId=request_id), range(20)))
    assert {answer.said for answer in answers} == {"OK"}
    assert len(scene.events(name)) == len(before) + 1


@pytest.mark.parametrize("key", HOW)
def test_another_request_under_the_same_id_is_refused(scene: Scene, key: str) -> None:
    name, change = scene.raise_alert(key)
    another, _ = scene.raise_alert(key)
    request_id = new_id()
    change(requestId=request_id)
    after = scene.events(name)
    for more in (HOW[key].other, {"name": another}):
        assert change(requestId=request_id, **more).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"
    assert scene.events(name) == after


@pytest.mark.parametrize("key", HOW)
def test_another_rpc_under_the_same_id_is_refused(scene: Scene, key: str) -> None:
    name, change = scene.raise_alert(key)
    request_id = new_id()
    change(requestId=request_id)
    other = "alerts.AddNote" if key != "alerts.AddNote" else "alerts.ConfirmReceipt"
    if HOW[key].by == "dispatcher":
        content = {"name": name, "requestId": request_id, **HOW[other].content}
        assert scene.services.call(other, content, token=scene.dispatcher).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"


@pytest.mark.parametrize("key", HOW)
def test_a_failed_change_leaves_its_id_free(scene: Scene, key: str) -> None:
    _, change = scene.raise_alert(key)
    request_id = new_id()
    absent = {"name": "alerts/00000000-0000-7000-8000-000000000000"}
    assert change(requestId=request_id, **absent).said == "NOT_FOUND ALERT_NOT_FOUND"
    assert change(requestId=request_id).code == "OK"


def test_an_id_is_each_callers_own(scene: Scene) -> None:
    name, change = scene.raise_alert("alerts.AddNote")
    request_id = new_id()
    content = {"name": name, "requestId": request_id, "text": "hers"}
    assert change(requestId=request_id).code == "OK"
    assert scene.services.call("alerts.AddNote", content, token=scene.supervisor).code == "OK"
    assert scene.events(name).count("NoteAdded") == 2


@pytest.mark.parametrize("key", HOW)
@pytest.mark.parametrize("request_id", ["1", "not-a-uuid", "0" * 32, f"{new_id()} "])
def test_an_id_that_is_no_uuid_is_refused(scene: Scene, key: str, request_id: str) -> None:
    _, change = scene.raise_alert(key)
    answer = change(requestId=request_id)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["requestId"])


def test_a_repeated_sos_is_the_same_alert_whatever_it_now_says(scene: Scene, citizen: str) -> None:
    services = scene.services
    by_token = {"requestId": new_id(), "alertToken": "t" * 30}
    by_user = {"requestId": new_id()}
    for ids, token in ((by_token, ""), (by_user, citizen)):
        first = services.call("alerts.RaiseAlert", {**ids, "kind": "FIRE"}, token=token).message
        again = services.call("alerts.RaiseAlert", {**ids, "kind": "MEDICAL", "note": "newer", "location": HERE}, token=token).message
        assert again.alert == first.alert
        assert again.alert_token == first.alert_token
        assert scene.events(first.alert.name) == ["AlertRaised", "AlertRouted"]
    # Whoever calls: with the token the person does not count.
    same = services.call("alerts.RaiseAlert", {**by_token, "kind": "FIRE"}, token=citizen).message
    assert same.alert.caller.user == ""


def test_without_its_token_or_its_caller_a_known_id_makes_a_new_alert(scene: Scene, citizen: str, dispatcher: str) -> None:
    request_id = new_id()
    answers = [
        scene.services.call("alerts.RaiseAlert", {"requestId": request_id, "kind": "FIRE", **more}, token=token).message
        for more, token in (
            ({}, citizen),
            ({}, dispatcher),
            ({}, ""),
            ({}, ""),
            ({"alertToken": "a" * 30}, ""),
            ({"alertToken": "b" * 30}, ""),
        )
    ]
    assert len({answer.alert.name for answer in answers}) == len(answers)


def test_fifty_equal_sos_at_once_are_one_alert(scene: Scene) -> None:
    content = {"requestId": new_id(), "alertToken": new_id(), "kind": "FIRE"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: scene.services.call("alerts.RaiseAlert", content), range(50)))
    assert len({answer.message.alert.name for answer in answers}) == 1
