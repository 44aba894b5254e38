"""An order of many tasks on two nodes of a real Slurm, through a real platform: shared out, interrupted, taken up again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import needs_bwrap, needs_slurm, slurm_cluster
from slurm_site import JoinedSite, join_site

from zhisuan.sdk import Client
from zhisuan.sdk.types import Workload
from zhisuan.testing.platform import RunningPlatform

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow, pytest.mark.timeout(600)]
COUNT = 60
FILE = f"""
name: sweep
num_nodes: 2
resources: {{cpus: 1, memory: 0.25}}
run: trap 'exit 1' TERM; sleep 0.2 & wait; trap '' TERM; echo ran
zhisuan:
  grace: 20s
  tasks: {{count: {COUNT}, parallel: 2}}
"""
RAN = re.compile(r"^\[([0-9]+)\] \[task ([0-9]+)\] ran$", re.MULTILINE)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[JoinedSite]:
    tmp_path.chmod(0o755)
    platform = RunningPlatform(tmp_path / "data", own_site=False)
    with slurm_cluster() as cluster:
        platform.start()
        joined = join_site(platform, cluster, tmp_path)
        try:
            yield joined
        finally:
            joined.stop()
            platform.stop()


def ran(client: Client, job: str) -> list[tuple[int, int]]:
    """Rank and index of each task that has said that it ran."""
    found = RAN.findall("".join(part.text for part in client.log_parts(job)))
    return sorted((int(rank), int(index)) for rank, index in found)


def test_two_nodes_share_an_order_and_take_it_up_again_after_a_pause(site: JoinedSite) -> None:
    platform = site.platform
    _, key = platform.new_tenant()
    job = platform.call("POST", "/workloads", key, json={"file": FILE})["workload"]["id"]
    with Client(platform.runtime["server_url"], key) as client:

        def until(*states: str) -> Workload:
            found: list[Workload] = []
            platform.wait(lambda: found.append(client.workload(job)) or found[-1].state in states, f"{states}", 200)
            return found[-1]

        platform.wait(lambda: len(ran(client, job)) > 10, "some tasks", 100)
        client.pause(job)
        until("paused")
        before = {index for _, index in ran(client, job)}
        assert {end.index for end in client.tasks(job)} == before
        assert 10 < len(before) < COUNT
        client.resume(job)
        assert until("succeeded", "failed").state == "succeeded"
        both = ran(client, job)
        assert both == sorted((index % 2, index) for index in range(COUNT)), "each once, on the node that is its"
        assert {end.index: end.exit_status for end in client.tasks(job)} == dict.fromkeys(range(COUNT), 0)
        assert client.workload(job).progress_message == "60 of 60 tasks done"
