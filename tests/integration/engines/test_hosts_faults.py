"""Daemons and head are killed, disks fill, hosts stay away, strangers knock: the work and its account come out whole."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from engine_conformance import WAIT_SECONDS, Harness, pack, wait_for
from gang_conformance import lines_of
from hosts_gang import COUNT, OtherHead, agent, counted, gang
from hosts_site import IDS, Host, Site, hosts_harness, hosts_site
from local_engine import needs_bwrap, needs_root

from zhisuan.base.clock import SystemClock
from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.contract import ExitReason, RunPhase
from zhisuan.engines.hosts import drive
from zhisuan.engines.hosts.registry import Registry

pytestmark = [needs_bwrap, pytest.mark.slow]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with hosts_site(margin_seconds=1, timeout_grace_seconds=1, engine={"timeout_grace_seconds": 1}) as site:
        yield site


@pytest.fixture
def harness(site: Site) -> Iterator[Harness]:
    with agent(site), hosts_harness(site) as harness:
        yield harness
        for host in site.hosts.values():
            if host.process is None or host.process.poll() is not None:
                host.start()
        site.await_hosts()


# What is killed


@pytest.mark.parametrize("killed", [("n1",), ("n1", "n2")], ids=["one", "both"])
def test_a_killed_daemon_costs_nothing(site: Site, harness: Harness, killed: tuple[str, ...]) -> None:
    harness.engine.start(gang(COUNT % 40))
    harness.said("[1] line 5")
    before = harness.until(lambda seen: seen.phase is RunPhase.running)
    for name in killed:
        site.hosts[name].kill()
    for name in killed:
        site.hosts[name].start()
    seen = harness.ended()
    assert (seen.reason, seen.started_at) == (ExitReason.completed, before.started_at)
    assert counted(harness.log(), 40)


@pytest.mark.parametrize("also", [(), ("n1", "n2")], ids=["head", "all"])
def test_a_killed_head_costs_nothing(site: Site, also: tuple[str, ...]) -> None:
    """What was read of the log before stays at its place."""
    with hosts_harness(site) as harness:
        harness.engine.start(gang(COUNT % 60))
        harness.said("[0] line 5")
        before = harness.engine.observe("lease_a", 1)
        prefix = harness.log()
        head = OtherHead(site)
        head.kill()
        for name in also:
            site.hosts[name].kill()
            site.hosts[name].start()
        harness.reopen()
        assert harness.engine.observe("lease_a", 1).started_at == before.started_at
        seen = harness.ended()
        assert (seen.reason, seen.started_at) == (ExitReason.completed, before.started_at)
        assert harness.log().startswith(prefix)
        assert counted(harness.log(), 60)


def test_a_head_that_dies_between_order_and_start_starts_it_once(site: Site, harness: Harness) -> None:
    site.hosts["n2"].kill()
    harness.engine.start(gang("echo once"))
    harness.reopen()
    harness.reopen()
    site.hosts["n2"].start()
    assert harness.ended().reason is ExitReason.completed
    assert [lines_of(harness.log(), rank) for rank in (0, 1)] == [["once"], ["once"]]


# All or nothing


def test_no_rank_begins_before_all_are_there(site: Site, harness: Harness) -> None:
    site.hosts["n2"].kill()
    harness.engine.start(gang("echo begun"))
    first = site.hosts["n1"].local()
    wait_for(lambda: ("lease_a", 1) in first.list() and first.is_ready("lease_a", 1), bool)
    seen = harness.until(lambda seen: bool(seen.message))
    assert (seen.phase, seen.started_at) == (RunPhase.preparing, None)
    assert "n2" in (seen.message or "")
    assert first.read_log("lease_a", 1, 0, 100) == b""
    site.hosts["n2"].start()
    assert harness.ended().reason is ExitReason.completed


def test_a_host_that_stays_away_before_the_beginning_ends_it_with_nothing_begun(
    site: Site, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "ABSENT_SECONDS", 1.0)
    site.hosts["n2"].kill()
    harness.engine.start(gang("echo begun", ("n2", "n1")))
    seen = harness.ended()
    assert (seen.reason, seen.started_at) == (ExitReason.start_failed, None)
    assert "n2" in (seen.message or "")
    assert harness.log() == ""
    assert not harness.engine.artifacts_dir("lease_a", 1).exists()


@needs_root
def test_a_full_disk_on_one_host_is_named_and_nothing_begins(site: Site, harness: Harness, tmp_path: Path) -> None:
    archive = pack(tmp_path / "w.tgz", {"big": b"\0" * 1000, "noise": os.urandom(3 << 20)})
    place = site.hosts["n2"].folder / "archives"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    try:
        harness.engine.start(gang("echo begun", ("n2", "n1"), workdir_archive=archive))
        seen = harness.ended()
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert (seen.reason, seen.started_at) == (ExitReason.start_failed, None)
    assert "node 0 (n2)" in (seen.message or "")
    assert "space" in (seen.message or "")
    assert list(iter_artifacts(harness.engine.artifacts_dir("lease_a", 1))) == []
    assert harness.log() == ""


# What is away for longer than the term


def test_a_silent_host_ends_its_work_before_the_head_says_so(site: Site, harness: Harness) -> None:
    """The rank ends as orphaned there, then the run as lost here; when the host comes back it is cleared."""
    harness.engine.start(gang("echo on; exec sleep 600", orphan_seconds=4))
    harness.said("[0] on")
    harness.said("[1] on")
    site.hosts["n2"].kill()
    there = site.hosts["n2"].local()
    seen = harness.ended()
    its_own = there.observe("lease_a", 1)
    assert (seen.reason, its_own.reason) == (ExitReason.lost, ExitReason.orphaned)
    assert "node 1 (n2)" in (seen.message or "")
    assert "4 seconds" in (seen.message or "")
    assert site.hosts["n1"].local().observe("lease_a", 1).phase is RunPhase.exited
    harness.engine.remove("lease_a", 1)
    site.hosts["n2"].start()
    wait_for(lambda: there.list(), lambda held: held == [])


def test_work_whose_head_is_away_ends_by_itself(site: Site) -> None:
    with hosts_harness(site) as harness:
        harness.engine.start(gang("echo on; exec sleep 600", orphan_seconds=3))
        harness.said("[1] on")
        site.open().close()
        for name in ("n1", "n2"):
            local = site.hosts[name].local()
            seen = wait_for(lambda local=local: local.observe("lease_a", 1), lambda seen: seen.reason is not None)  # type: ignore[misc]
            assert seen.reason is ExitReason.orphaned
        assert harness.ended().reason is ExitReason.orphaned


def test_a_host_that_lost_its_folder_loses_the_run(site: Site, harness: Harness) -> None:
    harness.engine.start(gang("echo on; exec sleep 600"))
    harness.said("[1] on")
    host = site.hosts["n2"]
    host.kill()
    local = host.local()
    local.stop("lease_a", 1, 0)
    wait_for(lambda: local.observe("lease_a", 1), lambda seen: seen.reason is not None)
    local.remove("lease_a", 1)
    host.start()
    seen = harness.ended()
    assert seen.reason is ExitReason.lost
    assert "node 1 (n2): the host knows nothing" in (seen.message or "")


# Generations


def test_a_higher_generation_ends_the_lower_everywhere(site: Site, harness: Harness) -> None:
    harness.engine.start(gang("echo on; exec sleep 600"))
    harness.said("[1] on")
    harness.engine.start(gang("echo two", generation=2))
    assert harness.engine.observe("lease_a", 1).reason is ExitReason.cancelled
    for name in ("n1", "n2"):
        assert site.hosts[name].local().observe("lease_a", 1).phase is RunPhase.exited
    assert harness.ended(generation=2).reason is ExitReason.completed


def test_each_gang_is_promised_a_port_of_its_own(harness: Harness) -> None:
    for lease in ("lease_a", "lease_b"):
        harness.engine.start(gang("echo $ZHISUAN_RENDEZVOUS_PORT; exec sleep 600", lease_id=lease))
    ports = [harness.said("[1]", lease).split()[-1] for lease in ("lease_a", "lease_b")]
    assert len(set(ports)) == 2


# Who may come


def denied(site: Site, name: str, token: str) -> tuple[int, str]:
    """The daemon's exit status and what it said."""
    host = Host(name, site.root / name, site.hosts["n1"].head)
    host.start(token)
    assert host.process is not None
    return host.process.wait(WAIT_SECONDS), host.said()


