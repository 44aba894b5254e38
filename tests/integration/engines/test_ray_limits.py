"""What the Ray engine enforces, what it hands over of the cluster, and what it leaves behind there."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from engine_conformance import Harness, spec, wait_for
from ray_cluster import HEAD, WORKER_NAME, RayCluster, needs_ray
from ray_engine import name_in_ray, ray_harness

from zhisuan.engines.contract import AcceleratorGrant, ExitReason, IsolationLevel, NodeGrant
from zhisuan.engines.errors import InvalidSpec, IsolationUnavailable
from zhisuan.engines.local.procusage import start_ticks

pytest_plugins = ("ray_fixtures",)
pytestmark = [needs_ray, pytest.mark.slow, pytest.mark.timeout(600)]

EAT = "python3 -c \"import time; x = b'x' * (400 << 20); print('ate', flush=True); time.sleep(600)\""


@pytest.fixture
def harness(cluster: RayCluster, tmp_path: Path) -> Iterator[Harness]:
    with ray_harness(cluster, tmp_path, accelerator_resources={"GPU": "nvidia", "MLU": "cambricon"}) as harness:
        yield harness


def test_ray_isolates_nothing_and_says_so(cluster: RayCluster, tmp_path: Path) -> None:
    with ray_harness(cluster, tmp_path, allow_unisolated=False) as harness:
        report = harness.engine.preflight()
        assert report.isolation is IsolationLevel.none
        assert "ray_not_isolated" in {problem.code for problem in report.problems}
        with pytest.raises(IsolationUnavailable, match="allow_unisolated"):
            harness.engine.start(spec("true"))
        assert harness.engine.list() == []


def test_more_memory_than_asked_for_ends_the_run(harness: Harness) -> None:
    seen = harness.run(EAT, memory_mib=200)
    assert seen.reason is ExitReason.out_of_memory
    assert "200 MiB" in (seen.message or "")
    assert seen.memory_peak_bytes > 200 << 20


def test_more_memory_on_one_node_ends_the_gang(harness: Harness) -> None:
    nodes = (NodeGrant(HEAD), NodeGrant(WORKER_NAME))
    seen = harness.run(f"[ $ZHISUAN_NODE_RANK = 1 ] && {EAT}; sleep 600", memory_mib=200, nodes=nodes)
    assert seen.reason is ExitReason.out_of_memory
    assert "node 1" in (seen.message or "")


def test_memory_that_processes_share_counts_once(harness: Harness) -> None:
    share = "import os, time; x = b'x' * (90 << 20); [os.fork() for _ in range(2)]; time.sleep(4)"
    assert harness.run(f'exec python3 -c "{share}"', memory_mib=200).reason is ExitReason.completed


def test_what_leaves_its_session_and_its_parent_is_ended_too(harness: Harness) -> None:
    harness.engine.start(spec("(setsid sh -c 'trap \"\" TERM; echo up $$; while :; do sleep 0.05; done' &); sleep 600"))
    pid = int(harness.said("up ").split()[1])
    harness.engine.stop("lease_a", 1, 0)
    assert harness.ended().reason is ExitReason.cancelled
    assert start_ticks(pid) is None


def test_without_an_agent_runs_end(cluster: RayCluster, tmp_path: Path) -> None:
    with ray_harness(cluster, tmp_path, orphan_grace_seconds=2, timeout_grace_seconds=0) as harness:
        seen = harness.run("sleep 600")
        assert seen.reason is ExitReason.orphaned


def test_a_run_sees_as_many_accelerators_as_it_was_granted(harness: Harness) -> None:
    node = next(node for node in harness.engine.nodes() if node.hostname == WORKER_NAME)
    assert [(card.key, card.vendor) for card in node.accelerators] == [
        ("GPU-0", "nvidia"), ("GPU-1", "nvidia"), ("GPU-2", "nvidia"), ("GPU-3", "nvidia"),
        ("MLU-0", "cambricon"), ("MLU-1", "cambricon"),
    ]  # fmt: skip
    cards = tuple(AcceleratorGrant(card.vendor, card.index) for card in node.accelerators)
    script = "echo $ZHISUAN_NUM_ACCELERATORS ${CUDA_VISIBLE_DEVICES-all} | tr , ' '"
    harness.run(script, nodes=(NodeGrant(WORKER_NAME, cards[:2]),))
    number, *seen = harness.log().split()
    assert (number, len(set(seen))) == ("2", 2)
    harness.run(script, nodes=(NodeGrant(WORKER_NAME),), lease_id="none")
    assert harness.log("none").split() == ["0"]
    assert (
        harness.run("true", nodes=(NodeGrant(WORKER_NAME, cards[4:]),), lease_id="mlu").reason is ExitReason.completed
    )
    with pytest.raises(InvalidSpec, match="nvidia 9"):
        harness.engine.start(
            spec("true", lease_id="x", nodes=(NodeGrant(WORKER_NAME, (AcceleratorGrant("nvidia", 9),)),))
        )


def test_a_python_that_is_not_there_is_named(cluster: RayCluster, tmp_path: Path) -> None:
    with ray_harness(cluster, tmp_path, python="/nowhere/python") as harness:
        seen = harness.run("true")
        assert (seen.reason, seen.started_at) == (ExitReason.start_failed, None)
        assert "/nowhere/python" in (seen.message or "")


def test_what_is_removed_is_gone_from_ray_and_may_be_started_again(cluster: RayCluster, harness: Harness) -> None:
    harness.run("echo first")
    name = name_in_ray(harness, "lease_a")
    harness.engine.remove("lease_a", 1)
    harness.run("echo second")
    assert harness.log() == "second\n"
    harness.engine.remove("lease_a", 1)
    wait_until_forgotten(cluster, harness, name)


def test_a_job_that_ray_writes_down_again_after_its_deletion_goes_too(cluster: RayCluster, harness: Harness) -> None:
    """Ray's own fault (its issue 65251): deleted in the second after its end, a job may come back."""
    names = {}
    for lease in ("lease_a", "lease_b", "lease_c"):
        harness.engine.start(spec("true", lease_id=lease))
        names[lease] = name_in_ray(harness, lease)
    for lease, name in names.items():
        harness.ended(lease)
        wait_for(lambda name=name: job_in_ray(cluster, name).json()["status"], lambda status: status == "SUCCEEDED")  # type: ignore[misc]
        harness.engine.remove(lease, 1)
    for name in names.values():
        wait_until_forgotten(cluster, harness, name)


def job_in_ray(cluster: RayCluster, submission_id: str) -> httpx.Response:
    return httpx.get(f"{cluster.address}/api/jobs/{submission_id}", timeout=30)


def wait_until_forgotten(cluster: RayCluster, harness: Harness, submission_id: str) -> None:
    """Unknown to Ray, and nothing left here that would still have to be looked at."""
    graves = root_of(harness) / "graves"

    def left() -> bool:
        harness.engine.nodes()
        return (graves / submission_id).exists()

    wait_for(left, lambda there: not there)
    time.sleep(1.5)  # longer than a turn of Ray's own watch
    assert job_in_ray(cluster, submission_id).status_code == 404


def root_of(harness: Harness) -> Path:
    return harness.engine._folders.root  # type: ignore[attr-defined, no-any-return]
