"""The agent's end of the way to a run's service: a unix socket here, joined to the endpoint on the node.

The listeners live in this process only; a restarted agent makes them anew when it asks for the socket.
"""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.ray.node.endpoint import endpoint_path, join

_CONNECT_SECONDS = 10.0


class ServiceDoors:
    """One listening socket per run with a service, all served by one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: dict[Path, tuple[asyncio.AbstractServer, int]] = {}

    def open(self, path: Path, paths: RunPaths) -> None:
        """Make ``path`` lead to the run's endpoint; nothing to do when it does. Raises OSError."""
        with self._lock:
            held = self._open.get(path)
            if held is not None and _inode(path) == held[1]:
                return
            loop = self._running_loop()
            making = asyncio.run_coroutine_threadsafe(self._listen(path, paths), loop)
            self._open[path] = (making.result(), _inode(path))

    def close(self, path: Path) -> None:
        with self._lock:
            held = self._open.pop(path, None)
            if held is None or self._loop is None:
                return
            self._loop.call_soon_threadsafe(held[0].close)
            if _inode(path) == held[1]:
                path.unlink(missing_ok=True)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="ray-services", daemon=True).start()
        return self._loop

    async def _listen(self, path: Path, paths: RunPaths) -> asyncio.AbstractServer:
        carried: set[asyncio.Task[None] | None] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            carried.add(asyncio.current_task())
            try:
                await _carry(paths, reader, writer)
            finally:
                writer.close()
                carried.discard(asyncio.current_task())

        server = await asyncio.start_unix_server(handle, path=path, backlog=1024)
        path.chmod(0o600)
        return server


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1


async def _carry(paths: RunPaths, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection; closed at once while the node does not listen yet, and after the run."""
    where = dict(records.read(endpoint_path(paths)) or [])
    plan = dict(records.read(paths.plan) or [])
    if "port" not in where or "token" not in plan:
        return
    with suppress(OSError, TimeoutError):
        connecting = asyncio.open_connection(where["host"], int(where["port"]))
        inner_reader, inner_writer = await asyncio.wait_for(connecting, _CONNECT_SECONDS)
        inner_writer.write(plan["token"].encode())
        await join((reader, writer), (inner_reader, inner_writer))
