"""Every RPC answers every error in the one shape, over JSON through the gateway as over gRPC."""

from typing import Any

import grpc
import httpx
import pytest

from chassis.tls import trust
from contract.over_json import fill_path, find_collection, find_name, put, read_json_error, write_call
from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Rpc, Services, read_error
from gateway.contract import Binding
from harness import RunningPlatform
from security import matrix

# How each RPC is called of what there is not.
WORDS = {"$alert": f"alerts/{AN_ABSENT_UUID}", "$unit": "units/nobody", "$operator": "", "$time": "2100-01-01T00:00:00Z"}
REQUESTS = {key: matrix.fill(request, WORDS) for key, request in matrix.REQUESTS.items()}
BINDINGS = {f"{key} {binding.method}": (rpc, binding) for key, rpc in RPCS.items() for binding in rpc.bindings}
NAMED = {label: found for label, found in BINDINGS.items() if find_name(found[1])}
ABSENT = {"alerts": AN_ABSENT_UUID, "areas": "99.99", "webhooks": AN_ABSENT_UUID, "incidents": AN_ABSENT_UUID, "warnings": AN_ABSENT_UUID}
of_every_binding = pytest.mark.parametrize("label", BINDINGS)
of_every_name = pytest.mark.parametrize("label", NAMED)


def ask(platform: RunningPlatform, rpc: Rpc, binding: Binding, part: str, token: str, **more: Any) -> httpx.Response:
    """A call with its usual request; `part` is the end of the resource's name."""
    content = REQUESTS[rpc.key] | more
    if field := find_name(binding):
        content = put(content, field, f"{find_collection(binding)}/{part}")
    call = write_call(binding, content)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.request(
        call.method, f"{platform.url}{call.path}", params=call.query or None, json=call.body, headers=headers, verify=trust()
    )


@of_every_name
def test_an_absent_resource_is_not_found(platform: RunningPlatform, services: Services, insider: str, label: str) -> None:
    rpc, binding = NAMED[label]
    collection = find_collection(binding)
    part = ABSENT.get(collection, "nobody")
    told = read_json_error(ask(platform, rpc, binding, part, insider))
    assert told.code == "NOT_FOUND"
    assert told.reason.endswith("_NOT_FOUND")
    # Over gRPC it is the same error.
    content = put(REQUESTS[rpc.key], find_name(binding), f"{collection}/{part}")
    assert services.call(rpc.key, content, token=insider).status == told.status


@of_every_name
@pytest.mark.parametrize("part", ["b%20d", "x" * 100, "%00", "%E2%82%AC", "a;b", "'%20OR%201=1"])
def test_a_name_that_breaks_the_rule_is_named(platform: RunningPlatform, insider: str, label: str, part: str) -> None:
    rpc, binding = NAMED[label]
    told = read_json_error(ask(platform, rpc, binding, part, insider))
    # Envoy itself refuses a path with a NUL.
    assert (told.said, told.fields) == (
        "INVALID_ARGUMENT UNREADABLE_REQUEST" if part == "%00" else "INVALID_ARGUMENT INVALID_REQUEST",
        [] if part == "%00" else [find_name(binding)],
    )


@of_every_binding
def test_a_bad_token_is_refused_but_never_an_sos(platform: RunningPlatform, label: str) -> None:
    rpc, binding = BINDINGS[label]
    assert rpc.rule is not None
    answer = ask(platform, rpc, binding, "00000000-0000-7000-8000-000000000000", "nonsense")
    if rpc.rule.emergency:
        assert answer.status_code == 200
        assert answer.json()["credentialProblem"] == "UNVERIFIABLE"
    else:
        assert read_json_error(answer).said == "UNAUTHENTICATED INVALID_TOKEN"


@of_every_binding
@pytest.mark.parametrize("body", ["{", "[]", '"x"', "\xff", '{"requestId": {}}', '{"requestId": 1'])
def test_a_body_that_is_no_json_of_the_request_cannot_be_read(platform: RunningPlatform, insider: str, label: str, body: str) -> None:
    rpc, binding = BINDINGS[label]
    assert rpc.rule is not None
    if binding.body and (rpc.has("request_id") or "requestId" not in body):
        path = fill_path(binding, AN_ABSENT_UUID)
        headers = {"authorization": f"Bearer {insider}", "content-type": "application/json"}
        # The body of an update is the resource, which has no request id.
        content = body.replace("requestId", "requestId" if binding.body == "*" else "name")
        told = read_json_error(
            httpx.request(binding.method, f"{platform.url}{path}", content=content.encode("latin-1"), headers=headers, verify=trust())
        )
        assert told.said == "INVALID_ARGUMENT UNREADABLE_REQUEST"
        assert told.metadata == ({"dial": "112"} if rpc.rule.emergency else {})


@of_every_binding
def test_an_unknown_query_parameter_is_refused(platform: RunningPlatform, insider: str, label: str) -> None:
    rpc, binding = BINDINGS[label]
    if binding.body != "*":
        told = read_json_error(ask(platform, rpc, binding, "x", insider, pagesize=1))
        assert told.said == "INVALID_ARGUMENT UNREADABLE_REQUEST"


@pytest.mark.parametrize("key", RPCS)
def test_bytes_that_are_no_message_cannot_be_read_over_grpc(services: Services, insider: str, key: str) -> None:
    rpc = RPCS[key]
    assert rpc.rule is not None
    body = b"\xff\xff\xff"
    send = rpc.call_on(services.channels[rpc.upstream])
    told = read_raw(send, iter([body]) if rpc.descriptor.client_streaming else body, insider)
    assert told.said == "INVALID_ARGUMENT UNREADABLE_REQUEST"
    assert told.metadata == ({"dial": "112"} if rpc.rule.emergency else {})


def read_raw(send: Any, body: Any, token: str) -> Answer:
    try:
        answer = send(body, metadata=[("authorization", f"Bearer {token}")], timeout=10)
        if not isinstance(answer, bytes):
            next(answer)
    except grpc.RpcError as error:
        return read_error(error)
    return Answer()
