"""Fragmentation gradient descent, after Weng et al., "Beware of Fragmentation", USENIX ATC 2023.

The fragmentation of a node, for a kind of task, is what its cards have free and that kind cannot use: all of it where the task
does not fit (CPU, memory, cards, model) or asks for no card; else what is free on cards that have less free than the task takes of
each. The node's fragmentation is the mean over the workload's distribution. A task goes to the node, and a share to the card,
where fragmentation grows least.

The paper's authors rank nodes by a whole number of 0 to 100, ``floor(100 · sigmoid(decrease in cards))``, and take equals by
chance; so does this. ``exact`` ranks by the unrounded figure and takes the first of equals.
"""

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.mix import Kinds, Mix
from zhisuan.placement.cards.policy import Reals, Scored
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import CARD, Choice, Refusal, Task

Ints = NDArray[np.int64]
RANKS = 100


class Fragmentation:
    """Expected milli that are of no use, times the number of tasks in the distribution: whole numbers, exact in a double."""

    def __init__(self, state: State, mix: Mix) -> None:
        frequent = mix.most_frequent()
        self.kinds = kinds = Kinds.of(frequent, state.models)
        self.total = sum(count for _, count in frequent)
        self.by_shape = np.zeros((len(kinds.count), len(kinds.shape_milli)), np.float64)
        self.by_shape[np.arange(len(kinds.count)), kinds.shape] = kinds.count

    def useful(self, model: Ints, cpu: Ints, memory: Ints) -> Reals:
        """How many tasks of each shape a node's CPU, memory and model suffice for."""
        kinds = self.kinds
        enough = (cpu[:, None] >= kinds.cpu) & (memory[:, None] >= kinds.memory)
        useful: Reals = (enough * kinds.allowed[model]) @ self.by_shape
        return useful

    def of(self, free: Ints, useful: Reals) -> Reals:
        """``free`` has cards last, ``useful`` shapes."""
        enough = free[..., None] >= self.kinds.shape_milli
        usable = (free[..., None] * enough).sum(axis=-2) * (enough.sum(axis=-2) >= self.kinds.shape_number)
        lost: Reals = self.total * free.sum(axis=-1) - (usable * useful).sum(axis=-1)
        return lost


class FGD(Scored):
    name = "fgd"

    def __init__(
        self, state: State, mix: Mix, random: np.random.Generator | None = None, *, exact: bool = False
    ) -> None:
        super().__init__(state)
        self.mix = mix
        self.random = random or np.random.default_rng(0)
        self.exact = exact
        self.learned_at = 0
        self._learn()

    def _learn(self) -> None:
        self.learned_at = self.mix.arrived
        self.fragmentation = Fragmentation(self.state, self.mix)
        self.forget()

    def prepare(self) -> None:
        """A distribution that is learned is taken over whenever a tenth more tasks have come."""
        if self.mix.learns and self.mix.arrived * 10 > self.learned_at * 11:
            self._learn()

    def choose(self, task: Task) -> Choice | Refusal:
        self.mix.see(task)
        return super().choose(task)

    def score(self, task: Task, rows: Ints) -> tuple[Reals, Ints]:
        state, fragmentation = self.state, self.fragmentation
        model, cpu, memory, free = state.model[rows], state.cpu[rows], state.memory[rows], state.free[rows]
        before = fragmentation.of(free, fragmentation.useful(model, cpu, memory))
        useful = fragmentation.useful(model, cpu - task.cpu_milli, memory - task.memory_mib)
        first = np.zeros(len(rows), np.int64)
        if not task.is_share:
            is_whole = free == CARD
            taken = is_whole & (is_whole.cumsum(axis=1) <= task.num_gpu)
            return fragmentation.of(np.where(taken, 0, free), useful) - before, first
        width = free.shape[1]
        each = np.repeat(free[:, None, :], width, axis=1)
        each[:, np.arange(width), np.arange(width)] -= task.gpu_milli
        after = np.where(free >= task.gpu_milli, fragmentation.of(each, useful[:, None, :]), np.inf)
        card = after.argmin(axis=1)
        return after[np.arange(len(rows)), card] - before, card

    def pick(self, scores: Reals) -> int:
        if self.exact or not np.isfinite(scores.min()):
            return super().pick(scores)
        growth = np.where(np.isfinite(scores), scores, 0) / (max(self.fragmentation.total, 1) * CARD)
        rank = np.where(np.isfinite(scores), np.floor(RANKS / (1 + np.exp(growth))), -1)
        return int(self.random.choice(np.flatnonzero(rank == rank.max())))
