"""Where and when each wish could start, and what that costs: arrays of wishes × sites × slots."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.batch.types import CONSTRAINTS, Problem, Site, Wish

Ints = NDArray[np.int64]
NEVER = np.int64(2**60)


@dataclass(frozen=True, slots=True)
class Options:
    """``cost[w, s, t]`` of starting a job of wish ``w`` at site ``s`` in slot ``t``, ``NEVER`` where it cannot; ``length[w, s]`` in slots.

    ``members[w]`` are the numbers of the jobs that wish the same: they are planned as one with a count, which is what keeps the
    program small and free of symmetry.
    """

    wishes: tuple[Wish, ...]
    members: tuple[tuple[int, ...], ...]
    cost: Ints
    length: Ints
    cards: Ints
    count: Ints
    value: Ints
    free: Ints


def options_of(problem: Problem) -> Options:
    groups: dict[Wish, list[int]] = {}
    for number, job in enumerate(problem.jobs):
        groups.setdefault(job.wish, []).append(number)
    wishes = tuple(groups)
    free = np.array([site.cards for site in problem.sites], np.int64).reshape(len(problem.sites), problem.slots)
    cost = np.full((len(wishes), len(problem.sites), problem.slots), NEVER)
    length = np.zeros((len(wishes), len(problem.sites)), np.int64)
    price, carbon = _by_slot(problem)
    for number, wish in enumerate(wishes):
        for at, site in enumerate(problem.sites):
            length[number, at] = slots_on(wish, site)
        _price(wish, problem, cost[number], length[number], price, carbon, free)
    return Options(
        wishes,
        tuple(tuple(members) for members in groups.values()),
        cost,
        length,
        np.array([wish.cards for wish in wishes], np.int64),
        np.array([len(members) for members in groups.values()], np.int64),
        np.array([wish.value_ucny for wish in wishes], np.int64),
        free,
    )


def _by_slot(problem: Problem) -> tuple[Ints, Ints]:
    """Sums over slots of price and carbon of a card, by site."""
    shape = (len(problem.sites), problem.slots)
    price = np.array([site.price_ucny for site in problem.sites], np.int64).reshape(shape)
    mg = np.array([site.carbon_mg for site in problem.sites], np.int64).reshape(shape)
    carbon = mg * problem.weights.carbon_ucny_per_kg // 1_000_000
    nought = np.zeros((len(problem.sites), 1), np.int64)
    return np.hstack((nought, price.cumsum(axis=1))), np.hstack((nought, carbon.cumsum(axis=1)))


def _price(wish: Wish, problem: Problem, cost: Ints, length: Ints, price: Ints, carbon: Ints, free: Ints) -> None:
    for at, site in enumerate(problem.sites):
        if failed(wish, site) is not None:
            continue
        slots = int(length[at])
        start = np.arange(wish.release, min(wish.deadline, problem.slots) - slots + 1)
        if not len(start):
            continue
        full = np.concatenate((np.zeros(1, np.int64), np.cumsum(free[at] < wish.cards)))
        money = (price[at, start + slots] - price[at, start]) * wish.price_percent // 100
        late = np.maximum(start + slots - wish.due, 0) * problem.weights.late_ucny
        total = wish.cards * (money + carbon[at, start + slots] - carbon[at, start] + late)
        cost[at, start] = np.where(full[start + slots] == full[start], total, NEVER)


def slots_on(wish: Wish, site: Site) -> int:
    """Slots it takes there; 0 where the class will not do."""
    rate = dict(wish.rates).get(site.device_class, 0)
    return -(-wish.milli_slots // rate) if rate else 0


def failed(wish: Wish, site: Site) -> str | None:
    """The first constraint that ``site`` fails whatever the time; None where it fails none."""
    names = {site.id, site.provider}
    if names & wish.deny or (wish.allow and not names & wish.allow):
        return "denied"
    if wish.regions and site.region not in wish.regions:
        return "region"
    if not slots_on(wish, site):
        return "class"
    if site.cards_per_node < wish.cards_per_node:
        return "node"
    return "gang" if site.gang_nodes_max < wish.nodes else None


def counted(wish: Wish, sites: Sequence[Site], slots: int) -> tuple[tuple[str, int], ...]:
    """How many sites fail which constraint first; a site that fails none by itself counts under ``capacity``."""
    found: Counter[str] = Counter()
    for site in sites:
        what = failed(wish, site)
        if what is None:
            room = min(wish.deadline, slots) - wish.release
            what = "window" if slots_on(wish, site) > room else "capacity"
        found[what] += 1
    return tuple((name, found[name]) for name in CONSTRAINTS if found[name])
