"""When a place is open, from OpenStreetMap's `opening_hours` and the country's public holidays."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays
from opening_hours import (
    OpeningHours,
    ParserError,  # pyright: ignore[reportAttributeAccessIssue]  # there, and not in its stubs
    State,
)

# A change that is further away is none: to look for it in a complicated expression would take long.
_HORIZON_DAYS = 366
_DAY = r"(?:Mo|Tu|We|Th|Fr|Sa|Su|PH)(?:-(?:Mo|Tu|We|Th|Fr|Sa|Su))?"
# A rule that begins with days, and what holds on them; a holiday with an offset, such as `PH +1 day`, is not one of them.
_RULE = re.compile(rf"\s*(?P<days>{_DAY}(?:\s*,\s*{_DAY})*)(?P<rest>|\s+(?![+-]).*)", re.DOTALL)


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
    return country in holidays.list_supported_countries()


def find_opening(text: str, time_zone: str, country: str, now: datetime) -> Opening:
    """At `now`, for a place in this time zone (an IANA name) of this country (ISO 3166-1 alpha-2)."""
    local = now.astimezone(ZoneInfo(time_zone))
    hours = _parse(text, time_zone, country, local.year)
    state, _ = hours.state(local)
    return Opening(None if state == State.UNKNOWN else state == State.OPEN, hours.next_change(local))


# Most places share a few dozen expressions.
@lru_cache(4096)
def _parse(text: str, time_zone: str, country: str, year: int) -> OpeningHours:
    zone = ZoneInfo(time_zone)
    try:
        return OpeningHours(spell_holidays(text, country, year), timezone=zone, max_interval_days=_HORIZON_DAYS)
    except ParserError:
        # Without what the spelling has made of it: it was read before it was kept.
        return OpeningHours(text, timezone=zone, max_interval_days=_HORIZON_DAYS)


def spell_holidays(text: str, country: str, year: int) -> str:
    """With the dates of the public holidays around a year in place of `PH`, where a rule begins with it: the parser knows but a
    few of them, and none of those that follow the moon.
    """
    if "PH" not in text:
        return text
    dates = _list_dates(country, year)
    return "; ".join(rule for each in _split_rules(text) for rule in _spell_rule(each, dates))


# The moon is not computed anew for each place.
@lru_cache(64)
def _list_dates(country: str, year: int) -> str:
    known = holidays.country_holidays(country, years=range(year - 1, year + 3))
    return ",".join(f"{date.year} {date:%b %d}" for date in sorted(known))


def _spell_rule(rule: str, dates: str) -> Iterator[str]:
    found = _RULE.fullmatch(rule)
    days = [day.strip() for day in found["days"].split(",")] if found else []
    if found is None or "PH" not in days:
        yield rule.strip()
        return
    others = [day for day in days if day != "PH"]
    if others:
        yield f"{','.join(others)}{found['rest']}"
    yield f"{dates}{found['rest']}"


def _split_rules(text: str) -> list[str]:
    """At each semicolon that is in no comment."""
    return [rule for rule in re.findall(r'(?:"[^"]*"|[^;"])+', text) if rule.strip()]
