"""What the RPCs of the statistics answer, and to whom."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple

from google.api import httpbody_pb2
from sqlalchemy.orm import Session

from alerts.errors import StatisticsNotReady, StatisticsOutOfScope
from alerts.model.enums import Kind
from alerts.model.figures import Figures
from alerts.model.histograms import HOURS, Numbers, sum_by_hour, sum_groups
from alerts.model.statistics import EVERY_KIND, find_areas_around
from alerts.model.suppression import MIN_CASES, MIN_RESTRICTED_CASES
from alerts.model.tables import log
from alerts.operations import statistics as operations
from alerts.routing import Router
from alerts.store import statistics as store
from alerts.store.statistics import Found, Question
from alerts.wire import statistics as wire
from chassis.clock import now
from chassis.database import Database
from chassis.identity import Caller, caller
from siaga.access.v1 import access_pb2
from siaga.alerts.v1 import statistics_pb2 as pb

_Grouping = pb.GetAlertStatisticsRequest
_KINDS = (0, *Kind)
_RETRY_SECONDS = 10.0
_MANY = 1_000_000
_CSV = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose alerts are told of: those in `areas`, which do not overlap unless the first one holds all others, and of one agency
    or, where that is empty, of any.
    """

    areas: Sequence[str]
    agency: str
    first_holds_others: bool = False


class Statistics:
    """Reads the sums; `router` knows which areas there are."""

    def __init__(self, database: Database, router: Router) -> None:
        self._database, self._router = database, router

    async def tell(self, request: wire.Request) -> pb.GetAlertStatisticsResponse:
        periods = wire.to_periods(request)
        scope = self._find_scope(request, caller.get())
        if request.group_by == _Grouping.AREA and len(scope.areas) == 1:
            scope = Scope([*scope.areas, *self._router.find_areas_below(scope.areas[0])], scope.agency, first_holds_others=True)
        grouping = _choose_table(request)
        questions = [
            Question(
                areas=scope.areas,
                kinds=_KINDS if grouping == _Grouping.KIND else [request.kind or EVERY_KIND],
                agency=scope.agency,
                period=period,
                by_days=grouping == _Grouping.DAY,
                by_hours=grouping == _Grouping.HOUR,
            )
            for period in periods
            if period
        ]
        found = await self._database.read(partial(_read, questions=questions))
        # Short work for a few rows and not for many, for which no SOS waits.
        return await asyncio.to_thread(self._write, request, scope, questions, found)

    async def export(self, request: pb.ExportAlertStatisticsRequest) -> httpbody_pb2.HttpBody:
        response = await self.tell(request)
        content = wire.to_csv(response, request.group_by, compared=request.HasField("compare_to"))
        return httpbody_pb2.HttpBody(content_type=_CSV, data=content)

    async def rebuild(self, request: pb.RebuildAlertStatisticsRequest) -> pb.RebuildAlertStatisticsResponse:
        begin = partial(operations.begin_rebuild, user=caller.get().user, request_id=request.request_id, request=request)
        number = await self._database.write(begin)
        newest = await self._database.read(lambda session: store.find_countings(session)[0])
        return wire.to_progress(newest, complete=newest.number > number or newest.current)

    def _find_scope(self, request: wire.Request, by: Caller) -> Scope:
        """Raises StatisticsOutOfScope."""
        official = access_pb2.OFFICIAL in by.roles
        # An official who leads a room, too, sees all that it answers for where they ask for that.
        if access_pb2.SUPERVISOR in by.roles and (request.agency == by.agency or not official):
            if request.agency not in {"", by.agency}:
                raise StatisticsOutOfScope
            everywhere = [*self._router.find_areas_below(""), ""]
            return Scope([request.area] if request.area else everywhere, by.agency)
        if not request.area:
            largest = [area for area in sorted(set(by.areas)) if not _is_within(area, {*by.areas} - {area})]
            return Scope(largest, request.agency)
        if not _is_within(request.area, by.areas):
            raise StatisticsOutOfScope
        return Scope([request.area], request.agency)

    def _write(self, request: wire.Request, scope: Scope, questions: Sequence[Question], found: "Answers") -> pb.GetAlertStatisticsResponse:
        grouping = _choose_table(request)
        tables: list[Figures] = []
        for question, rows in zip(questions, found.rows, strict=True):
            groups = _sum_up(grouping, scope, question, rows)
            if grouping == _Grouping.KIND:
                limits = [*map(_find_limit, question.kinds), MIN_CASES]
            else:
                limits = [_find_limit(request.kind)] * (len(groups) + 1)
            tables.append(Figures(groups, limits))
        figures, compared = tables[0], tables[1] if len(tables) > 1 else None
        # A day is compared with the one that comes as late in the other period, which may be shorter.
        days = questions[-1].period.days if grouping == _Grouping.DAY else _MANY
        subjects = list(enumerate(self._find_subjects(request.group_by, scope, questions[0])))
        total = -1
        if grouping == _Grouping.KIND and request.kind:
            total = questions[0].kinds.index(request.kind)
            subjects = subjects[total : total + 1]
        return pb.GetAlertStatisticsResponse(
            rows=[wire.to_row(each, figures, row, compared, row if row < days else None) for row, each in subjects],
            total=wire.to_row({}, figures, total, compared, total),
            count_time=found.count_time,  # pyright: ignore[reportArgumentType]  # a message takes it for a Timestamp
            min_cases=MIN_CASES,
            min_restricted_cases=MIN_RESTRICTED_CASES,
        )

    def _find_subjects(self, grouping: int, scope: Scope, question: Question) -> list[dict[str, Any]]:
        """Whose the rows are, in the order of the groups."""
        match grouping:
            case _Grouping.AREA:
                return [{"area": area, "display_name": self._router.find_display_name(area)} for area in scope.areas]
            case _Grouping.KIND:
                return [{"kind": kind} for kind in question.kinds]
            case _Grouping.HOUR:
                return [{"hour": hour} for hour in range(HOURS)]
            case _Grouping.DAY:
                period = question.period
                return [{"day": date.fromordinal(day).isoformat()} for day in range(period.first, period.last + 1)]
            case _:
                return []


