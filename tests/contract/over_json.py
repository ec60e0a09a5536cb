"""A request as JSON over HTTP: what its binding puts into the path, into the query and into the body."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import httpx
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2

from contract.rpcs import RPCS, Answer, read_status
from gateway.contract import Binding
from gateway.errors import HTTP_STATUS
from harness import RunningPlatform

_VARIABLE = re.compile(r"\{(?P<field>[\w.]+)=(?P<collection>\w+)/\*\}")


class HttpCall(NamedTuple):
    """`body` is None where the binding has none."""

    method: str
    path: str
    query: dict[str, Any]
    body: Any


class Way(Protocol):
    """How an RPC is called: straight at its service, or through the gateway."""

    def call(self, key: str, content: Mapping[str, Any], *, token: str = "", alert_token: str = "") -> Answer: ...


class Gateway:
    """Unary calls as JSON over HTTP, answered as over gRPC."""

    def __init__(self, platform: RunningPlatform) -> None:
        self._client = httpx.Client(base_url=platform.url, timeout=20)

    def close(self) -> None:
        self._client.close()

    def call(self, key: str, content: Mapping[str, Any], *, token: str = "", alert_token: str = "") -> Answer:
        rpc = RPCS[key]
        call = write_call(rpc.bindings[0], content)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"siaga-alert-token": alert_token} if alert_token else {}
        answer = self._client.request(call.method, call.path, params=call.query or None, json=call.body, headers=headers)
        if answer.status_code != httpx.codes.OK:
            return read_json_error(answer)
        return Answer(messages=[json_format.Parse(answer.text, rpc.response())])


def read_json_error(answer: httpx.Response) -> Answer:
    """Fails where the body is not a google.rpc.Status in the one shape, under the canonical HTTP status."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    status = json_format.ParseDict(body, status_pb2.Status())
    assert answer.status_code == HTTP_STATUS[status.code]
    told = read_status(code_pb2.Code.Name(status.code), status, body["message"])
    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert body["details"][0]["domain"] == "siaga"
    assert told.reason
    assert told.text
    return told


def find_name(binding: Binding) -> str:
    """The field that stands in the path, such as `name` or `area.name`; empty where none does."""
    found = _VARIABLE.search(binding.path)
    return found["field"] if found else ""


def find_collection(binding: Binding) -> str:
    """What the path names one of, such as `areas`; empty where it names none."""
    found = _VARIABLE.search(binding.path)
    return found["collection"] if found else ""


def fill_path(binding: Binding, part: str) -> str:
    """The path of a resource; `part` is the end of its name."""
    return _VARIABLE.sub(lambda found: f"{found['collection']}/{part}", binding.path)


def put(content: Mapping[str, Any], field: str, value: object) -> dict[str, Any]:
    """The same with another value in a field, such as `area.name`."""
    first, _, rest = field.partition(".")
    return {**content, first: put(content.get(first, {}), rest, value) if rest else value}


def write_call(binding: Binding, content: Mapping[str, Any]) -> HttpCall:
    """`content` is the JSON of the whole request."""
    left, path = dict(content), binding.path
    if field := find_name(binding):
        first, _, nested = field.partition(".")
        holder = dict(left[first]) if nested else left
        path = _VARIABLE.sub(holder.pop(nested or first), path)
        if nested:
            left[first] = holder
    if binding.body == "*":
        return HttpCall(binding.method, path, {}, left)
    body = left.pop(binding.body) if binding.body else None
    return HttpCall(binding.method, path, flatten(left), body)


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
