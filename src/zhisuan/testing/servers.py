"""Real server processes on one database, and a proxy before them: for tests and measurements of several servers."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import orjson

START_SECONDS = 90.0


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """``python -m zhisuan.app.run_server`` on a database that others use too. ``folder`` keeps its log; ``data`` is what
    several servers share."""

    def __init__(self, database_url: str, folder: Path, *, data: Path, public_url: str | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._told = {
            "settings": {"data_dir": str(data), "console": False, "server_port": self.port, "host": "127.0.0.1"},
            "database_url": database_url, "server_url": public_url or self.url, "gateway_url": "http://127.0.0.1:9",
            "storage_secret": "test",
            "seal_keys": None,
        }  # fmt: skip
        self._log = folder / f"server-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zhisuan.app.run_server"], stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        if self._process.stdin is not None:
            self._process.stdin.write(orjson.dumps(self._told))
            self._process.stdin.close()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/api/v1/health", timeout=2):  # noqa: S310
                return
            time.sleep(0.1)
        raise RuntimeError(f"the server did not start: {self._log.read_text(errors='replace')[-1000:]}")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class FailoverProxy:
    """Listens on one port and hands each connection to the first of ``ports`` that takes it, beginning with the next in turn:
    what stands before several servers, at its simplest. A server that dies takes its connections with it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self._turn = 0
        self._open: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "FailoverProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        while self._open:
            for task in self._open:
                task.cancel()
            await asyncio.wait(self._open)
        for writer in tuple(self._writers):
            await _shut(writer)
        if self._server is not None:
            await self._server.wait_closed()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.create_task(self._hand_on(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        try:
            for n in range(len(self._ports)):
                try:
                    there = await asyncio.open_connection("127.0.0.1", self._ports[(self._turn + n) % len(self._ports)])
                except OSError:
                    continue
                await _join((reader, writer), there)
                return
        finally:
            await _shut(writer)
            self._writers.discard(writer)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(here: Streams, there: Streams) -> None:
    """Bytes both ways until one side ends."""
    pumps = [asyncio.create_task(_pump(here[0], there[1])), asyncio.create_task(_pump(there[0], here[1]))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        there[1].close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await _shut(there[1])


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
