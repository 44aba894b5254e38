"""Files by their digest on the site's disk: checked as they come and once in each process's life, the least recently used dropped
first. A file that must be executable is kept beside the same bytes that must not be.

A file appears by a rename when it is whole; ``<digest>.part`` is one on its way, which a later try goes on with.
"""

import hashlib
import os
import shutil
from pathlib import Path

from zhisuan.base.text import Text
from zhisuan.base.trees import File
from zhisuan.site.backoff import log

CHUNK_BYTES = 1024 * 1024
EXECUTABLE = ".x"
PART = ".part"


class NoRoom(Exception):
    """The files do not fit; the text says what is needed and what there is."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class Pool:
    """Blocking; called in threads."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._bytes_max = bytes_max
        self._checked: set[str] = set()

    def path(self, file: File) -> Path:
        return self._folder / (file.sha256 + (EXECUTABLE if file.mode & 0o100 else ""))

    def part(self, sha256: str) -> Path:
        return self._folder / (sha256 + PART)

    def has(self, file: File) -> bool:
        """Whether the file is here as it should be; one that is damaged is removed, so that it is fetched again."""
        path = self.path(file)
        try:
            if path.stat().st_size == file.size_bytes and (path.name in self._checked or digest_of(path) == file.sha256):
                self._checked.add(path.name)
                os.utime(path)
                return True
        except FileNotFoundError:
            return False
        log.warning("The kept file %s is damaged; fetching it again.", path.name)
        self._checked.discard(path.name)
        path.unlink(missing_ok=True)
        return False

    def take(self, file: File, source: Path) -> None:
        """A whole file, checked by the caller, moves in."""
        source.chmod(0o555 if file.mode & 0o100 else 0o444)
        os.replace(source, self.path(file))
        self._checked.add(self.path(file).name)

    def twin(self, file: File) -> bool:
        """Make the file of the same bytes with the other mode, where those are here."""
        other = File(file.path, file.mode ^ 0o111, file.size_bytes, file.sha256)
        if not self.has(other):
            return False
        copy = self._folder / f"{self.path(file).name}.copy"
        shutil.copyfile(self.path(other), copy)
        self.take(file, copy)
        return True

    def make_room(self, needed: int) -> None:
        """Drop what no tree uses, the least recently used first, until ``needed`` bytes more fit. Raises NoRoom."""
        free = shutil.disk_usage(self._folder).free
        entries = [(p, p.stat()) for p in self._folder.iterdir() if p.suffix != PART]
        total = sum(s.st_size for _, s in entries)
        for path, status in sorted(entries, key=lambda e: e[1].st_mtime_ns):
            if total + needed <= self._bytes_max and needed <= free:
                return
            if status.st_nlink == 1:
                path.unlink()
                self._checked.discard(path.name)
                total -= status.st_size
                free += status.st_size
        if total + needed > self._bytes_max or needed > free:
            raise NoRoom(
                Text(
                    f"{needed} bytes are needed; the disk has {free} free and the volume cache may hold {self._bytes_max}, "
                    f"of which running work uses {total}",
                    f"需要 {needed} 字节；磁盘剩余 {free} 字节，数据卷缓存上限 {self._bytes_max} 字节，运行中的作业已占用 {total} 字节",
                )
            )


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
