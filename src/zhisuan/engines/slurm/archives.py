"""Brings archives to the shared file system, and refuses those that would lead out of their folder before any job is made."""

import os
import shutil
import tarfile
from pathlib import Path

from zhisuan.engines.local.sandbox.unpack import ArchiveRefused, Budget, split_name


def bring(source: Path, target: Path, budget: Budget) -> None:
    """Copy ``source`` to ``target`` and look at each entry of the copy. Raises ArchiveRefused, OSError."""
    with open(source, "rb") as read, open(target, "xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
    examine(target, budget)


def examine(archive: Path, budget: Budget) -> None:
    """Raises ArchiveRefused naming the entry."""
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            for member in tar:
                budget.take(member)
                _check(member)
                tar.members = []  # type: ignore[attr-defined]  # or it keeps every entry in memory
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise ArchiveRefused(f"the archive is damaged: {error}") from error


def _check(member: tarfile.TarInfo) -> None:
    parts = split_name(member.name)
    if not parts and not member.isdir():
        raise ArchiveRefused(f"{member.name!r} would replace the archive's top")
    if not (member.isdir() or member.isreg() or member.issym() or member.islnk()):
        raise ArchiveRefused(f"{member.name!r} is a device, pipe or socket; only files, folders and links")
    if member.islnk() and not split_name(member.linkname):
        raise ArchiveRefused(f"{member.name!r} is a hard link to the archive's top")
    if member.issym() and _leads_out(parts, member.linkname):
        raise ArchiveRefused(f"link {member.name!r} points out of the archive, to {member.linkname!r}")


def _leads_out(parts: list[str], target: str) -> bool:
    folder = "/".join(parts[:-1])
    return target.startswith("/") or os.path.normpath(os.path.join(folder, target)).split("/")[0] == ".."
