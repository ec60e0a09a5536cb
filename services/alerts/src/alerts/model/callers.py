"""The PINs of those who call for help."""

from datetime import datetime, timedelta

from sqlalchemy import SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.tables import Model

_MAX_WRONG = 5
_WRONG_WITHIN = timedelta(hours=1)
_NEIGHBOURS = 2


class Caller(Model):
    """Hashes alone. What is set while an alert is open waits until none is: whoever took the phone may have set it. What is set by
    the duress PIN never comes into force.
    """

    __tablename__ = "callers"

    user: Mapped[str] = mapped_column(primary_key=True)
    pin_hash: Mapped[str] = mapped_column(default="")
    duress_hash: Mapped[str] = mapped_column(default="")
    # None where nothing waits.
    next_pin_hash: Mapped[str | None]
    next_duress_hash: Mapped[str | None]
    # What whoever gave the duress PIN believes to have set; empty where nobody did.
    decoy_pin_hash: Mapped[str] = mapped_column(default="")
    decoy_duress_hash: Mapped[str] = mapped_column(default="")
    wrong_count: Mapped[int] = mapped_column(SmallInteger, default=0)
    wrong_time: Mapped[datetime | None]

    @property
    def told(self) -> tuple[str, str]:
        """The PIN and the duress PIN that were set last, as far as whoever has set them can know."""
        if self.decoy_pin_hash:
            return self.decoy_pin_hash, self.decoy_duress_hash
        if self.next_pin_hash is not None and self.next_duress_hash is not None:
            return self.next_pin_hash, self.next_duress_hash
        return self.pin_hash, self.duress_hash

    def set_pins(self, pin_hash: str, duress_hash: str) -> None:
        self.next_pin_hash, self.next_duress_hash = pin_hash, duress_hash
        self.decoy_pin_hash = self.decoy_duress_hash = ""

    def seem_to_set_pins(self, pin_hash: str, duress_hash: str) -> None:
        self.decoy_pin_hash, self.decoy_duress_hash = pin_hash, duress_hash

    def settle(self) -> None:
        """No alert is open: what waits comes into force."""
        if self.next_pin_hash is not None and self.next_duress_hash is not None:
            self.pin_hash, self.duress_hash = self.next_pin_hash, self.next_duress_hash
            self.next_pin_hash = self.next_duress_hash = None

    def is_limited(self, now: datetime) -> bool:
        """Whether so many were wrong that the right one counts as wrong, too."""
        return self.wrong_count >= _MAX_WRONG and self.wrong_time is not None and now - self.wrong_time < _WRONG_WITHIN

    def guessed(self, now: datetime) -> None:
        """One that was not set last. Nothing but time takes it back: whoever has set PINs that wait could guess between them."""
        if self.wrong_time is None or now - self.wrong_time >= _WRONG_WITHIN:
            self.wrong_count, self.wrong_time = 1, now
        else:
            self.wrong_count += 1


def are_too_alike(pin: str, other: str) -> bool:
    """Whether one of them may be typed for the other by one slip: a key that is another one, too many or too few, or two neighbours
    the wrong way round.
    """
    begin = _count_alike(pin, other)
    rest, others = pin[begin:], other[begin:]
    end = _count_alike(rest[::-1], others[::-1])
    rest, others = rest[: len(rest) - end], others[: len(others) - end]
    return max(len(rest), len(others)) <= 1 or (len(rest) == _NEIGHBOURS and rest == others[::-1])


def _count_alike(one: str, other: str) -> int:
    """How many characters they begin alike with."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
