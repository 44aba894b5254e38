"""The matrix product probe: exact rates by a simulated device, size and time rules, and the real numpy and torch."""

import importlib.util
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zhisuan.site.probes import gemm
from zhisuan.site.probes.child import launch, thread_environment
from zhisuan.site.probes.gemm_subjects import Subject, numpy_subjects
from zhisuan.site.probes.protocol import Speaker, parse_event

MS = 1_000_000


class Device:
    """A device that multiplies at ``mflops`` exactly, on a clock of its own; more than ``size_max`` does not fit."""

    def __init__(self, mflops: int, size_max: int = 1 << 20) -> None:
        self.now = 0
        self.products = 0
        self.refused = 0
        self._mflops = mflops
        self._size_max = size_max

    def now_ns(self) -> int:
        return self.now

    def prepare(self, size: int) -> Callable[[], None]:
        if size > self._size_max:
            self.refused += 1
            raise RuntimeError("out of memory")

        def multiply() -> None:
            self.now += 2 * size**3 * 1000 // self._mflops
            self.products += 1

        return multiply

    def measure(self, budget_ms: int = 1500, memory_mib: int = 1024, precision: str = "fp32") -> Any:
        subject = Subject(precision, "simulated", self.prepare)
        return gemm.measure(subject, ("cpu", 0), budget_ns=budget_ms * MS, memory_mib=memory_mib, now_ns=self.now_ns)


@given(st.integers(500, 2_000_000_000))
def test_the_rate_of_a_simulated_device_is_found_within_the_clocks_grain(rate: int) -> None:
    device = Device(rate)
    found = device.measure()
    # One nanosecond more or less of the product's time bounds the error.
    time_ns = 2 * found.size_n**3 * 1000 // rate
    assert time_ns > 0
    assert abs(found.mflops - rate) <= rate // time_ns + 2
    assert found.mflops_best >= found.mflops


@given(st.integers(500, 2_000_000_000), st.integers(300, 10_000))
def test_the_budget_is_kept_by_every_device_that_can_keep_it(rate: int, budget_ms: int) -> None:
    smallest_ns = 2 * gemm.SIZE_FIRST**3 * 1000 // rate
    assume(smallest_ns * 5 <= budget_ms * MS)
    device = Device(rate)
    found = device.measure(budget_ms)
    assert device.now <= budget_ms * MS
    assert gemm.REPEATS_MIN <= found.repeats <= gemm.REPEATS_MAX


def test_the_median_counts_and_the_best_is_told_beside_it() -> None:
    device = Device(1000)
    # Warm-up and sizing run first; then come runs of which one is lucky and one is interrupted.
    costs = iter([100, 100, 90, 10, 1000] + [100] * 99)

    def prepare(_size: int) -> Callable[[], None]:
        def multiply() -> None:
            device.now += next(costs) * MS

        return multiply

    subject = Subject("fp32", "simulated", prepare)
    found = gemm.measure(subject, ("cpu", 0), budget_ns=0, memory_mib=1024, now_ns=device.now_ns)
    assert (found.size_n, found.repeats) == (256, 3)
    assert found.mflops == 2 * 256**3 * 1000 // (90 * MS)
    assert found.mflops_best == 2 * 256**3 * 1000 // (10 * MS)


def test_a_slow_device_is_still_measured_at_the_smallest_size() -> None:
    found = Device(50).measure(300)
    assert (found.size_n, found.repeats) == (gemm.SIZE_FIRST, gemm.REPEATS_MIN)


