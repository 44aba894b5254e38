"""The files a lease leaves, delivered one by one; what the server has already is not sent again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zhisuan.engines.artifacts import Artifact, iter_artifacts
from zhisuan.engines.contract import Engine
from zhisuan.engines.errors import UnknownRun
from zhisuan.site.backoff import Backoff, Link, log, until_reached
from zhisuan.site.book import Held
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused, Unreachable
from zhisuan.site.journal import Journal
from zhisuan.site.parts import Parts
from zhisuan.wire.site import ArtefactAnswer

_CHUNK_BYTES = 1024 * 1024
WHOLE_BYTES_MAX = 8 * 1024 * 1024


def select(paths: Sequence[str], wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of ``paths`` (relative, with ``/``) those that ``wanted`` names: a file, or a folder with all in it; everything when
    nothing is named. Second come sentences about names that match nothing or leave the folder."""
    if not wanted:
        return list(paths), []
    chosen: set[str] = set()
    notes: list[str] = []
    for name in wanted:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            notes.append(f"The artefact {name!r} was not kept: only paths inside the artefacts folder can be.")
            continue
        found = [p for p in paths if PurePosixPath(p).is_relative_to(pure)]
        if not found:
            notes.append(f"The artefact {name!r} was not found (links are not followed).")
        chosen.update(found)
    return [p for p in paths if p in chosen], notes


class Artefacts:
    def __init__(self, engine: Engine, client: ServerClient, journal: Journal, link: Link) -> None:
        self._engine = engine
        self._client = client
        self._journal = journal
        self._link = link
        self._parts = Parts(client, link)

    async def deliver(self, held: Held, backoff: Backoff) -> list[str]:
        """Upload what the offer asks for, each file until the server has it or has refused it; sentences about what
        could not be kept. A lease the server does not know any more gets nothing delivered."""
        try:
            folder = await asyncio.to_thread(self._engine.artifacts_dir, *held.key)
            found = await asyncio.to_thread(_listed, folder)
        except UnknownRun:
            return []
        except ValueError as error:
            log.error("The artefacts of %s are not kept: %s", held.key, error)
            return [f"No artefact was kept: there are too many files ({error})."]
        chosen, notes = select(list(found), held.record.offer.artefacts)
        sent = self._journal.artefacts(held.key)
        for path in chosen:
            try:
                await self._deliver_one(held, found[path], sent.get(path), backoff)
            except Refused as error:
                log.warning("The server does not take the artefact %s of %s: %s", path, held.key, error.detail)
                if error.unknown:
                    return []
                notes.append(f"The artefact {path!r} was not kept: {error.detail}")
            except UnicodeEncodeError:
                notes.append(f"The artefact {path!r} was not kept: its name is not UTF-8.")
            except OSError as error:
                notes.append(f"The artefact {path!r} was not kept: it cannot be read ({error.strerror or error}).")
        return notes

    async def _deliver_one(self, held: Held, file: Artifact, sent_sha256: str | None, backoff: Backoff) -> None:
        file.path.encode()
        sha256, size_bytes = await asyncio.to_thread(_digest, file)
        if sha256 == sent_sha256:
            return

        if size_bytes > WHOLE_BYTES_MAX:
            await self._parts.send(held.key, file, sha256, size_bytes, backoff, artefact=file.path)
            self._journal.artefact_sent(held.key, file.path, sha256)
            return

        async def put() -> ArtefactAnswer:
            answer = await self._client.put_artefact(
                *held.key, file.path, _chunks(file), size_bytes=size_bytes, sha256=sha256
            )
            if answer.sha256 != sha256:
                raise Unreachable(f"it kept other bytes of {file.path} than were sent")
            return answer

        await until_reached(self._link, backoff, put)
        self._journal.artefact_sent(held.key, file.path, sha256)


def _listed(folder: Path) -> dict[str, Artifact]:
    """A run that was stopped before it began has no folder."""
    return {} if not folder.is_dir() else {file.path: file for file in iter_artifacts(folder)}


def _digest(file: Artifact) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with file.open() as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


async def _chunks(file: Artifact) -> AsyncIterator[bytes]:
    content: BinaryIO = await asyncio.to_thread(file.open)
    with content:
        while chunk := await asyncio.to_thread(content.read, _CHUNK_BYTES):
            yield chunk
