"""What is kept for an order that does not fit yet, so that smaller ones cannot starve it, and who may pass it all the same.

A reservation is made of the very devices that the order will take: on the earliest place that becomes free by work that must end
by itself (its longest time), or, where nobody knows when, on the place that lacks the least. What is kept counts as taken for
everybody behind, but for those that will have ended before. Devices that the order will not take are nobody's concern: others use them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from zhisuan.placement.adjusting import adjusted
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.columns import columns_of
from zhisuan.placement.queueing.types import Order
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, Plan, Snapshot

RENEWED_SECONDS = 60
"""A reservation is looked for anew when it is so old, or its time has passed."""
START_SECONDS = 60
"""So long may it take until work that is given a place begins to run."""
COMPARED_MAX = 50


@dataclass(frozen=True, slots=True)
class Ending:
    """What a lease holds of which devices of a site, and when it will have ended at the latest: None where nobody knows."""

    lease_id: str
    site_id: str
    shares: tuple[tuple[str, int], ...]
    at: int | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept for one order; ``at``: when all of it will be free, None where nobody knows; ``made``: when it was looked for."""

    order_id: str
    site_id: str
    site_name: str
    shares: tuple[tuple[str, int], ...]
    at: int | None
    made: int

    def is_good(self, now: int) -> bool:
        return now - self.made < RENEWED_SECONDS and (self.at is None or self.at > now)

    def lets_pass(self, seconds_max: int | None, now: int) -> bool:
        """Whether work that begins now will have ended before."""
        return self.at is not None and seconds_max is not None and now + START_SECONDS + seconds_max <= self.at


def kept(snapshot: Snapshot, reservations: Iterable[Reservation], seconds_max: int | None, now: int) -> Snapshot:
    """The snapshot as those behind see it: what is reserved counts as taken."""
    binding = [r for r in reservations if not r.lets_pass(seconds_max, now)]
    more: Counter[str] = Counter()
    for one in binding:
        for device_id, amount in one.shares:
            more[device_id] += amount
    return adjusted(snapshot, frozenset(r.site_id for r in binding), more)


def emptied(snapshot: Snapshot, endings: Iterable[Ending]) -> Snapshot:
    """The snapshot as it is once all of these have ended, with its columns: to be asked for several wishes."""
    found = freed(snapshot, endings)
    return replace(found, columns=columns_of(found.sites, found.columns))


def reserve(snapshot: Snapshot, empty: Snapshot, order: Order, wish: Wish, endings: Sequence[Ending], now: int) -> Reservation | None:
    """For a wish of ``order`` that has no place in ``snapshot``, among its fifty best places in ``empty``, where all ``endings`` have ended;
    None where it has none even there."""
    sites = {c.site_id for c in islice(iter(plan_wish(empty, wish).candidates), COMPARED_MAX)}
    here = replace(snapshot, sites=tuple(site for site in snapshot.sites if site.id in sites), columns=None)
    ours = [ending for ending in endings if ending.site_id in sites]
    known = sorted((e for e in ours if e.at is not None), key=lambda e: (e.at or 0, e.lease_id))
    if plan_wish(freed(here, known), wish).chosen is not None:
        few = _fewest(here, wish, known)
        chosen, at = plan_wish(freed(here, known[:few]), wish).chosen, known[few - 1].at if few else None
    else:
        chosen, at = _least_lacking(here, plan_wish(freed(here, ours), wish)), None
    if chosen is None:
        return None
    shares = tuple((s.device_id, s.amount) for s in chosen.shares)
    return Reservation(order.id, chosen.site_id, chosen.site_name, shares, at, now)


def _fewest(snapshot: Snapshot, wish: Wish, known: Sequence[Ending]) -> int:
    """How many of the first to end are enough; all of them are."""
    few, enough = 0, len(known)
    while few < enough:
        middle = (few + enough) // 2
        if plan_wish(freed(snapshot, known[:middle]), wish).chosen is not None:
            enough = middle
        else:
            few = middle + 1
    return enough


def freed(snapshot: Snapshot, endings: Iterable[Ending]) -> Snapshot:
    """The snapshot as it is once these leases have ended."""
    less: Counter[str] = Counter()
    sites = set()
    for ending in endings:
        sites.add(ending.site_id)
        for device_id, amount in ending.shares:
            less[device_id] -= amount
    return adjusted(snapshot, frozenset(sites), less)


def _least_lacking(snapshot: Snapshot, made: Plan) -> Candidate | None:
    """Of the best candidates the one that lacks the fewest cards now, then cores, then memory. What is kept there can only grow, so the
    next look finds the same place, or one that lacks still less."""
    candidates = list(islice(iter(made.candidates), COMPARED_MAX))
    if not candidates:
        return None
    asked = {s.device_id for c in candidates for s in c.shares}
    sites = {c.site_id for c in candidates}
    free = {
        d.id: d.free for site in snapshot.sites if site.id in sites for node in site.nodes for d in node.devices if d.id in asked
    }

    def lacks(candidate: Candidate) -> tuple[int, ...]:
        missing: Counter[str] = Counter()
        for share in candidate.shares:
            missing[share.kind] += max(0, share.amount - free.get(share.device_id, 0))
        return missing["accelerator"], missing["cpu"], missing["memory"]

    return min(candidates, key=lacks)
