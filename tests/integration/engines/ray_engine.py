"""Opens Ray engines for tests and leaves nothing of them behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine_conformance import Harness
from ray_cluster import RayCluster

from zhisuan.base.clock import SystemClock
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.ray.engine import RayEngine


def ray_config(cluster: RayCluster, **changes: Any) -> RayEngineConfig:
    values: dict[str, Any] = {
        "address": cluster.address,
        "python": cluster.python,
        "allow_unisolated": True,
        "lost_after_seconds": 3,
    }
    return RayEngineConfig(**{**values, **changes})


@contextmanager
def ray_harness(cluster: RayCluster, root: Path, **changes: Any) -> Iterator[Harness]:
    config = ray_config(cluster, **changes)
    harness = Harness(lambda: RayEngine(root / "engine", clock=SystemClock(), config=config))
    try:
        yield harness
    finally:
        harness.clear()
