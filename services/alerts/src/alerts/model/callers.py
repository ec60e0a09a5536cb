"""The PINs of those who call for help."""

from datetime import datetime, timedelta

from sqlalchemy import SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.tables import Model

_MAX_WRONG = 5
_WRONG_WITHIN = timedelta(hours=1)
_LEAST_DIFFERENCE = 2


class Caller(Model):
    """Hashes alone. What is set while an alert is open waits until none is: whoever took the phone may have set it."""

    __tablename__ = "callers"

    user: Mapped[str] = mapped_column(primary_key=True)
    pin_hash: Mapped[str] = mapped_column(default="")
    duress_hash: Mapped[str] = mapped_column(default="")
    # None where nothing waits; empty where none is to be in force.
    next_pin_hash: Mapped[str | None]
    next_duress_hash: Mapped[str | None]
    wrong_count: Mapped[int] = mapped_column(SmallInteger, default=0)
    wrong_time: Mapped[datetime | None]

    def set_pins(self, pin_hash: str, duress_hash: str) -> None:
        self.next_pin_hash, self.next_duress_hash = pin_hash, duress_hash

    def settle(self) -> None:
        """No alert is open: what waits comes into force."""
        if self.next_pin_hash is not None and self.next_duress_hash is not None:
            self.pin_hash, self.duress_hash = self.next_pin_hash, self.next_duress_hash
            self.next_pin_hash = self.next_duress_hash = None
            self.wrong_count = 0

    def is_limited(self, now: datetime) -> bool:
        """Whether so many were wrong that the right one counts as wrong, too."""
        return self.wrong_count >= _MAX_WRONG and self.wrong_time is not None and now - self.wrong_time < _WRONG_WITHIN

    def tried(self, now: datetime, *, right: bool) -> None:
        if right:
            self.wrong_count = 0
        elif self.wrong_time is None or now - self.wrong_time >= _WRONG_WITHIN:
            self.wrong_count, self.wrong_time = 1, now
        else:
            self.wrong_count += 1


def are_too_alike(pin: str, other: str) -> bool:
    """Whether one of them may be typed for the other."""
    return len(pin) == len(other) and sum(one != another for one, another in zip(pin, other, strict=True)) < _LEAST_DIFFERENCE
