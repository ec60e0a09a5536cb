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
from harness import RunningPlatform
from security.tokens import Signer

NIGHTLY = os.environ.get("SIAGA_NIGHTLY") == "1"
REQUESTS = 10_000 if NIGHTLY else 150
# The reasons of our own faults, and of what no request may bring about.
IMPORT = RPCS["directory.ImportDirectory"]
EARLY = ("UNREADABLE_REQUEST", "INVALID_REQUEST", "OPERATOR_REQUIRED", "INVALID_PAGE_TOKEN", "INVALID_CURSOR")
OUR_FAULT = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"}


@pytest.fixture(scope="module")
def target(spare_platform: RunningPlatform) -> Iterator[Services]:
    with closing(Services(spare_platform)) as services:
        yield services


@pytest.fixture(scope="module")
def people(spare_platform: RunningPlatform) -> list[str]:
    signer = Signer(spare_platform)
    room = "agencies/jakarta-112"
    roles = {"citizen": "", "dispatcher": room, "supervisor": room, "agency": room, "admin": ""}
    return [signer.sign(f"fuzz-{role}", role, agency=agency) for role, agency in roles.items()]


def send(services: Services, rpc: Rpc, body: bytes, token: str, alert_token: str) -> Answer:
    """The bytes as they are; of a stream the first message."""
    channel, metadata = services.channels[rpc.upstream], write_metadata(token, alert_token)
    try:
        if rpc.descriptor.client_streaming:
            channel.stream_unary(rpc.path)(
                iter([IMPORT.parse({"scope": "areas/31"}).SerializeToString(), body]), metadata=metadata, timeout=10
            )
        elif rpc.streams:
            stream = channel.unary_stream(rpc.path)(body, metadata=metadata, timeout=10)
            next(stream)
            stream.cancel()
        else:
            channel.unary_unary(rpc.path)(body, metadata=metadata, timeout=10)
    except grpc.RpcError as error:
        return read_error(error)
    return Answer()


def values_for(rpc: Rpc, services: Services, dispatcher: str) -> dict[str, list[Any]]:
    """What lets a request come further than the first check."""
    raised = services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}, token=dispatcher).message
    page = services.call("directory.ListAreas", {"pageSize": 1}).message
    names = {"areas": "areas/31", "agencies": "agencies/jakarta-112", "hotlines": "hotlines/nobody"}
    cursor = services.call("alerts.WatchAlerts", token=dispatcher).messages[-1].cursor
    known: dict[str, list[Any]] = {
        "request_id": [new_id() for _ in range(50)],
        "latitude": [-6.2, 0.0],
        "longitude": [106.8],
        "page_size": [1, 1000],
        "page_token": ["", page.next_page_token],
        "cursor": ["", "now", cursor],
        "alert_token": [raised.alert_token],
    }
    if rpc.has("name"):
        collection = next((word for word in names if rpc.bindings and f"{word}/" in rpc.bindings[0].path), "")
        known["name"] = [names[collection]] if collection else [raised.alert.name]
    return known


@pytest.mark.timeout(3600 if NIGHTLY else 120)
@pytest.mark.parametrize("key", RPCS)
def test_no_request_brings_a_service_to_a_fault_of_its_own(target: Services, people: list[str], key: str) -> None:
    rpc = RPCS[key]
    values = values_for(rpc, target, people[1])
    mutants = Mutants(rpc.request, values, key)
    said: Counter[str] = Counter()
    for token in itertools.islice(itertools.cycle(people), REQUESTS):
        body = mutants.make()
        answer = send(target, rpc, body, token, values["alert_token"][0])
        said[answer.said] += 1
        assert answer.code not in OUR_FAULT, f"{answer.said}: {answer.text}: {body.hex()} = {read(rpc, body)}"
        # Every error is in the one shape.
        assert answer.code == "OK" or answer.reason, f"{answer.said}: {answer.text}: {body.hex()}"
    # Some came further than the first checks, or it would prove little.
    assert set(said) - {f"INVALID_ARGUMENT {reason}" for reason in EARLY} - {"PERMISSION_DENIED ACCESS_DENIED"}, said
    for service in SERVICES:
        assert target.call("alerts.RaiseAlert" if service == "alerts" else f"{service}.ListAreas").code == "OK"


def read(rpc: Rpc, body: bytes) -> str:
    try:
        return str(rpc.request.FromString(body))[:2000]
    except Exception:  # noqa: BLE001  # it cannot be read, which is what is said
        return "unreadable"
