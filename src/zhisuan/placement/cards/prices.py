"""What a card is worth: a linear programme over the demand that is still to be expected, solved between decisions.

Cards of one model are one kind of good. Shares are cut from cards as patterns, so that what is left over of a card counts
(Gilmore and Gomory's cutting stock, patterns made as they are wanted); CPU and memory are counted for each model. The dual prices say
what a share, and so a card with so much free, is worth on each model; the primal figures say which part of each kind of demand there
will be room for.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TypeAlias

import highspy
import numpy as np
from numpy.typing import NDArray

from zhisuan.base.solver import Solver
from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import CARD, Task

Reals = NDArray[np.float64]
UNITS = 100
"""A card in the programme; sizes are rounded up to it, what is free is rounded down."""
COARSE = 5
ROUNDS = 8
Sort = tuple[int, int, tuple[str, ...]]
"""Number of cards, milli of each, models: what the programme tells apart."""
Number: TypeAlias = int | np.float64


def sort_of(task: Task) -> Sort:
    return (task.num_gpu, task.gpu_milli, task.models)


def units_of(milli: int) -> int:
    return -(-milli * UNITS // CARD)


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """In milli of a card, for each model ``j``: ``worth[j, u]`` of a card with ``u`` units free, ``cpu[j]`` of 1/1000 core,
    ``memory[j]`` of a MiB, ``gangs[number][j]`` of so many whole cards being on one node.

    ``room``: per mille of each kind's demand for which there will be room.
    """

    worth: Reals
    cpu: Reals
    memory: Reals
    gangs: dict[int, Reals]
    room: dict[Sort, int]

    @classmethod
    def none(cls, state: State) -> "Prices":
        """Before anything is known of demand: all is free."""
        nothing = np.zeros(len(state.models))
        return cls(np.zeros((len(state.models), UNITS + 1)), nothing, nothing, {}, {})


class Programme:
    """Keeps the patterns that were of use, so that the next solution needs few rounds."""

    def __init__(self, state: State, mix: Mix) -> None:
        self.state = state
        self.mix = mix
        self.pool: dict[int, set[tuple[tuple[int, int], ...]]] = defaultdict(set)

    def solve(self, expected_milli: int) -> Prices:
        """Prices for demand of about ``expected_milli`` with the mix's distribution."""
        return _Model(self, expected_milli).solve()