def test_strangers_are_refused(site: Site) -> None:
    registry = Registry(site.root / "head")
    good = site.token()
    secret, _, fingerprint = good.partition(".")
    status, said = denied(site, "x1", f"{IDS.secret('zsh')}.{fingerprint}")
    assert status == 3 and "not made by this head" in said
    status, said = denied(site, "x2", f"{secret}.{'0' * 64}")
    assert status == 3 and "another certificate" in said and secret not in said
    status, said = denied(site, "n1x", registry.invite(IDS.secret("zsh"), SystemClock().now() - timedelta(hours=25)))
    assert status == 3 and "older than" in said
    good_host = Host("n3", site.root / "n3", site.hosts["n1"].head)
    good_host.start(good)
    site.await_hosts("n3")
    status, said = denied(site, "x4", good)
    assert status == 3 and "has been used" in said
    assert registry.remove("n3")
    good_host.kill()
    good_host.start()
    assert good_host.process is not None
    assert good_host.process.wait(WAIT_SECONDS) == 4
    assert "knows no such host" in good_host.said()
    assert set(registry.members()) == {"n1", "n2"}


def test_a_host_sees_nothing_of_runs_that_are_not_its_own(site: Site, harness: Harness, tmp_path: Path) -> None:
    """With its credential a host fetches the archives of its own runs alone; without one nobody fetches any."""
    import ssl
    import urllib.error
    import urllib.request

    from zhisuan.site.hosting.membership import load

    archive = pack(tmp_path / "w.tgz", {"secret": "x"})
    harness.engine.start(replace(gang("exec sleep 600", ("n1",)), workdir_archive=archive))
    harness.until(lambda seen: seen.phase is RunPhase.running)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = f"https://{site.hosts['n1'].head}/hosts/v1/archives/lease_a/1/0"
    answers = []
    for name in ("n1", "n2", ""):
        member = load(site.hosts[name].folder) if name else None
        headers = {"Authorization": f"Bearer {member.credential}"} if member is not None else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context) as answer:
                answers.append(answer.status)
        except urllib.error.HTTPError as error:
            answers.append(error.code)
            error.close()
    assert answers == [200, 404, 401]
