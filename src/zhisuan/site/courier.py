"""What one lease leaves, delivered in order: its log as it grows, its artefacts and volumes, its checkpoint, then the note that
all is there."""

import asyncio
from base64 import b64encode
from collections.abc import Callable

from zhisuan.engines.contract import Engine
from zhisuan.engines.errors import EngineError, UnknownRun
from zhisuan.site.artefacts import Artefacts
from zhisuan.site.backoff import Backoff, Link, log, until_reached
from zhisuan.site.book import Book, Held
from zhisuan.site.checkpoints import Checkpoints
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import AgentStop, Refused
from zhisuan.site.record import Step
from zhisuan.site.volumes.returning import Returning
from zhisuan.wire.site import LogChunk

LOG_SECONDS = 0.15
# In base64 this stays below the message's limit of 2,000,000 characters.
LOG_CHUNK_BYTES = 1024 * 1024


class Courier:
    """Every delivery may be repeated: the server says which log offset it wants next and knows a file by its digest."""

    def __init__(
        self,
        engine: Engine,
        client: ServerClient,
        book: Book,
        artefacts: Artefacts,
        link: Link,
        new_backoff: Callable[[], Backoff],
        checkpoints: Checkpoints,
        returning: Returning,
    ) -> None:
        self._engine = engine
        self._client = client
        self._book = book
        self._artefacts = artefacts
        self._link = link
        self._new_backoff = new_backoff
        self._checkpoints = checkpoints
        self._returning = returning

    async def deliver(self, held: Held) -> None:
        """Return when all is delivered, or the server has said that it does not want it."""
        backoff = self._new_backoff()
        met: str | None = None
        while True:
            try:
                notes = await self._log(held, backoff)
                notes += await self._artefacts.deliver(held, backoff)
                notes += await self._returning.deliver(held, backoff)
                notes += await self._checkpoints.deliver(held, backoff)
            except AgentStop:
                raise
            except Exception as error:
                # One lease that cannot be delivered must not take the others down; the same error is said once.
                if met != repr(error):
                    met = repr(error)
                    log.exception("The delivery of %s met an error; trying again.", held.key)
                await backoff.pause()
            else:
                break
        self._book.apply(held, Step(held.record.as_delivered(tuple(notes))))

    async def _log(self, held: Held, backoff: Backoff) -> list[str]:
        """Ship the output until the run has ended and the server has its last byte."""
        offset = 0
        while True:
            ended = held.ended.is_set()
            try:
                data = await asyncio.to_thread(self._engine.read_log, *held.key, offset, LOG_CHUNK_BYTES)
            except UnknownRun:
                await held.ended.wait()
                return []
            except EngineError as error:
                log.error("The log of %s cannot be read: %s", held.key, error)
                data = b""
            if data:
                try:
                    wanted = await self._send(held, offset, data, backoff)
                except Refused as error:
                    return await self._refused(held, error, offset)
                if wanted <= offset:
                    # The server has lost bytes, or keeps none: go where it points, but not in a hurry.
                    await backoff.pause()
                offset = wanted
            elif ended:
                return []
            else:
                await self._pause(held)

    async def _send(self, held: Held, offset: int, data: bytes, backoff: Backoff) -> int:
        """Where the server wants to go on."""
        chunk = LogChunk(
            lease_id=held.key.lease_id,
            generation=held.key.generation,
            offset=offset,
            data=b64encode(data).decode(),
        )
        answer = await until_reached(self._link, backoff, lambda: self._client.send_log(chunk))
        return answer.next_offset

    async def _refused(self, held: Held, error: Refused, offset: int) -> list[str]:
        log.warning("The server does not take the log of %s from byte %d on: %s", held.key, offset, error.detail)
        await held.ended.wait()
        return [] if error.unknown else [f"Output from byte {offset} on was not kept: {error.detail}"]

    async def _pause(self, held: Held) -> None:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                await held.ended.wait()
        except TimeoutError:
            return
