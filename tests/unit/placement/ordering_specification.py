"""The orders in time said job by job, and a replay second by second: slow, plain, and independent of the columns."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Plain:
    row: int
    submitted: int
    seconds: int
    cards: int
    done: int = 0
    owed: int = 0
    began: int | None = None
    ended: int | None = None


Choice = Callable[[int, int, list[Plain], list[Plain]], list[Plain]]
"""(now, cards, waiting, running) → all that run from now on."""


def fifo(now: int, cards: int, waiting: list[Plain], running: list[Plain]) -> list[Plain]:
    chosen = list(running)
    for job in sorted(waiting, key=lambda j: j.row):
        if sum(j.cards for j in chosen) + job.cards > cards:
            break
        chosen.append(job)
    return chosen


def srpt(now: int, cards: int, waiting: list[Plain], running: list[Plain]) -> list[Plain]:
    def left(job: Plain) -> int:
        return (job.seconds - job.done + (job.owed if job in waiting else 0)) * job.cards

    if sum(j.cards for j in waiting + running) <= cards:
        return waiting + running
    chosen: list[Plain] = []
    for job in sorted(
        waiting + running, key=lambda j: (left(j), j in waiting, j.row if j in waiting else running.index(j))
    ):
        if sum(j.cards for j in chosen) + job.cards <= cards:
            chosen.append(job)
    return chosen


def played(jobs: list[tuple[int, int, int]], cards: int, cost: int, choose: Choice) -> list[int]:
    """When each of (submitted, seconds, cards) ends, in their order."""
    all_jobs = [Plain(row, *job) for row, job in enumerate(jobs)]
    running: list[Plain] = []
    now = 0
    while any(job.ended is None for job in all_jobs):
        over = [job for job in running if job.done >= job.seconds]
        for job in over:
            job.ended = now
        running = [job for job in running if job.ended is None]
        waiting = [job for job in all_jobs if job.submitted <= now and job.ended is None and job not in running]
        if over or any(job.submitted == now for job in all_jobs):
            chosen = choose(now, cards, waiting, running)
            for job in running:
                if job not in chosen:
                    job.owed = cost
            running = [job for job in running if job in chosen] + [job for job in chosen if job in waiting]
        assert sum(job.cards for job in running) <= cards
        for job in running:
            if job.owed:
                job.owed -= 1
            else:
                job.done += 1
        now += 1
    return [job.ended or 0 for job in all_jobs]


def best_total(jobs: list[tuple[int, int, int]], cards: int) -> int:
    """The least sum of the times from submission to end over all schedules that decide once a second: tried out, all of them."""
    seen: dict[tuple[int, tuple[int, ...]], int] = {}

    def least(now: int, left: tuple[int, ...]) -> int:
        if not any(left):
            return 0
        key = (now, left)
        if key not in seen:
            here = [n for n, job in enumerate(jobs) if job[0] <= now and left[n]]
            options = []
            for mask in range(1 << len(here)):
                chosen = [n for k, n in enumerate(here) if mask >> k & 1]
                if sum(jobs[n][2] for n in chosen) > cards or (here and not chosen):
                    continue
                after = tuple(seconds - (n in chosen) for n, seconds in enumerate(left))
                options.append(least(now + 1, after))
            seen[key] = len(here) + min(options)
        return seen[key]

    return least(0, tuple(job[1] for job in jobs))