def _choose_table(request: wire.Request) -> int:
    """By what is told apart. One kind alone is a line of the table of all kinds: what is withheld there must not be told here."""
    if request.kind and request.group_by == _Grouping.GROUPING_UNSPECIFIED:
        return _Grouping.KIND
    return request.group_by


def _find_limit(kind: int) -> int:
    return MIN_RESTRICTED_CASES if kind == Kind.VIOLENCE else MIN_CASES


class Answers(NamedTuple):
    """The rows of sums for each question, and up to when changes are counted in them."""

    rows: Sequence[Sequence[Found]]
    count_time: datetime


def _read(session: Session, questions: Sequence[Question]) -> Answers:
    """Raises StatisticsNotReady."""
    current = store.find_current(session)
    if current is None:
        raise StatisticsNotReady(retry_seconds=_RETRY_SECONDS)
    missed = log.after(session, current.position, 1)
    rows = [store.find_sums(session, current.number, each) for each in questions]
    return Answers(rows, missed[0].create_time if missed else now())


def _sum_up(grouping: int, scope: Scope, question: Question, rows: Sequence[Found]) -> Numbers:
    """The vectors of each group."""
    vectors = [each.vector for each in rows]
    match grouping:
        case _Grouping.AREA:
            places = {area: place for place, area in enumerate(scope.areas)}
            groups = sum_groups(vectors, [places[each.area] for each in rows], len(places))
            if scope.first_holds_others:
                # What is in none of them.
                groups[0] -= groups[1:].sum(axis=0)
            return groups
        case _Grouping.KIND:
            places = {kind: place for place, kind in enumerate(question.kinds)}
            return sum_groups(vectors, [places[each.kind] for each in rows], len(places))
        case _Grouping.HOUR:
            return sum_by_hour(vectors)
        case _Grouping.DAY:
            return sum_groups(vectors, [each.start - question.period.first for each in rows], question.period.days)
        case _:
            return sum_groups(vectors, [0] * len(vectors), 1)


def _is_within(area: str, areas: Collection[str]) -> bool:
    """Whether it is one of the areas or lies within one."""
    return any(each in areas for each in find_areas_around(area))
