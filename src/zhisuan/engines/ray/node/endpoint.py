"""Leads the agent to the service of the work: a TCP port of the node that answers only who knows the run's token.

The agent may be on another host than the node, where a unix socket does not reach. What comes in with the right token
goes to the unix socket of the local engine's own relay, which knows the way to the work's port.
"""

import asyncio
import hmac
import os
import signal
import socket

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths

TOKEN_SECONDS = 10.0
_CHUNK_BYTES = 1 << 16


def endpoint_path(paths: RunPaths) -> str:
    """Record of the address: ``host``, ``port``."""
    return f"{paths.folder}/endpoint"


class Endpoint:
    def __init__(self, paths: RunPaths, token: str, socket_path: str) -> None:
        self.paths = paths
        self.token = token
        self.socket_path = socket_path
        self.pid = 0

    @classmethod
    def make(cls, paths: RunPaths, token: str, folder: str) -> "Endpoint":
        """The socket's name is short and cannot be guessed: others may write to the node's folder for such things."""
        return cls(paths, token, f"{folder}/zs-{os.urandom(12).hex()}.sock")

    def open(self, host: str) -> None:
        """Listen, say where, and serve in a process of its own, which ends with the supervisor."""
        listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                asyncio.run(_serve(listener, self.token.encode(), self.socket_path, os.getppid()))
            finally:
                os._exit(1)
        port = listener.getsockname()[1]
        listener.close()
        records.write_atomic(endpoint_path(self.paths), [("host", host), ("port", str(port))])

    def close(self) -> None:
        """After the run: the supervisor's last sweep has ended the process."""
        for path in (endpoint_path(self.paths), self.socket_path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Carry bytes both ways until both have ended; each way may end by itself."""
    ways = [asyncio.ensure_future(_pump(one[0], other[1])), asyncio.ensure_future(_pump(other[0], one[1]))]
    try:
        await asyncio.gather(*ways)
    except OSError:
        for way in ways:
            way.cancel()
    finally:
        one[1].close()
        other[1].close()


async def _serve(listener: socket.socket, token: bytes, socket_path: str, parent: int) -> None:
    carried = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried.add(asyncio.current_task())
        try:
            said = await asyncio.wait_for(reader.readexactly(len(token)), TOKEN_SECONDS)
            if hmac.compare_digest(said, token):
                await join((reader, writer), await asyncio.open_unix_connection(socket_path))
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            carried.discard(asyncio.current_task())

    server = await asyncio.start_server(handle, sock=listener, backlog=1024)
    async with server:
        while os.getppid() == parent:
            await asyncio.sleep(1)
