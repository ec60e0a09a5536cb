"""Whatever is thrown at the gateway, it answers in the one shape, and for an SOS with the number to dial."""

import base64
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import grpc
import httpx
import pytest
from google.rpc import code_pb2

from chassis.testing import wait_until
from contract.rpcs import AN_ABSENT_UUID, RPCS, Services, new_id
from gateway.errors import HTTP_STATUS
from harness import RunningPlatform

RAISE = "/v1/alerts:raise"
JSON = {"content-type": "application/json"}
PROTECTED = [key for key, rpc in RPCS.items() if rpc.rule and rpc.rule.roles]


class Told(NamedTuple):
    status: int
    reason: str
    metadata: dict[str, str]


@pytest.fixture(scope="module")
def client(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        yield client


def read_error(status: int, content: bytes) -> Told:
    """Fails where it is not in the one shape."""
    body = json.loads(content)
    assert set(body) == {"code", "message", "details"}, body
    assert code_pb2.Code.Name(body["code"])
    assert HTTP_STATUS[body["code"]] == status
    info = body["details"][0]
    assert (info["@type"], info["domain"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "siaga")
    return Told(status, info["reason"], info["metadata"])


def told(answer: httpx.Response) -> Told:
    return read_error(answer.status_code, answer.content)


def send_raw(platform: RunningPlatform, content: bytes) -> tuple[int, bytes]:
    """Bytes as they are on a connection of their own; status and body of the answer."""
    with socket.create_connection(("127.0.0.1", platform.ports["envoy"]), 10) as connection:
        connection.sendall(content)
        connection.settimeout(10)
        received = b""
        while b"\r\n\r\n" not in received or len(received.split(b"\r\n\r\n", 1)[1]) < length_of(received):
            piece = connection.recv(65536)
            if not piece:
                break
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def length_of(received: bytes) -> int:
    for line in received.split(b"\r\n\r\n", 1)[0].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'"x"', b"\xff\xfe", b'{"kind": "MEDICAL"', b"<sos/>", b"kind=MEDICAL", b'{"kind": "HELP"}', b'{"kind": ["MEDICAL"]}',
     b'{"location": {"point": {"latitude": "here"}}}', b'{"note": {}}', b'{"silent": "perhaps"}',
     b'{"note": "half a smile \\ud83d"}', b"[" * 30000, b'{"a":' * 10000],
)  # fmt: skip
def test_an_sos_that_cannot_be_read_is_told_the_number_to_dial(client: httpx.Client, content: bytes) -> None:
    assert told(client.post(RAISE, content=content, headers=JSON)) == Told(400, "UNREADABLE_REQUEST", {"dial": "112"})


@pytest.mark.parametrize(
    "content",
    [b'{"unknown": {"a": [1]}}', b'{"location": {"point": {"latitude": 91, "longitude": 0}}}', b'{"kind": 99}',
     b'{"kind": "MEDICAL", "kind": "FIRE"}',
     b'{"location": {"point": {"latitude": "NaN", "longitude": "Infinity"}}}', b'{"note": "\\u0000"}', b'{"requestId": "x"}',
     b'{"alertToken": "x"}', b'{"caller": {"callbackPhone": "call me"}}', b'{"location": {"fixTime": "9999-12-31T23:59:59Z"}}', b"{}", b""],
)  # fmt: skip
def test_an_sos_that_can_be_read_is_accepted_whatever_it_says(client: httpx.Client, content: bytes) -> None:
    answer = client.post(RAISE, content=content, headers=JSON)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("size", [65_537, 2_000_000])
def test_an_sos_over_64_kilobytes_is_told_the_limit_and_the_number(client: httpx.Client, platform: RunningPlatform, size: int) -> None:
    answer = client.post(RAISE, json={"note": "x" * size})
    assert told(answer) == Told(400, "REQUEST_TOO_LARGE", {"dial": "112", "maxBytes": "65536"})
    with grpc.insecure_channel(platform.target) as channel:
        services = Services(platform, {})
        services.channels = {"alerts": channel}
        answer_over_grpc = services.call("alerts.RaiseAlert", {"note": "x" * size})
    assert answer_over_grpc.said == "INVALID_ARGUMENT REQUEST_TOO_LARGE"
    assert answer_over_grpc.metadata == {"dial": "112", "maxBytes": "65536"}


def test_another_body_over_64_kilobytes_is_refused_too(client: httpx.Client, tokens: dict[str, str]) -> None:
    path = f"/v1/alerts/{AN_ABSENT_UUID}:addNote"
    answer = client.post(path, json={"text": "x" * 2_000_000}, headers={"authorization": f"Bearer {tokens['dispatcher']}"})
    assert told(answer) == Told(400, "REQUEST_TOO_LARGE", {"maxBytes": "65536"})


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "91", "", "here", "1,5"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_search_at_no_place_is_refused(client: httpx.Client, method: str, word: str) -> None:
    if method == "GET":
        answer = client.get(f"/v1/contacts:nearby?point.latitude={word}&point.longitude=106.8")
    else:
        answer = client.post("/v1/contacts:nearby", json={"point": {"latitude": word, "longitude": 106.8}})
    assert told(answer).status == 400
    assert told(answer).reason in {"UNREADABLE_REQUEST", "INVALID_REQUEST"}


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_json_that_is_none_is_no_place_either(client: httpx.Client, word: bytes) -> None:
    answer = client.post("/v1/contacts:nearby", content=b'{"point": {"latitude": ' + word + b', "longitude": 1}}', headers=JSON)
    assert told(answer).status == 400


