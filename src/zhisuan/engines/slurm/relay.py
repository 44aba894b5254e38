"""Leads a unix socket of this process to the TCP port of a run's node, for the services of a cluster."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_CHUNK_BYTES = 1 << 16
_CONNECT_SECONDS = 10
_CALL_SECONDS = 10


class Relays:
    """One thread with an event loop, begun with the first socket. ``where`` of a socket gives the node's address anew
    for each connection, or None while the run has no node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: dict[Path, asyncio.AbstractServer] = {}

    def open(self, path: Path, where: Callable[[], tuple[str, int] | None]) -> None:
        """Listen at ``path``, once. Raises OSError."""
        with self._lock:
            if path in self._servers and path.exists():
                return
            loop = self._running_loop()
            path.unlink(missing_ok=True)
            made = asyncio.run_coroutine_threadsafe(_listen(path, where), loop)
            self._servers[path] = made.result(_CALL_SECONDS)

    def close(self, path: Path) -> None:
        with self._lock:
            server = self._servers.pop(path, None)
            if server is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(server.close)
            path.unlink(missing_ok=True)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="slurm-service-relay", daemon=True).start()
        return self._loop


async def _listen(path: Path, where: Callable[[], tuple[str, int] | None]) -> asyncio.AbstractServer:
    # The event loop refers to tasks weakly: without this set the collector may end a connection in the middle.
    carried: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        carried.add(task)
        try:
            await _carry(where, reader, writer)
        finally:
            carried.discard(task)

    server = await asyncio.start_unix_server(handle, path=path)
    os.chmod(path, 0o600)
    return server


async def _carry(
    where: Callable[[], tuple[str, int] | None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One connection, both ways. When the port does not answer, the caller's connection is closed at once."""
    inner = None
    try:
        target = await asyncio.to_thread(where)
        if target is None:
            return
        inner_reader, inner = await asyncio.wait_for(asyncio.open_connection(*target), _CONNECT_SECONDS)
        await asyncio.gather(_pump(reader, inner), _pump(inner_reader, writer))
    except (OSError, TimeoutError):
        return
    finally:
        for one in (inner, writer):
            if one is not None:
                with suppress(OSError):
                    one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on as they come, then the end of the stream (and only that: the other way may go on)."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
