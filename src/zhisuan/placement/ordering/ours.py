"""Our order."""

from dataclasses import dataclass

import numpy as np

from zhisuan.placement.ordering.filling import fill, fill_two
from zhisuan.placement.ordering.history import Ints, Ranks, level_of
from zhisuan.placement.ordering.ranked import by_rank
from zhisuan.placement.ordering.types import NONE, Orders, Queue


@dataclass(frozen=True, slots=True)
class Rules:
    """``run_min``: seconds that who starts is left alone. ``wait_max``: seconds after which who waits is next, whatever its rank.
    ``stay``: in percent, how much lower a rank must be than that of a running job to take its place. ``pause``: seconds between looks
    at ranks that change while jobs run."""

    run_min: int = 600
    wait_max: int = 10 * 86_400
    stay: int = 300
    pause: int = 300


class Zhisuan:
    """The least expected card-seconds for one end, with a minimum run and a longest wait."""

    name = "zhisuan"

    def __init__(self, rules: Rules = Rules()) -> None:
        self.rules = rules

    def decide(self, queue: Queue) -> Orders:
        jobs, rules = queue.jobs, self.rules
        wait, run, now = queue.waiting, queue.running, queue.now
        waited = now - jobs.since[wait]
        if int(jobs.cards[wait].sum()) <= queue.free:
            return Orders(start=wait)
        guard_ends = jobs.since[run] + jobs.owed[run] + rules.run_min
        guarded = guard_ends > now
        room = queue.cards - int(jobs.cards[run[guarded]].sum())
        late = waited >= rules.wait_max
        again = now + rules.pause
        if not late.all():
            again = min(again, int(now - waited[~late].max() + rules.wait_max))
        starts, extra = NONE, room
        if late.any():
            overdue = wait[late]
            overdue = overdue[np.lexsort((overdue, jobs.since[overdue]))]
            cards = jobs.cards[overdue]
            count = int(np.searchsorted(np.cumsum(cards), room, side="right"))
            starts = overdue[:count]
            room -= int(cards[:count].sum())
            extra = room
            if count < len(overdue):
                held = np.concatenate([run[guarded], starts])
                ends = np.concatenate([guard_ends[guarded], now + jobs.owed[starts] + rules.run_min])
                begins, extra = self._reserve(queue, held, ends, room, int(cards[count]))
                again = min(again, begins)
                wait = np.setdiff1d(wait, overdue[: count + 1], assume_unique=True)
            else:
                wait = wait[~late]
        open_rows = run[~guarded]
        rows = np.concatenate([open_rows, wait])
        here = len(open_rows)
        order = by_rank(self.rank(queue, rows, here))
        cards = jobs.cards[rows[order]]
        taken = order[fill_two(cards, order >= here, room, extra)] if extra < room else order[fill(cards, room)]
        keeps = np.zeros(here, bool)
        keeps[taken[taken < here]] = True
        return Orders(np.concatenate([starts, rows[taken[taken >= here]]]), open_rows[~keeps], again)

    def rank(self, queue: Queue, rows: Ints, here: int) -> Ranks:
        """The first ``here`` rows run."""
        jobs = queue.jobs
        done = np.concatenate([queue.attained(rows[:here]), jobs.served[rows[here:]]])
        price = queue.outlook.price[jobs.kind[rows], level_of(done)] * jobs.cards[rows]
        price[:here] = price[:here] * 100 / self.rules.stay
        return price

    def _reserve(self, queue: Queue, guarded: Ints, ends: Ints, room: int, wanted: int) -> tuple[int, int]:
        """When the next in line can start at the latest, and the cards it leaves then: others may start on no more."""
        order = np.argsort(ends, kind="stable")
        there = room + np.cumsum(queue.jobs.cards[guarded[order]])
        reached = int(np.searchsorted(there, wanted))
        return int(ends[order[reached]]), int(there[reached]) - wanted
