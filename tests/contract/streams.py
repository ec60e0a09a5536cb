"""A watch as its reader sees it: over gRPC straight at the service, or as server-sent events through the gateway."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import httpx
from google.protobuf import json_format

from contract.over_json import write_call
from contract.rpcs import RPCS, Services
from harness import RunningPlatform


class Way(Protocol):
    """How a watch is opened. `content` is the request's JSON; what comes out are the stream's messages."""

    def __call__(self, key: str, content: dict[str, Any], token: str, alert_token: str) -> AbstractContextManager[Iterator[Any]]: ...


def over_grpc(services: Services) -> Way:
    def watch(key: str, content: dict[str, Any], token: str, alert_token: str) -> AbstractContextManager[Iterator[Any]]:
        return services.watch(key, content, token=token, alert_token=alert_token)

    return watch


def over_http(platform: RunningPlatform) -> Way:
    @contextmanager
    def watch(key: str, content: dict[str, Any], token: str, alert_token: str) -> Iterator[Iterator[Any]]:
        rpc = RPCS[key]
        call = write_call(rpc.bindings[0], content)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"siaga-alert-token": alert_token} if alert_token else {}
        client = httpx.Client(base_url=platform.url, timeout=20)
        with client, client.stream(call.method, call.path, params=call.query, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"] == "text/event-stream"
            yield read_events(answer, rpc.response)

    return watch


def read_events(answer: httpx.Response, kind: type[Any]) -> Iterator[Any]:
    for line in answer.iter_lines():
        if line:
            assert line.startswith("data: "), line
            yield json_format.Parse(line.removeprefix("data: "), kind())
