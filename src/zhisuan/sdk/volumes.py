"""Volumes: make them, fill them from local folders, fetch them, look at their versions."""

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zhisuan.base.errors import Conflict, InvalidInput, NotFound
from zhisuan.base.packs import SMALL_BYTES_MAX, grouped
from zhisuan.base.text import Text
from zhisuan.sdk.archive import Ignored
from zhisuan.sdk.progress import Tally, Watcher
from zhisuan.sdk.small_files import SEND_BYTES, Placed, SmallFiles
from zhisuan.sdk.transfer import AT_ONCE, digest_of, in_parallel, inside, unreadable
from zhisuan.sdk.transport import api_path
from zhisuan.sdk.types.volumes import DataUse, FolderEntry, Volume, VolumeFile, VolumeUse, VolumeVersion

TRIES = 4
FILES_A_PAGE = 5000


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, and what it is to be called in the volume."""

    source: Path
    path: str
    mode: int
    size_bytes: int
    sha256: str

    def as_placed(self) -> Placed:
        return Placed(self.source, self.sha256, self.size_bytes, self.mode)

    def as_entry(self) -> dict[str, Any]:
        return {"path": self.path, "mode": self.mode, "size_bytes": self.size_bytes, "sha256": self.sha256}


class Volumes(SmallFiles):
    def create_volume(
        self, name: str, *, project: str | None = None, idempotency_key: str | None = None
    ) -> Volume:
        body = {"name": name, **({"project": project} if project else {})}
        return self._post(Volume, "volumes", json=body, idempotency_key=idempotency_key)

    def volumes(self, *, deleted: bool = False) -> Iterator[Volume]:
        """Newest first; ``deleted``: those that were deleted, with the reason."""
        return self._pages(Volume, "volumes", **({"deleted": "true"} if deleted else {}))

    def volume(self, name: str) -> Volume:
        return self._get(Volume, "volumes", name)

    def volume_versions(self, name: str) -> Iterator[VolumeVersion]:
        """Newest first."""
        return self._pages(VolumeVersion, "volumes", name, "versions")

    def volume_files(self, name: str, *, version: int | None = None, folder: str = "") -> Iterator[VolumeFile]:
        """Every file below a folder, by path; of the current version where none is named."""
        return self._pages(VolumeFile, "volumes", name, "files", version=version, folder=folder, limit=FILES_A_PAGE)

    def volume_folder(self, name: str, path: str = "", *, version: int | None = None) -> Iterator[FolderEntry]:
        """What lies directly in a folder."""
        return self._pages(FolderEntry, "volumes", name, "folder", version=version, path=path)

    def volume_uses(self, name: str) -> Iterator[VolumeUse]:
        """Which workloads have or had a version of it, newest first."""
        return self._pages(VolumeUse, "volumes", name, "uses")

    def delete_volume(self, name: str, reason: str, *, idempotency_key: str | None = None) -> Volume:
        return self._post(Volume, "volumes", name, "delete", json={"reason": reason}, idempotency_key=idempotency_key)

    def use_volume_version(self, name: str, number: int, *, idempotency_key: str | None = None) -> Volume:
        """Make a version the one that work gets which names none."""
        return self._post(Volume, "volumes", name, "current", json={"number": number}, idempotency_key=idempotency_key)

    def data_use(self) -> DataUse:
        return self._get(DataUse, "data-use")

    def set_data_quota(self, org_id: str, bytes_max: int | None, *, idempotency_key: str | None = None) -> DataUse:
        """For the operator: what an organisation's volumes may hold; ``None`` for what the installation allows."""
        answer = self._send(
            "PUT", api_path("organisations", org_id, "data-quota"), json={"bytes_max": bytes_max},
            idempotency_key=idempotency_key,
        )  # fmt: skip
        found: DataUse = self._read(DataUse, answer)
        return found

    def commit_volume(
        self, name: str, *, base: int, put: list[dict[str, Any]], remove: list[str], note: str = "",
        idempotency_key: str | None = None,
    ) -> VolumeVersion:  # fmt: skip
        """A new version from files whose content is there. Raises ``Conflict`` (``volume_moved``, ``content_missing``)."""
        body = {"base": base, "put": put, "remove": remove, "note": note}
        return self._post(VolumeVersion, "volumes", name, "versions", json=body, idempotency_key=idempotency_key)

    def put_volume(
        self, local: str | Path, name: str, *, path: str = "", delete: bool = False, note: str = "",
        watcher: Watcher | None = None,
    ) -> VolumeVersion:  # fmt: skip
        """Bring a local file or folder into a volume, below ``path``; only what is not there is sent, and a broken transfer goes
        on where it was. ``delete``: what the local folder does not have goes from the volume too. Where somebody else made a
        version meanwhile, the same change is made on theirs."""
        found = local_files(Path(local), path.strip("/"))
        self._bring(found, watcher)
        for tries_left in reversed(range(TRIES)):
            base = self.volume(name).current_number
            there = {f.path: f for f in self.volume_files(name, version=base)} if base else {}
            put = [f for f in found if not _same(f, there.get(f.path))]
            remove = _gone(found, there, path.strip("/")) if delete else []
            try:
                return self.commit_volume(name, base=base, put=[f.as_entry() for f in put], remove=remove, note=note)
            except Conflict as error:
                if error.code != "volume_moved" or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _bring(self, files: list[LocalFile], watcher: Watcher | None) -> None:
        by_digest = {f.sha256: f for f in files}
        missing = set(self.missing_content(sorted(by_digest)))
        tally = Tally(watcher, bytes_total=sum(f.size_bytes for f in by_digest.values()), files_total=len(by_digest))
        for digest, file in by_digest.items():
            if digest not in missing:
                tally.moved(file.size_bytes, 1)
        wanted = [f.as_placed() for d, f in by_digest.items() if d in missing]
        big = [f for f in wanted if f.size_bytes > SMALL_BYTES_MAX]
        small = [f for f in wanted if f.size_bytes <= SMALL_BYTES_MAX]
        work = [partial(self.send_file, f.place, f.sha256, f.size_bytes, tally) for f in big]
        work += [partial(self._send_small, some, tally) for some in grouped(small, _size, SEND_BYTES)]
        in_parallel(work, tally)

    def get_volume(
        self, name: str, local: str | Path, *, path: str = "", version: int | None = None, watcher: Watcher | None = None
    ) -> list[Path]:
        """Fetch a version, or a folder or file of it, into a local folder. Files that are there and equal stay as they are."""
        wanted, folder = path.strip("/"), Path(local)
        number = version or self.volume(name).current_number or None
        files = list(self.volume_files(name, version=number, folder=wanted))
        base = wanted
        if not files and wanted:
            parent = wanted.rpartition("/")[0]
            files = [f for f in self.volume_files(name, version=number, folder=parent) if f.path == wanted]
            base = parent
            if not files:
                raise NotFound.of(Text("file or folder", "文件或文件夹"), f"{name}:{wanted}")
        tally = Tally(watcher, bytes_total=sum(f.size_bytes for f in files), files_total=len(files))
        places = [(f, inside(folder, f.path[len(base) + 1 :] if base else f.path)) for f in files]
        asked = {"version": number} if number else {}
        small = [Placed(to, f.sha256, f.size_bytes, f.mode) for f, to in places if f.size_bytes <= SMALL_BYTES_MAX]

        def fetch(file: VolumeFile, target: Path) -> None:
            where = api_path("volumes", name, "content")
            self.fetch_file(where, {"path": file.path, **asked}, target, file.sha256, file.size_bytes, tally)
            target.chmod(file.mode)

        work: list[Callable[[], None]] = [partial(fetch, f, to) for f, to in places if f.size_bytes > SMALL_BYTES_MAX]
        pack = api_path("volumes", name, "pack")
        work += [partial(self._fetch_small, pack, asked, some, tally) for some in grouped(small, _size, SEND_BYTES)]
        in_parallel(work, tally)
        return [target for _, target in places]