class _Model:
    def __init__(self, programme: Programme, expected_milli: int) -> None:
        self.state = state = programme.state
        self.pool = programme.pool
        frequent = programme.mix.most_frequent(10**6)
        total = max(sum(t.total_milli * k for t, k in frequent), 1)
        demand: Counter[Sort] = Counter()
        cpu: Counter[Sort] = Counter()
        memory: Counter[Sort] = Counter()
        for task, count in frequent:
            sort = sort_of(task)
            demand[sort] += count
            cpu[sort] += count * task.cpu_milli
            memory[sort] += count * task.memory_mib
        self.sorts = sorted(s for s in demand if s[0])
        self.demand = {s: np.float64(demand[s] * expected_milli) / total for s in demand}
        self.cpu_mean = {s: np.float64(cpu[s]) / demand[s] for s in demand}
        self.memory_mean = {s: np.float64(memory[s]) / demand[s] for s in demand}
        self.sizes = sorted({units_of(s[1]) for s in self.sorts})
        self.size = {size: n for n, size in enumerate(self.sizes)}
        self.models = range(len(state.models))
        self.levels = self._levels()
        self.highs = Solver()
        self._rows()
        self._demand_columns()
        self.known: list[set[tuple[int, tuple[tuple[int, int], ...]]]] = [set() for _ in self.models]
        self.pattern_columns: list[tuple[int, tuple[tuple[int, int], ...]]] = []

    def _levels(self) -> dict[tuple[int, int], int]:
        """How many cards of a model have so many units free; rounded down, but for cards that are free altogether."""
        state = self.state
        found: Counter[tuple[int, int]] = Counter()
        least = self.sizes[0] if self.sizes else UNITS
        units = state.free * UNITS // CARD
        units = np.where(units < UNITS, units // COARSE * COARSE, units)
        pairs, counts = np.unique(
            np.stack((np.repeat(state.model, units.shape[1]), units.ravel())), axis=1, return_counts=True
        )
        for (j, level), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            if level >= least:
                found[j, level] = count
        return dict(found)

    def _rows(self) -> None:
        state, inf = self.state, highspy.kHighsInf
        self.row: dict[tuple[object, ...], int] = {}
        bounds: list[Number] = []

        def row(key: tuple[object, ...], most: Number) -> None:
            self.row[key] = len(bounds)
            bounds.append(most)

        for sort in self.sorts:
            row(("demand", sort), self.demand[sort])
        row(("demand", "cpu"), sum((self.demand[s] * self.cpu_mean[s] for s in self.demand if not s[0]), np.float64(0)))
        for j in self.models:
            of = state.model == j
            row(("cpu", j), int(state.cpu[of].sum()))
            row(("memory", j), int(state.memory[of].sum()))
            for size in self.sizes:
                row(("slots", j, size), 0)
            for number in sorted({s[0] for s in self.sorts if s[0] > 1}):
                row(("gang", j, number), int((state.whole[of] // number).sum()))
        for key, count in sorted(self.levels.items()):
            row(("level", *key), count)
        for most in bounds:
            self.highs.addRow(-inf, most, 0, np.zeros(0, np.int32), np.zeros(0))

    def _column(self, gain: int, entries: dict[int, Number]) -> None:
        rows = np.array(list(entries), np.int32)
        self.highs.addCol(-gain, 0, highspy.kHighsInf, len(rows), rows, np.array(list(entries.values()), np.float64))

    def _demand_columns(self) -> None:
        row, state = self.row, self.state
        most_cards = [int(state.cards[state.model == j].max()) for j in self.models]
        gangs = sorted({s[0] for s in self.sorts if s[0] > 1})
        self.column_sorts: list[Sort] = []
        for sort in self.sorts:
            number, milli, models = sort
            for j in self.models:
                if number > most_cards[j] or (models and state.models[j] not in models):
                    continue
                entries: dict[int, Number] = {
                    row["demand", sort]: 1,
                    row["cpu", j]: self.cpu_mean[sort],
                    row["memory", j]: self.memory_mean[sort],
                    row["slots", j, units_of(milli)]: number,
                }
                entries |= {row["gang", j, g]: number // g for g in gangs if g <= number}
                self._column(number * milli, entries)
                self.column_sorts.append(sort)
        for j in self.models:
            self._column(CARD, {row["demand", "cpu"]: 1, row["cpu", j]: 1})
        self.first_pattern = len(self.column_sorts) + len(self.models)

    def _pattern(self, j: int, level: int, pattern: tuple[tuple[int, int], ...]) -> bool:
        key = (level, pattern)
        if key in self.known[j] or not pattern:
            return False
        self.known[j].add(key)
        entries: dict[int, Number] = {self.row["slots", j, size]: -count for size, count in pattern}
        entries[self.row["level", j, level]] = 1
        self._column(0, entries)
        self.pattern_columns.append(key)
        return True

    def solve(self) -> Prices:
        for j, level in sorted(self.levels):
            for size in self.sizes:
                if size <= level:
                    self._pattern(j, level, ((size, level // size),))
            for pattern in sorted(self.pool[level]):
                if all(size in self.size for size, _ in pattern):
                    self._pattern(j, level, pattern)
        worth = np.zeros((len(self.models), UNITS + 1))
        for _ in range(ROUNDS):
            self.highs.run()
            duals = -np.array(self.highs.getSolution().row_dual)
            added = False
            for j in self.models:
                slot = [max(duals[self.row["slots", j, size]], 0) for size in self.sizes]
                worth[j], last = self._cut(slot)
                for k, level in sorted(self.levels):
                    if k == j and worth[j, level] > duals[self.row["level", j, level]] + 1 / CARD:
                        added |= self._pattern(j, level, self._read(last, level))
            if not added:
                break
        solution = self.highs.getSolution()
        values = np.array(solution.col_value)
        self._remember(values)
        room: Counter[Sort] = Counter()
        for n, sort in enumerate(self.column_sorts):
            room[sort] += values[n]
        per_mille = {s: int(CARD * room[s] / self.demand[s]) if self.demand[s] else CARD for s in self.sorts}
        gangs = {number: self._dual(duals, "gang", number) for number in sorted({s[0] for s in self.sorts if s[0] > 1})}
        return Prices(worth, self._dual(duals, "cpu"), self._dual(duals, "memory"), gangs, per_mille)

    def _dual(self, duals: Reals, name: str, *more: int) -> Reals:
        return np.array([max(duals[self.row[(name, j, *more)]], 0) for j in self.models], np.float64)

    def _cut(self, slot: list[Number]) -> tuple[Reals, list[int]]:
        """The most that a card with so many units free is worth, and the size cut off last there; -1 for a unit left over."""
        best: list[Number] = [0] * (UNITS + 1)
        last = [-1] * (UNITS + 1)
        for units in range(1, UNITS + 1):
            best[units] = best[units - 1]
            for n, size in enumerate(self.sizes):
                if size > units:
                    break
                worth = slot[n] + best[units - size]
                if worth > best[units] + 1 / CARD**2:
                    best[units], last[units] = worth, size
        return np.array(best, np.float64), last

    def _read(self, last: list[int], units: int) -> tuple[tuple[int, int], ...]:
        found: Counter[int] = Counter()
        while units > 0:
            size = last[units]
            found[size] += size > 0
            units -= max(size, 1)
        return tuple(sorted((size, count) for size, count in found.items() if count))

    def _remember(self, values: Reals) -> None:
        self.pool.clear()
        for (level, pattern), value in zip(self.pattern_columns, values[self.first_pattern :].tolist(), strict=True):
            if value * CARD > 1:
                self.pool[level].add(pattern)
