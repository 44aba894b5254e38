"""Order → first instruction on the Ray engine, beside submitting the same to Ray itself, in turns on one cluster.

Alone: a job ``date +%s.%N`` with the same resources on the same node. Gang: a job whose driver makes the same placement
group and asks an actor on each node for the time; the last of the two counts. The time is from just before the call to what the
work itself read off the clock. Needs Ray (scripts/ray_env.sh, or ZHISUAN_RAY_BIN).
"""

import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from zhisuan.base.clock import SystemClock
from zhisuan.engines.contract import NodeGrant, RunPhase, RunSpec
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.ray.engine import RayEngine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/integration/engines"))
from ray_cluster import HEAD, WORKER, WORKER_NAME, RayCluster, ray_program, shared_cluster

ALONE_ROUNDS, GANG_ROUNDS = 10, 5
MEMORY_MIB = 256
_GANG = f"""
import ray, time
ray.init(log_to_driver=False, logging_level="ERROR")
group = ray.util.placement_group(
    [{{"CPU": 1, "memory": {MEMORY_MIB << 20}, "node:" + ip: 0.001}} for ip in ({HEAD!r}, {WORKER!r})],
    strategy="STRICT_SPREAD",
)
group.wait(60)
@ray.remote(num_cpus=1, memory={MEMORY_MIB << 20})
class Host:
    def clock(self):
        return time.time()
place = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
hosts = [
    Host.options(scheduling_strategy=place(placement_group=group, placement_group_bundle_index=rank)).remote()
    for rank in range(2)
]
print(max(ray.get([host.clock.remote() for host in hosts])))
"""


def main() -> None:
    if ray_program() is None:
        raise SystemExit("Ray is not installed: run scripts/ray_env.sh, or name its program in ZHISUAN_RAY_BIN")
    with (
        tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as folder,
        shared_cluster(Path(folder) / "ray") as cluster,
    ):
        config = RayEngineConfig(address=cluster.address, python=cluster.python, allow_unisolated=True)
        engine = RayEngine(Path(folder) / "engine", clock=SystemClock(), config=config)
        print(json.dumps(measure(cluster, engine)))


def measure(cluster: RayCluster, engine: RayEngine) -> dict[str, object]:
    gang = (NodeGrant(HEAD), NodeGrant(WORKER_NAME))
    resources = {"entrypoint_num_cpus": 1, "entrypoint_memory": MEMORY_MIB << 20}
    resources |= {"entrypoint_resources": {f"node:{HEAD}": 0.001}}
    script = f"exec {cluster.python} -c {shlex.quote(_GANG)}"
    return {
        "what": "order → first instruction on Ray, milliseconds",
        "alone": _compare(
            ALONE_ROUNDS,
            lambda: _of_ray(cluster, {"entrypoint": "date +%s.%N", **resources}),
            lambda: _of_engine(engine, gang[:1]),
        ),
        "gang_of_two": _compare(
            GANG_ROUNDS, lambda: _of_ray(cluster, {"entrypoint": script}), lambda: _of_engine(engine, gang)
        ),
        "target_added": "10 % or 200 ms, whichever is more",
    }


def _compare(rounds: int, plain: Callable[[], float], ordered: Callable[[], float]) -> dict[str, object]:
    """One of each first, uncounted: the first job of a cluster reads Ray from the disk."""
    pairs = [(plain(), ordered()) for _ in range(rounds + 1)][1:]
    of_ray, of_engine = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "rounds": rounds,
        "ray_p50_ms": round(of_ray, 1),
        "engine_p50_ms": round(of_engine, 1),
        "added_p50_ms": round(of_engine - of_ray, 1),
        "added_percent": round((of_engine / of_ray - 1) * 100, 1),
    }


def _of_ray(cluster: RayCluster, order: dict[str, object]) -> float:
    url = f"{cluster.address}/api/jobs/"
    began = time.time()
    job = httpx.post(url, json=order, timeout=60).raise_for_status().json()["submission_id"]
    while httpx.get(f"{url}{job}", timeout=60).json()["status"] in ("PENDING", "RUNNING"):
        time.sleep(0.05)
    log = httpx.get(f"{url}{job}/logs", timeout=60).json()["logs"]
    return (next(float(line) for line in log.splitlines() if line.replace(".", "").isdigit()) - began) * 1000


def _of_engine(engine: RayEngine, nodes: tuple[NodeGrant, ...]) -> float:
    lease_id = f"bench-{time.time_ns()}"
    spec = RunSpec(lease_id, 1, None, "date +%s.%N", {}, 1000, MEMORY_MIB, nodes=nodes)
    began = time.time()
    engine.start(spec)
    while engine.observe(lease_id, 1).phase is not RunPhase.exited:
        time.sleep(0.05)
    log = engine.read_log(lease_id, 1, 0, 1 << 16).decode()
    engine.remove(lease_id, 1)
    return (max(float(line.rpartition(" ")[2]) for line in log.splitlines()) - began) * 1000
