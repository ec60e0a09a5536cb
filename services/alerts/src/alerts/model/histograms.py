"""Numbers of alerts and how long things took in them, as sums that can be added up and taken back: a sparse vector of counts.

A place of the vector is a number: of alerts that ended so, of milliseconds that something took in all of them, or of those
in which it took about so long. The buckets of a time grow by at most a tenth, so that whatever is told by their middle is
within 5 % of what was; the targets that others set lie on their borders, so that the share within one is exact.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Places = NDArray[np.uint16]


class Count(IntEnum):
    """Places of the vector. All but the last are how an alert stands: by the contract's outcomes, open, or called off."""

    OPEN = 0
    HELPED = 1
    FALSE_ALARM = 2
    PRANK = 3
    DUPLICATE = 4
    UNREACHABLE = 5
    NON_EMERGENCY = 6
    CANCELLED_VERIFIED = 7
    CANCELLED_UNVERIFIED = 8


class Time(IntEnum):
    """What takes time."""

    DELIVERY = 0
    ANSWER = 1
    DISPATCH = 2
    DISPATCH_SINCE_RAISED = 3
    TURNOUT = 4
    ARRIVAL = 5


# What takes longer counts as a day: an alert that somebody forgot would say nothing about the others.
MAX_MILLISECONDS = 86_400_000
_BORDERS_MILLISECONDS = (10, 10_000, 15_000, 20_000, 60_000, 900_000, MAX_MILLISECONDS)
_GROWTH = 1.1
HOURS = 24


def _make_borders() -> NDArray[np.float64]:
    """The upper border of each bucket, which belongs to it, in milliseconds."""
    borders = [float(_BORDERS_MILLISECONDS[0])]
    for low, high in pairwise(_BORDERS_MILLISECONDS):
        steps = math.ceil(math.log(high / low) / math.log(_GROWTH))
        borders += [low * (high / low) ** (step / steps) for step in range(1, steps)]
        borders.append(float(high))
    return np.array(borders)


_BORDERS = _make_borders()
# What a bucket's cases are said to have taken: the geometric middle, equally far from both of its borders.
_MIDDLES = np.sqrt(_BORDERS * np.concatenate(([_BORDERS[0]], _BORDERS[:-1])))
_BUCKETS = len(_BORDERS)
_STRIDE = 1 + _BUCKETS
PLACES = len(Count) + len(Time) * _STRIDE
# A packed entry: the place in the lower 16 bits, its count above. A vector by hours has the places of each hour in turn.
_PLACE_BITS = 16
_ENTRY, _PLACE = np.dtype("<u8"), np.dtype("<u2")
assert HOURS * PLACES <= 1 << _PLACE_BITS


def find_places(time: Time, milliseconds: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """What one case adds: its milliseconds to their sum, itself to its bucket."""
    start = len(Count) + time * _STRIDE
    counted = min(max(milliseconds, 0), MAX_MILLISECONDS)
    return (start, counted), (start + 1 + int(np.searchsorted(_BORDERS, counted)), 1)


def pack_sum(packed: bytes, more: Mapping[int, int]) -> bytes:
    """A packed vector and what is added to some of its places, or taken from them."""
    places, counts = unpack([packed])
    added, numbers = np.fromiter(more.keys(), np.uint16, len(more)), np.fromiter(more.values(), np.int64, len(more))
    return _pack(np.concatenate((places, added)), np.concatenate((counts, numbers)))


def fold_hours(packed: bytes) -> bytes:
    """The vector of the day from the one by hours."""
    places, counts = unpack([packed])
    return _pack(places % PLACES, counts)


def unpack(vectors: Sequence[bytes]) -> tuple[Places, Numbers]:
    """The places of all of them, one after the other, and their counts."""
    entries = np.frombuffer(b"".join(vectors), _ENTRY)
    return entries.view(_PLACE)[:: _ENTRY.itemsize // _PLACE.itemsize], (entries >> _PLACE_BITS).view(np.int64)


def count_entries(vectors: Iterable[bytes]) -> list[int]:
    return [len(each) // _ENTRY.itemsize for each in vectors]


def _pack(places: Places, counts: Numbers) -> bytes:
    order = np.argsort(places, kind="stable")
    places, counts = places[order], counts[order]
    first = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1]))[: len(places)])
    sums = np.add.reduceat(counts, first) if len(first) else counts
    if (sums < 0).any():
        raise ValueError("more was taken back than was counted: have the statistics rebuilt")
    kept = sums > 0
    return ((sums[kept].astype(_ENTRY) << _PLACE_BITS) | places[first][kept].astype(_ENTRY)).tobytes()


class Sums:
    """Vectors of several groups of alerts, a row for each."""

    def __init__(self, vectors: Numbers) -> None:
        self.counts = vectors[:, : len(Count)]
        times = vectors[:, len(Count) :].reshape(len(vectors), len(Time), _STRIDE)
        self._milliseconds = times[:, :, 0]
        # How many cases took no longer than a bucket's border.
        self._reached = times[:, :, 1:].cumsum(axis=2)
        self.cases: Numbers = self._reached[:, :, -1]

    def find_means(self) -> NDArray[np.float64]:
        """In seconds, by group and time; exact. 0 where there is no case."""
        return self._milliseconds / np.maximum(self.cases, 1) / 1000

    def find_quantiles(self, share: float) -> NDArray[np.float64]:
        """What this share of the cases took at most (nearest rank), in seconds, by group and time; within 5 %."""
        rank = np.ceil(self.cases * share)
        return _MIDDLES[(self._reached < rank[:, :, None]).sum(axis=2)] / 1000

    def count_within(self, time: Time, seconds: int) -> Numbers:
        """How many cases took no longer, by group. Exact for a border of the buckets."""
        border = int(np.searchsorted(_BORDERS, seconds * 1000))
        assert _BORDERS[border] == seconds * 1000
        return self._reached[:, time, border]


def sum_groups(vectors: Sequence[bytes], groups: Sequence[int], number: int) -> Numbers:
    """The vectors of each of so many groups, added up; `groups` says for each vector which it belongs to. Hours are folded."""
    places, counts = unpack(vectors)
    at = np.repeat(np.asarray(groups, np.int64) * PLACES, count_entries(vectors))
    at += places % PLACES
    return _sum(at, counts, number)


def sum_by_hour(vectors: Sequence[bytes]) -> Numbers:
    """The vectors of each hour, added up."""
    return _sum(*unpack(vectors), HOURS)


def _sum(places: Numbers | Places, counts: Numbers, number: int) -> Numbers:
    # Through floating point, exact up to 2^53: milliseconds of three hundred thousand years.
    return np.bincount(places, counts, number * PLACES).astype(np.int64).reshape(number, PLACES)
