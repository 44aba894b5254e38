"""The artefact store: bytes under their SHA-256, in a folder or any place fsspec reaches.

In a folder a file appears by a rename when it is whole. An object store makes an object appear whole by itself, so nothing
is renamed there. Parts of files on their way lie below ``staging``, one folder for each upload.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from zhisuan.base.errors import NotFound
from zhisuan.base.incoming import PREFIX, Hashed, Incoming, reaching, remove_abandoned
from zhisuan.base.text import Text

CHUNK_BYTES = 1024 * 1024
STAGING = "staging"
ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that are kept, and since when."""

    sha256: str
    size_bytes: int
    since: datetime


class Store:
    """Content-addressed files: keeping the same bytes twice keeps them once. ``options`` are those of the fsspec file system;
    ``spool`` is where uploads lie while they are received by a store that is no folder itself.

    Every method raises ``Unavailable`` where the store cannot be reached or takes nothing."""

    def __init__(self, address: str, options: Mapping[str, Any] | None = None, spool: Path | None = None) -> None:
        self._filesystem: Any
        self._filesystem, self._root = fsspec.core.url_to_fs(address, **(options or {}))
        self._local = isinstance(self._filesystem, LocalFileSystem)
        self.spool = Path(self._root) / STAGING if self._local else spool or Path(tempfile.gettempdir()) / f"zhisuan-{os.getuid()}"

    def incoming(self, bytes_max: int, before: Hashed | None = None) -> Incoming:
        """A place to receive an upload in: beside the store where that is a folder, so that keeping it moves no bytes."""
        with reaching():
            self.spool.mkdir(parents=True, exist_ok=True)
            return Incoming(bytes_max, self.spool, before)

    def keep(self, incoming: Incoming, sha256: str) -> None:
        """Put a finished upload under its digest; a reader never sees half a file."""
        target = self._path(sha256)
        with reaching():
            if not self._filesystem.exists(target):
                self._put(incoming.path, target)
        incoming.discard()

    def _put(self, source: Path, target: str) -> None:
        if not self._local:
            self._filesystem.put_file(str(source), target)
            return
        try:
            os.replace(source, target)
        except FileNotFoundError:
            os.makedirs(target.rpartition("/")[0], exist_ok=True)
            os.replace(source, target)

    def keep_small(self, files: Mapping[str, bytes]) -> None:
        """Keep several files at once, given by their digests, which the caller has compared."""
        with reaching():
            if not self._local:
                # Also what is there already: that asks the service once for each, not twice.
                self._filesystem.pipe({self._path(sha256): data for sha256, data in files.items()})
                return
            self.spool.mkdir(parents=True, exist_ok=True)
            for sha256, data in files.items():
                if not os.path.exists(target := self._path(sha256)):
                    self._keep_bytes(data, target)

    def _keep_bytes(self, data: bytes, target: str) -> None:
        handle, name = tempfile.mkstemp(prefix=PREFIX, dir=self.spool)
        try:
            with open(handle, "wb") as file:
                file.write(data)
            self._put(Path(name), target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
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
        with reaching():
            return bool(self._filesystem.exists(self._path(sha256)))

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Which of these are not here; a service is asked for some at once."""
        if self._local:
            return [d for d in digests if not os.path.exists(self._path(d))]
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            return [d for d, there in zip(digests, pool.map(self.has, digests), strict=True) if not there]

    def read_small(self, digests: Sequence[str]) -> bytes:
        """Several files, one behind the other. Raises ``NotFound``."""
        try:
            with reaching():
                if self._local:
                    return b"".join(Path(self._path(d)).read_bytes() for d in digests)
                paths = [self._path(d) for d in digests]
                found = self._filesystem.cat(list(dict.fromkeys(paths))) if len(set(paths)) > 1 else {paths[0]: self._filesystem.cat_file(paths[0])}
                return b"".join(found[path] for path in paths)
        except FileNotFoundError as error:
            raise NotFound.of(Text("stored file", "存储文件"), str(error)) from error

    def open(self, sha256: str) -> BinaryIO:
        """Raises ``NotFound`` for bytes that are not here."""
        try:
            with reaching():
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

    def remove(self, sha256: str) -> int | None:
        """How many bytes; None where they were not there."""
        path = self._path(sha256)
        with reaching():
            try:
                size = int(self._filesystem.size(path))
                self._filesystem.rm_file(path)
            except FileNotFoundError:
                return None
        return size

    def listing(self, prefix: str) -> Iterator[Stored]:
        """What is kept whose digest begins with these two hexadecimal digits."""
        with reaching():
            try:
                found = self._filesystem.ls(f"{self._root}/{prefix}", detail=True)
            except FileNotFoundError:
                return
        for each in found:
            name = str(each["name"]).rpartition("/")[2]
            if len(name) == 64:
                changed = each["mtime"] if self._local else each["LastModified"].timestamp()
                yield Stored(name, int(each["size"]), datetime.fromtimestamp(changed, UTC))

    def remove_abandoned(self, before: datetime) -> tuple[int, int]:
        """What was being received when a process died, last written before; how many files, and their bytes."""
        count, size = remove_abandoned(self.spool, before)
        return count + self._abort_unfinished(before), size

    def _abort_unfinished(self, before: datetime) -> int:
        """Big objects that a service received in parts, when the process that sent them died; it keeps such parts for ever."""
        if self._local or not hasattr(self._filesystem, "list_multipart_uploads"):
            return 0
        bucket, _, below = self._root.partition("/")
        count = 0
        with reaching():
            for each in self._filesystem.list_multipart_uploads(bucket) or ():
                if each["Key"].startswith(below) and each["Initiated"] < before:
                    self._filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
                    count += 1
        return count

    def put_piece(self, upload_id: str, name: str, source: Path) -> None:
        """A part of a file on its way."""
        with reaching():
            self._put(source, f"{self._root}/{STAGING}/{upload_id}/{name}")

    def join(self, upload_id: str, names: Sequence[str], incoming: Incoming, *, hashed: bool) -> None:
        """The parts, in order, into ``incoming``; where the digest of them all is known already (``hashed``), the kernel moves the
        bytes if it can."""
        for name in names:
            place = f"{self._root}/{STAGING}/{upload_id}/{name}"
            if hashed and self._local:
                with reaching():
                    incoming.append(Path(place))
                continue
            with reaching():
                source: BinaryIO = self._filesystem.open(place, "rb")
            for data in _pieces(source, 2**62):
                incoming.write(data, hashed=hashed)

    def drop_pieces(self, upload_id: str) -> None:
        """All parts of one upload."""
        folder = f"{self._root}/{STAGING}/{upload_id}"
        with reaching():
            if self._filesystem.exists(folder):
                self._filesystem.rm(folder, recursive=True)

    def uploads(self) -> list[str]:
        """Uploads that parts lie here of."""
        with reaching():
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

    def _path(self, sha256: str) -> str:
        if len(sha256) != 64 or not all(c in "0123456789abcdef" for c in sha256):
            raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
        return f"{self._root}/{sha256[:2]}/{sha256}"


def _pieces(source: BinaryIO, length: int) -> Iterator[bytes]:
    with source:
        while length > 0:
            with reaching():
                data = source.read(min(CHUNK_BYTES, length))
            if not data:
                return
            length -= len(data)
            yield data
