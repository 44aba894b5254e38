"""How many cards work still to come will want: from the work that has come."""

from collections.abc import Sequence

import numpy as np

from zhisuan.placement.deferral.types import Ints, Work


def expected(came: Sequence[Work], hours: int, capacity: Ints, ahead: int) -> Ints:
    """Cards by region for the next ``ahead`` hours that work which has not come yet will hold, if work goes on coming as ``came`` did in
    the last ``hours``.

    Of the card-hours that come in each hour, those bound to some regions are shared among these, by capacity. They are held later
    the more slack they have: ``k`` hours ahead the share ``k / (k + mean slack + mean length)`` of the steady load is new. Rounded down, and
    never more than the capacity.
    """
    if not came or hours < 1:
        return np.zeros((len(capacity), ahead), np.int64)
    load = np.zeros(len(capacity), np.int64)
    for work in came:
        total = max(sum(int(capacity[r]) for r in work.regions), 1)
        for region in work.regions:
            load[region] += work.hours * work.cards * 1000 * int(capacity[region]) // total
    weight = sum(w.hours * w.cards for w in came)
    span = sum((w.deadline - w.earliest) * w.hours * w.cards for w in came) // max(weight, 1)
    step = np.arange(ahead)
    held = load[:, None] * step // (hours * (step + span + 1))
    most: Ints = np.minimum(held // 1000, capacity[:, None])
    return most
