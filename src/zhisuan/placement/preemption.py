"""Which interruptible (spot) work makes way for work on demand that finds no place. Pure.

Only where nothing is free, nor will be when what is ending already has ended. Of the sets that make room on one site: the
fewest leases; then the least loss (what they have done since their last checkpoint); then the newest. A set holds no lease that
could be left out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from zhisuan.base.text import Text
from zhisuan.placement.adjusting import adjusted
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Snapshot

PAIRS_AMONG_MAX = 12
"""Pairs are tried one by one among so few leases; beyond, and for more than two, a set is found by leaving out what it can."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease as preemption sees it: what it holds of which devices, when it began (any scale), and what ending it loses, in
    10⁻⁶ 度."""

    lease_id: str
    site_id: str
    shares: tuple[tuple[str, int], ...]
    began: int
    loss_udu: int


@dataclass(frozen=True, slots=True)
class Preemption:
    """The leases to end, all of one site."""

    site_id: str
    site_name: str
    lease_ids: tuple[str, ...]
    loss_udu: int

    @property
    def reason(self) -> Text:
        count = len(self.lease_ids)
        return Text(
            f"No place is free; {count} interruptible lease(s) on {self.site_name} are asked to make way.",
            f"没有空闲位置；请站点 {self.site_name} 上的 {count} 个可中断租约让出设备。",
        )

    def as_dict(self) -> dict[str, Any]:
        """For the record of the work that they make way for: how many, not whose."""
        return {"site_id": self.site_id, "site_name": self.site_name, "leases": len(self.lease_ids), "loss_udu": self.loss_udu}


def preempt(
    snapshot: Snapshot, wish: Wish, spot: Sequence[Holding], ending: Iterable[Holding] = ()
) -> Preemption | None:
    """The leases of ``spot`` to end so that ``wish`` finds a place; None where a place is free or will be without that, and
    where ending all of them would give none. ``ending``: leases that have been told to end."""
    soon = _freed(snapshot, ending)
    if plan_wish(snapshot, wish).chosen is not None or plan_wish(soon, wish).chosen is not None:
        return None
    found = []
    for site in soon.sites:
        held = sorted((h for h in spot if h.site_id == site.id), key=_dispensable)
        chosen = _smallest(replace(soon, sites=(site,)), wish, held) if held else None
        if chosen is not None:
            found.append((site, chosen))
    if not found:
        return None
    site, chosen = min(found, key=lambda f: (len(f[1]), _loss(f[1]), [_dispensable(h) for h in f[1]]))
    return Preemption(site.id, site.name, tuple(sorted(h.lease_id for h in chosen)), _loss(chosen))


def _dispensable(holding: Holding) -> tuple[int, int, str]:
    """Least loss first, then the newest."""
    return holding.loss_udu, -holding.began, holding.lease_id


def _loss(chosen: Sequence[Holding]) -> int:
    return sum(h.loss_udu for h in chosen)


def _smallest(of_site: Snapshot, wish: Wish, held: Sequence[Holding]) -> tuple[Holding, ...] | None:
    """``held`` is in the order in which leases are given up first."""
    if not _fits(of_site, wish, held):
        return None
    sizes = (1, 2) if len(held) <= PAIRS_AMONG_MAX else (1,)
    for size in sizes:
        fitting = [c for c in combinations(held, size) if _fits(of_site, wish, c)]
        if fitting:
            return min(fitting, key=lambda c: (_loss(c), [_dispensable(h) for h in c]))
    chosen = list(held)
    for one in reversed(held):
        without = [h for h in chosen if h is not one]
        if _fits(of_site, wish, without):
            chosen = without
    return tuple(chosen)


def _fits(of_site: Snapshot, wish: Wish, gone: Sequence[Holding]) -> bool:
    return plan_wish(_freed(of_site, gone), wish).chosen is not None


def _freed(snapshot: Snapshot, gone: Iterable[Holding]) -> Snapshot:
    """The snapshot as it is once these leases have ended."""
    less: Counter[str] = Counter()
    sites = set()
    for holding in gone:
        sites.add(holding.site_id)
        for device_id, amount in holding.shares:
            less[device_id] -= amount
    return adjusted(snapshot, frozenset(sites), less)
