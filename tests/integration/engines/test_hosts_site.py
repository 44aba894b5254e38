"""Two plain hosts become one site by three commands, take a gang, and are paid for both: the real platform, a real agent as
head, two real daemons."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hosts_site import free_port
from local_engine import CGROUP_PARENT, config, needs_bwrap

from zhisuan.base.clock import SystemClock
from zhisuan.engines.local.engine import LocalEngine
from zhisuan.testing.platform import RunningPlatform

pytestmark = [needs_bwrap, pytest.mark.slow]
GANG = """
name: 双机 gang
num_nodes: 2
resources: {cpus: 1, memory: 1}
run: |
  echo "rank $ZHISUAN_NODE_RANK of $SKYPILOT_NUM_NODES"
  sleep 4
  echo "from $ZHISUAN_NODE_RANK" > $ZHISUAN_ARTIFACTS/rank.txt
"""
HOSTS = ("h1", "h2")


def zhisuan(*words: str) -> list[str]:
    return [sys.executable, "-m", "zhisuan.cli", *words]


@dataclass
class JoinedSite:
    platform: RunningPlatform
    provider: str
    site_id: str
    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def spawn(self, name: str, words: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                zhisuan(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
            )

    def start_head(self, token: str | None = None) -> None:
        words = ["site", "join", self.platform.runtime["server_url"], "--data-dir", str(self.folder / "agent"), "--engine", "hosts"]  # fmt: skip
        words += ["--engine-options", str(self.folder / "hosts.json"), *(["--token", token] if token else [])]
        self.spawn("agent", words)

    def start_host(self, name: str, token: str | None = None) -> None:
        words = ["site", "host", "--head", f"127.0.0.1:{self.port}", "--name", name, "--no-measure"]
        words += ["--data-dir", str(self.folder / name), "--engine-options", str(self.folder / "local.json")]
        self.spawn(name, [*words, *(["--token", token] if token else [])])

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def runs(self) -> list[tuple[str, int]]:
        """What the hosts' own engines hold."""
        engines = [LocalEngine(self.folder / name / "engine", clock=SystemClock(), config=config()) for name in HOSTS]
        return [key for engine in engines for key in engine.list()]

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
                process.wait(30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedSite]:
    folder: Path = tmp_path_factory.mktemp("hosts-site")
    platform = RunningPlatform(folder / "data", own_site=False)
    platform.start()
    joined = None
    try:
        joined = _joined(platform, folder)
        yield joined
    finally:
        if joined is not None:
            joined.stop()
        platform.stop()


def _joined(platform: RunningPlatform, folder: Path) -> JoinedSite:
    tag = uuid.uuid4().hex[:8]
    body = {"kind": "provider", "organisation": f"算力商 {tag}", "name": "测试", "email": f"{tag}@example.cn", "password": "correct horse battery"}  # fmt: skip
    platform.operator("POST", "/organisations", json=body)
    session = platform.call("POST", "/sessions", json={"email": body["email"], "password": body["password"]})
    terms = {"name": "双机一号", "region": "CN-AH", "pue_milli": 1300}
    invited = platform.call("POST", "/sites", session["secret"], json=terms)
    port = free_port()
    (folder / "hosts.json").write_bytes(orjson.dumps({"listen": "127.0.0.1", "port": port}))
    (folder / "local.json").write_bytes(orjson.dumps({"cgroup_parent": CGROUP_PARENT}))
    site_id = invited["site"]["id"]
    joined = JoinedSite(platform, session["secret"], site_id, folder, port)
    joined.start_head(invited["join_token"])
    platform.wait(lambda: (folder / "agent" / "engine" / "certificate" / "certificate.pem").exists(), "the head")
    for name in HOSTS:
        made = zhisuan("site", "host-token", "--data-dir", str(folder / "agent"), "--json")
        joined.start_host(name, orjson.loads(subprocess.run(made, capture_output=True, check=True).stdout)["token"])

    def usable() -> Any:
        found = platform.operator("GET", f"/sites/{site_id}")["nodes"]
        return len(found) == 2 and all(d["health"] == "ok" for node in found for d in node["devices"])

    platform.wait(usable, "the inventory", 240)
    platform.operator("POST", f"/sites/{site_id}/verify")
    platform.wait(
        lambda: platform.operator("GET", f"/sites/{site_id}")["state"] in ("verified", "open"), "verification"
    )
    if platform.operator("GET", f"/sites/{site_id}")["state"] != "open":
        platform.operator("POST", f"/sites/{site_id}/open")
    return joined


