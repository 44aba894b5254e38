"""Work that can wait, what is expected of the hours to come, and the plan over both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zhisuan.base.text import Text

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Work:
    """What is left of a job: whole ``hours`` on ``cards``, drawing ``watts`` in all, ended before the hour ``deadline``.

    Hours are numbered on one line of time. An interruptible job may run in any of its hours, each in another region if that is
    better (it goes on from its checkpoint); another runs once, without a break, in one region. ``regions`` are numbers of regions.
    """

    id: str
    hours: int
    cards: int
    watts: int
    earliest: int
    deadline: int
    interruptible: bool
    regions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected from the hour ``now`` on, one row a region, one column an hour.

    ``cost`` is what is to be small, for each watt-hour, in a unit of the caller's (mgCO2/kWh, 10⁻⁶ yuan/kWh, or a mix of them);
    ``free`` is the number of cards that nothing holds, ``expected`` how many of them work still to come is expected to want
    (``arrivals.py``). ``prices`` are what a card-hour was worth at the last plan, as a start.
    """

    now: int
    cost: Ints
    free: Ints
    expected: Ints
    prices: Ints | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    hour: int
    region: int


@dataclass(frozen=True, slots=True)
class Planned:
    """The hours of one job, in order. ``late``: no room was found before its deadline, so it runs as soon as there is room."""

    id: str
    slots: tuple[Slot, ...]
    late: bool
    reason: Text


@dataclass(frozen=True, slots=True)
class DeferralPlan:
    """``now`` are the jobs that run in the coming hour; ``prices`` are what a card-hour is worth by region and hour."""

    planned: Sequence[Planned]
    prices: Ints

    def at(self, hour: int) -> list[tuple[str, int]]:
        """The ids of the jobs that run in ``hour``, and where."""
        return [(one.id, slot.region) for one in self.planned for slot in one.slots if slot.hour == hour]
