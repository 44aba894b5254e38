"""How full a node can still become: the measure by which our policy sees fragmentation.

For a kind of task, what could be filled of a node if nothing but that kind came: the number that fit, by cards, CPU and memory
together, times what one takes. The loss of a node is what is free less the mean of that over the workload. Unlike the published
measure, which asks whether one more task fits, this one sees that eight free cards with CPU for two tasks are two cards, and that
a task of 0.81 leaves 0.19 of each card.
"""

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.mix import Kinds, Mix
from zhisuan.placement.cards.state import State

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
MOST = 40
"""So many kinds of task are looked at, those that ask for most: what a decision takes grows with it."""
MANY = 10**9
"""How often a kind fits that asks for none of something."""


class Filling:
    def __init__(self, state: State, mix: Mix) -> None:
        self.kinds = kinds = Kinds.of(mix.most_demanded(MOST), state.models)
        weight = kinds.count / max(int(kinds.count.sum()), 1)
        self.weight = weight * (kinds.shape_number * kinds.shape_milli)[kinds.shape] * kinds.allowed
        self.per_cpu = np.where(kinds.cpu > 0, 1 / (2 * np.maximum(kinds.cpu, 1)), MANY)
        self.per_memory = np.where(kinds.memory > 0, 1 / (2 * np.maximum(kinds.memory, 1)), MANY)

    def times(self, cpu: Ints, memory: Ints) -> Reals:
        """How often CPU and memory suffice for each kind. Odd halves, so that rounding never takes a whole task away."""
        by_cpu: Reals = np.multiply.outer(2 * cpu + 1, self.per_cpu)
        by_memory = np.multiply.outer(2 * memory + 1, self.per_memory)
        return np.floor(np.minimum(by_cpu, by_memory, out=by_cpu), out=by_cpu)

    def cards(self, free: Ints) -> Reals:
        """How often cards suffice for each shape."""
        per_card = np.floor_divide(free[..., None], self.kinds.shape_milli)
        suffice: Reals = np.floor_divide(per_card.sum(axis=1), self.kinds.shape_number)
        return suffice

    def loss(self, model: Ints, cpu: Ints, memory: Ints, free: Ints) -> Reals:
        """Of nodes with these figures, in milli."""
        if not len(self.kinds.count):
            return np.zeros(len(model), np.float64)
        filled = np.minimum(self.times(cpu, memory), self.cards(free)[:, self.kinds.shape])
        lost: Reals = free.sum(axis=1) - np.einsum("nk,nk->n", filled, self.weight[model])
        return lost
