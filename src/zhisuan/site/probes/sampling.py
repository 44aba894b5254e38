"""Timing a piece of work again and again within a budget; the clock is passed in."""

from collections.abc import Callable
from dataclasses import dataclass

Nanoseconds = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Samples:
    """Run times in ns, in the order of the runs; never empty, never below 1 ns."""

    times_ns: tuple[int, ...]

    @property
    def median_ns(self) -> int:
        ordered = sorted(self.times_ns)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2

    @property
    def best_ns(self) -> int:
        return min(self.times_ns)


def time_once(work: Callable[[], object], now_ns: Nanoseconds) -> int:
    started = now_ns()
    work()
    return max(1, now_ns() - started)


def sample(
    work: Callable[[], object], now_ns: Nanoseconds, *, deadline_ns: int, repeats_min: int, repeats_max: int
) -> Samples:
    """Run ``work`` at least ``repeats_min`` times, and on until ``repeats_max`` or until the next run, as long as the
    longest so far, would pass the deadline."""
    times: list[int] = []
    while len(times) < repeats_max:
        if len(times) >= repeats_min and now_ns() + max(times) > deadline_ns:
            break
        times.append(time_once(work, now_ns))
    return Samples(tuple(times))
