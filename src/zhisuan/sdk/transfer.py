"""Moving files so that a break costs little: parts with the offset asked from the platform one way, ranges the other way.

Both ends compare SHA-256. A file appears at its place whole or not at all; what has come of it lies beside it until then, and
the next try goes on behind it.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from zhisuan.base.errors import InvalidInput, Unavailable, ZhisuanError
from zhisuan.base.text import Text
from zhisuan.sdk.problems import not_reachable, unexpected
from zhisuan.sdk.progress import Interrupted, Tally
from zhisuan.sdk.transport import Transport, api_path
from zhisuan.sdk.types.volumes import UploadState

AT_ONCE = 6
WHOLE_BYTES_MAX = 8 * 1024**2
PART_BYTES, PART_BYTES_MIN = 256 * 1024**2, 4 * 1024**2
CHUNK_BYTES = 1024**2
# The last part is answered when the whole file has been checked and kept.
PART_TIMEOUT = httpx.Timeout(30.0, read=900.0, write=120.0)


class _Part:
    """Some bytes of a file as a body of known length; ``sent`` is told of those that are on their way."""

    def __init__(self, path: Path, start: int, length: int, sent: Callable[[int], None]) -> None:
        self._file = path.open("rb")
        self._file.seek(start)
        self._left = length
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0 and (data := self._file.read(min(CHUNK_BYTES, self._left))):
            self._left -= len(data)
            yield data
            self._sent(len(data))

    def close(self) -> None:
        self._file.close()


class Transfer(Transport):
    """The moving of single files, for what is built on it."""

    def send_file(self, path: Path, sha256: str, size: int, tally: Tally | None = None) -> None:
        """Bring a file's bytes; what the organisation has already is not sent. Raises ``InvalidInput`` where the file is not
        what was announced any more, ``TooLarge`` (quota) …"""
        tally = tally or Tally(None, bytes_total=size, files_total=1)
        if size <= WHOLE_BYTES_MAX:
            self._put_bytes(api_path("content", sha256), path, 0, size, lambda _: None)
            tally.moved(size, 1)
            return
        announced = {"sha256": sha256, "size_bytes": size}
        state = self._post(UploadState, "uploads", json=announced)
        counted = 0

        def sent(count: int) -> None:
            nonlocal counted
            counted += count
            tally.moved(count)

        sent(state.offset)
        failures, part = 0, PART_BYTES
        while not state.complete:
            where, begun = api_path("uploads", str(state.id), "bytes"), state.offset
            length = min(part, size - begun)
            try:
                state = self._put_bytes(where, path, begun, length, sent, retries=0, offset=begun)
            except Unavailable:
                # What came of the part was kept, unless a proxy on the way had it; so where to go on is asked for, the next part is
                # smaller, and only no progress counts as a failure.
                part = max(PART_BYTES_MIN, part // 4)
                self._pause(self._backoff(failures))
                state = self._post(UploadState, "uploads", json=announced)
                failures = failures + 1 if state.offset <= begun else 0
                if failures > self.retries:
                    raise
            else:
                part = min(PART_BYTES, part * 2)
            sent(state.offset - counted)
        tally.moved(size - counted, 1)

    def _put_bytes(
        self, where: str, path: Path, start: int, length: int, sent: Callable[[int], None], *, retries: int | None = None,
        **params: Any,
    ) -> UploadState:  # fmt: skip
        answer = self._send(
            "PUT", where, params=params, body=lambda: _Part(path, start, length, sent), timeout=PART_TIMEOUT, retries=retries,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(length)},
        )  # fmt: skip
        state: UploadState = self._read(UploadState, answer)
        return state

    def fetch_file(
        self, where: str, params: dict[str, Any], target: Path, sha256: str, size: int, tally: Tally | None = None
    ) -> None:
        """Bring a file to ``target``, going on behind what an earlier try has left. Raises ``UnexpectedAnswer`` when the bytes
        are not those announced, ``NotReachable`` …"""
        tally = tally or Tally(None, bytes_total=size, files_total=1)
        if target.is_file() and target.stat().st_size == size and digest_of(target) == sha256:
            tally.moved(size, 1)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:150]}.{sha256[:16]}.part")
        digest, have = _so_far(part, size)
        tally.moved(have)
        failures = 0
        while have < size or not part.exists():
            try:
                with self._range(where, params, sha256, have) as answer, part.open("ab") as file:
                    if answer.status_code != 206 and have:
                        # Something on the way knows no ranges: from the first byte again.
                        file.truncate(0)
                        tally.moved(-have)
                        digest, have = hashlib.sha256(), 0
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
                        digest.update(chunk)
                        have += len(chunk)
                        failures = 0
                        tally.moved(len(chunk))
                if have != size:
                    break
            except httpx.TransportError as error:
                failures += 1
                if failures > self.retries:
                    raise not_reachable(self.base_url, error) from error
                self._pause(self._backoff(failures - 1))
        if digest.hexdigest() != sha256:
            part.unlink(missing_ok=True)
            raise unexpected(f"GET {where}", 200, f"SHA-256 is {digest.hexdigest()}, announced was {sha256}")
        os.replace(part, target)
        tally.moved(0, 1)

    @contextmanager
    def _range(self, where: str, params: dict[str, Any], sha256: str, start: int) -> Iterator[httpx.Response]:
        headers = {"If-Match": f'"{sha256}"', "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with self._http.stream("GET", where, params=params, headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                raise self._error(answer)
            yield answer


def in_parallel(work: Iterable[Callable[[], object]], tally: Tally) -> None:
    """All of it, some at once; the first error ends all, and so does Ctrl-C. What was moved stays moved."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="transfer") as pool:
        futures = [pool.submit(each) for each in work]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(f.done() and not f.cancelled() and f.exception() is None for f in futures):
                tally.stop()
                pool.shutdown(cancel_futures=True)
    errors = [e for f in futures if not f.cancelled() and (e := f.exception()) is not None]
    first = next((e for e in errors if not isinstance(e, Interrupted)), errors[0] if errors else None)
    if first is not None:
        raise first


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size <= CHUNK_BYTES:
            return hashlib.sha256(file.read()).hexdigest()
        return hashlib.file_digest(file, "sha256").hexdigest()


def _so_far(part: Path, size: int) -> tuple[Any, int]:
    """The digest of what an earlier try has left, and how much that is; more than there can be is thrown away."""
    digest = hashlib.sha256()
    if not part.is_file():
        return digest, 0
    if part.stat().st_size > size:
        part.unlink()
        return digest, 0
    with part.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
    return digest, part.stat().st_size


def inside(folder: Path, path: str) -> Path:
    """``folder / path``, never outside of it: the path comes from elsewhere."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\x00" in path:
        raise InvalidInput(
            Text(f"The path {path!r} leads out of the folder.", f"路径 {path!r} 指向目标文件夹之外。"),
            Text("Nothing was written; report this to the platform's operator.", "未写入任何内容；请告知平台运营方。"),
            code="unsafe_artefact_path",
        )
    return folder.joinpath(*parts)


def unreadable(path: Path, error: OSError) -> ZhisuanError:
    return InvalidInput(
        Text(f"{path} cannot be read: {error.strerror}.", f"无法读取 {path}：{error.strerror}。"),
        Text("Check path and rights.", "请检查路径与权限。"),
        code="unreadable_file",
    )
