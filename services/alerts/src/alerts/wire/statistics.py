"""The statistics as protobuf messages, and as a table for spreadsheets."""

# A message takes a datetime for a Timestamp and a number for an enum; the stubs do not say so.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import csv
import io
from collections.abc import Iterator
from datetime import date
from typing import Any

from alerts.model.figures import TARGETS, Figures, Times
from alerts.model.histograms import Count, Time
from alerts.model.statistics import Counting
from alerts.store.statistics import Period
from chassis.errors import InvalidRequest
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1 import statistics_pb2 as pb

MAX_YEARS_DAYS = 3653
MAX_ROWS_DAYS = 366
_COUNTS = {
    Count.OPEN: "open",
    Count.HELPED: "helped",
    Count.FALSE_ALARM: "false_alarm",
    Count.PRANK: "prank",
    Count.UNREACHABLE: "unreachable",
    Count.NON_EMERGENCY: "non_emergency",
    Count.CANCELLED_VERIFIED: "cancelled_verified",
    Count.CANCELLED_UNVERIFIED: "cancelled_unverified",
    Count.DUPLICATE: "duplicates",
}
_TIMES = {
    Time.DELIVERY: "delivery",
    Time.ANSWER: "answer",
    Time.DISPATCH: "dispatch",
    Time.DISPATCH_SINCE_RAISED: "dispatch_since_raised",
    Time.TURNOUT: "turnout",
    Time.ARRIVAL: "arrival",
}
_PARTS = ("mean_seconds", "p50_seconds", "p90_seconds")
_SUPPRESSED = "suppressed"
# What a spreadsheet takes for a formula that begins with one of these, wherever the text came from.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Request = pb.GetAlertStatisticsRequest | pb.ExportAlertStatisticsRequest
Grouping = pb.GetAlertStatisticsRequest.Grouping


def to_periods(request: Request) -> tuple[Period, Period | None]:
    """The one asked for, and the one to compare with. Raises InvalidRequest."""
    by_days = request.group_by == pb.GetAlertStatisticsRequest.DAY
    period = _to_period("period", request.period, by_days=by_days)
    if not request.HasField("compare_to"):
        return period, None
    other = _to_period("compareTo", request.compare_to, by_days=by_days)
    if other.first <= period.last and period.first <= other.last:
        # The difference between the two would be the figures of a few days, or of one.
        raise InvalidRequest(fields=[("compareTo", "shares days with period")])
    return period, other


def _to_period(path: str, period: pb.Period, *, by_days: bool) -> Period:
    days = dict[str, int]()
    for name in ("from", "to"):
        try:
            days[name] = date.fromisoformat(getattr(period, name)).toordinal()
        except ValueError:
            raise InvalidRequest(fields=[(f"{path}.{name}", "is no day of the calendar")]) from None
    found = Period(days["from"], days["to"])
    most = MAX_ROWS_DAYS if by_days else MAX_YEARS_DAYS
    if not 1 <= found.days <= most:
        raise InvalidRequest(fields=[(f"{path}.to", f"is not within {most} days from the first")])
    if found.last >= date.max.toordinal():
        raise InvalidRequest(fields=[(f"{path}.to", "has no day after it")])
    return found


def _fill_figures(message: pb.AlertFigures, figures: Figures, row: int) -> None:
    """In place, which costs less than half of putting messages into messages: a year by day has thousands of them."""
    if (raised := figures.count_raised(row)) is not None:
        message.raised = raised
    for count, number in figures.count(row).items():
        if number is not None:
            setattr(message, _COUNTS[count], number)
    for time, name in _TIMES.items():
        times: pb.AlertTimes = getattr(message, name)
        # There also where it tells nothing.
        times.SetInParent()
        if found := figures.find_times(row, time):
            _fill_times(times, time, found)


def _fill_times(message: pb.AlertTimes, time: Time, times: Times) -> None:
    message.cases = times.cases
    if not times.cases:
        return
    message.mean_seconds, message.p50_seconds, message.p90_seconds = times.mean, times.p50, times.p90
    for target, share in zip(TARGETS.get(time, ()), times.shares, strict=True):
        told = message.targets.add()
        told.standard, told.seconds, told.share = target.standard, target.seconds, share
        if target.aim is not None:
            told.aim = target.aim


def to_change(figures: pb.AlertFigures, compared: pb.AlertFigures) -> pb.AlertChange:
    times = {name: _to_times_change(getattr(figures, name), getattr(compared, name)) for name in _TIMES.values()}
    return pb.AlertChange(raised=_find_change(figures, compared, "raised"), **times)


