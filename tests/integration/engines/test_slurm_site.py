"""A provider's Slurm cluster joins by one command, takes a gang over two nodes, and is paid for both: the real platform,
a real agent and a real Slurm."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from slurm_cluster import needs_bwrap, needs_slurm, slurm_cluster
from slurm_site import JoinedSite, join_site

from zhisuan.testing.platform import RunningPlatform

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow]
CPU_UDU_PER_HOUR = 25_000
GANG = """
name: 双机 gang
num_nodes: 2
resources: {cpus: 2, memory: 1, accelerators: "Ascend 910B3:1"}
run: |
  echo "rank $ZHISUAN_NODE_RANK of $SKYPILOT_NUM_NODES with $ZHISUAN_NUM_ACCELERATORS"
  echo "$ZHISUAN_NODE_IPS" | wc -l
  sleep 4
  echo "from $ZHISUAN_NODE_RANK" > $ZHISUAN_ARTIFACTS/rank.txt
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedSite]:
    folder: Path = tmp_path_factory.mktemp("slurm-site")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", own_site=False)
    with slurm_cluster() as cluster:
        platform.start()
        joined = join_site(platform, cluster, folder)
        try:
            yield joined
        finally:
            joined.stop()
            platform.stop()


def ended(site: JoinedSite, key: str, job: str) -> Any:
    return site.platform.wait(
        lambda: (
            (w := site.platform.call("GET", f"/workloads/{job}", key))["state"] in ("succeeded", "failed", "cancelled")
            and w
        ),
        "the job to end",
    )


@pytest.mark.parametrize("killed", [False, True], ids=["quiet", "agent killed"])
def test_a_gang_runs_on_both_nodes_and_is_paid_for_both(site: JoinedSite, killed: bool) -> None:
    platform = site.platform
    _, key = platform.new_tenant("200.00")
    job = platform.call("POST", "/workloads", key, json={"file": GANG})["workload"]["id"]
    if killed:
        platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "running", "the gang to run")
        site.kill()
        site.start()
    found = ended(site, key, job)
    assert (found["state"], found["attempts"], found["resources"]["num_nodes"]) == ("succeeded", 1, 2), found
    (lease,) = found["leases"]
    assert sorted(lease["node_hostnames"]) == ["n1", "n2"]
    lines = platform.call("GET", f"/workloads/{job}/logs?limit=100000", key)["text"].splitlines()
    assert sorted(lines) == ["[0] 2", "[0] rank 0 of 2 with 1", "[1] 2", "[1] rank 1 of 2 with 1"]
    assert [a["path"] for a in platform.call("GET", f"/workloads/{job}/artefacts", key)["items"]] == ["rank.txt"]

    def charges() -> Any:
        items = platform.call("GET", f"/charges?lease_id={lease['id']}&limit=200", key)["items"]
        return sum(c["seconds"] for c in items) >= lease["seconds"] and items

    paid = platform.wait(charges, "the charges", 30)
    rate = next(
        r["published_rate_udu_per_hour"]
        for r in platform.call("GET", "/catalog", key)["device_classes"]
        if r["class_id"] == "ascend-910b3-64g"
    )
    assert lease["rate_udu_per_hour"] == 2 * rate
    assert sum(c["quantity_udu"] for c in paid) == 2 * rate * lease["seconds"] // 3600
    assert 4 <= lease["seconds"] <= 8
    assert platform.call("GET", f"/sites/{site.site_id}/earnings", site.provider)
    agrees_with_slurm(site, lease["id"], lease["seconds"])


def agrees_with_slurm(site: JoinedSite, lease_id: str, seconds: int) -> None:
    """Slurm's own account has come, names both nodes, and fits what was metered."""

    def account() -> Any:
        rows = site.platform.operator("GET", f"/engine-accounts?site_id={site.site_id}")["items"]
        return next((row for row in rows if row["lease_id"] == lease_id and row["verdict"]), None)

    found = site.platform.wait(account, "Slurm's own account", 60)
    assert (found["source"], found["state"], found["nodes"]) == ("squeue", "COMPLETED", 2)
    assert (found["verdict"], found["metered_seconds"]) == ("agrees", seconds)


def test_a_gang_that_can_never_fit_is_refused_with_the_reason(site: JoinedSite) -> None:
    import httpx

    _, key = site.platform.new_tenant()
    answer = httpx.post(
        f"{site.platform.runtime['server_url']}/api/v1/workloads", json={"file": "num_nodes: 3\nrun: x"},
        headers={"Authorization": f"Bearer {key}", "Idempotency-Key": uuid.uuid4().hex},
    )  # fmt: skip
    assert answer.status_code == 422, answer.text
    assert "3 such nodes" in answer.text


def test_a_cancelled_gang_leaves_nothing_in_slurm(site: JoinedSite) -> None:
    platform = site.platform
    _, key = platform.new_tenant("200.00")
    job = platform.call("POST", "/workloads", key, json={"file": GANG.replace("sleep 4", "sleep 600")})["workload"][
        "id"
    ]
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "running", "the gang to run")
    platform.call("POST", f"/workloads/{job}/cancel", key)
    assert ended(site, key, job)["state"] == "cancelled"
    conf = orjson.loads(site.options.read_bytes())["slurm_conf"]
    queue = [str(shutil.which("squeue")), "-h", "-o", "%i %j"]
    assert (
        subprocess.run(queue, env={**os.environ, "SLURM_CONF": conf}, capture_output=True, text=True, check=True).stdout
        == ""
    )