@pytest.mark.parametrize(
    "path",
    ["/v1/areas?nosuch=1", "/v1/areas?page_size=1&pageSize=x", "/v1/areas?level=NOSUCH", "/v1/areas?pageSize=1e9",
     "/v1/areas?pageSize=99999999999",
     "/v1/areas?pageToken=%ff"],
)  # fmt: skip
def test_a_query_that_cannot_be_read_is_refused(client: httpx.Client, path: str) -> None:
    assert told(client.get(path)) == Told(400, "UNREADABLE_REQUEST", {})


@pytest.mark.parametrize(
    "path",
    ["/v1/alerts%2Flist", "/v1/alerts%5clist", "/v1//nosuch", "/v1/areas/31:nosuch", "/v1/alerts:nosuch", "/v1/areas/31/boundary",
     "/v1/../healthz/x", "/v1/areas/../../dev/nosuch", "/V1/areas", "/v1", "/v1/", "/v1/alerts:raise/",
     "/siaga.alerts.v1.AlertService/NoSuch",
     "/grpc.health.v1.Health/Check", "/v2/areas", "/.env", "/admin", "/stats"],
)  # fmt: skip
def test_a_path_that_leads_nowhere_says_so(platform: RunningPlatform, path: str) -> None:
    status, content = send_raw(platform, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    error = read_error(status, content)
    assert (error.status, error.reason) in {
        (404, "METHOD_NOT_FOUND"),
        (400, "UNREADABLE_REQUEST"),
        (400, "INVALID_REQUEST"),
        (404, "AREA_NOT_FOUND"),
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1/alerts/",
        "/v1//alerts",
        "/v1/./alerts",
        "/x/../v1/alerts",
        "/v1/alerts/../alerts",
        "//v1/alerts",
        "/v1/alerts;x=1",
        "/v1/alerts#x",
    ],
)
def test_no_trick_with_the_path_passes_the_token_check(platform: RunningPlatform, path: str) -> None:
    status, content = send_raw(platform, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert read_error(status, content).reason in {"INVALID_TOKEN", "METHOD_NOT_FOUND", "UNREADABLE_REQUEST"}


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_a_method_is_what_it_is(client: httpx.Client, tokens: dict[str, str], header: str) -> None:
    headers = {header: "POST", "authorization": f"Bearer {tokens['dispatcher']}"}
    assert told(client.get(RAISE, headers=headers)).reason in {"METHOD_NOT_FOUND", "UNREADABLE_REQUEST"}
    assert told(client.post("/v1/alerts", headers=headers | {header: "GET"}, json={})).reason in {"METHOD_NOT_FOUND", "UNREADABLE_REQUEST"}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "CONNECT", "NOSUCH"])
