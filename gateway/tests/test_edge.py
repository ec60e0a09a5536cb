"""A real Envoy with the adapters behind it, and stand-ins for the services."""

import json
import struct
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import jwt
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc
from siaga.directory.v1 import directory_service_pb2, directory_service_pb2_grpc

RAISE = "/v1/alerts:raise"
NEARBY = "/v1/contacts:nearby?point.latitude=-6.1&point.longitude=106.8"
DIAL = {"dial": "112"}


@pytest.fixture(scope="module")
def edge(start_edge: Any, stand_ins: Any) -> Any:
    target = f"127.0.0.1:{stand_ins.port}"
    upstreams = {"alerts": [target], "directory": [f"localhost:{stand_ins.port}"]}
    return start_edge(
        {
            "GATEWAY_UPSTREAMS": json.dumps(upstreams),
            "GATEWAY_CORS_ORIGINS": '["https://siaga.example"]',
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{target}",
            "SIAGA_TRACE_RATIO": "1",
        }
    )


@pytest.fixture
def client(edge: Any) -> Iterator[httpx.Client]:
    with edge.client() as client:
        yield client


@pytest.fixture
def channel(edge: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(edge.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def lonely_edge(start_edge: Any) -> Any:
    """Neither services, nor adapters, nor an issuer."""
    nobody = json.dumps({"alerts": ["127.0.0.1:1"], "directory": ["127.0.0.1:1"]})
    return start_edge(
        {"GATEWAY_UPSTREAMS": nobody, "SIAGA_JWKS_URL": "http://127.0.0.1:1/keys", "GATEWAY_ADDRESS_LIMIT": "5"}, adapters=False
    )


def assert_error(answer: httpx.Response, status: int, reason: str, metadata: dict[str, str] | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert set(error) == {"code", "message", "details"}
    assert error["message"]
    (info,) = error["details"]
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "siaga",
        "metadata": metadata or {},
    }


def read_error(error: grpc.RpcError) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo]:
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code(), info


# --- What the edge offers itself, and through the adapters


def test_it_is_healthy_until_it_drains(start_edge: Any) -> None:
    edge = start_edge({}, adapters=False)
    with edge.client() as client:
        assert client.get("/healthz").status_code == 200
        httpx.post(f"http://127.0.0.1:{edge.settings.admin_port}/healthcheck/fail")
        assert client.get("/healthz").status_code == 503


def test_a_second_one_on_the_same_port_ends_at_once(edge: Any, start_edge: Any) -> None:
    with pytest.raises(AssertionError, match="has ended"):
        start_edge({"GATEWAY_PORT": str(edge.settings.port)}, adapters=False)


def test_the_adapters_are_reached_through_it(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json()["openapi"] == "3.1.0"
    assert client.get("/dev/persons").json()["persons"][0]["person"] == "citizen-1"
    assert_error(client.get("/nosuch"), 404, "METHOD_NOT_FOUND")


def test_a_page_of_an_allowed_origin_may_call(client: httpx.Client) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "siaga-alert-token,traceparent"}
    allowed = client.options(RAISE, headers={"origin": "https://siaga.example", **asks})
    assert allowed.headers["access-control-allow-origin"] == "https://siaga.example"
    assert {"siaga-alert-token", "authorization", "traceparent"} <= set(allowed.headers["access-control-allow-headers"].split(","))
    assert "access-control-allow-credentials" not in allowed.headers
    refused = client.options(RAISE, headers={"origin": "https://evil.example", **asks})
    assert "access-control-allow-origin" not in refused.headers


# --- Calls over JSON


def test_a_json_call_reaches_the_rpc(client: httpx.Client, stand_ins: Any) -> None:
    headers = {"x-siaga-subject": "somebody-else", "x-envoy-original-path": "/x", "broken-bin": "%%%", "siaga-alert-token": "t"}
    answer = client.post(RAISE, json={"note": "help", "newerField": 1}, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["alert"]["note"] == "help"
    assert answer.json()["ignoredFields"] == []
    got = stand_ins.alerts.metadata
    assert got["siaga-alert-token"] == "t"
    assert not [name for name in got if name.startswith("x-siaga-") or name.endswith("-bin") or name == "x-forwarded-for"]


@pytest.mark.parametrize("body", ['{"note": ', '{"kind": "NOSUCH"}', '{"note": {}}', "[]", '{"location": 1}', "\xff"])
def test_an_unreadable_sos_is_told_the_number_to_dial(client: httpx.Client, body: str) -> None:
    assert_error(client.post(RAISE, content=body.encode("latin-1")), 400, "UNREADABLE_REQUEST", DIAL)


def test_an_unreadable_request_is_told_in_the_one_shape(client: httpx.Client) -> None:
    assert_error(client.post("/v1/contacts:nearby", content="{"), 400, "UNREADABLE_REQUEST")
    assert_error(client.get(f"{NEARBY}&nosuch=1"), 400, "UNREADABLE_REQUEST")


def test_unknown_paths_and_wrong_methods_are_told_alike(client: httpx.Client) -> None:
    assert_error(client.get("/v1/nosuch"), 404, "METHOD_NOT_FOUND")
    assert_error(client.delete("/v1/contacts:nearby"), 404, "METHOD_NOT_FOUND")
    assert_error(client.get(RAISE), 404, "METHOD_NOT_FOUND", DIAL)


def test_a_body_over_64_kilobytes_is_refused(client: httpx.Client) -> None:
    limit = {"maxBytes": "65536"}
    assert client.post(RAISE, json={"note": "a" * 64_000}).status_code == 200
    assert_error(client.post(RAISE, json={"note": "a" * 2_000_000}), 400, "REQUEST_TOO_LARGE", DIAL | limit)
    assert_error(client.post("/v1/contacts:nearby", content="a" * 2_000_000), 400, "REQUEST_TOO_LARGE", limit)


def test_a_call_without_a_deadline_gets_one(client: httpx.Client) -> None:
    began = time.monotonic()
    assert_error(client.post(RAISE, json={"note": "wait"}), 504, "DEADLINE_PASSED", DIAL)
    assert 4.5 < time.monotonic() - began < 7


def test_a_watch_comes_as_events(client: httpx.Client, edge: Any) -> None:
    with client.stream("GET", "/v1/alerts:watch", headers=edge.sign_in("dispatcher-112")) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache"
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert events == [{"cursor": "a", "heartbeat": {}}, {"cursor": "b", "heartbeat": {}}]


# --- Tokens


def test_what_needs_a_token_is_refused_without_a_good_one(client: httpx.Client, edge: Any) -> None:
    good = edge.sign_in("citizen-1")["authorization"]
    claims = jwt.decode(good.removeprefix("Bearer "), options={"verify_signature": False})
    forged = jwt.encode(claims, "a key of somebody else, long enough", algorithm="HS256")
    for headers in ({}, *({"authorization": bad} for bad in ("Bearer nonsense", f"Bearer {forged}", f"{good[:-6]}AAAAAA"))):
        assert_error(client.get("/v1/alerts", headers=headers), 401, "INVALID_TOKEN")
    assert client.get("/v1/alerts", headers={"authorization": good}).status_code == 200
    token_in_url = client.get("/v1/alerts", params={"access_token": good.removeprefix("Bearer ")})
    assert token_in_url.status_code == 400


def test_a_token_for_another_audience_is_refused_like_any_bad_one(edge: Any, start_edge: Any) -> None:
    other = start_edge({"SIAGA_AUDIENCE": "another", "SIAGA_JWKS_URL": edge.settings.platform.jwks_url}, adapters=False)
    with other.client() as client:
        assert_error(client.get("/v1/alerts", headers=edge.sign_in("citizen-1")), 401, "INVALID_TOKEN")


def test_a_bad_token_is_no_reason_to_refuse_where_none_is_needed(client: httpx.Client) -> None:
    bad = {"authorization": "Bearer nonsense"}
    assert client.post(RAISE, json={}, headers=bad).status_code == 200
    assert client.get(NEARBY, headers=bad).status_code == 200


def test_mutant_with_the_token_check_before_the_transcoder_a_list_needs_no_token(start_edge: Any, stand_ins: Any) -> None:
    def swap(config: Any) -> None:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        filters = manager["http_filters"]
        check = next(each for each in filters if each["name"].endswith("jwt_authn"))
        filters.remove(check)
        filters.insert(0, check)

    upstreams = {name: [f"127.0.0.1:{stand_ins.port}"] for name in ("alerts", "directory")}
    mutant = start_edge({"GATEWAY_UPSTREAMS": json.dumps(upstreams)}, adapters=False, mutate=swap)
    with mutant.client() as client:
        assert client.get("/v1/alerts").status_code == 200


# --- gRPC and gRPC-Web


def test_grpc_passes_and_its_errors_carry_details(channel: grpc.Channel, edge: Any) -> None:
    alerts = alert_service_pb2_grpc.AlertServiceStub(channel)
    assert alerts.RaiseAlert(alert_service_pb2.RaiseAlertRequest(note="n")).alert.note == "n"
    metadata = list(edge.sign_in("dispatcher-112").items())
    watch = alerts.WatchAlerts(alert_service_pb2.WatchAlertsRequest(), metadata=metadata)
    assert [message.cursor for message in watch] == ["a", "b"]
    with pytest.raises(grpc.RpcError) as refused:
        alerts.ListAlerts(alert_service_pb2.ListAlertsRequest())
    code, info = read_error(refused.value)
    assert (code, info.reason, info.domain) == (grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", "siaga")
    with pytest.raises(grpc.RpcError) as unknown:
        channel.unary_unary("/siaga.alerts.v1.AlertService/NoSuch")(b"")
    assert read_error(unknown.value)[1].reason == "METHOD_NOT_FOUND"


def test_a_stream_of_requests_passes(channel: grpc.Channel, edge: Any) -> None:
    directory = directory_service_pb2_grpc.DirectoryServiceStub(channel)
    pieces = iter([directory_service_pb2.ImportDirectoryRequest(chunk=b"x" * 60_000)] * 5)
    assert directory.ImportDirectory(pieces, metadata=list(edge.sign_in("admin").items())).added == 5


def test_grpc_web_passes_on_the_same_port(client: httpx.Client) -> None:
    message = alert_service_pb2.RaiseAlertRequest(note="web").SerializeToString()
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    path = "/siaga.alerts.v1.AlertService/RaiseAlert"
    answer = client.post(path, content=struct.pack(">BI", 0, len(message)) + message, headers=headers)
    assert answer.headers["content-type"] == "application/grpc-web+proto"
    assert b"web" in answer.content
    assert b"grpc-status:0" in answer.content


# --- Parts that are away


def test_an_sos_that_nobody_takes_is_told_the_number_to_dial(lonely_edge: Any) -> None:
    with lonely_edge.client() as client:
        assert_error(client.post(RAISE, json={}, headers={"authorization": "Bearer x"}), 503, "SERVICE_UNAVAILABLE", DIAL)
        assert_error(client.post(RAISE, content="{"), 400, "UNREADABLE_REQUEST", DIAL)
    with grpc.insecure_channel(lonely_edge.address) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            alert_service_pb2_grpc.AlertServiceStub(channel).RaiseAlert(alert_service_pb2.RaiseAlertRequest())
        code, info = read_error(refused.value)
        assert (code, info.reason, dict(info.metadata)) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE", DIAL)


def test_without_the_issuers_keys_a_token_is_not_called_bad(lonely_edge: Any, edge: Any) -> None:
    with lonely_edge.client() as client:
        assert_error(client.get("/v1/alerts", headers=edge.sign_in("citizen-1")), 503, "SERVICE_UNAVAILABLE")
        assert_error(client.get("/v1/alerts"), 401, "INVALID_TOKEN")


def test_the_last_good_keys_stay_in_use_when_the_issuer_goes_away(start_edge: Any, stand_ins: Any) -> None:
    upstreams = {name: [f"127.0.0.1:{stand_ins.port}"] for name in ("alerts", "directory")}
    edge = start_edge({"GATEWAY_UPSTREAMS": json.dumps(upstreams)})
    token = edge.sign_in("citizen-1")
    adapters, _ = edge.processes
    adapters.terminate()
    adapters.wait(20)
    with edge.client() as client:
        assert client.get("/v1/alerts", headers=token).status_code == 200
        assert_error(client.get("/openapi.json"), 503, "SERVICE_UNAVAILABLE")


def test_too_many_calls_of_one_address_are_refused_but_never_an_sos(lonely_edge: Any) -> None:
    with lonely_edge.client() as client:
        answers = [client.get(NEARBY) for _ in range(20)]
        limited = [answer for answer in answers if answer.status_code == 429]
        assert limited
        assert_error(limited[0], 429, "RATE_LIMITED")
        assert limited[0].headers["retry-after"] == "1"
        assert {client.post(RAISE, json={}).status_code for _ in range(20)} == {503}


def test_each_signed_in_subject_has_a_limit_of_its_own_for_all_its_calls(start_edge: Any, stand_ins: Any) -> None:
    upstreams = {name: [f"127.0.0.1:{stand_ins.port}"] for name in ("alerts", "directory")}
    edge = start_edge({"GATEWAY_UPSTREAMS": json.dumps(upstreams), "GATEWAY_SUBJECT_LIMIT": "4"})
    first, second = edge.sign_in("citizen-1"), edge.sign_in("citizen-2")
    with edge.client() as client:
        answers = [client.get(path, headers=first).status_code for _ in range(10) for path in ("/v1/alerts", NEARBY)]
        assert answers.count(429) >= 10
        assert client.get("/v1/alerts", headers=second).status_code == 200
        assert client.get(NEARBY).status_code == 200


# --- What is written down


def test_spans_and_the_log_hold_no_user_data(client: httpx.Client, edge: Any, stand_ins: Any) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {**edge.sign_in("citizen-1"), "traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "siaga-alert-token": "canary-token"}
    before, lines = len(stand_ins.collector.spans), edge.log.read_bytes().count(b"\n")
    # Envoy sends spans on by fives.
    for _ in range(5):
        client.get("/v1/contacts:nearby?point.latitude=-6.12345&point.longitude=106.8", headers=headers)
        client.post(RAISE, json={"note": "canary-note"}, headers=headers)
        client.get("/canary-path?canary-query", headers=headers)
    spans = stand_ins.collector.wait_for(before + 15)[before:]
    assert stand_ins.alerts.metadata["traceparent"].startswith(f"00-{trace_id}-")
    assert "siaga.directory.v1.DirectoryService/SearchNearby" in {span.name for span in spans}
    assert {span.trace_id.hex() for span in spans} >= {trace_id}
    log = edge.read_log(lines + 15)
    assert log[-1]["trace_id"] == trace_id
    told = f"{spans}{log}"
    assert "SearchNearby" in told
    for secret in ("6.12345", "canary", "127.0.0.1'", headers["authorization"][-20:]):
        assert secret not in told
    assert {value.value.string_value for span in spans for value in span.attributes if value.key == "peer.address"} == {"-"}
