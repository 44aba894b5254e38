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
    least,
    price_of,
    ranked,
    sort_out,
)


@dataclass(frozen=True, slots=True)
class Gangs:
    """By candidate: the variant it is of, its rows in the order of their ranks, and what is compared. By site: whether it could
    have enough nodes when empty (``enough``), whether it has a candidate (``found``), and whether the first it would have is over the
    ceiling of price or carbon."""

    variant: Ints
    rows: Ints
    price: Numbers
    carbon: Numbers
    left: Ints
    enough: Bools
    found: Bools
    over_price: Bools
    over_carbon: Bools

    def keys(self) -> tuple[Numbers, ...]:
        return self.price, self.carbon, self.left, self.rows[:, 0]

    def unfit(self, columns: Columns, fitting: Ints) -> Counter[str]:
        """How many nodes would fit by themselves at sites that have no candidate."""
        alone = np.bincount(columns.site_of[fitting], minlength=len(columns.sites)) * ~self.found
        busy = ~self.over_price & ~self.over_carbon
        counted = {
            "price_max": int(alone[self.over_price].sum()),
            "carbon_max": int(alone[self.over_carbon].sum()),
            "gang_free": int(alone[busy & self.enough].sum()),
            "gang_capacity": int(alone[busy & ~self.enough].sum()),
        }
        return Counter({name: count for name, count in counted.items() if count})


def find_gangs(
    columns: Columns, variants: Sequence[Wanted], nodes: int, prices: Prices, among: Bools | None = None
) -> Gangs:
    """The best ``nodes`` nodes of each site that has as many, once for each variant (a choice of classes), where they are not over
    the ceilings together."""
    can = columns.by_site.gang_nodes_max >= nodes
    enough, found, over_price, over_carbon = (np.zeros(len(columns.sites), dtype=bool) for _ in range(4))
    parts = []
    for number, wanted in enumerate(variants):
        sorted_out = sort_out(columns, wanted, prices, among)
        enough |= can & _could(columns, wanted, prices, np.flatnonzero(sorted_out.usable), nodes)
        here = can & _has(columns, sorted_out.fitting, nodes)
        rows = sorted_out.fitting[here[columns.site_of[sorted_out.fitting]]]
        rows_of, rate, price, carbon, left = _best_of_each(columns, wanted, prices, rows, nodes)
        sites = columns.site_of[rows_of[:, 0]]
        dear = wanted.ceilings.over_price(price, rate)
        dirty = wanted.ceilings.over_carbon(carbon) & ~dear
        new = ~(found | over_price | over_carbon)[sites]
        over_price[sites[dear & new]] = over_carbon[sites[dirty & new]] = True
        kept = np.flatnonzero(~dear & ~dirty)
        found[sites[kept]] = True
        parts.append((np.full(len(kept), number), rows_of[kept], price[kept], carbon[kept], left[kept]))
    none = np.zeros(0, np.int64)
    variant, rows_of, price, carbon, left = (
        np.concatenate(column) for column in zip((none, none.reshape(0, nodes), none, none, none), *parts, strict=True)
    )
    return Gangs(variant, rows_of, price, carbon, left, enough, found, over_price, over_carbon)


def _could(columns: Columns, wanted: Wanted, prices: Prices, usable: Ints, nodes: int) -> Bools:
    """By site: whether it has enough nodes that fit when empty, and as many times the least that one of them could come to is not
    over the ceilings."""
    could = _has(columns, usable, nodes)
    if not wanted.ceilings.any:
        return could
    rate, power = least(columns, wanted, prices, usable)
    sites = columns.site_of[usable]
    for over, values in ((True, rate), (False, power)):
        order = np.lexsort([ranked(values), sites])
        first = order[np.flatnonzero(np.diff(sites[order], prepend=-1))]
        all_nodes = values[first] * nodes
        if over:
            beyond = wanted.ceilings.over_price(price_of(all_nodes, prices), all_nodes)
        else:
            beyond = wanted.ceilings.over_carbon(carbon_of(columns, all_nodes, sites[first]))
        could[sites[first[beyond]]] = False
    return could


def _has(columns: Columns, rows: Ints, nodes: int) -> Bools:
    return np.asarray(np.bincount(columns.site_of[rows], minlength=len(columns.sites)) >= nodes)


def _best_of_each(
    columns: Columns, wanted: Wanted, prices: Prices, rows: Ints, nodes: int
) -> tuple[Ints, Numbers, Numbers, Numbers, Ints]:
    """Of each site of ``rows`` its best nodes: their rows, and rate, price, carbon and cores left of all together."""
    each = compare(columns, wanted, prices, rows)
    sites = columns.site_of[rows]
    order = np.lexsort([each.left, ranked(each.carbon), ranked(each.price), sites])
    begins = np.flatnonzero(np.diff(sites[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    best = order[place < nodes].reshape(-1, nodes)
    chosen = rows[best]
    rate, power = each.rate[best].sum(axis=1), each.power[best].sum(axis=1)
    carbon = carbon_of(columns, power, columns.site_of[chosen[:, 0]])
    return chosen, rate, price_of(rate, prices), carbon, each.left[best].sum(axis=1)
