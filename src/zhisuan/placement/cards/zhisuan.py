"""Our policy: leave nodes that can still be filled, cut cards without waste, keep what is scarce for those that need it.

A task goes where the sum of two figures is least, both in milli of a card:

- **loss**: how much less of the node can still be filled (``filling``);
- **cost**, times ``WEIGHT``: what the card, CPU, memory and whole cards side by side that it takes are worth to demand that is still
  expected, at prices from a linear programme (``prices``). It is solved between decisions, the oftener the less is left.

``keeps``: a task is refused where it fits if the programme finds room for less than ``ROOM`` per mille of its kind and the place
costs as much as the task fills: others will use it better. That can only be so while less has arrived than there is. Tasks without a card
are never refused where they fit.
"""

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.filling import Filling
from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policy import Reals, Scored
from zhisuan.placement.cards.prices import UNITS, Prices, Programme, sort_of, units_of
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import CARD, Choice, Refusal, Task

Ints = NDArray[np.int64]
WEIGHT = 20
ROOM = 300


class Zhisuan(Scored):
    name = "zhisuan"

    def __init__(self, state: State, mix: Mix, *, keeps: bool = True) -> None:
        super().__init__(state)
        self.mix = mix
        self.keeps = keeps
        self.prices = Prices.none(state)
        self.programme = Programme(state, mix)
        self.next_milli = 0
        self.is_over = False
        self._learn()

    def _learn(self) -> None:
        self.filling = Filling(self.state, self.mix)
        self.loss: Reals = np.zeros(self.state.count, np.float64)
        self.loss_version = 0

    def prepare(self) -> None:
        """Prices anew, after a twentieth of what is left to arrive, or a four-hundredth of the capacity if that is more.

        What is learned from arrivals is taken over at the same times, and after each doubling while they are few. When as much has
        arrived as there is, nothing is kept any more.
        """
        capacity, arrived = self.state.capacity_milli, self.mix.arrived_milli
        if arrived < self.next_milli or not self.mix.counts or self.is_over:
            return
        left = max(capacity - arrived, 0)
        step = max(min(left // 20, capacity // 25), capacity // 400, 1)
        self.next_milli = arrived + (min(step, max(arrived, capacity // 400)) if self.mix.learns else step)
        self.is_over = left == 0
        self.prices = Prices.none(self.state) if self.is_over else self.programme.solve(left)
        if self.mix.learns:
            self._learn()
        self.forget()

    def choose(self, task: Task) -> Choice | Refusal:
        self.mix.see(task)
        return super().choose(task)

    def score(self, task: Task, rows: Ints) -> tuple[Reals, Ints]:
        state = self.state
        model, free = state.model[rows], state.free[rows]
        if task.is_share:
            cost, card, free = self._share(task, model, free)
        else:
            cost, free = self._whole(task, model, free)
            card = np.zeros(len(rows), np.int64)
        cost = cost + self._beside(task, model, state.whole[rows], (free == CARD).sum(axis=1))
        after = self.filling.loss(model, state.cpu[rows] - task.cpu_milli, state.memory[rows] - task.memory_mib, free)
        score = after - self._before(rows) + WEIGHT * cost
        if self.keeps and task.num_gpu and self.prices.room.get(sort_of(task), CARD) < ROOM:
            score = np.where(task.total_milli - cost < 1, np.inf, score)
        return score, card

    def _before(self, rows: Ints) -> Reals:
        state = self.state
        stale = np.flatnonzero(state.changed > self.loss_version)
        if len(stale):
            self.loss[stale] = self.filling.loss(
                state.model[stale], state.cpu[stale], state.memory[stale], state.free[stale]
            )
            self.loss_version = state.version
        return self.loss[rows]

    def _share(self, task: Task, model: Ints, free: Ints) -> tuple[Reals, Ints, Ints]:
        """Of each node the card on which the share costs least, of equals the tightest; what is free then."""
        units = free * UNITS // CARD
        after = np.maximum(units - units_of(task.gpu_milli), 0)
        cost = self.prices.worth[model[:, None], units] - self.prices.worth[model[:, None], after]
        card = np.where(free >= task.gpu_milli, np.rint(cost) * 2 * CARD + free, np.inf).argmin(axis=1)
        rows = np.arange(len(card))
        left = free.copy()
        left[rows, card] -= task.gpu_milli
        return cost[rows, card], card, left

    def _whole(self, task: Task, model: Ints, free: Ints) -> tuple[Reals, Ints]:
        is_whole = free == CARD
        taken = is_whole & (is_whole.cumsum(axis=1) <= task.num_gpu)
        return task.num_gpu * self.prices.worth[model, UNITS], np.where(taken, 0, free)

    def _beside(self, task: Task, model: Ints, whole: Ints, whole_after: Ints) -> Reals:
        """What CPU and memory cost, and that fewer cards are free side by side."""
        prices = self.prices
        cost = prices.cpu[model] * task.cpu_milli + prices.memory[model] * task.memory_mib
        for number, worth in prices.gangs.items():
            cost = cost + worth[model] * (whole // number - whole_after // number)
        return cost
