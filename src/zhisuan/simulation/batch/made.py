"""Batches made from a seed: sites of four device classes by day and night, and jobs of the three kinds."""

import numpy as np

from zhisuan.placement.batch.types import BatchJob, Problem, Site, Weights, Wish

CLASSES = (("a", 1000, 12), ("b", 2000, 26), ("c", 600, 6), ("d", 3200, 48))
SLOTS = 8
SHAPES = ("city", "equal")
SIZES = ((500, 8, 16), (90, 8, 4), (90, 8, 4), (90, 8, 4), (38, 4, 1))
CITY_NODES = (1,) * 17 + (2, 2, 4)
EQUAL_NODES = (1, 1, 1, 1, 2, 4, 8)
KINDS = ("backlog", "deferrable", "spot")


def made_problem(jobs: int, sites: int, load_percent: int, seed: int, shape: str = "city") -> Problem:
    """``load_percent`` is the card-slots the jobs want of what there are.

    A ``city`` has one hub in ten sites, three middle ones and six small ones, and few gangs; ``equal`` has sites of one size, and gangs
    almost as large as a site, which no schedule can pack tightly.
    A slot is three hours. Price a card-slot 6 to 48 yuan by class, ± 25 % by site and cheaper at night; carbon by the site's grid.
    """
    rng = np.random.default_rng([seed, 17])
    wishes = _wishes(rng, jobs, sites, CITY_NODES if shape == "city" else EQUAL_NODES)
    wanted = sum(w.cards * -(-w.milli_slots // max(r for _, r in w.rates)) for w in wishes)
    each = max(wanted * 100 // max(load_percent, 1) // (sites * SLOTS), 8)
    places = tuple(_site(rng, number, each, shape) for number in range(sites))
    return Problem(places, tuple(BatchJob(f"job-{n:05}", w) for n, w in enumerate(wishes)), SLOTS, Weights())


def _site(rng: np.random.Generator, number: int, cards: int, shape: str) -> Site:
    name, _, price = CLASSES[int(rng.integers(len(CLASSES)))]
    percent, node, gang = SIZES[min(number % 10, 4)] if shape == "city" else (100, 8, 16)
    size = max(cards * percent * int(rng.integers(60, 141)) // 10_000, 4)
    level = int(rng.integers(75, 126))
    grid = int(rng.integers(50, 800))
    night = [int(rng.integers(55, 80)) if slot % 8 < 3 else 100 for slot in range(SLOTS)]
    return Site(
        f"site-{number:03}",
        f"provider-{number % 9}",
        f"region-{number % 5}",
        name,
        tuple(max(size - int(rng.integers(0, size // 2 + 1)), 0) for _ in range(SLOTS)),
        tuple(price * 10_000 * level * share // 100 for share in night),
        tuple(grid * 1000 * 12 // 10 * int(rng.integers(60, 141)) // 100 for _ in range(SLOTS)),
        node,
        gang,
    )


def _wishes(rng: np.random.Generator, jobs: int, sites: int, nodes: tuple[int, ...]) -> list[Wish]:
    wishes: list[Wish] = []
    while len(wishes) < jobs:
        alike = int(rng.integers(2, 12)) if rng.integers(20) == 0 else 1
        wishes += [_wish(rng, sites, nodes)] * min(alike, jobs - len(wishes))
    return wishes


def _wish(rng: np.random.Generator, sites: int, sizes: tuple[int, ...]) -> Wish:
    kind = KINDS[int(rng.choice(3, p=[0.4, 0.4, 0.2]))]
    work = int(rng.integers(400, 3600))
    chosen = rng.permutation(len(CLASSES))[: int(rng.integers(1, len(CLASSES) + 1))]
    if rng.integers(3):
        chosen = np.arange(len(CLASSES))
    rates = tuple((CLASSES[c][0], CLASSES[c][1] * int(rng.integers(85, 116)) // 100) for c in sorted(chosen.tolist()))
    nodes = int(rng.choice(sizes))
    cards = int(rng.choice([1, 1, 2, 4, 8]))
    longest = -(-work // min(rate for _, rate in rates))
    release = int(rng.integers(0, 3)) if kind != "backlog" else 0
    due = release + longest if kind == "backlog" else SLOTS
    deadline = SLOTS if kind != "deferrable" else min(release + longest + int(rng.integers(1, 5)), SLOTS)
    value = nodes * cards * work * (12_000 if kind == "spot" else 120_000)
    places = rng.integers(10)
    allow = (
        frozenset(f"site-{n:03}" for n in rng.choice(sites, min(sites, 8), replace=False))
        if places == 0
        else frozenset()
    )
    deny = frozenset({f"provider-{int(rng.integers(9))}"}) if places == 1 else frozenset()
    regions = frozenset({f"region-{int(rng.integers(5))}", "region-0"}) if places == 2 else frozenset()
    return Wish(
        work, nodes, cards, rates, release, due, deadline, value, 40 if kind == "spot" else 100, allow, deny, regions
    )
