"""Order → first instruction on the local engine, beside starting the same process with plain ``subprocess``.

Both run ``bash -c 'date +%s.%N'`` in turns; the time is from just before the call to what the process itself read off the
clock. The order passes through HTTP, checks, pricing, placement, the lease, the agent's long poll and the sandbox.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from zhisuan.testing.platform import RunningPlatform

ROUNDS = 25
FILE = "name: bench\nresources: {cpus: 1, memory: 1}\nrun: date +%s.%N\n"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as folder:
        Path(folder).chmod(0o755)
        platform = RunningPlatform(Path(folder) / "data")
        platform.start()
        try:
            print(json.dumps(measure(platform)))
        finally:
            platform.stop()


def measure(platform: RunningPlatform) -> dict[str, object]:
    _, key = platform.new_tenant()
    ordered, plain = [], []
    for _ in range(ROUNDS):
        plain.append(_plain())
        ordered.append(_ordered(platform, key))
    added = statistics.median(ordered) - statistics.median(plain)
    return {
        "what": "order → first instruction, milliseconds",
        "rounds": ROUNDS,
        "order_p50_ms": round(statistics.median(ordered), 1),
        "order_p90_ms": round(statistics.quantiles(ordered, n=10)[-1], 1),
        "subprocess_p50_ms": round(statistics.median(plain), 1),
        "added_p50_ms": round(added, 1),
        "target_added_p50_ms": 300,
    }


def _plain() -> float:
    began = time.time()
    done = subprocess.run(["bash", "-c", "date +%s.%N"], capture_output=True, text=True, check=True)
    return (float(done.stdout) - began) * 1000


def _ordered(platform: RunningPlatform, key: str) -> float:
    began = time.time()
    job = platform.call("POST", "/workloads", key, json={"file": FILE})["workload"]["id"]
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "succeeded", "the job", 60)
    return (float(platform.call("GET", f"/workloads/{job}/logs", key)["text"]) - began) * 1000
