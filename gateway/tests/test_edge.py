"""The edge before the real services: what it does itself, what it passes on, and what it tells nobody."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import jwt
import pytest
from google.rpc import error_details_pb2

from chassis.identity import challenge
from chassis.testing import free_port, wait_until
from contract.rpcs import read_error
from harness import RunningPlatform
from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc
from siaga.directory.v1 import directory_admin_service_pb2, directory_admin_service_pb2_grpc
from telemetry.receiver import Receiver, Span

RAISE = "/v1/alerts:raise"
RAISE_RPC = "siaga.alerts.v1.AlertService/RaiseAlert"
NEARBY = "/v1/contacts:nearby?point.latitude=-6.12345&point.longitude=106.8"
NEARBY_RPC = "siaga.directory.v1.DirectoryService/SearchNearby"
DIAL = {"dial": "112"}
NOBODY = {"GATEWAY_UPSTREAMS": '{"alerts": ["127.0.0.1:1"], "directory": ["127.0.0.1:1"]}'}


@pytest.fixture(scope="module")
def client(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        yield client


@pytest.fixture
def channel(platform: RunningPlatform) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(platform.target) as channel:
        yield channel


@pytest.fixture(scope="module")
def alone(start_envoy: Any) -> Any:
    """With the issuer's keys and before no service, so that whatever it passes on becomes SERVICE_UNAVAILABLE."""
    return start_envoy(NOBODY)


@pytest.fixture(scope="module")
def keyless(start_envoy: Any) -> Any:
    """Without services and without the issuer's keys."""
    return start_envoy({**NOBODY, "SIAGA_JWKS_URL": "http://127.0.0.1:1/keys", "GATEWAY_ADDRESS_LIMIT": "5"})


def bearer(platform: RunningPlatform, person: str) -> dict[str, str]:
    return {"authorization": f"Bearer {platform.token(person)}"}


def assert_error(answer: httpx.Response, status: int, reason: str, metadata: dict[str, str] | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert set(error) == {"code", "message", "details"}
    assert error["message"]
    info, *more = error["details"]
    waiting_helps = status in {429, 503, 504}
    assert more == ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}] if waiting_helps else [])
    assert answer.headers.get_list("retry-after") == (["1"] if waiting_helps else [])
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "siaga",
        "metadata": metadata or {},
    }


def find_manager(config: Any) -> Any:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


# --- What it offers itself, and through the adapters


def test_it_is_healthy_until_it_drains(start_envoy: Any) -> None:
    envoy = start_envoy(NOBODY)
    with envoy.client() as client:
        assert client.get("/healthz").status_code == 200
        httpx.post(f"{envoy.admin}/healthcheck/fail")
        assert client.get("/healthz").status_code == 503


def test_a_second_one_on_the_same_port_ends_at_once(platform: RunningPlatform) -> None:
    others = {"GATEWAY_ADMIN_PORT": str(free_port()), "SIAGA_DATA": str(platform.folder / "second")}
    environment = os.environ | platform.environment | others
    second = subprocess.run([sys.executable, "-m", "gateway", "envoy"], env=environment, capture_output=True, timeout=20, check=False)
    assert second.returncode != 0
    assert b"Address already in use" in second.stderr


def test_the_adapters_are_reached_through_it(client: httpx.Client) -> None:
    assert client.get("/dev/persons").json()["persons"][0]["person"] == "citizen-1"
    assert_error(client.get("/nosuch"), 404, "METHOD_NOT_FOUND")
    assert_error(client.get("/openapi.json/"), 404, "METHOD_NOT_FOUND")


# --- Calls over JSON


def test_a_wrong_method_is_told_like_an_unknown_path(client: httpx.Client) -> None:
    assert_error(client.delete("/v1/contacts:nearby"), 404, "METHOD_NOT_FOUND")
    assert_error(client.get(RAISE), 404, "METHOD_NOT_FOUND", DIAL)


def test_a_body_of_64_kilobytes_passes_and_one_byte_more_does_not(client: httpx.Client) -> None:
    body = b'{"note":"' + b"a" * (65536 - 11) + b'"}'
    assert client.post(RAISE, content=body).status_code == 200
    assert_error(client.post(RAISE, content=body + b" "), 400, "REQUEST_TOO_LARGE", DIAL | {"maxBytes": "65536"})


def test_a_hanging_service_is_waited_for_as_long_as_the_caller_says_or_5_seconds(platform: RunningPlatform, client: httpx.Client) -> None:
    platform.pause("alerts")
    try:
        for headers, seconds in (({"grpc-timeout": "500m"}, 0.5), ({}, 5)):
            began = time.monotonic()
            assert_error(client.post(RAISE, json={}, headers=headers), 504, "DEADLINE_PASSED", DIAL)
            assert seconds - 0.1 < time.monotonic() - began < seconds + 2
    finally:
        platform.resume("alerts")


