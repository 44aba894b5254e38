"""A real Ray cluster of two nodes on this host, one for all test processes of a run.

Ray is no package of the platform's own environment: it is found by ``ZHISUAN_RAY_BIN``, beside the Python that runs the
tests, or where ``scripts/ray_env.sh`` puts it.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

HEAD, WORKER, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
WORKER_NAME = "worker-b"
_started: dict[int, subprocess.Popen[bytes]] = {}
"""By this test process; the cluster may be ended by another one."""
ATTEMPTS = 3
"""Ray gives its own processes 15 seconds to start, which a busy host may not keep."""
UP_SECONDS = 120.0
DOWN_SECONDS = 20.0


def ray_program() -> Path | None:
    repository = Path(__file__).parents[3]
    told = os.environ.get("ZHISUAN_RAY_BIN")
    places = [Path(told)] if told else [Path(sys.executable).parent / "ray", repository / "build/ray-env/bin/ray"]
    return next((place for place in places if place.is_file()), None)


needs_ray = pytest.mark.skipif(
    ray_program() is None, reason="Ray is not installed: run scripts/ray_env.sh, or name its program in ZHISUAN_RAY_BIN"
)


class NotUp(Exception):
    """A node of Ray did not start."""


@dataclass(frozen=True)
class RayCluster:
    """``address`` of the dashboard, ``gcs`` of the head, ``python`` that Ray is installed for."""

    address: str
    gcs: str
    python: str

    @contextmanager
    def another_node(self, folder: Path) -> Iterator[int]:
        """A third node, with its process id; gone afterwards."""
        node = [f"--address={self.gcs}", f"--node-ip-address={THIRD}", "--num-cpus=4"]
        process = _up(node, folder / "third.log", self.address, THIRD)
        try:
            yield process.pid
        finally:
            end(process.pid)


def living(address: str) -> set[str]:
    rows = httpx.get(f"{address}/api/v0/nodes?detail=1", timeout=30).json()["data"]["result"]["result"]
    return {row["node_ip"] for row in rows if row["state"] == "ALIVE"}


def free_ports(count: int) -> list[int]:
    """Outside of the range that Ray's workers take by default (10002 to 19999)."""
    found: list[int] = []
    for port in range(21_000 + os.getpid() % 4_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def _wait_for_node(process: subprocess.Popen[bytes], address: str, ip: str, log: Path) -> None:
    """Raises NotUp when Ray's own process has given up, or takes too long."""
    deadline = time.monotonic() + UP_SECONDS
    while True:
        with suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
            if ip in living(address):
                return
        if process.poll() is not None or time.monotonic() > deadline:
            end(process.pid)
            raise NotUp(f"the Ray node {ip} did not come up: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _start(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    program = ray_program()
    assert program is not None
    own = ("node-manager", "object-manager", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")
    ports = [f"--{name}-port={port}" for name, port in zip((*own, "dashboard-agent-grpc"), free_ports(6), strict=True)]
    workers = ["--min-worker-port=0", "--max-worker-port=0", "--object-store-memory=80000000"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_USAGE_STATS": "1"}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(program), "start", "--block", *arguments, *ports, *workers],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    _started[process.pid] = process
    return process


def end(pid: int) -> None:
    """``ray start --block`` takes its own processes with it; the group is for what it could not end."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while time.monotonic() < deadline and _group_lives(pid):
        if pid in _started:
            _started[pid].poll()
        time.sleep(0.1)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if pid in _started:
        _started.pop(pid).wait()


def _group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _bring_up(folder: Path) -> tuple[RayCluster, list[int]]:
    program = ray_program()
    assert program is not None
    gcs, dashboard, client = free_ports(9)[6:]
    address = f"http://127.0.0.1:{dashboard}"
    cluster = RayCluster(address, f"{HEAD}:{gcs}", str(program.parent / "python"))
    temporary = Path("/tmp") / f"zsray{os.getpid()}-{dashboard}"  # sockets' names must be short
    head = [
        "--head", f"--node-ip-address={HEAD}", f"--port={gcs}", "--dashboard-host=127.0.0.1", "--num-cpus=64",
        f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}", f"--temp-dir={temporary}",
    ]  # fmt: skip
    worker = [
        f"--address={cluster.gcs}", f"--node-ip-address={WORKER}", f"--node-name={WORKER_NAME}", "--num-cpus=64",
        "--num-gpus=4", '--resources={"MLU": 2, "licence": 1}',
    ]  # fmt: skip
    first = _up(head, folder / "head.log", address, HEAD)
    try:
        second = _up(worker, folder / "worker.log", address, WORKER)
    except NotUp:
        end(first.pid)
        raise
    return cluster, [first.pid, second.pid]


def _up(arguments: Sequence[str], log: Path, address: str, ip: str) -> subprocess.Popen[bytes]:
    for attempt in range(ATTEMPTS):
        process = _start(arguments, log)
        try:
            _wait_for_node(process, address, ip, log)
            return process
        except NotUp:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


@contextmanager
def shared_cluster(folder: Path) -> Iterator[RayCluster]:
    """The first that asks starts it, the last that leaves ends it; ``folder`` is the same for all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "cluster.json"
    with _locked(folder / "lock"):
        held = json.loads(state.read_text()) if state.exists() else None
        if held is None:
            cluster, pids = _bring_up(folder)
            held = {"cluster": [cluster.address, cluster.gcs, cluster.python], "pids": pids, "users": 0}
        held["users"] += 1
        state.write_text(json.dumps(held))
    try:
        yield RayCluster(*held["cluster"])
    finally:
        with _locked(folder / "lock"):
            held = json.loads(state.read_text())
            held["users"] -= 1
            state.write_text(json.dumps(held))
            if held["users"] == 0:
                state.unlink()
                for pid in reversed(held["pids"]):
                    end(pid)
                port = held["cluster"][0].rpartition(":")[2]
                for temporary in Path("/tmp").glob(f"zsray*-{port}"):
                    shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
