"""Work that is interrupted and goes on where it was: a real platform, real sandboxes, pauses and SIGKILL."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zhisuan.testing.platform import RunningPlatform

COUNT = """
name: counting
resources: {cpus: 1, memory: 1}
setup: |
  cat $ZHISUAN_CHECKPOINT/step 2>/dev/null || true
run: |
  step=$(cat $ZHISUAN_CHECKPOINT/step 2>/dev/null || echo 0)
  echo attempt $ZHISUAN_ATTEMPT restored ${ZHISUAN_RESTORED:-0} from $step
  trap 'echo told; exit 0' TERM
  while ((step < %d)); do
    step=$((step + 1)); echo $step > $ZHISUAN_CHECKPOINT/new && mv $ZHISUAN_CHECKPOINT/new $ZHISUAN_CHECKPOINT/step
    echo step $step; sleep 0.1
  done
zhisuan:
  grace: 20s
  on_stop: echo hook $ZHISUAN_GRACE_SECONDS; echo saved > $ZHISUAN_CHECKPOINT/hook
  %s
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("survival")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data")
    running.start()
    yield running
    running.stop()


def launch(platform: RunningPlatform, key: str, steps: int, own: str = "") -> str:
    made: str = platform.call("POST", "/workloads", key, json={"file": COUNT % (steps, own)})["workload"]["id"]
    return made


def until(platform: RunningPlatform, key: str, job: str, *states: str) -> Any:
    def look() -> Any:
        found = platform.call("GET", f"/workloads/{job}", key)
        return found["state"] in states and found

    return platform.wait(look, f"the job to be {states}")


def log(platform: RunningPlatform, key: str, job: str) -> list[str]:
    lines: list[str] = platform.call("GET", f"/workloads/{job}/logs", key)["text"].splitlines()
    return lines


def test_a_pause_is_told_saved_and_taken_up_again(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    job = launch(platform, key, 60)
    platform.wait(lambda: "step 5" in log(platform, key, job), "some steps")
    platform.call("POST", f"/workloads/{job}/pause", key)
    found = until(platform, key, job, "paused")
    assert found["checkpoint"]["files"] == 2 and found["message"] is not None
    before = log(platform, key, job)
    assert {"told", "hook 20"} <= set(before)
    reached = max(int(line.split()[1]) for line in before if line.startswith("step "))
    platform.call("POST", f"/workloads/{job}/resume", key)
    found = until(platform, key, job, "succeeded", "failed")
    assert (found["state"], found["attempts"]) == ("succeeded", 2)
    lines = log(platform, key, job)
    second = lines.index(f"attempt 2 restored 1 from {reached}")
    assert lines[second - 1] == str(reached), "it was there before setup"
    assert [line for line in lines if line.startswith("step ")] == [f"step {n}" for n in range(1, 61)], "no step twice"


def test_a_host_that_dies_loses_no_more_than_the_last_interval(platform: RunningPlatform) -> None:
    """The supervisor of the run is killed: nothing of it can be saved any more, and the last whole checkpoint is used."""
    import psutil

    _, key = platform.new_tenant()
    job = launch(platform, key, 220, "checkpoint: {every: 10s}")
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["checkpoint"], "a checkpoint while it runs", 60)
    lease = platform.call("GET", f"/workloads/{job}", key)["leases"][0]["id"]
    for process in psutil.process_iter(["cmdline"]):
        if "zhisuan.engines.local.shim" in " ".join(process.info["cmdline"] or ()) and lease in " ".join(process.info["cmdline"]):
            process.kill()
    found = until(platform, key, job, "succeeded", "failed")
    assert (found["state"], found["attempts"], found["leases"][0]["reason"]) == ("succeeded", 2, "lost")
    resumed = [line for line in log(platform, key, job) if line.startswith("attempt 2")]
    assert resumed[0].startswith("attempt 2 restored 1 from ") and int(resumed[0].split()[-1]) > 50


def test_an_agent_killed_in_the_middle_of_a_delivery_delivers_it_whole(platform: RunningPlatform) -> None:
    """Many files, so that the agent dies between the first and the last; the old checkpoint stays until all are there."""
    _, key = platform.new_tenant()
    many = "for i in $(seq 1500); do head -c 3000 /dev/urandom > $ZHISUAN_CHECKPOINT/part.$i; done; exit 9"
    file = f"name: many\nresources: {{cpus: 1, memory: 1}}\nrun: |\n  {many}\nzhisuan: {{restarts: 3}}\n"
    job = platform.call("POST", "/workloads", key, json={"file": file})["workload"]["id"]
    blobs = platform.folder / "artefacts"

    def stored() -> int:
        return sum(1 for _ in blobs.glob("*/*"))

    start = stored()
    platform.wait(lambda: stored() > start + 50, "the delivery to be under way", 60)
    platform.kill("site agent")
    time.sleep(0.2)
    found = platform.call("GET", f"/workloads/{job}", key)
    assert found["checkpoint"] is None and found["state"] == "running", "a part of a checkpoint is none"
    found = until(platform, key, job, "failed")
    assert (found["exit_code"], found["checkpoint"]["files"], found["checkpoint"]["size_bytes"]) == (9, 1500, 4_500_000)
