"""The Ray engine keeps the contract, on a real cluster of two nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import EngineConformance, Harness
from gang_conformance import GangConformance
from ray_cluster import HEAD, WORKER_NAME, RayCluster, needs_ray
from ray_engine import ray_harness
from survival_conformance import GangSurvivalConformance, SurvivalConformance
from tasks_conformance import GangTasksConformance, TasksConformance

pytest_plugins = ("ray_fixtures",)
pytestmark = [needs_ray, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def harness(cluster: RayCluster, tmp_path: Path) -> Iterator[Harness]:
    with ray_harness(cluster, tmp_path) as harness:
        yield harness


class TestRay(EngineConformance):
    pass


class TestRaySurvival(SurvivalConformance):
    pass


class TestRayGangSurvival(GangSurvivalConformance):
    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return (HEAD, WORKER_NAME)


class TestRayGang(GangConformance):
    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return (HEAD, WORKER_NAME)


class TestRayTasks(TasksConformance):
    pass


class TestRayGangTasks(GangTasksConformance):
    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return (HEAD, WORKER_NAME)
