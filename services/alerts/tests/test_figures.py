"""What is told beside a table of how alerts ended computes none of the numbers that are hidden in it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from alerts.model.figures import Figures
from alerts.model.histograms import PLACES, Count, Numbers, Time, find_places
from alerts.model.suppression import MIN_CASES, Among, hide_numbers

STANDS = [Count.OPEN, Count.HELPED, Count.FALSE_ALARM, Count.PRANK, Count.UNREACHABLE, Count.NON_EMERGENCY, Count.CANCELLED_VERIFIED]
UNFINISHED = {Count.OPEN, Count.CANCELLED_VERIFIED}
# How many stand so, were answered, and were called off without a PIN.
Group = dict[tuple[Count, bool, bool], int]


def make_group(alerts: Group) -> Numbers:
    """Whatever an agency has closed was answered, and what the PIN called off was so with it alone."""
    vector = np.zeros(PLACES, np.int64)
    for (stand, answered, unverified), number in alerts.items():
        vector[stand] += number
        vector[Count.CANCELLED_UNVERIFIED] += number * (unverified and stand != Count.CANCELLED_VERIFIED)
        for place, count in find_places(Time.ANSWER, 5000):
            vector[place] += number * count * (answered or stand not in UNFINISHED)
    return vector


def groups() -> st.SearchStrategy[Numbers]:
    alerts = st.tuples(st.sampled_from(STANDS), st.booleans(), st.booleans())
    numbers = st.one_of(st.integers(1, 6), st.integers(1, 20))
    return st.lists(st.dictionaries(alerts, numbers, max_size=6).map(make_group), min_size=1, max_size=5).map(np.array)


class Attacker:
    """Knows all that is told of stands, answers and unverified cancels; that nobody closes what nobody has taken; that what was called off
    with the PIN was not so without it; and that a hidden number is at least 1 unless nothing of its row is told.
    """

    def __init__(self, figures: Figures, rows: int) -> None:
        self.told = [figures.count(row) for row in range(rows + 1)]
        self.raised = [figures.count_raised(row) for row in range(rows + 1)]
        self.answers = [times.cases if (times := figures.find_times(row, Time.ANSWER)) else None for row in range(rows + 1)]
        self.unverified = [each[Count.CANCELLED_UNVERIFIED] for each in self.told]
        # For each row its stands, how many were answered and how many called off without a PIN; the total is their sum.
        self.rows, self.width = rows, len(STANDS) + 2
        self.least, self.most = np.zeros(rows * self.width), np.full(rows * self.width, 1e4)
        self.lines, self.low, self.high = list[Any](), list[float](), list[float]()
        for row in range(rows + 1):
            self._learn(row)
        for row in range(rows):
            closed, verified, raised = (
                self._sum(row, [s not in UNFINISHED for s in STANDS]),
                self._sum(row, [s == STANDS[-1] for s in STANDS]),
                self._sum(row, [1] * len(STANDS)),
            )
            self._add(self._at(row, -2) - closed, 0, np.inf)
            self._add(raised - self._at(row, -2), 0, np.inf)
            self._add(raised - verified - self._at(row, -1), 0, np.inf)

    def _learn(self, row: int) -> None:
        silent = self.raised[row] is None
        for place, number in enumerate([*(self.told[row][each] for each in STANDS), self.answers[row], self.unverified[row]]):
            known = (number, number) if number is not None else (0 if silent else 1, np.inf)
            self._add(self._at(row, place), *known)
        raised = self.raised[row]
        self._add(self._sum(row, [1] * len(STANDS)), *((raised, raised) if raised is not None else (1 if row < self.rows else 0, np.inf)))

    def _at(self, row: int, place: int) -> Any:
        line = np.zeros((self.rows, self.width))
        line[row if row < self.rows else slice(None), place] = 1
        return line.ravel()

    def _sum(self, row: int, weights: list[Any]) -> Any:
        return sum(self._at(row, place) * weight for place, weight in enumerate(weights))

    def _add(self, line: Any, low: float, high: float) -> None:
        self.lines.append(line)
        self.low.append(low)
        self.high.append(high)

    def solve(self) -> list[tuple[int, Count]]:
        """The hidden ones that have one value in everything that looks the same."""
        found: list[tuple[int, Count]] = []
        for row, place in np.ndindex(self.rows + 1, len(STANDS)):
            if self.told[row][STANDS[place]] is not None:
                continue
            ends = [self._find_end(self._at(row, place), sign) for sign in (1, -1)]
            if ends[0] == ends[1]:
                found.append((row, STANDS[place]))
        return found

    def _find_end(self, aim: Any, sign: int) -> float:
        result = milp(
            sign * aim,
            integrality=np.ones(len(aim)),
            bounds=Bounds(self.least, self.most),
            constraints=LinearConstraint(np.array(self.lines), self.low, self.high),
            # Which takes some of them for infeasible.
            options={"presolve": False},
        )
        assert result.success, "what is so looks so"
        return round(sign * result.fun)


@given(groups=groups(), restricted=st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_hidden_number_can_be_computed(groups: Numbers, *, restricted: bool) -> None:
    limits = [10 if restricted else MIN_CASES] + [MIN_CASES] * len(groups)
    assert Attacker(Figures(groups, limits), len(groups)).solve() == []


def test_how_many_were_answered_may_tell_how_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {(Count.HELPED, True, False): 14, (Count.PRANK, True, False): 1}
    group = np.array([make_group({**closed, (Count.OPEN, False, False): 6})])
    limits = [MIN_CASES] * 2
    assert Figures(group, limits).find_times(0, Time.ANSWER) is None
    monkeypatch.setattr(Among, "hide", lambda self, numbers, limits, also, among, most: hide_numbers(numbers, limits, also))  # noqa: ARG005
    attacker = Attacker(Figures(group, limits), 1)
    assert attacker.answers == [15, 15]
    assert attacker.solve() == [(row, stand) for row in (0, 1) for stand in (Count.OPEN, Count.PRANK)]


def test_how_many_were_called_off_may_tell_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    group = np.array(
        [make_group({(Count.HELPED, True, True): 18, (Count.OPEN, False, True): 1, (Count.CANCELLED_VERIFIED, False, False): 1})]
    )
    limits = [MIN_CASES] * 2
    assert Figures(group, limits).count(0)[Count.CANCELLED_UNVERIFIED] is None
    monkeypatch.setattr(Among, "hide", lambda self, numbers, limits, also, among, most: hide_numbers(numbers, limits, also))  # noqa: ARG005
    assert (0, Count.CANCELLED_VERIFIED) in Attacker(Figures(group, limits), 1).solve()


def test_where_enough_is_open_the_answers_are_told() -> None:
    group = np.array(
        [
            make_group(
                {
                    (Count.HELPED, True, False): 14,
                    (Count.PRANK, True, False): 1,
                    (Count.UNREACHABLE, True, False): 2,
                    (Count.OPEN, False, False): 6,
                }
            )
        ]
    )
    times = Figures(group, [MIN_CASES] * 2).find_times(0, Time.ANSWER)
    assert times
    assert times.cases == 17
