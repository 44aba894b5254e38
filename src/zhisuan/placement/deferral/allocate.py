"""Hours for one job after the other, in what room is left."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.deferral.choice import NEVER, NOWHERE, Chosen, Table, summed
from zhisuan.placement.deferral.types import Ints


class Room:
    """Free cards by region and hour, and what each job has of them. A job takes all of its hours or none."""

    def __init__(self, jobs: Table, cost: Ints, free: Ints) -> None:
        self.jobs, self.cost, self.free = jobs, cost, free.copy()
        self.chosen = np.full((len(jobs.begin), jobs.steps), NOWHERE, np.int16)

    def take(self, job: int, prices: Ints) -> bool:
        """The cheapest hours with room, prices included; False where there are too few."""
        begin, width = int(self.jobs.begin[job]), int(self.jobs.width[job])
        need, cards = int(self.jobs.hours[job]), self.jobs.cards[job]
        allowed = np.flatnonzero(self.jobs.allowed[job])
        if width < need or not len(allowed):
            return False
        span = slice(begin, begin + width)
        value = self.jobs.watts[job] * self.cost[allowed, span] + cards * prices[allowed, span]
        room = self.free[allowed, span] >= cards
        row = self.chosen[job]
        if self.jobs.rigid[job]:
            found = _unbroken(value, room, need)
            if found is None:
                return False
            row[found[1] : found[1] + need] = allowed[found[0]]
        else:
            value = np.where(room, value, NEVER)
            best = value.argmin(axis=0)
            least = value[best, np.arange(width)]
            steps = np.argsort(least, kind="stable")[:need]
            if least[steps[-1]] == NEVER:
                return False
            row[steps] = allowed[best[steps]]
        self._count(job, -1)
        return True

    def give_back(self, job: int) -> Chosen:
        """Frees what ``job`` has; returns it, to be put back by ``restore``."""
        had: Chosen = self.chosen[job].copy()
        self._count(job, 1)
        self.chosen[job] = NOWHERE
        return had

    def restore(self, job: int, had: Chosen) -> None:
        self.chosen[job] = had
        self._count(job, -1)

    def worth(self, job: int) -> int:
        """What its hours cost, without prices."""
        steps = np.flatnonzero(self.chosen[job] != NOWHERE)
        return int(self.jobs.watts[job] * self.cost[self.chosen[job, steps], self.jobs.begin[job] + steps].sum())

    def _count(self, job: int, sign: int) -> None:
        steps = np.flatnonzero(self.chosen[job] != NOWHERE)
        self.free[self.chosen[job, steps], self.jobs.begin[job] + steps] += sign * self.jobs.cards[job]


def _unbroken(value: Ints, room: NDArray[np.bool_], need: int) -> tuple[int, int] | None:
    """The row and first column of the cheapest ``need`` columns side by side with room in all."""
    best: tuple[int, int, int] | None = None
    for row in range(len(value)):
        full = summed(~room[row])
        total = summed(value[row])
        sums = np.where(full[need:] == full[:-need], total[need:] - total[:-need], NEVER)
        start = int(sums.argmin())
        if sums[start] != NEVER and (best is None or sums[start] < best[0]):
            best = (int(sums[start]), row, start)
    return None if best is None else best[1:]


def fill(room: Room, order: Iterable[int], prices: Ints) -> list[int]:
    """Each job in ``order`` takes its cheapest hours; returns those that found too few."""
    return [job for job in order if not room.take(job, prices)]


def improve(room: Room, order: Iterable[int]) -> bool:
    """Each job looks once more for cheaper hours in the room that is left; True where one found some."""
    better = False
    free = np.zeros_like(room.cost)
    for job in order:
        before = room.worth(job)
        had = room.give_back(job)
        if room.take(job, free) and room.worth(job) < before:
            better = True
        else:
            room.give_back(job)
            room.restore(job, had)
    return better
