"""Repeating within a budget, by a clock that only the work moves."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.probes.sampling import Samples, sample, time_once


class WorkClock:
    """Nanoseconds that pass only while work runs; each run takes the next of ``costs``, then the last one again."""

    def __init__(self, costs: list[int]) -> None:
        self.now = 0
        self.runs = 0
        self._costs = costs

    def __call__(self) -> int:
        return self.now

    def work(self) -> None:
        self.now += self._costs[min(self.runs, len(self._costs) - 1)]
        self.runs += 1


costs = st.lists(st.integers(1, 10**9), min_size=1, max_size=30)


@given(costs, st.integers(0, 10**10), st.integers(1, 5), st.integers(0, 20))
def test_repeats_stay_within_bounds_and_time(costs: list[int], budget: int, least: int, more: int) -> None:
    clock = WorkClock(costs)
    found = sample(clock.work, clock, deadline_ns=budget, repeats_min=least, repeats_max=least + more)
    assert least <= len(found.times_ns) <= least + more
    assert len(found.times_ns) == clock.runs
    assert sum(found.times_ns) == clock.now
    if len(found.times_ns) > least:
        # The last run began when there seemed to be time for one as long as the longest.
        assert clock.now - found.times_ns[-1] + max(found.times_ns[:-1]) <= budget


@given(costs)
def test_median_and_best(times: list[int]) -> None:
    samples = Samples(tuple(times))
    assert samples.median_ns == int(statistics.median(times))
    assert samples.best_ns == min(times)


def test_a_run_that_the_clock_cannot_see_counts_one_nanosecond() -> None:
    assert time_once(lambda: None, lambda: 5) == 1
