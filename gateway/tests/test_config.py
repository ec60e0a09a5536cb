"""Envoy's configuration follows from the contract alone."""

import re
import subprocess
import sys
from typing import Any

import pytest

from gateway.contract import Contract, find_rpcs
from gateway.envoy.render import choose_requirement, find_emergency_paths, render_config
from gateway.settings import Settings
from siaga.access.v1 import access_pb2
from siaga.access.v1.access_pb2 import Rule

JWT = "envoy.filters.http.jwt_authn"
LIMIT = "envoy.filters.http.local_ratelimit"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.fixture(scope="module")
def config(contract: Contract) -> Any:
    return render_config(contract, Settings())


def find_manager(config: Any) -> Any:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def find_routes(config: Any) -> list[Any]:
    return find_manager(config)["route_config"]["virtual_hosts"][0]["routes"]


def find_route(config: Any, path: str) -> Any:
    return next(route for route in find_routes(config) if route["match"].get("path") == path)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example:4317",
            "SIAGA_JWKS_URL": "https://id.example/keys",
            "SIAGA_TRACE_RATIO": "0.001",
            "GATEWAY_UPSTREAMS": '{"alerts": ["alerts:9101", "10.0.0.1:9101"], "directory": ["directory:9102"]}',
        },
    ],
    ids=["defaults", "production"],
)
def test_envoy_accepts_the_configuration(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-m", "gateway", "validate"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_envoy_refuses_a_broken_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "99999")
    done = subprocess.run([sys.executable, "-m", "gateway", "validate"], capture_output=True, text=True, check=False)
    assert done.returncode != 0


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "http")
    done = subprocess.run([sys.executable, "-m", "gateway", "validate"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("GATEWAY_PORT: ")


def test_every_rpc_with_a_rule_has_one_route_and_no_other_has_any(contract: Contract, config: Any) -> None:
    routed = [route["match"]["path"] for route in find_routes(config) if "path" in route["match"]]
    assert sorted(routed) == sorted(rpc.path for rpc in contract.rpcs)


def test_an_rpc_without_a_rule_is_nobodys() -> None:
    file = next(file for file in Contract().descriptors.file if file.service)
    first = file.service[0].method[0]
    assert first.name in {rpc.method.name for rpc in find_rpcs(file, {})}
    first.options.ClearExtension(access_pb2.rule)
    assert first.name not in {rpc.method.name for rpc in find_rpcs(file, {})}


def test_the_transcoder_stands_before_the_token_check_and_the_limits(config: Any) -> None:
    names = [each["name"].removeprefix("envoy.filters.http.") for each in find_manager(config)["http_filters"]]
    expected = ["cors", "health_check", "grpc_web", "buffer", "grpc_json_transcoder", "jwt_authn", "local_ratelimit", "router"]
    assert names == expected


def test_an_sos_waits_for_no_issuer_and_meets_no_limit(contract: Contract, config: Any) -> None:
    emergencies = [rpc for rpc in contract.rpcs if rpc.rule.emergency]
    assert emergencies
    for rpc in emergencies:
        filters = find_route(config, rpc.path)["typed_per_filter_config"]
        assert JWT not in filters
        assert filters[LIMIT]["filter_enabled"]["default_value"]["numerator"] == 0


@pytest.mark.parametrize(
    ("rule", "requirement"),
    [
        (Rule(token=Rule.REQUIRED), "required"),
        (Rule(token=Rule.REQUIRED, never_limited=True), "required"),
        (Rule(token=Rule.REQUIRED, expired_grace=True), "optional"),
        (Rule(token=Rule.OPTIONAL), "optional"),
        (Rule(token=Rule.OPTIONAL, never_limited=True), None),
        (Rule(token=Rule.REQUIRED, emergency=True), None),
    ],
)
def test_the_edge_asks_of_the_token_what_the_rule_says(rule: Rule, requirement: str | None) -> None:
    assert choose_requirement(rule) == requirement


def test_each_rule_is_on_its_route(contract: Contract, config: Any) -> None:
    for rpc in contract.rpcs:
        filters = find_route(config, rpc.path)["typed_per_filter_config"]
        assert filters.get(JWT, {}).get("requirement_name") == choose_requirement(rpc.rule), rpc.path
        assert (LIMIT in filters) == rpc.rule.never_limited, rpc.path


def test_watches_have_clusters_of_their_own_and_outlive_the_heartbeat(contract: Contract, config: Any) -> None:
    clusters = {cluster["name"]: cluster for cluster in config["static_resources"]["clusters"]}
    for rpc in contract.rpcs:
        route = find_route(config, rpc.path)["route"]
        assert route["cluster"] == f"{rpc.upstream}-{'watch' if rpc.streams else 'calls'}"
        if rpc.streams:
            assert route["timeout"] == "0s"
            assert int(route["idle_timeout"].rstrip("s")) > 3 * 15
            assert "max_stream_duration" not in route
        else:
            assert route["max_stream_duration"]["max_stream_duration"] == "5s"
    assert clusters["alerts-watch"]["circuit_breakers"]["thresholds"][0]["max_requests"] >= 20_000


def test_the_paths_of_an_sos_are_known_over_json_and_grpc(contract: Contract) -> None:
    pattern = find_emergency_paths(contract)
    for path in ("/v1/alerts:raise", "/v1/alerts:raise?x=1", "/siaga.alerts.v1.AlertService/RaiseAlert"):
        assert re.fullmatch(pattern, path)
    for path in ("/v1/alerts", "/v1/alerts:raised", "/siaga.alerts.v1.AlertService/GetAlert"):
        assert not re.fullmatch(pattern, path)


def test_only_with_a_collector_anything_is_traced(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tracing" not in find_manager(config)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4317")
    monkeypatch.setenv("SIAGA_TRACE_RATIO", "0.25")
    assert find_manager(render_config(Contract(), Settings()))["tracing"]["random_sampling"] == {"value": 25}


def test_a_service_without_an_endpoint_is_named() -> None:
    with pytest.raises(ValueError, match="GATEWAY_UPSTREAMS names no endpoint of directory"):
        render_config(Contract(), Settings(upstreams={"alerts": ["127.0.0.1:1"]}))
