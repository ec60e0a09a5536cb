"""Every watch of alerts alike, over gRPC and as server-sent events: what is open, then its end, then every change; no gap, no double."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from chassis.tail import HEARTBEAT_SECONDS
from contract.over_json import read_json_error, write_call
from contract.rpcs import RPCS, Services, read_until_caught_up
from contract.streams import Way, over_grpc, over_http
from harness import RunningPlatform
from security.tokens import POLICE, ROOM, Signer

# That of warnings is in test_warning_watch.py.
WATCHES = [key for key, rpc in RPCS.items() if rpc.watches and rpc.upstream == "alerts" and rpc.service.name != "WarningService"]
# Each watch by each way that is open to it.
WAYS = [f"{key} {way}" for key, rpc in RPCS.items() if rpc.watches for way in ("grpc", "sse") if way == "grpc" or rpc.bindings]
PATIENCE = HEARTBEAT_SECONDS + 3
CREWS_WAY = ("ACCEPTED", "EN_ROUTE", "ON_SCENE")
# What alerts do of themselves comes between where the machine is slow.
OF_THEMSELVES = {"AlertEscalated", "AlertOverdue", "AlertAssessed"}


class Watched(NamedTuple):
    """One alert or incident and how to watch it: the request, what proves the right to it, and another question of the same RPC,
    where there is any.

    `steps` change it, each an RPC with its request and the event that follows.
    """

    content: dict[str, Any]
    token: str
    alert_token: str
    name: str
    another: dict[str, Any]
    steps: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("ConfirmReceipt", {}, "AlertDelivered"),
        ("AcknowledgeAlert", {}, "AlertAcknowledged"),
        ("ReleaseAlert", {}, "AlertReleased"),
    )
    # What shows in it once all of the steps are taken, and what reads it.
    changed: str = "acknowledge_time"
    reads: str = "GetAlert"


class Scene:
    """Makes alerts to watch and changes them."""

    def __init__(self, services: Services, dispatcher: str, supervisor: str) -> None:
        self.services, self.dispatcher, self.supervisor = services, dispatcher, supervisor

    def prepare(self, key: str) -> Watched:
        if key in {"directory.WatchDirectory", "alerts.WatchWarnings"}:
            return Watched({}, "", "", "", {})
        raised, other = (self.services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).message for _ in range(2))
        name = raised.alert.name
        if key == "alerts.WatchAlerts":
            return Watched({}, self.dispatcher, "", name, {"includeDrills": True})
        if key == "alerts.WatchAssignments":
            unit, another = self.make_unit(), self.make_unit()
            self.do("AcknowledgeAlert", name=name)
            self.do("DispatchAlert", name=name, units=[unit])
            steps = [("UpdateAssignment", {"unit": unit, "status": status}, "AssignmentUpdated") for status in CREWS_WAY]
            return Watched({"unit": unit}, self.dispatcher, "", name, {"unit": another}, tuple(steps), "arrive_time")
        if key == "alerts.WatchIncidents":
            incident = self.do("MergeAlerts", alerts=[name, other.alert.name])
            taken = ("AcknowledgeIncident", {}, "IncidentChanged")
            steps = (taken, ("ReleaseAlert", {"name": incident.lead}, "IncidentChanged"), taken)
            return Watched({}, self.dispatcher, "", incident.name, {}, steps, "operator", "GetIncident")
        assert key == "alerts.WatchAlert", f"{key} is not known here"
        # By the agency, because a caller's side is not shown each change.
        return Watched({"name": name}, self.dispatcher, "", name, {"name": other.alert.name})

    def make_unit(self, *crew: str) -> str:
        """On duty."""
        unit = {"kind": "AMBULANCE", "displayName": "An ambulance", "crew": crew}
        name = self.services.call("alerts.CreateUnit", {"unit": unit}, token=self.supervisor).message.name
        self.do("StartDuty", name=name)
        return name

    def do(self, rpc: str, **content: Any) -> Any:
        return self.services.call(f"alerts.{rpc}", content, token=self.dispatcher).message

    def change(self, watched: Watched, to: int = 1, done: int = 0) -> list[str]:
        """Takes the steps up to and with the `to` th; the types of the events that follow from it."""
        for rpc, content, _ in watched.steps[done:to]:
            self.do(rpc, **{"name": watched.name, **content})
        return [event for _, _, event in watched.steps[done:to]]


def resource_of(message: Any) -> Any:
    """The alert or the incident that a message of a watch is about."""
    return message.event.incident if "incident" in message.event.DESCRIPTOR.fields_by_name else message.event.alert


def types_of(messages: list[Any], name: str) -> list[str]:
    found = [message.event.type for message in messages if message.HasField("event") and resource_of(message).name == name]
    return [each for each in found if each not in OF_THEMSELVES]


def fields_of(message: Any) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def take_events(stream: Iterator[Any], name: str, number: int) -> list[Any]:
    """Messages up to and with the `number` th event of an alert or an incident."""
    found: list[Any] = []
    for message in stream:
        found.append(message)
        if len(types_of(found, name)) == number:
            break
    return found


@pytest.fixture(scope="module")
def scene(services: Services, dispatcher: str, supervisor: str) -> Scene:
    return Scene(services, dispatcher, supervisor)


@pytest.fixture(scope="module", params=["grpc", "sse"])
def way(request: pytest.FixtureRequest, services: Services, platform: RunningPlatform) -> Way:
    return over_grpc(services) if request.param == "grpc" else over_http(platform)


@pytest.fixture(scope="module", autouse=True)
def wait_for_heartbeats(scene: Scene, services: Services, platform: RunningPlatform) -> Iterator[Callable[[], dict[str, Any]]]:
    """Heartbeats of watches that stay open while the other tests run, so that nobody waits for them alone."""
    heard: dict[str, Any] = {}
    threads: list[threading.Thread] = []

    def listen(label: str, way: Way, key: str) -> None:
        watched = scene.prepare(key)
        with way(key, watched.content, watched.token, "") as stream:
            read_until_caught_up(stream)
            heard[label] = next(message for message in stream if message.HasField("heartbeat"))

    ways = {"grpc": over_grpc(services), "sse": over_http(platform)}
    for label in WAYS:
        key, way = label.split()
        threads.append(threading.Thread(target=listen, args=(label, ways[way], key)))
        threads[-1].start()

    def wait() -> dict[str, Any]:
        for thread in threads:
            thread.join(PATIENCE)
        return heard

    yield wait
    wait()


@pytest.mark.parametrize("key", WATCHES)
def test_it_begins_with_what_is_open_and_says_when_that_is_complete(scene: Scene, way: Way, key: str) -> None:
    watched = scene.prepare(key)
    with way(key, watched.content, watched.token, "") as stream:
        messages = read_until_caught_up(stream)
    opened = types_of(messages, watched.name)
    assert opened in (["AlertOpen"], ["IncidentOpen"])
    assert [message.WhichOneof("content") for message in messages] == ["event"] * (len(messages) - 1) + ["snapshot_end"]
    assert all(message.cursor for message in messages)
    assert {message.event.type for message in messages[:-1]} == set(opened)
    assert all("create_time" not in fields_of(message.event) for message in messages[:-1])


@pytest.mark.parametrize("key", WATCHES)
def test_then_every_change_comes_once_with_the_resource_as_it_is_now(scene: Scene, way: Way, key: str) -> None:
    watched = scene.prepare(key)
    with way(key, watched.content, watched.token, "") as stream:
        read_until_caught_up(stream)
        types = scene.change(watched, 3)
        messages = take_events(stream, watched.name, 3)
    assert types_of(messages, watched.name) == types
    last = resource_of(messages[-1])
    assert ("create_time" in fields_of(messages[-1].event)) == (key != "alerts.WatchIncidents")
    assert watched.changed in fields_of(last)
    assert last.update_time == scene.do(watched.reads, name=watched.name).update_time
    cursors = [message.cursor for message in messages if resource_of(message).name == watched.name]
    assert len(set(cursors)) == len(cursors)


@pytest.mark.parametrize("key", WATCHES)
def test_now_begins_with_the_present(scene: Scene, way: Way, key: str) -> None:
    watched = scene.prepare(key)
    with way(key, {**watched.content, "cursor": "now"}, watched.token, "") as stream:
        # It is told at once from where on it watches.
        assert [message.WhichOneof("content") for message in read_until_caught_up(stream)] == ["heartbeat"]
        types = scene.change(watched)
        messages = take_events(stream, watched.name, 1)
    assert types_of(messages, watched.name) == types


@pytest.mark.parametrize("key", WATCHES)
def test_it_resumes_from_any_cursor_without_a_gap_or_a_double(scene: Scene, way: Way, key: str) -> None:
    watched = scene.prepare(key)
    with way(key, watched.content, watched.token, "") as stream:
        before = read_until_caught_up(stream)[-1].cursor
        types = scene.change(watched, 2)
        first = take_events(stream, watched.name, 1)[-1].cursor
    types += scene.change(watched, 3, done=2)
    for cursor, missed in ((before, types), (first, types[1:])):
        with way(key, {**watched.content, "cursor": cursor}, watched.token, "") as stream:
            messages = take_events(stream, watched.name, len(missed))
        assert types_of(messages, watched.name) == missed


@pytest.mark.parametrize("key", WATCHES)
def test_a_cursor_from_within_the_beginning_begins_anew(scene: Scene, way: Way, key: str) -> None:
    watched = scene.prepare(key)
    with way(key, watched.content, watched.token, "") as stream:
        cursor = next(iter(stream)).cursor
    with way(key, {**watched.content, "cursor": cursor}, watched.token, "") as stream:
        messages = read_until_caught_up(stream)
    assert types_of(messages, watched.name) in (["AlertOpen"], ["IncidentOpen"])
    assert messages[-1].HasField("snapshot_end")


def change_one(cursor: str) -> str:
    return cursor[:5] + ("A" if cursor[5] != "A" else "B") + cursor[6:]


@pytest.mark.parametrize("key", WATCHES)
@pytest.mark.parametrize(
    "spoil",
    [change_one, lambda cursor: cursor[1:], lambda cursor: cursor + "A", lambda _: "x", lambda _: "NOW", lambda _: "-1", lambda _: "ж"],
)
def test_a_garbled_cursor_is_refused(services: Services, scene: Scene, key: str, spoil: Callable[[str], str]) -> None:
    watched = scene.prepare(key)
    cursor = services.call(key, watched.content, token=watched.token).messages[-1].cursor
    answer = services.call(key, {**watched.content, "cursor": spoil(cursor)}, token=watched.token)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_CURSOR", ["cursor"])


@pytest.mark.parametrize("key", WATCHES)
def test_a_cursor_of_another_question_is_refused(services: Services, scene: Scene, key: str) -> None:
    watched = scene.prepare(key)
    others = [watched.another] if watched.another else []
    foreign = [services.call(key, {**watched.content, **another}, token=watched.token).messages[-1].cursor for another in others]
    for other in WATCHES:
        if other != key:
            elsewhere = scene.prepare(other)
            foreign.append(services.call(other, elsewhere.content, token=elsewhere.token).messages[-1].cursor)
    for cursor in foreign:
        answer = services.call(key, {**watched.content, "cursor": cursor}, token=watched.token)
        assert answer.said == "INVALID_ARGUMENT INVALID_CURSOR"


@pytest.mark.parametrize("key", WATCHES)
def test_a_refused_watch_is_an_error_in_the_one_shape_over_http(platform: RunningPlatform, scene: Scene, key: str) -> None:
    watched = scene.prepare(key)
    call = write_call(RPCS[key].bindings[0], {**watched.content, "cursor": "x"})
    answer = httpx.get(f"{platform.url}{call.path}", params=call.query, headers={"authorization": f"Bearer {watched.token}"})
    told = read_json_error(answer)
    assert (told.reason, told.fields) == ("INVALID_CURSOR", ["cursor"])


def test_a_caller_follows_every_hop_to_the_end(scene: Scene, services: Services, way: Way) -> None:
    raised = services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).message
    name = raised.alert.name
    with way("alerts.WatchAlert", {"name": name}, "", raised.alert_token) as stream:
        assert read_until_caught_up(stream)[0].event.alert.state == raised.alert.RAISED
        for step, more in (
            ("ConfirmReceipt", {}),
            ("AcknowledgeAlert", {}),
            ("AddNote", {"text": "inside"}),
            ("ResolveAlert", {"outcome": "HELPED"}),
        ):
            assert services.call(f"alerts.{step}", {"name": name, **more}, token=scene.dispatcher).code == "OK"
        rest = list(stream)
    # A note for the agency is not among them, and nothing comes after the end.
    assert types_of(rest, name) == ["AlertDelivered", "AlertAcknowledged", "AlertResolved"]
    assert rest[-1].end.reason == rest[-1].end.ALERT_CLOSED


def test_a_closed_alert_leaves_the_agencys_watch(scene: Scene, way: Way) -> None:
    watched = scene.prepare("alerts.WatchAlerts")
    with way("alerts.WatchAlerts", {"cursor": "now"}, watched.token, "") as stream:
        read_until_caught_up(stream)
        scene.change(watched, 2)
        scene.services.call("alerts.ResolveAlert", {"name": watched.name, "outcome": "HELPED"}, token=scene.dispatcher)
        left = next(message for message in stream if message.HasField("left"))
    assert left.left.name == watched.name


def test_a_crew_is_told_what_it_is_sent_to_and_when_it_has_finished(scene: Scene, signer: Signer, way: Way) -> None:
    unit, crew = scene.make_unit("watches-crew"), signer.sign("watches-crew", "responder", agency=ROOM)
    name, other = (scene.prepare("alerts.WatchAlert").name for _ in range(2))
    for each in (name, other):
        scene.do("AcknowledgeAlert", name=each)
    with way("alerts.WatchAssignments", {"unit": unit}, crew, "") as stream:
        assert [message.WhichOneof("content") for message in read_until_caught_up(stream)] == ["snapshot_end"]
        scene.do("DispatchAlert", name=name, units=[unit])
        messages = take_events(stream, name, 1)
        for status in CREWS_WAY:
            # Each is waited for: an event comes with the alert as it is by then, and one that the crew has left comes no more.
            scene.services.call("alerts.UpdateAssignment", {"name": name, "unit": unit, "status": status}, token=crew).require_ok()
            messages += take_events(stream, name, 1)
        scene.services.call("alerts.UpdateAssignment", {"name": name, "unit": unit, "status": "DONE"}, token=crew).require_ok()
        left = next(message for message in stream if not message.HasField("heartbeat"))
        # What happens to the alert after that is no longer for this crew.
        scene.do("AddNote", name=name, text="for whoever goes there", audience="RESPONDER")
        scene.do("DispatchAlert", name=other, units=[unit])
        after = next(message for message in stream if not message.HasField("heartbeat"))
    assert types_of(messages, name) == ["AlertDispatched", *["AssignmentUpdated"] * 3]
    assert (left.left.name, after.event.type, after.event.alert.name) == (name, "AlertDispatched", other)


def test_an_alert_that_the_agency_has_refused_leaves_its_watch(scene: Scene, signer: Signer, way: Way) -> None:
    police = signer.sign("watches-police", "dispatcher", agency=POLICE)
    name = scene.prepare("alerts.WatchAlert").name
    scene.do("AcknowledgeAlert", name=name)
    with way("alerts.WatchAlerts", {"cursor": "now"}, police, "") as stream:
        read_until_caught_up(stream)
        scene.do("RequestAgency", name=name, agency=POLICE)
        asked = take_events(stream, name, 1)[-1].event
        answer = {"name": name, "answer": "REJECT", "reason": "no car"}
        scene.services.call("alerts.RespondToRequest", answer, token=police).require_ok()
        left = next(message for message in stream if name in {resource_of(message).name, message.left.name})
    assert (asked.type, asked.alert.kind) == ("AgencyRequested", asked.alert.MEDICAL)
    assert left.left.name == name


def test_an_incident_that_is_closed_leaves_the_agencys_watch(scene: Scene, way: Way) -> None:
    watched = scene.prepare("alerts.WatchIncidents")
    with way("alerts.WatchIncidents", {"cursor": "now"}, watched.token, "") as stream:
        read_until_caught_up(stream)
        scene.change(watched, 1)
        scene.do("ResolveIncident", name=watched.name, outcome="HELPED")
        messages = take_events(stream, watched.name, 2)
        left = next(message for message in stream if message.HasField("left"))
    assert types_of(messages, watched.name) == ["IncidentChanged", "IncidentClosed"]
    assert left.left.name == watched.name


def test_every_watch_has_a_heartbeat(wait_for_heartbeats: Callable[[], dict[str, Any]]) -> None:
    heard = wait_for_heartbeats()
    assert set(heard) == set(WAYS)
    assert all(message.cursor for message in heard.values())
