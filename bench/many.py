"""Many short jobs through the whole platform, server, agent and engine: how many a second, and what they leave behind.

    python bench/many.py [--engine slurm|local] [--jobs 200 | --tasks 1000]

Jobs of one line are ordered by several clients at once and waited for. On Slurm the same number of ``true`` goes as one
``sbatch --array`` on the same cluster first. Then: rows a job in the server's tables, rows in the agent's journal, files in the
engine's folder, the agent's memory before and after. The cluster is the tests' own (``slurm_cluster.py``).

With ``--tasks`` it is one order of so many tasks of ``true`` instead, from the order to its last report, two at once. Beside it, in
the same run: ``sbatch --array`` of as many (at most the 10,000 that the cluster takes in one), and ``xargs -P2 bash -c true``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "integration" / "engines"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from slurm_cluster import slurm_cluster
from slurm_site import join_site

from zhisuan.testing.platform import RunningPlatform
from zhisuan.testing.short_jobs import (
    Rig,
    cpu_seconds,
    engine_entries,
    journal_rows,
    local_rig,
    memory_kib,
    settle,
    site_id,
    table_rows,
    through,
)

ARRAY_MAX = 10_000
"""The MaxArraySize of the tests' cluster is one more."""
AT_ONCE = 2
TASKS = "name: tasks\nresources: {cpus: 2, memory: 1}\nrun: 'true'\nzhisuan: {tasks: {count: %d, parallel: %d}}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("slurm", "local"), default="slurm")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--tasks", type=int)
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        count = options.tasks or options.jobs
        rig = slurm_rig(folder, count) if options.engine == "slurm" else local_rig(folder)
        with rig as made:
            if options.tasks:
                result = {"what": f"many tasks in one order, {options.engine}", **measure_tasks(made, count)}
            else:
                result = {"what": f"short jobs through the whole platform, {options.engine}", **measure(made, count)}
        print(json.dumps(result))


@contextmanager
def slurm_rig(folder: Path, jobs: int) -> Iterator[Rig]:
    """Nodes that claim more cores than there are: what is measured is the way there, not the work."""
    from slurm import array_per_second  # type: ignore[import-not-found]

    with slurm_cluster(CPUS="64", MEM_MB="128000") as cluster:
        raw = array_per_second(cluster, min(jobs, ARRAY_MAX))
        platform = RunningPlatform(folder / "data", own_site=False)
        platform.start()
        site = join_site(platform, cluster, folder, poll_seconds=1)
        try:
            assert site.process is not None
            yield Rig(platform, psutil.Process(site.process.pid), site.folder, cluster.shared / "site", raw)
        finally:
            site.stop()
            platform.stop()


def measure(rig: Rig, jobs: int) -> dict[str, Any]:
    _, key = rig.platform.new_tenant("1000.00")
    through(rig, key, 5)
    before, rows, spent = memory_kib(rig.agent), table_rows(rig), cpu_seconds(rig)
    began = time.monotonic()
    submitted = through(rig, key, jobs)
    took = time.monotonic() - began
    settle(rig)
    after = table_rows(rig)
    result = {
        "jobs": jobs,
        "per_second": round(jobs / took, 2),
        "orders_per_second": round(jobs / submitted, 2),
        "cpu_ms_a_job": {name: round((now - spent[name]) * 1000 / jobs, 1) for name, now in cpu_seconds(rig).items()},
        "rows_a_job": {
            t: round((after[t] - rows.get(t, 0)) / jobs, 2)
            for t in sorted(after)
            if after[t] - rows.get(t, 0) >= jobs / 2
        },
        "journal_rows": journal_rows(rig),
        "engine_entries": engine_entries(rig),
        "agent_kib_before": before,
        "agent_kib_after": memory_kib(rig.agent),
        "load": round(os.getloadavg()[0], 1),
    }
    if rig.raw_per_second is not None:
        result |= {
            "sbatch_array_per_second": round(rig.raw_per_second, 1),
            "of_array": round(jobs / took / rig.raw_per_second, 2),
        }
        result["reconciliation"] = rig.platform.operator("GET", f"/sites/{site_id(rig)}/reconciliation")
    return result


def measure_tasks(rig: Rig, tasks: int) -> dict[str, Any]:
    _, key = rig.platform.new_tenant("1000.00")
    one_order(rig, key, 5)
    settle(rig)
    rows, spent = table_rows(rig), cpu_seconds(rig)
    began = time.monotonic()
    job = one_order(rig, key, tasks)
    took = time.monotonic() - began
    settle(rig)
    cpu = {name: (now - spent[name]) * 1000 for name, now in cpu_seconds(rig).items()}
    lease = job["leases"][0]
    result = {
        "tasks": tasks,
        "state": job["state"],
        "seconds": round(took, 1),
        "lease_seconds": lease["seconds"],
        "per_second": round(tasks / took, 1),
        "cpu_ms_a_task": {name: round(spent / tasks, 3) for name, spent in cpu.items()},
        "cpu_ms": {name: round(spent) for name, spent in cpu.items()},
        "rows": sum(table_rows(rig).values()) - sum(rows.values()),
        "xargs_per_second": round(xargs_per_second(tasks), 1),
        "load": round(os.getloadavg()[0], 1),
    }
    if rig.raw_per_second is not None:
        result |= {
            "array_of": min(tasks, ARRAY_MAX),
            "sbatch_array_per_second": round(rig.raw_per_second, 1),
            "of_array": round(tasks / took / rig.raw_per_second, 2),
        }
    return result


def one_order(rig: Rig, key: str, tasks: int) -> dict[str, Any]:
    """Order and wait for the last report."""
    made = rig.platform.call("POST", "/workloads", key, json={"file": TASKS % (tasks, AT_ONCE)})
    job = made["workload"]["id"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = rig.platform.call("GET", f"/workloads/{job}", key)
        return found if found["state"] in ("succeeded", "failed") else None

    found: dict[str, Any] = rig.platform.wait(ended, "all tasks", 3600)
    assert found["state"] == "succeeded", found["message"]
    return found


def xargs_per_second(tasks: int) -> float:
    began = time.monotonic()
    numbers = "\n".join(map(str, range(tasks))).encode()
    subprocess.run(["xargs", f"-P{AT_ONCE}", "-n1", "bash", "-c", "true"], input=numbers, check=True)
    return tasks / (time.monotonic() - began)


if __name__ == "__main__":
    main()
