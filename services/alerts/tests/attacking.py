"""Somebody who wants to know what is hidden of a table."""

from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from alerts.model.suppression import Mask, Numbers


class Attacker:
    """Knows what is told, that totals are totals, and that a hidden number is at least 1 unless its row's total is hidden, too."""

    def __init__(self, table: Numbers, hidden: Mask, silent: Mask) -> None:
        self.table, self.hidden = table, hidden
        rows, columns = table.shape
        places = np.full(table.shape, -1)
        places[hidden] = np.arange(hidden.sum())
        equations, right = list[Any](), list[float]()
        for number in range(rows + columns):
            cells = [(number, column) for column in range(columns)] if number < rows else [(row, number - rows) for row in range(rows)]
            equation, known = np.zeros(hidden.sum()), 0
            for index, cell in enumerate(cells):
                sign = -1 if index == len(cells) - 1 else 1
                if hidden[cell]:
                    equation[places[cell]] = sign
                else:
                    known += sign * table[cell]
            equations.append(equation)
            right.append(-known)
        self.equations, self.right = np.array(equations), np.array(right)
        least = np.ones(table.shape)
        least[silent, :-1] = 0
        self.least = least[hidden]

    def solve_linearly(self) -> list[tuple[int, int]]:
        """The hidden numbers that follow from the equations alone: whose own equation adds nothing to their rank."""
        rank = np.linalg.matrix_rank(self.equations) if len(self.least) else 0
        found: list[tuple[int, int]] = []
        for index, cell in enumerate(np.argwhere(self.hidden)):
            alone = np.zeros(len(self.least))
            alone[index] = 1
            if np.linalg.matrix_rank(np.vstack((self.equations, alone))) == rank:
                found.append(tuple(cell))
        return found

    def solve_in_whole_numbers(self) -> list[tuple[int, int]]:
        """Those that have one value in every table of whole numbers that looks the same."""
        found: list[tuple[int, int]] = []
        for index, cell in enumerate(np.argwhere(self.hidden)):
            ends: list[float] = []
            for sign in (1, -1):
                aim = np.zeros(len(self.least))
                aim[index] = sign
                bounds = Bounds(self.least, np.full(len(self.least), 1e5))
                result = milp(
                    aim, integrality=np.ones(len(aim)), bounds=bounds, constraints=LinearConstraint(self.equations, self.right, self.right)
                )
                assert result.success, "the table itself is a solution"
                ends.append(round(sign * result.fun))
            if ends[0] == ends[1]:
                found.append(tuple(cell))
        return found
