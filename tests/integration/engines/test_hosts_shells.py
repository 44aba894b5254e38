"""A shell beside one rank of a run of several plain hosts is on that rank's host."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_conformance import Harness, wait_for
from hosts_gang import gang
from hosts_site import Site, hosts_harness, hosts_site
from local_engine import needs_bwrap, needs_root
from shell_client import ShellClient, run

from zhisuan.base.shells import Channel
from zhisuan.engines.contract import RunPhase
from zhisuan.engines.hosts.engine import HostsEngine

pytestmark = [needs_bwrap, needs_root, pytest.mark.slow]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with hosts_site() as site:
        yield site


@pytest.fixture
def harness(site: Site) -> Iterator[Harness]:
    with hosts_harness(site) as harness:
        yield harness


def begin(harness: Harness) -> list[Path]:
    assert harness.engine.preflight().shells
    harness.engine.start(gang("echo $ZHISUAN_NODE_RANK > rank; echo up; sleep 600"))
    wait_for(lambda: harness.log(), lambda log: "[0] up" in log and "[1] up" in log)
    found = [harness.engine.shell_socket("lease_a", 1, rank) for rank in range(2)]
    assert all(found) and harness.engine.shell_socket("lease_a", 1, 2) is None
    return [path for path in found if path is not None]


def test_each_rank_has_its_own_and_they_end_with_the_run(harness: Harness) -> None:
    paths = begin(harness)
    for rank, path in enumerate(paths):
        status, out, _ = run(path, "bash", "-c", "cat rank; id -u; exit 5")
        assert (status, out.split()[0]) == (5, str(rank).encode()) and int(out.split()[1]) >= 200_000
    data = bytes(range(256)) * 4000
    assert run(paths[1], "cat", given=data)[:2] == (0, data)
    client = ShellClient(paths[1], terminal=(30, 100))
    client.type("stty size\r")
    client.until(b"30 100")
    harness.engine.stop("lease_a", 1, 0)
    harness.ended()
    assert Channel.EXIT not in client.end()
    assert harness.engine.shell_socket("lease_a", 1, 1) is None
    harness.engine.remove("lease_a", 1)
    assert not any(path.exists() for path in paths)


def test_who_goes_takes_the_shell_along_over_the_network(harness: Harness) -> None:
    path = begin(harness)[1]
    client = ShellClient(path, ["bash", "-c", "echo $$ > shell; echo on; sleep 600"])
    client.until(b"on")
    assert run(path, "bash", "-c", "kill -0 $(cat shell)")[0] == 0
    client.socket.close()
    wait_for(lambda: run(path, "bash", "-c", "kill -0 $(cat shell)")[0], lambda status: status != 0)


def test_a_host_that_is_away_or_knows_no_shells_harms_nothing(harness: Harness, site: Site) -> None:
    paths = begin(harness)
    site.hosts["n2"].kill()
    assert isinstance(harness.engine, HostsEngine)
    posts = harness.engine._head().posts
    wait_for(lambda: dict(posts.connected), lambda there: "n2" not in there)
    assert ShellClient(paths[1]).end() == {}, "nobody there to answer"
    assert run(paths[0], "cat", "rank")[1] == b"0\n"
    site.hosts["n2"].start()
    wait_for(lambda: run_quietly(paths[1]), lambda out: out == b"1\n")
    told = posts.told["n2"]
    posts.told["n2"] = replace(told, report=replace(told.report, shells=False))
    assert harness.engine.shell_socket("lease_a", 1, 1) is None, "a daemon of an older version says nothing of shells"
    assert harness.engine.observe("lease_a", 1).phase is RunPhase.running


def run_quietly(path: Path) -> bytes:
    return ShellClient(path, ["cat", "rank"]).end().get(Channel.STDOUT, b"")
