"""Envoy's configuration: the template, filled from the contract and the settings."""

import base64
import re
import ssl
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, cast
from urllib.parse import urlsplit

import yaml

from chassis.errors import DeadlinePassed, InternalError, InvalidToken, Problem, RequestTooLarge, ServiceUnavailable
from chassis.identity import challenge
from gateway.contract import VARIABLE, Contract
from gateway.errors import (
    MAX_BODY_BYTES,
    MethodNotFound,
    RateLimited,
    RpcUnknown,
    UnreadableRequest,
    find_http_status,
    write_grpc,
    write_json,
)
from gateway.settings import Settings
from siaga.access.v1.access_pb2 import Rule

# JSON and YAML have no better type.
Json = Any

# What Envoy's own statuses mean to a caller. Its 403 is a token for another audience. The last two stand for the rest.
LOCAL_ERRORS: list[tuple[str, int, type[Problem]]] = [
    ("EQ", 401, InvalidToken),
    ("EQ", 403, InvalidToken),
    ("EQ", 404, MethodNotFound),
    ("EQ", 408, DeadlinePassed),
    ("EQ", 413, RequestTooLarge),
    ("EQ", 429, RateLimited),
    ("EQ", 502, ServiceUnavailable),
    ("EQ", 503, ServiceUnavailable),
    ("EQ", 504, DeadlinePassed),
    ("GE", 500, InternalError),
    ("GE", 400, UnreadableRequest),
]
# After these it helps to wait a second, as after Envoy's own limit.
WAITING_HELPS = (RateLimited, ServiceUnavailable, DeadlinePassed)
# Requests at one time to one cluster. A watch is one for as long as it lasts.
MAX_REQUESTS = {"calls": 4096, "watch": 20000}


def render_config(contract: Contract, settings: Settings) -> Json:
    template = yaml.safe_load((files("gateway.envoy") / "template.yaml").read_text())
    platform = settings.platform
    tracing = fill(template["tracing"], {"trace_percent": platform.trace_ratio * 100}) if platform.otlp_endpoint else None
    manager = fill(
        template["connection_manager"],
        {
            "tracing": tracing,
            "descriptors": base64.b64encode(contract.strip_comments().SerializeToString()).decode(),
            "services": sorted({rpc.service for rpc in contract.rpcs}),
            "max_body_bytes": MAX_BODY_BYTES,
            "issuer": platform.issuer,
            "audience": platform.audience,
            "jwks_url": platform.jwks_url,
            "subject_limit": settings.subject_limit,
            "address_limit": settings.address_limit,
            "cors_origins": [{"exact": origin} for origin in settings.cors_origins],
            "routes": list(render_routes(template, contract)),
            "error_mappers": list(render_error_mappers(template, contract, platform.dial)),
        },
    )
    bootstrap = {
        "admin_port": settings.admin_port,
        "address": settings.address,
        "port": settings.port,
        "connection_manager": manager,
        "clusters": list(render_clusters(template, contract, settings)),
    }
    return fill(template["bootstrap"], bootstrap)


def fill(node: Json, values: dict[str, Json]) -> Json:
    """Replace each `${word}` by its value. A key whose value is None is left out."""
    if isinstance(node, dict):
        filled = {key: fill(value, values) for key, value in cast("dict[str, Json]", node).items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(node, list):
        return [fill(each, values) for each in cast("list[Json]", node)]
    if isinstance(node, str) and node.startswith("${"):
        return values[node[2:-1]]
    return node


def render_routes(template: Json, contract: Contract) -> Iterator[Json]:
    for rpc in contract.rpcs:
        filters = {}
        if requirement := choose_requirement(rpc.rule):
            filters["envoy.filters.http.jwt_authn"] = fill(template["jwt_filter"], {"requirement": requirement})
        if rpc.rule.never_limited or rpc.rule.emergency:
            filters["envoy.filters.http.local_ratelimit"] = template["unlimited_filter"]
        route = template["stream_route" if rpc.streams else "unary_route"]
        cluster = f"{rpc.upstream}-{'watch' if rpc.streams else 'calls'}"
        yield fill(route, {"name": rpc.path[1:], "path": rpc.path, "cluster": cluster, "filters": filters})
    yield from template["unknown_grpc_routes"]
    prefixes = {f"/{binding.path.split('/')[1]}/" for rpc in contract.rpcs for binding in rpc.bindings}
    yield from (fill(template["json_route"], {"prefix": prefix, "max_body_bytes": MAX_BODY_BYTES}) for prefix in sorted(prefixes))
    yield template["adapters_route"]


def choose_requirement(rule: Rule) -> str | None:
    """Say what the edge asks of the token: nothing where it has no use for the answer, so that no issuer is waited for."""
    if rule.emergency:
        return None
    if rule.token == Rule.REQUIRED and not rule.expired_grace:
        return "required"
    return None if rule.never_limited else "optional"


def render_clusters(template: Json, contract: Contract, settings: Settings) -> Iterator[Json]:
    for upstream in sorted({rpc.upstream for rpc in contract.rpcs}):
        if upstream not in settings.upstreams:
            raise ValueError(f"GATEWAY_UPSTREAMS names no endpoint of {upstream}")
        endpoints = [render_endpoint(address) for address in settings.upstreams[upstream]]
        for kind, most in MAX_REQUESTS.items():
            values = {"name": f"{upstream}-{kind}", "endpoints": endpoints, "max_requests": most}
            yield fill(template["service_cluster"], values | {"http2": template["http2_with_pings"]})
    yield fill(template["adapters_cluster"], {"endpoints": [render_endpoint(f"127.0.0.1:{settings.adapters_port}")]})
    yield render_url_cluster(template, "jwks", settings.platform.jwks_url, http2=None)
    if settings.platform.otlp_endpoint:
        yield render_url_cluster(template, "otlp", settings.platform.otlp_endpoint, http2=template["http2"])


def render_url_cluster(template: Json, name: str, url: str, *, http2: Json) -> Json:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    paths = ssl.get_default_verify_paths()
    tls = fill(template["tls"], {"host": parts.hostname, "ca_file": paths.cafile or paths.openssl_cafile}) if secure else None
    endpoint = render_endpoint(f"{parts.hostname}:{parts.port or (443 if secure else 80)}")
    return fill(template["url_cluster"], {"name": name, "endpoints": [endpoint], "tls": tls, "http2": http2})


def render_endpoint(address: str) -> Json:
    host, port = address.rsplit(":", 1)
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}


