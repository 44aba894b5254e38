"""A Slurm controller that is stopped, or killed, for a while: what runs goes on and is known, what is ordered meanwhile is carried
out once, and what the controller forgot is ordered again. Each test has a cluster of its own: a controller that was killed gives
out job numbers anew, and drains nodes for it ("Duplicate jobid")."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_conformance import Harness, spec, wait_for
from slurm_cluster import SlurmCluster, jobs_of, needs_bwrap, needs_slurm, root_of, slurm_cluster, slurm_harness

from zhisuan.engines.contract import ExitReason, NodeGrant, Observation, RunPhase
from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.slurm.submit import submission

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow]
ONCE = "echo once; sleep 2; echo done"
SAVED_SECONDS = 6
"""The controller writes down what it knows every five seconds."""


@pytest.fixture
def cluster() -> Iterator[SlurmCluster]:
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def harness(cluster: SlurmCluster) -> Iterator[Harness]:
    with slurm_harness(cluster, command_timeout_seconds=5) as harness:
        yield harness


def stop_controller(cluster: SlurmCluster, how: int) -> None:
    if how == signal.SIGKILL:
        return cluster.kill("slurmctld")
    pid = cluster.pid("slurmctld")
    os.kill(pid, how)
    wait_for(lambda: Path(f"/proc/{pid}").exists(), lambda there: not there)
    return None


def start_when_it_answers(harness: Harness, lease_id: str, script: str = ONCE, **changes: Any) -> None:
    def tried() -> bool:
        try:
            harness.engine.start(spec(script, lease_id=lease_id, **changes))
        except EngineUnavailable:
            return False
        return True

    wait_for(tried, bool)


def seen_now(harness: Harness, lease_id: str) -> Observation | None:
    try:
        return harness.engine.observe(lease_id, 1)
    except EngineUnavailable:
        return None


def ended(harness: Harness, lease_id: str) -> Observation:
    found = wait_for(lambda: seen_now(harness, lease_id), lambda seen: seen is not None and seen.ended_at is not None)
    assert found is not None
    return found


def drain(cluster: SlurmCluster, node: str) -> None:
    cluster.call("scontrol", "update", f"nodename={node}", "state=drain", "reason=held for a test")


def resume(cluster: SlurmCluster, node: str) -> None:
    """A controller that was killed may have forgotten that it was held, and then refuses to take it back."""
    with contextlib.suppress(subprocess.CalledProcessError):
        cluster.call("scontrol", "update", f"nodename={node}", "state=resume")


def far_as_sbatch(harness: Harness) -> None:
    """What Slurm has just said of its nodes is believed for a moment, so that the next order gets as far as sbatch."""
    harness.run("true", lease_id="lease_before")
    harness.engine.nodes()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_runs_waits_and_is_ordered_while_it_is_away(cluster: SlurmCluster, harness: Harness, how: int) -> None:
    drain(cluster, "n2")
    harness.engine.start(spec("echo on; for i in {1..90}; do sleep 0.1; done; echo off", lease_id="lease_on"))
    for lease_id in ("lease_waits", "lease_unwanted"):
        harness.engine.start(spec(ONCE, lease_id=lease_id, nodes=(NodeGrant("n2"),)))
    harness.said("on", "lease_on")
    time.sleep(SAVED_SECONDS)
    stop_controller(cluster, how)
    try:
        assert harness.engine.observe("lease_on", 1).phase is RunPhase.running, "its own signs of life are believed"
        with pytest.raises(EngineUnavailable, match="slurm"):
            harness.engine.start(spec(ONCE, lease_id="lease_new"))
        harness.engine.stop("lease_unwanted", 1, 0)
        over = ended(harness, "lease_on")
    finally:
        cluster.start_controller()
    assert (over.reason, harness.log("lease_on")) == (ExitReason.completed, "on\noff\n")
    assert over.started_at is not None and over.ended_at is not None
    assert 9 <= (over.ended_at - over.started_at).total_seconds() < 14, "its time is that of the node"
    start_when_it_answers(harness, "lease_new")
    assert (ended(harness, "lease_unwanted").reason, harness.log("lease_unwanted")) == (ExitReason.cancelled, "")
    resume(cluster, "n2")
    for lease_id in ("lease_new", "lease_waits"):
        assert (ended(harness, lease_id).reason, harness.log(lease_id)) == (ExitReason.completed, "once\ndone\n")
    assert len(jobs_of(cluster, harness)) == 4, "no order became two jobs"


def test_orders_that_a_killed_controller_forgot_are_given_again(cluster: SlurmCluster, harness: Harness) -> None:
    leases = [f"lease_{number}" for number in range(4)]
    for node in ("n1", "n2"):
        drain(cluster, node)
    time.sleep(SAVED_SECONDS)
    for lease_id in leases:
        harness.engine.start(spec(ONCE, lease_id=lease_id))
    cluster.kill("slurmctld")
    cluster.start_controller()
    for node in ("n1", "n2"):
        resume(cluster, node)
    for lease_id in leases:
        assert (ended(harness, lease_id).reason, harness.log(lease_id)) == (ExitReason.completed, "once\ndone\n")
    times = [submission(str(root_of(harness) / "runs" / lease_id / "1" / "submit")) for lease_id in leases]
    if max(one.times for one in times if one is not None) == 1:
        pytest.skip("on a machine this busy the controller had written down all of them in time")


def test_a_number_given_to_another_job_is_no_sign_of_the_first(cluster: SlurmCluster, harness: Harness) -> None:
    """Work had begun under a number that the killed controller forgot, and gave to the next."""
    time.sleep(SAVED_SECONDS)
    harness.run("true", lease_id="lease_before")  # written down at once; what follows only five seconds later
    harness.engine.start(spec("echo on; sleep 600", lease_id="lease_first", nodes=(NodeGrant("n1"),)))
    harness.said("on", "lease_first")
    cluster.kill("slurmctld")
    cluster.start_controller()
    start_when_it_answers(harness, "lease_next", "echo next; sleep 60; echo over", nodes=(NodeGrant("n2"),))
    numbers = [submission(str(root_of(harness) / "runs" / lease_id / "1" / "job")) for lease_id in ("lease_first", "lease_next")]
    if len({one.job_id for one in numbers if one is not None}) == 2:
        pytest.skip("the controller had written down the first job in time")
    first = ended(harness, "lease_first")
    assert first.reason is ExitReason.lost, first
    seen = harness.engine.observe("lease_next", 1)
    assert seen.ended_at is None, "it was taken for ended before the other was"
    assert harness.engine.accounts([("lease_first", 1)]) == {}, "the account of another job"


def test_an_order_on_its_way_to_a_controller_that_hangs_becomes_one_job(cluster: SlurmCluster) -> None:
    with slurm_harness(cluster, command_timeout_seconds=1) as harness:
        far_as_sbatch(harness)
        os.kill(cluster.pid("slurmctld"), signal.SIGSTOP)
        try:
            with pytest.raises(EngineUnavailable, match="sbatch did not answer"):
                harness.engine.start(spec(ONCE))
            with pytest.raises(EngineUnavailable, match="squeue did not answer"):
                harness.engine.start(spec(ONCE))
        finally:
            os.kill(cluster.pid("slurmctld"), signal.SIGCONT)
        start_when_it_answers(harness, "lease_a")
        assert (ended(harness, "lease_a").reason, harness.log()) == (ExitReason.completed, "once\ndone\n")
        assert len(jobs_of(cluster, harness)) == 2


def test_a_stop_of_an_order_that_never_arrived_ends_it(cluster: SlurmCluster, harness: Harness) -> None:
    far_as_sbatch(harness)
    stop_controller(cluster, signal.SIGTERM)
    try:
        with pytest.raises(EngineUnavailable, match="sbatch"):
            harness.engine.start(spec(ONCE))
        with pytest.raises(EngineUnavailable):
            harness.engine.stop("lease_a", 1, 0)
    finally:
        cluster.start_controller()
    wait_for(lambda: stopped(harness), bool)
    assert (ended(harness, "lease_a").reason, harness.log()) == (ExitReason.cancelled, "")
    harness.engine.start(spec(ONCE))
    assert len(jobs_of(cluster, harness)) == 1


def stopped(harness: Harness) -> bool:
    try:
        harness.engine.stop("lease_a", 1, 0)
    except EngineUnavailable:
        return False
    return True


def test_a_nodes_slurmd_that_is_killed_and_comes_back_harms_no_run(cluster: SlurmCluster, harness: Harness) -> None:
    harness.engine.start(spec("echo on; sleep 8; echo off", nodes=(NodeGrant("n2"),)))
    harness.said("on")
    cluster.kill("slurmd.n2")
    time.sleep(3)
    cluster.start_node("n2")
    over = ended(harness, "lease_a")
    assert (over.reason, harness.log()) == (ExitReason.completed, "on\noff\n")


def test_work_on_a_node_that_slurm_has_given_up_is_ended_and_lost(cluster: SlurmCluster, harness: Harness) -> None:
    """Its slurmd is gone, the work lives: Slurm would give the node away, and the platform start the work elsewhere."""
    harness.engine.start(spec("echo on; while sleep 0.2; do date +%s > at; done", nodes=(NodeGrant("n2"),)))
    harness.said("on")
    cluster.kill("slurmd.n2")
    cluster.call("scontrol", "update", "nodename=n2", "state=down", "reason=silent")
    over = ended(harness, "lease_a")
    assert over.reason is ExitReason.lost and "NODE_FAIL" in (over.message or ""), over
    assert "was ended" in (over.message or "") and over.ended_at is not None
    last = int((root_of(harness) / "runs" / "lease_a" / "1" / "0" / "work" / "at").read_text())
    time.sleep(1)
    assert last == int((root_of(harness) / "runs" / "lease_a" / "1" / "0" / "work" / "at").read_text()), "it still works"
    assert abs(over.ended_at.timestamp() - last) < 3
    cluster.start_node("n2")
