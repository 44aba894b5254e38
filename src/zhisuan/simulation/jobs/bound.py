"""Lower bounds of the mean time from submission to end that no schedule can pass, whatever it knows and even if stopping costs nothing.

Three, of which the largest is the bound. Of G cards, and jobs with release r, seconds d, cards g, work w = d·g:

1. ``own``: no job ends before r + d. The mean of d.
2. ``fluid``: one machine that does G card-seconds a second, and may put all of them into one job. Every schedule on G cards is one on it
   (each job at the rate at which its cards work), and there the shortest remaining work first has the least sum of completion times
   (Schrage 1968). This is the SRPT bound of the literature; it forgets that a job is only g wide.
3. ``width``: keeps the width. A job runs at a rate of at most one second a second, so it ends no earlier than d/2 after the mean time at
   which its work is done (its mean busy time; it would be just d/2 later if it ran in one piece). The least sum of mean busy times, where
   at most G cards work at a time and at most g of them on a job, is a linear programme. Any prices λ(t) ≥ 0 of a card-second give a
   lower bound of it: each job buys its cheapest d seconds at (t − r)/d + g·λ(t) a second, and what G cards would have cost at λ is taken
   off. The prices are read off the schedule that serves the least work first, and made better step by step.

SRPT replayed on the cards themselves is no bound: on several machines it is not the best.
"""

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from zhisuan.simulation.jobs.trace import Trace

Reals = NDArray[np.float64]
BINS = 2_048
"""Prices are constant in each of so many equal parts of the time. More are slower and hardly higher."""
AT_ONCE = 1_000_000
STEPS = 40
BETTER = 30
FULL = 1e-6
"""All cards work where no more than this part of them is left."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds of the mean."""

    own: float
    fluid: float
    width: float

    @property
    def best(self) -> float:
        return max(self.own, self.fluid, self.width)

    @property
    def which(self) -> str:
        return max(("own", "fluid", "width"), key=lambda name: float(getattr(self, name)))


def lower_bound(trace: Trace, cards: int) -> Bound:
    """No schedule of this trace on so many cards has a lower mean."""
    own = float(trace.seconds.mean())
    return Bound(own, fluid(trace, cards), width(trace, cards))


def fluid(trace: Trace, cards: int) -> float:
    """The shortest remaining work first on one machine; exact, in units of a card-second of all cards."""
    waiting: list[tuple[int, int]] = []
    now, total = 0, 0
    releases = (trace.submitted * cards).tolist()
    works = (trace.seconds * trace.cards).tolist()
    following = [*releases[1:], None]
    for release, work, until in zip(releases, works, following, strict=True):
        now = max(now, release)
        heappush(waiting, (work, release))
        while waiting and (until is None or now < until):
            left, since = waiting[0]
            if until is None or now + left <= until:
                now += left
                total += now - since
                heappop(waiting)
            else:
                heappop(waiting)
                heappush(waiting, (left - (until - now), since))
                now = until
    return total / cards / len(releases)


def width(trace: Trace, cards: int) -> float:
    """The bound by mean busy times: at the prices read off a schedule, scaled as is best, and then better ones, found step by step: a
    part of the time of which more is wanted than there is becomes dearer, one of which less is wanted cheaper."""
    horizon = trace.span + trace.work / cards + int(trace.seconds.max())
    size = horizon / BINS
    first = _prices(trace, cards, size)
    scaled = [first * part / 10 for part in (0, 2, 4, 6, 8, 10)]
    values = [_value(trace, cards, prices, size) for prices in scaled]
    at = max(range(len(values)), key=lambda n: values[n][0])
    prices, (best, wanted) = scaled[at], values[at]
    if not prices.any():
        return best
    step = float(prices[prices > 0].mean()) / 2
    for _ in range(BETTER):
        tried = np.maximum(prices + step * np.clip(wanted - 1, -1, 3), 0)
        value, there = _value(trace, cards, tried, size)
        if value > best:
            prices, best, wanted = tried, value, there
            step *= 1.3
        else:
            step /= 2
    return best


def _prices(trace: Trace, cards: int, size: float) -> Reals:
    """What one more card-second would save in each part of the time: where all cards work, what the served job that comes last loses
    by doing a card-second later. Its time costs 1/w a second, so its price falls by that while it is the last."""
    last, full = _least_work_first(trace, cards, size)
    work = (trace.seconds * trace.cards).astype(float)
    level: dict[int, float] = {}
    prices = np.zeros(BINS)
    later = 0.0
    for place in range(BINS - 1, -1, -1):
        if full[place]:
            job = int(last[place])
            worth = level.setdefault(job, later + (place + 1) * size / work[job])
            later = max(worth - place * size / work[job], 0.0)
            prices[place] = max(worth - (place + 0.5) * size / work[job], 0.0)
        else:
            later = 0.0
    return prices


