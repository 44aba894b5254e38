"""The checkpoint folder of a run, saved to the server: while the work runs, and when it has ended other than by success.

What is saved is a state that the folder really had at one moment; where none is found, because files change in place all the
time, the attempt is void and the next one begins anew. The server keeps the last whole one (see ``wire.checkpoints``).
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zhisuan.engines.artifacts import Artifact, iter_artifacts
from zhisuan.engines.contract import Engine, ExitReason
from zhisuan.engines.errors import UnknownRun
from zhisuan.site.backoff import Backoff, Link, log, until_reached
from zhisuan.site.book import Held
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import AgentStop, Refused
from zhisuan.site.record import Key
from zhisuan.wire.checkpoints import FILES_MAX, CheckpointAnswer, CheckpointFile, CheckpointList

_CHUNK_BYTES = 1024 * 1024
TRIES_AT_END = 3
LOOKS = 25
LOOK_AGAIN_SECONDS = 0.01
HELD_MAX = 256
"""Files held open at once; what is beyond must stay as it is until it has been sent."""


class Unsettled(Exception):
    """The folder changed while it was read."""


class _Stamp(NamedTuple):
    """What tells a file that has been written again."""

    inode: int
    size_bytes: int
    changed_ns: int


@dataclass(slots=True)
class _File:
    """``held`` keeps the content that belongs to ``stamp`` although the work replaces the file."""

    artifact: Artifact
    stamp: _Stamp
    held: BinaryIO | None = None


class Checkpoints:
    """Remembers digests by the file's stamp, so that what has not changed is not read again."""

    def __init__(self, engine: Engine, client: ServerClient, link: Link, new_backoff: Callable[[], Backoff]) -> None:
        self._engine = engine
        self._client = client
        self._link = link
        self._new_backoff = new_backoff
        self._digests: dict[Key, dict[str, tuple[_Stamp, str]]] = {}

    async def watch(self, held: Held) -> None:
        """Save the folder each ``checkpoint_seconds`` until the run has ended. A failure is said and waits for the next time."""
        seconds = held.record.offer.checkpoint_seconds
        if seconds is None:
            return
        while not await _ended_within(held, seconds):
            try:
                await _unless_ended(held, self._save(held, self._new_backoff()))
            except AgentStop:
                raise
            except Refused as error:
                log.warning("The server does not take the checkpoint of %s: %s", held.key, error.detail)
            except Exception as error:
                # Whatever it is, the work goes on and the next time may do better.
                log.warning("The checkpoint of %s was not saved this time: %s", held.key, error or type(error).__name__)

    async def deliver(self, held: Held, backoff: Backoff) -> list[str]:
        """Save what an ended run left, unless it completed; sentences about what could not be kept."""
        if held.record.reason == ExitReason.completed or held.record.started_at is None:
            self._digests.pop(held.key, None)
            return []
        for left in reversed(range(TRIES_AT_END)):
            try:
                await self._save(held, backoff)
            except UnknownRun:
                break
            except Unsettled as error:
                if not left:
                    return [f"The last checkpoint was not kept: {error}."]
            except Refused as error:
                return [] if error.unknown else [f"The last checkpoint was not kept: {error.detail}"]
            except (ValueError, OSError) as error:
                return [f"The last checkpoint was not kept: {error}."]
            else:
                break
        self._digests.pop(held.key, None)
        return []

    async def _save(self, held: Held, backoff: Backoff) -> None:
        """Raises Refused, Unsettled, UnknownRun, ValueError for too many files, OSError."""
        folder = await asyncio.to_thread(self._engine.checkpoint_dir, *held.key)
        with ExitStack() as open_files:
            found = await asyncio.to_thread(_snapshot, folder, self._digests.get(held.key, {}), open_files)
            if found:
                await self._deliver(held, found, backoff)

    async def _deliver(self, held: Held, found: dict[str, _File], backoff: Backoff) -> None:
        digests = await asyncio.to_thread(self._digested, held.key, found)
        listed = CheckpointList(
            files=tuple(
                CheckpointFile(path=path, sha256=digests[path], size_bytes=file.stamp.size_bytes)
                for path, file in found.items()
            )
        )
        answer = await self._offer(held, listed, backoff)
        if answer.missing:
            by_digest = {digests[path]: file for path, file in found.items()}
            for sha256 in answer.missing:
                await self._send(held, sha256, by_digest[sha256], backoff)
            answer = await self._offer(held, listed, backoff)
        if answer.checkpoint_id is None:
            raise Unsettled("the server lacks some of its bytes again")
        log.info("%s: checkpoint %d is kept, %d bytes.", held.key, answer.number, answer.size_bytes)

    async def _offer(self, held: Held, listed: CheckpointList, backoff: Backoff) -> CheckpointAnswer:
        return await until_reached(self._link, backoff, lambda: self._client.offer_checkpoint(*held.key, listed))

    async def _send(self, held: Held, sha256: str, file: _File, backoff: Backoff) -> None:
        size = file.stamp.size_bytes
        with _content(file) as content:

            async def put() -> None:
                body = _chunks(content, size)
                await self._client.put_checkpoint_bytes(*held.key, body, size_bytes=size, sha256=sha256)

            try:
                await until_reached(self._link, backoff, put)
            except Refused as error:
                if error.server_code == "digest_mismatch":
                    raise Unsettled(f"{file.artifact.path} changed while it was being sent") from error
                raise

    def _digested(self, key: Key, found: dict[str, _File]) -> dict[str, str]:
        known = self._digests.get(key, {})
        fresh: dict[str, tuple[_Stamp, str]] = {}
        for path, file in found.items():
            before = known.get(path)
            sha256 = before[1] if before is not None and before[0] == file.stamp else _digest(file)
            fresh[path] = file.stamp, sha256
        self._digests[key] = fresh
        return {path: sha256 for path, (_, sha256) in fresh.items()}


