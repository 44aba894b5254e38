"""The Slurm engine when something goes wrong: commands that are missing, hang or talk nonsense, daemons and jobs that die,
crashes between sbatch and the record of it, nodes taken away, a queue that is full."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import Harness, spec, wait_for
from slurm_cluster import (
    SlurmCluster,
    Wrappers,
    jobs_of,
    needs_bwrap,
    needs_slurm,
    root_of,
    slurm_cluster,
    slurm_harness,
)

from zhisuan.engines.contract import ExitReason, NodeGrant, Observation, RunPhase
from zhisuan.engines.errors import EngineUnavailable, StartRefused, UnknownRun
from zhisuan.engines.slurm.engine import SlurmEngine

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow]

WAITS = "echo on; while [ ! -e end ]; do sleep 0.1; done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def harness(cluster: SlurmCluster) -> Iterator[Harness]:
    with slurm_harness(cluster, command_timeout_seconds=5) as harness:
        yield harness


@pytest.fixture
def wrappers(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Wrappers:
    folder = cluster.folder.parent / f"bin-{abs(hash(request.node.name))}"
    made = Wrappers(folder, monkeypatch)
    folder.chmod(0o755)
    return made


# Commands


def test_a_missing_command_is_said_and_nothing_is_lost(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    harness.engine.start(spec(WAITS))
    harness.said("on")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        harness.reopen()
        with pytest.raises(EngineUnavailable, match="not here"):
            harness.engine.nodes()
        assert harness.engine.observe("lease_a", 1).phase is RunPhase.running, "its own signs of life are believed"
        with pytest.raises(EngineUnavailable, match="not here"):
            harness.engine.start(spec("true", lease_id="lease_b"))
        with pytest.raises(EngineUnavailable, match="not here"):
            harness.engine.preflight()
        assert harness.log() == "on\n"
    harness.reopen()
    assert harness.engine.observe("lease_a", 1).phase is RunPhase.running


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("sleep 60", "within 0.5 seconds"),
        ("echo 'Welcome to node 7!'", "does not understand"),
        ("echo 'squeue: error: Unable to contact slurm controller (connect failure)' >&2; exit 1", "could not reach"),
        ("echo 'permission denied' >&2; exit 1", "refuses to answer"),
        ("kill -9 $$", "could not reach"),
    ],
)
def test_a_squeue_that_hangs_or_talks_nonsense_loses_no_run(
    cluster: SlurmCluster, wrappers: Wrappers, script: str, says: str
) -> None:
    with slurm_harness(cluster, command_timeout_seconds=0.5) as harness:
        harness.engine.start(spec(WAITS))
        harness.said("on")
        hold(cluster, "n1", "n2")
        try:
            harness.engine.start(spec("echo at last", lease_id="lease_b"))
            wrappers.put("squeue", script)
            harness.reopen()
            for _ in range(2):
                with pytest.raises(EngineUnavailable, match=says):
                    harness.engine.observe("lease_b", 1)
                assert harness.engine.observe("lease_a", 1).phase is RunPhase.running, "its own signs of life are believed"
            wrappers.away("squeue")
            waits = wait_for(lambda: observed(harness, "lease_b"), lambda seen: seen is not None)
            assert waits is not None and waits.phase is RunPhase.preparing
        finally:
            release(cluster, "n1", "n2")
        assert harness.ended("lease_b").reason is ExitReason.completed


def hold(cluster: SlurmCluster, *nodes: str) -> None:
    for node in nodes:
        cluster.call("scontrol", "update", f"nodename={node}", "state=drain", "reason=held for a test")


def release(cluster: SlurmCluster, *nodes: str) -> None:
    for node in nodes:
        cluster.call("scontrol", "update", f"nodename={node}", "state=resume")


def observed(harness: Harness, lease_id: str = "lease_a", generation: int = 1) -> Observation | None:
    """None while Slurm does not answer."""
    try:
        return harness.engine.observe(lease_id, generation)
    except EngineUnavailable:
        return None


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60",
        "echo what?",
        'REAL "$@" >/dev/null; sleep 60',
        'REAL "$@" >/dev/null; echo what?',
        'REAL "$@"; kill -9 $$',
    ],
)
def test_an_sbatch_that_does_not_answer_makes_no_second_job(
    cluster: SlurmCluster, wrappers: Wrappers, script: str
) -> None:
    """Whether the job was made or not: the start that follows finds out, and it runs once."""
    with slurm_harness(cluster, command_timeout_seconds=2) as harness:
        wrappers.put("sbatch", script)
        with pytest.raises(EngineUnavailable):
            harness.engine.start(spec("echo once"))
        wrappers.away("sbatch")
        harness.reopen()
        harness.engine.start(spec("echo once"))
        assert harness.ended().reason is ExitReason.completed
        assert harness.log() == "once\n"
        assert len(jobs_of(cluster, harness)) == 1


def test_an_order_that_arrives_after_its_sender_has_gone_stays_the_only_one(
    cluster: SlurmCluster, wrappers: Wrappers
) -> None:
    """It is waited for before it is given again."""
    with slurm_harness(cluster, command_timeout_seconds=2, settle_seconds=6) as harness:
        wrappers.put("sbatch", '(sleep 4; REAL "$@") >/dev/null 2>&1 & exec sleep 60')
        with pytest.raises(EngineUnavailable):
            harness.engine.start(spec("echo once"))
        wrappers.away("sbatch")
        harness.engine.start(spec("echo once"))
        assert harness.ended().reason is ExitReason.completed
        assert harness.log() == "once\n"
        time.sleep(4)  # as long as it may take to arrive
        assert len(jobs_of(cluster, harness)) == 1


def test_a_refusal_of_slurm_is_passed_on_and_leaves_nothing(harness: Harness) -> None:
    with pytest.raises(StartRefused, match="Slurm refused"):
        harness.engine.start(spec("true", nodes=(NodeGrant("n1"),), memory_mib=1_000_000))
    assert harness.engine.list() == []
    with pytest.raises(UnknownRun):
        harness.engine.observe("lease_a", 1)


# Crashes

_CRASH = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from engine_conformance import spec
from zhisuan.base.clock import SystemClock
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.engine import SlurmEngine
config = SlurmEngineConfig.model_validate_json({config!r})
SlurmEngine(Path({root!r}), clock=SystemClock(), config=config).start(spec("echo once; sleep 1"))
"""


