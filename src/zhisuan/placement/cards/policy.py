"""What a policy is, and what those have in common that give each node a score."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.cards.state import State, whole_cards
from zhisuan.placement.cards.types import Choice, Refusal, Task

Reals = NDArray[np.float64]
KEPT_MOST = 1024
"""So many kinds of task at most have their scores kept."""


class Policy(Protocol):
    """Made for one state; decides for one task at a time, at once, and for good. ``prepare`` is outside the decision."""

    name: str
    state: State

    def choose(self, task: Task) -> Choice | Refusal: ...

    def prepare(self) -> None:
        """What may be computed between two decisions: a distribution learned anew, prices."""


@dataclass(slots=True)
class Scores:
    """Of one kind of task: each node's score, the less the better, its best card, and up to which version that holds."""

    score: Reals
    card: NDArray[np.int64]
    version: int = 0


class Scored:
    """Takes the node with the least score; a node is scored again only when it has changed. Subclasses say ``score``."""

    name = ""

    def __init__(self, state: State) -> None:
        self.state = state
        self.kept: dict[Task, Scores] = {}

    def score(self, task: Task, rows: NDArray[np.int64]) -> tuple[Reals, NDArray[np.int64]]:
        """Score and card of each of ``rows``, on which the task fits; the card counts for a share only."""
        raise NotImplementedError

    def pick(self, scores: Reals) -> int:
        """The node to take; any order of equals must be a declared one. Here: the first in the list."""
        return int(scores.argmin())

    def forget(self) -> None:
        self.kept.clear()

    def prepare(self) -> None:
        pass

    def choose(self, task: Task) -> Choice | Refusal:
        scores = self.scores(task)
        if not self.state.count:
            return Refusal()
        node = self.pick(scores.score)
        if not np.isfinite(scores.score[node]):
            return self.state.why_not(task)
        return self.choice(task, node, int(scores.card[node]))

    def scores(self, task: Task) -> Scores:
        state = self.state
        known = self.kept.get(task)
        if known is None:
            if len(self.kept) >= KEPT_MOST:
                del self.kept[next(iter(self.kept))]
            known = self.kept[task] = Scores(np.full(state.count, np.inf), np.zeros(state.count, np.int64))
        stale = state.changed > known.version
        fits = state.fits(task)
        known.score[stale & ~fits] = np.inf
        rows = np.flatnonzero(stale & fits)
        if len(rows):
            known.score[rows], known.card[rows] = self.score(task, rows)
        known.version = state.version
        return known

    def choice(self, task: Task, node: int, card: int) -> Choice:
        if not task.num_gpu:
            return Choice(node)
        if task.is_share:
            return Choice(node, (card,))
        return Choice(node, whole_cards(self.state, node, task.num_gpu))


def tightest_cards(state: State, task: Task, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of ``rows`` the number of the tightest card on which a share fits; 0 for other tasks."""
    if not task.is_share:
        return np.zeros(len(rows), np.int64)
    free = state.free[rows]
    tightest: NDArray[np.int64] = np.where(free >= task.gpu_milli, free, np.iinfo(np.int64).max).argmin(axis=1)
    return tightest