def ended(site: JoinedSite, key: str, job: str) -> Any:
    def look() -> Any:
        found = site.platform.call("GET", f"/workloads/{job}", key)
        return found["state"] in ("succeeded", "failed", "cancelled") and found

    return site.platform.wait(look, "the job to end", 240)


@pytest.mark.parametrize("killed", [(), ("agent", "h1", "h2")], ids=["quiet", "all killed"])
def test_a_gang_runs_on_both_hosts_and_is_paid_for_both(site: JoinedSite, killed: tuple[str, ...]) -> None:
    platform = site.platform
    _, key = platform.new_tenant("200.00")
    file = GANG if not killed else GANG.replace("sleep 4", "sleep 12")
    job = platform.call("POST", "/workloads", key, json={"file": file})["workload"]["id"]
    if killed:
        platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "running", "the gang to run")
        for name in killed:
            site.kill(name)
        site.start_head()
        for name in HOSTS:
            site.start_host(name)
    found = ended(site, key, job)
    assert (found["state"], found["attempts"], found["resources"]["num_nodes"]) == ("succeeded", 1, 2), found
    (lease,) = found["leases"]
    assert sorted(lease["node_hostnames"]) == list(HOSTS)
    lines = platform.call("GET", f"/workloads/{job}/logs?limit=100000", key)["text"].splitlines()
    assert sorted(lines) == ["[0] rank 0 of 2", "[1] rank 1 of 2"]
    assert [a["path"] for a in platform.call("GET", f"/workloads/{job}/artefacts", key)["items"]] == ["rank.txt"]

    def charges() -> Any:
        items = platform.call("GET", f"/charges?lease_id={lease['id']}&limit=200", key)["items"]
        return sum(c["seconds"] for c in items) >= lease["seconds"] and items

    paid = platform.wait(charges, "the charges", 30)
    per_core = 25_000
    assert lease["rate_udu_per_hour"] == 2 * per_core
    assert sum(c["quantity_udu"] for c in paid) == 2 * per_core * lease["seconds"] // 3600
    assert (12 if killed else 4) <= lease["seconds"] <= (20 if killed else 8)
    assert platform.call("GET", f"/sites/{site.site_id}/earnings", site.provider)


def test_the_site_says_how_many_nodes_it_has(site: JoinedSite) -> None:
    import httpx

    _, key = site.platform.new_tenant()
    answer = httpx.post(
        f"{site.platform.runtime['server_url']}/api/v1/workloads", json={"file": "num_nodes: 3\nrun: x"},
        headers={"Authorization": f"Bearer {key}", "Idempotency-Key": uuid.uuid4().hex},
    )  # fmt: skip
    assert answer.status_code == 422, answer.text
    assert "3 such nodes" in answer.text


def test_a_cancelled_gang_leaves_nothing_on_the_hosts(site: JoinedSite) -> None:
    platform = site.platform
    _, key = platform.new_tenant("200.00")
    job = platform.call("POST", "/workloads", key, json={"file": GANG.replace("sleep 4", "sleep 600")})["workload"][
        "id"
    ]
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "running", "the gang to run")
    assert site.runs()
    platform.call("POST", f"/workloads/{job}/cancel", key)
    assert ended(site, key, job)["state"] == "cancelled"
    platform.wait(lambda: not site.runs(), "the hosts to forget it", 60)
