"""Which nodes can take a need, why the others cannot, and what they are compared on: for all nodes at once, on columns.

The rules are those of the package's README; ``tests/unit/placement/placement_specification.py`` says them node by node, and the two must
always agree.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zhisuan.base.money import E8_PER_UCNY, UDU_PER_DU
from zhisuan.catalog.price_book import MILLI
from zhisuan.catalog.rules import PPM
from zhisuan.placement.columns import MILLI_CARD, Columns, Ints
from zhisuan.placement.types import ClassFacts

Bools = NDArray[np.bool_]
Numbers = NDArray[Any]
"""Whole numbers: of 64 bits where all products surely fit, else Python's."""

PERMANENT_ORDER = (
    "accelerator_class", "device_memory", "rated", "accelerator_capacity", "cpu_capacity", "memory_capacity", "price_least", "carbon_least",
)  # fmt: skip
SAFE_BITS = 62
SUMMED_BITS = 48
"""What is still multiplied by a number of cards or added up over nodes."""

MILLIGRAM = 10**9


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most that an hour may come to; None: anything."""

    price_ucny: int | None = None
    rate_udu: int | None = None
    carbon_mg: int | None = None

    @property
    def any(self) -> bool:
        return not (self.price_ucny is None and self.rate_udu is None and self.carbon_mg is None)

    def over_price(self, price: Numbers, rate: Numbers) -> Bools:
        over = np.zeros(len(price), dtype=bool)
        for most, values in ((self.price_ucny, price), (self.rate_udu, rate)):
            if most is not None:
                over |= np.asarray(values > most, dtype=bool)
        return over

    def over_carbon(self, carbon: Numbers) -> Bools:
        return np.asarray(carbon > self.carbon_mg if self.carbon_mg is not None else np.zeros(len(carbon)), dtype=bool)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for of one node; ``cards``: for each accelerator the classes that have its name and enough memory, and how many;
    ``named``: those that have its name; ``ceilings``: of all nodes together."""

    cpus_milli: int
    memory_mib: int
    cards: tuple[tuple[frozenset[str], int], ...]
    jupyterlab: bool = False
    named: tuple[frozenset[str], ...] = ()
    ceilings: Ceilings = Ceilings()


