"""First come, first served; and with backfill (EASY). What has started runs to its end."""

import numpy as np

from zhisuan.placement.ordering.filling import prefix
from zhisuan.placement.ordering.history import level_of
from zhisuan.placement.ordering.types import Orders, Queue


class Fifo:
    """In the order of submission; one that finds no room holds back all behind it."""

    name = "fifo"

    def decide(self, queue: Queue) -> Orders:
        first = queue.waiting[: max(queue.free, 0)]
        return Orders(start=first[: prefix(queue.jobs.cards[first], queue.free)])


class Easy:
    """As FIFO, but others may pass the first that waits where by the predictions they do not delay it: they end before it can
    start, or take cards that it leaves (Lifka 1995). Predictions err, so they sometimes do."""

    name = "easy"

    def decide(self, queue: Queue) -> Orders:
        jobs, free = queue.jobs, queue.free
        if not free or not len(queue.waiting):
            return Orders()
        count = prefix(jobs.cards[queue.waiting[:free]], free)
        start = queue.waiting[:count].tolist()
        free -= int(jobs.cards[start].sum())
        behind = queue.waiting[count:]
        if not free or len(behind) < 2:
            return Orders(start=np.array(start, np.int64))
        head = int(behind[0])
        running = np.concatenate([queue.running, np.array(start, np.int64)])
        ends = self._expected(queue, running)
        soonest = np.lexsort((running, ends))
        there = free + np.cumsum(jobs.cards[running[soonest]])
        reached = int(np.searchsorted(there, jobs.cards[head]))
        begins, extra = int(ends[soonest[reached]]), int(there[reached] - jobs.cards[head])
        others = behind[1:]
        others = others[jobs.cards[others] <= free]
        for row, width, seconds in zip(others.tolist(), jobs.cards[others].tolist(), jobs.foreseen[others].tolist(), strict=True):  # fmt: skip
            in_time = queue.now + seconds <= begins
            if width > free or not (in_time or width <= extra):
                continue
            start.append(row)
            free -= width
            extra -= 0 if in_time else width
            if not free:
                break
        return Orders(start=np.array(start, np.int64))

    @staticmethod
    def _expected(queue: Queue, rows: np.ndarray) -> np.ndarray:
        """When each is expected to end; of one that starts now, what was foreseen."""
        jobs = queue.jobs
        level = level_of(queue.attained(rows))
        left = np.maximum(queue.outlook.remaining[jobs.kind[rows], level].astype(np.int64), 1)
        return np.asarray(queue.now + left)
