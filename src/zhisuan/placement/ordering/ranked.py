"""Orders by one rank, lowest first: shortest by what was foreseen, least attained service, shortest remaining by the true durations,
fair share. Those that preempt do so at once and without regard to its cost, as they do where they were published."""

import numpy as np

from zhisuan.placement.ordering.filling import fill
from zhisuan.placement.ordering.history import Ints, Ranks
from zhisuan.placement.ordering.types import Orders, Queue

ROUND = 300
"""Seconds after which those whose rank changes while they run are compared again."""


def by_rank(rank: Ranks | Ints) -> Ints:
    """Places in order. Of one rank, who comes first stays first: who runs before who waits, and then who was submitted first."""
    return np.argsort(rank, kind="stable")


class Sjf:
    """The shortest by what was foreseen, times its cards; what has started runs to its end, and nobody waits for a wide one."""

    name = "sjf"

    def decide(self, queue: Queue) -> Orders:
        if not queue.free:
            return Orders()
        jobs, rows = queue.jobs, queue.waiting
        rows = rows[jobs.cards[rows] <= queue.free]
        rows = rows[by_rank(jobs.foreseen[rows] * jobs.cards[rows])]
        return Orders(start=rows[fill(jobs.cards[rows], queue.free)])


def preempting(queue: Queue, waiting: Ranks | Ints, running: Ranks | Ints, again: int | None) -> Orders:
    """All that is there in the order of its rank, as far as the cards go."""
    jobs = queue.jobs
    if int(jobs.cards[queue.waiting].sum()) <= queue.free:
        return Orders(start=queue.waiting)
    rows = np.concatenate([queue.running, queue.waiting])
    order = by_rank(np.concatenate([running, waiting]))
    taken = order[fill(jobs.cards[rows[order]], queue.cards)]
    here = len(queue.running)
    keeps = np.zeros(here, bool)
    keeps[taken[taken < here]] = True
    return Orders(start=rows[taken[taken >= here]], stop=queue.running[~keeps], again=again)


class Srpt:
    """The least card-seconds left by the true durations, at once and everywhere: nobody can know them. It is there to compare with."""

    name = "srpt"

    def __init__(self, seconds: Ints) -> None:
        self._seconds = seconds

    def decide(self, queue: Queue) -> Orders:
        jobs, wait, run = queue.jobs, queue.waiting, queue.running
        ahead = (self._seconds[wait] - jobs.served[wait] + jobs.owed[wait]) * jobs.cards[wait]
        left = (self._seconds[run] - queue.attained(run)) * jobs.cards[run]
        return preempting(queue, ahead, left, None)


class Las:
    """The least card-seconds of work done, in classes that double (so that equals do not take turns without end), first come first
    served in each: Tiresias, without what it knows of durations (Gu et al. 2019)."""

    name = "las"

    def decide(self, queue: Queue) -> Orders:
        jobs = queue.jobs
        waiting = self._class(jobs.served[queue.waiting] * jobs.cards[queue.waiting])
        running = self._class(queue.attained(queue.running) * jobs.cards[queue.running])
        return preempting(queue, waiting, running, queue.now + ROUND)

    @staticmethod
    def _class(work: Ints) -> Ints:
        """Less than an hour of one card is the first class, ten hours the second, and so on."""
        return np.searchsorted(np.array([3_600, 36_000, 360_000, 3_600_000, 36_000_000]), work, side="right")


class FairShare:
    """Whose group has used least for its share (halved day by day) goes first, and in a group first come first served; one that
    has no room lets others past."""

    name = "fair"

    def decide(self, queue: Queue) -> Orders:
        if not queue.free:
            return Orders()
        jobs, rows = queue.jobs, queue.waiting
        rows = rows[jobs.cards[rows] <= queue.free]
        group = jobs.group[rows]
        # The next of each group counts what those before it would take, so that the cards that come free at once are shared.
        turn = self._turns(group, jobs.cards[rows])
        rank = (queue.used[group] // 3_600 + turn * 24) / queue.shares[group]
        rows = rows[by_rank(rank)]
        return Orders(start=rows[fill(jobs.cards[rows], queue.free)])

    @staticmethod
    def _turns(group: Ints, cards: Ints) -> Ints:
        """Cards of the jobs of its own group that come before each."""
        order = np.argsort(group, kind="stable")
        before = np.cumsum(cards[order]) - cards[order]
        firsts = np.flatnonzero(np.diff(group[order], prepend=-1))
        before -= np.repeat(before[firsts], np.diff(np.append(firsts, len(order))))
        turns = np.empty_like(before)
        turns[order] = before
        return turns
