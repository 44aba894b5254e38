"""All probes of a host: the plan, the report, progress, and every way a probe can fail."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import zhisuan
from zhisuan.base.text import Text
from zhisuan.site.discovery import Accelerator, RecordedHostReader, discover
from zhisuan.site.discovery.reader import HostBasics
from zhisuan.site.discovery.types import HostFacts, Problem
from zhisuan.site.probes import Budget, Progress, probe_host
from zhisuan.site.probes.child import ChildEnd, OnEvent
from zhisuan.site.probes.runner import plan

GEMM = {
    "device_kind": "cpu", "device_index": 0, "precision": "fp32", "mflops": 67_000, "mflops_best": 70_000,
    "method": "m", "size_n": 1024, "repeats": 5, "duration_ms": 900,
}  # fmt: skip
MEMORY = {
    "kernel": "copy", "megabytes_per_second": 10_000, "method": "m", "array_bytes": 1, "threads": 2, "repeats": 3,
    "exceeds_cache": True, "duration_ms": 5,
}  # fmt: skip
DISK = {
    "path": "/srv", "write_megabytes_per_second": 900, "read_megabytes_per_second": None, "bytes_written": 1,
    "method": "m", "duration_ms": 5,
}  # fmt: skip
PROBLEM = Problem("gemm", "precision_failed", Text("What.", "何事。"), Text("Remedy.", "办法。"))


def _card(vendor: str, index: int, key: str) -> Accelerator:
    return Accelerator(key, vendor, index, f"{vendor} card", 81920, None, None, None, None, None, "ok", "tool")


def _facts(*cards: Accelerator, cores: int = 8, memory_mib: int = 65536) -> HostFacts:
    # Twice as many hardware threads as this process may run on.
    basics = HostBasics("h", "Linux", "6.1", "#1", "x86_64", 2 * cores, cores, memory_mib * 1024**2)
    facts = discover(RecordedHostReader(host=basics, disks={"/": (10**12, 10**12)}), data_dir="/srv")
    return HostFacts(
        facts.hostname, facts.boot_id, facts.os, facts.cpu, facts.memory, facts.disk, cards, facts.problems
    )


class Launcher:
    """Answers each module with its events; remembers every start."""

    def __init__(self, answers: Mapping[str, list[dict[str, Any]]], ends: Mapping[str, ChildEnd] | None = None) -> None:
        self.starts: list[tuple[str, tuple[str, ...], dict[str, str], float]] = []
        self._answers = answers
        self._ends = ends or {}

    def __call__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], timeout: float, on_event: OnEvent
    ) -> ChildEnd:
        name = module.rpartition(".")[2]
        self.starts.append((name, tuple(arguments), dict(environment), timeout))
        for event in self._answers.get(name, []):
            on_event(event)
        return self._ends.get(name, ChildEnd("finished", 0, ""))


GOOD: dict[str, list[dict[str, Any]]] = {
    "gemm": [
        {"event": "progress", "what": {"en": "fp32", "zh": "单精度"}},
        {"event": "result", "kind": "gemm", "value": GEMM},
        {"event": "problem", "value": PROBLEM.to_json()},
    ],
    "memory": [{"event": "result", "kind": "memory", "value": MEMORY}],
    "disk": [{"event": "result", "kind": "disk", "value": DISK}],
}


def test_results_and_problems_are_gathered_and_the_plain_form_is_json() -> None:
    report = probe_host(_facts(), data_dir="/srv", launcher=Launcher(GOOD))
    plain = report.to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain == {"measurements": [GEMM], "memory": [MEMORY], "disk": DISK, "problems": [PROBLEM.to_json()]}


def test_progress_names_each_step_and_what_its_child_says() -> None:
    told: list[Progress] = []
    probe_host(_facts(), data_dir="/srv", on_progress=told.append, launcher=Launcher(GOOD))
    assert [(p.step, p.steps, p.what.zh) for p in told] == [
        (1, 3, "处理器"),
        (1, 3, "单精度"),
        (2, 3, "内存"),
        (3, 3, "磁盘"),
    ]


def test_threads_are_pinned_to_the_usable_cores_and_no_card_is_seen_by_the_processor_probe() -> None:
    launcher = Launcher(GOOD)
    probe_host(_facts(cores=6), data_dir="/srv", launcher=launcher, budget=Budget(gemm_ms=1234))
    name, arguments, environment, timeout = launcher.starts[0]
    assert name == "gemm"
    assert {"--threads=6", "--budget-ms=1234"} <= set(arguments)
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "6"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert timeout > 1.234


def test_a_small_host_is_not_asked_for_more_than_a_quarter_of_its_memory() -> None:
    steps = plan(_facts(memory_mib=1024), "/srv", Budget())
    assert "--memory-mib=256" in steps[0].arguments
    assert "--memory-mib=256" in steps[1].arguments


def test_each_card_is_measured_alone_and_a_vendor_without_a_probe_is_told() -> None:
    launcher = Launcher(GOOD)
    cards = (_card("nvidia", 1, "GPU-aa"), _card("amd", 0, "amd:1"), _card("huawei", 4, "ascend:1"))
    report = probe_host(_facts(*cards), data_dir="/srv", launcher=launcher)
    starts = launcher.starts[3:]
    assert [name for name, *_ in starts] == ["gemm", "gemm"]
    assert starts[0][2]["CUDA_VISIBLE_DEVICES"] == "GPU-aa"
    assert {"--device=cuda", "--device-index=1"} <= set(starts[0][1])
    assert starts[1][2]["HIP_VISIBLE_DEVICES"] == "0"
    last = report.problems[-1]
    assert last.code == "no_probe_for_vendor"
    assert "huawei card (index 4)" in last.what.en


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (ChildEnd("failed", -11, ""), "probe_failed", "exit code -11"),
        (ChildEnd("failed", 1, "Traceback\nImportError: no numpy"), "probe_failed", "ImportError: no numpy"),
        (ChildEnd("timed_out", -9, ""), "probe_timed_out", "was stopped after"),
    ],
)
def test_a_child_that_fails_is_a_problem_and_the_others_still_count(end: ChildEnd, code: str, words: str) -> None:
    report = probe_host(_facts(), data_dir="/srv", launcher=Launcher(GOOD, {"memory": end}))
    found = [p for p in report.problems if p.source == "memory"]
    assert [p.code for p in found] == [code]
    assert words in found[0].what.en
    assert report.disk is not None and report.measurements


@pytest.mark.parametrize(
    "event",
    [
        {"event": "result", "kind": "gemm", "value": {"mflops": 1}},
        {"event": "result", "kind": "gemm", "value": {**GEMM, "surprise": 1}},
        {"event": "result"},
        {"event": "problem", "value": {}},
        {"event": "progress", "what": "text"},
    ],
)
def test_an_event_of_another_form_is_a_problem(event: dict[str, Any]) -> None:
    report = probe_host(_facts(), data_dir="/srv", launcher=Launcher({"gemm": [event]}))
    assert [p.code for p in report.problems] == ["probe_failed"]
    assert report.measurements == ()


@pytest.mark.slow
def test_this_machine_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert zhisuan.__file__ is not None
    monkeypatch.setenv("PYTHONPATH", str(Path(zhisuan.__file__).parents[1]))
    facts = _facts(cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    started = time.monotonic()
    report = probe_host(
        facts, data_dir=str(tmp_path), budget=Budget(gemm_ms=1000, memory_ms=200, disk_ms=500, disk_mib=4)
    )
    assert time.monotonic() - started < 120
    assert report.problems == ()
    assert [m.precision for m in report.measurements][:2] == ["fp32", "fp64"]
    assert [m.kernel for m in report.memory] == ["copy", "triad"]
    assert report.disk is not None and report.disk.bytes_written == 4 * 1024**2
    assert list(tmp_path.iterdir()) == []
