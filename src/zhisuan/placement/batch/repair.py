"""A plan made better piece by piece: one or two sites are emptied and filled again, with what was left out, in another order."""

import numpy as np

from zhisuan.placement.batch.greedy import Room, at_prices
from zhisuan.placement.batch.options import Ints

SITES_MAX = 3


def repair(room: Room, prices: Ints, work: int, enough: int) -> None:
    """Tries until ``work`` jobs have been put anew, or until the objective is ``enough``; each is kept if it is no dearer, and undone if it is. The same numbers
    are drawn each time, so the same plan gives the same plan."""
    rng = np.random.default_rng(1)
    options = room.options
    priced = at_prices(options, prices)
    weight = options.cards * options.length.max(axis=1)
    while work > 0 and room.objective > enough:
        before = room.objective
        out = _emptied(
            room,
            rng.choice(len(options.free), min(int(rng.integers(1, SITES_MAX + 1)), len(options.free)), replace=False),
        )
        pending = np.flatnonzero(room.left)
        order = pending[np.argsort(-weight[pending] * rng.integers(50, 151, len(pending)), kind="stable")]
        work -= len(order) + len(out) + 1
        rank = priced if rng.integers(2) else options.cost
        put = [(wish, room.taken[wish].copy()) for wish in order.tolist()]
        for wish in order.tolist():
            room.put_cheapest(wish, rank[wish])
        if room.objective > before:
            _undo(room, put, out)


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
