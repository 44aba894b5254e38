"""Several nodes of one site at once, with cards of one class on all of them: on columns, like ``search``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zhisuan.placement.columns import Columns, Ints
from zhisuan.placement.search import (
    Bools,
    Numbers,
    Prices,
    Wanted,
    carbon_of,
    compare,
    price_of,
    ranked,
    sort_out,
)


@dataclass(frozen=True, slots=True)
class Gangs:
    """By candidate: the variant it is of, its rows in the order of their ranks, and what is compared. By site: whether it could
    have enough nodes when empty (``enough``), and whether it has a candidate (``found``)."""

    variant: Ints
    rows: Ints
    price: Numbers
    carbon: Numbers
    left: Ints
    enough: Bools
    found: Bools

    def keys(self) -> tuple[Numbers, ...]:
        return self.price, self.carbon, self.left, self.rows[:, 0]

    def unfit(self, columns: Columns, fitting: Ints) -> Counter[str]:
        """How many nodes would fit by themselves at sites that have no candidate."""
        alone = np.bincount(columns.site_of[fitting], minlength=len(columns.sites)) * ~self.found
        counted = {"gang_free": int(alone[self.enough].sum()), "gang_capacity": int(alone[~self.enough].sum())}
        return Counter({name: count for name, count in counted.items() if count})


def find_gangs(columns: Columns, variants: Sequence[Wanted], nodes: int, prices: Prices) -> Gangs:
    """The best ``nodes`` nodes of each site that has as many, once for each variant (a choice of classes)."""
    can = columns.by_site.gang_nodes_max >= nodes
    enough = found = np.zeros(len(columns.sites), dtype=bool)
    parts = []
    for number, wanted in enumerate(variants):
        sorted_out = sort_out(columns, wanted, prices.classes)
        enough = enough | (can & _has(columns, np.flatnonzero(sorted_out.usable), nodes))
        here = can & _has(columns, sorted_out.fitting, nodes)
        found = found | here
        rows = sorted_out.fitting[here[columns.site_of[sorted_out.fitting]]]
        chosen = _best_of_each(columns, wanted, prices, rows, nodes)
        parts.append((np.full(len(chosen[0]), number), *chosen))
    none = np.zeros(0, np.int64)
    variant, rows_of, price, carbon, left = (
        np.concatenate(column) for column in zip((none, none.reshape(0, nodes), none, none, none), *parts, strict=True)
    )
    return Gangs(variant, rows_of, price, carbon, left, enough, found)


def _has(columns: Columns, rows: Ints, nodes: int) -> Bools:
    return np.asarray(np.bincount(columns.site_of[rows], minlength=len(columns.sites)) >= nodes)


def _best_of_each(
    columns: Columns, wanted: Wanted, prices: Prices, rows: Ints, nodes: int
) -> tuple[Ints, Numbers, Numbers, Ints]:
    """Of each site of ``rows`` its best nodes: their rows, and price, carbon and cores left of all together."""
    each = compare(columns, wanted, prices, rows)
    sites = columns.site_of[rows]
    order = np.lexsort([each.left, ranked(each.carbon), ranked(each.price), sites])
    begins = np.flatnonzero(np.diff(sites[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    best = order[place < nodes].reshape(-1, nodes)
    chosen = rows[best]
    rate, power = each.rate[best].sum(axis=1), each.power[best].sum(axis=1)
    carbon = carbon_of(columns, power, columns.site_of[chosen[:, 0]])
    return chosen, price_of(rate, prices), carbon, each.left[best].sum(axis=1)
