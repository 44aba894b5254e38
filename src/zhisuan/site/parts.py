"""Big files to the server in parts: after a cut the server says where to go on."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

from zhisuan.engines.artifacts import Artifact
from zhisuan.site.backoff import Backoff, Link, until_reached
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Unreachable
from zhisuan.site.record import Key
from zhisuan.wire.data import UploadAnswer, UploadRequest

PART_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


class Parts:
    """Raises Refused, and OSError where the file cannot be read any more."""

    def __init__(self, client: ServerClient, link: Link) -> None:
        self._client = client
        self._link = link

    async def send(
        self, key: Key, file: Artifact, sha256: str, size_bytes: int, backoff: Backoff, *, artefact: str | None = None
    ) -> None:
        """Until the server has the file; with ``artefact`` it becomes one under that path, else content for a volume."""
        request = UploadRequest(
            lease_id=key.lease_id, generation=key.generation, sha256=sha256, size_bytes=size_bytes, artefact=artefact
        )

        async def ask() -> UploadAnswer:
            return await self._client.ask("/uploads", request, UploadAnswer)

        state = await until_reached(self._link, backoff, ask)
        while not state.complete:
            try:
                state = await self._part(key, file, size_bytes, state, artefact)
            except Unreachable as error:
                # How far it came is asked for: what arrived before the cut is not sent again.
                self._link.failed(error.why)
                await backoff.pause()
                state = await until_reached(self._link, backoff, ask)
            else:
                backoff.reset()

    async def _part(
        self, key: Key, file: Artifact, size_bytes: int, state: UploadAnswer, artefact: str | None
    ) -> UploadAnswer:
        length = min(PART_BYTES, size_bytes - state.offset)
        where = f"/uploads/{quote(key.lease_id, safe='')}/{key.generation}/{quote(str(state.upload_id), safe='')}"
        params = {"offset": str(state.offset), **({"artefact": artefact} if artefact else {})}
        headers = {"content-type": "application/octet-stream", "content-length": str(length)}
        body = _bytes(file, state.offset, length)
        async with self._client.transfer("PUT", where, params=params, data=body, headers=headers) as response:
            return UploadAnswer.model_validate_json(await response.read())


async def _bytes(file: Artifact, start: int, length: int) -> AsyncIterator[bytes]:
    content = await asyncio.to_thread(file.open)
    with content:
        content.seek(start)
        while length > 0 and (chunk := await asyncio.to_thread(content.read, min(CHUNK_BYTES, length))):
            length -= len(chunk)
            yield chunk
