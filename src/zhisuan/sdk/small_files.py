"""Many small files in few calls. Of a call that breaks off what came whole is kept, and the next asks for the rest."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from zhisuan.base.errors import InvalidInput, Unavailable
from zhisuan.base.packs import FILES_MAX, head
from zhisuan.base.text import Text
from zhisuan.sdk.problems import not_reachable, unexpected
from zhisuan.sdk.progress import Tally
from zhisuan.sdk.transfer import CHUNK_BYTES, PART_TIMEOUT, Transfer, digest_of, unreadable
from zhisuan.sdk.transport import api_path

SEND_BYTES = 2 * 1024**2
"""Of one call; some are made at once, and progress is seen after each."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of this machine, there or to be there, and what it must hold."""

    place: Path
    sha256: str
    size_bytes: int
    mode: int


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self._data), CHUNK_BYTES):
            yield self._data[at : at + CHUNK_BYTES]

    def close(self) -> None:
        self._data = b""


class SmallFiles(Transfer):
    def missing_content(self, digests: list[str]) -> list[str]:
        """Which of these the organisation has not brought."""
        found: list[str] = []
        for at in range(0, len(digests), FILES_MAX):
            answer = self._post(dict, "content", "missing", json={"digests": digests[at : at + FILES_MAX]})
            found += self._shaped(list[str], answer.get("missing"), "POST /content/missing")
        return found

    def _send_small(self, files: Sequence[Placed], tally: Tally) -> None:
        """Bring the bytes of files that one pack holds. Raises ``InvalidInput`` where one is not what was announced any more."""
        left, failures = list(files), 0
        while left:
            try:
                self._send_pack(left)
                missing: set[str] = set()
            except Unavailable:
                self._pause(self._backoff(failures))
                missing = set(self.missing_content([f.sha256 for f in left]))
                failures = failures + 1 if len(missing) == len(left) else 0
                if failures > self.retries:
                    raise
            kept = [f for f in left if f.sha256 not in missing]
            tally.moved(sum(f.size_bytes for f in kept), len(kept))
            left = [f for f in left if f.sha256 in missing]

    def _send_pack(self, files: Sequence[Placed]) -> None:
        body = b"".join(part for f in files for part in (head(f.sha256, f.size_bytes), _content(f)))
        self._send(
            "POST", api_path("content", "pack"), body=lambda: _Body(body), timeout=PART_TIMEOUT, retries=0,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(len(body))},
        )  # fmt: skip

    def _fetch_small(self, where: str, wanted: dict[str, Any], files: Sequence[Placed], tally: Tally) -> None:
        """Bring files that one pack holds to their places; those that are there and equal stay as they are. ``wanted``: what to
        ask for beside their digests. Raises ``UnexpectedAnswer`` when bytes are not those announced."""
        left, failures = [], 0
        for file in files:
            if _is_there(file):
                file.place.chmod(file.mode)
                tally.moved(file.size_bytes, 1)
            else:
                left.append(file)
        while left:
            come = 0
            try:
                for data in self._pack(where, wanted, left):
                    _put(left[come], data, where)
                    tally.moved(len(data), 1)
                    come += 1
            except (httpx.TransportError, Unavailable) as error:
                failures = failures + 1 if not come else 0
                if failures > self.retries:
                    if isinstance(error, httpx.TransportError):
                        raise not_reachable(self.base_url, error) from error
                    raise
                self._pause(self._backoff(failures))
            left = left[come:]

    def _pack(self, where: str, wanted: dict[str, Any], files: Sequence[Placed]) -> Iterator[bytes]:
        """The bytes of these files, one after the other."""
        body = {**wanted, "digests": [f.sha256 for f in files]}
        headers = {"Accept-Encoding": "identity", "Idempotency-Key": self._new_key()}
        sizes = iter(f.size_bytes for f in files)
        size = next(sizes)
        with self._http.stream("POST", where, json=body, headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                raise self._error(answer)
            come = bytearray()
            for chunk in answer.iter_bytes():
                come += chunk
                at = 0
                while at + size <= len(come):
                    yield bytes(come[at : at + size])
                    at += size
                    if (following := next(sizes, None)) is None:
                        return
                    size = following
                del come[:at]
        if not size:
            # Nothing is left but empty files, of which no bytes come.
            yield b""
            yield from (b"" for _ in sizes)
            return
        raise httpx.RemoteProtocolError("the answer ended before its last file")


def _content(file: Placed) -> bytes:
    try:
        data = file.place.read_bytes()
    except OSError as error:
        raise unreadable(file.place, error) from error
    if len(data) != file.size_bytes:
        raise InvalidInput(
            Text(f"{file.place} was changed while it was being sent.", f"{file.place} 在上传过程中被修改。"),
            Text("Send it again when nothing writes to it.", "请在无人写入时重新上传。"),
            code="digest_mismatch",
        )
    return data


def _is_there(file: Placed) -> bool:
    return file.place.is_file() and file.place.stat().st_size == file.size_bytes and digest_of(file.place) == file.sha256


def _put(file: Placed, data: bytes, where: str) -> None:
    """The file appears at its place whole."""
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise unexpected(f"POST {where}", 200, f"SHA-256 is {found}, announced was {file.sha256}")
    part = file.place.with_name(f".{file.place.name[:150]}.{file.sha256[:16]}.part")
    try:
        part.write_bytes(data)
    except FileNotFoundError:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
    part.chmod(file.mode)
    os.replace(part, file.place)
