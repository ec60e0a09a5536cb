"""A year of Jakarta's alerts, made up: as many as 112 had calls in 2024, over the year, the day and the city as calls are, and ended
as those did. Their times are what good rooms have; nothing in them is anybody's.
"""

import asyncio
import csv
import json
import os
import sqlite3
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import asyncpg
import numpy as np
from sqlalchemy import make_url

from alerts.model import Model
from alerts.model.enums import CancelClaim, Grouping, Kind, Part, ResponseState, Routing, State, Status, UnitKind
from alerts.model.histograms import Time
from alerts.model.tables import log
from alerts.operations.statistics import count_some, is_behind
from alerts.routing import Route
from alerts.wire import alerts as wire
from chassis.database import open_database
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import RaiseAlertRequest

# 112's calls in 2024 (637,292), and the share of the busiest month in them, which is when the floods are: January.
CALLS = 640_000
_PEAK_MONTH = 85_758 / 637_292
# By local hour: quiet before dawn, busy in the morning and in the evening.
_HOURS = [22, 15, 11, 9, 10, 17, 31, 47, 58, 63, 62, 58, 55, 54, 55, 57, 60, 65, 70, 72, 68, 58, 45, 32]
_OF_NO_AREA = 0.015
ROOM, FIRE_BRIGADE, POLICE = "agencies/jakarta-112", "agencies/jakarta-fire", "agencies/jakarta-police"
JAKARTA = ZoneInfo("Asia/Jakarta")
_LOCAL = timedelta(hours=7)
_FETCHED = 20_000
_Outcome = alert_pb2.Alert


class Ending(NamedTuple):
    """How a share of the alerts ends; `sent` is the share of them to which a unit is sent."""

    share: float
    outcome: int
    claim: CancelClaim
    sent: float


# 58.2 % of the calls were dropped, 18.0 % pranks, 17.4 % no emergencies, 1.0 % emergencies.
_ENDINGS = (
    Ending(0.302, _Outcome.UNREACHABLE, CancelClaim.NONE, 0.03),
    Ending(0.130, _Outcome.FALSE_ALARM, CancelClaim.UNVERIFIED, 0.01),
    Ending(0.150, 0, CancelClaim.VERIFIED, 0.0),
    Ending(0.180, _Outcome.PRANK, CancelClaim.NONE, 0.04),
    Ending(0.174, _Outcome.NON_EMERGENCY, CancelClaim.NONE, 0.10),
    Ending(0.010, _Outcome.HELPED, CancelClaim.NONE, 1.0),
    Ending(0.034, _Outcome.FALSE_ALARM, CancelClaim.NONE, 0.25),
    Ending(0.020, _Outcome.DUPLICATE, CancelClaim.NONE, 0.0),
)
# Of the emergencies by 112's own numbers; of all others by what people press.
_EMERGENCIES = {Kind.MEDICAL: 2607, Kind.ACCIDENT: 736, Kind.FIRE: 735, Kind.OTHER: 634, Kind.CRIME: 346, Kind.VIOLENCE: 100}
_OTHERS = {0: 30, Kind.MEDICAL: 25, Kind.FIRE: 8, Kind.CRIME: 12, Kind.VIOLENCE: 2, Kind.ACCIDENT: 8, Kind.DISASTER: 3, Kind.OTHER: 12}
# The median in seconds and the spread of the logarithm: from the SOS to a screen, from there to the answer, to the sending,
# to the setting out, to the scene, to the end.
_TIMES = ((1.2, 0.8), (5.0, 0.75), (38.0, 0.6), (65.0, 0.5), (400.0, 0.5), (1500.0, 0.8))


class Course(NamedTuple):
    """An alert: times after its creation, where it came so far; `times` in milliseconds, as the statistics tell them."""

    area: str
    kind: int
    agency: str
    ending: Ending
    create_time: datetime
    deliver: timedelta
    answer: timedelta
    dispatch: timedelta | None
    set_out: timedelta | None
    arrive: timedelta | None
    close: timedelta

    @property
    def times(self) -> dict[Time, int | None]:
        found = {
            Time.DELIVERY: self.deliver,
            Time.ANSWER: self.answer,
            Time.DISPATCH: self.dispatch and self.dispatch - self.answer,
            Time.DISPATCH_SINCE_RAISED: self.dispatch,
            Time.TURNOUT: self.set_out and self.dispatch and self.set_out - self.dispatch,
            Time.ARRIVAL: self.arrive,
        }
        return {time: None if passed is None else round(passed / timedelta(milliseconds=1)) for time, passed in found.items()}


