"""Folders for runs: packed where an engine cannot show them in place, and remembered where the run may change its copy."""

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from zhisuan.engines.errors import UnknownRun

_NAME = "folders"


def pack(folder: Path, archive: Path) -> None:
    """The folder as a tar.gz that is hardly compressed: it is unpacked again at once. Raises OSError."""
    archive.unlink(missing_ok=True)
    with tarfile.open(archive, "x:gz", compresslevel=0) as tar:
        for at, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(folders + files):
                path = Path(at, name)
                info = tar.gettarinfo(path, path.relative_to(folder).as_posix())
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
                info.type = tarfile.REGTYPE if info.islnk() else info.type
                if info.isreg():
                    info.size = path.stat().st_size
                    with path.open("rb") as content:
                        tar.addfile(info, content)
                else:
                    tar.addfile(info)


def remember(run_folder: Path, places: Mapping[str, str]) -> None:
    """Keep where a run's own copies are, by target."""
    if places:
        (run_folder / _NAME).write_text("".join(f"{target}\t{path}\n" for target, path in places.items()))


def recall(run_folder: Path, lease_id: str, generation: int, target: str) -> Path:
    """Raises UnknownRun where the run has no copy of its own at ``target``."""
    try:
        lines = (run_folder / _NAME).read_text().splitlines()
    except FileNotFoundError:
        lines = []
    places = dict(line.split("\t", 1) for line in lines)
    if target not in places:
        raise UnknownRun(lease_id, generation)
    return Path(places[target])
