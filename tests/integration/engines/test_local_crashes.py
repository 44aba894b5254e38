"""Whatever is killed, a run is either going on as before or ended for good, and nothing of it survives its end."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_conformance import Harness, spec, wait_for
from local_engine import CGROUP_PARENT, group_folders, needs_bwrap, needs_root, sandbox_harness

from zhisuan.engines.contract import ExitReason, RunPhase
from zhisuan.engines.local import records

pytestmark = [needs_bwrap, needs_root]

BUSY = "sleep 601 & setsid sleep 602 & (setsid sh -c 'setsid sleep 603 & sleep 604' &) ; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with sandbox_harness(tmp_path / "engine") as harness:
        yield harness


def state(tmp_path: Path) -> dict[str, str]:
    return dict(records.read(str(tmp_path / "engine/runs/lease_a/1/state")) or [])


def processes_of(uid: int) -> list[str]:
    """Command lines of all live processes of a user, seen from the host."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == uid and " Z " not in (folder / "stat").read_text().rpartition(")")[2][:3]:
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


def uid_of(harness: Harness, tmp_path: Path) -> int:
    plan = dict(records.read(str(tmp_path / "engine/runs/lease_a/1/plan")) or [])
    return int(plan["uid"])


def test_the_work_outlives_the_agent_that_started_it(harness: Harness, tmp_path: Path) -> None:
    """A separate agent process starts the run and is killed outright; another takes it up."""
    code = (
        "import sys, time, pathlib\n"
        "from zhisuan.base.clock import SystemClock\n"
        "from zhisuan.engines.contract import RunSpec\n"
        "from zhisuan.engines.local.config import LocalEngineConfig\n"
        "from zhisuan.engines.local.engine import LocalEngine\n"
        f"config = LocalEngineConfig(cgroup_parent={CGROUP_PARENT!r})\n"
        f"engine = LocalEngine(pathlib.Path({str(tmp_path / 'engine')!r}), clock=SystemClock(), config=config)\n"
        "engine.start(RunSpec('lease_a', 1, None, 'echo up; while [ ! -e go ]; do sleep 0.05; done; echo done', {}, 500, 128))\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert agent.stdout is not None
    assert agent.stdout.readline() == "started\n"
    agent.kill()
    agent.wait()
    agent.stdout.close()
    harness.reopen()
    harness.said("up")
    assert harness.engine.observe("lease_a", 1).phase is RunPhase.running
    (tmp_path / "engine/runs/lease_a/1/work/go").touch()
    assert harness.ended().reason is ExitReason.completed
    assert harness.log() == "up\ndone\n"


def test_a_killed_supervisor_takes_everything_with_it_and_the_run_is_lost_for_good(
    harness: Harness, tmp_path: Path
) -> None:
    harness.engine.start(spec(BUSY))
    harness.said("up")
    uid = uid_of(harness, tmp_path)
    assert len(processes_of(uid)) >= 6
    harness.until(lambda seen: seen.cpu_seconds_milli > 0)
    os.kill(int(state(tmp_path)["supervisor_pid"]), signal.SIGKILL)
    lost = harness.ended()
    assert processes_of(uid) == []
    assert lost.reason is ExitReason.lost
    assert lost.started_at is not None
    assert lost.ended_at is not None
    assert lost.started_at <= lost.ended_at <= datetime.now(UTC)
    assert datetime.now(UTC) - lost.ended_at < timedelta(seconds=30)
    assert lost.cpu_seconds_milli > 0
    harness.reopen()
    assert harness.engine.observe("lease_a", 1) == lost
    harness.engine.start(spec(BUSY))
    assert harness.engine.observe("lease_a", 1) == lost
    assert processes_of(uid) == []


def test_the_end_of_a_lost_run_is_its_last_sign_of_life(harness: Harness, tmp_path: Path) -> None:
    harness.engine.start(spec("echo up; while :; do sleep 0.05; done"))
    harness.said("up")
    os.kill(int(state(tmp_path)["supervisor_pid"]), signal.SIGKILL)
    beat = dict(records.read(str(tmp_path / "engine/runs/lease_a/1/heartbeat")) or [])
    lost = harness.ended()
    assert lost.ended_at == datetime.fromtimestamp(int(beat["at_ms"]) // 1000, UTC) + timedelta(
        milliseconds=int(beat["at_ms"]) % 1000
    )


def test_many_observers_agree_on_a_lost_run(harness: Harness, tmp_path: Path) -> None:
    harness.engine.start(spec("echo up; while :; do sleep 0.05; done"))
    harness.said("up")
    os.kill(int(state(tmp_path)["supervisor_pid"]), signal.SIGKILL)
    seen: list[object] = []
    threads = [
        threading.Thread(
            target=lambda: seen.append(
                wait_for(lambda: harness.open_engine().observe("lease_a", 1), lambda o: o.phase is RunPhase.exited)
            )
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 5
    assert all(one == seen[0] for one in seen)


def test_a_host_that_went_down_is_known_by_its_boot(harness: Harness, tmp_path: Path) -> None:
    """After a restart of the host the recorded process numbers belong to others: nobody is killed by them."""
    harness.engine.start(spec("echo up; while :; do sleep 0.05; done"))
    harness.said("up")
    os.kill(int(state(tmp_path)["supervisor_pid"]), signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "600"])
    path = str(tmp_path / "engine/runs/lease_a/1/state")
    try:
        pairs = [
            pair for pair in records.read(path) or [] if pair[0] not in ("boot_id", "sandbox_pid", "sandbox_ticks")
        ]
        ticks = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()[19]
        records.write_atomic(
            path, [*pairs, ("boot_id", "another"), ("sandbox_pid", str(bystander.pid)), ("sandbox_ticks", ticks)]
        )
        assert harness.ended().reason is ExitReason.lost
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("same_process", [True, False])
def test_a_leftover_is_killed_only_when_it_is_the_one_recorded(
    harness: Harness, tmp_path: Path, same_process: bool
) -> None:
    """A process number alone may have been given to another by now; with its start time it names one process."""
    harness.engine.start(spec("echo up; while :; do sleep 0.05; done"))
    harness.said("up")
    os.kill(int(state(tmp_path)["supervisor_pid"]), signal.SIGKILL)
    leftover = subprocess.Popen(["sleep", "600"])
    path = str(tmp_path / "engine/runs/lease_a/1/state")
    try:
        ticks = int(Path(f"/proc/{leftover.pid}/stat").read_text().rpartition(")")[2].split()[19])
        recorded = {"sandbox_pid": str(leftover.pid), "sandbox_ticks": str(ticks if same_process else ticks - 1)}
        pairs = [pair for pair in records.read(path) or [] if pair[0] not in recorded]
        records.write_atomic(path, [*pairs, *recorded.items()])
        assert harness.ended().reason is ExitReason.lost
        if same_process:
            assert leftover.wait(30) == -signal.SIGKILL
        else:
            assert leftover.poll() is None
    finally:
        leftover.kill()
        leftover.wait()


@pytest.mark.parametrize("whom", ["bwrap", "init"])
def test_killing_the_sandbox_from_outside_ends_the_run(harness: Harness, tmp_path: Path, whom: str) -> None:
    harness.engine.start(spec(BUSY))
    harness.said("up")
    uid = uid_of(harness, tmp_path)
    outer = wait_for(lambda: state(tmp_path).get("sandbox_pid", ""), bool)
    inner = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0]
    os.kill(int(outer if whom == "bwrap" else inner), signal.SIGKILL)
    seen = harness.ended()
    assert seen.reason is ExitReason.failed
    assert processes_of(uid) == []


def test_background_processes_end_with_the_script(harness: Harness, tmp_path: Path) -> None:
    seen = harness.run("setsid sleep 601 & (setsid sleep 602 &); echo done")
    assert seen.reason is ExitReason.completed
    assert processes_of(uid_of(harness, tmp_path)) == []


def test_a_stop_asked_for_while_nobody_listened_is_kept(harness: Harness, tmp_path: Path) -> None:
    """The request is a file: the supervisor finds it at its next look even when the pipe that wakes it is gone."""
    harness.engine.start(spec("echo up; while :; do sleep 0.05; done"))
    harness.said("up")
    (tmp_path / "engine/runs/lease_a/1/poke").unlink()
    harness.engine.stop("lease_a", 1, 0)
    assert harness.ended().reason is ExitReason.cancelled


def test_a_start_that_was_cut_off_takes_effect_when_repeated(harness: Harness, tmp_path: Path) -> None:
    """The agent died after it wrote the plan and before the supervisor took it on."""
    harness.run("echo whole")
    folder = tmp_path / "engine/runs/lease_a/1"
    for name in ("state", "exit", "log", "heartbeat"):
        (folder / name).unlink()
    harness.reopen()
    assert harness.engine.list() == []
    assert harness.run("echo whole").reason is ExitReason.completed
    assert harness.log() == "whole\n"


def test_a_start_that_was_cut_off_and_never_repeated_is_swept_away(harness: Harness, tmp_path: Path) -> None:
    harness.run("true")
    for name in ("state", "exit"):
        (tmp_path / "engine/runs/lease_a/1" / name).unlink()
    harness.engine.preflight()
    assert not (tmp_path / "engine/runs/lease_a").exists()


def test_groups_without_a_run_are_swept_away(harness: Harness, tmp_path: Path) -> None:
    harness.engine.start(spec(BUSY))
    harness.said("up")
    uid = uid_of(harness, tmp_path)
    supervisor = int(state(tmp_path)["supervisor_pid"])
    groups = group_folders(tmp_path / "engine/runs/lease_a/1")
    assert all(folder.is_dir() for folder in groups)
    (tmp_path / "engine/runs/lease_a").rename(tmp_path / "gone")
    os.kill(supervisor, signal.SIGKILL)
    harness.reopen()
    harness.engine.preflight()
    assert processes_of(uid) == []
    assert not any(folder.exists() for folder in groups)


def test_a_host_without_room_for_the_sandbox_says_so(harness: Harness, tmp_path: Path) -> None:
    """The supervisor itself fails: here, because its stage is no folder."""
    stage = Path("/run/zhisuan/stage")
    plan = tmp_path / "engine/runs/lease_a/1/plan"
    harness.run("true")
    for name in ("state", "exit"):
        (plan.parent / name).unlink()
    pairs = [
        pair if pair[0] != "stage_folder" else ("stage_folder", str(plan)) for pair in records.read(str(plan)) or []
    ]
    records.write_atomic(str(plan), pairs)
    harness.engine.start(spec("true"))
    seen = harness.ended()
    assert seen.reason is ExitReason.start_failed
    assert "could not be started" in (seen.message or "")
    assert stage.is_dir()


def test_a_full_disk_costs_output_and_not_the_run(tmp_path: Path) -> None:
    """One run fills the engine's file system; the others, and its own end, are kept."""
    root = tmp_path / "engine"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(root)], check=True)
    try:
        with sandbox_harness(root) as harness:
            waits = "echo up; while [ ! -e go ]; do sleep 0.05; done; echo done; exit 5"
            harness.engine.start(spec(waits, lease_id="lease_b"))
            harness.said("up", "lease_b")
            harness.engine.start(spec("head -c 9000000 /dev/zero > full; echo some words; sleep 600"))
            beat = str(root / "runs/lease_b/1/heartbeat")
            wait_for(lambda: time.time() - int(dict(records.read(beat) or [])["at_ms"]) / 1000, lambda age: age > 2.5)
            assert shutil.disk_usage(root).free == 0
            (root / "runs/lease_a/1/work/full").unlink()
            (root / "runs/lease_b/1/work/go").touch()
            assert harness.ended("lease_b").exit_code == 5
            assert harness.log("lease_b").endswith("done\n")
            assert harness.engine.observe("lease_a", 1).phase is RunPhase.running
            assert not list(root.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", str(root)], check=True)
