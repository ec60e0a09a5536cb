"""The access matrix: every person, every RPC, every state of an alert or a unit, as the files of access_matrix have it."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from chassis.testing import wait_until
from contract.rpcs import RPCS, Answer, Services
from harness import RunningPlatform
from security.matrix import (
    ABOUT,
    ALERT_STATES,
    ANYWHERE,
    BLOCKS,
    INCIDENT_STATES,
    PERSONS,
    REQUESTS,
    STATES,
    UNIT_STATES,
    Block,
    find_refusals,
)
from security.tokens import Signer
from security.world import Known, World
from siaga.alerts.v1.events_pb2 import AlertEvent

# What a redacted alert may hold, as the contract's comment on Alert lists it, and what changes with every change.
REDACTED = {"name", "state", "restricted", "area", "agency", "drill", "revision", "etag"}
REDACTED |= {"create_time", "deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "close_time", "update_time"}
FOR_THE_AGENCY = {"responses", "cancel_claim", "outcome", "assignments"}
CELLS = [(key, state) for key, blocks in BLOCKS.items() for state in blocks]


def expected(block: Block) -> dict[str, str]:
    """What each person is to be answered."""
    named = {person: answer for answer, persons in block.items() if persons != "others" for person in persons}
    rest = [answer for answer, persons in block.items() if persons == "others"]
    return {person: named[person] if person in named else rest[0] for person in PERSONS}


def describe(answer: Answer, known: Known) -> str:
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
            view = next((view_of(each) for each in first.alerts if each.name == known.name), "hidden")
        case "WatchAlertsResponse":
            assert answer.messages[-1].WhichOneof("content") == "snapshot_end"
            view = next((view_of(each.event.alert) for each in answer.messages if each.event.alert.name == known.name), "hidden")
        case "ListAlertEventsResponse":
            view = view_of_timeline(first.events)
        case "AlertMessage":
            view = "full" if first.operator else "caller"
        case "ListMessagesResponse":
            view = "full" if any(each.operator for each in first.messages) else "caller"
        case "ListIncidentsResponse":
            view = "shown" if known.incident in {each.name for each in first.incidents} else "hidden"
        case "WatchIncidentsResponse":
            view = "shown" if known.incident in {each.event.incident.name for each in answer.messages} else "hidden"
        case "ListUnitsResponse":
            view = "shown" if known.unit in {each.name for each in first.units} else "hidden"
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


def view_of_timeline(events: Any) -> str:
    if any(each.type == "NoteAdded" for each in events):
        return "full"
    return "crew" if any(each.audience == AlertEvent.RESPONDER for each in events) else "caller"


def describe_raised(alert: Any) -> str:
    said = (alert.drill, alert.channel == alert.SMS, bool(alert.external_ids))
    known = {(True, True, True): "trusted", (False, True, True): "adapted", (True, False, False): "drill", (False, False, False): "plain"}
    return known.get(said, str(said))


@pytest.fixture(scope="module")
def world(platform: RunningPlatform) -> Iterator[World]:
    services = Services(platform)
    world = World(services, Signer(platform))
    statistics = "alerts.GetAlertStatistics"
    counted = partial(services.call, statistics, REQUESTS[statistics], token=world.tokens["supervisor"])
    wait_until(lambda: counted().code == "OK", 30, "the alerts are counted for the first time")
    yield world
    services.close()


def test_every_rpc_is_in_the_matrix_and_no_other() -> None:
    assert set(BLOCKS) == set(RPCS)


@pytest.mark.parametrize("key", BLOCKS)
def test_every_state_is_in_the_matrix_where_an_alert_or_a_unit_has_one(key: str) -> None:
    rpc = RPCS[key]
    words = {"AlertService": ALERT_STATES, "UnitService": UNIT_STATES, "IncidentService": INCIDENT_STATES}
    exceptions = {"WatchAssignments": UNIT_STATES, "MergeAlerts": ALERT_STATES}
    exceptions |= dict.fromkeys(("RaiseAlert", "CreateUnit", "SetPins", "ExportMyAlerts", "EraseMyAlerts"), ANYWHERE)
    exceptions |= dict.fromkeys(("GetAlertStatistics", "ExportAlertStatistics", "RebuildAlertStatistics"), ANYWHERE)
    assert ABOUT[key] == exceptions.get(rpc.descriptor.name, words.get(rpc.service.name, ANYWHERE))
    assert set(BLOCKS[key]) == set(STATES[ABOUT[key]])


@pytest.mark.parametrize(("key", "state"), CELLS)
def test_every_person_is_in_a_block_once(key: str, state: str) -> None:
    block = BLOCKS[key][state]
    named = Counter(person for persons in block.values() if persons != "others" for person in persons)
    assert set(named) <= set(PERSONS)
    assert max(named.values(), default=1) == 1
    rest = sum(persons == "others" for persons in block.values())
    assert rest == (len(named) < len(PERSONS))


@pytest.mark.parametrize("key", BLOCKS)
def test_a_refusal_is_one_that_the_contract_documents(key: str) -> None:
    assert find_refusals(key) <= RPCS[key].documented


@pytest.mark.parametrize(("key", "state"), CELLS)
def test_everybody_is_answered_as_written(world: World, key: str, state: str) -> None:
    rpc, about = RPCS[key], ABOUT[key]
    reads = any(binding.method == "GET" for binding in rpc.bindings)
    wrong: dict[str, str] = {}
    for person, answer in expected(BLOCKS[key][state]).items():
        known = world.find(about, state)
        got = world.ask(rpc, state, person)
        said = describe(got, known)
        if said != answer:
            wrong[person] = f"{said}, not {answer}"
        if got.code == "OK" and not reads:
            world.forget(about, state)
    assert wrong == {}


# What has no states has a test of its own.
@pytest.mark.parametrize("key", [key for key in RPCS if RPCS[key].has("operator") and ABOUT[key] != ANYWHERE])
@pytest.mark.parametrize("state", ["open", "absent"])
def test_a_system_that_names_no_person_is_refused(world: World, key: str, state: str) -> None:
    about = ABOUT[key]
    content = {**world.request(key, world.find(about, ANYWHERE if about == ANYWHERE else state)), "operator": ""}
    answer = world.services.call(key, content, token=world.tokens["system"])
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT OPERATOR_REQUIRED", ["operator"])