def _least_work_first(trace: Trace, cards: int, size: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The job served last in each part of the time, and whether all cards work in it."""
    free = np.full(BINS, cards * size)
    last = np.full(BINS, -1)
    work = trace.seconds * trace.cards
    firsts = (trace.submitted / size).astype(np.int64)
    for job in np.argsort(work, kind="stable").tolist():
        left, first, reach = float(work[job]), int(firsts[job]), 4
        room = float(trace.cards[job]) * size
        while left > 0 and first < BINS:
            part = np.minimum(free[first : first + reach], room)
            sums = np.cumsum(part)
            count = min(int(np.searchsorted(sums, left)) + 1, len(part))
            over = max(float(sums[count - 1]) - left, 0.0)
            part = part[:count]
            part[-1] -= over
            free[first : first + count] -= part
            last[first : first + count][part > 0] = job
            left -= float(sums[count - 1])
            first, reach = first + count, reach * 4
    return last, free <= cards * size * FULL


def _value(trace: Trace, cards: int, prices: Reals, size: float) -> tuple[float, Reals]:
    """The bound at these prices, and the card-seconds that jobs want of each part of the time at them, in those that there are."""
    paid, wanted = _cheapest(trace, prices, size)
    bound = float((paid + trace.seconds / 2).sum() - cards * prices.sum() * size) / len(trace)
    return bound, wanted / (cards * size)


def _cheapest(trace: Trace, prices: Reals, size: float) -> tuple[Reals, Reals]:
    """What each job pays at least for its seconds (a little less where the search for its dearest second is not at its end), and the
    card-seconds that all buy of each part of the time."""
    seconds, at = trace.seconds.astype(float), trace.submitted.astype(float)
    first = (at / size).astype(np.int64)
    highest = _highest(prices, first, ((at + seconds) / size).astype(np.int64) + 1)
    dearest = 1 + trace.cards * highest
    reach = np.minimum(((at + dearest * seconds) / size).astype(np.int64) + 1, BINS - 1) - first + 1
    paid, wanted = np.zeros(len(trace)), np.zeros(BINS)
    order = np.argsort(reach, kind="stable")
    begin = 0
    while begin < len(order):
        count = max(1, min(AT_ONCE // int(reach[order[begin]]), len(order) - begin))
        count = max(1, min(count, AT_ONCE // int(reach[order[begin + count - 1]])))
        rows = order[begin : begin + count]
        paid[rows], served, places = _bought(trace, rows, prices, size, int(reach[rows].max()), dearest[rows])
        cards = np.broadcast_to(trace.cards[rows, None], served.shape)
        wanted += np.bincount(places.ravel(), (served * cards).ravel(), BINS)
        begin += count
    return paid, wanted


def _highest(prices: Reals, first: NDArray[np.int64], until: NDArray[np.int64]) -> Reals:
    """The greatest of the parts from ``first`` until before ``until`` of each."""
    bounds = np.column_stack([first, np.minimum(until, BINS)]).ravel()
    return np.asarray(np.maximum.reduceat(np.append(prices, 0.0), bounds)[::2])


def _bought(
    trace: Trace, rows: NDArray[np.int64], prices: Reals, size: float, reach: int, dearest: Reals
) -> tuple[Reals, Reals, NDArray[np.int64]]:
    """By the dual of each job's own problem: for any dearest second θ, it pays at least θ·d less what it saves on all that is cheaper."""
    seconds, at = trace.seconds[rows, None].astype(float), trace.submitted[rows, None].astype(float)
    places = (trace.submitted[rows] / size).astype(np.int64)[:, None] + np.arange(reach)[None, :]
    begin = np.maximum(places * size, at)
    # The part after the last one has no end, and its price is 0: no card is scarce there.
    length = np.where(places < BINS - 1, np.maximum((places + 1) * size - begin, 0), np.inf)
    cost = (begin - at) / seconds + trace.cards[rows, None] * prices[np.minimum(places, BINS - 1)]
    cost = np.where(places < BINS, cost, np.inf)
    low, high = np.zeros((len(rows), 1)), dearest[:, None]
    for _ in range(STEPS):
        middle = (low + high) / 2
        bought = np.clip((middle - cost) * seconds, 0, length).sum(axis=1, keepdims=True)
        enough = bought >= seconds
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    served = np.clip((low - cost) * seconds, 0, length)
    saved = np.where(served > 0, low - cost, 0) * served - served**2 / (2 * seconds)
    return low[:, 0] * seconds[:, 0] - saved.sum(axis=1), served, np.minimum(places, BINS - 1)
