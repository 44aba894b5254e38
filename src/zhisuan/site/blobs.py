"""Archives from the server, kept on disk by id: fetched once, checked, the least recently used dropped first.

A kept file is named ``<id>.<size>.<sha256>``: it appears by a rename when it is whole, and its name says what it must hold.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from weakref import WeakValueDictionary

from zhisuan.site.backoff import log
from zhisuan.site.client import DIGEST_HEADER, ServerClient
from zhisuan.site.errors import Refused, Unreachable

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHUNK_BYTES = 1024 * 1024


class BlobMissing(Exception):
    """The server does not have the archive, or not for this site."""


class BlobCache:
    """``in_use`` names the archives that must stay. Raises what the client raises, BlobMissing, and OSError of the disk."""

    def __init__(
        self, folder: Path, client: ServerClient, *, bytes_max: int, in_use: Callable[[], Collection[str]]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._client = client
        self._bytes_max = bytes_max
        self._in_use = in_use
        self._checked: set[str] = set()
        self._fetching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, blob_id: str) -> Path:
        """The archive's file; two callers at once fetch it once."""
        if not _ID.fullmatch(blob_id):
            raise BlobMissing(f"{blob_id!r} is not an archive's id")
        lock = self._fetching.setdefault(blob_id, asyncio.Lock())
        async with lock:
            kept = await asyncio.to_thread(self._kept, blob_id)
            if kept is None:
                kept = await self._fetch(blob_id)
                await asyncio.to_thread(self._make_room, frozenset(self._in_use()))
            self._checked.add(blob_id)
            os.utime(kept)
            return kept

    def _kept(self, blob_id: str) -> Path | None:
        """The kept file if it still is what its name says; its digest is computed once in this process's life."""
        for path in self._folder.glob(f"{blob_id}.*.*"):
            _, size, sha256 = path.name.split(".")
            whole = path.stat().st_size == int(size)
            if whole and (blob_id in self._checked or _sha256(path) == sha256):
                return path
            log.warning("The kept archive %s is damaged; fetching it again.", blob_id)
            path.unlink()
        return None

    async def _fetch(self, blob_id: str) -> Path:
        part = self._folder / f"{blob_id}.part"
        digest, size = hashlib.sha256(), 0
        try:
            async with self._client.blob(blob_id) as response:
                promised_size = response.content_length
                promised_sha256 = response.headers.get(DIGEST_HEADER)
                with part.open("wb") as file:
                    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                        await asyncio.to_thread(file.write, chunk)
                        digest.update(chunk)
                        size += len(chunk)
                    await asyncio.to_thread(_flush, file.fileno(), file.flush)
        except Refused as error:
            raise BlobMissing(f"The archive {blob_id} cannot be fetched: {error.detail}") from error
        if promised_size not in (None, size) or promised_sha256 not in (None, digest.hexdigest()):
            part.unlink(missing_ok=True)
            raise Unreachable(f"the archive {blob_id} came damaged ({size} of {promised_size} bytes)")
        whole = self._folder / f"{blob_id}.{size}.{digest.hexdigest()}"
        os.replace(part, whole)
        return whole

    def _make_room(self, needed: Collection[str]) -> None:
        files = sorted((p for p in self._folder.iterdir() if p.suffix != ".part"), key=lambda p: p.stat().st_mtime_ns)
        total = sum(p.stat().st_size for p in files)
        for path in files:
            if total <= self._bytes_max:
                return
            blob_id = path.name.split(".")[0]
            if blob_id not in needed:
                total -= path.stat().st_size
                path.unlink()


def _flush(handle: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(handle)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
