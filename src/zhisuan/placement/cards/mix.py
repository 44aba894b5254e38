"""What kinds of task come, and how often: the distribution that a policy reckons with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.types import Task

Reals = NDArray[np.float64]
MOST = 192
"""So many kinds of task at most are reckoned with; the rarest beyond them are left out."""


@dataclass(slots=True)
class Mix:
    """How often each kind of task has come. ``learns``: each arrival is counted; otherwise it is what it was made of."""

    counts: Counter[Task] = field(default_factory=Counter)
    learns: bool = True
    arrived: int = 0
    arrived_milli: int = 0

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> "Mix":
        """The distribution of a published list."""
        return cls(Counter(tasks), learns=False)

    def see(self, task: Task) -> None:
        """A task has come."""
        self.arrived += 1
        self.arrived_milli += task.total_milli
        if self.learns:
            self.counts[task] += 1

    def most_frequent(self, most: int = MOST) -> list[tuple[Task, int]]:
        """Most frequent first, equals in the order of their figures; the same for the same counts in whatever order they came."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:most]

    def most_demanded(self, most: int) -> list[tuple[Task, int]]:
        """Those that ask for cards, by what all of a kind ask for together, most first."""
        asked = [item for item in self.counts.items() if item[0].num_gpu]
        return sorted(asked, key=lambda item: (-item[1] * item[0].total_milli, item[0]))[:most]


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """Tasks that ask for cards as columns: a row is a kind of task, ``shape`` its number of cards and share of each."""

    cpu: Reals
    memory: Reals
    count: Reals
    shape: NDArray[np.int64]
    shape_number: Reals
    shape_milli: Reals
    allowed: Reals
    """1 for a model (row) on which a kind (column) may run."""

    @classmethod
    def of(cls, frequent: Sequence[tuple[Task, int]], models: Sequence[str]) -> "Kinds":
        asked = [(task, count) for task, count in frequent if task.num_gpu]
        shapes = sorted({(task.num_gpu, task.gpu_milli) for task, _ in asked})
        number = {shape: n for n, shape in enumerate(shapes)}
        pairs = np.array(shapes, np.float64).reshape(len(shapes), 2)
        allowed = [[not task.models or model in task.models for task, _ in asked] for model in models]
        return cls(
            np.array([task.cpu_milli for task, _ in asked], np.float64),
            np.array([task.memory_mib for task, _ in asked], np.float64),
            np.array([count for _, count in asked], np.float64),
            np.array([number[task.num_gpu, task.gpu_milli] for task, _ in asked], np.int64),
            pairs[:, 0],
            pairs[:, 1],
            np.array(allowed, np.float64).reshape(len(models), len(asked)),
        )