def _to_times_change(times: pb.AlertTimes, compared: pb.AlertTimes) -> pb.AlertTimesChange:
    return pb.AlertTimesChange(mean=_find_change(times, compared, "mean_seconds"), p90=_find_change(times, compared, "p90_seconds"))


def _find_change(now: Any, before: Any, field: str) -> float | None:  # noqa: ANN401  # messages share no type
    if not (now.HasField(field) and before.HasField(field) and getattr(before, field)):
        return None
    return round((getattr(now, field) / getattr(before, field) - 1) * 100, 1)


def to_csv(response: pb.GetAlertStatisticsResponse, grouping: "Grouping.ValueType", *, compared: bool) -> bytes:
    """A line for each row and one for the total."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    subject = {pb.GetAlertStatisticsRequest.AREA: ["area", "name"]}.get(grouping, [Grouping.Name(grouping).lower()] if grouping else ["of"])
    heads = [name for name, _ in _to_cells(pb.AlertFigures())]
    changes = [f"change_percent_{name}" for name, _ in _to_change_cells(pb.AlertChange())]
    writer.writerow([*subject, *heads, *([*(f"compared_{name}" for name in heads), *changes] if compared else [])])
    for row in (*response.rows, response.total):
        cells = [cell for _, cell in _to_cells(row.figures)]
        if compared:
            cells += [cell for _, cell in _to_cells(row.compared)] if row.HasField("compared") else [""] * len(heads)
            cells += [cell for _, cell in _to_change_cells(row.change)]
        writer.writerow([*_to_subject(row, len(subject)), *cells])
    return text.getvalue().encode()


def _to_subject(row: pb.GetAlertStatisticsResponse.Row, columns: int) -> list[str]:
    which = row.WhichOneof("subject")
    match which:
        case None:
            words = ["total"]
        case "kind":
            words = [alert_pb2.Alert.Kind.Name(row.kind)]
        case _:
            words = [str(getattr(row, which)), row.display_name]
    return [_guard(word) for word in (*words, "")][:columns]


def _guard(text: str) -> str:
    """A spreadsheet shows it and does not run it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _to_cells(figures: pb.AlertFigures) -> Iterator[tuple[str, str]]:
    for name in ("raised", *_COUNTS.values()):
        yield name, str(getattr(figures, name)) if figures.HasField(name) else _SUPPRESSED
    for time, name in _TIMES.items():
        times = getattr(figures, name)
        hidden = not times.HasField("cases")
        yield f"{name}_cases", _SUPPRESSED if hidden else str(times.cases)
        for part in _PARTS:
            yield f"{name}_{part}", _SUPPRESSED if hidden else (str(getattr(times, part)) if times.HasField(part) else "")
        for index, target in enumerate(TARGETS.get(time, ())):
            share = str(times.targets[index].share) if times.targets else ""
            yield f"{name}_share_within_{target.seconds}_seconds", _SUPPRESSED if hidden else share


def _to_change_cells(change: pb.AlertChange) -> Iterator[tuple[str, str]]:
    yield "raised", str(change.raised) if change.HasField("raised") else ""
    for name in _TIMES.values():
        times = getattr(change, name)
        for part in ("mean", "p90"):
            yield f"{name}_{part}", str(getattr(times, part)) if times.HasField(part) else ""


def to_progress(counting: Counting, *, complete: bool) -> pb.RebuildAlertStatisticsResponse:
    response = pb.RebuildAlertStatisticsResponse(complete=complete)
    if counting.counted_to and not complete:
        # When the alert was raised: its name is a UUIDv7, which begins with 48 bits of Unix milliseconds.
        response.counted_time.FromMilliseconds(int(counting.counted_to.rpartition("/")[2].replace("-", "")[:12], 16))
    return response


def to_row(
    subject: dict[str, Any], figures: Figures, row: int, compared: Figures | None, match: int | None
) -> pb.GetAlertStatisticsResponse.Row:
    """`subject` says whose the row is; `match` is which row of `compared` belongs to it, where any does."""
    message = pb.GetAlertStatisticsResponse.Row(**subject)
    _fill_figures(message.figures, figures, row)
    if compared is not None and match is not None:
        _fill_figures(message.compared, compared, match)
        message.change.CopyFrom(to_change(message.figures, message.compared))
    return message
