"""How many replicas are wanted, and what demand is expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.placement.demand import expected
from zhisuan.placement.scaling import Bounds, Fixed, OnConcurrency, OnForecast, OnQueue, OnTokenRate, Rule, Seen, plan

SECOND = 1_000_000
BOUNDS = Bounds(1, 10, 60 * SECOND, 120 * SECOND)


def seen(**given: object) -> Seen:
    facts: dict[str, object] = {"now_us": 1_000 * SECOND, "live": 2, "starting": 0, "in_flight": 0, "waiting": 0, "period_us": 10 * SECOND, "tokens": ()}  # fmt: skip
    return Seen(**(facts | given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "facts", "wanted"),
    [
        (Fixed(3), {}, 3),
        (OnConcurrency(8), {"in_flight": 17}, 3),
        (OnConcurrency(8), {"in_flight": 0}, 0),
        (OnQueue(2), {"in_flight": 9, "waiting": 7}, 4),
        (OnQueue(2), {"in_flight": 9, "waiting": 7, "live": 6, "starting": 4}, 6),
        (OnQueue(2), {"in_flight": 9, "waiting": 0, "live": 4}, 3),
        (OnQueue(2), {"in_flight": 9, "waiting": 4, "live": 4}, 4),
        (OnQueue(2), {"in_flight": 1, "waiting": 0, "live": 1}, 1),
        (OnQueue(2), {"in_flight": 0, "waiting": 0}, 0),
        (OnTokenRate(1_000), {"tokens": (99_999, 40_000, 40_000, 40_000, 40_001)}, 5),
        (OnTokenRate(1_000), {"tokens": (), "in_flight": 3}, 1),
        (OnForecast(1_000), {"tokens": (20_000,) * 8}, 2),
        (OnForecast(1_000), {"tokens": (10_000,) * 8 + (20_000,) * 8}, 3),
        (OnForecast(1_000, 8), {"tokens": (10_000, 10_000, 50_000, 10_000) * 4}, 5),
    ],
)
def test_each_rule_wants_what_it_says(rule: Rule, facts: dict[str, object], wanted: int) -> None:
    assert rule.wanted(seen(**facts), BOUNDS) == wanted


def test_more_at_once_and_fewer_only_after_a_calm_while() -> None:
    assert plan(Fixed(5), seen(), BOUNDS).replicas == 5
    lately, before = ((1_000 - 119) * SECOND, 4), ((1_000 - 121) * SECOND, 9)
    held = plan(Fixed(2), seen(live=6, wanted=(before, lately)), BOUNDS)
    assert (held.wanted, held.replicas) == (2, 4)
    assert plan(Fixed(2), seen(live=6, wanted=(before,)), BOUNDS).replicas == 6 - 4
    assert "wanted lately" in held.reason.en


@given(
    st.integers(0, 30), st.integers(0, 20), st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 12)), max_size=6)
)
def test_a_plan_keeps_its_bounds_and_never_shrinks_below_what_the_moment_asks_for(
    wanted: int, live: int, past: list[tuple[int, int]]
) -> None:
    found = plan(Fixed(wanted), seen(live=live, wanted=tuple((at * SECOND, n) for at, n in past)), BOUNDS)
    assert found.wanted == min(10, max(1, wanted)) <= found.replicas <= max(10, live)
    assert found.replicas <= max(found.wanted, live)


@given(st.lists(st.integers(0, 10**9), max_size=30), st.integers(1, 8), st.integers(0, 10))
def test_what_is_expected_is_whole_not_negative_and_bounded_by_what_was_seen(
    past: list[int], ahead: int, season: int
) -> None:
    found = expected(past, ahead, season)
    assert len(found) == ahead and all(type(one) is int and one >= 0 for one in found)
    assert max(found) <= 4 * max(past, default=0) + 1


def test_a_season_comes_again_at_the_level_of_today() -> None:
    day = [10 + place * (24 - place) for place in range(24)]
    today = [2 * one for one in day[:10]]
    assert expected(day + day + today, 5, 24) == tuple(2 * one for one in day[10:15])
    assert expected([7] * 20, 3) == (7, 7, 7)
    assert expected([], 2) == (0, 0)
