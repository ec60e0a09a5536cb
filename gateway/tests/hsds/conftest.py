"""The published schemas, stricter than they are: what they do not name is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker

Check = Callable[[str, Any], None]
Json = dict[str, Any]

SCHEMAS = Path(__file__).parents[1] / "schemas" / "hsds" / "hsds-3.0.json"
FORMATS = FormatChecker(["uuid", "date-time", "email"])
# The signs that RFC 3986 allows.
URI = re.compile(r"[a-z][a-z0-9+.-]*:(?:[a-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9a-f]{2})+", re.IGNORECASE)


@FORMATS.checks("uri", raises=ValueError)
def is_uri(text: object) -> bool:
    return bool(URI.fullmatch(str(text)) and urlsplit(str(text)).netloc)


@pytest.fixture(scope="session")
def check() -> Check:
    """Validate a value with all that it holds by the schema of this name."""
    text = SCHEMAS.read_text()
    # A format that nobody checks would hold for everything.
    assert set(re.findall('"format": "(.+?)"', text)) <= FORMATS.checkers.keys()
    objects = json.loads(text)["$defs"]
    definitions = {name: each | {"additionalProperties": False} for name, each in (objects | compile_answers(objects)).items()}

    def validate(name: str, value: Any) -> None:
        schema = {"$ref": f"#/$defs/{name}", "$defs": definitions}
        Draft202012Validator(schema, format_checker=FORMATS).validate(value)

    return validate


def compile_answers(objects: dict[str, Json]) -> dict[str, Json]:
    """Make the schemas of whole answers as `schema/compiled` has them. In a list no object holds an array."""
    in_lists = ("service", "program", "organization", "location", "service_at_location")
    answers = {f"{name}_list": drop_arrays(objects[name]) for name in in_lists}
    service = objects["service"]
    others = {name: each for name, each in service["properties"].items() if name != "service_at_locations"}
    return answers | {
        "service_at_location_list": add(answers["service_at_location_list"], "service", {"$ref": "#/$defs/service_list"}),
        "full_organization": add(objects["organization"], "services", {"type": "array", "items": {"$ref": "#/$defs/service"}}),
        "full_service_at_location": add(objects["service_at_location"], "service", {"$ref": "#/$defs/service_without_locations"}),
        "service_without_locations": service | {"properties": others},
    }


def drop_arrays(schema: Json) -> Json:
    singles = {name: each for name, each in schema["properties"].items() if each.get("type") != "array"}
    return schema | {"properties": {name: {"$ref": f"{each['$ref']}_list"} if "$ref" in each else each for name, each in singles.items()}}


def add(schema: Json, name: str, added: Json) -> Json:
    return schema | {"properties": schema["properties"] | {name: added}}
