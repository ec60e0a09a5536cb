"""When a place is open, from OpenStreetMap's `opening_hours` and the country's public holidays."""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from opening_hours import (
    OpeningHours,
    ParserError,  # pyright: ignore[reportAttributeAccessIssue]  # there, and not in its stubs
    State,
    UnknownCountryError,  # pyright: ignore[reportAttributeAccessIssue]  # as above
)

# A change that is further away is none: to look for it in a complicated expression would take long.
_HORIZON_DAYS = 366


class Opening(NamedTuple):
    """Whether it is open, and when that changes next; None where that does not, or is not known."""

    is_open: bool | None
    change_time: datetime | None


def find_fault_of_hours(text: str) -> str:
    """What is wrong with an `opening_hours`; empty where nothing is."""
    try:
        OpeningHours(text)
    except ParserError as error:
        first = str(error).splitlines()[0].strip()
        return f"is not opening hours as OpenStreetMap has them: {first}"
    return ""


def knows_country(country: str) -> bool:
    """Whether the public holidays of a country (ISO 3166-1 alpha-2) are known."""
    try:
        OpeningHours("24/7", country=country)
    except UnknownCountryError:
        return False
    return True


def find_opening(text: str, time_zone: str, country: str, now: datetime) -> Opening:
    """At `now`, for a place in this time zone (an IANA name) of this country (ISO 3166-1 alpha-2)."""
    if not text:
        return Opening(None, None)
    hours = _parse(text, time_zone, country)
    local = now.astimezone(ZoneInfo(time_zone))
    state, _ = hours.state(local)
    return Opening(None if state == State.UNKNOWN else state == State.OPEN, hours.next_change(local))


# Most places share a few dozen expressions.
@lru_cache(4096)
def _parse(text: str, time_zone: str, country: str) -> OpeningHours:
    return OpeningHours(text, timezone=ZoneInfo(time_zone), country=country, max_interval_days=_HORIZON_DAYS)
