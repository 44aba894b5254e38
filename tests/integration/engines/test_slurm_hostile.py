"""Work that means harm, on a real Slurm that itself enforces nothing: what the sandbox and its watch stop."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_conformance import Harness, spec, wait_for
from slurm_cluster import SlurmCluster, needs_bwrap, needs_slurm, slurm_cluster, slurm_config, slurm_harness

from zhisuan.base.clock import SystemClock
from zhisuan.engines.contract import ExitReason, NodeGrant
from zhisuan.engines.errors import EngineError
from zhisuan.engines.slurm.engine import SlurmEngine

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow, pytest.mark.timeout(300)]
EAT = "python3 -c \"import time; x = b'x' * (400 << 20); print('ate', flush=True); time.sleep(600)\""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def harness(cluster: SlurmCluster) -> Iterator[Harness]:
    with slurm_harness(cluster) as harness:
        yield harness


def test_work_that_forks_without_end_is_bounded_and_can_be_stopped(cluster: SlurmCluster) -> None:
    with slurm_harness(cluster, pids_max=48) as harness:
        harness.engine.start(spec("b() { b | b & }; echo boom; b; sleep 600"))
        harness.said("Resource temporarily unavailable")
        assert harness.run("echo fine", lease_id="lease_b").reason is ExitReason.completed
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().reason is ExitReason.cancelled


def test_work_that_eats_memory_is_ended_with_the_reason(harness: Harness) -> None:
    seen = harness.run(EAT, memory_mib=200)
    assert seen.reason is ExitReason.out_of_memory, harness.log()
    assert "200 MiB" in (seen.message or "")
    assert seen.memory_peak_bytes > 200 << 20


def test_one_node_that_eats_memory_ends_the_gang(harness: Harness) -> None:
    nodes = (NodeGrant("n1"), NodeGrant("n2"))
    seen = harness.run(f"[ $ZHISUAN_NODE_RANK = 1 ] && {EAT}; sleep 600", memory_mib=200, nodes=nodes)
    assert seen.reason is ExitReason.out_of_memory


def test_memory_that_processes_share_counts_once(harness: Harness) -> None:
    share = "import os, time; x = b'x' * (90 << 20); [os.fork() for _ in range(2)]; time.sleep(3)"
    assert harness.run(f'exec python3 -c "{share}"', memory_mib=200).reason is ExitReason.completed


def test_without_a_network_no_socket_leads_out(cluster: SlurmCluster) -> None:
    port = next(
        line.partition("=")[2] for line in cluster.conf.read_text().splitlines() if line.startswith("SlurmctldPort=")
    )
    with slurm_harness(cluster, network="none") as harness:
        script = (
            f'for to in 127.0.0.1/{port} 10.0.0.1/80; do (timeout 2 bash -c "</dev/tcp/$to") 2>/dev/null && echo reached; done; '
            "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"
        )
        assert harness.run(script).reason is ExitReason.completed
        assert harness.log() == "lo\n"


def test_the_hosts_secrets_and_slurms_own_are_not_there(cluster: SlurmCluster, harness: Harness) -> None:
    munge = cluster.folder / "munge"
    harness.run(
        f"cat /etc/shadow /etc/gshadow {munge}/munge.key {cluster.conf} /root/.ssh/* /etc/slurm/slurm.conf; ls /home /root {munge}; "
        "mount -t tmpfs x /mnt; unshare -U true; cat /proc/1/root/etc/shadow; dd if=/dev/sda count=1; echo end"
    )
    log = harness.log()
    assert log.rstrip().endswith("end")
    assert "root:" not in log
    assert "SlurmctldHost" not in log
    assert "munge.key\n" not in log


@contextmanager
def small_folder(mib: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="zhisuan-full-", dir="/tmp"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=711", "full", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
        folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_shared_folder_is_said_leaves_nothing_half_made_and_passes(cluster: SlurmCluster) -> None:
    with small_folder(8) as folder:
        config = slurm_config(cluster, root=folder)
        harness = Harness(lambda: SlurmEngine(folder, clock=SystemClock(), config=config))
        filler = "head -c 30000000 /dev/zero > fill || echo no room >&2; sleep 600"
        harness.engine.start(spec(filler, memory_mib=64))
        wait_for(lambda: os.statvfs(folder).f_bavail, lambda free: free == 0)
        with pytest.raises(EngineError, match="No space left"):
            harness.engine.start(spec("x" * 200_000, lease_id="lease_b", memory_mib=64))
        assert harness.engine.list() == [("lease_a", 1)]
        (folder / "runs" / "lease_a" / "1" / "0" / "work" / "fill").unlink()
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().reason is ExitReason.cancelled
        assert harness.run("echo again", lease_id="lease_b", memory_mib=64).reason is ExitReason.completed
        assert harness.log("lease_b") == "again\n"
        harness.clear()
