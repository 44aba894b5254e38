"""The replay: a virtual clock that goes from one event to the next, and asks the policy at each.

A job that is stopped keeps what it has done and pays ``cost`` seconds on its cards (saving and restoring) before it goes on. Nothing
else is lost. What a policy is told about durations comes from jobs that have ended.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from zhisuan.placement.ordering.history import History, Ints
from zhisuan.placement.ordering.types import NONE, Columns, Orders, Policy, Queue
from zhisuan.simulation.jobs.trace import Trace

HALF_LIFE = 86_400
"""Seconds after which what a group has used counts half."""
TOLD_EVERY = 2_000


@dataclass(frozen=True, slots=True)
class Setting:
    """``cards`` of the cluster; ``cost``: seconds that a job pays for having been stopped."""

    cards: int
    cost: int = 60
    shares: Ints | None = None


@dataclass(slots=True)
class Replay:
    """What came of it, by job, and the course of things by event: (time, cards in use, jobs waiting)."""

    policy: str
    started: Ints
    ended: Ints
    stops: Ints
    overhead: Ints
    foreseen: Ints
    median: Ints
    waited: Ints
    longest: Ints
    """The longest time it waited at a stretch."""
    course: list[tuple[int, int, int]]
    decisions: int = 0


class OverCommitted(RuntimeError):
    """The policy gave out more cards than there are, or ordered what cannot be: a fault of the policy."""


class Player:
    """One trace under one policy."""

    def __init__(self, trace: Trace, policy: Policy, setting: Setting) -> None:
        size = len(trace)
        self.trace, self.policy, self.setting = trace, policy, setting
        zeros = [np.zeros(size, np.int64) for _ in range(5)]
        self.jobs = Columns(trace.cards, trace.group, trace.submitted, *zeros)
        self.history = History()
        self.waiting, self.running = NONE, NONE
        self.free = setting.cards
        self.used = np.zeros(len(trace.groups), np.int64)
        self.used_at = 0
        self.shares = setting.shares if setting.shares is not None else np.ones(len(trace.groups), np.int64)
        self.stretch = np.zeros(size, np.int64)
        self.runs = np.zeros(size, bool)
        self.ends: list[tuple[int, int, int]] = []
        never = np.full(size, -1, np.int64)
        stops, overhead, foreseen, median, waited, longest = (np.zeros(size, np.int64) for _ in range(6))
        self.result = Replay(policy.name, never, never.copy(), stops, overhead, foreseen, median, waited, longest, [])

    def play(self, told: Callable[[int], None] = lambda done: None) -> Replay:
        submitted = self.trace.submitted.tolist()
        size, arrived, done, again = len(submitted), 0, 0, None
        result, course = self.result, self.result.course
        while done < size:
            times = [self.ends[0][0]] if self.ends else []
            times += [submitted[arrived]] if arrived < size else []
            times += [again] if again is not None else []
            if not times:
                raise OverCommitted(f"{self.policy.name} leaves {len(self.waiting)} jobs waiting for ever")
            now = min(times)
            ended = self._end(now)
            done += ended
            first = arrived
            while arrived < size and submitted[arrived] <= now:
                self._arrive(arrived, now)
                arrived += 1
            if arrived > first:
                self.waiting = np.concatenate([self.waiting, np.arange(first, arrived, dtype=np.int64)])
            again = self._ask(now)
            if again is not None and again <= now:
                raise OverCommitted(f"{self.policy.name} asks to be asked again at {again}, which is not after {now}")
            course.append((now, self.setting.cards - self.free, len(self.waiting)))
            if ended and done // TOLD_EVERY != (done - ended) // TOLD_EVERY:
                told(done)
        return result

    def _arrive(self, row: int, now: int) -> None:
        jobs, history = self.jobs, self.history
        kind = history.kind(int(jobs.group[row]), int(jobs.cards[row]))
        jobs.kind[row], jobs.since[row] = kind, now
        jobs.foreseen[row], self.result.median[row] = history.foreseen(kind)
        self.result.foreseen[row] = jobs.foreseen[row]

    def _end(self, now: int) -> int:
        """All whose last second has passed."""
        gone = []
        while self.ends and self.ends[0][0] <= now:
            _, row, stretch = heappop(self.ends)
            if stretch == self.stretch[row]:
                gone.append(row)
        while self.ends and self.ends[0][2] != self.stretch[self.ends[0][1]]:
            heappop(self.ends)
        if not gone:
            return 0
        jobs, seconds = self.jobs, self.trace.seconds
        self._account(now)
        for row in gone:
            self.result.ended[row] = now
            self.result.overhead[row] += int(jobs.owed[row])
            self.runs[row] = False
            self.stretch[row] += 1
            self.free += int(jobs.cards[row])
            self.history.ended(int(jobs.kind[row]), int(seconds[row]))
        self.running = self.running[self.runs[self.running]]
        return len(gone)

    def _ask(self, now: int) -> int | None:
        if not len(self.waiting):
            return None
        self._account(now)
        queue = Queue(
            now, self.setting.cards, self.jobs, self.waiting, self.running, self.free, self.history.outlook(), self.used, self.shares
        )  # fmt: skip
        self.result.decisions += 1
        orders = self.policy.decide(queue)
        if len(orders.stop):
            self._stop(orders, queue)
        if len(orders.start):
            self._start(orders, now)
        return orders.again

    def _stop(self, orders: Orders, queue: Queue) -> None:
        jobs, rows, now = self.jobs, orders.stop, queue.now
        if not self.runs[rows].all():
            raise OverCommitted(f"{self.policy.name} stops what does not run")
        begun = jobs.owed[rows]
        self.result.overhead[rows] += np.minimum(now - jobs.since[rows], begun)
        jobs.served[rows] = queue.attained(rows)
        jobs.owed[rows] = self.setting.cost
        jobs.since[rows] = now
        self.stretch[rows] += 1
        self.result.stops[rows] += 1
        self.free += int(jobs.cards[rows].sum())
        self.runs[rows] = False
        self.running = self.running[self.runs[self.running]]
        self.waiting = np.sort(np.concatenate([self.waiting, rows]))

    def _start(self, orders: Orders, now: int) -> None:
        jobs, rows = self.jobs, orders.start
        self.free -= int(jobs.cards[rows].sum())
        before = len(self.waiting)
        self.runs[rows] = True
        self.waiting = self.waiting[~self.runs[self.waiting]]
        if self.free < 0 or before - len(self.waiting) != len(rows):
            raise OverCommitted(f"{self.policy.name} starts what does not wait, or more than there is room for")
        result = self.result
        waited = now - jobs.since[rows]
        result.waited[rows] += waited
        result.longest[rows] = np.maximum(result.longest[rows], waited)
        new = rows[result.started[rows] < 0]
        result.started[new] = now
        jobs.since[rows] = now
        self.stretch[rows] += 1
        left = self.trace.seconds[rows] - jobs.served[rows] + jobs.owed[rows]
        for row, end in zip(rows.tolist(), (now + left).tolist(), strict=True):
            heappush(self.ends, (end, row, int(self.stretch[row])))
        self.running = np.concatenate([self.running, rows])

    def _account(self, now: int) -> None:
        """What running jobs have used since the last time, on what is left of earlier use."""
        passed = now - self.used_at
        if not passed:
            return
        # Halved bit by bit: 256 steps to the half, so that no power of a fraction is needed.
        steps = now * 256 // HALF_LIFE - self.used_at * 256 // HALF_LIFE
        if steps:
            self.used -= self.used * min(steps * 177, 65_536) // 65_536
        busy = np.zeros(len(self.used), np.int64)
        np.add.at(busy, self.jobs.group[self.running], self.jobs.cards[self.running])
        self.used += busy * passed
        self.used_at = now


def replay(trace: Trace, policy: Policy, setting: Setting, told: Callable[[int], None] = lambda done: None) -> Replay:
    """Raises OverCommitted for a policy that breaks the rules."""
    return Player(trace, policy, setting).play(told)
