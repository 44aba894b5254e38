"""How long jobs take, told by those that have ended so far, and never by a job's own end.

Durations are counted in half-octaves. What is expected of a kind of job (its group, its number of cards) is a mixture, each part
counting as so many jobs for the next finer one: all jobs, the group's, the kind's, and the kind's last few. The last few matter most:
people submit the same thing again and again. A thin tail keeps every duration possible.

For each kind, and each level of work already done, two figures follow from the survival curve:

- ``remaining``: seconds still expected;
- ``price``: the least expected seconds of work for one end (the inverse of the Gittins index), over all times to give up at:
  E[work until then] / P[it ends by then]. Where durations are known only by their distribution, serving the lowest price first has the
  least mean time in the system on one machine (Gittins 1979). Where ends are hard to tell it grows with the work done, and so is
  least attained service; where they are certain, it is the remaining time.
"""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ranks = NDArray[np.float64]

EDGES: Ints = np.array([0, *(isqrt(1 << k) for k in range(6, 49))], np.int64)
"""Level k holds what is at least EDGES[k] and less than the next: 0, 8, 11, 16, 22, 32 … 16,777,216 seconds."""
LEVELS = len(EDGES)
LATER = np.triu(np.ones((LEVELS, LEVELS), bool))
MIDDLES: Ints = np.append((EDGES[:-1] + EDGES[1:]) // 2, EDGES[-1] + EDGES[-1] // 4)
JOB = 1 << 20
"""One job, in the units that are counted in: whole numbers, so that sums do not depend on their order."""
WEIGHT = 8
"""As how many jobs a coarser part of the mixture counts."""
LONG, SHORT = 9, 4
"""A kind's counts are multiplied by 1 − 2⁻⁹ with each job that ends, those of its last few by 1 − 2⁻⁴."""


def level_of(seconds: Ints) -> Ints:
    """The level of each; all that is longer than the last edge is of the last level."""
    return np.searchsorted(EDGES, seconds, side="right") - 1


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected now: a row for each kind, a column for each level of work done. Read, never written."""

    price: Ranks
    remaining: Ranks


class History:
    """Grows with each job that ends. Who keeps it says which kinds there are, by group and cards."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, int], int] = {}
        self._group_of: list[int] = []
        self._all = np.zeros(LEVELS, np.int64)
        self._groups: dict[int, Ints] = {}
        self._long: list[Ints] = []
        self._short: list[Ints] = []
        self._stale: dict[int, None] = {}
        self._median: list[int] = []
        self._price = np.zeros((0, LEVELS))
        self._remaining = np.zeros((0, LEVELS))

    def kind(self, group: int, cards: int) -> int:
        """The row of this kind; a new one is as its group and all others are."""
        key = (group, cards)
        if key not in self._kinds:
            row = self._kinds[key] = len(self._kinds)
            self._group_of.append(group)
            self._groups.setdefault(group, np.zeros(LEVELS, np.int64))
            self._long.append(np.zeros(LEVELS, np.int64))
            self._short.append(np.zeros(LEVELS, np.int64))
            if row >= len(self._price):
                more = np.zeros((max(8, row), LEVELS))
                self._price, self._remaining = np.vstack([self._price, more]), np.vstack([self._remaining, more])
            self._median.append(0)
            self._work_out(row)
        return self._kinds[key]

    def ended(self, kind: int, seconds: int) -> None:
        """A job of this kind has ended after so many seconds of work."""
        level = int(np.searchsorted(EDGES, seconds, side="right")) - 1
        for counts, shift in (
            (self._all, LONG),
            (self._groups[self._group_of[kind]], LONG),
            (self._long[kind], LONG),
            (self._short[kind], SHORT),
        ):
            counts -= counts >> shift
            counts[level] += JOB
        self._stale[kind] = None

    def outlook(self) -> Outlook:
        """What is expected now."""
        for kind in self._stale:
            self._work_out(kind)
        self._stale.clear()
        return Outlook(self._price, self._remaining)

    def foreseen(self, kind: int) -> tuple[int, int]:
        """Seconds that a job of this kind is expected to take before it has begun, and that half of them are expected to have ended by."""
        return int(self.outlook().remaining[kind, 0]), self._median[kind]

    def _work_out(self, kind: int) -> None:
        chances = self._chances(kind)
        self._price[kind], self._remaining[kind] = figures(chances)
        half = min(int(np.searchsorted(np.cumsum(chances) * 2, 1)), LEVELS - 1)
        self._median[kind] = int(MIDDLES[half])

    def _chances(self, kind: int) -> Ranks:
        """How likely an end is on each level."""
        chances = np.full(LEVELS, 1 / LEVELS)
        group = self._groups[self._group_of[kind]]
        for counts in (self._all, group, self._long[kind], self._short[kind]):
            total = int(counts.sum())
            chances = (counts + WEIGHT * JOB * chances) / (total + WEIGHT * JOB)
        return chances


def figures(chances: Ranks) -> tuple[Ranks, Ranks]:
    """Price and seconds remaining on each level, from how likely an end is on each."""
    alive = np.cumsum(chances[::-1])[::-1]
    gone = np.append(alive[1:], 0)
    at, until = EDGES, np.append(EDGES[1:], EDGES[-1] * 2)
    spent = np.cumsum(chances * MIDDLES)
    before = np.append(0, spent[:-1])
    # [k, m]: of those that have come to level k, the ends and the work done if given up where level m ends.
    ends = alive[:, None] - gone[None, :]
    work = (spent[None, :] - before[:, None]) - ends * at[:, None] + gone[None, :] * (until[None, :] - at[:, None])
    price = np.min(np.where(LATER, work, np.inf) / np.where(LATER, ends, 1), axis=1)
    remaining = (spent[-1] - before) / alive - at
    return price, remaining
