"""Limits hold, and what is measured is right."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import Harness, spec, wait_for
from local_engine import group_folders, needs_bwrap, needs_root, sandbox_harness

from zhisuan.engines.contract import ExitReason, RunPhase

pytestmark = [needs_bwrap, needs_root]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with sandbox_harness(tmp_path / "engine") as harness:
        yield harness


def group_file(tmp_path: Path, *names: str) -> Path:
    """The first of these control files that the run's own groups have (their names differ by version)."""
    folders = group_folders(tmp_path / "engine/runs/lease_a/1")
    return next(folder / name for name in names for folder in folders if (folder / name).exists())


GREEDY = 'python3 -c "x = []\nwhile True: x.append(bytearray(1 << 20))"'


def test_too_much_memory_ends_the_run_and_the_limit_is_named(harness: Harness) -> None:
    seen = harness.run(f"echo before; {GREEDY}; echo after; sleep 600", memory_mib=64)
    assert seen.reason is ExitReason.out_of_memory
    assert "64 MiB" in (seen.message or "")
    assert 60 << 20 <= seen.memory_peak_bytes <= 64 << 20
    assert harness.log().startswith("before\n")


def test_memory_killed_in_the_background_still_counts(harness: Harness) -> None:
    """The script itself ends with 0 and at once after its child was killed: the run is still out of memory."""
    seen = harness.run(f"{GREEDY} & wait $!; exit 0", memory_mib=64)
    assert seen.reason is ExitReason.out_of_memory


def test_files_in_memory_count_as_memory(harness: Harness) -> None:
    seen = harness.run("head -c 200000000 /dev/zero > /dev/shm/big; sleep 600", memory_mib=64)
    assert seen.reason is ExitReason.out_of_memory


def test_other_runs_live_on_when_one_is_out_of_memory(harness: Harness) -> None:
    harness.engine.start(spec("echo calm; while [ ! -e end ]; do sleep 0.05; done", lease_id="lease_b"))
    harness.said("calm", "lease_b")
    assert harness.run(GREEDY, memory_mib=64).reason is ExitReason.out_of_memory
    assert harness.engine.observe("lease_b", 1).phase is RunPhase.running


def test_a_fork_bomb_is_bounded(tmp_path: Path) -> None:
    with sandbox_harness(tmp_path / "engine", pids_max=32) as harness:
        harness.engine.start(spec("b() { b | b & }; echo boom; b; sleep 600", memory_mib=512))
        harness.said("boom")
        wait_for(lambda: harness.log(), lambda log: "Resource temporarily unavailable" in log)
        assert int(group_file(tmp_path, "pids.current").read_text()) <= 36
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().reason is ExitReason.cancelled


def test_the_cpu_quota_is_set(harness: Harness, tmp_path: Path) -> None:
    harness.engine.start(spec("echo up; sleep 600", cpus_milli=350))
    harness.said("up")
    assert group_file(tmp_path, "cpu.max", "cpu.cfs_quota_us").read_text().split()[0] == "35000"


def test_the_cpu_quota_holds(harness: Harness) -> None:
    """A busy run with a fifth of a core gets no more than that of what passes on the clock (and some start-up)."""
    seen = harness.run("timeout 3 sh -c 'while :; do :; done'; exit 0", cpus_milli=200)
    assert seen.started_at is not None
    assert seen.ended_at is not None
    passed_milli = (seen.ended_at - seen.started_at).total_seconds() * 1000
    assert seen.cpu_seconds_milli <= passed_milli * 0.2 + 300


def test_cpu_time_is_seen_while_the_work_runs(harness: Harness) -> None:
    harness.engine.start(spec("while :; do :; done"))
    first = harness.until(lambda seen: seen.cpu_seconds_milli > 0)
    harness.until(lambda seen: seen.cpu_seconds_milli > first.cpu_seconds_milli)


def test_without_an_agent_the_work_ends_as_orphaned(tmp_path: Path) -> None:
    with sandbox_harness(tmp_path / "engine", orphan_grace_seconds=2, timeout_grace_seconds=60) as harness:
        harness.engine.start(spec("trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
        seen = harness.ended()
        assert seen.reason is ExitReason.orphaned
        assert "told" in harness.log()


def test_a_keepalive_keeps_the_work_alive(tmp_path: Path) -> None:
    with sandbox_harness(tmp_path / "engine", orphan_grace_seconds=2) as harness:
        harness.engine.start(spec("echo up; while [ ! -e end ]; do sleep 0.05; done"))
        harness.said("up")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            harness.engine.keepalive()
            assert harness.engine.observe("lease_a", 1).phase is not RunPhase.exited
            time.sleep(0.2)
        assert harness.ended().reason is ExitReason.orphaned


def test_a_clock_that_jumps_orphans_nobody(tmp_path: Path) -> None:
    """The keepalive's own time may lie years back or ahead: only that it changes counts."""
    with sandbox_harness(tmp_path / "engine", orphan_grace_seconds=4) as harness:
        harness.engine.start(spec("echo up; while [ ! -e end ]; do sleep 0.05; done"))
        harness.said("up")
        beat = tmp_path / "engine" / "keepalive"
        for year in (1, 40, 20):
            os.utime(beat, (year * 31_557_600, year * 31_557_600))
            before = harness.engine.observe("lease_a", 1).cpu_seconds_milli
            wait_for(lambda: harness.engine.observe("lease_a", 1).cpu_seconds_milli, before.__ne__)
            assert harness.engine.observe("lease_a", 1).phase is RunPhase.running
