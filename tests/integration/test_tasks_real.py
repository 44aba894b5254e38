"""Orders of many tasks through a real platform with real sandboxes: one lease, one bill, and nothing run twice after a break."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from zhisuan.sdk import Client
from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")]
FILE = """
name: sweep
resources: {{cpus: 2, memory: 1}}
run: |
  {run}
zhisuan:
  grace: 20s
  tasks: {{count: {count}, parallel: {parallel}, retries: {retries}}}
  {own}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("tasks")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data")
    running.start()
    yield running
    running.stop()


def ordered(
    platform: RunningPlatform, key: str, count: int, run: str, *, parallel: int = 2, retries: int = 0, own: str = ""
) -> str:
    file = FILE.format(count=count, parallel=parallel, retries=retries, run=run, own=own)
    made: str = platform.call("POST", "/workloads", key, json={"file": file})["workload"]["id"]
    return made


def until(platform: RunningPlatform, key: str, job: str, *states: str) -> Any:
    def look() -> Any:
        found = platform.call("GET", f"/workloads/{job}", key)
        return found["state"] in states and found

    return platform.wait(look, f"the job to be {states}", 120)


def log(platform: RunningPlatform, key: str, job: str) -> list[str]:
    with Client(platform.runtime["server_url"], key) as client:
        return "".join(part.text for part in client.log_parts(job)).splitlines()


def ran(lines: list[str]) -> Counter[int]:
    """How often each task has said that it ran."""
    return Counter(int(line.split()[-1]) for line in lines if " ran " in line)


def test_a_thousand_tasks_are_one_order_one_lease_and_one_bill(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    job = ordered(platform, key, 1000, "echo ran $ZHISUAN_TASK_INDEX; [ $ZHISUAN_TASK_INDEX != 13 ] || exit 3", retries=1)
    found = until(platform, key, job, "failed", "succeeded")
    assert (found["state"], found["reason"], found["exit_code"], len(found["leases"])) == ("failed", "failed", 1, 1)
    assert found["progress_message"] == "1,000 of 1,000 tasks done, 1 failed" and found["progress_ppm"] == 1_000_000
    assert ran(log(platform, key, job)) == Counter(range(1000)) + Counter([13])
    with Client(platform.runtime["server_url"], key) as client:
        ends = {end.index: (end.tries, end.exit_status) for end in client.tasks(job)}
    assert ends == {i: (2, 3) if i == 13 else (1, 0) for i in range(1000)}
    told = cli(platform, key, "jobs", "tasks", job)
    assert "1,000 tasks: 999 succeeded, 1 failed." in told and " 13 " in told
    assert cli(platform, key, "logs", job, "--task", "12") == "ran 12\n"
    lease = found["leases"][0]
    charges = platform.wait(lambda: platform.call("GET", f"/charges?lease_id={lease['id']}", key)["items"], "the charges")
    platform.wait(
        lambda: sum(c["seconds"] for c in platform.call("GET", f"/charges?lease_id={lease['id']}", key)["items"]) == lease["seconds"],
        "each second of the lease to be charged",
    )
    assert all(charge["kind"] == "time" for charge in charges)
    assert all(check["ok"] for check in platform.call("GET", "/bill/checks", key)["items"])


def cli(platform: RunningPlatform, key: str, *words: str) -> str:
    environment = dict(os.environ) | {
        "ZHISUAN_URL": platform.runtime["server_url"], "ZHISUAN_API_KEY": key, "ZHISUAN_LANG": "en",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "zhisuan.cli", *words], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_what_had_finished_before_a_pause_is_not_run_again(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    run = "trap 'exit 1' TERM; sleep 0.1 & wait; trap '' TERM; echo ran $ZHISUAN_TASK_INDEX"
    job = ordered(platform, key, 80, run)
    platform.wait(lambda: len(ran(log(platform, key, job))) > 10, "some tasks")
    platform.call("POST", f"/workloads/{job}/pause", key)
    assert until(platform, key, job, "paused")["checkpoint"]["files"] == 1
    before = ran(log(platform, key, job))
    assert len(before) < 80
    with Client(platform.runtime["server_url"], key) as client:
        assert {end.index for end in client.tasks(job)} == set(before), "the table of what has run so far"
    platform.call("POST", f"/workloads/{job}/resume", key)
    found = until(platform, key, job, "succeeded", "failed")
    assert (found["state"], found["attempts"]) == ("succeeded", 2)
    lines = log(platform, key, job)
    assert ran(lines) == Counter(range(80)), "each once"
    assert f"[zhisuan] {len(before)} of 80 tasks done before; these are not run again." in lines
    with Client(platform.runtime["server_url"], key) as client:
        assert len(client.tasks(job)) == 80


def test_a_host_that_dies_costs_what_ran_since_the_last_checkpoint(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    job = ordered(platform, key, 200, "sleep 0.2; echo ran $ZHISUAN_TASK_INDEX", own="checkpoint: {every: 10s}")
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["checkpoint"], "a checkpoint", 60)
    lease = platform.call("GET", f"/workloads/{job}", key)["leases"][0]["id"]
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if "zhisuan.engines.local.shim" in words and lease in words:
            process.kill()
    found = until(platform, key, job, "succeeded", "failed")
    assert (found["state"], found["attempts"], found["leases"][0]["reason"]) == ("succeeded", 2, "lost")
    lines = log(platform, key, job)
    resumed = next(int(line.split()[1]) for line in lines if "done before" in line)
    times = ran(lines)
    assert set(times) == set(range(200)) and max(times.values()) <= 2
    assert resumed >= 30 and sum(n > 1 for n in times.values()) <= 200 - resumed


def test_what_failed_runs_again_when_the_order_is_restarted(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    run = "echo ran $ZHISUAN_TASK_INDEX; [ $ZHISUAN_TASK_INDEX != 4 ] || [ $ZHISUAN_ATTEMPT = 2 ]"
    job = ordered(platform, key, 20, run)
    assert until(platform, key, job, "failed", "succeeded")["state"] == "failed"
    platform.call("POST", f"/workloads/{job}/restart", key)
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["attempts"] == 2, "the restart")
    assert until(platform, key, job, "failed", "succeeded")["state"] == "succeeded"
    assert ran(log(platform, key, job)) == Counter(range(20)) + Counter([4])