def test_no_proxy_on_the_way_may_keep_a_watch(platform: RunningPlatform, client: httpx.Client) -> None:
    with client.stream("GET", "/v1/alerts:watch", headers=bearer(platform, "dispatcher-112")) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
        first = next(answer.iter_lines())
    assert json.loads(first.removeprefix("data: "))["cursor"]


# --- Tokens


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_a_token_is_read_in_either_case(platform: RunningPlatform, client: httpx.Client, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {platform.token('dispatcher-112')}"}
    assert client.get("/v1/alerts", headers=headers).status_code == 200


def test_what_needs_a_token_is_refused_here_without_a_good_one(alone: Any, platform: RunningPlatform) -> None:
    good = platform.token("citizen-1")
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = jwt.encode(claims, "a key of somebody else, long enough", algorithm="HS256")
    with alone.client() as client:
        for headers in ({}, *({"authorization": f"Bearer {bad}"} for bad in ("nonsense", forged, f"{good[:-6]}AAAAAA"))):
            answer = client.get("/v1/alerts", headers=headers, params={"pageToken": '"'})
            assert_error(answer, 401, "INVALID_TOKEN")
            # Nothing of what the caller sent.
            assert answer.headers.get_list("www-authenticate") == [challenge(headers.get("authorization", ""))]
        assert_error(client.get("/v1/alerts", headers={"authorization": f"Bearer {good}"}), 503, "SERVICE_UNAVAILABLE")
        assert_error(client.get("/v1/alerts", params={"access_token": good}), 400, "UNREADABLE_REQUEST")


def test_a_bad_token_is_left_to_the_service_where_none_is_needed(alone: Any) -> None:
    with alone.client() as client:
        bad = {"authorization": "Bearer nonsense"}
        assert_error(client.get(NEARBY, headers=bad), 503, "SERVICE_UNAVAILABLE")
        assert_error(client.post(RAISE, json={}, headers=bad), 503, "SERVICE_UNAVAILABLE", DIAL)


def test_a_token_for_another_audience_is_refused_like_any_bad_one(platform: RunningPlatform, start_envoy: Any) -> None:
    with start_envoy({"SIAGA_AUDIENCE": "another"}).client() as client:
        answer = client.get("/v1/alerts", headers=bearer(platform, "citizen-1"))
        assert_error(answer, 401, "INVALID_TOKEN")
        assert answer.headers["www-authenticate"] == 'Bearer realm="siaga", error="invalid_token"'


def test_mutant_with_the_token_check_before_the_transcoder_a_list_needs_no_token(start_envoy: Any) -> None:
    def swap(config: Any) -> None:
        filters = find_manager(config)["http_filters"]
        check = next(each for each in filters if each["name"].endswith("jwt_authn"))
        filters.remove(check)
        filters.insert(0, check)

    with start_envoy(NOBODY, swap).client() as client:
        assert_error(client.get("/v1/alerts"), 503, "SERVICE_UNAVAILABLE")


# --- gRPC and gRPC-Web


@pytest.mark.parametrize("path", ["/siaga.alerts.v1.AlertService/NoSuch", "/grpc.health.v1.Health/Check", "/NoSuch"])
def test_an_rpc_that_is_not_there_is_told_over_grpc_in_its_own_words(channel: grpc.Channel, client: httpx.Client, path: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(path)(b"")
    assert read_error(refused.value).said == "UNIMPLEMENTED RPC_UNKNOWN"
    assert_error(client.get(path), 404, "METHOD_NOT_FOUND")


def test_a_stream_of_requests_passes_whole(channel: grpc.Channel, platform: RunningPlatform) -> None:
    directory = directory_admin_service_pb2_grpc.DirectoryAdminServiceStub(channel)
    file = b'{"type": "FeatureCollection", "features": [' + b"\n" * 300_000 + b"{}]}"
    pieces = [directory_admin_service_pb2.ImportDirectoryRequest(chunk=file[at : at + 60_000]) for at in range(0, len(file), 60_000)]
    head = directory_admin_service_pb2.ImportDirectoryRequest(head={"scope": "areas/31", "format": "AREAS_GEOJSON"})
    with pytest.raises(grpc.RpcError) as refused:
        list(directory.ImportDirectory(iter([head, *pieces]), metadata=list(bearer(platform, "admin").items())))
    told = read_error(refused.value)
    assert (told.reason, told.fields) == ("INVALID_IMPORT", ["line 300001"])


# --- Parts that are away


def test_an_sos_that_nobody_takes_is_told_the_number_to_dial(keyless: Any) -> None:
    with keyless.client() as client:
        assert_error(client.post(RAISE, json={}, headers={"authorization": "Bearer x"}), 503, "SERVICE_UNAVAILABLE", DIAL)
        assert_error(client.post(RAISE, content="{"), 400, "UNREADABLE_REQUEST", DIAL)
    with grpc.insecure_channel(keyless.target) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            alert_service_pb2_grpc.AlertServiceStub(channel).RaiseAlert(alert_service_pb2.RaiseAlertRequest())
        told = read_error(refused.value)
        assert (told.said, told.metadata) == ("UNAVAILABLE SERVICE_UNAVAILABLE", DIAL)
        retry = error_details_pb2.RetryInfo()
        assert told.status.details[1].Unpack(retry)
        assert retry.retry_delay.ToTimedelta().total_seconds() == 1


def test_without_the_issuers_keys_a_token_is_not_called_bad(keyless: Any, platform: RunningPlatform) -> None:
    with keyless.client() as client:
        assert_error(client.get("/v1/alerts", headers=bearer(platform, "citizen-1")), 503, "SERVICE_UNAVAILABLE")
        assert_error(client.get("/v1/alerts"), 401, "INVALID_TOKEN")


def test_the_last_good_keys_stay_in_use_when_the_issuer_goes_away(platform: RunningPlatform, client: httpx.Client) -> None:
    token = bearer(platform, "citizen-1")
    platform.stop("adapters")
    try:
        assert client.get("/v1/alerts", headers=token).status_code == 200
        assert_error(client.get("/openapi.json"), 503, "SERVICE_UNAVAILABLE")
    finally:
        platform.start("adapters")


# --- Limits


def test_too_many_calls_of_one_address_are_refused_but_never_an_sos(keyless: Any) -> None:
    with keyless.client() as client:
        answers = [client.get(NEARBY) for _ in range(20)]
        limited = [answer for answer in answers if answer.status_code == 429]
        assert limited
        assert_error(limited[0], 429, "RATE_LIMITED")
        assert {client.post(RAISE, json={}).status_code for _ in range(20)} == {503}


def test_each_signed_in_subject_has_a_limit_of_its_own_for_all_its_calls(platform: RunningPlatform, start_envoy: Any) -> None:
    first, second = bearer(platform, "citizen-1"), bearer(platform, "citizen-2")
    with start_envoy({"GATEWAY_SUBJECT_LIMIT": "4"}).client() as client:
        answers = [client.get(path, headers=first).status_code for _ in range(10) for path in ("/v1/alerts", NEARBY)]
        assert answers.count(429) >= 10
        assert client.get("/v1/alerts", headers=second).status_code == 200
        # Nobody uses up another's limit by saying that it is them, where no token is asked for either.
        assert {client.get("/dev/persons", headers={"x-siaga-subject": "citizen-3"}).status_code for _ in range(20)} == {200}


# --- What is told to services, spans and the access log


KENARI = {
    "host": "kenari.example",
    "user-agent": "kenari",
    "tracestate": "kenari=1",
    "x-forwarded-for": "192.0.2.7",
    "x-siaga-subject": "kenari",
    "x-http-method-override": "kenari",
    "x-envoy-downstream-service-cluster": "kenari",
    "broken-bin": "kenari%%",
    "siaga-alert-token": "a-token",
}
# What Envoy's spans would say in the caller's words, and what all of them may say.
WRITTEN_OVER = {"http.url", "user_agent", "peer.address", "grpc.path", "grpc.authority", "grpc.content_type", "grpc.timeout"}
SAID = {
    "component": "proxy",
    "downstream_cluster": "-",
    "error": "true",
    "grpc.message": "There is no such RPC.|",
    "grpc.status_code": r"\d+",
    "guid:x-request-id": "[0-9a-f-]{36}",
    "http.method": "GET|POST",
    "http.protocol": r"HTTP/1\.1",
    "http.status_code": r"\d{3}",
    "node_id": "",
    "request_size": r"\d+",
    "response_flags": "-",
    "response_size": r"\d+",
    "upstream_cluster": "adapters|alerts-calls|directory-calls",
    "upstream_cluster.name": "adapters|alerts-calls|directory-calls",
    "zone": "",
    **dict.fromkeys(WRITTEN_OVER, "-"),
}
LOGGED = {"time", "route", "method", "status", "grpc_status", "details", "flags", "milliseconds", "request_bytes", "response_bytes",
          "attempts", "request_id", "trace_id"}  # fmt: skip


class Overheard:
    """What an Envoy told of five calls with a canary in all that a caller may choose: to services, the collector and its log."""

    def __init__(self, envoy: Any, platform: RunningPlatform, collector: Receiver) -> None:
        self.trace = secrets.token_hex(16)
        headers = {**KENARI, **bearer(platform, "citizen-1"), "traceparent": f"00-{self.trace}-b7ad6b7169203331-01"}
        over_grpc = {"content-type": "application/grpc+kenari", "grpc-timeout": "1S"}
        with envoy.client() as client:
            client.get(NEARBY, headers=headers)
            client.post(RAISE, json={"note": "kenari"}, headers=headers)
            client.get("/kenari?kenari", headers=headers)
            client.post("/kenari/kenari", headers=headers | over_grpc)
            client.get("/v1/alerts", headers=headers | {"authorization": "Bearer kenari"})
        wait_until(lambda: len(self.find_spans(collector)) == 5, 15, "the spans")
        wait_until(lambda: len(self.find_lines(envoy)) == 5, 5, "the access log")
        self.spans, self.lines = self.find_spans(collector), self.find_lines(envoy)
        blocks = re.findall(r"router decoding headers:\n(.*?)\n\n", envoy.log.read_text(), re.DOTALL)
        parsed = [dict(re.findall(r"^'(.*?)', '(.*)'$", block, re.MULTILINE)) for block in blocks]
        self.headers = {headers[":path"]: headers for headers in parsed}

    def find_spans(self, collector: Receiver) -> list[Span]:
        return [span for span in collector.spans() if span.service == "gateway" and span.trace.hex() == self.trace]

    def find_lines(self, envoy: Any) -> list[dict[str, Any]]:
        return [json.loads(line) for line in envoy.log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def told(start_envoy: Any, platform: RunningPlatform, collector: Receiver) -> Overheard:
    return Overheard(start_envoy({}, options=("--component-log-level", "router:debug")), platform, collector)


@pytest.fixture(scope="module")
def told_by_a_mutant(start_envoy: Any, platform: RunningPlatform, collector: Receiver) -> Overheard:
    """Without what takes the caller's words away."""

    def bare(config: Any) -> None:
        manager = find_manager(config)
        del manager["early_header_mutation_extensions"], manager["tracing"]["custom_tags"]
        (host,) = manager["route_config"]["virtual_hosts"]
        del host["request_headers_to_remove"], host["request_headers_to_add"]

    return Overheard(start_envoy({}, bare, ("--component-log-level", "router:debug")), platform, collector)


HIDDEN = {"x-siaga-subject", "x-forwarded-for", "x-http-method-override", "broken-bin", "tracestate"}


def test_a_service_is_told_neither_who_from_where_nor_the_query(told: Overheard) -> None:
    for rpc in (RAISE_RPC, NEARBY_RPC):
        headers = told.headers[f"/{rpc}"]
        assert not HIDDEN & set(headers)
        assert headers["x-envoy-original-path"] == "-"
        assert headers["siaga-alert-token"] == "a-token"
        assert told.trace in headers["traceparent"]


def test_mutant_tells_a_service_all_of_it(told_by_a_mutant: Overheard) -> None:
    headers = told_by_a_mutant.headers[f"/{NEARBY_RPC}"]
    assert set(headers) >= HIDDEN
    assert headers["x-envoy-original-path"] == NEARBY


def test_a_span_says_nothing_but_what_is_named(told: Overheard) -> None:
    assert sorted(span.name for span in told.spans) == sorted(
        [NEARBY_RPC, RAISE_RPC, "adapters", "unknown-grpc", "siaga.alerts.v1.AlertService/ListAlerts"]
    )
    for span in told.spans:
        assert len(span.raw.attributes) == len(span.attributes)
        said = {name: value for name, value in span.attributes.items() if not re.fullmatch(SAID.get(name, "(?!)"), value)}
        assert said == {}
        assert "kenari" not in str(span.raw)


def test_mutant_says_of_the_caller_what_is_written_over(told_by_a_mutant: Overheard) -> None:
    said = {name for span in told_by_a_mutant.spans for name, value in span.attributes.items() if not re.fullmatch(SAID[name], value)}
    assert said == WRITTEN_OVER
    assert {span.raw.trace_state for span in told_by_a_mutant.spans} == {"kenari=1"}


def test_the_access_log_names_the_rpc_and_the_trace_and_nothing_of_the_caller(told: Overheard) -> None:
    assert {line["route"] for line in told.lines} == {span.name for span in told.spans}
    assert {line["trace_id"] for line in told.lines} == {told.trace}
    for line in told.lines:
        assert set(line) == LOGGED
        assert "kenari" not in str(line)
