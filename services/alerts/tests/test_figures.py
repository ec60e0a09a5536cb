"""What is told beside a table of how alerts ended computes none of the numbers that are hidden in it, nor those beside it one another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from alerts.model.figures import Figures
from alerts.model.histograms import PLACES, Count, Numbers, Time, find_places
from alerts.model.suppression import MIN_CASES, Among, Stages, hide_numbers

STANDS = [Count.OPEN, Count.HELPED, Count.FALSE_ALARM, Count.PRANK, Count.UNREACHABLE, Count.NON_EMERGENCY, Count.CANCELLED_VERIFIED]
UNFINISHED = {Count.OPEN, Count.CANCELLED_VERIFIED}
# What happens to an alert in this order, and how far one may have come.
STAGES = [Time.DELIVERY, Time.ANSWER, Time.DISPATCH, Time.DISPATCH_SINCE_RAISED, Time.TURNOUT, Time.ARRIVAL]
NOTHING, DELIVERED, ANSWERED, SENT, ARRIVED = 0, 1, 2, 4, 6
# How many stand so, have come so far, and were called off without a PIN.
Group = dict[tuple[Count, int, bool], int]


def make_group(alerts: Group) -> Numbers:
    """Whatever an agency has closed was answered, and what the PIN called off was so with it alone."""
    vector = np.zeros(PLACES, np.int64)
    for (stand, stage, unverified), number in alerts.items():
        vector[stand] += number
        vector[Count.CANCELLED_UNVERIFIED] += number * (unverified and stand != Count.CANCELLED_VERIFIED)
        for time in STAGES[: stage if stand in UNFINISHED else max(stage, ANSWERED)]:
            for place, count in find_places(time, 5000):
                vector[place] += number * count
    return vector


def groups() -> st.SearchStrategy[Numbers]:
    stages = st.sampled_from([NOTHING, DELIVERED, ANSWERED, SENT, SENT + 1, ARRIVED])
    alerts = st.tuples(st.sampled_from(STANDS), stages, st.booleans())
    numbers = st.one_of(st.integers(1, 6), st.integers(1, 20))
    return st.lists(st.dictionaries(alerts, numbers, max_size=6).map(make_group), min_size=1, max_size=5).map(np.array)


class Attacker:
    """Knows all that is told of stands, times and unverified cancels; that nobody closes what nobody has taken, takes what has not reached
    them, nor arrives unsent; that what was called off with the PIN was not so without it; and that a hidden number is at least 1 unless
    nothing of its row is told.
    """

    def __init__(self, figures: Figures, rows: int) -> None:
        self.told = [figures.count(row) for row in range(rows + 1)]
        self.raised = [figures.count_raised(row) for row in range(rows + 1)]
        self.cases = [[times.cases if (times := figures.find_times(row, time)) else None for row in range(rows + 1)] for time in STAGES]
        self.unverified = [each[Count.CANCELLED_UNVERIFIED] for each in self.told]
        # For each row its stands, how many have come how far, and how many were called off without a PIN; the total is their sum.
        self.rows, self.width = rows, len(STANDS) + len(STAGES) + 1
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
            delivered, answered, sent, since, set_out, arrived = (self._at(row, len(STANDS) + place) for place in range(len(STAGES)))
            less = [raised - delivered, delivered - answered, answered - closed, answered - sent, sent - set_out, sent - arrived]
            for each in (*less, raised - verified - self._at(row, -1)):
                self._add(each, 0, np.inf)
            self._add(sent - since, 0, 0)

    def _learn(self, row: int) -> None:
        silent = self.raised[row] is None
        told = [*(self.told[row][each] for each in STANDS), *(each[row] for each in self.cases), self.unverified[row]]
        for place, number in enumerate(told):
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

    def solve_times(self, limits: Sequence[int]) -> list[tuple[int, Time, int]]:
        """The small ones of the hidden numbers of cases that have one value, with it."""
        found: list[tuple[int, Time, int]] = []
        for row, place in np.ndindex(self.rows + 1, len(STAGES)):
            if self.cases[place][row] is None:
                least, most = (self._find_end(self._at(row, len(STANDS) + place), sign) for sign in (1, -1))
                if least == most and 0 < least < limits[row]:
                    found.append((row, STAGES[place], least))
        return found

    def solve_unverified(self, limits: Sequence[int]) -> list[tuple[int, int]]:
        """Of the hidden numbers that were called off without a PIN the small ones that have one value, with it."""
        found: list[tuple[int, int]] = []
        for row, number in enumerate(self.unverified):
            if number is None:
                least, most = (self._find_end(self._at(row, -1), sign) for sign in (1, -1))
                if least == most and 0 < least < limits[row]:
                    found.append((row, least))
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
    attacker = Attacker(Figures(groups, limits), len(groups))
    assert attacker.solve() == []
    assert attacker.solve_times(limits) == []
    assert attacker.solve_unverified(limits) == []


# An open one of the second row would follow: all of the first were sent, and so as many of the third were answered as were helped.
OPEN_PINNED: list[Group] = [
    {(Count.OPEN, ARRIVED, False): 9},
    {(Count.OPEN, ARRIVED, False): 1, (Count.HELPED, ARRIVED, False): 4, (Count.CANCELLED_VERIFIED, ARRIVED, False): 2},
    {(Count.OPEN, DELIVERED, False): 4, (Count.HELPED, ARRIVED, False): 7},
]


def test_how_far_others_have_come_may_tell_how_few_are_open() -> None:
    assert Attacker(Figures(np.array([*map(make_group, OPEN_PINNED)]), [MIN_CASES] * 4), 3).solve() == []


# Of the first row three have come further, and what else is told says that all of the others have.
PINNED: list[list[Group]] = [
    [{(Count.OPEN, DELIVERED, False): 7, (Count.OPEN, ANSWERED, False): 3}, {(Count.HELPED, ANSWERED, False): 6}],
    [
        {(Count.OPEN, NOTHING, False): 7, (Count.OPEN, DELIVERED, False): 3},
        {(Count.HELPED, ANSWERED, False): 6},
        {(Count.HELPED, ANSWERED, False): 9},
    ],
    [
        {(Count.OPEN, ANSWERED, False): 7, (Count.OPEN, SENT, False): 3},
        {(Count.OPEN, ARRIVED, False): 6},
        {(Count.OPEN, ARRIVED, False): 9},
    ],
    [
        {(Count.OPEN, DELIVERED, False): 7, (Count.OPEN, ANSWERED, False): 3},
        {(Count.OPEN, SENT, False): 6},
        {(Count.OPEN, SENT, False): 9},
    ],
]


@pytest.mark.parametrize("groups", PINNED)
def test_how_far_others_have_come_may_tell_how_few_have(groups: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    table, limits = np.array([*map(make_group, groups)]), [MIN_CASES] * (len(groups) + 1)
    assert Attacker(Figures(table, limits), len(groups)).solve_times(limits) == []
    monkeypatch.setattr(Stages, "_find_plainly_safe", lambda _: np.True_)
    found = Attacker(Figures(table, limits), len(groups)).solve_times(limits)
    assert {(row, number) for row, _, number in found} == {(0, 3)}


def test_a_year_of_days_on_which_whoever_is_sent_arrives_costs_what_its_kinds_of_days_do(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [{(Count.HELPED, ARRIVED, False): 1 + day % 4, (Count.HELPED, ANSWERED, False): 5 + day % 7} for day in range(366)]
    tried, change = list[int](), Stages._change
    monkeypatch.setattr(Stages, "_change", lambda self, up, *more: tried.append(up) or change(self, up, *more))
    figures = Figures(np.array([*map(make_group, days)]), [MIN_CASES] * 367)
    assert figures.find_times(0, Time.ARRIVAL) is None
    assert len(tried) < 100


def test_how_many_were_answered_may_tell_how_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {(Count.HELPED, ANSWERED, False): 14, (Count.PRANK, ANSWERED, False): 1}
    group = np.array([make_group({**closed, (Count.OPEN, NOTHING, False): 6})])
    limits = [MIN_CASES] * 2
    assert Figures(group, limits).find_times(0, Time.ANSWER) is None
    monkeypatch.setattr(Among, "hide", lambda self, numbers, limits, also, among, most: hide_numbers(numbers, limits, also))  # noqa: ARG005
    attacker = Attacker(Figures(group, limits), 1)
    assert attacker.cases[STAGES.index(Time.ANSWER)] == [15, 15]
    assert attacker.solve() == [(row, stand) for row in (0, 1) for stand in (Count.OPEN, Count.PRANK)]


def test_how_many_were_called_off_may_tell_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    group = np.array(
        [make_group({(Count.HELPED, ANSWERED, True): 18, (Count.OPEN, NOTHING, True): 1, (Count.CANCELLED_VERIFIED, NOTHING, False): 1})]
    )
    limits = [MIN_CASES] * 2
    assert Figures(group, limits).count(0)[Count.CANCELLED_UNVERIFIED] is None
    monkeypatch.setattr(Among, "hide", lambda self, numbers, limits, also, among, most: hide_numbers(numbers, limits, also))  # noqa: ARG005
    assert (0, Count.CANCELLED_VERIFIED) in Attacker(Figures(group, limits), 1).solve()


# All that may have been called off without a PIN were: as many as the total says are all that there is room for.
FULL: Group = {(Count.CANCELLED_VERIFIED, ANSWERED, False): 6, (Count.OPEN, ANSWERED, True): 1, (Count.UNREACHABLE, ANSWERED, True): 2}


@pytest.mark.parametrize("rows", [2, 4])
def test_how_many_may_have_been_called_off_may_tell_how_many_were(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.array([make_group(FULL)] * rows + [make_group({(Count.HELPED, ANSWERED, False): 20})])
    limits = [MIN_CASES] * (rows + 2)
    assert Attacker(Figures(groups, limits), rows + 1).solve_unverified(limits) == []
    monkeypatch.setattr(Stages, "_find_plainly_safe", lambda _: np.True_)
    assert Attacker(Figures(groups, limits), rows + 1).solve_unverified(limits) == [(row, 3) for row in range(rows)]


def test_where_enough_is_open_the_answers_are_told() -> None:
    group = np.array(
        [
            make_group(
                {
                    (Count.HELPED, ANSWERED, False): 14,
                    (Count.PRANK, ANSWERED, False): 1,
                    (Count.UNREACHABLE, ANSWERED, False): 2,
                    (Count.OPEN, NOTHING, False): 6,
                }
            )
        ]
    )
    times = Figures(group, [MIN_CASES] * 2).find_times(0, Time.ANSWER)
    assert times
    assert times.cases == 17
