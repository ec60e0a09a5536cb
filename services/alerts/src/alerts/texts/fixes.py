"""Where a handset was, as far as a message says."""

import math
import re
from datetime import datetime
from typing import NamedTuple

_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{0,16})?")
_METERS = re.compile(r"[0-9]{1,7}(?:\.[0-9]{0,16})?")
_MAX_ACCURACY = 1_000_000.0


class Fix(NamedTuple):
    """`accuracy_meters` and `fix_time` are None where the message does not say."""

    latitude: float
    longitude: float
    accuracy_meters: float | None = None
    fix_time: datetime | None = None


def make_fix(latitude: float, longitude: float, accuracy_meters: float | None = None, fix_time: datetime | None = None) -> Fix | None:
    """None where there is no such place. 0° 0' on the open sea is what handsets say that have no position."""
    # NaN is in no range.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180) or latitude == longitude == 0:  # noqa: PLR2004  # the globe's own
        return None
    return Fix(latitude, longitude, accuracy_meters, fix_time)


def read_degrees(text: str) -> float:
    """NaN, which is no place, where it is no number of degrees."""
    return float(text) if _DEGREES.fullmatch(text) else math.nan


def read_accuracy(text: str) -> float | None:
    """Metres. None for what is no radius, and for 0, which the standards have for an unknown one."""
    meters = float(text) if _METERS.fullmatch(text) else 0.0
    return meters if 0 < meters <= _MAX_ACCURACY else None
