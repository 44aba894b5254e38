"""What an order in time is decided on, and what the decision is."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.ordering.history import Outlook

Ints = NDArray[np.int64]
NONE: Ints = np.zeros(0, np.int64)


@dataclass(slots=True)
class Columns:
    """Jobs as columns, a row each, in the order of submission. Seconds on any one scale, and whole cards."""

    cards: Ints
    group: Ints
    submitted: Ints
    since: Ints
    """When it began to wait, or, of one that runs, to run."""
    served: Ints
    """Seconds of its own work done until ``since``."""
    owed: Ints
    """Seconds of this stretch that are no work: it is saved and restored."""
    foreseen: Ints
    """Seconds that it was thought to take when it was submitted."""
    kind: Ints
    """Its row in the outlook."""


@dataclass(frozen=True, slots=True)
class Queue:
    """All that is known at ``now``. Nobody writes to the columns while a decision is made."""

    now: int
    cards: int
    jobs: Columns
    waiting: Ints
    """Rows in the order of submission."""
    running: Ints
    free: int
    """Cards that nothing runs on."""
    outlook: Outlook
    used: Ints
    """Card-seconds of each group, halved every so often (the one who keeps them says how often)."""
    shares: Ints
    """What part of the cards each group is meant to have, in any one unit."""

    def attained(self, rows: Ints) -> Ints:
        """Seconds of work that running rows have done."""
        jobs = self.jobs
        done: Ints = jobs.served[rows] + np.maximum(self.now - jobs.since[rows] - jobs.owed[rows], 0)
        return done


@dataclass(frozen=True, slots=True)
class Orders:
    """``stop`` comes before ``start``. ``again``: when to ask again although nothing has begun or ended."""

    start: Ints = field(default_factory=lambda: NONE)
    stop: Ints = field(default_factory=lambda: NONE)
    again: int | None = None


class Policy(Protocol):
    """Pure: the same queue gives the same orders."""

    name: str

    def decide(self, queue: Queue) -> Orders: ...
