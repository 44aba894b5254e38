"""What moving data through the platform costs, beside `cp` and beside a bare HTTP PUT of the same bytes, in one run.

    python bench/data.py [--megabytes 200] [--rounds 3]

One real platform on loopback. The bare PUT goes to an asyncio server that writes what comes to a file. Medians of the rounds;
``ratio`` is the platform's rate as a part of the other's. SHA-256 is computed at both ends by the platform only.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from zhisuan.sdk import Client
from zhisuan.testing.platform import RunningPlatform

SMALL_FILES = 500


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class BareServer:
    """Takes a PUT and writes its body to a file."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1])
        with self._target.open("wb") as file:
            while left and (data := await reader.read(min(left, 1 << 20))):
                file.write(data)
                left -= len(data)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


def measure(folder: Path, megabytes: int, rounds: int) -> dict[str, object]:
    running = RunningPlatform(folder / "data", own_site=False)
    running.start()
    bare = BareServer(folder / "bare.bin")
    taken: dict[str, list[float]] = {name: [] for name in ("cp", "bare_put", "put", "get", "put_small", "cp_small")}
    try:
        _, key = running.new_tenant()
        with Client(running.runtime["server_url"], key) as client:
            client.create_volume("bench")
            for number in range(rounds):
                source, small = folder / f"source{number}", folder / f"small{number}"
                source.mkdir()
                small.mkdir()
                big = source / "big.bin"
                big.write_bytes(os.urandom(1 << 20) * megabytes)
                with big.open("r+b") as file:
                    file.write(os.urandom(64))
                for index in range(SMALL_FILES):
                    (small / f"{index}").write_bytes(os.urandom(10_000))
                taken["cp"].append(seconds(lambda big=big: shutil.copyfile(big, folder / "copy.bin")))
                taken["bare_put"].append(seconds(lambda big=big: _bare(bare.url, big)))
                taken["put"].append(seconds(lambda source=source: client.put_volume(source, "bench")))
                taken["get"].append(seconds(lambda n=number: client.get_volume("bench", folder / f"back{n}")))
                taken["cp_small"].append(seconds(lambda small=small, n=number: shutil.copytree(small, folder / f"smallcopy{n}")))
                taken["put_small"].append(seconds(lambda small=small: client.put_volume(small, "bench", path="small")))
                shutil.rmtree(source)
                shutil.rmtree(folder / f"back{number}")
    finally:
        running.stop()
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "megabytes": megabytes, "rounds": rounds,
        "mb_per_second": {n: round(megabytes * 1.048576 / medians[n], 1) for n in ("cp", "bare_put", "put", "get")},
        "put_ratio_to_bare_put": round(medians["bare_put"] / medians["put"], 3),
        "put_ratio_to_cp": round(medians["cp"] / medians["put"], 3),
        "get_ratio_to_cp": round(medians["cp"] / medians["get"], 3),
        "small_files_per_second": {
            "put": round(SMALL_FILES / medians["put_small"], 1), "cp": round(SMALL_FILES / medians["cp_small"], 1)
        },
    }  # fmt: skip


def _bare(url: str, file: Path) -> None:
    with file.open("rb") as body:
        httpx.put(url, content=body, headers={"Content-Length": str(file.stat().st_size)}, trust_env=False, timeout=300)


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
