"""Connections to a run's service: a unix socket at the head, joined over the network to the one at the host.

The head asks the host to dial; the host comes with a connection of its own, which is then carried byte for byte.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse
AskToDial = Callable[[str], Awaitable[None]]

_PIECE_BYTES = 256 << 10
_DIAL_SECONDS = 10.0
_END = "end"


async def carry(socket: Socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Both ways, until both have ended; each end is passed on by itself, since a client may close its half first."""

    async def outward() -> None:
        while data := await reader.read(_PIECE_BYTES):
            await socket.send_bytes(data)
        await socket.send_str(_END)

    async def inward() -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                break
            if message.type is aiohttp.WSMsgType.BINARY:
                writer.write(message.data)
                await writer.drain()
        with suppress(OSError):
            writer.write_eof()

    both = (asyncio.create_task(outward()), asyncio.create_task(inward()))
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    except (OSError, RuntimeError, aiohttp.ClientError):
        return
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        writer.close()


class Streams:
    """In the head's loop. One listening unix socket per run with a service, and the dials that are awaited."""

    def __init__(self) -> None:
        self._awaited: dict[str, tuple[str, asyncio.Future[tuple[Socket, asyncio.Event]]]] = {}
        self._doors: dict[Path, tuple[asyncio.AbstractServer, int]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def arrived(self, stream: str, hostname: str, socket: Socket) -> None:
        """A host has dialled; returns when the connection is over. A dial that nobody awaits ends at once."""
        wanted = self._awaited.get(stream)
        if wanted is None or wanted[0] != hostname or wanted[1].done():
            await socket.close()
            return
        over = asyncio.Event()
        wanted[1].set_result((socket, over))
        await over.wait()

    async def open(self, path: Path, hostname: str, ask: AskToDial) -> None:
        """Make ``path`` lead to the service by way of the host; nothing to do when it does."""
        held = self._doors.get(path)
        if held is not None and _inode(path) == held[1]:
            return

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await self._through(hostname, ask, reader, writer)

        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(handle, path=path, backlog=1024)
        path.chmod(0o600)
        self._doors[path] = (server, _inode(path))

    async def close(self, path: Path) -> None:
        held = self._doors.pop(path, None)
        if held is not None:
            held[0].close()
            if _inode(path) == held[1]:
                path.unlink(missing_ok=True)

    async def _through(
        self, hostname: str, ask: AskToDial, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Closed at once while the host is away or its service does not listen."""
        stream = secrets.token_urlsafe(16)
        coming: asyncio.Future[tuple[Socket, asyncio.Event]] = asyncio.get_running_loop().create_future()
        self._awaited[stream] = (hostname, coming)
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                await ask(stream)
                socket, over = await coming
        except Exception:
            writer.close()
            return
        finally:
            self._awaited.pop(stream, None)
        try:
            await carry(socket, reader, writer)
        finally:
            over.set()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1
