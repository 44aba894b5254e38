"""When work counts as idle."""

from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.idle import BUSY_MILLI_CORES, SAMPLE_SECONDS, Use


def seen(use: Use, now: float, cpu: int, *, calls: int = 0, still_open: int = 0, preparing: bool = False) -> float:
    use.see(now, cpu_milliseconds=cpu, calls=calls, open_calls=still_open, preparing=preparing)
    return use.idle_seconds(now)


def test_work_that_was_never_seen_is_not_idle() -> None:
    assert Use().idle_seconds(1e9) == 0


def test_processor_time_is_use() -> None:
    use = Use()
    assert all(seen(use, t, 1000 * t) < 2 * SAMPLE_SECONDS for t in range(0, 600, 7))
    last = use.idle_seconds(600)
    assert seen(use, 900, 620_000) == 0, "a long look counts on the whole"
    assert seen(use, 1200, 620_001) == 300 > last


def test_a_little_processor_time_is_none() -> None:
    use = Use()
    for t in range(0, 601, 10):
        idle = seen(use, t, t * (BUSY_MILLI_CORES - 1))
    assert idle == 600


def test_calls_and_open_connections_are_use() -> None:
    use = Use()
    seen(use, 0, 0)
    assert seen(use, 100, 0) == 100
    assert seen(use, 101, 0, calls=1) == 0
    assert seen(use, 150, 0, calls=1) == 49
    assert seen(use, 200, 0, calls=2, still_open=1) == 0
    assert seen(use, 900, 0, calls=2, still_open=1) == 0, "a call that lasts is use for as long as it lasts"
    assert seen(use, 950, 0, calls=2) == 50


def test_setting_up_is_use() -> None:
    use = Use()
    assert [seen(use, t, 0, preparing=True) for t in (0, 1000)] == [0, 0]


@given(st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 5000), st.integers(0, 1)), max_size=40))
def test_idle_time_is_never_longer_than_since_the_last_call(steps: list[tuple[float, int, int]]) -> None:
    use, now, cpu, calls, called_at = Use(), 0.0, 0, 0, 0.0
    seen(use, now, cpu)
    for elapsed, more_cpu, more_calls in steps:
        now, cpu, calls = now + elapsed, cpu + more_cpu, calls + more_calls
        called_at = now if more_calls else called_at
        assert 0 <= seen(use, now, cpu, calls=calls) <= now - called_at + 1e-6
