"""The published schemas, stricter than they are: what they do not name is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker

Check = Callable[[str, Any], None]

FORMATS = FormatChecker(["uuid", "date-time", "email"])


@FORMATS.checks("uri")
def is_uri(text: object) -> bool:
    parts = urlsplit(str(text))
    return bool(parts.scheme and parts.netloc)


@pytest.fixture(scope="session")
def check() -> Check:
    """Validate a value with all that it holds by the schema of this name."""
    definitions = json.loads((Path(__file__).parents[1] / "schemas" / "hsds" / "hsds-3.0.json").read_text())["$defs"]
    for definition in definitions.values():
        definition["additionalProperties"] = False

    def validate(name: str, value: Any) -> None:
        schema = {"$ref": f"#/$defs/{name}", "$defs": definitions}
        Draft202012Validator(schema, format_checker=FORMATS).validate(value)

    return validate
