"""A plan made better piece by piece: one or two sites are emptied and filled again, with what was left out, in another order."""

import numpy as np

from zhisuan.placement.batch.greedy import Room, at_prices
from zhisuan.placement.batch.options import Ints

SITES_MAX = 4
MARGIN_SHARE = 4000


def repair(room: Room, prices: Ints, work: int, enough: int) -> Room:
    """The best plan found from ``room`` on, until ``work`` jobs have been put anew, or until the objective is ``enough``.

    What comes out a little dearer is kept, too, less and less so towards the end (threshold accepting), and the best is returned. The
    same numbers are drawn each time, so the same plan gives the same plan. ``room`` is used up.
    """
    rng = np.random.default_rng(1)
    options = room.options
    priced = at_prices(options, prices)
    weight = options.cards * options.length.max(axis=1)
    best, all_work = room.copy(), work
    margin = abs(room.objective) // MARGIN_SHARE
    most = min(SITES_MAX, len(options.free))
    while work > 0 and best.objective > enough:
        before = room.objective
        out = _emptied(room, rng.choice(len(options.free), int(rng.integers(1, most + 1)), replace=False))
        pending = np.flatnonzero(room.left)
        order = pending[np.argsort(-weight[pending] * rng.integers(50, 151, len(pending)), kind="stable")]
        work -= len(order) + len(out) + 1
        rank = priced if rng.integers(2) else options.cost
        put = [(wish, room.taken[wish].copy()) for wish in order.tolist()]
        for wish in order.tolist():
            room.put_cheapest(wish, rank[wish])
        if room.objective > before + margin * max(work, 0) // all_work:
            _undo(room, put, out)
        elif room.objective < best.objective:
            best = room.copy()
    return best


def _emptied(room: Room, sites: Ints) -> list[tuple[int, int, int, int]]:
    """Takes all starts at ``sites`` out, and returns them."""
    out = []
    for site in np.sort(sites).tolist():
        for wish, slot in zip(*np.nonzero(room.taken[:, site]), strict=True):
            out.append((int(wish), site, int(slot), int(room.taken[wish, site, slot])))
    for wish, site, slot, count in out:
        room.put(wish, site, slot, -count)
    return out


def _undo(room: Room, put: list[tuple[int, Ints]], out: list[tuple[int, int, int, int]]) -> None:
    for wish, had in put:
        for site, slot in zip(*np.nonzero(room.taken[wish] - had), strict=True):
            room.put(wish, int(site), int(slot), int(had[site, slot] - room.taken[wish, site, slot]))
    for start in out:
        room.put(*start)
