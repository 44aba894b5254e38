"""Hosts with addresses of their own: a link is cut for shorter and for longer than the term; real training over two hosts."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import Harness, wait_for
from gang_conformance import lines_of
from hosts_gang import COUNT, agent, counted, gang
from hosts_network import Network, needs_namespaces, networked_site
from hosts_site import Site, hosts_harness
from local_engine import needs_bwrap

from zhisuan.engines.contract import ExitReason

pytestmark = [needs_bwrap, needs_namespaces, pytest.mark.slow]

ALL_REDUCE = """
exec python3 - <<'PY'
import os
import torch
import torch.distributed as dist
os.environ["MASTER_ADDR"] = os.environ["ZHISUAN_NODE_IPS"].split()[0]
os.environ["MASTER_PORT"] = os.environ["ZHISUAN_RENDEZVOUS_PORT"]
os.environ["RANK"], os.environ["WORLD_SIZE"] = os.environ["ZHISUAN_NODE_RANK"], os.environ["ZHISUAN_NUM_NODES"]
dist.init_process_group("gloo")
mine = torch.arange(4.0) + 10 * dist.get_rank()
dist.all_reduce(mine)
print("sum", mine.tolist())
dist.destroy_process_group()
PY
"""


@pytest.fixture(scope="module")
def networked() -> Iterator[tuple[Site, Network]]:
    prefix = str(Path(sys.prefix))
    options = {"timeout_grace_seconds": 1, "runtime_prefixes": [prefix]}
    with networked_site(margin_seconds=1, timeout_grace_seconds=1, engine=options) as made:
        yield made


@pytest.fixture
def site(networked: tuple[Site, Network]) -> Site:
    return networked[0]


@pytest.fixture
def network(networked: tuple[Site, Network]) -> Network:
    return networked[1]


@pytest.fixture
def harness(site: Site, network: Network) -> Iterator[Harness]:
    with agent(site), hosts_harness(site) as harness:
        yield harness
        for name in network.names:
            network.mend(name)
        site.await_hosts()


def test_every_host_is_told_by_its_own_address(site: Site, network: Network, harness: Harness) -> None:
    harness.engine.start(gang("echo $ZHISUAN_NODE_IPS"))
    assert harness.ended().reason is ExitReason.completed
    assert lines_of(harness.log(), 1) == [f"{network.address(0)} {network.address(1)}"]


def test_a_link_cut_for_shorter_than_the_term_costs_nothing(network: Network, harness: Harness) -> None:
    """Longer than the connection lives, shorter than the lease's term."""
    harness.engine.start(gang(COUNT % 150, orphan_seconds=60))
    harness.said("[1] line 5")
    network.cut("n2")
    harness.until(lambda seen: bool(seen.message))
    assert "n2" in (harness.engine.observe("lease_a", 1).message or "")
    network.mend("n2")
    assert harness.ended().reason is ExitReason.completed
    assert counted(harness.log(), 150)


def test_a_link_cut_for_longer_than_the_term_ends_the_run_once(site: Site, network: Network, harness: Harness) -> None:
    harness.engine.start(gang("echo on; exec sleep 600", orphan_seconds=6))
    harness.said("[0] on")
    harness.said("[1] on")
    network.cut("n2")
    there = site.hosts["n2"].local()
    seen = harness.ended()
    its_own = there.observe("lease_a", 1)
    assert (seen.reason, its_own.reason) == (ExitReason.lost, ExitReason.orphaned)
    assert "node 1 (n2)" in (seen.message or "")
    assert not next(node for node in site.open().nodes() if node.hostname == "n2").usable
    network.mend("n2")
    site.await_hosts("n2")
    assert harness.engine.observe("lease_a", 1) == seen
    harness.engine.remove("lease_a", 1)
    wait_for(lambda: there.list(), lambda held: held == [])


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_two_ranks_reduce_a_tensor_over_two_hosts(harness: Harness) -> None:
    harness.engine.start(gang(ALL_REDUCE, cpus_milli=1000, memory_mib=1024))
    seen = harness.ended()
    assert seen.reason is ExitReason.completed, harness.log()
    for rank in (0, 1):
        assert "sum [10.0, 12.0, 14.0, 16.0]" in lines_of(harness.log(), rank)
