"""What is known of a telephone number, by a keyed hash of it, and which of its alerts hears what comes from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.errors import AlertClosed
from alerts.model.alerts import Alert
from alerts.model.enums import Channel
from alerts.model.tables import Model
from alerts.model.timeline import Position

# How long the last position of a number may tell where it is, and how long it belongs to one call.
KEPT = timedelta(hours=24)
ONE_CALL = timedelta(minutes=30)
# The columns of a number that tells no place.
NOWHERE = {"latitude": None, "longitude": None, "accuracy_meters": None, "fix_time": None, "source": 0}
_MAX_RAISED = 10
_RAISED_WITHIN = timedelta(hours=1)
# How many texts of a number are kept as messages, of ten times as many those that call for help.
_MAX_ADDED = 60
ADDED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a handset was, and by which source that is known."""

    latitude: float
    longitude: float
    accuracy_meters: float | None
    fix_time: datetime
    source: int

    def to_position(self, alert: str, now: datetime) -> Position:
        return Position(
            alert=alert,
            latitude=self.latitude,
            longitude=self.longitude,
            accuracy_meters=self.accuracy_meters,
            fix_time=self.fix_time,
            source=self.source,
            receive_time=now,
        )


class Number(Model):
    """Gone a day after it last raised an alert or told where it is. Whoever changes what belongs to a number locks it first."""

    __tablename__ = "numbers"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    accuracy_meters: Mapped[float | None]
    fix_time: Mapped[datetime | None]
    source: Mapped[int] = mapped_column(SmallInteger)
    # How many alerts it has raised since then.
    raise_count: Mapped[int] = mapped_column(SmallInteger)
    raise_time: Mapped[datetime | None]
    update_time: Mapped[datetime] = mapped_column(index=True)

    def learn(self, seen: Sighting, now: datetime) -> None:
        """The newest counts."""
        self.update_time = now
        if seen.fix_time > now - KEPT and not (self.fix_time and self.fix_time > seen.fix_time):
            self.latitude, self.longitude, self.accuracy_meters = seen.latitude, seen.longitude, seen.accuracy_meters
            self.fix_time, self.source = seen.fix_time, seen.source

    def find_sighting(self, now: datetime, within: timedelta) -> Sighting | None:
        """The last one, where it is not older; whether anybody has removed an older one does not matter."""
        if self.latitude is None or self.longitude is None or self.fix_time is None or self.fix_time <= now - within:
            return None
        return Sighting(self.latitude, self.longitude, self.accuracy_meters, self.fix_time, self.source)

    def raised(self, now: datetime) -> None:
        self.update_time = now
        if self.raise_time is None or self.raise_time <= now - _RAISED_WITHIN:
            self.raise_count, self.raise_time = 0, now
        self.raise_count += 1

    def is_limited(self, now: datetime) -> bool:
        """Whether it has raised so many that the next one joins one of them, while there is any."""
        return self.raise_count >= _MAX_RAISED and self.raise_time is not None and self.raise_time > now - _RAISED_WITHIN


class NumberAlert(Model):
    """An alert that a number has raised, or that a dispatcher has raised for it."""

    __tablename__ = "number_alerts"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), primary_key=True, index=True)


def is_flooding(added: int, *, distress: bool) -> bool:
    """Whether a number of which so many texts were added lately is over its limit."""
    return added >= _MAX_ADDED * (10 if distress else 1)


def choose_alert(alerts: Sequence[Alert], now: datetime, *, distress: bool, limited: bool) -> Alert | None:
    """Which of a number's open alerts a text belongs to: the newest, an SMS's before a call's, and last one that was called off.

    One of distress belongs to an SMS alone whose caller has not called it off, unless the number is over its limit.
    """
    hearing = [each for each in alerts if hears(each, now)]
    if distress and not limited:
        hearing = [each for each in hearing if each.channel == Channel.SMS and not each.cancel_time]
    return max(hearing, key=lambda each: (not each.cancel_time, each.channel == Channel.SMS, each.name), default=None)


def hears(alert: Alert, now: datetime) -> bool:
    """Whether its caller's side may still add to it."""
    try:
        alert.require_trackable(now)
    except AlertClosed:
        return False
    return True