def _size(file: Placed) -> int:
    return file.size_bytes


def _same(local: LocalFile, there: VolumeFile | None) -> bool:
    return there is not None and (there.sha256, there.mode) == (local.sha256, local.mode)


def _gone(found: list[LocalFile], there: dict[str, VolumeFile], folder: str) -> list[str]:
    kept = {f.path for f in found}
    return [p for p in there if p not in kept and (not folder or p.startswith(folder + "/"))]


def local_files(local: Path, folder: str) -> list[LocalFile]:
    """The files of a folder, or the one file, with their digests; what ``.zhisuanignore`` names stays behind. Raises
    ``InvalidInput`` for a path that is not there, a link that leads elsewhere, and what cannot be read."""
    prefix = folder + "/" if folder else ""
    if local.is_file():
        sources = [(local, prefix + local.name)]
    elif local.is_dir():
        sources = [(path, prefix + name) for path, name in _walk(local)]
    else:
        raise InvalidInput(
            Text(f"There is no file or folder {local}.", f"没有文件或文件夹 {local}。"),
            Text("Check the path.", "请核对路径。"),
            code="no_such_path",
        )
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="digest") as pool:
        return list(pool.map(lambda one: _local_file(*one), sources))


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Regular files in sorted order; a link to a file is that file, a link to a folder is passed over."""
    stays = Ignored(root)
    for at, folders, names in os.walk(root):
        below = Path(at).relative_to(root)
        folders[:] = sorted(f for f in folders if not stays((below / f).as_posix(), True))
        for name in sorted(names):
            relative = (below / name).as_posix()
            if not stays(relative, False) and Path(at, name).is_file():
                yield Path(at, name), relative


def _local_file(source: Path, path: str) -> LocalFile:
    try:
        status = source.stat()
        mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        return LocalFile(source, path, mode, status.st_size, digest_of(source))
    except OSError as error:
        raise unreadable(source, error) from error
