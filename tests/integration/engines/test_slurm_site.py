"""A provider's Slurm cluster joins by one command, takes a gang over two nodes, and is paid for both: the real platform,
a real agent and a real Slurm."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from slurm_cluster import UNIX_USER, SlurmCluster, needs_bwrap, needs_slurm, slurm_cluster

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


@dataclass
class JoinedSite:
    platform: RunningPlatform
    provider: str
    provider_org: str
    site_id: str
    folder: Path
    options: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, token: str | None = None) -> None:
        words = [
            sys.executable, "-m", "zhisuan.cli", "site", "join", self.platform.runtime["server_url"], "--data-dir", str(self.folder),
            "--engine", "slurm", "--engine-options", str(self.options), "--no-measure",
            *(["--token", token] if token else []),
        ]  # fmt: skip
        with (self.folder.parent / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedSite]:
    folder: Path = tmp_path_factory.mktemp("slurm-site")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", own_site=False)
    with slurm_cluster() as cluster:
        platform.start()
        joined = _joined(platform, cluster, folder)
        try:
            yield joined
        finally:
            joined.stop()
            platform.stop()


def _joined(platform: RunningPlatform, cluster: SlurmCluster, folder: Path) -> JoinedSite:
    tag = uuid.uuid4().hex[:8]
    body = {
        "kind": "provider",
        "organisation": f"算力商 {tag}",
        "name": "测试",
        "email": f"{tag}@example.cn",
        "password": "correct horse battery",
    }
    made = platform.operator("POST", "/organisations", json=body)
    session = platform.call("POST", "/sessions", json={"email": body["email"], "password": body["password"]})
    invited = platform.call(
        "POST", "/sites", session["secret"], json={"name": "Slurm 一号", "region": "CN-AH", "pue_milli": 1300}
    )
    options = folder / "slurm.json"
    root = cluster.shared / "site"
    root.mkdir(mode=0o711)
    chosen: dict[str, Any] = {
        "root": str(root), "slurm_conf": str(cluster.conf), "poll_seconds": 0.3, "settle_seconds": 1,
        "runtime_dir": str(cluster.shared / "run"),
        "accelerator_models": {"ascend910b": {"name": "Ascend 910B3", "memory_mib": 65536}},
    }  # fmt: skip
    if os.geteuid() == 0:
        chosen["unix_user"] = UNIX_USER
    options.write_bytes(orjson.dumps(chosen))
    site_id = invited["site"]["id"]
    joined = JoinedSite(platform, session["secret"], made["organisation_id"], site_id, folder / "agent", options)
    joined.start(invited["join_token"])
    platform.wait(lambda: len(platform.operator("GET", f"/sites/{site_id}")["nodes"]) == 2, "the inventory")
    platform.operator("POST", f"/sites/{site_id}/verify")
    platform.wait(
        lambda: platform.operator("GET", f"/sites/{site_id}")["state"] in ("verified", "open"),
        "the site to be verified",
    )
    if platform.operator("GET", f"/sites/{site_id}")["state"] != "open":
        platform.operator("POST", f"/sites/{site_id}/open")
    return joined


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
