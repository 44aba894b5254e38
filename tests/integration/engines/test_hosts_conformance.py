"""The engine of several hosts keeps the contract: over two daemons with folders of their own, and for runs of several nodes
over two hosts with addresses of their own where this machine can make them."""

from collections.abc import Iterator

import pytest
from engine_conformance import EngineConformance, Harness
from gang_conformance import GangConformance
from hosts_network import can_make_namespaces, networked_site
from hosts_site import Site, hosts_harness, hosts_site
from local_engine import needs_bwrap
from survival_conformance import GangSurvivalConformance, SurvivalConformance
from tasks_conformance import GangTasksConformance, TasksConformance

pytestmark = [needs_bwrap, pytest.mark.slow]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with hosts_site() as site:
        yield site


class TestHosts(EngineConformance):
    @pytest.fixture
    def harness(self, site: Site) -> Iterator[Harness]:
        with hosts_harness(site) as harness:
            yield harness


class TestHostsSurvival(SurvivalConformance):
    @pytest.fixture
    def harness(self, site: Site) -> Iterator[Harness]:
        with hosts_harness(site) as harness:
            yield harness


class TestHostsTasks(TasksConformance):
    @pytest.fixture
    def harness(self, site: Site) -> Iterator[Harness]:
        with hosts_harness(site) as harness:
            yield harness


@pytest.fixture(scope="module")
def gang_site() -> Iterator[Site]:
    if can_make_namespaces():
        with networked_site() as (site, _):
            yield site
    else:
        with hosts_site() as site:
            yield site


class TestHostsGang(GangConformance):
    @pytest.fixture
    def harness(self, gang_site: Site) -> Iterator[Harness]:
        with hosts_harness(gang_site) as harness:
            yield harness

    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return ("n1", "n2")


class TestHostsGangSurvival(GangSurvivalConformance):
    @pytest.fixture
    def harness(self, gang_site: Site) -> Iterator[Harness]:
        with hosts_harness(gang_site) as harness:
            yield harness

    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return ("n1", "n2")


class TestHostsGangTasks(GangTasksConformance):
    @pytest.fixture
    def harness(self, gang_site: Site) -> Iterator[Harness]:
        with hosts_harness(gang_site) as harness:
            yield harness

    @pytest.fixture
    def hostnames(self) -> tuple[str, ...]:
        return ("n1", "n2")
