"""A real Slurm of two nodes on this host, for tests, and engines on it that leave nothing behind.

The cluster is made by ``slurm-test.sh``: ``$ZHISUAN_SLURM_TEST``, or beside the repository in ``shared/engines/slurm``.
"""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine_conformance import Harness

from zhisuan.base.clock import SystemClock
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.engine import SlurmEngine

_SCRIPT = Path(
    os.environ.get("ZHISUAN_SLURM_TEST")
    or Path(__file__).resolve().parents[4] / "shared" / "engines" / "slurm" / "slurm-test.sh"
)
_UP_SECONDS = 240
UNIX_USER = "nobody"

needs_slurm = pytest.mark.skipif(not _SCRIPT.is_file(), reason=f"no Slurm to test on: {_SCRIPT} does not exist")
needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")


@dataclass
class SlurmCluster:
    """``folder`` is the cluster's own; ``conf`` its configuration file; ``shared`` what nodes and agent share."""

    folder: Path
    shared: Path

    @property
    def conf(self) -> Path:
        return self.folder / "etc" / "slurm.conf"

    def call(self, *words: str) -> str:
        done = subprocess.run(
            words,
            env={**os.environ, "SLURM_CONF": str(self.conf)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def pid(self, name: str) -> int:
        """Of ``slurmctld``, or ``slurmd.n1``."""
        return int((self.folder / "run" / f"{name}.pid").read_text())

    def kill(self, name: str) -> None:
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def move_nodes(self, address: str) -> None:
        """Give the nodes another address than loopback, as those of real clusters have: all daemons start anew."""
        for name in ("slurmctld", "slurmd.n1", "slurmd.n2"):
            self.kill(name)
        self.conf.write_text(self.conf.read_text().replace("NodeAddr=127.0.0.1", f"NodeAddr={address}"))
        self.start_controller()
        for node in ("n1", "n2"):
            self.start_node(node)
        self.wait_idle()

    def start_controller(self) -> None:
        self._daemon("slurmctld")

    def start_node(self, name: str) -> None:
        self._daemon("slurmd", "-N", name)

    def _daemon(self, *words: str) -> None:
        with open(self.folder / "log" / "restarted.out", "ab") as log:
            subprocess.run(
                words,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "SLURM_CONF": str(self.conf)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                timeout=60,
            )

    def wait_idle(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            states = self.call("sinfo", "-h", "-N", "-o", "%N %t %E").split("\n")
            if {line for line in states if line} and all(line.split()[1] == "idle" for line in states if line):
                return
            assert time.monotonic() < deadline, states
            time.sleep(0.1)


@contextmanager
def slurm_cluster(**environment: str) -> Iterator[SlurmCluster]:
    folder = Path(tempfile.mkdtemp(prefix="zhisuan-slurm-", dir="/tmp"))
    cluster = SlurmCluster(folder / "cluster", folder / "shared")
    folder.chmod(0o755)
    cluster.shared.mkdir(mode=0o755)
    try:
        with open(folder / "up.log", "wb") as log:
            done = subprocess.run(
                [str(_SCRIPT), "up", str(cluster.folder)],
                env={**os.environ, "NODES": "2", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_UP_SECONDS,
                check=False,
            )
        assert done.returncode == 0, (folder / "up.log").read_text()[-3000:]
        yield cluster
    finally:
        if cluster.conf.exists():
            subprocess.run(
                [str(_SCRIPT), "down", str(cluster.folder)],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )
        _end_steps(cluster)
        shutil.rmtree(folder, ignore_errors=True)


def _end_steps(cluster: SlurmCluster) -> None:
    """Slurm's own processes on the nodes outlive it where a controller was killed and forgot their jobs; what works under them
    ends with them."""
    mine = f"SLURM_CONF={cluster.conf}".encode()
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error, OSError):
            # Raw, since the daemon has written its title over the beginning.
            environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if process.info["name"].startswith("slurmstepd") and mine in environment:
                for child in (process, *process.children(recursive=True)):
                    with suppress(psutil.Error):
                        child.kill()


def slurm_config(cluster: SlurmCluster, **changes: Any) -> SlurmEngineConfig:
    values: dict[str, Any] = {
        "slurm_conf": cluster.conf,
        "unix_user": UNIX_USER if os.geteuid() == 0 else None,
        "poll_seconds": 0.3,
        "settle_seconds": 1,
        "runtime_dir": cluster.shared / "run",
    }
    return SlurmEngineConfig(**{**values, **changes})


@contextmanager
def slurm_harness(cluster: SlurmCluster, **changes: Any) -> Iterator[Harness]:
    """An engine on a root of its own."""
    root = Path(tempfile.mkdtemp(prefix="engine-", dir=cluster.shared))
    root.chmod(0o711)
    chosen = slurm_config(cluster, **changes)
    harness = Harness(lambda: SlurmEngine(root, clock=SystemClock(), config=chosen))
    try:
        yield harness
    finally:
        harness.clear()


class Wrappers:
    """Scripts that stand before Slurm's own commands in PATH until they are taken away."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(self, name: str, script: str) -> None:
        """``REAL`` in ``script`` stands for the real command."""
        real = shutil.which(name, path=os.environ["PATH"].partition(":")[2])
        path = self._folder / name
        path.write_text(f"#!/bin/bash\n{script.replace('REAL', str(real))}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    def away(self, name: str) -> None:
        (self._folder / name).unlink()


def jobs_of(cluster: SlurmCluster, harness: Harness) -> list[str]:
    """All jobs that this engine ever had in Slurm, an array as one."""
    name = harness.engine._queue._job_name  # type: ignore[attr-defined]
    lines = cluster.call("squeue", "-h", "-a", "-t", "all", "-r", f"--name={name}", "-o", "%F").split()
    return sorted(set(lines))


def root_of(harness: Harness) -> Path:
    return harness.engine._folders.root  # type: ignore[attr-defined, no-any-return]
