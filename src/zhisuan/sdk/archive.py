"""Folders as archives: the same folder always gives the same bytes, so it is stored once however often it is sent.

Entries are sorted; times, owners and names of owners are zero; modes are 755 for folders and what may be executed, 644 for the
rest. ``.git``, ``__pycache__`` and ``.venv`` stay behind, and what ``.zhisuanignore`` in the folder names: one pattern of
``fnmatch`` a line, matched against the path below the folder and against the name alone; with a ``/`` at its end it
means folders only; lines beginning with ``#`` are remarks.
"""

import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Self

from zhisuan.base.errors import FieldProblem, InvalidInput, TooLarge
from zhisuan.base.text import Text

IGNORE_FILE = ".zhisuanignore"
ALWAYS_LEFT_OUT = (".git", "__pycache__", ".venv")
ARCHIVE_BYTES_MAX = 256 * 1024**2
BIGGEST_NAMED = 5
MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Archive:
    """A finished tar.gz in a temporary file of its own, deleted on ``close``."""

    path: Path
    sha256: str
    size_bytes: int

    def open(self) -> IO[bytes]:
        return self.path.open("rb")

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One thing to pack: where it is, and its path inside the archive."""

    source: Path
    name: str
    status: os.stat_result


class _Sink:
    """Counts and digests what is written to a file; stops at the limit instead of filling the disk."""

    def __init__(self, file: IO[bytes], bytes_max: int) -> None:
        self._file = file
        self._bytes_max = bytes_max
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self._bytes_max:
            raise _OverLimit
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _OverLimit(Exception):
    pass


def pack_folder(folder: Path, *, bytes_max: int = ARCHIVE_BYTES_MAX) -> Archive:
    """The folder's content as tar.gz. Raises ``InvalidInput`` (no folder, something in it that cannot be packed) and
    ``TooLarge`` naming its biggest files."""
    if not folder.is_dir():
        raise _cannot_pack(folder, [], Text(f"{folder} is not a folder.", f"{folder} 不是文件夹。"))
    root = folder.resolve()
    return _pack(root, sorted(_entries(root), key=lambda e: e.name), bytes_max)


def pack_file(file: Path, name: str, *, bytes_max: int = ARCHIVE_BYTES_MAX) -> Archive:
    """One file as tar.gz, under ``name``; a link is followed. Raises ``InvalidInput``, ``TooLarge``."""
    found = file.resolve()
    if not found.is_file():
        raise _cannot_pack(file, [], Text(f"{file} is not a file.", f"{file} 不是文件。"))
    return _pack(found, [_Entry(found, name, found.stat())], bytes_max)


def _pack(root: Path, entries: list[_Entry], bytes_max: int) -> Archive:
    handle, name = tempfile.mkstemp(prefix="zhisuan-", suffix=".tar.gz")
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            sink = _Sink(file, bytes_max)
            # No file name and no time in the gzip header: they would change the bytes.
            with (
                gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0, compresslevel=6) as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for entry in entries:
                    _add(tar, entry)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, _OverLimit):
            raise _too_large(root, entries, bytes_max) from None
        if isinstance(error, OSError):
            raise _cannot_pack(root, [], Text(f"Reading failed: {error}.", f"读取失败：{error}。")) from error
        raise
    return Archive(path, sink.sha256, sink.size)


def _add(tar: tarfile.TarFile, entry: _Entry) -> None:
    mode = entry.status.st_mode
    info = tarfile.TarInfo(entry.name)
    info.mode = 0o755 if stat.S_ISDIR(mode) or mode & 0o100 else 0o644
    if stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.source)
        tar.addfile(info)
    else:
        with entry.source.open("rb") as file:
            info.size = entry.status.st_size
            tar.addfile(info, file)


def _entries(root: Path) -> Iterator[_Entry]:
    left_out = Ignored(root)
    refused: list[FieldProblem] = []

    def unreadable(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(root, onerror=unreadable):
        below = Path(here).relative_to(root)
        kept = []
        for name in folders + files:
            source, inside = Path(here, name), (below / name).as_posix()
            status = source.lstat()
            is_folder = stat.S_ISDIR(status.st_mode)
            if left_out(inside, is_folder):
                continue
            if is_folder:
                kept.append(name)
            problem = _why_not(root, source, status)
            if problem:
                refused.append(FieldProblem(inside, problem))
            else:
                yield _Entry(source, inside, status)
        folders[:] = kept
    if refused:
        raise _cannot_pack(root, refused, Text("It holds what cannot be sent.", "其中有无法上传的内容。"))


def _why_not(root: Path, source: Path, status: os.stat_result) -> Text | None:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(source)
        end = os.path.normpath(source.parent / target)
        if os.path.isabs(target) or not PurePosixPath(end).is_relative_to(root):
            return Text(f"is a link that leads out of the folder, to {target}", f"是指向文件夹之外（{target}）的链接")
    elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return Text("is neither a file, a folder nor a link", "不是文件、文件夹或链接")
    return None


class Ignored:
    """Whether a path stays behind."""

    def __init__(self, root: Path) -> None:
        self._patterns = [(name, False) for name in ALWAYS_LEFT_OUT] + list(_patterns(root / IGNORE_FILE))

    def __call__(self, inside: str, is_folder: bool) -> bool:
        name = inside.rpartition("/")[2]
        return any(
            fnmatchcase(inside, pattern) or fnmatchcase(name, pattern)
            for pattern, folders_only in self._patterns
            if is_folder or not folders_only
        )


def _patterns(file: Path) -> Iterator[tuple[str, bool]]:
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text("utf-8", errors="replace").splitlines(), 1):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if pattern.startswith("!"):
            raise InvalidInput(
                Text(f"{file}, line {number}: '!' is not understood here.", f"{file} 第 {number} 行：不支持 “!”。"),
                Text(
                    "Name only what to leave out; a pattern cannot bring a file back.",
                    "只需列出要排除的内容；不能用模式重新包含文件。",
                ),
                code="invalid_ignore_file",
            )
        yield pattern.rstrip("/").removeprefix("./").removeprefix("/"), pattern.endswith("/")


def _cannot_pack(folder: Path, problems: Iterable[FieldProblem], why: Text) -> InvalidInput:
    return InvalidInput(
        Text(f"{folder} cannot be sent. {why.en}", f"无法上传 {folder}。{why.zh}"),
        Text(
            f"Mend the path, or name what should stay behind in {IGNORE_FILE}.",
            f"请更正路径，或在 {IGNORE_FILE} 中列出无需上传的内容。",
        ),
        code="cannot_pack",
        problems=tuple(problems),
    )


def _too_large(root: Path, entries: list[_Entry], bytes_max: int) -> TooLarge:
    files = [e for e in entries if stat.S_ISREG(e.status.st_mode)]
    biggest = sorted(files, key=lambda e: (-e.status.st_size, e.name))[:BIGGEST_NAMED]
    limit = bytes_max // MIB if bytes_max >= MIB else bytes_max
    unit = "MiB" if bytes_max >= MIB else "bytes"
    return TooLarge(
        Text(
            f"{root} is more than {limit} {unit} even when packed; its biggest files are named below.",
            f"{root} 压缩后仍超过 {limit} {unit}；其中最大的文件如下。",
        ),
        Text(
            f"Name what the work does not need in {IGNORE_FILE}, or let the work fetch large data itself.",
            f"请在 {IGNORE_FILE} 中排除作业不需要的内容，或让作业自行获取大数据。",
        ),
        code="archive_too_large",
        problems=[FieldProblem(e.name, Text(f"{e.status.st_size} bytes", f"{e.status.st_size} 字节")) for e in biggest],
        extra={"bytes_max": bytes_max, "biggest": [{"path": e.name, "size_bytes": e.status.st_size} for e in biggest]},
    )
