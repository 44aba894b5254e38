"""Bytes on their way into the store: a file beside it, hashed as it is written, locked for as long as somebody writes it.

The kernel lets go of the lock when the process dies, however it dies: what nobody has locked nobody will finish.
"""

import errno
import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from zhisuan.base.errors import InvalidInput, TooLarge, Unavailable, ZhisuanError
from zhisuan.base.text import Text

log = logging.getLogger(__name__)
PREFIX = "zhisuan-upload-"


@dataclass(frozen=True, slots=True)
class Hashed:
    """The digest of so many bytes, from the first byte of a file."""

    digest: "hashlib._Hash"
    size_bytes: int


class Incoming:
    """An upload being received; ``discard`` is safe after ``Store.keep``. ``before``: what came before it, where it is the next part
    of a file; then ``finish`` gives the digest of all up to here."""

    def __init__(self, bytes_max: int, folder: Path, before: Hashed | None = None) -> None:
        handle, name = tempfile.mkstemp(prefix=PREFIX, dir=folder)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file = os.fdopen(handle, "wb")
        self.path = Path(name)
        self._hash = hashlib.sha256() if before is None else before.digest.copy()
        self._hashed_before = 0 if before is None else before.size_bytes
        self._bytes_max = bytes_max
        self.size_bytes = 0

    def write(self, data: bytes, *, hashed: bool = False) -> None:
        """``hashed``: the digest knows these bytes. Raises ``TooLarge`` as soon as the limit is passed, ``OSError`` where the disk
        is full."""
        self._grow(len(data))
        if not hashed:
            self._hash.update(data)
        with reaching():
            self._file.write(data)

    def hashed(self, offset: int) -> Hashed | None:
        """The digest of the file that this is the part of from ``offset``, as far as it has come; None where what is before it was
        not hashed."""
        return Hashed(self._hash.copy(), offset + self.size_bytes) if self._hashed_before == offset else None

    def append(self, source: Path) -> None:
        """A file whose bytes the digest knows."""
        with reaching(), source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._grow(size)
            self._file.flush()
            while size > 0 and (moved := os.sendfile(self._file.fileno(), file.fileno(), None, size)):
                size -= moved

    def _grow(self, size: int) -> None:
        self.size_bytes += size
        if self.size_bytes > self._bytes_max:
            raise TooLarge(
                Text(f"The upload is larger than {self._bytes_max} bytes.", f"上传超过 {self._bytes_max} 字节。"),
                Text("Send less, or ask the operator for a higher limit.", "请减小文件，或请运营方提高上限。"),
            )

    def finish(self, expected_sha256: str | None) -> str:
        """The digest of what came. Raises ``InvalidInput`` where it is not the one announced."""
        with reaching():
            self._file.close()
        digest = self._hash.hexdigest()
        if expected_sha256 is not None and expected_sha256.lower() != digest:
            raise InvalidInput(
                Text("The upload does not match its announced SHA-256.", "上传内容与声明的 SHA-256 不一致。"),
                Text("Send it again.", "请重新上传。"),
                code="digest_mismatch",
            )
        return digest

    def discard(self) -> None:
        try:
            self._file.close()
        except OSError:
            log.warning("the temporary file %s could not be written to its end", self.path)
        self.path.unlink(missing_ok=True)


def remove_abandoned(folder: Path, before: datetime) -> tuple[int, int]:
    """Remove what was being received when a process died, last written before; how many files, and their bytes."""
    count = total = 0
    for path in folder.glob(PREFIX + "*"):
        with reaching():
            try:
                size = _removed(path, before)
            except FileNotFoundError:
                continue
        if size is not None:
            count, total = count + 1, total + size
    return count, total


def _removed(path: Path, before: datetime) -> int | None:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mtime >= before.timestamp():
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        path.unlink()
        return status.st_size


@contextmanager
def reaching() -> Iterator[None]:
    """What a store's client raises is of many kinds; to those who call it is one: the store is not there now. A full disk is
    another thing, and passes."""
    try:
        yield
    except (ZhisuanError, FileNotFoundError, ValueError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    log.error("the artefact store: %s: %s", type(error).__name__, error)
    return Unavailable(
        Text("The artefact store cannot be reached or takes nothing just now.", "对象存储当前无法访问或无法写入。"),
        Text(
            "Nothing was changed; try again later. The operator finds the cause with `zhisuan doctor`.",
            "未做任何更改，请稍后重试。运营方可用 zhisuan doctor 查明原因。",
        ),
        code="store_unavailable",
    )
