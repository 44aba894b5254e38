"""Request bodies taken in as files: whole, or as far as they came before the connection broke."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from zhisuan.api.platform import Platform
from zhisuan.base.errors import ZhisuanError
from zhisuan.base.incoming import Hashed, Incoming
from zhisuan.base.store import CHUNK_BYTES

T = TypeVar("T")
PART_BYTES_MAX = 256 * 1024**2


async def received(
    request: Request, here: Platform, bytes_max: int, use: Callable[[Incoming], T], *, cut_off_too: bool = False,
    before: Hashed | None = None,
) -> T:  # fmt: skip
    """What ``use`` (in a thread) makes of the body. Where the sender went away and ``cut_off_too``, what came before is used as
    well: nobody hears the answer, but the next try goes on behind it. ``before``: what came of the file before this body."""
    incoming = await run_in_threadpool(here.store.incoming, bytes_max, before)
    writing = _Writing(incoming)
    try:
        try:
            async for data in request.stream():
                await writing.add(data)
        except ClientDisconnect:
            if cut_off_too:
                await run_in_threadpool(_keep_what_came, incoming, await writing.rest(), use)
            raise
        return await run_in_threadpool(_used, incoming, await writing.rest(), use)
    finally:
        await writing.stop()
        incoming.discard()


class _Writing:
    """A thread hashes and writes what came, a megabyte at a time, while the next is received."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._come: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None

    async def add(self, data: bytes) -> None:
        self._come.append(data)
        self._size += len(data)
        if self._size >= CHUNK_BYTES:
            data = await self.rest()
            self._come, self._size = [], 0
            self._task = asyncio.create_task(run_in_threadpool(self._incoming.write, data))

    async def _written(self) -> None:
        """Raises what the writing raised."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def rest(self) -> bytes:
        """What is not written yet, when all before it is."""
        await self._written()
        return b"".join(self._come)

    async def stop(self) -> None:
        """Nobody writes any more, whatever happened."""
        with contextlib.suppress(Exception):
            await self._written()


def _used(incoming: Incoming, rest: bytes, use: Callable[[Incoming], T]) -> T:
    incoming.write(rest)
    return use(incoming)


def _keep_what_came(incoming: Incoming, rest: bytes, use: Callable[[Incoming], T]) -> None:
    try:
        _used(incoming, rest, use)
    except ZhisuanError:
        return
