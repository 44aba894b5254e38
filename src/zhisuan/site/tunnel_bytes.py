"""A stream of bytes between the tunnel and a service's unix socket, each way at its own pace and with its own end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Lane:
    """The tunnel's side: ``begin`` says that the service is connected, ``receive`` gives None at the end of what comes,
    ``send`` waits for room, ``finish`` says that nothing more goes out."""

    begin: Callable[[], Awaitable[None]]
    receive: Callable[[], Awaitable[bytes | None]]
    send: Callable[[bytes], Awaitable[None]]
    finish: Callable[[], Awaitable[None]]


async def carry(socket: Path, lane: Lane, *, connect_seconds: float) -> None:
    """One connection from its beginning until both ways have ended. Raises ``OSError``, ``TimeoutError``; cancelling it breaks
    the connection off."""
    async with asyncio.timeout(connect_seconds):
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=READ_BYTES)
    ended = False
    try:
        await lane.begin()
        ways = asyncio.create_task(_in(lane, writer)), asyncio.create_task(_out(lane, reader))
        try:
            await asyncio.gather(*ways)
            ended = True
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    finally:
        if ended:
            writer.close()
        else:
            writer.transport.abort()


async def _in(lane: Lane, writer: asyncio.StreamWriter) -> None:
    while (data := await lane.receive()) is not None:
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _out(lane: Lane, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(READ_BYTES):
        await lane.send(data)
    await lane.finish()
