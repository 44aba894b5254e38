"""Brings the folders of rank 0 (artefacts, checkpoint, its own copies of volumes) from its host to the head. What a host says is the tenant's: names are checked, and only files and
folders that the head makes itself are written."""

import os
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.errors import EngineError, EngineUnavailable

LOOKS = 5

Ask = Callable[[str, dict[str, Any]], Any]


def fetch(ask: Ask, target: Path, making: Path) -> None:
    """All files of the run's folder, of which those that are at ``target`` as they are there are not brought again; ``making`` is
    where each is made. What is not there any more goes. The folder is one that really was: when it has changed meanwhile,
    all is looked at again, a few times.

    Raises EngineError, also EngineUnavailable (the folder does not stand still), and OSError.
    """
    target.mkdir(mode=0o700, exist_ok=True)
    listed = _listed(ask)
    for _ in range(LOOKS):
        for path, (size, changed_ns) in listed.items():
            place = _place(target, path)
            if not _is_as(place, size, changed_ns):
                place.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
                _bring(ask, path, making, size)
                os.utime(making, ns=(changed_ns, changed_ns))
                making.rename(place)
        before, listed = listed, _listed(ask)
        if listed == before:
            _drop_others(target, set(listed))
            return
    raise EngineUnavailable("the run's folder changes all the time; it could not be copied as it was at one moment")


def _listed(ask: Ask) -> dict[str, tuple[int, int]]:
    return {str(path): (int(size), int(changed_ns)) for path, size, changed_ns in ask("files", {})}


def _is_as(place: Path, size: int, changed_ns: int) -> bool:
    if not place.is_file():
        return False
    here = place.stat()
    return here.st_size == size and here.st_mtime_ns == changed_ns


def _drop_others(target: Path, listed: set[str]) -> None:
    for found in iter_artifacts(target):
        if found.path not in listed:
            (target / found.path).unlink(missing_ok=True)


def _place(target: Path, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\0" in path:
        raise EngineError(f"the host names a file that cannot be one: {path!r}")
    return target.joinpath(*parts)


def _bring(ask: Ask, path: str, making: Path, size: int) -> None:
    fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        offset = 0
        while offset < size:
            data = b64decode(ask("read", {"path": path, "offset": offset}))
            if not data:
                return
            offset += file.write(data)
