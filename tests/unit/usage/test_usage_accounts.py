"""The rule that holds an engine's account against what was metered."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from zhisuan.usage.accounts import AGREES, METERED_LESS, METERED_MORE, OTHER_NODES, Comparison, compare

BEGAN = datetime(2026, 7, 1, 8, tzinfo=UTC)
milliseconds = st.integers(0, 10**9)


def judged(metered: int, elapsed_ms: int, before_ms: int = 0, engine_nodes: int | None = 1) -> Comparison:
    return compare(
        metered_seconds=metered, active_from=BEGAN, nodes=1, engine_started_at=BEGAN - timedelta(milliseconds=before_ms),
        engine_elapsed_milliseconds=elapsed_ms, engine_nodes=engine_nodes,
    )  # fmt: skip


@given(st.integers(0, 10**6), milliseconds, st.integers(-500, 500))
def test_an_engine_that_counts_whole_seconds_agrees_however_long_it_prepared(
    seconds: int, before: int, rounding: int
) -> None:
    assert judged(seconds, max(before, seconds * 1000 + before + rounding), before).verdict == AGREES


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_every_difference_beyond_the_tolerance_is_told_with_its_sign(metered: int, engine: int) -> None:
    found = judged(metered, engine * 1000)
    assert found.difference_milliseconds == (metered - engine) * 1000
    if metered - engine > 5 + engine / 100:
        assert found.verdict == METERED_MORE
    elif engine - metered > 5 + engine / 100:
        assert found.verdict == METERED_LESS
    else:
        assert found.verdict == AGREES


@given(milliseconds, milliseconds, milliseconds)
def test_more_metered_never_looks_like_less(elapsed: int, before: int, seconds: int) -> None:
    order = [METERED_LESS, AGREES, METERED_MORE]
    first, second = judged(seconds // 1000, elapsed, before), judged(seconds // 1000 + 1, elapsed, before)
    assert order.index(first.verdict) <= order.index(second.verdict)


def test_suspended_time_that_was_metered_shows() -> None:
    assert judged(600, 300_000).verdict == METERED_MORE


def test_an_engine_that_counts_from_after_our_start_is_not_helped() -> None:
    assert judged(100, 60_000, before_ms=-40_000).verdict == METERED_MORE


def test_another_number_of_nodes_is_told_first_and_an_unknown_one_not() -> None:
    assert judged(10, 10_000, engine_nodes=2).verdict == OTHER_NODES
    assert judged(10, 10_000, engine_nodes=None).verdict == AGREES
