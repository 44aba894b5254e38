"""Brings files of a volume version to the pool: small ones many at once, big ones by ranges that go on after a break."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from zhisuan.base.packs import SMALL_BYTES_MAX, grouped
from zhisuan.base.trees import File, manifest_digest
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Unreachable
from zhisuan.site.volumes.pool import CHUNK_BYTES, Pool
from zhisuan.wire.data import Pack, VolumeManifest, VolumeMount

Moved = Callable[[int], None]


class Fetching:
    """Raises what the client raises, and OSError of the disk. ``moved`` is told of bytes as they come."""

    def __init__(self, client: ServerClient, pool: Pool) -> None:
        self._client = client
        self._pool = pool

    async def manifest(self, mount: VolumeMount) -> VolumeManifest:
        """Raises Unreachable where what came is not the tree that was promised."""
        async with self._client.transfer("GET", f"/volumes/{mount.version_id}/manifest") as response:
            body = await response.read()
        found = await asyncio.to_thread(VolumeManifest.model_validate_json, body)
        if await asyncio.to_thread(manifest_digest, files_of(found)) != mount.manifest_sha256:
            raise Unreachable(f"the list of files of volume {mount.name} came damaged")
        return found

    async def files(self, version_id: str, missing: Sequence[File], moved: Moved) -> None:
        small = [f for f in missing if f.size_bytes <= SMALL_BYTES_MAX]
        for few in grouped(small, lambda f: f.size_bytes):
            await self._pack(version_id, few, moved)
        for file in missing:
            if file.size_bytes > SMALL_BYTES_MAX:
                await self._big(version_id, file, moved)

    async def _pack(self, version_id: str, files: Sequence[File], moved: Moved) -> None:
        body = Pack(digests=tuple(f.sha256 for f in files)).model_dump_json().encode()
        headers = {"content-type": "application/json"}
        async with self._client.transfer("POST", f"/volumes/{version_id}/pack", data=body, headers=headers) as response:
            for some in grouped(files, lambda f: f.size_bytes, CHUNK_BYTES):
                data = await response.content.readexactly(sum(f.size_bytes for f in some))
                await asyncio.to_thread(self._keep, some, data)
                moved(len(data))

    def _keep(self, files: Sequence[File], together: bytes) -> None:
        at = 0
        for file in files:
            data = together[at : at + file.size_bytes]
            at += file.size_bytes
            if hashlib.sha256(data).hexdigest() != file.sha256:
                raise Unreachable(f"the file {file.path} came damaged")
            part = self._pool.part(file.sha256)
            part.write_bytes(data)
            self._pool.take(file, part)

    async def _big(self, version_id: str, file: File, moved: Moved) -> None:
        part = self._pool.part(file.sha256)
        digest, have = await asyncio.to_thread(_so_far, part, file.size_bytes)
        moved(have)
        headers = {"if-match": f'"{file.sha256}"', **({"range": f"bytes={have}-"} if have else {})}
        where = f"/volumes/{version_id}/content/{file.sha256}"
        if have < file.size_bytes:
            async with self._client.transfer("GET", where, headers=headers) as response:
                with part.open("r+b" if have else "wb") as written:
                    written.seek(have if response.status == 206 else 0)
                    if response.status != 206 and have:
                        written.truncate()
                        moved(-have)
                        digest, have = hashlib.sha256(), 0
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        await asyncio.to_thread(written.write, chunk)
                        digest.update(chunk)
                        have += len(chunk)
                        moved(len(chunk))
                    await asyncio.to_thread(os.fsync, written.fileno())
        if (have, digest.hexdigest()) != (file.size_bytes, file.sha256):
            part.unlink(missing_ok=True)
            raise Unreachable(f"the file {file.path} came damaged")
        await asyncio.to_thread(self._pool.take, file, part)


def files_of(manifest: VolumeManifest) -> list[File]:
    return [File(f.path, f.mode, f.size_bytes, f.sha256) for f in manifest.files]


def _so_far(part: Path, size: int) -> "tuple[hashlib._Hash, int]":
    digest, have = hashlib.sha256(), 0
    if part.is_file() and part.stat().st_size <= size:
        with part.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                have += len(chunk)
    return digest, have
