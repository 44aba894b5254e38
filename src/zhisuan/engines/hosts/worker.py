"""What a host does for the head: it holds the ranks, one local engine under them all."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import tarfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from zhisuan.engines.artifacts import Artifact, iter_artifacts
from zhisuan.engines.contract import AcceleratorGrant, RunPhase, RunSpec
from zhisuan.engines.errors import EngineError, StartRefused, UnknownRun
from zhisuan.engines.hosts.messages import (
    ARTIFACTS,
    CHECKPOINT,
    FOLDER,
    OBSERVATION,
    ORDER,
    VIEWS,
    WANTED,
    Archive,
    RankOrder,
    View,
    Views,
    Wanted,
    plain,
    text_of,
)
from zhisuan.engines.local.engine import LocalEngine

_LOG_BYTES_OF_ONE = 1 << 20
_LOG_BYTES_AT_ONCE = 4 << 20
_FILE_BYTES_MAX = 4 << 20
_OTHERS_MAX = 100
_LOOK_SECONDS = 0.03
_PER_RUN_SECONDS = 0.002

_GRANTS = TypeAdapter(tuple[AcceleratorGrant, ...])

Key = tuple[str, int]
Fetch = Callable[[Key, Archive, Path], Awaitable[None]]
Dial = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Worker:
    """``fetch`` brings an archive of the head to a place here; ``dial`` joins a connection here to one that the head awaits."""

    def __init__(self, engine: LocalEngine, root: Path, fetch: Fetch, dial: Dial) -> None:
        self._engine = engine
        self._archives = root / "archives"
        self._held = root / "held"
        self._shown = root / "folders"
        for folder in (self._archives, self._held):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        # Sandboxes see what lies below it at their own places, under their own users.
        self._shown.mkdir(parents=True, mode=0o711, exist_ok=True)
        self._fetch = fetch
        self._dial = dial
        self._poked = asyncio.Event()
        self._locks: dict[Key, asyncio.Lock] = {}
        self._carried: set[asyncio.Task[None]] = set()

    async def handle(self, name: str, given: Any) -> Any:
        """One call of the head. Raises EngineError."""
        if name == "look":
            return await self._look(WANTED.validate_python(given["wanted"]), int(given["wait_ms"]))
        if name == "start":
            return await self._start(ORDER.validate_python(given))
        key = (str(given["lease_id"]), int(given["generation"]))
        match name:
            case "go":
                await asyncio.to_thread(self._engine.go, *key)
            case "stop":
                await asyncio.to_thread(self._engine.stop, *key, int(given["grace_seconds"]))
            case "remove":
                await asyncio.to_thread(self._remove, key)
            case "files":
                return await asyncio.to_thread(self._files, key, str(given.get("what", ARTIFACTS)))
            case "read":
                where = str(given.get("what", ARTIFACTS)), str(given["path"]), int(given["offset"])
                return await asyncio.to_thread(self._read, key, *where)
            case "dial":
                service = await asyncio.to_thread(self._engine.service_socket, *key)
                return await self._answer_dial(key, service, str(given["stream"]))
            case "shell":
                shell = await asyncio.to_thread(self._engine.shell_socket, *key, 0)
                return await self._answer_dial(key, shell, str(given["stream"]))
            case _:
                raise ValueError(f"no such call: {name}")
        self._poked.set()
        return None

    # Beginning and ending

    async def _start(self, order: RankOrder) -> None:
        key = (order.spec.lease_id, order.spec.generation)
        async with self._locks.setdefault(key, asyncio.Lock()):
            if not await asyncio.to_thread(self._is_here, key):
                places = await self._bring(key, order.archives)
                places |= await asyncio.to_thread(self._unpack, key, order.spec, places)
                spec = _with_places(order.spec, places)
                self._note(key, spec.nodes[0].accelerators)
                await asyncio.to_thread(self._engine.start, spec, order.seat)
        self._poked.set()

    def _is_here(self, key: Key) -> bool:
        try:
            self._engine.observe(*key)
        except UnknownRun:
            return False
        return True

    async def _bring(self, key: Key, archives: tuple[Archive, ...]) -> dict[str, Path]:
        """By their places on the head. Raises StartRefused."""
        folder = self._folder(key)
        places = {}
        try:
            for archive in archives:
                folder.mkdir(mode=0o700, exist_ok=True)
                places[archive.path] = folder / str(archive.number)
                if not places[archive.path].exists():
                    await self._fetch(key, archive, places[archive.path])
        except OSError as error:
            raise StartRefused(f"this host cannot take the archives: {error.strerror or error}") from error
        return places

    def _unpack(self, key: Key, spec: RunSpec, places: dict[str, Path]) -> dict[str, Path]:
        """The folders of a run, each from the archive that it travelled in. Raises StartRefused."""
        unpacked: dict[str, Path] = {}
        try:
            for number, mount in enumerate(spec.folders):
                target = self._shown / f"{key[0]}.{key[1]}" / str(number)
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
                with tarfile.open(places[os.fspath(mount.path)]) as archive:
                    archive.extractall(target, filter="data")
                unpacked[os.fspath(mount.path)] = target
        except (OSError, tarfile.TarError) as error:
            raise StartRefused(f"this host cannot take a folder of the run: {error}") from error
        return unpacked

    def _folder(self, key: Key) -> Path:
        return self._archives / f"{key[0]}.{key[1]}"

    def _remove(self, key: Key) -> None:
        self._engine.remove(*key)
        shutil.rmtree(self._folder(key), ignore_errors=True)
        shutil.rmtree(self._shown / f"{key[0]}.{key[1]}", ignore_errors=True)
        self._note_of(key).unlink(missing_ok=True)
        self._locks.pop(key, None)

    # What is in use

    def _note_of(self, key: Key) -> Path:
        return self._held / f"{key[0]}.{key[1]}"

    def _note(self, key: Key, grants: tuple[AcceleratorGrant, ...]) -> None:
        """Which cards the run was given: a daemon that begins anew must know them too."""
        if grants:
            self._note_of(key).write_bytes(_GRANTS.dump_json(grants))

    def in_use(self) -> tuple[AcceleratorGrant, ...]:
        """The cards of runs that have not ended."""
        found: list[AcceleratorGrant] = []
        for lease_id, generation in self._engine.list():
            note = self._note_of((lease_id, generation))
            if note.exists() and self._engine.observe(lease_id, generation).phase is not RunPhase.exited:
                found += _GRANTS.validate_json(note.read_bytes())
        return tuple(found)

    # Looking

    async def _look(self, wanted: tuple[Wanted, ...], wait_ms: int) -> Any:
        """When something is new, or after ``wait_ms``."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_ms / 1000
        while True:
            self._poked.clear()
            views, news = await asyncio.to_thread(self._views, wanted)
            if news or loop.time() >= until:
                return plain(VIEWS, views)
            try:
                async with asyncio.timeout(max(_LOOK_SECONDS, _PER_RUN_SECONDS * len(wanted))):
                    await self._poked.wait()
            except TimeoutError:
                continue
            return plain(VIEWS, views)

    def _views(self, wanted: tuple[Wanted, ...]) -> tuple[Views, bool]:
        left = _LOG_BYTES_AT_ONCE
        views, news = [], False
        for one in wanted:
            view = self._view(one, min(left, _LOG_BYTES_OF_ONE))
            left -= len(view.log)
            news = news or view.digest != one.digest or bool(view.log)
            views.append(view)
        asked = {(one.lease_id, one.generation) for one in wanted}
        others = [key for key in self._engine.list() if key not in asked][:_OTHERS_MAX]
        return Views(tuple(views), tuple((*key, self._has_ended(key)) for key in others)), news

    def _has_ended(self, key: Key) -> bool:
        try:
            return self._engine.observe(*key).phase is RunPhase.exited
        except UnknownRun:
            return True

    def _view(self, one: Wanted, log_bytes: int) -> View:
        key = (one.lease_id, one.generation)
        try:
            seen = self._engine.observe(*key)
            ready = self._engine.is_ready(*key)
            output = self._engine.read_log(*key, one.logged, log_bytes) if log_bytes > 0 else b""
            more = bool(self._engine.read_log(*key, one.logged + len(output), 1))
        except UnknownRun:
            return View(*key, "unknown", None, False, "", False)
        digest = hashlib.sha256(OBSERVATION.dump_json(seen) + bytes([ready])).hexdigest()[:16]
        if digest != one.digest and seen.phase is not RunPhase.preparing:
            shutil.rmtree(self._folder(key), ignore_errors=True)
        return View(*key, digest, seen, ready, text_of(output), more)

    # What it left

    def _left(self, key: Key, what: str) -> Path:
        """Raises UnknownRun."""
        if what == ARTIFACTS:
            return self._engine.artifacts_dir(*key)
        if what == CHECKPOINT:
            return self._engine.checkpoint_dir(*key)
        return self._engine.folder_dir(*key, what.removeprefix(FOLDER))

    def _files(self, key: Key, what: str) -> list[list[object]]:
        """Path, bytes, time of change. Raises UnknownRun, and EngineError for a folder with too much in it."""
        folder = self._left(key, what)
        if not folder.is_dir():
            return []
        found: list[list[object]] = []
        try:
            for one in iter_artifacts(folder):
                if _is_text(one.path):
                    with contextlib.suppress(FileNotFoundError):
                        found.append([one.path, one.size_bytes, (folder / one.path).lstat().st_mtime_ns])
        except ValueError as error:
            raise EngineError(str(error)) from error
        return found

    def _read(self, key: Key, what: str, path: str, offset: int) -> str:
        try:
            with Artifact(self._left(key, what), path, 0).open() as file:
                file.seek(offset)
                return text_of(file.read(_FILE_BYTES_MAX))
        except FileNotFoundError:
            return ""  # replaced since it was listed: it will be listed otherwise

    # Its service, and shells beside it

    async def _answer_dial(self, key: Key, socket: Path | None, stream: str) -> None:
        """Raises EngineError while nothing listens."""
        if socket is None:
            raise UnknownRun(*key)
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket))
        except OSError as error:
            raise EngineError(f"nothing listens there: {error.strerror or error}") from error
        task = asyncio.create_task(self._dial(stream, reader, writer))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)


def _is_text(path: str) -> bool:
    """Names that are not UTF-8 cannot be told."""
    try:
        orjson.dumps(path)
    except TypeError:
        return False
    return True


def _with_places(spec: RunSpec, places: dict[str, Path]) -> RunSpec:
    """Every path of an archive is now one of this host."""
    work, kept = spec.workdir_archive, spec.checkpoint_archive
    return replace(
        spec,
        workdir_archive=None if work is None else places[os.fspath(work)],
        checkpoint_archive=None if kept is None else places[os.fspath(kept)],
        folders=tuple(replace(one, path=places[os.fspath(one.path)]) for one in spec.folders),
        mounts=tuple(replace(one, archive=places[os.fspath(one.archive)]) for one in spec.mounts),
    )
