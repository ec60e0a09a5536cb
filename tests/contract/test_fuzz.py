"""Whatever a request holds, a service answers it or says in a documented way why not."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest

from contract.mutants import Mutants
from contract.rpcs import RPCS, SERVICES, Answer, Rpc, Services, new_id, read_error, write_metadata
from contract.warned import DISTRICT, info
from contract.webhooks import NOWHERE, find_webhook
from harness import RunningPlatform
from security.tokens import ROOM, Signer
from siaga.access.v1 import access_pb2
from siaga.directory.v1 import agency_pb2, area_pb2

NIGHTLY = os.environ.get("SIAGA_NIGHTLY") == "1"
REQUESTS = 10_000 if NIGHTLY else 150
HEAD = RPCS["directory.ImportDirectory"].parse({"head": {"scope": "areas/31.01", "format": "FACILITIES_CSV"}}).SerializeToString()
EARLY = ("UNREADABLE_REQUEST", "INVALID_REQUEST", "OPERATOR_REQUIRED", "INVALID_PAGE_TOKEN", "INVALID_CURSOR")
# The codes of our own faults, and of what no request may bring about.
OUR_FAULT = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"}


@pytest.fixture(scope="module")
def target(spare_platform: RunningPlatform) -> Iterator[Services]:
    with closing(Services(spare_platform)) as services:
        yield services


@pytest.fixture(scope="module")
def people(spare_platform: RunningPlatform) -> dict[str, str]:
    """A token of each role, by the word that rules have for it."""
    signer = Signer(spare_platform)
    of_the_room = {"responder", "dispatcher", "supervisor", "agency"}
    roles = [*of_the_room, "citizen", "admin", "official", "service", "adapter"]
    agencies = {role: ROOM if role in of_the_room else "" for role in sorted(roles)}
    return {role.upper(): signer.sign(f"fuzz-{role}", role, agency=agency, areas=["areas/31"]) for role, agency in agencies.items()}


def choose_callers(rpc: Rpc, people: dict[str, str]) -> list[str]:
    """Everybody, and those who may call as often as all others together: the others learn one thing alone."""
    allowed = [people[access_pb2.Role.Name(role)] for role in rpc.rule.roles] if rpc.rule else []
    return [*people.values(), *allowed * (len(people) // (len(allowed) or 1))]


def send(services: Services, rpc: Rpc, body: bytes, token: str, alert_token: str) -> Answer:
    """The bytes as they are, of an import as a piece of its file; of a watch the first message is waited for."""
    stream = [HEAD, body] if rpc.key == "directory.ImportDirectory" else [body]
    request = iter(stream) if rpc.descriptor.client_streaming else body
    try:
        answer = rpc.call_on(services.channels[rpc.upstream])(request, metadata=write_metadata(token, alert_token), timeout=10)
        if rpc.watches:
            next(answer)
            answer.cancel()
        elif rpc.streams:
            list(answer)
    except grpc.RpcError as error:
        return read_error(error)
    return Answer()


def values_for(rpc: Rpc, services: Services, supervisor: str) -> dict[str, list[Any]]:
    """What lets a request come further than the first check."""
    # As somebody wrote it down for a caller: nobody answers their own.
    raised = services.call("alerts.RaiseAlert", {"kind": "MEDICAL", "channel": "VOICE"}, token=supervisor).message
    alert = raised.alert.name
    # Taken, with a unit at work for it and one that waits.
    services.call("alerts.AcknowledgeAlert", {"name": alert}, token=supervisor).require_ok()
    units: list[str] = []
    for _ in range(2):
        unit = {"kind": "AMBULANCE", "displayName": "Fuzz", "crew": ["fuzz-responder"]}
        units.append(services.call("alerts.CreateUnit", {"unit": unit}, token=supervisor).message.name)
        services.call("alerts.StartDuty", {"name": units[-1]}, token=supervisor).require_ok()
    services.call("alerts.DispatchAlert", {"name": alert, "units": units[:1]}, token=supervisor).require_ok()
    page = services.call("directory.ListAreas", {"pageSize": 1}).message
    # An administrator among the people changes these, and nothing that routes an alert.
    names = {"areas": "areas/31.01", "agencies": "agencies/jakarta-fire", "hotlines": "hotlines/113", "facilities": "facilities/fuzzed"}
    members = [services.call("alerts.RaiseAlert", {"kind": "OTHER"}).message.alert.name for _ in range(2)]
    incident = services.call("alerts.MergeAlerts", {"alerts": members}, token=supervisor).message.name
    names |= {"units": units[1], "webhooks": find_webhook(services, supervisor), "incidents": incident}
    collection = next((word for word in names if rpc.bindings and word in rpc.bindings[0].path), "")
    watches: dict[str, dict[str, str]] = {"WatchAlerts": {}, "WatchAlert": {"name": alert}, "WatchAssignments": {"unit": units[0]}}
    cursors = [services.call(f"alerts.{watch}", content, token=supervisor).messages[-1].cursor for watch, content in watches.items()]
    return {
        "request_id": [new_id() for _ in range(50)],
        "latitude": [-6.2, 0.0],
        "longitude": [106.8],
        "page_size": [1, 1000],
        "page_token": ["", page.next_page_token],
        "cursor": ["", "now", *cursors],
        "alert_token": [raised.alert_token],
        "name": [names.get(collection, alert)],
        "incident": [incident],
        "unit": units,
        "units": units,
        "unit_id": ["fuzzed", new_id()],
        "crew": ["fuzz-responder", "somebody"],
        "assignee": ["fuzz-dispatcher"],
        "operator": ["somebody"],
        "reason": ["no car"],
        "text": ["a text"],
        "scope": [names["areas"]],
        "area": [names["areas"]],
        "agency": [names["agencies"]],
        "parent": ["", names["agencies"] if "Agency" in rpc.key else names["areas"]],
        "area_id": ["31.01.99"],
        "facility_id": ["fuzzed"],
        "paths": ["display_name", "numbers", "kind", "target", "contact_preference", "crew", "*"],
        "display_name": ["Kantor"],
        "level": [area_pb2.Area.VILLAGE],
        "time_zone": ["Asia/Jakarta"],
        "emergency_number": ["112"],
        "number": ["113"],
        "use": [agency_pb2.PhoneNumber.CALL, agency_pb2.PhoneNumber.WHATSAPP],
        "category": [agency_pb2.FIRE, agency_pb2.HOSPITAL],
        "categories": [agency_pb2.FIRE, agency_pb2.HOSPITAL],
        "opening_hours": ["24/7", "Mo-Fr 08:00-16:00; PH off"],
        "languages": ["id", "en"],
        "format": [1, 2, 3],
        # Days of statistics, for which somebody may ask the other way round.
        **{field: ["2026-01-01", "2026-12-31"] for field in ("from", "to")},
        **({"alert": [alert, *members], "alerts": [alert, *members]} if rpc.service.name == "IncidentService" else {}),
        **(values_for_webhooks(names["webhooks"]) if rpc.service.name == "WebhookService" else {}),
        **(values_for_warnings(services, supervisor) if rpc.service.name == "WarningService" else {}),
    }


def values_for_webhooks(name: str) -> dict[str, list[Any]]:
    return {
        "name": [name],
        "url": [NOWHERE],
        "events": ["MaydayRaised"],
        "paths": ["description", "events", "state", "include_drills"],
        "description": ["ours"],
        "state": [1, 2],
        "etag": [""],
        **{field: ["there must be one"] for field in ("webhook", "since")},
        "seconds": [1_700_000_000],
        "nanos": [0],
    }


def values_for_warnings(services: Services, supervisor: str) -> dict[str, list[Any]]:
    issued = services.call("alerts.IssueWarning", {"status": "TEST", "info": info()}, token=supervisor).message
    return {
        "name": [issued.name],
        "message": [0, 1],
        "number": [1],
        "areas": [DISTRICT],
        "etag": ["", issued.etag],
        "paths": ["info", "info.urgency", "info.area", "*"],
        # Of onset and expiry, which must be in their order.
        "seconds": [issued.info.expire_time.seconds + number for number in range(8)],
        **{field: [1, 2] for field in ("status", "urgency", "severity", "certainty", "response_types")},
        **{field: ["Banjir"] for field in ("event", "headline", "description", "instruction", "area_description", "operator", "contact")},
        **{field: ["there must be one"] for field in ("info", "indonesian", "expire_time", "warning")},
        "nanos": [0],
        "radius_meters": [100.0],
        "web": ["https://siaga.example"],
        "cursor": ["", "now", services.call("alerts.WatchWarnings").messages[-1].cursor],
    }


@pytest.mark.timeout(3600 if NIGHTLY else 120)
@pytest.mark.parametrize("key", RPCS)
def test_no_request_brings_a_service_to_a_fault_of_its_own(target: Services, people: dict[str, str], key: str) -> None:
    rpc = RPCS[key]
    values = values_for(rpc, target, people["SUPERVISOR"])
    mutants = Mutants(rpc.request, values, key)
    said: Counter[str] = Counter()
    for token in itertools.islice(itertools.cycle(choose_callers(rpc, people)), REQUESTS):
        body = mutants.make()
        answer = send(target, rpc, body, token, values["alert_token"][0])
        said[answer.said] += 1
        assert answer.code not in OUR_FAULT, f"{answer.said}: {answer.text}: {body.hex()} = {read(rpc, body)}"
        # Every error is in the one shape, and one that the contract has of this RPC.
        assert answer.code == "OK" or answer.reason in rpc.documented, f"{answer.said}: {answer.text}: {body.hex()}"
    # Some came further than the first checks, or it would prove little.
    assert set(said) - {f"INVALID_ARGUMENT {reason}" for reason in EARLY} - {"PERMISSION_DENIED ACCESS_DENIED"}, said
    for service in SERVICES:
        assert target.call("alerts.RaiseAlert" if service == "alerts" else f"{service}.ListAreas").code == "OK"


def read(rpc: Rpc, body: bytes) -> str:
    try:
        return str(rpc.request.FromString(body))[:2000]
    except Exception:  # noqa: BLE001  # it cannot be read, which is what is said
        return "unreadable"
