"""What a completed run made of its own copies of volumes, brought back as new versions."""

import asyncio
import hashlib
import os

from zhisuan.base.trees import File
from zhisuan.engines.artifacts import Artifact, iter_artifacts
from zhisuan.engines.contract import Engine, ExitReason
from zhisuan.engines.errors import UnknownRun
from zhisuan.site.backoff import Backoff, Link, log, until_reached
from zhisuan.site.book import Held
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused
from zhisuan.site.parts import Parts
from zhisuan.site.volumes.cache import VolumeCache
from zhisuan.site.volumes.fetching import files_of
from zhisuan.wire.data import TreeFile, VolumeChange, VolumeCommitted, VolumeMount

_CHUNK_BYTES = 1024 * 1024


class Returning:
    """Every step may be repeated: what the server has is not sent again, and it commits once for each run."""

    def __init__(self, engine: Engine, client: ServerClient, cache: VolumeCache, link: Link) -> None:
        self._engine = engine
        self._client = client
        self._cache = cache
        self._link = link
        self._parts = Parts(client, link)

    async def deliver(self, held: Held, backoff: Backoff) -> list[str]:
        """Sentences about what could not be kept, or is kept aside."""
        await held.ended.wait()
        if held.record.reason != ExitReason.completed.value:
            return []
        notes = []
        for mount in held.record.offer.volumes:
            if mount.mode == "rw":
                notes += await self._return(held, mount, backoff)
        return notes

    async def _return(self, held: Held, mount: VolumeMount, backoff: Backoff) -> list[str]:
        try:
            folder = await asyncio.to_thread(self._engine.folder_dir, *held.key, mount.target)
            now = await asyncio.to_thread(lambda: [(a, _described(a)) for a in iter_artifacts(folder)])
            base = {f.path: f for f in files_of(await until_reached(self._link, backoff, lambda: self._cache.manifest(mount)))}
            changed = [(a, f) for a, f in now if base.get(f.path) != f]
            for artefact, file in {f.sha256: (a, f) for a, f in changed}.values():
                await self._parts.send(held.key, artefact, file.sha256, file.size_bytes, backoff)
            there = {f.path for _, f in now}
            change = VolumeChange(
                lease_id=held.key.lease_id, generation=held.key.generation, target=mount.target,
                put=tuple(TreeFile(path=f.path, mode=f.mode, size_bytes=f.size_bytes, sha256=f.sha256) for _, f in changed),
                remove=tuple(path for path in base if path not in there),
            )  # fmt: skip
            made = await until_reached(
                self._link, backoff, lambda: self._client.ask("/volumes/commit", change, VolumeCommitted)
            )
        except UnknownRun:
            return []
        except Refused as error:
            log.warning("The server does not take volume %s of %s: %s", mount.name, held.key, error.detail)
            return [] if error.unknown else [f"What was written to volume {mount.name} was not kept: {error.detail}"]
        except (OSError, ValueError) as error:
            return [f"What was written to volume {mount.name} was not kept: it cannot be read ({error})."]
        if made.side is None:
            return []
        return [
            f"Another version of volume {mount.name} came first; what was written is kept as version {made.number}, {made.side}."
        ]


def _described(artefact: Artifact) -> File:
    """Raises OSError, and ValueError for a name that is not UTF-8."""
    artefact.path.encode()
    digest, size = hashlib.sha256(), 0
    with artefact.open() as content:
        mode = 0o755 if os.fstat(content.fileno()).st_mode & 0o100 else 0o644
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return File(artefact.path, mode, size, digest.hexdigest())
