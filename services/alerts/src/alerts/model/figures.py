"""The figures that are told of groups of alerts, and which of them are suppressed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from alerts.model.histograms import Count, Numbers, Sums, Time
from alerts.model.suppression import Among, Stages, hide_cells, hide_numbers

# How an alert may stand. A duplicate is none.
_STANDS = (
    Count.OPEN,
    Count.HELPED,
    Count.FALSE_ALARM,
    Count.PRANK,
    Count.UNREACHABLE,
    Count.NON_EMERGENCY,
    Count.CANCELLED_VERIFIED,
)
# What has happened to every alert that an agency has closed, and what comes after it.
_OF_ALL_CLOSED = {Time.DELIVERY: Time.ANSWER, Time.ANSWER: Time.DISPATCH}
# What happens to an alert one after the other, and after which of these; first, after it was raised. DISPATCH_SINCE_RAISED has the cases
# of DISPATCH.
_STAGES = (Time.DELIVERY, Time.ANSWER, Time.DISPATCH, Time.TURNOUT, Time.ARRIVAL)
_EARLIER = (-1, 0, 1, 2, 2)
_P50, _P90 = 0.5, 0.9
# Of what is told: milliseconds, and hundredths of a percent.
_SECONDS_DIGITS, _SHARE_DIGITS = 3, 4


class Target(NamedTuple):
    """Of a standard: what share of the cases is to take at most so long; where it names none, how long it is to take."""

    standard: str
    seconds: int
    aim: float | None


TARGETS: Mapping[Time, Sequence[Target]] = {
    Time.ANSWER: (Target("NFPA 1225", 10, 0.9), Target("NENA-STA-020", 15, 0.9), Target("NENA-STA-020", 20, 0.95)),
    Time.DISPATCH: (Target("NFPA 1225", 60, 0.9),),
    Time.ARRIVAL: (Target("Jakarta 112", 900, None),),
}


class Times(NamedTuple):
    """In seconds; what is without a case says nothing. `shares` are those within the targets."""

    cases: int
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    shares: Sequence[float] = ()


class Figures:
    """Of groups of alerts, a row each, and in the last row of all of them. A number that is suppressed is None."""

    def __init__(self, groups: Numbers, limits: Sequence[int]) -> None:
        """`limits` is the least number of cases that is told of each row."""
        vectors = np.vstack((groups, groups.sum(axis=0)))
        sums = Sums(vectors)
        cells = groups[:, list(_STANDS)]
        hidden = hide_cells(cells, limits)
        counts = np.column_stack((vectors[:, list(_STANDS)], vectors[:, list(_STANDS)].sum(axis=1)))
        self._stands = np.where(hidden, -1, counts).tolist()
        # Of fewer alerts than may be told nothing else is told, either.
        silent = hidden[:, -1]
        raised = counts[:, -1]
        # Nobody closes what nobody has taken, nor takes what has not reached them.
        unfinished = [_STANDS.index(each) for each in (Count.OPEN, Count.CANCELLED_VERIFIED)]
        among = Among(counts, hidden, unfinished)
        most = {time: raised - np.maximum(sums.cases[:, later], 1) for time, later in _OF_ALL_CLOSED.items()}
        masks = {
            time: among.hide(sums.cases[:-1, time], limits, silent, raised - sums.cases[:, time], most[time])
            if time in most
            else hide_numbers(sums.cases[:-1, time], limits, silent)
            for time in Time
        }
        # Nothing that was called off with the PIN was so without it.
        others = Among(counts, hidden, [place for place, each in enumerate(_STANDS) if each != Count.CANCELLED_VERIFIED])
        unverified = vectors[:, Count.CANCELLED_UNVERIFIED]
        unverified_mask = others.hide(unverified[:-1], limits, silent, unverified, raised)
        may_be, must_be = raised - vectors[:, Count.CANCELLED_VERIFIED], np.where(silent, 0, 1)
        called_off = Stages(unverified[:, None], unverified_mask[:, None], (-1,), may_be, must_be[:, None])
        beside = {
            Count.CANCELLED_UNVERIFIED: called_off.hide(limits, silent)[:, 0],
            Count.DUPLICATE: hide_numbers(groups[:, Count.DUPLICATE], limits, silent),
        }
        closed = raised - counts[:, unfinished].sum(axis=1)
        least = np.column_stack([np.maximum(closed if each in _OF_ALL_CLOSED else 0, ~silent) for each in _STAGES])
        stages = Stages(sums.cases[:, list(_STAGES)], np.column_stack([masks[each] for each in _STAGES]), _EARLIER, raised, least)
        masks |= dict(zip(_STAGES, stages.hide(limits, silent).T, strict=True))
        masks[Time.DISPATCH_SINCE_RAISED] = masks[Time.DISPATCH]
        self._beside = {each: np.where(mask, -1, vectors[:, each]).tolist() for each, mask in beside.items()}
        self._cases = np.where(np.column_stack([masks[time] for time in Time]), -1, sums.cases).tolist()
        seconds = (sums.find_means(), sums.find_quantiles(_P50), sums.find_quantiles(_P90))
        # By row and time.
        self._seconds = np.stack(seconds, axis=-1).round(_SECONDS_DIGITS).tolist()
        within = {time: [sums.count_within(time, target.seconds) for target in targets] for time, targets in TARGETS.items()}
        self._shares = {
            time: (np.column_stack(numbers) / np.maximum(sums.cases[:, [time]], 1)).round(_SHARE_DIGITS).tolist()
            for time, numbers in within.items()
        }

    def count(self, row: int) -> dict[Count, int | None]:
        """By how they stand, and beside."""
        stands = zip(_STANDS, self._stands[row], strict=False)
        beside = ((each, numbers[row]) for each, numbers in self._beside.items())
        return {each: None if number < 0 else number for each, number in (*stands, *beside)}

    def count_raised(self, row: int) -> int | None:
        number = self._stands[row][-1]
        return None if number < 0 else number

    def find_times(self, row: int, time: Time) -> Times | None:
        cases = self._cases[row][time]
        if cases < 0:
            return None
        if cases == 0:
            return Times(0)
        return Times._make((cases, *self._seconds[row][time], self._shares[time][row] if time in self._shares else ()))
