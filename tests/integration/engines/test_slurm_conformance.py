"""The Slurm engine keeps the contract, on a real Slurm of two nodes, in a sandbox."""

from collections.abc import Iterator

import pytest
from engine_conformance import EngineConformance, Harness
from gang_conformance import GangConformance
from slurm_cluster import SlurmCluster, needs_bwrap, needs_slurm, slurm_cluster, slurm_harness
from survival_conformance import GangSurvivalConformance, SurvivalConformance
from tasks_conformance import GangTasksConformance, TasksConformance

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def harness(cluster: SlurmCluster) -> Iterator[Harness]:
    with slurm_harness(cluster) as harness:
        yield harness


class TestSlurm(EngineConformance):
    pass


class TestSlurmSurvival(SurvivalConformance):
    pass


class TestSlurmGangSurvival(GangSurvivalConformance):
    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return ("n1", "n2")


class TestSlurmGang(GangConformance):
    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return ("n1", "n2")


class TestSlurmTasks(TasksConformance):
    pass


class TestSlurmGangTasks(GangTasksConformance):
    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return ("n1", "n2")
