"""Unpacks a tenant's tar.gz below one folder, and nowhere else.

Every path is walked from the folder's own descriptor, one name at a time, following no link; links are made last.
So neither a name nor a chain of links can lead out, whatever the archive says.
"""

import os
import tarfile
from typing import IO

_COPY_BYTES = 1 << 20


class ArchiveRefused(Exception):
    """The archive cannot be unpacked; the text says which entry and why."""


class Budget:
    """What may still be unpacked, over all archives of a run."""

    def __init__(self, bytes_max: int, entries_max: int) -> None:
        self.bytes_max = bytes_max
        self.entries_max = entries_max
        self._bytes = 0
        self._entries = 0

    def take(self, member: tarfile.TarInfo) -> None:
        self._entries += 1
        self._bytes += member.size if member.isreg() else 0
        if self._entries > self.entries_max:
            raise ArchiveRefused(f"the archives hold more than {self.entries_max} entries; pack fewer files")
        if self._bytes > self.bytes_max:
            raise ArchiveRefused(f"the archives unpack to more than {self.bytes_max} bytes; pack less")


def split_name(name: str) -> list[str]:
    """The parts of a relative path. Raises ArchiveRefused for an absolute path or one with ``..``."""
    if name.startswith("/"):
        raise ArchiveRefused(f"{name!r} is an absolute path; entries must lie below the archive's top")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveRefused(f"{name!r} leads out of the archive through '..'")
    return parts


def _check_symlink(parts: list[str], target: str) -> None:
    if target.startswith("/"):
        raise ArchiveRefused(f"link {'/'.join(parts)!r} points to the absolute path {target!r}; use a relative link")
    depth = len(parts) - 1
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise ArchiveRefused(f"link {'/'.join(parts)!r} points out of the archive, to {target!r}")


def open_folder(root_fd: int, parts: list[str]) -> int:
    """A descriptor of the folder ``parts`` below ``root_fd``, made if missing; the caller closes it."""
    current = os.dup(root_fd)
    for index, part in enumerate(parts):
        try:
            try:
                following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=current)
                following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
        except OSError as error:
            raise ArchiveRefused(f"{'/'.join(parts[: index + 1])!r} is not a folder: {error.strerror}") from error
        finally:
            os.close(current)
        current = following
    return current


def _discard(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _write_file(source: IO[bytes], member: tarfile.TarInfo, folder: int, name: str) -> None:
    _discard(name, folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, (member.mode & 0o755) | 0o600, dir_fd=folder)
    with open(fd, "wb") as target:
        left = member.size
        while left:
            chunk = source.read(min(left, _COPY_BYTES))
            if not chunk:
                raise ArchiveRefused(f"{member.name!r} ends before its size; the archive is cut short")
            target.write(chunk)
            left -= len(chunk)
        target.flush()
        os.utime(fd, ns=(int(member.mtime) * 10**9, int(member.mtime) * 10**9))


def _link_again(member: tarfile.TarInfo, root_fd: int, folder: int, name: str) -> None:
    target = split_name(member.linkname)
    if not target:
        raise ArchiveRefused(f"{member.name!r} is a hard link to the archive's top")
    target_folder = open_folder(root_fd, target[:-1])
    try:
        _discard(name, folder)
        os.link(target[-1], name, src_dir_fd=target_folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        raise ArchiveRefused(f"{member.name!r} is a hard link to {member.linkname!r}, not unpacked before it") from None
    finally:
        os.close(target_folder)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str], root_fd: int) -> None:
    folder = open_folder(root_fd, parts[:-1])
    try:
        if member.isreg():
            source = tar.extractfile(member)
            if source is None:
                raise ArchiveRefused(f"{member.name!r} cannot be read")
            _write_file(source, member, folder, parts[-1])
        else:
            _link_again(member, root_fd, folder, parts[-1])
    except IsADirectoryError:
        raise ArchiveRefused(f"{member.name!r} is a file here and a folder elsewhere in the archive") from None
    finally:
        os.close(folder)


def _make_symlinks(links: list[tuple[list[str], str]], root_fd: int) -> None:
    for parts, target in links:
        folder = open_folder(root_fd, parts[:-1])
        try:
            _discard(parts[-1], folder)
            os.symlink(target, parts[-1], dir_fd=folder)
        except IsADirectoryError:
            raise ArchiveRefused(f"{'/'.join(parts)!r} is a link here and a folder elsewhere in the archive") from None
        finally:
            os.close(folder)


def unpack(archive_fd: int, root_fd: int, budget: Budget) -> None:
    """Unpack the tar.gz read from ``archive_fd`` into the folder ``root_fd``. Takes over ``archive_fd``.

    Owners, special mode bits and extended attributes are dropped. Raises ArchiveRefused; what was unpacked until
    then stays.
    """
    links: list[tuple[list[str], str]] = []
    try:
        with open(archive_fd, "rb") as file, tarfile.open(fileobj=file, mode="r|gz") as tar:
            for member in tar:
                budget.take(member)
                parts = split_name(member.name)
                if member.isdir():
                    os.close(open_folder(root_fd, parts))
                elif not parts:
                    raise ArchiveRefused(f"{member.name!r} would replace the archive's top")
                elif member.issym():
                    _check_symlink(parts, member.linkname)
                    links.append((parts, member.linkname))
                elif member.isreg() or member.islnk():
                    _extract(tar, member, parts, root_fd)
                else:
                    raise ArchiveRefused(f"{member.name!r} is a device, pipe or socket; only files, folders and links")
                tar.members = []  # type: ignore[attr-defined]  # or it keeps every entry in memory
        _make_symlinks(links, root_fd)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise ArchiveRefused(f"the archive is damaged or does not fit: {error}") from error
