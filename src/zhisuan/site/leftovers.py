"""What an agent that was killed left half-made on the site's disk: at each start, and once in some hours while it runs.

| left | goes |
| --- | --- |
| trees, lists and copies half made | at the next start; nobody makes them any more |
| files and archives half received | a day after their last byte: until then the next try goes on behind it |
"""

import asyncio
import os
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.site.backoff import log

KEPT = timedelta(days=1)
EVERY_SECONDS = 6 * 3600.0
RECEIVED = ("volumes/files/*.part", "blobs/*.part")
MADE = ("volumes/files/*.copy", "volumes/trees/*.part", "volumes/trees/*.going", "volumes/manifests/*.part")


@dataclass(slots=True)
class Removed:
    count: int = 0
    size_bytes: int = 0


class Leftovers:
    """``folder`` is the agent's data folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def begin(self) -> None:
        """To be called before anything is fetched."""
        await asyncio.to_thread(self.remove, starting=True)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await asyncio.to_thread(self.remove)

    def remove(self, *, starting: bool = False) -> Removed:
        """What could not be removed is said, and tried again the next time."""
        old = (self._clock.now() - KEPT).timestamp()
        removed = Removed()
        for patterns, before in ((RECEIVED, old), (MADE, float("inf") if starting else old)):
            for path in (p for pattern in patterns for p in self._folder.glob(pattern)):
                try:
                    if path.stat().st_mtime < before:
                        removed.size_bytes += _remove(path)
                        removed.count += 1
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.warning("The leftover %s cannot be removed: %s", path, error)
        if removed.count:
            log.info("Cleared away %d half-made files and folders, %d bytes.", removed.count, removed.size_bytes)
        return removed


def _remove(path: Path) -> int:
    """The bytes that are free by this: a tree is links to files that stay."""
    if not path.is_dir():
        size = path.stat().st_size
        path.unlink()
        return size
    for at, _, _ in os.walk(path):
        os.chmod(at, 0o700)
    shutil.rmtree(path)
    return 0
