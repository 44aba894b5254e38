"""The best hours and regions of each job by itself, where a card-hour has a price: all jobs at once, on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.deferral.types import Ints, Work

NEVER = np.int64(2**61)
NOWHERE = -1
Chosen = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Table:
    """Jobs as columns. Hour ``k`` of a job is the hour ``begin + k`` of the outlook; there are ``width`` before its deadline."""

    begin: Ints
    width: Ints
    hours: Ints
    cards: Ints
    watts: Ints
    rigid: NDArray[np.bool_]
    allowed: NDArray[np.bool_]

    @property
    def steps(self) -> int:
        return int(self.width.max(initial=1))


def table_of(works: Sequence[Work], now: int, regions: int, hours: int) -> Table:
    """``works`` against an outlook of ``hours`` from ``now``."""
    begin = np.array([max(w.earliest - now, 0) for w in works], np.int64)
    end = np.array([min(w.deadline - now, hours) for w in works], np.int64)
    allowed = np.zeros((len(works), regions), bool)
    for number, work in enumerate(works):
        allowed[number, list(work.regions)] = True
    return Table(
        begin,
        np.maximum(end - begin, 0),
        np.array([w.hours for w in works], np.int64),
        np.array([w.cards for w in works], np.int64),
        np.array([w.watts for w in works], np.int64),
        np.array([not w.interruptible for w in works], bool),
        allowed,
    )


def choose(jobs: Table, cost: Ints, prices: Ints) -> tuple[Chosen, Ints]:
    """For each job the region of each of its hours (``NOWHERE`` where it rests), and what that costs, prices included.

    The best for each job by itself, whatever the others do: exact. Ties: the earliest hour, then the first region. A job
    whose hours are too few costs ``NEVER``.
    """
    chosen = np.full((len(jobs.begin), jobs.steps), NOWHERE, np.int16)
    total = np.full(len(jobs.begin), NEVER)
    for rigid, pick in ((False, _scattered), (True, _unbroken)):
        rows = np.flatnonzero((jobs.rigid == rigid) & (jobs.width >= jobs.hours) & jobs.allowed.any(axis=1))
        if len(rows):
            chosen[rows], total[rows] = pick(jobs, rows, cost, prices)
    return chosen, total


def _scattered(jobs: Table, rows: Ints, cost: Ints, prices: Ints) -> tuple[Chosen, Ints]:
    step = np.arange(jobs.steps)
    at = np.minimum(jobs.begin[rows, None] + step, cost.shape[1] - 1)
    least = np.full(at.shape, NEVER)
    where = np.full(at.shape, NOWHERE, np.int16)
    for region in range(len(cost)):
        value = jobs.watts[rows, None] * cost[region][at] + jobs.cards[rows, None] * prices[region][at]
        better = (value < least) & jobs.allowed[rows, region, None]
        least = np.where(better, value, least)
        where[better] = region
    least[step >= jobs.width[rows, None]] = NEVER
    order = np.argsort(least, axis=1, kind="stable")
    taken = np.zeros(at.shape, bool)
    np.put_along_axis(taken, order, step < jobs.hours[rows, None], axis=1)
    return np.where(taken, where, np.int16(NOWHERE)), np.where(taken, least, 0).sum(axis=1)


def _unbroken(jobs: Table, rows: Ints, cost: Ints, prices: Ints) -> tuple[Chosen, Ints]:
    step = np.arange(jobs.steps)
    hours = jobs.hours[rows, None]
    first = np.minimum(jobs.begin[rows, None] + step, cost.shape[1])
    last = np.minimum(first + hours, cost.shape[1])
    least = np.full(first.shape, NEVER)
    where = np.full(first.shape, NOWHERE, np.int16)
    for region in range(len(cost)):
        by_cost, by_price = summed(cost[region]), summed(prices[region])
        value = jobs.watts[rows, None] * (by_cost[last] - by_cost[first])
        value += jobs.cards[rows, None] * (by_price[last] - by_price[first])
        better = (value < least) & jobs.allowed[rows, region, None]
        least = np.where(better, value, least)
        where[better] = region
    least[step + hours > jobs.width[rows, None]] = NEVER
    start = least.argmin(axis=1)
    number = np.arange(len(rows))
    runs = (step >= start[:, None]) & (step < start[:, None] + hours)
    region_of = where[number, start]
    return np.where(runs, region_of[:, None], np.int16(NOWHERE)), least[number, start]


def summed(values: Ints) -> Ints:
    """Sums of the first 0, 1, 2 … values."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))


def used(jobs: Table, chosen: Chosen, regions: int, hours: int) -> Ints:
    """Cards in use by region and hour."""
    use = np.zeros((regions, hours), np.int64)
    job, step = np.nonzero(chosen != NOWHERE)
    np.add.at(use, (chosen[job, step], jobs.begin[job] + step), jobs.cards[job])
    return use
