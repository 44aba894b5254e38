"""The artefact store: bytes under their SHA-256, in a folder or any place fsspec reaches.

In a folder a file appears by a rename when it is whole. An object store makes an object appear whole by itself, so nothing
is renamed there. Parts of files on their way lie below ``staging``, one folder for each upload.
"""

import errno
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from zhisuan.base.errors import InvalidInput, NotFound, TooLarge, Unavailable, ZhisuanError
from zhisuan.base.text import Text

log = logging.getLogger(__name__)
CHUNK_BYTES = 1024 * 1024
STAGING = "staging"


class Incoming:
    """An upload being received into a temporary file, hashed as it comes; ``discard`` is safe after ``Store.keep``.
    ``folder``: where the file lies meanwhile."""

    def __init__(self, bytes_max: int, folder: Path | None = None) -> None:
        handle, name = tempfile.mkstemp(prefix="zhisuan-upload-", dir=folder)
        self._file = os.fdopen(handle, "wb")
        self.path = Path(name)
        self._hash = hashlib.sha256()
        self._bytes_max = bytes_max
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Raises ``TooLarge`` as soon as the limit is passed, ``OSError`` where the disk is full."""
        self.size_bytes += len(data)
        if self.size_bytes > self._bytes_max:
            raise TooLarge(
                Text(f"The upload is larger than {self._bytes_max} bytes.", f"上传超过 {self._bytes_max} 字节。"),
                Text("Send less, or ask the operator for a higher limit.", "请减小文件，或请运营方提高上限。"),
            )
        self._hash.update(data)
        with _reaching():
            self._file.write(data)

    def finish(self, expected_sha256: str | None) -> str:
        """The digest of what came. Raises ``InvalidInput`` where it is not the one announced."""
        with _reaching():
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


class Store:
    """Content-addressed files: keeping the same bytes twice keeps them once. ``options`` are those of the fsspec file system.

    Every method raises ``Unavailable`` where the store cannot be reached or takes nothing."""

    def __init__(self, address: str, options: Mapping[str, Any] | None = None) -> None:
        self._filesystem: Any
        self._filesystem, self._root = fsspec.core.url_to_fs(address, **(options or {}))
        self._local = isinstance(self._filesystem, LocalFileSystem)

    def incoming(self, bytes_max: int) -> Incoming:
        """A place to receive an upload in: beside the store where that is a folder, so that keeping it moves no bytes."""
        if not self._local:
            return Incoming(bytes_max)
        folder = Path(self._root) / STAGING
        with _reaching():
            folder.mkdir(parents=True, exist_ok=True)
            return Incoming(bytes_max, folder)

    def keep(self, incoming: Incoming, sha256: str) -> None:
        """Put a finished upload under its digest; a reader never sees half a file."""
        target = self._path(sha256)
        with _reaching():
            if not self._filesystem.exists(target):
                self._put(incoming.path, target)
        incoming.discard()

    def _put(self, source: Path, target: str) -> None:
        if not self._local:
            self._filesystem.put_file(str(source), target)
            return
        os.makedirs(target.rpartition("/")[0], exist_ok=True)
        try:
            os.replace(source, target)
        except OSError:
            # Another file system: copied beside its place first.
            partial = f"{target}.{os.getpid()}.{source.name}"
            try:
                self._filesystem.put_file(str(source), partial)
                os.replace(partial, target)
            except BaseException:
                # Half a file must not keep a full disk full.
                self._remove(partial)
                raise

    def keep_file(self, path: Path) -> tuple[str, int]:
        """Keep a local file; its digest and size in bytes."""
        incoming = self.incoming(bytes_max=2**62)
        try:
            with path.open("rb") as source:
                while data := source.read(CHUNK_BYTES):
                    incoming.write(data)
            digest = incoming.finish(None)
            self.keep(incoming, digest)
        finally:
            incoming.discard()
        return digest, incoming.size_bytes

    def has(self, sha256: str) -> bool:
        with _reaching():
            return bool(self._filesystem.exists(self._path(sha256)))

    def open(self, sha256: str) -> BinaryIO:
        """Raises ``NotFound`` for bytes that are not here."""
        try:
            with _reaching():
                opened: BinaryIO = self._filesystem.open(self._path(sha256), "rb")
        except FileNotFoundError as error:
            raise NotFound.of(Text("stored file", "存储文件"), sha256) from error
        return opened

    def chunks(self, sha256: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` in pieces. Raises ``NotFound`` at once, not at the first piece."""
        source = self.open(sha256)
        if start:
            source.seek(start)
        return _pieces(source, 2**62 if length is None else length)

    def remove(self, sha256: str) -> None:
        """Nothing to do where the bytes are not there."""
        self._remove(self._path(sha256))

    def put_piece(self, upload_id: str, name: str, source: Path) -> None:
        """A part of a file on its way."""
        with _reaching():
            self._put(source, f"{self._root}/{STAGING}/{upload_id}/{name}")

    def join(self, upload_id: str, names: Sequence[str], incoming: Incoming) -> None:
        """The parts, in order, into ``incoming``."""
        for name in names:
            with _reaching():
                source: BinaryIO = self._filesystem.open(f"{self._root}/{STAGING}/{upload_id}/{name}", "rb")
            for data in _pieces(source, 2**62):
                incoming.write(data)

    def drop_pieces(self, upload_id: str) -> None:
        """All parts of one upload."""
        folder = f"{self._root}/{STAGING}/{upload_id}"
        with _reaching():
            if self._filesystem.exists(folder):
                self._filesystem.rm(folder, recursive=True)

    def uploads(self) -> list[str]:
        """Uploads that parts lie here of."""
        with _reaching():
            try:
                found = self._filesystem.ls(f"{self._root}/{STAGING}", detail=True)
            except FileNotFoundError:
                return []
        return sorted(str(f["name"]).rstrip("/").rpartition("/")[2] for f in found if f["type"] == "directory")

    def prove(self) -> None:
        """Write, read and remove a small file. Raises what these raise."""
        name = f"{self._root}/{STAGING}/proof-{os.getpid()}"
        if self._local:
            os.makedirs(f"{self._root}/{STAGING}", exist_ok=True)
        self._filesystem.pipe_file(name, b"zhisuan")
        if self._filesystem.cat_file(name) != b"zhisuan":
            raise OSError("other bytes came back than were written")
        self._filesystem.rm_file(name)

    def _remove(self, path: str) -> None:
        with _reaching():
            try:
                self._filesystem.rm_file(path)
            except FileNotFoundError:
                return

    def _path(self, sha256: str) -> str:
        if len(sha256) != 64 or not all(c in "0123456789abcdef" for c in sha256):
            raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
        return f"{self._root}/{sha256[:2]}/{sha256}"


@contextmanager
def _reaching() -> Iterator[None]:
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


def _pieces(source: BinaryIO, length: int) -> Iterator[bytes]:
    with source:
        while length > 0:
            with _reaching():
                data = source.read(min(CHUNK_BYTES, length))
            if not data:
                return
            length -= len(data)
            yield data
