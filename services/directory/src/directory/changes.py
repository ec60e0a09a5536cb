"""What a change of an entry is, in the words in which its history tells it."""

import hashlib
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from directory.model import Category, Entry, Level, Status, Use, Wheelchair

_WORDS: dict[str, type[IntEnum]] = {"level": Level, "category": Category, "wheelchair": Wheelchair, "status": Status}


class Action(StrEnum):
    """What was done to an entry; the contract's words."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


class Changed(NamedTuple):
    """What happened to an entry: by column what it was and what it is, None where it is absent."""

    name: str
    action: Action
    fields: dict[str, tuple[Any, Any]]


def compare(name: str, before: dict[str, Any], after: dict[str, Any]) -> Changed | None:
    """What changed between two descriptions of an entry, of which an empty one is none at all; None where nothing did."""
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    if not paths:
        return None
    action = Action.UPDATED if before and after else Action.CREATED if after else Action.DELETED
    return Changed(name, action, {path: (before.get(path), after.get(path)) for path in paths})


def describe_entry(entry: Entry) -> dict[str, Any]:
    """What an entry says, by the contract's fields and in its words; of a boundary its digest alone."""
    said: dict[str, Any] = {}
    for column in entry.__table__.columns.keys():  # noqa: SIM118  # a column collection iterates over columns
        value = getattr(entry, column)
        unsaid = value in (None, "", []) or (column == "wheelchair" and not value)
        if column not in {"name", "update_time"} and not unsaid:
            said[column] = _describe(column, value)
    if "latitude" in said:
        said["point"] = {"latitude": said.pop("latitude"), "longitude": said.pop("longitude")}
    return said


def _describe(column: str, value: Any) -> Any:  # noqa: ANN401  # whatever a column holds
    match column:
        case "boundary":
            return hashlib.blake2b(value, digest_size=8).hexdigest()
        case "assured_time":
            return value.isoformat()
        case "categories":
            return [Category(each).name for each in value]
        case "numbers":
            return [{**each, "use": Use(each["use"]).name} for each in value]
        case "level" | "category" | "wheelchair" | "status":
            return _WORDS[column](value).name
        case _:
            return value
