"""The policies, hour by hour. Each sees only what is known then; what it did is judged by the true conditions afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from zhisuan.placement.deferral.arrivals import expected
from zhisuan.placement.deferral.rules import plan
from zhisuan.placement.deferral.types import Outlook, Slot, Work
from zhisuan.simulation.carbon.types import Case, Ints, Job

REMEMBERED = 168
Done = dict[str, list[Slot]]
Told = Callable[[int], None]


class Seer(Protocol):
    """Expected conditions of the hours ``hour`` … ``hour + ahead - 1``: mgCO2 and 10⁻⁶ yuan for a kWh, by region."""

    def __call__(self, hour: int, ahead: int) -> tuple[Ints, Ints]: ...


def no_word(hour: int) -> None:
    """Progress that nobody asked for."""


def span(case: Case) -> range:
    """The hours in which anything can happen."""
    return range(min(job.arrival for job in case.jobs), case.regions.hours)


def agnostic(case: Case) -> Done:
    """Starts each job as soon as it may, at home, or else at the first of its regions that has room; runs it through.

    Jobs are tried in the order of arrival; one that finds no room lets others pass.
    """
    free = _free(case)
    done: Done = {}
    waiting = sorted(case.jobs, key=lambda job: (job.arrival, job.work.id))
    for hour in span(case):
        left = []
        for job in waiting:
            region = _first_with_room(job, hour, free) if job.work.earliest <= hour else None
            if region is None:
                left.append(job)
                continue
            free[region, hour : hour + job.work.hours] -= job.work.cards
            done[job.work.id] = [Slot(hour + k, region) for k in range(job.work.hours)]
        waiting = left
        if not waiting:
            break
    return done


def _first_with_room(job: Job, hour: int, free: Ints) -> int | None:
    regions = (job.home, *(r for r in job.work.regions if r != job.home))
    for region in regions:
        hours = free[region, hour : hour + job.work.hours]
        if len(hours) == job.work.hours and hours.min() >= job.work.cards:
            return region
    return None


@dataclass(slots=True)
class _Live:
    """What has come and is not over."""

    left: dict[str, Work] = field(default_factory=dict)
    came: list[Work] = field(default_factory=list)
    done: Done = field(default_factory=dict)


def deferring(case: Case, seer: Seer, told: Told = no_word) -> Done:
    """Our policy: each hour all that is known is planned anew by ``placement.deferral``, and what is planned for this hour runs."""
    free = _free(case)
    coming = sorted(case.jobs, key=lambda job: (job.arrival, job.work.id), reverse=True)
    live = _Live()
    prices: Ints | None = None
    for hour in span(case):
        while coming and coming[-1].arrival <= hour:
            job = coming.pop()
            live.left[job.work.id] = job.work
            live.came.append(job.work)
        if live.left:
            prices = _step(case, live, free, hour, seer, prices)
        elif not coming:
            break
        told(hour)
    return live.done


def _step(case: Case, live: _Live, free: Ints, hour: int, seer: Seer, prices: Ints | None) -> Ints:
    ahead = _ahead(live, hour, case.regions.hours)
    cost = case.objective.of(*seer(hour, ahead))
    start = None if prices is None else _moved_on(prices, cost.shape)
    since = max(hour - REMEMBERED, span(case)[0])
    came = [work for work in live.came if since <= work.earliest < hour]
    more = expected(came, hour - since, case.regions.cards, ahead)
    decided = plan(list(live.left.values()), Outlook(hour, cost, free[:, hour : hour + ahead], more, start))
    for name, region in decided.at(hour):
        work = live.left[name]
        hours = 1 if work.interruptible else work.hours
        free[region, hour : hour + hours] -= work.cards
        live.done.setdefault(name, []).extend(Slot(hour + k, region) for k in range(hours))
        if work.hours == hours:
            del live.left[name]
        else:
            live.left[name] = replace(work, hours=work.hours - 1)
    return decided.prices


def _ahead(live: _Live, hour: int, hours: int) -> int:
    """Far enough for every deadline, and for what is late to find room."""
    last = max(max(w.deadline, hour + 2 * w.hours + 24) for w in live.left.values())
    return min(last, hours) - hour


def _moved_on(prices: Ints, shape: tuple[int, ...]) -> Ints:
    """The prices of an hour ago for the hours from now on."""
    moved = np.zeros(shape, np.int64)
    kept = min(prices.shape[1] - 1, shape[1])
    moved[:, :kept] = prices[:, 1 : kept + 1]
    return moved


def _free(case: Case) -> Ints:
    return np.repeat(case.regions.cards[:, None], case.regions.hours, axis=1)


def all_knowing(case: Case) -> Seer:
    """Sees the true conditions."""

    def see(hour: int, ahead: int) -> tuple[Ints, Ints]:
        there = slice(hour, hour + ahead)
        return case.regions.mg_per_kwh[:, there], case.regions.ucny_per_kwh[:, there]

    return see
