"""A real NVIDIA card from discovery to the bill: runs where there is one whose driver and torch work, and is skipped elsewhere.

``make test`` on a host with a card runs it; nothing needs to be told.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zhisuan.sdk import Client
from zhisuan.testing.platform import RunningPlatform


def cards() -> list[str]:
    """UUIDs of the cards that the driver names."""
    if shutil.which("nvidia-smi") is None:
        return []
    told = subprocess.run(
        ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=60, check=False
    )
    return [line.strip() for line in told.stdout.splitlines() if line.startswith("GPU-")]


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None or not cards(), reason="no NVIDIA card, or no torch"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
# Reads the card as work does: through torch, in a process of its own.
LOOK = """
import json, torch
there = torch.cuda.is_available()
n = torch.cuda.device_count() if there else 0
told = {"n": n, "uuids": [str(torch.cuda.get_device_properties(i).uuid) for i in range(n)]}
if there:
    a = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
    told["right"] = bool(torch.allclose((a @ a).float().cpu(), a.float().cpu() @ a.float().cpu(), rtol=0.1, atol=4.0))
print("SEEN", json.dumps(told), flush=True)
"""
FILE = """
name: {name}
resources: {{cpus: 2, memory: 8{accelerators}}}
run: |
  {before}
  cat > look.py <<'E'
{look}
  E
  python3 look.py
  {after}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("nvidia")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def devices(platform: RunningPlatform) -> list[dict[str, Any]]:
    (site,) = platform.operator("GET", "/sites")["items"]
    view = platform.operator("GET", f"/sites/{site['id']}")
    return [d for node in view["nodes"] for d in node["devices"] if d["kind"] == "accelerator"]


def ordered(platform: RunningPlatform, key: str, accelerators: str = "", before: str = "true", after: str = "true") -> str:
    look = "\n".join(f"  {line}" for line in LOOK.strip().splitlines())
    file = FILE.format(name="card", accelerators=accelerators, before=before, after=after, look=look)
    made: str = platform.call("POST", "/workloads", key, json={"file": file})["workload"]["id"]
    return made


def until(platform: RunningPlatform, key: str, job: str, *states: str) -> Any:
    def look() -> Any:
        found = platform.call("GET", f"/workloads/{job}", key)
        return found["state"] in states and found

    return platform.wait(look, f"the job to be {states}", 180)


def closed(platform: RunningPlatform, key: str, job: str) -> Any:
    leases = platform.call("GET", f"/workloads/{job}", key)["leases"]
    return leases if all(lease["state"] == "closed" for lease in leases) else None


def output(platform: RunningPlatform, key: str, job: str) -> str:
    with Client(platform.runtime["server_url"], key) as client:
        return "".join(part.text for part in client.log_parts(job))


def seen(text: str) -> Any:
    lines = [line for line in text.splitlines() if line.startswith("SEEN ")]
    assert lines, text
    return json.loads(lines[0][5:])


def test_the_card_is_found_and_measured_and_never_above_what_its_maker_states(platform: RunningPlatform) -> None:
    found = platform.wait(lambda: (d := devices(platform)) and all(x["measured"] for x in d) and d, "the measurement", 180)
    assert sorted(d["key"] for d in found) == sorted(cards())
    for device in found:
        assert (device["health"], device["class_id"] is not None) == ("ok", True), device
        rates = {m["precision"]: m["mflops"] for m in device["measured"]}
        nominal_mflops = device["nominal_tflops_milli"] * 1000
        print(device["name"], "nominal", nominal_mflops, "measured", rates)
        assert set(rates) == {"bf16", "fp16", "fp32", "fp64"}, device["measured"]
        assert nominal_mflops * 4 // 10 < rates["bf16"] < nominal_mflops
        assert rates["fp32"] < rates["bf16"]


def test_work_sees_the_card_of_its_lease_and_pays_its_rate(platform: RunningPlatform) -> None:
    (device, *_) = devices(platform)
    _, key = platform.new_tenant()
    job = ordered(platform, key, f", accelerators: '{device['class_id']}:1'", before="nvidia-smi -L", after="sleep 5")
    ended = until(platform, key, job, "succeeded", "failed")
    text = output(platform, key, job)
    assert ended["state"] == "succeeded", text
    told = seen(text)
    assert told["n"] == 1 and told["right"]
    assert device["key"].removeprefix("GPU-") in told["uuids"][0] or device["key"] in cards()
    assert text.count("GPU 0:") == 1, text
    (lease,) = platform.wait(lambda: closed(platform, key, job), "the end of the lease")

    def charged() -> Any:
        found = platform.call("GET", "/charges", key, params={"lease_id": lease["id"]})["items"]
        return found if sum(c["seconds"] for c in found) == lease["seconds"] else None

    charges = platform.wait(charged, "the charges", 120)
    assert lease["seconds"] >= 5
    assert lease["rate_udu_per_hour"] >= device["published_rate_udu_per_hour"] > 0
    assert sum(c["quantity_udu"] for c in charges) == lease["rate_udu_per_hour"] * lease["seconds"] // 3600


