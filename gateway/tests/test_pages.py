"""What pages ask of the edge: gRPC-Web on the same port, and leave to read what it answers."""

import base64
import struct
from collections.abc import Iterator

import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2

from harness import RunningPlatform
from siaga.alerts.v1 import alert_service_pb2

RAISE = "/v1/alerts:raise"
RAISE_RPC = "siaga.alerts.v1.AlertService/RaiseAlert"
DIAL = {"dial": "112"}


@pytest.fixture(scope="module")
def client(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        yield client


def test_grpc_web_passes_on_the_same_port(client: httpx.Client) -> None:
    message = alert_service_pb2.RaiseAlertRequest(alert_token="web" * 10).SerializeToString()
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    answer = client.post(f"/{RAISE_RPC}", content=struct.pack(">BI", 0, len(message)) + message, headers=headers)
    assert answer.headers["content-type"] == "application/grpc-web+proto"
    size = struct.unpack_from(">BI", answer.content)[1]
    assert alert_service_pb2.RaiseAlertResponse.FromString(answer.content[5 : 5 + size]).alert_token == "web" * 10
    assert b"grpc-status:0" in answer.content[5 + size :]


@pytest.mark.parametrize("content_type", ["application/grpc-web+proto", "application/grpc-web-text"])
def test_envoys_own_errors_reach_a_page_over_grpc_web_whole(platform: RunningPlatform, client: httpx.Client, content_type: str) -> None:
    def ask(path: str, **headers: str) -> tuple[int, str, str, dict[str, str]]:
        frame = struct.pack(">BI", 0, 0)
        content = base64.b64encode(frame) if "text" in content_type else frame
        answer = client.post(path, content=content, headers={"content-type": content_type, "x-grpc-web": "1", **headers}, timeout=20)
        assert answer.headers["content-type"].startswith("application/grpc-web")
        assert answer.content == b""
        assert answer.headers["grpc-message"]
        details = answer.headers["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert int(answer.headers["grpc-status"]) == status.code
        return answer.status_code, answer.headers["grpc-status"], info.reason, dict(info.metadata)

    assert ask("/siaga.alerts.v1.AlertService/ListAlerts") == (200, "16", "INVALID_TOKEN", {})
    assert ask("/siaga.alerts.v1.AlertService/Nope") == (200, "12", "RPC_UNKNOWN", {})
    platform.pause("alerts")
    try:
        assert ask(f"/{RAISE_RPC}", **{"grpc-timeout": "300m"}) == (200, "4", "DEADLINE_PASSED", DIAL)
    finally:
        platform.resume("alerts")


def test_a_page_of_an_allowed_origin_may_call(client: httpx.Client) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "siaga-alert-token,traceparent"}
    allowed = client.options(RAISE, headers={"origin": "https://siaga.example", **asks})
    assert allowed.headers["access-control-allow-origin"] == "https://siaga.example"
    assert {"siaga-alert-token", "authorization", "traceparent"} <= set(allowed.headers["access-control-allow-headers"].split(","))
    assert "access-control-allow-credentials" not in allowed.headers
    refused = client.options(RAISE, headers={"origin": "https://evil.example", **asks})
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("path", ["/v1/contacts:bundle?area=areas/31", "/cap/feed.atom", "/v1/nosuch"])
def test_a_cache_hands_no_page_what_another_one_may_read(client: httpx.Client, path: str) -> None:
    told: list[httpx.Response] = []
    for origin in (None, "https://siaga.example", "https://evil.example"):
        told.append(client.get(path, headers={"origin": origin} if origin else {}))
        assert told[-1].headers["vary"] == "origin"
        assert told[-1].headers.get("access-control-allow-origin") == (origin if origin == "https://siaga.example" else None)
    # The answer itself is the same to all.
    assert len({(answer.status_code, answer.content, answer.headers.get("etag")) for answer in told}) == 1
    if etag := told[0].headers.get("etag"):
        again = client.get(path, headers={"origin": "https://siaga.example", "if-none-match": etag})
        assert (again.status_code, again.headers["vary"], again.headers["etag"]) == (304, "origin", etag)
