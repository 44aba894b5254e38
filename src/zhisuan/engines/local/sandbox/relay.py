"""Carries connections from the supervisor's unix socket to the work's TCP port in the sandbox's own network.

The listening socket was made outside and inherited, so the work can neither move nor replace it.
"""

import asyncio
import signal
import socket

_CHUNK_BYTES = 1 << 16


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on as they come, then the end of the stream (and only that: the other way may go on)."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return await asyncio.open_connection("::1", port)


async def _carry(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, both ways. When the port does not answer, the caller's connection is closed at once."""
    try:
        inner_reader, inner_writer = await _connect(port)
    except OSError:
        writer.close()
        return
    ways = [asyncio.ensure_future(_pump(reader, inner_writer)), asyncio.ensure_future(_pump(inner_reader, writer))]
    try:
        await asyncio.gather(*ways)
    except OSError:
        for way in ways:
            way.cancel()
        inner_writer.transport.abort()
        writer.transport.abort()
    finally:
        inner_writer.close()
        writer.close()


async def _serve(listener: socket.socket, port: int) -> None:
    # The event loop refers to tasks weakly, and a connection whose both sides wait for each other is referred to by
    # nothing else: without this set the collector may end it in the middle.
    carried: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        carried.add(task)
        try:
            await _carry(port, reader, writer)
        finally:
            carried.discard(task)

    server = await asyncio.start_unix_server(handle, sock=listener, backlog=4096)
    await server.serve_forever()


def serve(listen_fd: int, port: int) -> None:
    """Relay until killed. SIGTERM is for the work: requests in flight may still need the relay."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(False)
    asyncio.run(_serve(listener, port))