def test_work_without_a_card_reaches_none_whatever_it_says(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    before = "export CUDA_VISIBLE_DEVICES=0 NVIDIA_VISIBLE_DEVICES=all; ls /dev | grep -i nvidia || echo NO NODES"
    job = ordered(platform, key, before=before)
    assert until(platform, key, job, "succeeded", "failed")["state"] == "succeeded"
    text = output(platform, key, job)
    assert seen(text)["n"] == 0
    assert "NO NODES" in text


def test_a_shell_in_running_work_has_its_card_and_one_in_other_work_has_none(platform: RunningPlatform) -> None:
    (device, *_) = devices(platform)
    _, key = platform.new_tenant()
    with_card = ordered(platform, key, f", accelerators: '{device['class_id']}:1'", after="sleep 600")
    without = ordered(platform, key, after="sleep 600")
    look = "import torch; print('CARDS', torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    for job, count in ((with_card, 1), (without, 0)):
        until(platform, key, job, "running")
        platform.wait(lambda job=job: "SEEN" in output(platform, key, job), "the work to have looked", 120)
        done = subprocess.run(
            [sys.executable, "-m", "zhisuan.cli", "jobs", "shell", job, "--", "python3", "-c", look],
            env={**os.environ, "ZHISUAN_URL": platform.runtime["server_url"], "ZHISUAN_API_KEY": key, "ZHISUAN_LANG": "en"},
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip()) == (0, f"CARDS {count}"), done.stderr
    for job in (with_card, without):
        platform.call("POST", f"/workloads/{job}/cancel", key, json={})
        until(platform, key, job, "cancelled")


def test_an_order_may_demand_memory_of_its_card(platform: RunningPlatform) -> None:
    (device, *_) = devices(platform)
    _, key = platform.new_tenant()
    file = "name: d\nresources: {{cpus: 1, memory: 1, accelerators: '{}:1'}}\nrun: 'true'\nzhisuan: {{device_memory: {}}}\n"
    gib = device["memory_mib"] // 1024
    fits = platform.call("POST", "/quotes", key, json={"file": file.format(device["class_id"], gib // 2)})
    assert fits["sites_counted"] == 1
    with pytest.raises(Exception, match=r"cannot_fit|could ever run"):
        platform.call("POST", "/quotes", key, json={"file": file.format(device["class_id"], 4 * gib)})


def test_a_card_that_is_taken_is_waited_for(platform: RunningPlatform) -> None:
    found = devices(platform)
    _, key = platform.new_tenant()
    accelerators = f", accelerators: '{found[0]['class_id']}:{len(found)}'"
    first = ordered(platform, key, accelerators, after="sleep 600")
    until(platform, key, first, "running")
    second = ordered(platform, key, accelerators)
    time.sleep(2)
    assert platform.call("GET", f"/workloads/{second}", key)["state"] == "pending"
    platform.call("POST", f"/workloads/{first}/cancel", key, json={})
    assert until(platform, key, second, "succeeded", "failed")["state"] == "succeeded"
    assert seen(output(platform, key, second))["n"] == len(found)


def test_a_card_on_which_others_work_is_not_offered_until_they_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    hold = "import sys, time, torch; a = torch.zeros(1 << 31, dtype=torch.uint8, device='cuda'); torch.cuda.synchronize(); print('held', flush=True); sys.stdin.read()"
    folder: Path = tmp_path_factory.mktemp("others")
    folder.chmod(0o755)
    outsider = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    running = RunningPlatform(folder / "data")
    try:
        assert outsider.stdout is not None
        assert outsider.stdout.readline() == "held\n"
        running.start()
        held = running.wait(lambda: [d for d in devices(running) if d["health"] == "occupied"], "the card to be occupied", 120)
        assert len(held) == 1 and "GiB" in held[0]["note"], held
        outsider.communicate()
        running.wait(lambda: all(d["health"] == "ok" for d in devices(running)), "the card to be offered again", 150)
    finally:
        if outsider.poll() is None:
            outsider.kill()
            outsider.wait()
        running.stop()
