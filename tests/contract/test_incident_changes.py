"""What is done for all alerts of an incident is done once for its request id, however often and however many at a time it is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from contract.over_json import Way
from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Services, new_id
from security.matrix import fill
from security.tokens import ROOM, Signer

CHANGES = [key for key, rpc in RPCS.items() if rpc.service.name == "IncidentService" and rpc.has("request_id")]


class Change(NamedTuple):
    """How an RPC changes `$incident`, to which `$alert` belongs without leading it; `other` is another body that it would take."""

    content: dict[str, Any] = {}  # noqa: RUF012  # never changed
    other: dict[str, Any] = {}  # noqa: RUF012
    held: bool = False


HOW = {
    "alerts.AcknowledgeIncident": Change(other={"operator": "x"}),
    "alerts.DispatchIncident": Change({"units": ["$unit"]}, {"acceptOldPositions": True}, held=True),
    "alerts.MessageIncident": Change({"text": "one"}, {"text": "two"}, held=True),
    "alerts.ResolveIncident": Change({"outcome": "HELPED"}, {"outcome": "PRANK"}, held=True),
    "alerts.UnmergeAlert": Change({"alert": "$alert"}, {"alert": "$lead"}),
    "alerts.MergeAlerts": Change({"alerts": ["$lead", "$further"]}, {"alerts": ["$lead", "$alert"]}),
}
of_every_change = pytest.mark.parametrize("key", HOW)


class Incident:
    """A fresh one of two alerts, with a dispatcher of its own who asks, so that nobody asks too often for the gateway."""

    def __init__(self, services: Services, way: Way, signer: Signer, key: str) -> None:
        self.services, self.way, self.key = services, way, key
        mine = new_id()
        self.token = signer.sign(f"{mine}-dispatcher", "dispatcher", agency=ROOM)
        self.supervisor = signer.sign(f"{mine}-supervisor", "supervisor", agency=ROOM)
        # Of a kind that nothing else puts together.
        lead, alert, further = (services.call("alerts.RaiseAlert", {"kind": "OTHER"}).message.alert.name for _ in range(3))
        self.words = {"$lead": lead, "$alert": alert, "$further": further, "$unit": self._make_unit()}
        self.words["$incident"] = self.do("MergeAlerts", alerts=[lead, alert]).name
        if HOW[key].held:
            self.do("AcknowledgeIncident", name=self.words["$incident"])

    def do(self, rpc: str, **content: Any) -> Any:
        return self.services.call(f"alerts.{rpc}", content, token=self.token).message

    def change(self, **more: Any) -> Answer:
        name = {"name": self.words["$incident"]} if RPCS[self.key].has("name") else {}
        return self.way.call(self.key, fill({**name, **HOW[self.key].content, **more}, self.words), token=self.token)

    def read(self) -> tuple[Any, list[str]]:
        """The incident as it is now, and what its alerts' timelines hold."""
        alerts = [self.words[word] for word in ("$lead", "$alert", "$further")]
        timelines = [self.do("ListAlertEvents", name=name, pageSize=1000).events for name in alerts]
        return self.do("GetIncident", name=self.words["$incident"]), [event.type for events in timelines for event in events]

    def _make_unit(self) -> str:
        unit = {"kind": "AMBULANCE", "displayName": "A unit"}
        name = self.services.call("alerts.CreateUnit", {"unit": unit}, token=self.supervisor).message.name
        self.do("StartDuty", name=name)
        return name


@pytest.fixture
def make_incident(services: Services, way: Way, signer: Signer) -> Callable[[str], Incident]:
    return lambda key: Incident(services, way, signer, key)


def test_every_change_is_known_here() -> None:
    assert set(CHANGES) == set(HOW)


@of_every_change
def test_a_repeated_change_changes_nothing(make_incident: Callable[[str], Incident], key: str) -> None:
    incident, request_id = make_incident(key), new_id()
    before = incident.read()
    first = incident.change(requestId=request_id).message
    after = incident.read()
    assert len(after[1]) > len(before[1])
    assert [incident.change(requestId=request_id).message for _ in range(3)] == [first] * 3
    assert incident.read() == after


@of_every_change
def test_a_change_asked_for_twenty_times_at_once_is_made_once(make_incident: Callable[[str], Incident], key: str) -> None:
    once, often, request_id = make_incident(key), make_incident(key), new_id()
    once.change().require_ok()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: often.change(requestId=request_id), range(20)))
    assert {answer.said for answer in answers} == {"OK"}
    assert len({answer.message.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert often.read()[1] == once.read()[1]


@of_every_change
def test_another_request_under_the_same_id_is_refused(make_incident: Callable[[str], Incident], key: str) -> None:
    incident, request_id = make_incident(key), new_id()
    incident.change(requestId=request_id).require_ok()
    after = incident.read()
    assert incident.change(requestId=request_id, **HOW[key].other).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"
    assert incident.read() == after


@of_every_change
def test_another_rpc_under_the_same_id_is_refused(make_incident: Callable[[str], Incident], key: str) -> None:
    incident, request_id = make_incident(key), new_id()
    incident.change(requestId=request_id).require_ok()
    other = "alerts.MessageIncident" if key != "alerts.MessageIncident" else "alerts.AcknowledgeIncident"
    content = {"name": incident.words["$incident"], "requestId": request_id, **HOW[other].content}
    assert incident.way.call(other, content, token=incident.token).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"


@of_every_change
def test_a_failed_change_leaves_its_id_free(make_incident: Callable[[str], Incident], key: str) -> None:
    incident, request_id = make_incident(key), new_id()
    named = RPCS[key].has("name")
    absent = {"name": f"incidents/{AN_ABSENT_UUID}"} if named else {"alerts": ["$lead", f"alerts/{AN_ABSENT_UUID}"]}
    failed = incident.change(requestId=request_id, **absent)
    assert failed.said == ("NOT_FOUND INCIDENT_NOT_FOUND" if named else "NOT_FOUND ALERT_NOT_FOUND")
    assert incident.change(requestId=request_id).said == "OK"


def test_what_was_taken_out_again_is_not_put_back_by_a_repetition(make_incident: Callable[[str], Incident]) -> None:
    incident, request_id = make_incident("alerts.MergeAlerts"), new_id()
    incident.change(requestId=request_id).require_ok()
    incident.do("UnmergeAlert", name=incident.words["$incident"], alert=incident.words["$further"])
    assert incident.words["$further"] not in incident.change(requestId=request_id).message.alerts
