"""What a request asks for, read from its query, and the numbered page that answers it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request

from chassis.errors import InvalidRequest

PAGING = {"page", "per_page", "format"}
DEFAULT_SIZE = 50
LARGEST_SIZE = 100
# With the largest size as far as the directory's `skip` goes.
LAST_PAGE = 10_000


@dataclass(frozen=True)
class Page:
    """Which page of a list is asked for; the first is 1."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        return (self.number - 1) * self.size

    def write(self, contents: Sequence[dict[str, Any]], total: int) -> dict[str, Any]:
        """Return the page in the shape of HSDS; beyond the last one it is empty."""
        pages = -(-total // self.size)
        return {
            "total_items": total,
            "total_pages": pages,
            "page_number": self.number,
            "size": len(contents),
            "first_page": self.number == 1,
            "last_page": self.number >= pages,
            "empty": not contents,
            "contents": contents,
        }


def read_page(request: Request, known: set[str]) -> Page:
    """Read the page, and refuse any parameter but these and those of paging: to ignore a filter would be to give the wrong answer."""
    check_parameters(request, known | PAGING)
    if request.query_params.get("format", "json") != "json":
        raise InvalidRequest(fields=[("format", "must be json")])
    return Page(read_number(request, "page", 1, LAST_PAGE), read_number(request, "per_page", DEFAULT_SIZE, LARGEST_SIZE))


def check_parameters(request: Request, known: set[str]) -> None:
    unknown = request.query_params.keys() - known
    if unknown:
        raise InvalidRequest(fields=[(name, "is not served here") for name in sorted(unknown)])


def read_number(request: Request, name: str, default: int, highest: int) -> int:
    text = request.query_params.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= highest:
        raise InvalidRequest(fields=[(name, f"must be a whole number, 1 to {highest}")])
    return int(text)


def read_decimal(request: Request, name: str, lowest: float, highest: float) -> float:
    try:
        number = float(request.query_params[name])
    except (KeyError, ValueError):
        number = float("nan")
    if not lowest <= number <= highest:
        raise InvalidRequest(fields=[(name, f"must be given, a number from {lowest:g} to {highest:g}")])
    return number


def read_flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in {"true", "false"}:
        raise InvalidRequest(fields=[(name, "must be true or false")])
    return text == "true"


def read_id(request: Request, name: str) -> str | None:
    """Return the UUID as the directory writes it; None where it is none, so that nothing has it."""
    try:
        return str(UUID(request.query_params[name]))
    except ValueError:
        return None


def read_text(request: Request, name: str, longest: int) -> str:
    text = request.query_params.get(name, "")
    if len(text) > longest or not text.isprintable():
        raise InvalidRequest(fields=[(name, f"must be text of at most {longest} characters in one line")])
    return text


def read_time(request: Request, name: str) -> Timestamp | None:
    """A date is its first moment, and a time without a zone is UTC's."""
    text = request.query_params.get(name)
    if text is None:
        return None
    stamp = Timestamp()
    try:
        time = datetime.fromisoformat(text)
        stamp.FromDatetime(time if time.tzinfo else time.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise InvalidRequest(fields=[(name, "must be a date or a time such as 2026-01-31T08:00:00Z")]) from None
    return stamp