@dataclass(frozen=True, slots=True)
class Prices:
    classes: dict[str, ClassFacts]
    price_e8_per_du: int
    cpu_with_accelerator_free: bool


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which rows can take it, and how many rows each constraint took out. ``usable``: fit when empty, at a usual site."""

    fitting: Ints
    failed: Counter[str]
    usable: Bools


def sort_out(columns: Columns, wanted: Wanted, prices: Prices, among: Bools | None = None) -> Sorted:
    """Each node is counted under the first constraint it fails; ``among``: by site, whether it is looked at. What a node comes to now
    is not held against the ceilings here."""
    site, of, classes = columns.by_site, columns.site_of, prices.classes
    never = _permanent(columns, wanted, prices)
    failed: Counter[str] = Counter()
    looked = np.ones(len(of), dtype=bool) if among is None else among[of]
    left = np.flatnonzero(looked)

    def keep(left: Ints, holds: Any, name: str) -> Ints:
        kept: Ints = left[np.asarray(holds, dtype=bool)]
        if len(kept) < len(left):
            failed[name] += len(left) - len(kept)
        return kept

    left = keep(left, site.open[of[left]], "site_open")
    left = keep(left, site.offered[of[left]], "offered")
    left = keep(left, columns.column("present")[left], "node_present")
    for number, name in enumerate(PERMANENT_ORDER, 1):
        left = keep(left, never[left] != number, name)
    left = keep(left, site.isolated[of[left]], "isolation")
    if wanted.jupyterlab:
        left = keep(left, site.jupyterlab[of[left]], "jupyterlab")
    left = keep(left, site.reachable[of[left]], "reachable")
    left = keep(left, _tightest(columns, "cpu", wanted.cpus_milli, left)[0] >= 0, "cpu_free")
    left = keep(left, _tightest(columns, "memory", wanted.memory_mib, left)[0] >= 0, "memory_free")
    if wanted.cards:
        left = keep(left, _cards(columns, wanted, classes, "idle", left)[0], "accelerator_free")
    return Sorted(left, failed, looked & (site.usual[of] == 1) & (never == 0))


def _permanent(columns: Columns, wanted: Wanted, prices: Prices) -> Ints:
    """By row the number of the permanent constraint it fails first (from 1, in their order); 0 for none."""
    classes = prices.classes
    never = np.zeros(len(columns.nodes), np.int64)

    def note(bad: Bools, name: str) -> None:
        never[(never == 0) & bad] = PERMANENT_ORDER.index(name) + 1

    for (names, _), named in itertools.zip_longest(wanted.cards, wanted.named):
        if named is not None:
            note(_cards_of(columns, named) == 0, "accelerator_class")
        note(_cards_of(columns, names) == 0, "accelerator_class" if named is None else "device_memory")
        note(_cards_of(columns, [c for c in names if classes[c].rate_udu_per_hour is not None]) == 0, "rated")
    if wanted.cards:
        note(~_cards(columns, wanted, classes, "whole", np.arange(len(never), dtype=np.int64))[0], "accelerator_capacity")
    note(columns.column("most", "cpu") < wanted.cpus_milli, "cpu_capacity")
    note(columns.column("most", "memory") < wanted.memory_mib, "memory_capacity")
    if wanted.ceilings.any:
        rows = np.flatnonzero(never == 0)
        rate, power = least(columns, wanted, prices, rows)
        over = np.zeros(len(never), dtype=bool)
        over[rows] = wanted.ceilings.over_price(price_of(rate, prices), rate)
        note(over, "price_least")
        over[rows] = wanted.ceilings.over_carbon(carbon_of(columns, power, columns.site_of[rows]))
        note(over, "carbon_least")
    return never


def least(columns: Columns, wanted: Wanted, prices: Prices, rows: Ints) -> tuple[Numbers, Numbers]:
    """Rate and power that ``rows``, which fit when empty, could not come below: of each thing the cheapest class that the node has
    enough of, and the one that draws least."""
    cards = len(wanted.cards) > 0
    paid = not (cards and prices.cpu_with_accelerator_free)
    cores = range(columns.devices_of("cpu"))
    of_cpu = [columns.column("class", "cpu", str(n))[rows] for n in cores], [columns.column("free", "cpu", str(n))[rows] for n in cores]
    none = np.zeros(len(rows), np.int64)
    rate, power = none, none
    found: list[tuple[Bools, Numbers, Numbers]] = []
    for classes, free in zip(*of_cpu, strict=True):
        for code in np.unique(classes[free >= 0]):
            facts = prices.classes.get(columns.class_ids[code]) if code >= 0 else None
            draws = facts.power_milliwatts * wanted.cpus_milli // 1000 if facts is not None else 0
            here = (classes == code) & (free >= 0)
            found.append((here, _rate(columns, facts if paid else None, wanted.cpus_milli, rows), none + draws))
    rate, power = rate + _lowest(found, 1, rows), power + _lowest(found, 2, rows)
    for names, count in wanted.cards:
        found = []
        for class_id in sorted(names):
            facts = prices.classes[class_id]
            if facts.rate_udu_per_hour is not None:
                here = columns.column("whole", class_id)[rows] >= count
                draws = count * (facts.power_milliwatts * MILLI_CARD // 1000)
                found.append((here, count * _rate(columns, facts, MILLI_CARD, rows), none + draws))
        rate, power = rate + _lowest(found, 1, rows), power + _lowest(found, 2, rows)
    return rate, power


def _lowest(found: list[tuple[Bools, Numbers, Numbers]], what: Literal[1, 2], rows: Ints) -> Numbers:
    """By row the lowest of what holds there; 0 where nothing does."""
    lowest: Numbers = np.full(len(rows), -1, np.int64)
    for one in found:
        here = one[0] & np.asarray((lowest < 0) | (one[what] < lowest), dtype=bool)
        lowest = np.where(here, one[what], lowest)
    return np.where(lowest < 0, 0, lowest)


def _cards_of(columns: Columns, names: Iterable[str]) -> Ints:
    counted = np.zeros(len(columns.nodes), np.int64)
    for class_id in names:
        counted += columns.column("cards", class_id)
    return counted


def _tightest(columns: Columns, kind: str, amount: int, rows: Ints) -> tuple[Ints, Ints]:
    """By row: what the device of ``kind`` with the least free that still suffices has free (−1: there is none), and the
    number of its class."""
    free = np.full(len(rows), -1, np.int64)
    of_class = np.full(len(rows), -1, np.int64)
    for number in range(columns.devices_of(kind)):
        here = columns.column("free", kind, str(number))[rows]
        better = (here >= max(amount, 0)) & ((free < 0) | (here < free))
        free[better] = here[better]
        of_class[better] = columns.column("class", kind, str(number))[rows][better]
    return free, of_class


def _cards(
    columns: Columns, wanted: Wanted, classes: dict[str, ClassFacts], what: str, rows: Ints
) -> tuple[Bools, list[tuple[tuple[str, ...], Ints]]]:
    """By row: whether each accelerator asked for has enough cards of one class, and of which: for each accelerator the classes
    in order of their rates, and the place in that order (−1: none)."""
    enough = np.ones(len(rows), dtype=bool)
    taken: dict[str, Ints] = {}
    picked = []
    for names, count in wanted.cards:
        rates = [(classes[c].rate_udu_per_hour, c) for c in names]
        order = tuple(c for _, c in sorted((rate, c) for rate, c in rates if rate is not None))
        choice = np.full(len(rows), -1, np.int64)
        for place, class_id in enumerate(order):
            there = columns.column(what, class_id)[rows] - taken.get(class_id, 0)
            choice[(choice < 0) & (there >= max(count, 1))] = place
        for place, class_id in enumerate(order):
            taken[class_id] = taken.get(class_id, 0) + count * (choice == place)
        enough &= choice >= 0
        picked.append((order, choice))
    return enough, picked


@dataclass(frozen=True, slots=True)
class Compared:
    """By fitting row: rate and power, and the three things that are compared."""

    rows: Ints
    rate: Numbers
    power: Numbers
    price: Numbers
    carbon: Numbers
    left: Ints

    def of(self, kept: Bools) -> "Compared":
        return Compared(*(getattr(self, name)[kept] for name in Compared.__slots__))


def compare(columns: Columns, wanted: Wanted, prices: Prices, rows: Ints) -> Compared:
    """What the fitting ``rows`` cost an hour, and how tightly the work would pack."""
    free, cpu_class = _tightest(columns, "cpu", wanted.cpus_milli, rows)
    picked = _cards(columns, wanted, prices.classes, "idle", rows)[1]
    rate = power = np.zeros(len(rows), np.int64)
    for code in np.unique(cpu_class):
        facts = prices.classes.get(columns.class_ids[code]) if code >= 0 else None
        if facts is not None:
            here = cpu_class == code
            paid = not (wanted.cards and prices.cpu_with_accelerator_free)
            rate = rate + here * _rate(columns, facts if paid else None, wanted.cpus_milli, rows)
            power = power + here * (facts.power_milliwatts * wanted.cpus_milli // 1000)
    for (order, choice), (_, count) in zip(picked, wanted.cards, strict=True):
        for place in np.unique(choice):
            facts = prices.classes[order[place]]
            here = choice == place
            rate = rate + here * count * _rate(columns, facts, MILLI_CARD, rows)
            power = power + here * count * (facts.power_milliwatts * MILLI_CARD // 1000)
    carbon = carbon_of(columns, power, columns.site_of[rows])
    return Compared(rows, rate, power, price_of(rate, prices), carbon, free - wanted.cpus_milli)


def _rate(columns: Columns, facts: ClassFacts | None, amount: int, rows: Ints) -> Numbers:
    """``catalog.rules.device_rate`` at the site of each row."""
    base = (facts.rate_udu_per_hour or 0) * amount if facts is not None else 0
    class_id = facts.class_id if facts is not None else ""
    factors = columns.terms.factors_ppm.get(class_id, ())
    rates = exact([base // MILLI, *(base * ppm // (MILLI * PPM) for _, ppm in factors)])
    by_terms = np.full(len(columns.terms.terms), rates[0], rates.dtype)
    by_terms[[number for number, _ in factors]] = rates[1:]
    return by_terms[columns.by_site.terms[columns.site_of[rows]]]


def price_of(rate: Numbers, prices: Prices) -> Numbers:
    """``cost_ucny`` of an hour at each rate: half-even."""
    cost, unit = _roomy(rate, prices.price_e8_per_du) * prices.price_e8_per_du, UDU_PER_DU * E8_PER_UCNY
    quotient, twice = cost // unit, cost % unit * 2
    return np.asarray(quotient + ((twice > unit) | ((twice == unit) & (quotient % 2 == 1))))


def carbon_of(columns: Columns, power: Numbers, sites: Ints) -> Numbers:
    """Milligrams an hour: milliwatts for an hour are mWh; × PUE (10⁻³) × g/MWh gives 10⁻¹² g."""
    by_site = columns.terms.grams[columns.by_site.terms[sites]]
    most = int(by_site.max()) if len(by_site) else 0
    return np.asarray(_roomy(power, most) * by_site // MILLIGRAM)


def exact(values: Sequence[int]) -> Numbers:
    wide = any(abs(v).bit_length() > SUMMED_BITS for v in values)
    return np.array(values, dtype=object if wide else np.int64)


def _roomy(values: Numbers, factor: int) -> Numbers:
    """``values`` so that times ``factor`` nothing overflows."""
    most = int(np.abs(values).max()) if len(values) else 0
    return values if (most * max(factor, 1)).bit_length() <= SAFE_BITS else values.astype(object)


def best_first(keys: Sequence[Numbers], first: int | None = None) -> Iterator[int]:
    """Positions ordered by the keys, then as they stand: the ``first`` best ones, without sorting the others; all for None."""
    where = np.arange(len(keys[0]) if keys else 0)
    for position in _best(where, list(keys), len(where) if first is None else min(first, len(where))):
        yield int(position)


def _best(where: Ints, keys: list[Numbers], count: int) -> Ints:
    if not keys or count <= 0:
        return where[:count]
    if count >= len(where):
        return where[np.lexsort([ranked(key[where]) for key in reversed(keys)])]
    values = ranked(keys[0][where])
    limit = np.partition(values, count - 1)[count - 1]
    sure = where[values < limit]
    rest = _best(where[values == limit], keys[1:], count - len(sure))
    return np.concatenate([_best(sure, keys, len(sure)), rest])


def ranked(values: Numbers) -> Ints:
    """Numbers of 64 bits in the order of ``values``."""
    return values if values.dtype == np.int64 else np.unique(values, return_inverse=True)[1].astype(np.int64)
