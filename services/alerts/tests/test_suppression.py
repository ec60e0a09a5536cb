"""Whoever knows all that is told of a table computes none of the numbers that are hidden."""

from collections.abc import Sequence

import numpy as np
import pytest
from attacking import Attacker
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from alerts.model import suppression
from alerts.model.suppression import MIN_CASES, MIN_RESTRICTED_CASES, Mask, Numbers, hide_cells, hide_numbers

# Mostly small numbers: there is something to hide everywhere.
NUMBERS = st.one_of(st.just(0), st.integers(0, 6), st.integers(0, 12), st.integers(0, 200))


def tables(most_rows: int = 7, columns: int = 7) -> st.SearchStrategy[Numbers]:
    shapes = st.tuples(st.integers(1, most_rows), st.integers(1, columns))
    return shapes.flatmap(lambda shape: arrays.arrays(np.int64, shape, elements=NUMBERS))


def with_totals(cells: Numbers) -> Numbers:
    rows = np.column_stack((cells, cells.sum(axis=1)))
    return np.vstack((rows, rows.sum(axis=0)))


def attack(cells: Numbers, limits: Sequence[int], hidden: Mask) -> Attacker:
    table = with_totals(cells)
    small = (table > 0) & (table < np.asarray(limits)[:, None])
    assert (hidden >= small & (table > 0)).all(), "a small number is told"
    return Attacker(table, hidden, hidden[:, -1])


@given(cells=tables(), restricted=st.integers(-1, 6))
@settings(max_examples=150, deadline=None)
def test_no_hidden_number_can_be_computed(cells: Numbers, restricted: int) -> None:
    limits = [MIN_RESTRICTED_CASES if row == restricted else MIN_CASES for row in range(len(cells))] + [MIN_CASES]
    attacker = attack(cells, limits, hide_cells(cells, limits))
    assert attacker.solve_linearly() == []
    assert attacker.solve_in_whole_numbers() == []


@given(cells=tables())
@settings(max_examples=150, deadline=None)
def test_what_a_total_hides_alone_it_hides_in_every_table(cells: Numbers) -> None:
    alone = hide_cells(cells.sum(axis=0, keepdims=True), [MIN_CASES] * 2)[-1]
    assert (hide_cells(cells, [MIN_CASES] * (len(cells) + 1))[-1] | ~alone).all()


@given(numbers=arrays.arrays(np.int64, st.integers(1, 12), elements=NUMBERS), also=st.lists(st.integers(0, 11), max_size=2))
@settings(max_examples=150, deadline=None)
def test_no_hidden_number_of_a_column_can_be_computed(numbers: Numbers, also: list[int]) -> None:
    silent = np.array([row in also for row in range(len(numbers))] + [False])
    limits = [MIN_CASES] * (len(numbers) + 1)
    hidden = hide_numbers(numbers, limits, silent)
    values = np.append(numbers, numbers.sum())
    assert (hidden >= silent).all()
    assert (hidden >= (values > 0) & (values < MIN_CASES)).all()
    unknown = int(hidden.sum())
    if hidden[-1]:
        assert unknown != 1
    elif unknown:
        # One equation for all of them, and it leaves room for another solution.
        known_least = (~silent[hidden]).sum()
        assert values[hidden].sum() == 0 or (unknown > 1 and values[hidden].sum() > known_least)


def test_a_large_table_hides_nothing() -> None:
    cells = np.full((6, 7), 100)
    assert not hide_cells(cells, [MIN_CASES] * 7).any()


def test_an_empty_table_hides_nothing() -> None:
    assert not hide_cells(np.zeros((24, 7), np.int64), [MIN_CASES] * 25).any()
    assert not hide_numbers(np.zeros(24, np.int64), [MIN_CASES] * 25, np.zeros(25, bool)).any()


def test_one_small_number_takes_three_others_with_it_and_no_total() -> None:
    cells = np.full((4, 5), 100)
    cells[1, 2] = 3
    cells[3, 4] = 50
    hidden = hide_cells(cells, [MIN_CASES] * 5)
    assert hidden.sum() == 4
    assert hidden[1, 2]
    assert not hidden[-1].any()
    assert not hidden[:, -1].any()


def test_two_rows_of_a_single_alert_are_not_told_by_their_sum() -> None:
    # The others leave 2 for the two of them, and none is 0: without a third hidden row everybody knows that each is 1.
    cells = np.array([[1], [1], [50], [60]])
    hidden = hide_cells(cells, [MIN_CASES] * 5)
    assert hidden[:3, -1].all()


def test_a_row_of_a_few_alerts_does_not_say_how_they_ended() -> None:
    cells = np.array([[3, 0, 0], [40, 10, 10], [50, 20, 30]])
    assert hide_cells(cells, [MIN_CASES] * 4)[0].all()


@pytest.mark.parametrize("kind_cases", [5, 9])
def test_a_restricted_row_is_hidden_up_to_nine(kind_cases: int) -> None:
    cells = np.array([[kind_cases], [40], [50]])
    assert hide_cells(cells, [MIN_RESTRICTED_CASES, MIN_CASES, MIN_CASES, MIN_CASES])[0].all()
    assert not hide_cells(cells, [MIN_CASES] * 4).any()


def test_the_only_row_takes_the_total_with_it() -> None:
    hidden = hide_cells(np.array([[7, 0]]), [MIN_RESTRICTED_CASES, MIN_CASES])
    assert hidden[:, -1].all()


class TestMutants:
    """Hiding less than that is found out by the attacker."""

    CELLS = np.array([[100, 3, 40, 9], [80, 60, 30, 50], [70, 20, 90, 60], [2, 30, 40, 20]])
    LIMITS = (MIN_CASES,) * 5

    def test_small_numbers_alone_are_computed_from_their_rows(self) -> None:
        table = with_totals(self.CELLS)
        assert attack(self.CELLS, self.LIMITS, (table > 0) & (table < MIN_CASES)).solve_linearly() == [(0, 1), (3, 0)]

    def test_a_second_number_in_each_row_alone_is_computed_from_the_columns(self) -> None:
        table = suppression._Table(self.CELLS, self.LIMITS, np.zeros(self.CELLS.shape[1] + 1, bool))
        table.hide_seconds()
        assert attack(self.CELLS, self.LIMITS, table.hidden).solve_linearly()

    def test_two_hidden_numbers_in_each_row_and_column_are_not_enough(self) -> None:
        # Two rectangles that one number joins, which lies on no cycle.
        hidden = np.zeros((5, 6), bool)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (1, 2)):
            hidden[row, column] = True
        cells = np.full((4, 5), 20)
        assert all(count != 1 for count in (*hidden.sum(axis=0), *hidden.sum(axis=1)))
        assert attack(cells, self.LIMITS, hidden).solve_linearly() == [(1, 2)]

    def test_cells_whose_sum_leaves_no_choice_are_computed_in_whole_numbers_alone(self) -> None:
        cells = np.array([[1], [1], [50], [60]])
        hidden = np.zeros((5, 2), bool)
        hidden[:2] = True
        attacker = attack(cells, self.LIMITS, hidden)
        assert attacker.solve_linearly() == []
        assert (0, 1) in attacker.solve_in_whole_numbers()
