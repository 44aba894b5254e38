"""The Slurm engine beside raw Slurm, on the same cluster in one run: time to the first instruction, and jobs a second.

    python bench/slurm.py [--rounds 10] [--jobs 100]

A start through the driver and a plain ``sbatch`` of ``date`` take turns; each time is from just before the call to what the job
itself read off the clock. Then ``--jobs`` trivial jobs: as one ``sbatch --array``, and started through the driver by several
threads, each until the last has ended. Both submit as the same user. The cluster is the tests' own (``slurm_cluster.py``).
"""

import argparse
import json
import os
import pwd
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "integration" / "engines"))

from engine_conformance import Harness, spec  # type: ignore[import-not-found]
from slurm_cluster import UNIX_USER, SlurmCluster, slurm_cluster, slurm_harness  # type: ignore[import-not-found]

NOW = "echo ${EPOCHREALTIME/,/.}"
THREADS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=100)
    options, _ = parser.parse_known_args()
    with (
        slurm_cluster() as cluster,
        slurm_harness(cluster, poll_seconds=1) as isolated,
        slurm_harness(cluster, poll_seconds=1, allow_unisolated=True) as plain,
    ):
        result = {
            "what": "Slurm engine against raw Slurm on the same cluster",
            "start": starts(cluster, isolated, options.rounds),
            "throughput": throughput(cluster, {"sandboxed": isolated, "unisolated": plain}, options.jobs),
        }
        print(json.dumps(result))


def starts(cluster: SlurmCluster, harness: Harness, rounds: int) -> dict[str, object]:
    raw, driven = [], []
    for number in range(rounds):
        raw.append(raw_start(cluster, number))
        driven.append(driven_start(harness, f"lease_{number}"))
    added = statistics.median(driven) - statistics.median(raw)
    return {
        "rounds": rounds,
        "sbatch_p50_ms": round(statistics.median(raw)),
        "engine_p50_ms": round(statistics.median(driven)),
        "added_p50_ms": round(added),
        "target_added_p50_ms": round(max(200.0, statistics.median(raw) / 10)),
    }


def raw_start(cluster: SlurmCluster, number: int) -> float:
    output = cluster.shared / f"raw-{number}"
    output.touch()
    output.chmod(0o666)
    began = time.time()
    sbatch(cluster, f"--output={output}", f"--wrap=bash -c '{NOW}'")
    return (float(wait(output.read_text)) - began) * 1000


def driven_start(harness: Harness, lease_id: str) -> float:
    began = time.time()
    harness.engine.start(spec(NOW, lease_id=lease_id, memory_mib=64))
    harness.ended(lease_id)
    return (float(harness.log(lease_id)) - began) * 1000


def throughput(cluster: SlurmCluster, harnesses: dict[str, Harness], jobs: int) -> dict[str, object]:
    result: dict[str, object] = {"jobs": jobs}
    raw = array_per_second(cluster, jobs)
    result["sbatch_array_per_second"] = round(raw, 1)
    for name, harness in harnesses.items():
        driven = driven_throughput(harness, jobs)
        result[f"{name}_per_second"] = round(driven, 1)
        result[f"{name}_of_array"] = round(driven / raw, 2)
    result["target_of_array"] = 0.8
    return result


def array_per_second(cluster: SlurmCluster, jobs: int) -> float:
    began = time.monotonic()
    job = sbatch(cluster, "--output=/dev/null", f"--array=1-{jobs}", "--wrap=true")
    wait(lambda: "" if cluster.call("squeue", "-h", "-r", "-j", job, "-o", "%T") else "over", 0.1, 120 + jobs)
    return jobs / (time.monotonic() - began)


def driven_throughput(harness: Harness, jobs: int) -> float:
    leases = [f"many_{number}" for number in range(jobs)]
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda lease: harness.engine.start(spec("true", lease_id=lease, memory_mib=64)), leases))
    left = leases
    while left:
        left = [lease for lease in left if harness.engine.observe(lease, 1).ended_at is None]
        time.sleep(0.3)
    return jobs / (time.monotonic() - began)


def sbatch(cluster: SlurmCluster, *words: str) -> str:
    owner = pwd.getpwnam(UNIX_USER)
    user = [f"--uid={owner.pw_uid}", f"--gid={owner.pw_gid}"] if os.geteuid() == 0 else []
    done = subprocess.run(
        ["sbatch", "--parsable", "--mem=64M", "--cpus-per-task=1", "--chdir=/", *user, *words],
        env={**os.environ, "SLURM_CONF": str(cluster.conf)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def wait(get: Callable[[], str], pause: float = 0.01, seconds: int = 120) -> str:
    deadline = time.monotonic() + seconds
    while not (value := get()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Slurm did not finish a job within {seconds} s")
        time.sleep(pause)
    return value


if __name__ == "__main__":
    main()
