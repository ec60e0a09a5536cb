"""Statistical disclosure control: which numbers of a table are not told, so that none of them tells of single persons.

Small numbers are hidden, and as many others as it takes that no hidden one can be computed from what is told: by its row, by
its column, by the totals, by any number of them together, and by what whoever asks knows besides: numbers are whole, and a
hidden one is at least 1 except in a row of which nothing is told.

A table balances when its totals count as negative: each row and each column then adds up to 0. Whoever knows what is told
knows a hidden number exactly if no other table would look the same to them, and two tables that do differ by cycles: one up,
one down in each row and each column that they pass through. So a hidden number is safe if it lies on a cycle of hidden ones
of which each may be one higher or one lower, as its turn is.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# Numbers from 1 to 4 are small: the usual threshold of statistical offices for tables without a sample.
MIN_CASES = 5
# Where the persons would be in danger.
MIN_RESTRICTED_CASES = 10

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
# What nobody wants to lose: a row's total costs as much as the rest of the table, the totals' own row as much again.
_TOTAL_COST, _TOTALS_COST = 1e9, 1e12
_NO_WAY = np.inf


def hide_cells(cells: Numbers, limits: Sequence[int]) -> Mask:
    """Of a table of rows and columns the numbers that are not told, with one more column for the rows' totals and one more
    row for the columns'. `limits` is for each row, and for the totals at last, the least number that is told.

    Of the totals those that would be hidden if they were all that is told are hidden here, too: the same totals belong to several
    tables, by area, by hour, and none of those may tell what the totals hide for themselves.
    """
    alone = _hide(cells.sum(axis=0, keepdims=True), [limits[-1]] * 2, np.zeros(cells.shape[1] + 1, bool))
    return _hide(cells, limits, alone[-1])


def _hide(cells: Numbers, limits: Sequence[int], hidden_totals: Mask) -> Mask:
    table = _Table(cells, limits, hidden_totals)
    table.hide_seconds()
    while exposed := table.find_exposed():
        if not table.hide_cycle(*exposed):
            # Nothing else would keep it: then nothing is told.
            table.hidden[:] = True
            break
    # What else came to be silent is so in whatever the silent ones have.
    silent = table.hidden[:, -1]
    table.hidden[silent] |= table.values[silent].sum(axis=0) > 0
    return table.hidden


def hide_numbers(numbers: Numbers, limits: Sequence[int], also: Mask) -> Mask:
    """The same of a single column, and its total at last; `also` is what is hidden in any case, be it 0."""
    values = np.append(numbers, numbers.sum())
    small = (values > 0) & (values < limits)
    hidden = small | also
    least = np.where(also, 0, 1)
    while hidden.any() and not hidden[-1] and (hidden.sum() == 1 or (values - least)[hidden].sum() < 1):
        told = np.flatnonzero(~hidden & (values > 0))
        if not len(told):
            break
        hidden[told[np.argmin(values[told])]] = True
    if hidden[-1] and hidden.sum() == 1:
        # Its parts are told.
        hidden[np.flatnonzero(values[:-1] > 0)] = True
    return hidden


class Among:
    """Some alerts of each row, of which everybody knows that they are among those in certain columns of a table: whoever was answered
    by nobody is among the open and the called off ones. How many they are is told by a number beside the table, and may say more of
    the table than it tells itself.
    """

    def __init__(self, table: Numbers, hidden: Mask, columns: Sequence[int]) -> None:
        """`table` and what is hidden of it are with their totals."""
        self._silent: Mask = hidden[:-1, -1]
        within, hidden_within = table[:, columns], hidden[:, columns]
        elsewhere = np.delete(hidden, columns, axis=1).sum(axis=1) > 0
        # What these columns have at least, for all that is told of the row; where nothing else of it is hidden, exactly.
        self._least = np.where(hidden_within & elsewhere[:, None], 1, within).sum(axis=1)
        # And of the rows of which nothing is told, together: what the totals leave for them.
        left = ~hidden[-1, columns] & ~hidden_within[:-1][~self._silent].any(axis=0)
        self._left = within[:-1][self._silent][:, left].sum()

    def hide(self, numbers: Numbers, limits: Sequence[int], also: Mask, among: Numbers, most: Numbers) -> Mask:
        """As `hide_numbers`, and so that they say nothing more of the table. `among` is how many there are in each row, with the
        total; in a row whose number is hidden there may be as many as `most`.
        """
        room = np.minimum(self._least, most)[:-1]
        also = also | (among > self._least)
        while True:
            hidden = hide_numbers(numbers, limits, also)
            together = among[-1] - among[:-1][~hidden[:-1]].sum()
            if hidden[-1] or together <= room[hidden[:-1] & ~self._silent].sum() + self._left:
                return hidden
            # Among more rows they may be anywhere.
            more = np.where(hidden[:-1] | (numbers == 0), 0, room - among[:-1])
            also[more.argmax() if more.any() else -1] = True


class Stages:
    """Numbers beside a table of which everybody knows that each counts some of those that an earlier one counts: whoever was answered had
    been delivered. `earlier` says for each column which one that is, -1 for all of the row's alerts. Of these numbers, too, a small one
    that is hidden must not follow from the others: it may be one higher or one lower, with whatever hidden ones have to change then.
    """

    def __init__(self, numbers: Numbers, hidden: Mask, earlier: Sequence[int], most: Numbers, least: Numbers) -> None:
        """`numbers` are with their totals. `most` is how many alerts each row has; `least`, by row and column, how many it has at least by
        what is told elsewhere.
        """
        self._numbers, self._hidden, self._earlier, self._least = numbers, hidden.copy(), earlier, least
        self._later = [[later for later, its in enumerate(earlier) if its == column] for column in range(len(earlier))]
        before = [most if each < 0 else numbers[:, each] for each in earlier]
        after = [np.max([least[:, column], *(numbers[:, each] for each in later)], axis=0) for column, later in enumerate(self._later)]
        self._may_rise, self._may_fall = np.column_stack(before) > numbers, numbers > np.column_stack(after)

    def hide(self, limits: Sequence[int], silent: Mask) -> Mask:
        """`silent` are the rows of which nothing is told: what is in one of them may be in another."""
        small = (self._numbers > 0) & (self._numbers < np.asarray(limits)[:, None]) & ~silent[:, None]
        safe: set[tuple[int, int]] = set()
        while True:
            kinds = self._find_kinds()
            exposed = np.argwhere(small & ~self._find_plainly_safe())
            hiding = next((cells for row, column in exposed if (cells := self._find_cheapest(int(row), int(column), kinds, safe))), None)
            if not hiding:
                return self._hidden
            for cell in hiding:
                self._hidden[cell] = True

    def _find_kinds(self) -> Numbers:
        """Of each row but the totals' what it comes to for a change: rows of one kind do alike."""
        rows = self._numbers[:-1]
        alike = [rows[:, later] >= rows[:, its] for later, its in enumerate(self._earlier) if its >= 0]
        traits = np.column_stack((self._may_rise[:-1], rows <= self._least[:-1], self._hidden[:-1], rows > 0, *alike))
        return traits @ (1 << np.arange(traits.shape[1]))

    def _find_plainly_safe(self) -> Mask:
        """Where one other number of its column makes up for it, or its total does, and nothing else changes."""
        rise, fall = (self._hidden & each for each in (self._may_rise, self._may_fall))
        rise[-1] = fall[-1] = False
        others_rise, others_fall = (each.sum(axis=0) - each > 0 for each in (rise, fall))
        safe = (rise & (others_fall | self._hidden[-1])) | (fall & (others_rise | self._hidden[-1]))
        safe[-1] = rise.any(axis=0)
        return safe

    def _find_cheapest(self, row: int, column: int, kinds: Numbers, safe: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """What has to be hidden, too, for a number to be safe; nothing where it is. `safe` are the kinds and columns found so before."""
        total = len(self._numbers) - 1
        kind = int(kinds[row]) if row < total else -1
        if (kind, column) in safe:
            return set()
        cheapest: set[tuple[int, int]] | None = None
        for cells in self._find_changes(row, column, kinds):
            more = {cell for cell in cells if not self._hidden[cell]}
            if not more:
                safe.add((kind, column))
                return more
            if cheapest is None or self._find_cost(more) < self._find_cost(cheapest):
                cheapest = more
        # Where the rows leave no room of their own, it is among those of which nothing is told.
        every_total = {(total, each) for each in range(len(self._earlier)) if not self._hidden[total, each]}
        return every_total if cheapest is None else cheapest

    def _find_changes(self, row: int, column: int, kinds: Numbers) -> Iterator[set[tuple[int, int]]]:
        """By which a hidden number would be another one, with the least row of each kind; of the totals, as one of their rows is."""
        order = np.argsort(self._numbers[:-1].sum(axis=1), kind="stable")
        others = order[order != row]
        rows = others[np.unique(kinds[others], return_index=True)[1]].tolist()
        pairs = [(row, other) for other in rows] if row < len(kinds) else [(each, each) for each in rows]
        if len(kinds) == 1:
            pairs = [(0, 0)]
        for kept in (~self._hidden[-1], np.zeros(len(self._earlier), bool)):
            for one, other in pairs:
                for cells in (self._change(one, other, {column}, set(), kept), self._change(other, one, set(), {column}, kept)):
                    if cells is not None:
                        yield cells

    def _change(self, up: int, down: int, rising: set[int], falling: set[int], kept: Mask) -> set[tuple[int, int]] | None:
        """The cells that change where numbers of the row `up` rise and of `down` fall, with all that these take with them; None where that
        cannot be. `kept` are the columns whose totals stay as they are.
        """
        seen = -1
        while seen < (seen := len(rising) + len(falling)):
            for each in [*rising]:
                if not self._may_rise[up, each]:
                    rising.add(self._earlier[each])
                if kept[each]:
                    falling.add(each)
            if -1 in rising or any(self._numbers[down, each] <= self._least[down, each] for each in falling):
                return None
            for each in [*falling]:
                falling.update(later for later in self._later[each] if self._numbers[down, later] >= self._numbers[down, each])
                if kept[each]:
                    rising.add(each)
        total = len(self._numbers) - 1
        cells = {(up, each) for each in rising} | {(down, each) for each in falling} | {(total, each) for each in rising ^ falling}
        possible = up != down or not (rising and falling)
        possible &= all(self._numbers[total, each] > self._least[total, each] for each in falling - rising)
        # What is nothing is told as such.
        return cells if possible and all(self._numbers[cell] or self._hidden[cell] for cell in cells) else None

    def _find_cost(self, cells: Iterable[tuple[int, int]]) -> float:
        total = len(self._numbers) - 1
        return sum(self._numbers[cell] + (_TOTAL_COST if cell[0] == total else 0) for cell in cells)


class _Table:
    """With its totals, and what is hidden of it so far."""

    def __init__(self, cells: Numbers, limits: Sequence[int], hidden_totals: Mask) -> None:
        rows = np.column_stack((cells, cells.sum(axis=1)))
        self.values: Numbers = np.vstack((rows, rows.sum(axis=0)))
        self.hidden: Mask = (self.values > 0) & (self.values < np.asarray(limits)[:, None])
        self.hidden[-1] |= hidden_totals
        # Of a row whose total is hidden nothing is told, not even in which columns it has nothing, as long as others have something.
        silent = self.hidden[:, -1]
        self.hidden[silent] = self.values[-1] > 0
        least = np.ones_like(self.values)
        least[silent, :-1] = 0
        positive = np.ones(self.values.shape, bool)
        positive[-1] = positive[:, -1] = False
        positive[-1, -1] = True
        # Whether a number, were it hidden, may for all that others know be one higher or one lower; of a total it is the other way round.
        lower = self.values > least
        self._may_rise, self._may_fall = positive | lower, ~positive | lower
        self._cost = self.values.astype(float)
        self._cost[:, -1] += _TOTAL_COST
        self._cost[-1] += _TOTALS_COST
        self._cost[(self.values == 0) & ~self.hidden] = _NO_WAY

    def hide_seconds(self) -> None:
        """In each row of which one number is hidden the smallest other one that may fall: it could be computed, however the
        columns are.
        """
        fit = ~self.hidden[:-1, :-1] & self._may_fall[:-1, :-1]
        rows = np.flatnonzero((self.hidden[:-1].sum(axis=1) == 1) & fit.any(axis=1))
        smallest = np.where(fit[rows], self.values[rows, :-1], np.iinfo(np.int64).max).argmin(axis=1)
        self.hidden[rows, smallest] = True

    def find_exposed(self) -> tuple[int, int] | None:
        """A hidden number that can be computed; None where all are safe."""
        rise, fall = self._may_rise & self.hidden, self._may_fall & self.hidden
        # One more in column a and one less in column b, within a row: how many rows could do it.
        steps = (rise[:, :, None] & fall[:, None, :]).astype(np.int32)
        elsewhere = steps.sum(axis=0) - steps > 0
        reach = elsewhere | np.eye(rise.shape[1], dtype=bool)
        for _ in range(int(np.ceil(np.log2(rise.shape[1])))):
            reach = np.matmul(reach.astype(np.int32), reach.astype(np.int32)) > 0
        np.einsum("rii->ri", reach)[:] = False
        # One more here, one less in column b of this row, and back from b to here through other rows; or the other way round.
        up = rise & (reach & fall[:, :, None]).any(axis=1)
        down = fall & (reach & rise[:, None, :]).any(axis=2)
        exposed = np.argwhere(self.hidden & ~up & ~down)
        if not len(exposed):
            return None
        row, column = exposed[0]
        return int(row), int(column)

    def hide_cycle(self, row: int, column: int) -> bool:
        """Hides the cheapest cycle through a number; False where there is none."""
        best, cells = _NO_WAY, list[tuple[int, int]]()
        for rise, fall in ((self._may_rise, self._may_fall), (self._may_fall, self._may_rise)):
            if not rise[row, column]:
                continue
            cost, found = self._find_cycle(row, column, rise, fall)
            if cost < best:
                best, cells = cost, found
        for each in cells:
            self.hidden[each] = True
        return bool(cells)

    def _find_cycle(self, row: int, column: int, rise: Mask, fall: Mask) -> tuple[float, list[tuple[int, int]]]:
        """From the number, one up, to the others of its row, one down, and from there through other rows back to its column."""
        cost = np.where(self.hidden, 0.0, self._cost)
        up, down = np.where(rise, cost, _NO_WAY), np.where(fall, cost, _NO_WAY)
        # The cheapest row for one up in column a and one down in column b, and what it costs.
        others = np.arange(len(cost)) != row
        through = up[others][:, :, None] + down[others][:, None, :]
        at = np.flatnonzero(others)[through.argmin(axis=0)]
        step = through.min(axis=0)
        np.fill_diagonal(step, _NO_WAY)
        # Shortest ways from the row's other columns to this one: Bellman and Ford's, over a handful of columns.
        columns = range(cost.shape[1])
        distance = [down[row, each] if each != column else _NO_WAY for each in columns]
        previous = [-1] * len(distance)
        for _ in columns:
            for a in columns:
                for b in columns:
                    if a != column and distance[a] + step[a, b] < distance[b]:
                        distance[b], previous[b] = distance[a] + step[a, b], a
        if distance[column] == _NO_WAY:
            return _NO_WAY, []
        cells, here = [(row, column)], column
        while (before := previous[here]) >= 0:
            cells += [(int(at[before, here]), before), (int(at[before, here]), here)]
            here = before
        return distance[column], [*cells, (row, here)]
