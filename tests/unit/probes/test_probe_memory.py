"""Memory bandwidth: the kernels compute, the bytes are counted, the arrays follow cache and memory."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.probes.memory import (
    KERNELS,
    REPEATS_MAX,
    REPEATS_MIN,
    Kernel,
    cache_bytes,
    make_parts,
    measure,
    plan_array_bytes,
)

COPY, TRIAD = KERNELS


def test_the_kernels_do_what_they_are_named() -> None:
    a, b, c = numpy.arange(8.0), numpy.full(8, 2.0), numpy.full(8, 0.5)
    COPY.run(a, b, c)
    assert (c == numpy.arange(8.0)).all()
    TRIAD.run(a, b, c)
    assert (a == 2.0 + 3.0 * c).all()


@given(st.none() | st.integers(1, 2**32), st.integers(1, 10_000))
def test_arrays_are_four_caches_and_stay_within_the_memory(cache: int | None, memory_mib: int) -> None:
    size, exceeds = plan_array_bytes(cache, memory_mib)
    assert size % 8 == 0
    assert 3 * size <= memory_mib * 1024**2
    if exceeds:
        assert cache is not None and size >= 4 * cache - 7
    if cache is None:
        assert not exceeds


class SteppedClock:
    """A clock that only a kernel's run moves: each run by the next of ``durations_ms``."""

    def __init__(self, pool: ThreadPoolExecutor, durations_ms: list[int]) -> None:
        self.now = 0
        self._durations = iter(durations_ms)
        self._map = pool.map
        pool.map = self._run  # type: ignore[method-assign]

    def _run(self, *arguments: Any, **options: Any) -> Any:
        self.now += next(self._durations) * 1_000_000
        return self._map(*arguments, **options)

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize(("kernel", "bytes_per_element"), [(COPY, 16), (TRIAD, 40)])
def test_bandwidth_is_bytes_over_the_best_time_but_the_first(kernel: Kernel, bytes_per_element: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        parts = make_parts(8_000_000, 2, pool)
        # The first run is the fastest and must not count.
        clock = SteppedClock(pool, [1, 50, 40, *[30] * REPEATS_MAX])
        found = measure(kernel, parts, pool, exceeds_cache=True, budget_ns=10**12, now_ns=clock)
    assert found.repeats == REPEATS_MAX - 1
    assert found.megabytes_per_second == 1_000_000 * bytes_per_element * 1000 // 30_000_000
    assert (found.threads, found.array_bytes) == (2, 8_000_000)
    assert found.duration_ms == 1 + 50 + 40 + 30 * (REPEATS_MAX - 3)


def test_cache_size_is_the_largest_level(tmp_path: Path) -> None:
    for index, text in enumerate(["32K\n", "1024K\n", "36M\n", "strange\n"]):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        (folder / "size").write_text(text, encoding="ascii")
    assert cache_bytes(tmp_path) == 36 * 1024**2
    assert cache_bytes(tmp_path / "absent") is None


def test_a_real_run_moves_data() -> None:
    with ThreadPoolExecutor(1) as pool:
        parts = make_parts(8_000_000, 1, pool)
        found = measure(COPY, parts, pool, exceeds_cache=False, budget_ns=0, now_ns=time.perf_counter_ns)
    assert found.repeats == REPEATS_MIN - 1
    assert found.megabytes_per_second > 0
