"""Killing any process at any moment loses nothing and doubles nothing: a real platform, a real sandboxed job, SIGKILL."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from zhisuan.testing.platform import RunningPlatform

TICKS = 16
JOB = f"""
name: ticking 滴答
resources: {{cpus: 1, memory: 1}}
run: |
  for i in $(seq 1 {TICKS}); do echo tick $i; sleep 0.5; done
  echo done > $ZHISUAN_ARTIFACTS/out.txt
zhisuan: {{artefacts: [out.txt], max_duration: 5m}}
"""
PARTS = (
    ("up",),
    ("server",),
    ("site agent",),
    ("database",),
    ("up", "server", "gateway", "site agent", "database"),
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("killed")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data")
    running.start()
    yield running
    running.stop()


def finished(platform: RunningPlatform, key: str, job: str) -> Any:
    return platform.wait(
        lambda: (w := platform.call("GET", f"/workloads/{job}", key))["state"] in ("succeeded", "failed", "cancelled") and w,
        "the job to end",
    )


def bill_of(platform: RunningPlatform, key: str, leases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The charges of these leases once rating has caught up: they add up to the leased seconds."""
    wanted = sum(x["seconds"] for x in leases)

    def charges() -> Any:
        found = [c for x in leases for c in platform.call("GET", f"/charges?lease_id={x['id']}&limit=200", key)["items"]]
        return sum(c["seconds"] for c in found if c["kind"] == "time") >= wanted and found

    return platform.wait(charges, "the charges", 30)


@pytest.mark.parametrize("parts", PARTS, ids=["supervisor", "server", "agent", "database", "everything"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_platform_finishes_the_job_and_bills_it_once(platform: RunningPlatform, parts: tuple[str, ...], seed: int) -> None:
    chance = random.Random(f"{parts}{seed}")
    _, key = platform.new_tenant()
    job = platform.call("POST", "/workloads", key, json={"file": JOB})["workload"]["id"]
    for _ in range(2):
        time.sleep(chance.uniform(0.0, 3.0))
        platform.kill(*parts)
        if "up" in parts:
            platform.start()
    ended = finished(platform, key, job)

    assert (ended["state"], ended["attempts"]) == ("succeeded", 1)
    text = platform.call("GET", f"/workloads/{job}/logs?limit=100000", key)["text"]
    assert text.split() == [word for n in range(1, TICKS + 1) for word in ("tick", str(n))]
    assert [a["path"] for a in platform.call("GET", f"/workloads/{job}/artefacts", key)["items"]] == ["out.txt"]
    (lease,) = ended["leases"]
    assert TICKS // 2 <= lease["seconds"] <= TICKS // 2 + 4
    charges = bill_of(platform, key, ended["leases"])
    assert sum(c["seconds"] for c in charges) == lease["seconds"]
    assert sum(c["quantity_udu"] for c in charges) == 25_000 * lease["seconds"] // 3600
    checks = platform.operator("GET", "/checks")["items"]
    assert all(c["ok"] for c in checks), checks


def test_a_job_whose_sandbox_is_killed_runs_again_and_the_lost_time_is_credited(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    job = platform.call("POST", "/workloads", key, json={"file": JOB})["workload"]["id"]
    platform.wait(lambda: "tick 4" in platform.call("GET", f"/workloads/{job}/logs", key)["text"], "output")
    lease = platform.call("GET", f"/workloads/{job}", key)["leases"][0]["id"]
    shims = [p for p in psutil.process_iter(["cmdline"]) if "shim" in " ".join(p.info["cmdline"] or ()) and any(lease in part for part in p.info["cmdline"])]
    assert shims
    for shim in shims:
        shim.kill()
    ended = finished(platform, key, job)
    assert (ended["state"], ended["attempts"]) == ("succeeded", 2)
    lost, good = ended["leases"]
    assert (lost["reason"], lost["fault"], good["fault"]) == ("lost", "provider", None)
    platform.wait(
        lambda: sum(c["quantity_udu"] for c in bill_of(platform, key, [lost])) == 0,
        "the credit",
        60,
    )
    assert sum(c["seconds"] for c in bill_of(platform, key, [good])) == good["seconds"]


def test_a_stopped_platform_takes_its_work_up_again(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    job = platform.call("POST", "/workloads", key, json={"file": JOB})["workload"]["id"]
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "running", "the job to run")
    platform.ask_to_stop()
    platform.start()
    ended = finished(platform, key, job)
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1)
    assert sum(c["seconds"] for c in bill_of(platform, key, ended["leases"])) == ended["leases"][0]["seconds"]