def make_courses(number: int, seed: int = 1, until: datetime | None = None) -> Iterator[Course]:
    """The oldest first, over the year before `until`."""
    dice = np.random.default_rng(seed)
    end = until or datetime(2026, 1, 1, tzinfo=JAKARTA).astimezone(UTC)
    moments = np.sort(_make_moments(dice, number, end))
    villages = _read_villages()
    crowded = 1 / np.arange(1, len(villages) + 1) ** 0.6
    dice.shuffle(crowded)
    places = dice.choice(len(villages), number, p=crowded / crowded.sum())
    nowhere = dice.random(number) < _OF_NO_AREA
    shares = np.array([each.share for each in _ENDINGS])
    endings = dice.choice(len(_ENDINGS), number, p=shares / shares.sum())
    kinds = np.where(
        np.array([each.outcome == _Outcome.HELPED for each in _ENDINGS])[endings],
        dice.choice(list(_EMERGENCIES), number, p=np.array(list(_EMERGENCIES.values())) / sum(_EMERGENCIES.values())),
        dice.choice(list(_OTHERS), number, p=np.array(list(_OTHERS.values())) / sum(_OTHERS.values())),
    )
    sent = dice.random(number) < np.array([each.sent for each in _ENDINGS])[endings]
    agencies = dice.choice([ROOM, FIRE_BRIGADE, POLICE], number, p=[0.97, 0.01, 0.02])
    passed = np.array([median * np.exp(spread * dice.standard_normal(number)) for median, spread in _TIMES]).T
    # As Python's own numbers: an array gives out one at a time for ten times the price.
    drawn = (nowhere, places, kinds, agencies, endings, moments, passed, sent)
    for no_area, place, kind, agency, ending, moment, seconds, is_sent in zip(*(each.tolist() for each in drawn), strict=True):
        deliver, answer, *further = (timedelta(seconds=each) for each in seconds)
        answer += deliver
        dispatch = answer + further[0] if is_sent else None
        set_out = dispatch + further[1] if dispatch else None
        arrive = set_out + further[2] if set_out else None
        yield Course(
            area="" if no_area else villages[place],
            kind=kind,
            agency=agency,
            ending=_ENDINGS[ending],
            create_time=datetime.fromtimestamp(moment, UTC),
            deliver=deliver,
            answer=answer,
            dispatch=dispatch,
            set_out=set_out,
            arrive=arrive,
            close=(arrive or answer) + further[3],
        )


def _make_moments(dice: np.random.Generator, number: int, end: datetime) -> Any:  # an array of Unix seconds
    """As many as asked for, by the month, the hour and, within the hour, at random."""
    days = [end.astimezone(JAKARTA).date() - timedelta(days=back) for back in range(366, 0, -1)]
    januaries = sum(day.month == 1 for day in days)
    of_a_day = np.array([_PEAK_MONTH / januaries if day.month == 1 else (1 - _PEAK_MONTH) / (len(days) - januaries) for day in days])
    day = dice.choice(len(days), number, p=of_a_day / of_a_day.sum())
    hour = dice.choice(24, number, p=np.array(_HOURS) / sum(_HOURS))
    midnight = datetime(days[0].year, days[0].month, days[0].day, tzinfo=JAKARTA).timestamp()
    moments = midnight + day * 86_400 + hour * 3600 + dice.random(number) * 3600
    return np.minimum(moments, end.timestamp() - 3600 * dice.random(number))


def _read_villages() -> list[str]:
    table = files("directory").joinpath("jakarta", "areas.csv").read_text()
    return [f"areas/{row['code']}" for row in csv.DictReader(table.splitlines()) if row["level"] == "village"]


class Rows(NamedTuple):
    """Of some alerts, by table, each with its columns in the table's order."""

    alerts: list[tuple[Any, ...]]
    responses: list[tuple[Any, ...]]
    assignments: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]


COLUMNS = {name: tuple(Model.metadata.tables[name].c.keys()) for name in ("alerts", "responses", "assignments")}
COLUMNS["events"] = ("type", "resource", "audience", "actor", "create_time", "attributes", "traceparent")


def make_rows(courses: Sequence[Course], *, still_open: int = 0) -> Rows:
    """The last `still_open` of them are not closed."""
    rows = Rows([], [], [], [])
    for index, course in enumerate(courses):
        _add_rows(rows, course, closed=index < len(courses) - still_open)
    return rows


