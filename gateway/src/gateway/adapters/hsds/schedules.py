"""Opening hours of OpenStreetMap as the weekly schedules of HSDS, which are rules of RFC 5545."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from opening_hours import OpeningHours, State

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# The evaluation takes these for fixed times of its own: the sun's events, and `+`, an end that nobody knows.
_UNFIXED = re.compile(r"sunrise|sunset|dawn|dusk|\+")
# A year, between two weeks that may be cut off.
_WEEKS = 54
_DAY = timedelta(days=1)


class Session(NamedTuple):
    """Of a day of the week, Monday is 0. Where `closes` is not after `opens`, it is on the next day."""

    opens: time
    closes: time
    day: int


def write_schedules(service_id: str, text: str, time_zone: str) -> list[dict[str, Any]]:
    """Every session with the days that have it; where no regular week can be told, the text alone."""
    if not text:
        return []
    now = datetime.now(UTC)
    week = find_week(text, now.date() - timedelta(days=now.weekday())) if time_zone else ()
    if not week:
        return [{"id": make_id(service_id, text), "service_id": service_id, "description": text}]
    offset = now.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta()
    schedules: list[dict[str, Any]] = []
    for opens, closes in dict.fromkeys((each.opens, each.closes) for each in week):
        times = [each.replace(tzinfo=timezone(offset)).isoformat("minutes") for each in (opens, closes)]
        schedules.append(
            {
                "id": make_id(service_id, "-".join(times)),
                "service_id": service_id,
                "freq": "WEEKLY",
                "byday": ",".join(DAYS[each.day] for each in week if (each.opens, each.closes) == (opens, closes)),
                "opens_at": times[0],
                "closes_at": times[1],
                "timezone": offset / timedelta(hours=1),
                "description": text,
            }
        )
    return schedules


def make_id(service_id: str, what: str) -> str:
    return str(uuid5(UUID(service_id), f"schedule {what}"))


# Most places share a few dozen expressions.
@lru_cache(4096)
def find_week(text: str, monday: date) -> tuple[Session, ...]:
    """Every week of the year from this Monday, public holidays left out; empty where they differ or cannot be told."""
    if _UNFIXED.search(text):
        return ()
    start = datetime.combine(monday, time())
    weeks: list[set[Session]] = [set() for _ in range(_WEEKS)]
    # Without a country there are no holidays.
    for opens, closes, state, comment in OpeningHours(text).intervals(start, start + _WEEKS * 7 * _DAY):
        # A comment is a condition, such as "by appointment".
        if state == State.UNKNOWN or (state == State.OPEN and comment):
            return ()
        if state == State.OPEN:
            for session_opens, session_closes in split_days(opens, closes):
                weeks[(session_opens - start).days // 7].add(Session(session_opens.time(), session_closes.time(), session_opens.weekday()))
    regular = weeks[1]
    return tuple(sorted(regular)) if all(week == regular for week in weeks[1:-1]) else ()


def split_days(opens: datetime, closes: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Cut at midnight what is open for more than a day."""
    while closes - opens > _DAY:
        midnight = datetime.combine(opens.date() + _DAY, time())
        yield opens, midnight
        opens = midnight
    yield opens, closes
