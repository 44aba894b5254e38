"""How much any scheduler could allocate, were all arrivals known beforehand: the optimum of a linear programme.

Nodes that are alike are one group; tasks that are alike one kind. What is relaxed: a kind may be split, and CPU, memory and cards count
for a group as a whole, as if its nodes were one. What is kept: shares are cut from single cards by whole patterns (columns made until none
is missing), and of a group no more gangs are placed than its nodes hold side by side. So no schedule, with or without refusals, is better.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import highspy
import numpy as np
from numpy.typing import NDArray

from zhisuan.base.solver import Solver
from zhisuan.placement.cards.types import CARD, Node, Task

Reals = NDArray[np.float64]
Group = tuple[int, int, int, str]
TOLERANCE = 1e-6


def bound_milli(nodes: Sequence[Node], tasks: Iterable[Task]) -> float:
    """Milli of cards, at most, of ``tasks`` that ``nodes`` could hold at once."""
    wanted = Counter(task for task in tasks if task.num_gpu)
    if not wanted:
        return 0.0
    return _Bound(Counter((n.cpu_milli, n.memory_mib, n.cards, n.model) for n in nodes if n.cards), wanted).solve()


def first_to_fill(tasks: Iterable[Task], capacity_milli: int) -> list[Task]:
    """The tasks up to and with the one with which as much has been asked for as there is."""
    taken: list[Task] = []
    asked = 0
    for task in tasks:
        if asked >= capacity_milli:
            break
        taken.append(task)
        asked += task.total_milli
    return taken


class _Bound:
    def __init__(self, groups: Counter[Group], wanted: Counter[Task]) -> None:
        self.groups = sorted(groups)
        self.unit = math.gcd(CARD, *(task.gpu_milli for task in wanted))
        self.sizes = sorted({task.gpu_milli // self.unit for task in wanted})
        self.highs = Solver()
        self.rows: dict[tuple[object, ...], int] = {}
        for task in sorted(wanted):
            self._row(("task", task), wanted[task])
        for group in self.groups:
            count = groups[group]
            self._row(("cpu", group), group[0] * count)
            self._row(("memory", group), group[1] * count)
            self._row(("cards", group), group[2] * count)
            for size in self.sizes:
                self._row(("size", group, size), 0)
            for number in sorted({t.num_gpu for t in wanted if t.num_gpu > 1}):
                self._row(("gang", group, number), group[2] // number * count)
        for task in sorted(wanted):
            self._task_columns(task)

    def _row(self, key: tuple[object, ...], most: int) -> None:
        self.rows[key] = len(self.rows)
        self.highs.addRow(-highspy.kHighsInf, most, 0, np.zeros(0, np.int32), np.zeros(0))

    def _column(self, gain: int, entries: dict[int, int]) -> None:
        rows = np.array(list(entries), np.int32)
        self.highs.addCol(-gain, 0, highspy.kHighsInf, len(rows), rows, np.array(list(entries.values()), np.float64))

    def _task_columns(self, task: Task) -> None:
        for group in self.groups:
            cpu, memory, cards, model = group
            if (
                cpu < task.cpu_milli
                or memory < task.memory_mib
                or cards < task.num_gpu
                or (task.models and model not in task.models)
            ):
                continue
            entries = {
                self.rows["task", task]: 1,
                self.rows["cpu", group]: task.cpu_milli,
                self.rows["memory", group]: task.memory_mib,
                self.rows["size", group, task.gpu_milli // self.unit]: task.num_gpu,
            }
            if task.num_gpu > 1:
                entries[self.rows["gang", group, task.num_gpu]] = 1
            self._column(task.total_milli, entries)

    def _pattern(self, group: Group, counts: Counter[int]) -> None:
        entries = {self.rows["size", group, size]: -count for size, count in sorted(counts.items())}
        entries[self.rows["cards", group]] = 1
        self._column(0, entries)

    def solve(self) -> float:
        whole = CARD // self.unit
        for group in self.groups:
            for size in self.sizes:
                self._pattern(group, Counter({size: whole // size}))
        while True:
            self.highs.run()
            duals = -np.array(self.highs.getSolution().row_dual)
            missing = False
            for group in self.groups:
                worth, counts = self._best_pattern([duals[self.rows["size", group, size]] for size in self.sizes])
                if worth > duals[self.rows["cards", group]] + TOLERANCE * CARD:
                    self._pattern(group, counts)
                    missing = True
            if not missing:
                return -float(self.highs.getInfo().objective_function_value)

    def _best_pattern(self, worth: Sequence[float]) -> tuple[float, Counter[int]]:
        """The pattern of one card that is worth most: a knapsack over its units."""
        whole = CARD // self.unit
        best, last = [0.0] * (whole + 1), [0] * (whole + 1)
        for room in range(1, whole + 1):
            best[room] = best[room - 1]
            for n, size in enumerate(self.sizes):
                if size > room:
                    break
                if worth[n] + best[room - size] > best[room] + TOLERANCE:
                    best[room], last[room] = worth[n] + best[room - size], size
        counts: Counter[int] = Counter()
        room = whole
        while room > 0:
            if last[room]:
                counts[last[room]] += 1
            room -= last[room] or 1
        return best[whole], counts
