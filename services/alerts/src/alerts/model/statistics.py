"""What the statistics count of an alert, and the tables in which the counts are kept."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import JSON, BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.enums import CancelClaim
from alerts.model.histograms import PLACES, Count, Time, find_places
from alerts.model.tables import Model

# The rows of a table hold a day or a whole month, one kind or all of them.
DAY, MONTH = 1, 2
EVERY_KIND = -1
_MILLISECOND = timedelta(milliseconds=1)


class Counting(Model):
    """One count of all alerts. While a new one is made, the current one goes on being told and kept up to date."""

    __tablename__ = "statistics_countings"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    current: Mapped[bool]
    # The last event of the log whose alert was counted as it then was.
    position: Mapped[int] = mapped_column(BigInteger)
    # Up to which alert all have been counted once; nothing when that is done.
    counted_to: Mapped[str | None]


class Counted(Model):
    """What an alert adds to the sums: with it they are corrected when the alert changes."""

    __tablename__ = "statistics_counted"

    counting: Mapped[int] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(primary_key=True)
    # Which revision of the alert it is from.
    revision: Mapped[int]
    area: Mapped[str]
    agency: Mapped[str]
    kind: Mapped[int] = mapped_column(SmallInteger)
    # The local day, as date.toordinal has it, and the hour.
    day: Mapped[int]
    hour: Mapped[int] = mapped_column(SmallInteger)
    # Its places of the vector with what it adds to each, as [[place, count], …].
    adds: Mapped[list[list[int]]] = mapped_column(JSON)


class Sum(Model):
    """The sums of an area with all within it, a kind or all, a day or a month, and an agency."""

    __tablename__ = "statistics_sums"

    counting: Mapped[int] = mapped_column(primary_key=True)
    span: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    area: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    # The day, or the first of the month, as date.toordinal has it.
    start: Mapped[int] = mapped_column(primary_key=True)
    agency: Mapped[str] = mapped_column(primary_key=True)
    # Of the whole span, where the same by hours is long; before that, or SQLite would go through all of it to come here.
    whole: Mapped[bytes | None]
    hours: Mapped[bytes]


class Key(NamedTuple):
    """Of a row of sums."""

    span: int
    start: int
    area: str
    kind: int
    agency: str


class Contribution(NamedTuple):
    """What one alert adds to the sums."""

    area: str
    agency: str
    kind: int
    day: int
    hour: int
    adds: tuple[tuple[int, int], ...]

    def find_keys(self) -> Iterator[Key]:
        """Of every row that it is in."""
        month = date.fromordinal(self.day).replace(day=1).toordinal()
        for span, start in ((DAY, self.day), (MONTH, month)):
            for area in find_areas_around(self.area):
                for kind in (self.kind, EVERY_KIND):
                    yield Key(span, start, area, kind, self.agency)

    def find_places(self) -> Iterator[tuple[int, int]]:
        """Its places in a vector by hours."""
        return ((self.hour * PLACES + place, count) for place, count in self.adds)


def find_areas_around(area: str) -> Iterator[str]:
    """The area and all that it lies within: the code of an area begins with its parent's and a point."""
    yield area
    while (cut := area.rfind(".")) > 0:
        area = area[:cut]
        yield area


def count_alert(alert: Any, en_route: tuple[datetime, datetime] | None, zone: tzinfo) -> Contribution | None:  # noqa: ANN401  # an alert, or its columns
    """Nothing for a drill. `en_route` is when the unit that set out first was sent and did so; `zone` is that of the alert's area."""
    if alert.drill:
        return None
    local = alert.create_time.astimezone(zone)
    adds = dict[int, int]()
    if alert.outcome == Count.DUPLICATE or (alert.merged_into and not alert.close_time):
        # Or one for which another one stands, as long as it does.
        adds[Count.DUPLICATE] = 1
    else:
        adds[_find_count(alert)] = 1
        # Under duress or not, verified and kept open or not: whatever did not close the alert looks the same here.
        if alert.cancel_claim != CancelClaim.NONE and Count.CANCELLED_VERIFIED not in adds:
            adds[Count.CANCELLED_UNVERIFIED] = 1
        for time, passed in _find_times(alert, en_route).items():
            adds.update(find_places(time, (passed + _MILLISECOND / 2) // _MILLISECOND))
    return Contribution(alert.area, alert.agency, alert.kind, local.toordinal(), local.hour, tuple(adds.items()))


def _find_count(alert: Any) -> Count:  # noqa: ANN401  # as above
    if alert.outcome:
        return Count(alert.outcome)
    return Count.CANCELLED_VERIFIED if alert.close_time else Count.OPEN


def _find_times(alert: Any, en_route: tuple[datetime, datetime] | None) -> Mapping[Time, timedelta]:  # noqa: ANN401
    raised = alert.create_time
    spans = {
        Time.DELIVERY: (raised, alert.deliver_time),
        Time.ANSWER: (raised, alert.acknowledge_time),
        Time.DISPATCH: (alert.acknowledge_time, alert.dispatch_time),
        Time.DISPATCH_SINCE_RAISED: (raised, alert.dispatch_time),
        Time.TURNOUT: en_route or (None, None),
        Time.ARRIVAL: (raised, alert.arrive_time),
    }
    return {time: end - start for time, (start, end) in spans.items() if start and end}