def test_a_wrong_method_is_an_error_in_the_one_shape(platform: RunningPlatform, method: str) -> None:
    status, content = send_raw(platform, f"{method} {RAISE} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert read_error(status, content).metadata == {"dial": "112"}


SPOOFED = {
    "x-siaga-subject": "secure-supervisor", "x-siaga-roles": "admin", "x-forwarded-for": "10.0.0.1", "x-envoy-internal": "true",
    "x-envoy-original-path": "/siaga.directory.v1.DirectoryService/GetSnapshot", "x-envoy-upstream-rq-timeout-ms": "1", "x-user": "admin",
    "x-forwarded-client-cert": "By=admin", "x-envoy-max-retries": "100", "x-jwt-payload": base64.b64encode(b'{"sub":"admin"}').decode(),
}  # fmt: skip


def test_no_header_makes_somebody_of_nobody(client: httpx.Client, platform: RunningPlatform) -> None:
    assert told(client.get("/v1/alerts", headers=SPOOFED)) == Told(401, "INVALID_TOKEN", {})
    raised = client.post(RAISE, json={"kind": "MEDICAL", "drill": True}, headers=SPOOFED).json()
    assert (raised["alert"]["caller"]["user"], raised["alert"]["drill"]) == ("", False)
    # Nor at the services themselves.
    services = Services(platform)
    ask = services.channels["alerts"].unary_unary(RPCS["alerts.ListAlerts"].path)
    error = ask.future(b"", metadata=list(SPOOFED.items()), timeout=5).exception()
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED  # pyright: ignore[reportAttributeAccessIssue]
    services.close()


@pytest.mark.parametrize("headers", [{f"x-{number}": "y" for number in range(100)}, {"x-long": "y" * 40_000}])
def test_too_many_or_too_long_headers_are_refused_in_the_one_shape(client: httpx.Client, headers: dict[str, str]) -> None:
    assert told(client.get("/v1/areas", headers=headers)).reason == "UNREADABLE_REQUEST"
    assert told(client.post(RAISE, json={}, headers=headers)).metadata == {"dial": "112"}


@pytest.mark.parametrize("headers", [{f"x-{number}": "y" * 400 for number in range(50)}, {"cookie": "c" * 20_000}, {"x_by_a_carrier": "1"}])
def test_an_sos_with_all_the_headers_that_pass_is_accepted(client: httpx.Client, headers: dict[str, str]) -> None:
    for _ in range(20):
        answer = client.post(RAISE, json={"kind": "MEDICAL"}, headers=headers)
        assert answer.status_code == 200, answer.text


def test_a_malformed_binary_header_does_no_harm(client: httpx.Client) -> None:
    assert (
        client.post(RAISE, json={"kind": "MEDICAL"}, headers={"x-trace-bin": "!!not base64!!", "grpc-trace-bin": "%%%"}).status_code == 200
    )


@pytest.mark.parametrize("deadline", ["0n", "1n", "x", "-1S", "99999999H", "1"])
def test_no_deadline_of_a_caller_brings_a_service_to_a_fault(client: httpx.Client, deadline: str) -> None:
    answer = client.post(RAISE, json={"kind": "MEDICAL"}, headers={"grpc-timeout": deadline})
    assert answer.status_code in {200, 504}
    if answer.status_code == 504:
        assert told(answer) == Told(504, "DEADLINE_PASSED", {"dial": "112"})


@pytest.mark.parametrize("key", PROTECTED)
@pytest.mark.parametrize("content_type", ["application/grpc-web+proto", "application/grpc-web-text"])
def test_grpc_web_without_a_token_is_refused(client: httpx.Client, key: str, content_type: str) -> None:
    frame = b"\0" + struct.pack(">I", 0)
    content = base64.b64encode(frame) if "text" in content_type else frame
    answer = client.post(RPCS[key].path, content=content, headers={"content-type": content_type, "x-grpc-web": "1"})
    assert answer.headers.get("grpc-status") == str(code_pb2.UNAUTHENTICATED), (answer.status_code, answer.headers)


@pytest.mark.parametrize("key", PROTECTED)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-protobuf", ""])
def test_the_path_of_an_rpc_is_no_door_past_the_token_check(client: httpx.Client, key: str, content_type: str) -> None:
    answer = client.post(RPCS[key].path, content=b"{}", headers={"content-type": content_type} if content_type else {})
    assert told(answer).reason in {"INVALID_TOKEN", "METHOD_NOT_FOUND", "UNREADABLE_REQUEST"}


@pytest.mark.parametrize(
    "head",
    [b"GET /v1/areas HTTP/1.1\r\n\r\n", b"GET /v1/areas HTTP/9.9\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
     b"POST /v1/alerts:raise HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
     b"POST /v1/alerts:raise HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}{}{}",
     b"POST /v1/alerts:raise HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n"],
)  # fmt: skip
def test_broken_http_is_refused(platform: RunningPlatform, head: bytes) -> None:
    status, content = send_raw(platform, head)
    assert status == 400
    assert read_error(status, content).reason == "UNREADABLE_REQUEST"


def test_slow_senders_hold_nobody_up(platform: RunningPlatform, client: httpx.Client) -> None:
    with ExitStack() as open_sockets:
        slow = [open_sockets.enter_context(socket.create_connection(("127.0.0.1", platform.ports["envoy"]), 5)) for _ in range(100)]
        for number, each in enumerate(slow):
            head = b"POST /v1/alerts:raise HTTP/1.1\r\nhost: x\r\n"
            each.sendall(head if number % 2 else head + b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n{")
        times: list[float] = []
        for _ in range(50):
            began = time.perf_counter()
            assert client.post(RAISE, json={"kind": "MEDICAL", "requestId": new_id()}).status_code == 200
            times.append(time.perf_counter() - began)
            for each in slow[:10]:
                # One header more, so that they are never quite idle.
                each.sendall(b"x: y\r\n") if slow.index(each) % 2 else None
        assert max(times) < 1
        for each in slow:
            each.settimeout(0)
        # Those whose headers do not end are cut off after 5 s, with an answer in the one shape.
        answered: dict[int, bytes] = {}

        def collect() -> bool:
            for number, each in enumerate(slow):
                try:
                    answered[number] = answered.get(number, b"") + each.recv(65536)
                except (BlockingIOError, ConnectionError):
                    continue
            return all(number in answered for number in range(1, 100, 2))

        wait_until(collect, 10, "slow senders are cut off")
    head, _, body = answered[11].partition(b"\r\n\r\n")
    assert read_error(int(head.split()[1]), body) == Told(504, "DEADLINE_PASSED", {"dial": "112"})
