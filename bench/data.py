"""What moving data through the platform costs, beside `cp` and beside a bare HTTP PUT of the same bytes, in one run.

    python bench/data.py [--megabytes 200] [--rounds 3]

One real platform on loopback. The bare PUTs go to a process of its own: the same HTTP server (uvicorn) that writes what comes to a
file and hashes it with SHA-256 once, and no more. Medians of the rounds; ``ratio`` is the platform's rate as a part of the other's.
Processor time is that of client, server and database; on a busy machine it says more than seconds do.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from zhisuan.sdk import Client
from zhisuan.testing.platform import RunningPlatform
from zhisuan.testing.servers import free_port

SMALL_FILES = 500
CHUNK = 1 << 20
BARE = """
import hashlib, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
async def put(request):
    digest = hashlib.sha256()
    with open(sys.argv[1], "wb") as file:
        async for data in request.stream():
            digest.update(data)
            file.write(data)
    return PlainTextResponse(digest.hexdigest())
uvicorn.run(Starlette(routes=[Route("/", put, methods=["GET", "PUT"])]), port=int(sys.argv[2]), log_level="error")
"""


class Meter:
    """Seconds of some work, and the processor time that client, server and database took for it."""

    def __init__(self, running: RunningPlatform) -> None:
        self._running = running
        self.seconds: dict[str, list[float]] = {}
        self.cpu: dict[str, list[dict[str, float]]] = {}

    def __call__(self, name: str, work: Callable[[], object]) -> None:
        before, began = self._cpu(), time.perf_counter()
        work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)
        now = self._cpu()
        self.cpu.setdefault(name, []).append({part: now[part] - before[part] for part in now})

    def _cpu(self) -> dict[str, float]:
        parts = self._running.processes()
        return {"client": time.process_time(), **{name: _tree_cpu(parts[name]) for name in ("server", "database")}}

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def cpu_ms(self, name: str, units: int) -> dict[str, float]:
        """Processor milliseconds for each of so many files or megabytes."""
        return {
            part: round(statistics.median(each[part] for each in self.cpu[name]) * 1000 / units, 2)
            for part in ("client", "server", "database")
        }


def _tree_cpu(process: psutil.Process) -> float:
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def bare_server(folder: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(folder / "bare.bin"), str(port)])
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                httpx.put(url, content=b"", trust_env=False)
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def measure(folder: Path, megabytes: int, rounds: int) -> dict[str, object]:
    running = RunningPlatform(folder / "data", own_site=False)
    running.start()
    meter = Meter(running)
    try:
        _, key = running.new_tenant()
        with bare_server(folder) as bare, Client(running.runtime["server_url"], key) as client:
            client.create_volume("bench")
            for number in range(rounds):
                _round(meter, client, folder / str(number), number, megabytes, bare)
                shutil.rmtree(folder / str(number))
    finally:
        running.stop()
    return _summary(meter, megabytes, rounds)


def _round(meter: Meter, client: Client, folder: Path, number: int, megabytes: int, bare: str) -> None:
    source, small = folder / "source", folder / "small"
    for each in (source, small):
        each.mkdir(parents=True)
    big = source / "big.bin"
    with big.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(CHUNK))
    for index in range(SMALL_FILES):
        (small / f"{index}").write_bytes(os.urandom(10_000))
    meter("cp", lambda: shutil.copyfile(big, folder / "copy.bin"))
    meter("bare_put", lambda: _bare(bare, big))
    meter("put", lambda: client.put_volume(source, "bench", path=f"big{number}"))
    meter("get", lambda: client.get_volume("bench", folder / "back", path=f"big{number}"))
    meter("cp_small", lambda: shutil.copytree(small, folder / "smallcopy"))
    meter("put_small", lambda: client.put_volume(small, "bench", path=f"small{number}"))
    meter("get_small", lambda: client.get_volume("bench", folder / "smallback", path=f"small{number}"))


def _summary(meter: Meter, megabytes: int, rounds: int) -> dict[str, Any]:
    return {
        "megabytes": megabytes, "rounds": rounds, "load": round(os.getloadavg()[0], 1),
        "mb_per_second": {n: round(megabytes * CHUNK / 1e6 / meter.median(n), 1) for n in ("cp", "bare_put", "put", "get")},
        "put_ratio_to_bare_put": round(meter.median("bare_put") / meter.median("put"), 3),
        "put_ratio_to_cp": round(meter.median("cp") / meter.median("put"), 3),
        "get_ratio_to_cp": round(meter.median("cp") / meter.median("get"), 3),
        "cpu_ms_per_mib": {n: meter.cpu_ms(n, megabytes) for n in ("put", "get")},
        "small_files_per_second": {n: round(SMALL_FILES / meter.median(n + "_small"), 1) for n in ("put", "get", "cp")},
        "cpu_ms_per_small_file": {n: meter.cpu_ms(n + "_small", SMALL_FILES) for n in ("put", "get")},
    }  # fmt: skip


def _bare(url: str, file: Path) -> None:
    def chunks() -> Iterator[bytes]:
        with file.open("rb") as body:
            while data := body.read(CHUNK):
                yield data

    httpx.put(url, content=chunks(), headers={"Content-Length": str(file.stat().st_size)}, trust_env=False, timeout=300)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    given, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as folder:
        Path(folder).chmod(0o755)
        print(json.dumps(measure(Path(folder), given.megabytes, given.rounds), indent=2))


if __name__ == "__main__":
    main()
