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
from zhisuan.engines.ray.node.claim import ticket


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


def name_in_ray(harness: Harness, lease_id: str) -> str:
    """The submission id of the lease's first run."""
    name = ticket(harness.engine._folders.run(lease_id, 1))  # type: ignore[attr-defined]
    assert name is not None
    return name
