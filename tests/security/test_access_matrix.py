"""The access matrix: every person, every RPC, every state of an alert, as access_matrix.yaml has it."""

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from contract.rpcs import AN_ABSENT_UUID, CONTRACT, RPCS, Answer, Rpc, Services
from harness import RunningPlatform
from security.tokens import ROOM, Signer

MATRIX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "access_matrix.yaml").read_text())
MATRIX["rpcs"] |= yaml.safe_load((Path(__file__).parent / "access_matrix" / "warnings.yaml").read_text())
PERSONS: dict[str, dict[str, Any]] = MATRIX["persons"]
STATES: dict[str, dict[str, Any]] = MATRIX["states"]
# What a redacted alert may hold, as the contract's comment on Alert lists it, and what changes with every change.
REDACTED = {"name", "state", "restricted", "area", "agency", "drill", "revision", "etag"}
REDACTED |= {"create_time", "deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "close_time", "update_time"}
FOR_THE_AGENCY = {"responses", "cancel_claim", "outcome", "assignments"}
BLOCKS = [(key, state) for key, rpc in MATRIX["rpcs"].items() for state in ("anywhere",) if state in rpc]
BLOCKS += [(key, state) for key, rpc in MATRIX["rpcs"].items() for state in rpc.get("states", ())]


class Known(NamedTuple):
    """An alert of the test: its name, the token that opens it, when it was raised."""

    name: str
    token: str
    time: str


class World:
    """Persons with their tokens, and an alert in each state, made anew when a call has changed it."""

    def __init__(self, services: Services, signer: Signer) -> None:
        self.services = services
        colleague = {"user": "colleague", "roles": ["dispatcher"], "agency": ROOM}
        self.tokens = {name: sign(signer, person) for name, person in {**PERSONS, "colleague": colleague}.items()}
        self.alerts: dict[str, Known] = {}
        self.another = secrets.token_urlsafe(24)
        self.do("alerts.RaiseAlert", "stranger", alertToken=self.another)

    def do(self, key: str, person: str, **content: Any) -> Any:
        return self.services.call(key, content, token=self.tokens[person]).message

    def find(self, state: str) -> Known:
        if state not in self.alerts:
            self.alerts[state] = self.make(STATES.get(state, {}))
        return self.alerts[state]

    def make(self, wanted: dict[str, Any]) -> Known:
        token = secrets.token_urlsafe(24)
        if wanted.get("absent"):
            return Known(f"alerts/{AN_ABSENT_UUID}", token, "2100-01-01T00:00:00Z")
        # A note and a telephone number tell what is redacted from what is not.
        content = {"kind": "MEDICAL", "note": "a secret", "caller": {"callbackPhone": "+62811"}, **wanted.get("raise", {})}
        alert = self.do("alerts.RaiseAlert", "owner", **content, alertToken=token).alert
        self.do("alerts.AddNote", "supervisor", name=alert.name, text="for the agency")
        if "held" in wanted:
            self.do("alerts.AcknowledgeAlert", wanted["held"], name=alert.name)
        if wanted.get("closed"):
            self.do("alerts.ResolveAlert", wanted["held"], name=alert.name, outcome="HELPED")
        if wanted.get("cancelled"):
            self.services.call("alerts.CancelAlert", {"name": alert.name}, alert_token=token).require_ok()
        return Known(alert.name, token, alert.create_time.ToJsonString())

    def ask(self, rpc: Rpc, state: str, person: str) -> Answer:
        alert = self.find(state)
        words = {"$alert": alert.name, "$time": alert.time, "$operator": "somebody of the room"}
        content = {name: words.get(value, value) if isinstance(value, str) else value for name, value in request_of(rpc.key).items()}
        held = {"own": alert.token, "another": self.another, None: ""}[PERSONS[person].get("holds")]
        return self.services.call(rpc.key, content, token=self.tokens[person], alert_token=held)


def sign(signer: Signer, person: dict[str, Any]) -> str:
    claims = {name: person[name] for name in ("areas",) if name in person}
    if "user" not in person:
        return ""
    return signer.sign(f"matrix-{person['user']}", *person.get("roles", ()), agency=person.get("agency", ""), **claims)


def request_of(key: str) -> dict[str, Any]:
    return MATRIX["rpcs"][key]["request"]


def expected(block: dict[str, Any]) -> dict[str, str]:
    """What each person is to be answered."""
    named = {person: answer for answer, persons in block.items() if persons != "others" for person in persons}
    rest = [answer for answer, persons in block.items() if persons == "others"]
    return {person: named[person] if person in named else rest[0] for person in PERSONS}


def describe(answer: Answer, alert: str) -> str:
    """An answer as the matrix writes it."""
    if answer.code != "OK":
        return answer.said
    first = answer.messages[0]
    match first.DESCRIPTOR.name:
        case "Alert":
            view = view_of(first)
        case "RaiseAlertResponse":
            view = describe_raised(first.alert)
        case "ListAlertsResponse":
            view = next((view_of(each) for each in first.alerts if each.name == alert), "hidden")
        case "WatchAlertsResponse":
            assert answer.messages[-1].WhichOneof("content") == "snapshot_end"
            view = next((view_of(each.event.alert) for each in answer.messages if each.event.alert.name == alert), "hidden")
        case "ListAlertEventsResponse":
            view = "full" if any(each.type == "NoteAdded" for each in first.events) else "caller"
        case _:
            view = ""
    return f"OK {view}".strip()


def view_of(alert: Any) -> str:
    shown = {field.name for field, _ in alert.ListFields()}
    if shown <= REDACTED:
        return "redacted"
    if "responses" in shown:
        return "full"
    return "caller" if shown.isdisjoint(FOR_THE_AGENCY) else f"caller with {shown & FOR_THE_AGENCY}"


def describe_raised(alert: Any) -> str:
    said = (alert.drill, alert.channel == alert.SMS, bool(alert.external_ids))
    return {(True, True, True): "trusted", (True, False, False): "drill", (False, False, False): "plain"}.get(said, str(said))


@pytest.fixture(scope="module")
def world(platform: RunningPlatform) -> Iterator[World]:
    services = Services(platform)
    yield World(services, Signer(platform))
    services.close()


def test_every_rpc_is_in_the_matrix_and_no_other() -> None:
    assert set(MATRIX["rpcs"]) == set(RPCS)


@pytest.mark.parametrize("key", MATRIX["rpcs"])
def test_every_state_is_in_the_matrix_where_an_alert_has_one(key: str) -> None:
    # Public warnings are no alerts; test_warnings_access.py has their states.
    of_an_alert = key.startswith("alerts.") and not key.endswith((".RaiseAlert", "Warning", "Warnings"))
    assert set(MATRIX["rpcs"][key]) == ({"request", "states"} if of_an_alert else {"request", "anywhere"})
    assert set(MATRIX["rpcs"][key].get("states", STATES)) == set(STATES)


@pytest.mark.parametrize(("key", "state"), BLOCKS)
def test_every_person_is_in_a_block_once(key: str, state: str) -> None:
    rpc = MATRIX["rpcs"][key]
    block = rpc["anywhere"] if state == "anywhere" else rpc["states"][state]
    named = Counter(person for persons in block.values() if persons != "others" for person in persons)
    assert set(named) <= set(PERSONS)
    assert max(named.values(), default=1) == 1
    rest = sum(persons == "others" for persons in block.values())
    assert rest == (len(named) < len(PERSONS))


@pytest.mark.parametrize("key", MATRIX["rpcs"])
def test_a_refusal_is_one_that_the_contract_documents(key: str) -> None:
    rpc = MATRIX["rpcs"][key]
    shared = {value.name for value in CONTRACT.enums[".siaga.errors.v1.ErrorReason"].value}
    own = set(re.findall(r"`([A-Z_]+)`", RPCS[key].comment))
    blocks = [*rpc.get("states", {}).values(), rpc.get("anywhere", {})]
    reasons = {answer.split()[1] for block in blocks for answer in block if not answer.startswith("OK")}
    assert reasons <= shared | own


@pytest.mark.parametrize(("key", "state"), BLOCKS)
def test_everybody_is_answered_as_written(world: World, key: str, state: str) -> None:
    rpc = RPCS[key]
    block = MATRIX["rpcs"][key]
    reads = any(binding.method == "GET" for binding in rpc.bindings)
    wrong: dict[str, str] = {}
    for person, answer in expected(block["anywhere"] if state == "anywhere" else block["states"][state]).items():
        alert = world.find(state)
        got = world.ask(rpc, state, person)
        said = describe(got, alert.name)
        if said != answer:
            wrong[person] = f"{said}, not {answer}"
        if got.code == "OK" and not reads:
            del world.alerts[state]
    assert wrong == {}


@pytest.mark.parametrize("key", [key for key in RPCS if RPCS[key].has("operator")])
@pytest.mark.parametrize("state", ["open", "absent"])
def test_a_system_that_names_no_person_is_refused(world: World, key: str, state: str) -> None:
    content = {**request_of(key), "operator": ""}
    if RPCS[key].has("name") and RPCS[key].service.name != "WarningService":
        content["name"] = world.find(state).name
    answer = world.services.call(key, content, token=world.tokens["system"])
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT OPERATOR_REQUIRED", ["operator"])
