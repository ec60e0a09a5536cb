"""A request as JSON over HTTP: what its binding puts into the path, into the query and into the body."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.contract import Binding

_VARIABLE = re.compile(r"\{(?P<field>[\w.]+)=(?P<collection>\w+)/\*\}")


class HttpCall(NamedTuple):
    """`body` is None where the binding has none."""

    method: str
    path: str
    query: dict[str, Any]
    body: Any


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
