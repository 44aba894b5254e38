"""Policies that look only at what is free: baselines."""

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.policy import Reals, Scored, tightest_cards
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import Choice, Refusal, Task


class FirstFit(Scored):
    """The first node in the list on which the task fits; a share on its tightest card."""

    name = "first-fit"

    def score(self, task: Task, rows: NDArray[np.int64]) -> tuple[Reals, NDArray[np.int64]]:
        return rows.astype(np.float64), tightest_cards(self.state, task, rows)


class RandomFit(Scored):
    """Any node on which the task fits, each with equal chance."""

    name = "random"

    def __init__(self, state: State, random: np.random.Generator) -> None:
        super().__init__(state)
        self.random = random

    def choose(self, task: Task) -> Choice | Refusal:
        rows = np.flatnonzero(self.state.fits(task))
        if not len(rows):
            return self.state.why_not(task)
        row = rows[self.random.integers(len(rows))]
        return self.choice(task, int(row), int(tightest_cards(self.state, task, rows[rows == row])[0]))


class BestFit(Scored):
    """The node with least left over, as the sum of the shares of the site's largest CPU, memory and number of cards."""

    name = "best-fit"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.most = np.array([max(int(c.max(initial=0)), 1) for c in (state.cpu, state.memory, state.left)], np.float64)

    def parts(self, rows: NDArray[np.int64]) -> Reals:
        state = self.state
        return np.stack((state.cpu[rows], state.memory[rows], state.left[rows]), axis=1) / self.most

    def asked(self, task: Task) -> Reals:
        return np.array([task.cpu_milli, task.memory_mib, task.total_milli], np.float64) / self.most

    def score(self, task: Task, rows: NDArray[np.int64]) -> tuple[Reals, NDArray[np.int64]]:
        return (self.parts(rows) - self.asked(task)).sum(axis=1), tightest_cards(self.state, task, rows)


class DotProduct(BestFit):
    """The node whose free resources, as a vector, have the least scalar product with what the task asks for."""

    name = "dot-product"

    def score(self, task: Task, rows: NDArray[np.int64]) -> tuple[Reals, NDArray[np.int64]]:
        return self.parts(rows) @ self.asked(task), tightest_cards(self.state, task, rows)
