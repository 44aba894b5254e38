"""The replay of jobs: what every policy must keep, a plain specification, bounds beside an optimum that was tried out."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.placement.ordering.history import EDGES, LEVELS, MIDDLES, History, figures, level_of
from zhisuan.placement.ordering.ours import Rules, Zhisuan
from zhisuan.placement.ordering.types import Orders, Queue
from zhisuan.simulation.jobs.bound import lower_bound
from zhisuan.simulation.jobs.compare import POLICIES, compare, policy_of
from zhisuan.simulation.jobs.made import SHAPES, make
from zhisuan.simulation.jobs.measure import measure
from zhisuan.simulation.jobs.replay import OverCommitted, Replay, Setting, replay
from zhisuan.simulation.jobs.trace import Job, Trace, of_jobs

sys.path.insert(0, str(Path(__file__).parents[1] / "placement"))
import ordering_specification as plain

CARDS = 8
JOBS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 40), st.sampled_from([1, 1, 2, 4, 8])), min_size=1, max_size=12
)
LONGER = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(1, 4_000), st.sampled_from([1, 1, 2, 4, 8])), min_size=1, max_size=40
)
QUICK = Rules(run_min=120, wait_max=1_200, pause=60)
Triples = Sequence[tuple[int, int, int]]


def trace_of(jobs: Triples) -> Trace:
    return of_jobs("t", [Job(*job, group=f"g{n % 3}") for n, job in enumerate(jobs)])


def in_order(jobs: Triples) -> list[tuple[int, int, int]]:
    """As the trace has them: by submission, from 0 on."""
    first = min(job[0] for job in jobs)
    return [(at - first, seconds, cards) for at, seconds, cards in sorted(jobs, key=lambda job: job[0])]


class Watched:
    """A policy with every order written down: when each job started and was stopped."""

    def __init__(self, inner: object) -> None:
        self.inner, self.name = inner, "watched"
        self.stretches: list[tuple[int, int, int]] = []
        self.begun: dict[int, int] = {}
        self.starts: list[tuple[int, int]] = []

    def decide(self, queue: Queue) -> Orders:
        orders = self.inner.decide(queue)  # type: ignore[attr-defined]
        for row in orders.stop.tolist():
            self.stretches.append((row, self.begun.pop(row), queue.now))
        for row in orders.start.tolist():
            self.begun[row] = queue.now
            self.starts.append((queue.now, row))
        return orders  # type: ignore[no-any-return]


def busiest(trace: Trace, watched: Watched, found: Replay) -> int:
    """The most cards that were ever in use, by the orders alone."""
    changes = [(end, -int(trace.cards[row])) for row, _, end in watched.stretches]
    changes += [(int(found.ended[row]), -int(trace.cards[row])) for row in range(len(trace))]
    changes += [(at, int(trace.cards[row])) for at, row in watched.starts]
    used = np.cumsum([change for _, change in sorted(changes)])
    return int(used.max())


@pytest.mark.parametrize("name", POLICIES)
@given(jobs=LONGER, cost=st.sampled_from([0, 30]))
@settings(max_examples=8, deadline=None)
def test_all_work_is_done_once_and_no_card_is_given_twice(name: str, jobs: Triples, cost: int) -> None:
    trace = trace_of(jobs)
    watched = Watched(policy_of(name, trace, QUICK))
    found = replay(trace, watched, Setting(CARDS, cost))
    jct = found.ended - trace.submitted
    assert (found.started >= trace.submitted).all() and (found.ended > found.started).all()
    assert (jct == found.waited + trace.seconds + found.overhead).all()
    assert (found.overhead <= found.stops * cost).all()
    assert busiest(trace, watched, found) <= CARDS


@given(jobs=JOBS)
@settings(max_examples=30, deadline=None)
def test_fifo_is_the_plain_fifo(jobs: Triples) -> None:
    trace = trace_of(jobs)
    found = replay(trace, policy_of("fifo", trace, QUICK), Setting(CARDS))
    assert found.ended.tolist() == plain.played(in_order(jobs), CARDS, 0, plain.fifo)
    assert (np.diff(found.started) >= 0).all()


@given(jobs=JOBS, cost=st.sampled_from([0, 7]))
@settings(max_examples=30, deadline=None)
def test_srpt_is_the_plain_srpt(jobs: Triples, cost: int) -> None:
    trace = trace_of(jobs)
    found = replay(trace, policy_of("srpt", trace, QUICK), Setting(CARDS, cost))
    assert found.ended.tolist() == plain.played(in_order(jobs), CARDS, cost, plain.srpt)


@given(jobs=LONGER)
@settings(max_examples=25, deadline=None)
def test_ours_leaves_who_starts_alone_for_the_minimum(jobs: Triples) -> None:
    trace = trace_of(jobs)
    watched = Watched(Zhisuan(QUICK))
    replay(trace, watched, Setting(CARDS, 30))
    assert all(stopped - begun >= QUICK.run_min for _, begun, stopped in watched.stretches)


@given(jobs=LONGER, seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_ours_lets_nobody_wait_longer_than_is_said(jobs: Triples, seed: int) -> None:
    """The longest wait, and then the minimum run (with what was owed) once for each that was next before, and once more."""
    flood = [(n * 20, 60 + (n * seed) % 50, 1) for n in range(150)]
    trace = trace_of([*jobs, *flood, (5, 3_000, CARDS)])
    found = replay(trace, Zhisuan(QUICK), Setting(CARDS, 30))
    wide = int(np.flatnonzero((trace.cards == CARDS) & (trace.seconds == 3_000))[0])
    ahead = int(((trace.submitted <= trace.submitted[wide]) | (found.longest > QUICK.wait_max)).sum())
    assert found.longest[wide] <= QUICK.wait_max + (QUICK.run_min + 30) * (1 + ahead)


def test_a_gang_of_all_cards_starts_although_small_jobs_never_stop_coming() -> None:
    flood = [(n * 10, 55, 1) for n in range(600)]
    trace = trace_of([(0, 5_000, CARDS), *flood])
    watched = Watched(Zhisuan(QUICK))
    found = replay(trace, watched, Setting(CARDS, 30))
    assert found.stops[0] > 0, "it should have been stopped, or this shows nothing"
    assert found.longest[0] <= QUICK.wait_max + QUICK.run_min + 30


@given(jobs=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=4))
@settings(max_examples=12, deadline=None)
def test_no_schedule_passes_the_bound(jobs: list[tuple[int, int, int]]) -> None:
    trace = trace_of(jobs)
    bound = lower_bound(trace, 3)
    best = plain.best_total(in_order(jobs), 3) / len(jobs)
    assert bound.own <= best and bound.fluid <= best * (1 + 1e-9) and bound.width <= best * (1 + 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_policy_is_above_the_bound(shape: str) -> None:
    trace = make(300, 7, shape)
    cards = max(int(trace.work / trace.span), 32)
    summary = compare(trace, POLICIES, Setting(cards, 0), QUICK).summary
    assert all(figures["jct"]["mean"] >= summary["bound"]["mean_jct"] for figures in summary["policies"].values())


def test_the_bound_is_tight_where_nobody_waits_and_where_all_do() -> None:
    alone = trace_of([(0, 100, 2), (500, 60, 1)])
    assert lower_bound(alone, CARDS).best == pytest.approx(80, rel=1e-3)
    row = trace_of([(0, 100, CARDS)] * 10)
    assert lower_bound(row, CARDS).best == pytest.approx(550, rel=1e-3)


def test_predictions_know_nothing_of_what_has_not_ended() -> None:
    """Two traces that differ only in how long the last jobs take give the same decisions until one of those ends."""
    trace = make(200, 3, "mixed")
    seconds = trace.seconds.copy()
    late = np.arange(len(trace)) >= 150
    seconds[late] = seconds[late] * 3 + 7
    other = Trace("o", trace.submitted, seconds, trace.cards, trace.group, trace.groups)
    first, second = (replay(t, Zhisuan(QUICK), Setting(40)) for t in (trace, other))
    until = min(int(found.ended[late].min()) for found in (first, second))
    before = [c for c in first.course if c[0] < until]
    assert len(before) > 100 and before == [c for c in second.course if c[0] < until]
    assert (first.foreseen[trace.submitted < until] == second.foreseen[trace.submitted < until]).all()


def test_what_repeats_is_foreseen() -> None:
    history = History()
    kind = history.kind(0, 1)
    for _ in range(60):
        history.ended(kind, 1_000)
    assert 724 <= history.foreseen(kind)[1] < 1_024
    price = history.outlook().price[kind]
    assert price[level_of(np.array([700]))[0]] < price[0] < price[level_of(np.array([5_000]))[0]]


@given(counts=st.lists(st.integers(1, 50), min_size=LEVELS, max_size=LEVELS))
@settings(max_examples=30, deadline=None)
def test_price_and_remaining_are_what_the_sums_say(counts: list[int]) -> None:
    chances = np.array(counts) / sum(counts)
    price, remaining = figures(chances)
    until = [*EDGES[1:].tolist(), int(EDGES[-1]) * 2]
    for k in range(0, LEVELS, 7):
        alive = sum(chances[k:])
        mean = sum(c * (m - EDGES[k]) for c, m in zip(chances[k:], MIDDLES[k:], strict=True)) / alive
        assert remaining[k] == pytest.approx(mean)
        ratios = []
        for m in range(k, LEVELS):
            ends = sum(chances[k : m + 1])
            work = sum(chances[i] * (MIDDLES[i] - EDGES[k]) for i in range(k, m + 1)) + (alive - ends) * (
                until[m] - EDGES[k]
            )
            ratios.append(work / ends)
        assert price[k] == pytest.approx(min(ratios))


def test_the_same_gives_the_same_bytes_and_another_seed_does_not() -> None:
    def course(seed: int) -> bytes:
        trace = make(300, seed, "bursty")
        found = replay(trace, Zhisuan(), Setting(40))
        return found.ended.tobytes() + repr(measure(trace, found, 40)).encode()

    assert course(1) == course(1) != course(2)


def test_a_policy_that_breaks_the_rules_is_found_out() -> None:
    class Greedy:
        name = "greedy"

        def decide(self, queue: Queue) -> Orders:
            return Orders(start=queue.waiting)

    class Idle:
        name = "idle"

        def decide(self, queue: Queue) -> Orders:
            return Orders()

    trace = trace_of([(0, 10, 5), (0, 10, 5)])
    for policy in (Greedy(), Idle()):
        with pytest.raises(OverCommitted):
            replay(trace, policy, Setting(CARDS))
