"""Many short jobs through the whole platform, server, agent and engine: how many a second, and what they leave behind.

    python bench/many.py [--engine slurm|local] [--jobs 200]

Jobs of one line are ordered by several clients at once and waited for. On Slurm the same number of ``true`` goes as one
``sbatch --array`` on the same cluster first. Then: rows a job in the server's tables, rows in the agent's journal, files in the
engine's folder, the agent's memory before and after. The cluster is the tests' own (``slurm_cluster.py``).
"""

import argparse
import json
import os
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("slurm", "local"), default="slurm")
    parser.add_argument("--jobs", type=int, default=200)
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        rig = slurm_rig(folder, options.jobs) if options.engine == "slurm" else local_rig(folder)
        with rig as made:
            print(
                json.dumps(
                    {"what": f"short jobs through the whole platform, {options.engine}", **measure(made, options.jobs)}
                )
            )


@contextmanager
def slurm_rig(folder: Path, jobs: int) -> Iterator[Rig]:
    """Nodes that claim more cores than there are: what is measured is the way there, not the work."""
    from slurm import array_per_second  # type: ignore[import-not-found]

    with slurm_cluster(CPUS="64", MEM_MB="128000") as cluster:
        raw = array_per_second(cluster, min(jobs, 1000))
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


if __name__ == "__main__":
    main()