def _add_rows(rows: Rows, course: Course, *, closed: bool) -> None:
    raised = course.create_time
    name = f"alerts/{_make_uuid(raised)}"
    route = Route(course.area, course.agency, Routing.AREA if course.area else Routing.DEFAULT)
    alert, response = wire.to_columns(RaiseAlertRequest(kind=course.kind), name, "", "", os.urandom(32), route, raised)
    at = {word: raised + passed for word, passed in course._asdict().items() if isinstance(passed, timedelta)}
    ending, claim = course.ending, course.ending.claim
    state = State.ON_SCENE if course.arrive else State.DISPATCHED if course.dispatch else State.ACKNOWLEDGED
    if closed:
        state = State.RESOLVED if ending.outcome else State.CANCELLED
    alert |= {
        "state": state,
        "deliver_time": at["deliver"],
        "acknowledge_time": at["answer"],
        "dispatch_time": at.get("dispatch"),
        "arrive_time": at.get("arrive"),
        "outcome": ending.outcome if closed else 0,
        "close_time": at["close"] if closed else None,
        "cancel_claim": claim if closed else 0,
        "cancel_time": at["close"] if closed and claim else None,
        "update_time": at["close"] if closed else at["answer"],
        "grouping": Grouping.DONE,
    }
    rows.alerts.append(tuple(_write(alert[column]) for column in COLUMNS["alerts"]))
    response |= {
        "part": Part.LEAD,
        "state": ResponseState.DONE if closed else ResponseState.ACCEPTED,
        "operator": "rina",
        "claimant": "rina",
    }
    response |= {"accept_time": at["answer"], "end_time": at["close"] if closed else None}
    rows.responses.append(tuple(response[column] for column in COLUMNS["responses"]))
    if course.dispatch:
        assignment = dict.fromkeys(COLUMNS["assignments"]) | {"alert": name, "number": 0, "unit": "units/a", "agency": course.agency}
        assignment |= {
            "kind": UnitKind.AMBULANCE,
            "crew": "[]",
            "status": Status.DONE,
            "reason": "",
            "roll_step": 0,
            "missed_roll_calls": 0,
            "past": False,
        }
        assignment |= {
            "dispatch_time": at["dispatch"],
            "en_route_time": at["set_out"],
            "arrive_time": at["arrive"],
            "end_time": at["close"],
        }
        rows.assignments.append(tuple(assignment[column] for column in COLUMNS["assignments"]))
    happened = [("AlertRaised", raised), ("AlertRouted", raised), ("AlertDelivered", at["deliver"]), ("AlertAcknowledged", at["answer"])]
    happened += [("AlertResolved" if ending.outcome else "AlertCancelled", at["close"])] if closed else []
    rows.events.extend((kind, name, 1, "rina", time, "{}", "") for kind, time in happened)


def _make_uuid(moment: datetime) -> uuid.UUID:
    """As chassis.clock makes them, for a time that has passed."""
    value = int(moment.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def _write(value: object) -> object:
    """As both databases take it: JSON as text."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def fill_database(url: str, until: datetime, number: int = CALLS, newest: int | None = None, still_open: int = 100) -> None:
    """Into a migrated database of alerts, with the statistics counted; of them all the newest alone, where it says how many."""
    courses = make_courses(number, until=until)
    chosen = courses if newest is None else iter(deque(courses, newest))
    pieces = iter(lambda: tuple(islice(chosen, _FETCHED)), ())
    if make_url(url).get_backend_name() == "sqlite":
        _fill_sqlite(make_url(url).database or "", pieces, still_open)
    else:
        asyncio.run(_fill_postgres(url.replace("+asyncpg", ""), pieces, still_open))
    asyncio.run(count_history(url))


def _make_pieces(pieces: Iterator[tuple[Course, ...]], still_open: int) -> Iterator[Rows]:
    """The last one has those that are open."""
    last = next(pieces, ())
    for piece in pieces:
        yield make_rows(last)
        last = piece
    yield make_rows(last, still_open=still_open)


def _fill_sqlite(path: str, pieces: Iterator[tuple[Course, ...]], still_open: int) -> None:
    def plain(value: object) -> object:
        return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value

    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for rows in _make_pieces(pieces, still_open):
            for table, content in rows._asdict().items():
                names = ", ".join(f'"{name}"' for name in COLUMNS[table])
                sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(COLUMNS[table]))})"
                connection.executemany(sql, [tuple(map(plain, row)) for row in content])


async def _fill_postgres(url: str, pieces: Iterator[tuple[Course, ...]], still_open: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for rows in _make_pieces(pieces, still_open):
            for table, content in rows._asdict().items():
                await connection.copy_records_to_table(table, records=content, columns=COLUMNS[table])
        # As autovacuum does by itself after so many.
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def count_history(url: str) -> None:
    """As the service does by itself, in larger steps."""
    async with open_database(url, log.before_commit, lambda: None) as database:
        step = partial(count_some, find_zone=lambda _: JAKARTA, alerts_at_once=5000)
        while await database.read(is_behind):
            await database.write(step, seconds=120, apart=True)
