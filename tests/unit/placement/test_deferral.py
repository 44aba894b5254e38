"""Work that can wait: properties of any plan, the optimum by looking at every plan on small cases, and what makes work late."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.placement.deferral.arrivals import expected
from zhisuan.placement.deferral.rules import plan
from zhisuan.placement.deferral.types import DeferralPlan, Outlook, Slot, Work

REGIONS, HOURS, NOW = 2, 6, 100


def outlook(cost: list[list[int]], free: list[list[int]]) -> Outlook:
    rows = np.array(cost, np.int64)
    return Outlook(NOW, rows, np.array(free, np.int64), np.zeros_like(rows))


def work(name: str, hours: int, deadline: int, *, cards: int = 1, interruptible: bool = True, earliest: int = 0, regions: tuple[int, ...] = (0, 1)) -> Work:  # fmt: skip
    return Work(name, hours, cards, 100 * cards, NOW + earliest, NOW + deadline, interruptible, regions)


@st.composite
def works(draw: st.DrawFn) -> list[Work]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        earliest = draw(st.integers(-2, 3))
        hours = draw(st.integers(1, 3))
        deadline = draw(st.integers(max(earliest, 0) + hours, HOURS))
        regions = draw(st.sampled_from([(0,), (1,), (0, 1)]))
        made.append(work(f"w{number}", hours, deadline, cards=draw(st.integers(1, 2)), interruptible=draw(st.booleans()), earliest=earliest, regions=regions))  # fmt: skip
    return made


def grid(low: int, high: int) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(st.integers(low, high), min_size=HOURS, max_size=HOURS), min_size=REGIONS, max_size=REGIONS)


def all_schedules(one: Work) -> list[tuple[Slot, ...]]:
    hours = range(max(one.earliest, NOW), one.deadline)
    if not one.interruptible:
        return [
            tuple(Slot(start + k, region) for k in range(one.hours))
            for region in one.regions
            for start in hours
            if start + one.hours <= one.deadline
        ]
    return [
        tuple(Slot(hour, region) for hour, region in zip(chosen, where, strict=True))
        for chosen in itertools.combinations(hours, one.hours)
        for where in itertools.product(one.regions, repeat=one.hours)
    ]


def best_of_all(those: list[Work], seen: Outlook) -> int | None:
    """The least that any plan in time costs, by trying them all."""
    best: int | None = None
    ranked = [[(s, sum(w.watts * int(seen.cost[a.region, a.hour - NOW]) for a in s)) for s in all_schedules(w)] for w in those]

    def go(number: int, use: Counter[tuple[int, int]], cost: int) -> None:
        nonlocal best
        if best is not None and cost >= best:
            return
        if number == len(those):
            best = cost
            return
        for slots, more in ranked[number]:
            after = use.copy()
            for slot in slots:
                after[(slot.region, slot.hour)] += those[number].cards
            if all(n <= seen.free[r, h - NOW] for (r, h), n in after.items()):
                go(number + 1, after, cost + more)

    go(0, Counter(), 0)
    return best


def cost_of(made: DeferralPlan, those: list[Work], seen: Outlook) -> int:
    watts = {w.id: w.watts for w in those}
    return sum(watts[p.id] * int(seen.cost[s.region, s.hour - NOW]) for p in made.planned for s in p.slots)


def assert_rules(made: DeferralPlan, those: list[Work], seen: Outlook) -> None:
    assert sorted(p.id for p in made.planned) == sorted(w.id for w in those)
    by_id = {w.id: w for w in those}
    use: Counter[tuple[int, int]] = Counter()
    for one in made.planned:
        its = by_id[one.id]
        hours = [slot.hour for slot in one.slots]
        assert hours == sorted(set(hours)) and all(h >= max(its.earliest, NOW) for h in hours)
        assert {slot.region for slot in one.slots} <= set(its.regions)
        assert one.reason.en and one.reason.zh
        if not one.late:
            assert len(hours) == its.hours and hours[-1] < its.deadline
        if not its.interruptible and hours:
            assert hours == list(range(hours[0], hours[0] + its.hours)) and len({s.region for s in one.slots}) == 1
        use.update({(s.region, s.hour): its.cards for s in one.slots})
    assert all(n <= seen.free[r, h - NOW] for (r, h), n in use.items())


@given(works(), grid(-5, 50), grid(0, 3))
@settings(max_examples=150, deadline=None)
def test_rules_hold_and_no_plan_beats_the_best_of_all(those: list[Work], cost: list[list[int]], free: list[list[int]]) -> None:
    seen = outlook(cost, free)
    made = plan(those, seen)
    assert_rules(made, those, seen)
    best = best_of_all(those, seen)
    if best is None:
        assert any(p.late for p in made.planned)
    elif not any(p.late for p in made.planned):
        assert cost_of(made, those, seen) >= best


@given(works(), grid(0, 50))
@settings(max_examples=100, deadline=None)
def test_with_room_for_all_it_is_the_best_of_all(those: list[Work], cost: list[list[int]]) -> None:
    seen = outlook(cost, [[99] * HOURS] * REGIONS)
    assert cost_of(plan(those, seen), those, seen) == best_of_all(those, seen)


@given(works(), grid(0, 50), grid(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_works_changes_nothing(those, cost, free, random) -> None:  # type: ignore[no-untyped-def]
    seen = outlook(cost, free)
    shuffled = list(those)
    random.shuffle(shuffled)
    assert plan(those, seen).planned == plan(shuffled, seen).planned


def test_over_many_small_cases_it_is_near_the_best_of_all() -> None:
    rng = np.random.default_rng(5)
    ours = least = late = possible = 0
    for _ in range(60):
        those = [work(f"w{n}", int(rng.integers(1, 3)), int(rng.integers(3, HOURS + 1)), interruptible=bool(rng.integers(2))) for n in range(4)]  # fmt: skip
        seen = outlook(rng.integers(1, 50, (REGIONS, HOURS)).tolist(), [[1] * HOURS] * REGIONS)
        best = best_of_all(those, seen)
        if best is None:
            continue
        made = plan(those, seen)
        possible += 1
        if any(p.late for p in made.planned):
            late += 1
        else:
            ours, least = ours + cost_of(made, those, seen), least + best
    assert possible > 40 and late <= possible // 50
    assert ours <= least * 112 // 100


def test_one_green_hour_goes_to_whom_it_is_worth_most() -> None:
    dear = Work("dear", 1, 1, 900, NOW, NOW + 3, True, (0,))
    cheap = Work("cheap", 1, 1, 100, NOW, NOW + 3, True, (0,))
    seen = Outlook(NOW, np.array([[50, 1, 40]]), np.ones((1, 3), np.int64), np.zeros((1, 3), np.int64))
    made = {p.id: p for p in plan([cheap, dear], seen).planned}
    assert made["dear"].slots == (Slot(NOW + 1, 0),) and made["cheap"].slots == (Slot(NOW + 2, 0),)
    assert "worth more to others" in made["cheap"].reason.en and "对其他作业更有价值" in made["cheap"].reason.zh


def test_what_is_late_is_named_and_runs_as_soon_as_there_is_room() -> None:
    seen = outlook([[1] * HOURS] * 2, [[1, 1, 0, 1, 1, 1], [0] * HOURS])
    made = {p.id: p for p in plan([work("a", 2, 2), work("b", 2, 2)], seen).planned}
    assert not made["a"].late and made["b"].late
    assert [s.hour - NOW for s in made["b"].slots] == [3, 4]
    assert "No room for 2 h on 1 cards" in made["b"].reason.en


def test_nothing_to_plan() -> None:
    assert plan([], outlook([[1] * HOURS] * 2, [[1] * HOURS] * 2)).at(NOW) == []


@pytest.mark.parametrize("hours", [0, 24])
def test_expected_work_grows_with_the_hours_ahead_and_stays_within_capacity(hours: int) -> None:
    came = [Work(f"w{n}", 4, 2, 800, 0, 24, True, (0,) if n % 2 else (0, 1)) for n in range(60)]
    capacity = np.array([10, 10])
    held = expected(came, hours, capacity, 40)
    assert held.shape == (2, 40) and (held <= capacity[:, None]).all() and (held[:, 0] == 0).all()
    assert (np.diff(held, axis=1) >= 0).all()
    assert bool(held.any()) is (hours > 0) and (held[0] >= held[1]).all()