def test_a_faster_device_gets_larger_matrices() -> None:
    sizes = [Device(rate).measure(memory_mib=8192).size_n for rate in (1_000, 100_000, 10_000_000, 1_000_000_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_size_that_does_not_fit_ends_the_growth_at_the_one_before() -> None:
    device = Device(100_000_000, size_max=1024)
    found = device.measure()
    assert (found.size_n, device.refused) == (1024, 1)


def test_a_device_on_which_nothing_fits_is_an_error_for_the_caller() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        Device(1000, size_max=1).measure()


@given(st.sampled_from(["fp64", "fp32", "bf16", "fp16"]), st.integers(1, 200_000))
def test_three_matrices_of_the_largest_size_fit_into_the_memory(precision: str, memory_mib: int) -> None:
    size = gemm.size_limit(precision, memory_mib)
    bytes_each = {"fp64": 8, "fp32": 4, "bf16": 2, "fp16": 2}[precision]
    fits = 3 * size * size * bytes_each <= memory_mib * 1024**2
    assert fits or size == gemm.SIZE_FIRST
    larger_fits = 3 * (2 * size) ** 2 * bytes_each <= memory_mib * 1024**2
    assert not larger_fits or size == gemm.SIZE_LAST


def test_numpy_subjects_really_multiply() -> None:
    subjects = list(numpy_subjects(1))
    assert [s.precision for s in subjects] == ["fp32", "fp64"]
    for subject, dtype in zip(subjects, (numpy.float32, numpy.float64), strict=True):
        product: Any = subject.prepare(256)()
        assert product.dtype == dtype
        # A sum of 256 products of two numbers evenly spread over 0 to 1 has mean 64.
        assert 60 < float(product.mean()) < 68
        assert float(product.min()) > 40 and float(product.max()) < 90


def _run(options: Namespace) -> list[dict[str, Any]]:
    lines: list[str] = []
    ticks = iter(range(0, 10**15, 20 * MS))
    gemm.probe(Speaker(as_json=True, write=lines.append), options, lambda: next(ticks))
    return [event for line in lines if (event := parse_event(line)) is not None]


def _options(**values: Any) -> Namespace:
    return Namespace(**{**vars(gemm.parser().parse_args([])), "threads": 1, "budget_ms": 600, **values})


def test_the_processor_without_torch_gives_two_precisions_and_their_progress() -> None:
    events = _run(_options(without_torch=True))
    assert [e["event"] for e in events] == ["progress", "result", "progress", "result"]
    assert [e["value"]["precision"] for e in events if e["event"] == "result"] == ["fp32", "fp64"]
    assert all(e["value"]["mflops"] > 0 for e in events if e["event"] == "result")


def test_a_card_without_torch_is_a_problem_that_says_so() -> None:
    (event,) = _run(_options(device="cuda", device_index=3, without_torch=True))
    assert (event["event"], event["value"]["code"]) == ("problem", "torch_missing")
    assert "GPU 3" in event["value"]["what"]["en"]


def test_a_precision_that_fails_is_a_problem_and_the_next_one_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_size: int) -> Callable[[], object]:
        raise RuntimeError("not implemented for this type")

    good = next(iter(numpy_subjects(1)))
    monkeypatch.setattr(gemm, "numpy_subjects", lambda _threads: [Subject("bf16", "x", refuse), good])
    events = _run(_options(without_torch=True))
    assert [e["event"] for e in events] == ["progress", "problem", "progress", "result"]
    assert "not implemented for this type" in events[1]["value"]["what"]["en"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_with_torch_the_processor_gives_four_precisions_and_a_card_that_is_not_there_a_problem() -> None:
    events: list[dict[str, Any]] = []
    end = launch(
        "zhisuan.site.probes.gemm",
        ["--budget-ms=800", "--threads=2"],
        {**thread_environment(2), "CUDA_VISIBLE_DEVICES": ""},
        120,
        events.append,
    )
    assert end.outcome == "finished", end.error
    results = [e["value"] for e in events if e["event"] == "result"]
    assert [r["precision"] for r in results] == ["fp32", "fp64", "bf16", "fp16"]
    assert results[2]["method"].startswith("torch ")
    events.clear()
    end = launch("zhisuan.site.probes.gemm", ["--device=cuda"], {"CUDA_VISIBLE_DEVICES": ""}, 120, events.append)
    assert end.outcome == "finished", end.error
    assert [e["value"]["code"] for e in events if e["event"] == "problem"] == ["gpu_unreachable"]
