"""Reads a folder that a tenant wrote, following none of its links: a link could name any file of the host."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Artifact:
    """A regular file. ``path`` is relative, with ``/``; ``size_bytes`` as it was when listed."""

    root: Path
    path: str
    size_bytes: int

    def open(self) -> BinaryIO:
        """Raises OSError when the file is gone or a part of its path has become a link."""
        *folders, name = self.path.split("/")
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in folders:
            folder = _step(folder, part, os.O_DIRECTORY)
        fd = _step(folder, name, os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(f"{self.path} is no longer a regular file")
        return os.fdopen(fd, "rb")


def _step(folder: int, name: str, flags: int) -> int:
    """Open ``name`` in ``folder`` and close ``folder``."""
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    finally:
        os.close(folder)


_DEPTH_MAX = 64


def iter_artifacts(root: Path, entries_max: int = 100_000) -> Iterator[Artifact]:
    """Every regular file below ``root``, folders in sorted order; links, devices, pipes and sockets are passed over.

    A name that is not UTF-8 comes with surrogate escapes, as ``os.fsdecode`` gives it. Raises ValueError after
    ``entries_max`` entries, and for folders nested more than 64 deep.
    """
    seen = 0
    for folder, folders, files, fd in os.fwalk(root, follow_symlinks=False):
        folders.sort()
        if folders and len(Path(folder).relative_to(root).parts) >= _DEPTH_MAX:
            raise ValueError(f"{root} holds folders nested more than {_DEPTH_MAX} deep")
        for name in sorted(files):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield Artifact(root, os.path.relpath(os.path.join(folder, name), root), status.st_size)
        seen += len(folders) + len(files)
        if seen > entries_max:
            raise ValueError(f"{root} holds more than {entries_max} entries")
