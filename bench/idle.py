"""What an idle ``zhisuan up`` takes: memory (proportional set size) and processor time of each process over a minute.

The bound is an idle embedded PostgreSQL alone, which is among the processes.
"""

import json
import tempfile
import time
from pathlib import Path

import psutil

from zhisuan.testing.platform import RunningPlatform

SETTLE_SECONDS = 15
SECONDS = 60


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as folder:
        Path(folder).chmod(0o755)
        platform = RunningPlatform(Path(folder) / "data", console=True)
        platform.start()
        try:
            print(json.dumps(measure(platform)))
        finally:
            platform.stop()


def measure(platform: RunningPlatform) -> dict[str, object]:
    time.sleep(SETTLE_SECONDS)
    groups = {
        name: [p, *p.children(recursive=True)] if name == "database" else [p]
        for name, p in platform.processes().items()
    }
    before = {name: _cpu(processes) for name, processes in groups.items()}
    time.sleep(SECONDS)
    rows = {
        name: {
            "pss_mib": round(sum(p.memory_full_info().pss for p in processes if p.is_running()) / 2**20, 1),
            "cpu_percent_of_one_core": round((_cpu(processes) - before[name]) / SECONDS * 100, 2),
        }
        for name, processes in groups.items()
    }
    return {
        "what": f"idle zhisuan up with console, {SECONDS} s",
        "processes": rows,
        "total_pss_mib": round(sum(r["pss_mib"] for r in rows.values()), 1),
        "total_cpu_percent_of_one_core": round(sum(r["cpu_percent_of_one_core"] for r in rows.values()), 2),
    }


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        if process.is_running():
            times = process.cpu_times()
            total += times.user + times.system
    return total