@pytest.mark.parametrize("script", ["kill -9 $PPID; exec sleep 1", 'REAL "$@" >/dev/null; kill -9 $PPID'])
def test_an_agent_killed_at_sbatch_makes_no_second_job(
    cluster: SlurmCluster, harness: Harness, wrappers: Wrappers, script: str
) -> None:
    wrappers.put("sbatch", script)
    engine = harness.engine
    assert isinstance(engine, SlurmEngine)
    code = _CRASH.format(path=sys.path, config=engine._config.model_dump_json(), root=str(root_of(harness)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wrappers.away("sbatch")
    harness.reopen()
    harness.engine.start(spec("echo once; sleep 1"))
    assert harness.ended().reason is ExitReason.completed
    assert harness.log() == "once\n"
    assert len(jobs_of(cluster, harness)) == 1


def test_two_jobs_of_one_run_carry_it_out_once(cluster: SlurmCluster, harness: Harness) -> None:
    """Should Slurm have two all the same, the first to begin takes the run on and the other ends at once."""
    harness.engine.start(spec("echo once; sleep 1"))
    folder = root_of(harness) / "runs" / "lease_a" / "1"
    library = next((root_of(harness) / "lib").glob("[0-9a-f]*"))
    owner = folder.joinpath("flags").stat()
    as_user = ["--uid", str(owner.st_uid), "--gid", str(owner.st_gid)] if os.geteuid() == 0 else []
    words = [
        "sbatch",
        "--parsable",
        "--output=/dev/null",
        "--chdir=/",
        *as_user,
        str(library / "batch.sh"),
        str(folder),
    ]
    other = cluster.call(*words, str(library)).strip()
    assert harness.ended().reason is ExitReason.completed
    wait_for(
        lambda: cluster.call("squeue", "-h", "-t", "all", "-j", other, "-o", "%T").strip(), lambda s: s == "COMPLETED"
    )
    assert harness.log() == "once\n"


def test_a_controller_killed_and_restarted_is_noticed_by_no_run() -> None:
    """On a cluster of its own: a controller that is killed may give out the same job number twice (and then drains a
    node, "Duplicate jobid")."""
    with slurm_cluster() as cluster, slurm_harness(cluster, command_timeout_seconds=3) as harness:
        harness.engine.start(spec("echo on; sleep 4; echo off"))
        harness.said("on")
        cluster.kill("slurmctld")
        try:
            with pytest.raises(EngineUnavailable):
                harness.engine.nodes()
            with pytest.raises(EngineUnavailable):
                harness.engine.start(spec("echo late", lease_id="lease_b"))
            # The end needs no controller: it is in the run's own files.
            seen = wait_for(lambda: observed(harness), lambda seen: seen is not None and seen.ended_at is not None)
        finally:
            cluster.start_controller()
        assert seen is not None
        assert (seen.reason, harness.log()) == (ExitReason.completed, "on\noff\n")
        wait_for(lambda: started(harness, "lease_b"), bool)
        assert harness.ended("lease_b").reason is ExitReason.completed
        assert harness.log("lease_b") == "late\n"


def started(harness: Harness, lease_id: str) -> bool:
    try:
        harness.engine.start(spec("echo late", lease_id=lease_id))
    except EngineUnavailable:
        return False
    return True


# What the site does to a run


def job_id(harness: Harness) -> str:
    claim = root_of(harness) / "runs" / "lease_a" / "1" / "flags" / "claim"
    return wait_for(lambda: claim.read_text().strip() if claim.exists() else "", bool)


def test_a_supervisor_that_is_killed_takes_its_work_along_and_the_run_is_lost(harness: Harness) -> None:
    harness.engine.start(spec("echo on; sleep 600"))
    harness.said("on")
    folder = str(root_of(harness) / "runs")
    pids = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and folder in read(entry / "cmdline") and "slurm_script" in read(entry / "cmdline")
    ]
    sandboxes = [
        pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if "bwrap" in read(Path(f"/proc/{pid}/comm"))
    ]
    os.kill(min(pids), signal.SIGKILL)
    seen = harness.ended()
    assert seen.reason is ExitReason.lost
    assert seen.started_at is not None
    assert seen.ended_at is not None
    mine = [pid for pid in sandboxes if folder in read(Path(f"/proc/{pid}/cmdline"))]
    assert mine == []


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_a_node_that_fails_loses_its_run(cluster: SlurmCluster, harness: Harness) -> None:
    harness.engine.start(spec("echo on; sleep 600", nodes=(NodeGrant("n2"),)))
    harness.said("on")
    try:
        cluster.call("scontrol", "update", "nodename=n2", "state=down", "reason=fire in row 4")
        seen = harness.ended()
        assert (seen.reason, seen.exit_code) == (ExitReason.lost, None)
    finally:  # Slurm itself takes the node back, since its slurmd is well
        cluster.wait_idle()


def test_a_drained_node_is_shown_as_such_and_its_run_goes_on(cluster: SlurmCluster, harness: Harness) -> None:
    harness.engine.start(spec(WAITS, nodes=(NodeGrant("n2"),)))
    harness.said("on")
    try:
        cluster.call("scontrol", "update", "nodename=n2", "state=drain", "reason=new fan")
        notes = {node.hostname: node.note for node in harness.engine.nodes()}
        assert notes["n1"] == ""
        assert "new fan" in notes["n2"]
        assert harness.engine.observe("lease_a", 1).phase is RunPhase.running
    finally:
        cluster.call("scontrol", "update", "nodename=n2", "state=resume")


def test_a_job_cancelled_in_slurm_by_others_is_lost(cluster: SlurmCluster, harness: Harness) -> None:
    harness.engine.start(spec("echo on; sleep 600"))
    harness.said("on")
    cluster.call("scancel", job_id(harness))
    seen = harness.ended()
    assert seen.reason is ExitReason.lost
    assert "cancelled in Slurm" in (seen.message or "")


def test_a_run_behind_an_outsiders_job_waits_says_why_and_can_be_stopped(
    cluster: SlurmCluster, harness: Harness
) -> None:
    words = ("sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null", "--chdir=/", "--wrap=sleep 600")
    outsider = cluster.call(*words).strip()
    try:
        wait_for(lambda: cluster.call("squeue", "-h", "-j", outsider, "-o", "%T").strip(), lambda s: s == "RUNNING")
        for lease in ("lease_a", "lease_b"):
            harness.engine.start(spec("echo at last", lease_id=lease))
        seen = harness.until(lambda seen: "Resources" in (seen.message or "") or "Priority" in (seen.message or ""))
        assert (seen.phase, seen.started_at) == (RunPhase.preparing, None)
        harness.engine.stop("lease_a", 1, 60)
        stopped = harness.ended()
        assert (stopped.reason, stopped.started_at) == (ExitReason.cancelled, None)
        assert harness.engine.observe("lease_b", 1).phase is RunPhase.preparing
    finally:
        cluster.call("scancel", outsider)
    assert harness.ended("lease_b").reason is ExitReason.completed


def test_memory_that_slurm_says_ran_out_is_the_reason(
    cluster: SlurmCluster, harness: Harness, wrappers: Wrappers
) -> None:
    """This cluster enforces no memory, so its answer is the one of a cluster that does."""
    wrappers.put("squeue", "REAL \"$@\" | sed 's/|FAILED|/|OUT_OF_MEMORY|/; s/|COMPLETED|/|OUT_OF_MEMORY|/'")
    seen = harness.run("kill -KILL $$", memory_mib=128)
    assert seen.reason is ExitReason.out_of_memory
    assert "128 MiB" in (seen.message or "")
