"""The cluster of all Ray tests; a test module names this module in ``pytest_plugins``."""

import os
from collections.abc import Iterator

import pytest
from ray_cluster import RayCluster, shared_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    own = tmp_path_factory.getbasetemp()
    with shared_cluster((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "ray-cluster") as cluster:
        yield cluster
