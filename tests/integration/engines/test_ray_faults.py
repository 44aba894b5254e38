"""A dashboard that is away, hangs or answers nonsense; nodes and processes that die; others who take the cluster."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from engine_conformance import Harness, spec, wait_for
from ray_cluster import HEAD, THIRD, WORKER_NAME, RayCluster, needs_ray
from ray_engine import name_in_ray, ray_harness
from ray_proxy import Mode, Proxy

from zhisuan.engines.contract import ExitReason, NodeGrant, RunPhase
from zhisuan.engines.errors import EngineUnavailable, UnknownRun
from zhisuan.engines.local import records
from zhisuan.engines.local.procusage import start_ticks

pytest_plugins = ("ray_fixtures",)
pytestmark = [needs_ray, pytest.mark.slow, pytest.mark.timeout(600)]

ON_WORKER = (NodeGrant(WORKER_NAME),)


@pytest.fixture
def harness(cluster: RayCluster, tmp_path: Path) -> Iterator[Harness]:
    with ray_harness(cluster, tmp_path) as harness:
        yield harness


@pytest.fixture
def proxy(cluster: RayCluster) -> Iterator[Proxy]:
    proxy = Proxy(cluster.address)
    yield proxy
    proxy.close()


@pytest.fixture
def behind(cluster: RayCluster, proxy: Proxy, tmp_path: Path) -> Iterator[Harness]:
    """An engine that reaches Ray through the proxy, and waits a second for it."""
    with ray_harness(cluster, tmp_path, address=proxy.address, answer_seconds=1, lost_after_seconds=1) as harness:
        yield harness
        proxy.mode = "pass"


def state_of(tmp_path: Path, lease_id: str = "lease_a") -> dict[str, str]:
    return dict(records.read(str(tmp_path / "engine/runs" / lease_id / "1/state")) or [])


def job_of(cluster: RayCluster, harness: Harness) -> str:
    return name_in_ray(harness, "lease_a")


# The dashboard


@pytest.mark.parametrize("mode", ["refuse", "hang", "nonsense"])
def test_without_a_dashboard_nothing_is_known_and_nothing_is_lost(
    behind: Harness, proxy: Proxy, tmp_path: Path, mode: Mode
) -> None:
    behind.engine.start(spec("echo on; while [ ! -e end ]; do sleep 0.05; done; echo off"))
    behind.said("on")
    proxy.mode = mode
    for ask in (behind.engine.preflight, behind.engine.nodes, lambda: behind.engine.start(spec("true", lease_id="b"))):
        with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1"):
            ask()
    os.kill(int(state_of(tmp_path)["supervisor_pid"]), signal.SIGSTOP)
    try:
        behind.reopen()
        with pytest.raises(EngineUnavailable):
            wait_for(lambda: behind.engine.observe("lease_a", 1), lambda seen: seen.phase is not RunPhase.running)
    finally:
        os.kill(int(state_of(tmp_path)["supervisor_pid"]), signal.SIGCONT)
    assert behind.engine.list() == [("lease_a", 1)]
    (tmp_path / "engine/runs/lease_a/1/work/end").touch()
    assert wait_for(lambda: _observed(behind), lambda reason: reason is not None) is ExitReason.completed
    assert behind.log() == "on\noff\n"


def _observed(harness: Harness) -> ExitReason | None:
    """None also while the engine knows nothing: the supervisor has yet to give its next sign of life."""
    try:
        return harness.engine.observe("lease_a", 1).reason
    except EngineUnavailable:
        return None


def test_an_order_whose_answer_is_lost_is_carried_out_once(behind: Harness, proxy: Proxy) -> None:
    proxy.mode = "swallow"
    with pytest.raises(EngineUnavailable):
        behind.engine.start(spec("echo once"))
    proxy.mode = "pass"
    behind.reopen()
    behind.engine.start(spec("echo once"))
    assert behind.ended().reason is ExitReason.completed
    assert behind.log() == "once\n"


def test_an_agent_that_dies_before_it_noted_the_order_finds_the_run(
    cluster: RayCluster, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("zhisuan.engines.ray.engine.order_path", die)
        with pytest.raises(KeyboardInterrupt):
            harness.engine.start(spec("echo once; while :; do sleep 0.1; done"))
    harness.reopen()
    wait_for(harness.engine.list, lambda runs: runs == [("lease_a", 1)])
    assert harness.said("once") == "once\n"
    harness.engine.start(spec("echo once; while :; do sleep 0.1; done"))
    harness.engine.stop("lease_a", 1, 0)
    assert harness.ended().reason is ExitReason.cancelled
    assert harness.log() == "once\n"


def test_a_stop_needs_no_dashboard(behind: Harness, proxy: Proxy) -> None:
    behind.engine.start(spec("echo on; sleep 600"))
    behind.said("on")
    proxy.mode = "refuse"
    behind.engine.stop("lease_a", 1, 0)
    assert behind.ended().reason is ExitReason.cancelled
    behind.engine.remove("lease_a", 1)
    with pytest.raises(UnknownRun):
        behind.engine.observe("lease_a", 1)


# The queue


def test_work_that_waits_for_others_says_so_and_can_be_cancelled(cluster: RayCluster, harness: Harness) -> None:
    """Someone else holds all processors of the node. What is stopped in the queue never begins, even when they leave."""
    outsider = {
        "entrypoint": "sleep 600", "submission_id": f"outsider-{time.time_ns()}", "entrypoint_num_cpus": 64,
        "entrypoint_resources": {"node:127.0.0.3": 0.001},
    }  # fmt: skip
    url = f"{cluster.address}/api/jobs/"
    assert httpx.post(url, json=outsider, timeout=30).status_code == 200
    mine = f"{url}{outsider['submission_id']}"
    wait_for(lambda: httpx.get(mine, timeout=30).json()["status"], lambda status: status == "RUNNING")
    try:
        for lease_id in ("lease_a", "lease_b"):
            harness.engine.start(spec(f"echo {lease_id}", lease_id=lease_id, nodes=ON_WORKER))
            seen = harness.engine.observe(lease_id, 1)
            assert (seen.phase, seen.started_at) == (RunPhase.preparing, None)
            assert "queued in Ray" in (seen.message or "")
        harness.engine.stop("lease_a", 1, 60)
        seen = harness.engine.observe("lease_a", 1)
        assert (seen.reason, seen.started_at) == (ExitReason.cancelled, None)
    finally:
        httpx.post(f"{mine}/stop", timeout=30)
    assert harness.ended("lease_b").reason is ExitReason.completed
    assert harness.log("lease_a") == ""
    assert harness.engine.observe("lease_a", 1) == seen


# Deaths


def test_a_supervisor_that_is_killed_loses_the_run_and_leaves_nothing(harness: Harness, tmp_path: Path) -> None:
    harness.engine.start(spec("echo pid $$; while :; do sleep 0.1; done"))
    pid = int(harness.said("\n").split()[1])
    os.kill(int(state_of(tmp_path)["supervisor_pid"]), signal.SIGKILL)
    seen = harness.ended()
    assert seen.reason is ExitReason.lost
    assert seen.started_at is not None
    assert seen.ended_at is not None
    assert seen.started_at <= seen.ended_at
    assert "Ray says" in (seen.message or "")
    wait_for(lambda: start_ticks(pid), lambda ticks: ticks is None)


def test_a_node_that_dies_loses_its_runs_and_the_gangs_on_it(
    cluster: RayCluster, harness: Harness, tmp_path: Path
) -> None:
    with cluster.another_node(tmp_path) as node:
        both = (NodeGrant(WORKER_NAME), NodeGrant(THIRD))
        harness.engine.start(spec("echo pid $$; while :; do sleep 0.1; done", nodes=both[1:]))
        harness.engine.start(spec("echo pid $$; while :; do sleep 0.1; done", lease_id="gang", nodes=both))
        single = int(harness.said("\n").split()[1])
        harness.said("[0] pid", "gang")
        harness.said("[1] pid", "gang")
        pids = [int(line.split()[2]) for line in harness.log("gang").splitlines()]
        os.killpg(node, signal.SIGKILL)
        assert harness.ended().reason is ExitReason.lost
        seen = harness.ended("gang")
        assert seen.reason is ExitReason.lost
        assert f"node 1 ({THIRD})" in (seen.message or "")
        for pid in (single, *pids):
            wait_for(lambda pid=pid: start_ticks(pid), lambda ticks: ticks is None)  # type: ignore[misc]
        dead = wait_for(
            lambda: [node for node in harness.engine.nodes() if node.hostname == THIRD and not node.usable], bool
        )
        assert "dead" in dead[0].note


def test_a_job_stopped_in_ray_itself_is_cancelled(cluster: RayCluster, harness: Harness) -> None:
    harness.engine.start(spec("echo on; while :; do sleep 0.1; done"))
    harness.said("on")
    assert httpx.post(f"{cluster.address}/api/jobs/{job_of(cluster, harness)}/stop", timeout=30).status_code == 200
    seen = harness.ended()
    assert seen.reason is ExitReason.cancelled
    assert "in Ray" in (seen.message or "")


def test_a_gang_stopped_in_ray_itself_ends_on_every_node(cluster: RayCluster, harness: Harness) -> None:
    nodes = (NodeGrant(HEAD), NodeGrant(WORKER_NAME))
    harness.engine.start(spec("echo pid $$; while :; do sleep 0.1; done", nodes=nodes))
    harness.said("[0] pid")
    harness.said("[1] pid")
    pids = [int(line.split()[2]) for line in harness.log().splitlines()]
    assert httpx.post(f"{cluster.address}/api/jobs/{job_of(cluster, harness)}/stop", timeout=30).status_code == 200
    assert harness.ended().reason in (ExitReason.cancelled, ExitReason.lost)
    for pid in pids:
        wait_for(lambda pid=pid: start_ticks(pid), lambda ticks: ticks is None)  # type: ignore[misc]