async def _unless_ended(held: Held, work: Coroutine[Any, Any, None]) -> None:
    """Carry out ``work``, or give it up when the run ends: what it has left by then is saved by ``deliver``."""
    saving, ended = asyncio.create_task(work), asyncio.create_task(held.ended.wait())
    try:
        await asyncio.wait({saving, ended}, return_when=asyncio.FIRST_COMPLETED)
        if saving.done():
            saving.result()
    finally:
        for task in (saving, ended):
            task.cancel()
        await asyncio.gather(saving, ended, return_exceptions=True)


async def _ended_within(held: Held, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await held.ended.wait()
    except TimeoutError:
        return False
    return True


def _snapshot(folder: Path, known: Mapping[str, tuple[_Stamp, str]], open_files: ExitStack) -> dict[str, _File]:
    """The files as they all were at one moment: opened, and then found unchanged. Those that the server may not have are held
    open, as many as may be, so that a file that the work replaces meanwhile is still the one of that moment.

    Raises Unsettled where no such moment was found, ValueError for too many files or a name that is not UTF-8.
    """
    if not folder.is_dir():
        return {}
    for _ in range(LOOKS):
        with ExitStack() as opened:
            try:
                found = _opened(folder, known, opened)
                if {path: file.stamp for path, file in found.items()} == _stamps(folder):
                    open_files.enter_context(opened.pop_all())
                    return found
            except FileNotFoundError:
                pass
        time.sleep(LOOK_AGAIN_SECONDS)
    raise Unsettled("its files change all the time; write a file under another name and rename it when it is whole")


def _opened(folder: Path, known: Mapping[str, tuple[_Stamp, str]], opened: ExitStack) -> dict[str, _File]:
    found, holding = {}, 0
    for artifact in iter_artifacts(folder, FILES_MAX):
        artifact.path.encode()
        content = artifact.open()
        stamp = _stamp(content)
        before = known.get(artifact.path)
        if holding < HELD_MAX and (before is None or before[0] != stamp):
            holding += 1
            found[artifact.path] = _File(artifact, stamp, opened.enter_context(content))
        else:
            content.close()
            found[artifact.path] = _File(artifact, stamp)
    return found


def _stamps(folder: Path) -> dict[str, _Stamp]:
    stamps = {}
    for artifact in iter_artifacts(folder, FILES_MAX):
        with artifact.open() as content:
            stamps[artifact.path] = _stamp(content)
    return stamps


def _stamp(content: BinaryIO) -> _Stamp:
    status = os.fstat(content.fileno())
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def _content(file: _File) -> Iterator[BinaryIO]:
    """The content of the snapshot's moment. Raises Unsettled where it has been changed in place, or replaced and not held."""
    content = file.held or file.artifact.open()
    try:
        if _stamp(content) != file.stamp:
            raise Unsettled(f"{file.artifact.path} changed while it was being read")
        yield content
    finally:
        if file.held is None:
            content.close()


def _digest(file: _File) -> str:
    digest, at = hashlib.sha256(), 0
    with _content(file) as content:
        while chunk := os.pread(content.fileno(), _CHUNK_BYTES, at):
            digest.update(chunk)
            at += len(chunk)
        if _stamp(content) != file.stamp:
            raise Unsettled(f"{file.artifact.path} changed while it was being read")
    return digest.hexdigest()


async def _chunks(content: BinaryIO, size_bytes: int) -> AsyncIterator[bytes]:
    """Exactly as many bytes as were promised: of a file that has become shorter the digest will not be what was promised."""
    at = 0
    while at < size_bytes:
        wanted = min(size_bytes - at, _CHUNK_BYTES)
        chunk = await asyncio.to_thread(os.pread, content.fileno(), wanted, at) or bytes(wanted)
        at += len(chunk)
        yield chunk