def render_error_mappers(template: Json, contract: Contract, dial: str) -> Iterator[Json]:
    """Yield them in the order in which Envoy asks: the paths of an SOS before all others, gRPC before JSON."""
    conditions = template["conditions"]
    over_grpc = [conditions["grpc_type"], conditions["not_transcoded"]]
    emergency, anywhere = (fill(conditions["path"], {"regex": paths}) for paths in (find_emergency_paths(contract), ".*"))
    # What is refused before its headers were read may have been an SOS.
    for where, metadata in ((emergency, {"dial": dial}), (anywhere, {}), (conditions["no_path"], {"dial": dial})):
        # Without keys no token can be judged: the caller is not to blame, and must not be signed out.
        without_keys = [fill(conditions["status"], {"op": "EQ", "status": 401}), conditions["keys_unavailable"], where]
        errors: list[tuple[list[Json], type[Problem]]] = [(without_keys, ServiceUnavailable)]
        for op, status, kind in LOCAL_ERRORS:
            when = [fill(conditions["status"], {"op": op, "status": status}), where]
            errors += [([*when, conditions["token"]], kind)] if kind is InvalidToken else []
            errors += [(when, kind)]
        for when, kind in errors:
            own = {"maxBytes": str(MAX_BODY_BYTES)} if kind is RequestTooLarge else {}
            problem = kind(retry_seconds=1.0 if kind in WAITING_HELPS else None)
            over_rpc = RpcUnknown() if kind is MethodNotFound else problem
            over_rpc.metadata = problem.metadata = own | metadata
            headers = [template["retry_header"]] if kind in WAITING_HELPS else []
            if kind is InvalidToken or when is without_keys:
                asked = challenge("Bearer x" if conditions["token"] in when else "")
                headers.append(fill(template["challenge_header"], {"challenge": asked}))
            answer = {"message": over_rpc.text, "code": str(over_rpc.to_status().code), "details": write_grpc(over_rpc)}
            grpc_headers = [*fill(template["grpc_headers"], answer), *headers]
            yield fill(template["grpc_mapper"], {"filters": [*when, *over_grpc], "headers": grpc_headers})
            # The id is filled in by Envoy, which it cannot do in the encoded details of a gRPC error.
            if kind is InternalError:
                problem.metadata |= {"errorId": "%REQ(X-REQUEST-ID)%"}
            answer = {"status": find_http_status(problem), "body": write_json(problem), "headers": headers or None}
            yield fill(template["json_mapper"], {"filters": when, **answer})


def find_emergency_paths(contract: Contract) -> str:
    """Return a regular expression for every path, over JSON and gRPC, whose errors carry the number to dial."""
    emergencies = [rpc for rpc in contract.rpcs if rpc.rule.emergency]
    paths = [path for rpc in emergencies for path in (rpc.path, *(binding.path for binding in rpc.bindings))]
    patterns = [re.escape(VARIABLE.sub(r"\g<collection>/*", path)).replace(r"\*", "[^/]+") for path in paths]
    return rf"({'|'.join(patterns)})(\?.*)?"
