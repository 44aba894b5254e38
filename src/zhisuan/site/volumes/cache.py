"""Trees of volume versions, ready to be shown to runs: hard links into the pool, one tree for each version.

A version belongs to one organisation, so trees are never shared between organisations; equal files are, once the server has
named them in a version that a lease of this site has.
"""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import ValidationError

from zhisuan.base.trees import File
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused
from zhisuan.site.volumes.fetching import Fetching, files_of
from zhisuan.site.volumes.pool import NoRoom, Pool
from zhisuan.wire.data import VolumeManifest, VolumeMount

Tell = Callable[[int, int], None]
"""Bytes here, bytes in all."""


class VolumeUnusable(Exception):
    """The volume cannot be had here; the text says why."""


class VolumeCache:
    """``in_use`` names the versions whose trees must stay. Raises VolumeUnusable, and Unreachable to be tried again."""

    def __init__(
        self, folder: Path, client: ServerClient, *, bytes_max: int, in_use: Callable[[], Collection[str]]
    ) -> None:
        self._trees = folder / "trees"
        self._manifests = folder / "manifests"
        for each in (self._trees, self._manifests):
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o700)
        self._pool = Pool(folder / "files", bytes_max)
        self._fetching = Fetching(client, self._pool)
        self._in_use = in_use
        self._ready: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, mount: VolumeMount, tell: Tell) -> Path:
        """The folder to show; two callers at once fetch it once."""
        lock = self._locks.setdefault(mount.version_id, asyncio.Lock())
        try:
            async with lock:
                tree = await self._tree(mount, tell)
        except Refused as error:
            raise VolumeUnusable(f"The volume {mount.name} cannot be fetched: {error.detail}") from error
        except NoRoom as error:
            raise VolumeUnusable(f"There is no room at the site for the volume {mount.name}: {error}.") from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise VolumeUnusable(
                f"The disk of the site is full while fetching the volume {mount.name} ({mount.size_bytes} bytes)."
            ) from error
        folder = tree / mount.path if mount.path else tree
        if not folder.is_dir():
            raise VolumeUnusable(f"The volume {mount.name} has no folder {mount.path}.")
        return folder

    async def manifest(self, mount: VolumeMount) -> VolumeManifest:
        """The list of a version's files, from the disk where it is here."""
        kept = self._manifests / mount.version_id
        try:
            return await asyncio.to_thread(lambda: VolumeManifest.model_validate_json(kept.read_bytes()))
        except (FileNotFoundError, ValidationError):
            found = await self._fetching.manifest(mount)
        part = kept.with_suffix(".part")
        await asyncio.to_thread(part.write_text, found.model_dump_json())
        os.replace(part, kept)
        return found

    async def _tree(self, mount: VolumeMount, tell: Tell) -> Path:
        tree = self._trees / mount.version_id
        if mount.version_id in self._ready and tree.is_dir():
            os.utime(tree)
            return tree
        files = files_of(await self.manifest(mount))
        missing = await asyncio.to_thread(lambda: [f for f in _each_once(files) if not self._pool.has(f)])
        if missing:
            await self._fetch(mount, missing, tell)
        if missing or not tree.is_dir():
            await asyncio.to_thread(self._build, tree, files)
        self._ready.add(mount.version_id)
        return tree

    async def _fetch(self, mount: VolumeMount, missing: list[File], tell: Tell) -> None:
        """One version at a time, so that two that share files or room do not fetch over each other."""
        here = mount.size_bytes - sum(f.size_bytes for f in missing)
        tell(here, mount.size_bytes)

        def moved(count: int) -> None:
            nonlocal here
            here += count
            tell(min(here, mount.size_bytes), mount.size_bytes)

        async with self._one_at_a_time:
            still = await asyncio.to_thread(lambda: [f for f in missing if not (self._pool.has(f) or self._pool.twin(f))])
            await asyncio.to_thread(self._make_room, sum(f.size_bytes for f in still), mount.version_id)
            first = {f.sha256: f for f in still}
            await self._fetching.files(mount.version_id, list(first.values()), moved)
            await asyncio.to_thread(lambda: [self._pool.has(f) or self._pool.twin(f) for f in still])
            tell(mount.size_bytes, mount.size_bytes)

    def _make_room(self, needed: int, version_id: str) -> None:
        """Trees that no run has go first, the least recently used before others; then files that no tree has."""
        keep = {*self._in_use(), version_id}
        trees = sorted((t for t in self._trees.iterdir() if t.name not in keep), key=lambda t: t.stat().st_mtime_ns)
        for tree in [*trees, None]:
            try:
                self._pool.make_room(needed)
            except NoRoom:
                if tree is None:
                    raise
                self._drop(tree)
                (self._manifests / tree.name).unlink(missing_ok=True)
            else:
                return

    def _drop(self, tree: Path) -> None:
        self._ready.discard(tree.name)
        going = tree.with_name(tree.name + ".going")
        os.replace(tree, going)
        for at, _, _ in os.walk(going):
            os.chmod(at, 0o700)
        shutil.rmtree(going)

    def _build(self, tree: Path, files: list[File]) -> None:
        """The tree appears by a rename when it is whole; one that is there is put aside first."""
        part = tree.with_name(tree.name + ".part")
        for old in (part, tree):
            if old.exists():
                self._drop(old)
        part.mkdir(mode=0o755)
        for file in files:
            place = part / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._pool.path(file), place)
        os.replace(part, tree)


def _each_once(files: list[File]) -> list[File]:
    return list({(f.sha256, f.mode): f for f in files}.values())
