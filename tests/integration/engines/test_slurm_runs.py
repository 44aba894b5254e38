"""Runs on a real Slurm: what they see and what they cannot, their limits, and many of them at once."""

import stat
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from engine_conformance import Harness, spec
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

from zhisuan.engines.contract import AcceleratorGrant, ExitReason, NodeGrant, RunPhase
from zhisuan.engines.errors import InvalidSpec
from zhisuan.engines.slurm.engine import SlurmEngine

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow]


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


# The agent and the run


def test_work_without_an_agent_ends_as_orphaned(cluster: SlurmCluster) -> None:
    with slurm_harness(cluster, orphan_grace_seconds=3, timeout_grace_seconds=1) as harness:
        harness.engine.start(spec("echo on; sleep 600"))
        harness.said("on")
        for _ in range(20):
            harness.engine.keepalive()
            time.sleep(0.2)
        assert harness.engine.observe("lease_a", 1).phase is RunPhase.running
        assert harness.ended().reason is ExitReason.orphaned


def test_a_node_without_a_sandbox_refuses_the_work(harness: Harness, wrappers: Wrappers) -> None:
    wrappers.put("bwrap", "exit 127")
    seen = harness.run("echo never")
    assert (seen.reason, seen.started_at) == (ExitReason.start_failed, None)
    assert "bwrap" in (seen.message or "")
    assert "never" not in harness.log()


def test_the_work_sees_neither_other_runs_nor_the_host(cluster: SlurmCluster, harness: Harness) -> None:
    harness.engine.start(spec("echo secret > mine; echo on; sleep 600", env={"TOKEN": "hunter2"}, lease_id="lease_b"))
    harness.said("on", "lease_b")
    root = root_of(harness)
    harness.run(
        f"cat {root}/runs/lease_b/1/0/work/mine {root}/runs/lease_b/1/env.0 {root}/keepalive /etc/shadow; ls {cluster.folder}; "
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep hunter2; ls /proc | grep -c '^[0-9]'; "
        "kill -TERM -1; id -u; touch /usr/x /etc/x; sbatch --version; squeue; echo $TOKEN end"
    )
    log = harness.log()
    assert "secret" not in log
    assert "hunter2" not in log
    assert "root:" not in log
    assert log.rstrip().endswith("end")
    assert harness.engine.observe("lease_b", 1).phase is RunPhase.running
    shown = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout + cluster.call(
        "scontrol", "show", "job"
    )
    assert "hunter2" not in shown
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root / "runs" / "lease_b" / "1").iterdir()}
    assert (modes["env.0"], modes["run.sh"], modes["flags"]) == (0o400, 0o400, 0o700)


def test_the_accelerators_are_those_slurm_gives(harness: Harness) -> None:
    grants = (AcceleratorGrant("ascend", 3), AcceleratorGrant("ascend", 5))
    seen = harness.run(
        "echo $CUDA_VISIBLE_DEVICES; echo $ASCEND_RT_VISIBLE_DEVICES; echo $ZHISUAN_NUM_ACCELERATORS",
        nodes=(NodeGrant("n1", grants),),
    )
    assert seen.reason is ExitReason.completed
    cuda, ascend, count = harness.log().split()
    assert (len(cuda.split(",")), ascend, count) == (2, cuda, "2")
    harness.run("echo =$CUDA_VISIBLE_DEVICES=", lease_id="lease_b")
    assert harness.log("lease_b") == "==\n"
    with pytest.raises(InvalidSpec, match="number 8"):
        harness.engine.start(
            spec("true", lease_id="lease_c", nodes=(NodeGrant("n1", (AcceleratorGrant("ascend", 8),)),))
        )
    uneven = (NodeGrant("n1", grants), NodeGrant("n2", grants[:1]))
    with pytest.raises(InvalidSpec, match="same number"):
        harness.engine.start(spec("true", lease_id="lease_c", nodes=uneven))


def test_a_log_beyond_its_limit_costs_output_and_not_the_work(cluster: SlurmCluster) -> None:
    with slurm_harness(cluster, log_bytes_max=10_000) as harness:
        seen = harness.run("yes | head -c 5000000; echo done > $ZHISUAN_ARTIFACTS/done")
        assert seen.reason is ExitReason.completed
        log = harness.log()
        assert len(log) < 10_200
        assert "limit of 10000 bytes" in log
        assert (harness.engine.artifacts_dir("lease_a", 1) / "done").exists()


def test_unisolated_work_is_run_only_where_the_operator_allows_it(cluster: SlurmCluster) -> None:
    with slurm_harness(cluster, allow_unisolated=True, timeout_grace_seconds=1) as harness:
        report = harness.engine.preflight()
        assert report.isolation == "none"
        assert "not_isolated" in [problem.code for problem in report.problems]
        seen = harness.run("cat made; echo $HOME; pwd; sleep 600 & disown", setup="echo made > made")
        assert seen.reason is ExitReason.completed
        made, home, here = harness.log().split()
        assert (made, home) == ("made", here)
        harness.engine.start(
            spec("trap 'echo saved; exit 3' TERM; echo on; while :; do sleep 0.1; done", lease_id="lease_b")
        )
        harness.said("on", "lease_b")
        harness.engine.stop("lease_b", 1, 60)
        assert harness.ended("lease_b").reason is ExitReason.cancelled
        assert "saved" in harness.log("lease_b")


# Many runs


def test_many_starts_at_once_become_few_jobs_and_few_questions(cluster: SlurmCluster, harness: Harness) -> None:
    leases = [f"lease_{number}" for number in range(24)]
    errors: list[BaseException] = []

    def start(lease: str) -> None:
        try:
            harness.engine.start(spec(f"echo {lease}", lease_id=lease, memory_mib=64))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(jobs_of(cluster, harness)) < len(leases)
    harness.reopen()
    began = time.monotonic()
    for lease in leases:
        assert harness.ended(lease).reason is ExitReason.completed
        assert harness.log(lease) == f"{lease}\n"
    engine = harness.engine
    assert isinstance(engine, SlurmEngine)
    assert engine._queue.calls <= (time.monotonic() - began) / 0.3 + 1
    keys = [(lease, 1) for lease in leases]
    until = time.monotonic() + 60
    while (accounts := engine.accounts(keys)).keys() != set(keys):
        assert time.monotonic() < until, set(keys) - accounts.keys()
        time.sleep(0.5)
    assert len({account.reference for account in accounts.values()}) == len(leases)
    for lease in leases:
        engine.remove(lease, 1)
    assert list((root_of(harness) / "batches").iterdir()) == []


def test_one_of_an_array_is_stopped_alone(cluster: SlurmCluster, harness: Harness, wrappers: Wrappers) -> None:
    wrappers.put("sbatch", 'sleep 0.5; exec REAL "$@"')
    leases = [f"lease_{number}" for number in range(4)]
    threads = [
        threading.Thread(target=harness.engine.start, args=(spec("echo on; sleep 600", lease_id=lease, memory_mib=64),))
        for lease in leases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs_of(cluster, harness)) == 2
    for lease in leases:
        harness.said("on", lease)
    harness.engine.stop("lease_2", 1, 0)
    assert harness.ended("lease_2").reason is ExitReason.cancelled
    for lease in leases:
        if lease != "lease_2":
            assert harness.engine.observe(lease, 1).phase is RunPhase.running
