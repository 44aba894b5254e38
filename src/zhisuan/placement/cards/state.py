"""The nodes of a site as columns: what each has free. Only ``take`` and ``give_back`` change it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.types import CARD, CONSTRAINTS, Choice, Node, Refusal, Task

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class State:
    """A row is a node. ``free[n, c]`` is what card ``c`` has free; 0 for a card that the node does not have.

    ``changed[n]`` is the number of the last change of the node and ``version`` of the last change of any, so that who keeps what was
    computed of a node knows when to compute it again.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self.count = len(self.nodes)
        self.cpu: Ints = np.array([n.cpu_milli for n in self.nodes], np.int64)
        self.memory: Ints = np.array([n.memory_mib for n in self.nodes], np.int64)
        self.cards: Ints = np.array([n.cards for n in self.nodes], np.int64)
        width = max((n.cards for n in self.nodes), default=0)
        self.free: Ints = np.where(np.arange(max(width, 1)) < self.cards[:, None], CARD, 0).astype(np.int64)
        self.models = tuple(sorted({n.model for n in self.nodes}))
        self.model: Ints = np.array([self.models.index(n.model) for n in self.nodes], np.int64)
        self.whole: Ints = self.cards.copy()
        self.largest: Ints = self.free.max(axis=1) if self.count else np.zeros(0, np.int64)
        self.left: Ints = self.free.sum(axis=1)
        self.capacity_milli = int(self.left.sum())
        self.changed: Ints = np.ones(self.count, np.int64)
        self.version = 1
        self._allowed: dict[tuple[str, ...], Bools] = {}

    def allowed(self, models: tuple[str, ...]) -> Bools:
        """Which nodes are of one of the models; all where none is named."""
        found = self._allowed.get(models)
        if found is None:
            of_model = np.array([not models or m in models for m in self.models], np.bool_)
            found = self._allowed[models] = of_model[self.model]
        return found

    def has_cards(self, task: Task) -> Bools:
        if task.num_gpu == 1:
            return self.largest >= task.gpu_milli
        return self.whole >= task.num_gpu

    def fits(self, task: Task) -> Bools:
        """Which nodes could take the task now."""
        fit = (self.cpu >= task.cpu_milli) & (self.memory >= task.memory_mib)
        if task.num_gpu:
            fit &= self.has_cards(task)
        return fit & self.allowed(task.models) if task.models else fit

    def why_not(self, task: Task) -> Refusal:
        """What takes the nodes out, constraint by constraint; those that are left after all are ``kept``."""
        tests = (
            self.allowed(task.models),
            self.has_cards(task),
            self.cpu >= task.cpu_milli,
            self.memory >= task.memory_mib,
        )
        left = np.ones(self.count, np.bool_)
        taken_out: dict[str, int] = {}
        for name, test in zip(CONSTRAINTS, (*tests, np.zeros(self.count, np.bool_)), strict=True):
            out = int((left & ~test).sum())
            if out:
                taken_out[name] = out
            left &= test
        return Refusal(taken_out)

    def take(self, task: Task, choice: Choice) -> None:
        """Raises ValueError, and changes nothing, where the choice breaks a constraint."""
        n, cards = choice.node, list(choice.cards)
        if (
            len(set(cards)) != task.num_gpu
            or len(cards) != task.num_gpu
            or any(not 0 <= c < self.cards[n] for c in cards)
        ):
            raise ValueError(f"{task} takes {task.num_gpu} cards of the node, not {choice.cards}")
        if self.cpu[n] < task.cpu_milli or self.memory[n] < task.memory_mib or not self.allowed(task.models)[n]:
            raise ValueError(f"{task} does not fit on node {n}")
        if any(self.free[n, c] < task.gpu_milli for c in cards):
            raise ValueError(f"{task} is more than the cards {choice.cards} of node {n} have free")
        self._change(task, choice, -1)

    def give_back(self, task: Task, choice: Choice) -> None:
        """The task has ended."""
        self._change(task, choice, 1)

    def _change(self, task: Task, choice: Choice, sign: int) -> None:
        n = choice.node
        self.cpu[n] += sign * task.cpu_milli
        self.memory[n] += sign * task.memory_mib
        for card in choice.cards:
            self.free[n, card] += sign * task.gpu_milli
        row = self.free[n]
        self.whole[n] = np.count_nonzero(row == CARD)
        self.largest[n] = row.max()
        self.left[n] = row.sum()
        self.version += 1
        self.changed[n] = self.version


def whole_cards(state: State, node: int, number: int) -> tuple[int, ...]:
    """The first ``number`` cards of a node that are free altogether."""
    return tuple(int(c) for c in np.flatnonzero(state.free[node] == CARD)[:number])


def tightest_card(state: State, node: int, gpu_milli: int) -> tuple[int, ...]:
    """The card of a node that has least free of those that have enough; of equals the first."""
    row = state.free[node]
    return (int(np.where(row >= gpu_milli, row, CARD + 1).argmin()),)


def cards_for(state: State, node: int, task: Task) -> tuple[int, ...]:
    """Whole cards from the first, a share on the tightest card."""
    if task.is_share:
        return tightest_card(state, node, task.gpu_milli)
    return whole_cards(state, node, task.num_gpu)
