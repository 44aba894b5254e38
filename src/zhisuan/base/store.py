"""The artefact store: bytes under their SHA-256, in a folder or any place fsspec reaches."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from zhisuan.base.errors import InvalidInput, NotFound, TooLarge
from zhisuan.base.text import Text

CHUNK_BYTES = 1024 * 1024


class Incoming:
    """An upload being received into a temporary file, hashed as it comes; ``discard`` is safe after ``Store.keep``."""

    def __init__(self, bytes_max: int) -> None:
        handle, name = tempfile.mkstemp(prefix="zhisuan-upload-")
        self._file = os.fdopen(handle, "wb")
        self.path = Path(name)
        self._hash = hashlib.sha256()
        self._bytes_max = bytes_max
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Raises ``TooLarge`` as soon as the limit is passed."""
        self.size_bytes += len(data)
        if self.size_bytes > self._bytes_max:
            raise TooLarge(
                Text(f"The upload is larger than {self._bytes_max} bytes.", f"上传超过 {self._bytes_max} 字节。"),
                Text("Send less, or ask the operator for a higher limit.", "请减小文件，或请运营方提高上限。"),
            )
        self._hash.update(data)
        self._file.write(data)

    def finish(self, expected_sha256: str | None) -> str:
        """The digest of what came. Raises ``InvalidInput`` where it is not the one announced."""
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
        self._file.close()
        self.path.unlink(missing_ok=True)


class Store:
    """Content-addressed files: keeping the same bytes twice keeps them once."""

    def __init__(self, address: str) -> None:
        self._filesystem: Any
        self._filesystem, self._root = fsspec.core.url_to_fs(address)

    def keep(self, incoming: Incoming, sha256: str) -> None:
        """Put a finished upload under its digest; a reader never sees half a file."""
        target = self._path(sha256)
        if not self._filesystem.exists(target):
            self._filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            partial = f"{target}.{os.getpid()}.{incoming.path.name}"
            self._filesystem.put_file(str(incoming.path), partial)
            self._filesystem.mv(partial, target)
        incoming.discard()

    def keep_file(self, path: Path) -> tuple[str, int]:
        """Keep a local file; its digest and size in bytes."""
        incoming = Incoming(bytes_max=2**62)
        try:
            with path.open("rb") as source:
                while data := source.read(CHUNK_BYTES):
                    incoming.write(data)
            digest = incoming.finish(None)
            self.keep(incoming, digest)
        finally:
            incoming.discard()
        return digest, incoming.size_bytes

    def open(self, sha256: str) -> BinaryIO:
        """Raises ``NotFound`` for bytes that are not here."""
        try:
            opened: BinaryIO = self._filesystem.open(self._path(sha256), "rb")
        except FileNotFoundError as error:
            raise NotFound.of(Text("stored file", "存储文件"), sha256) from error
        return opened

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The bytes in pieces. Raises ``NotFound`` at once, not at the first piece."""
        return _pieces(self.open(sha256))

    def _path(self, sha256: str) -> str:
        if len(sha256) != 64 or not all(c in "0123456789abcdef" for c in sha256):
            raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
        return f"{self._root}/{sha256[:2]}/{sha256}"


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while data := source.read(CHUNK_BYTES):
            yield data
