"""Where everything of a run lies, on the file system that agent and nodes share.

``<root>/runs/<lease>/<generation>/``, the agent's own folder, which others may pass through but not change:

- ``shape`` what was asked for, in short · ``plan``, ``stop`` (a request to end, rewritten in place), read by the nodes · ``submit`` what is about to be
  submitted, ``job`` what was, ``given_up`` what Slurm said when it gave up work that still lived, ``exit`` how it ended, ``log``, ``merged``: the agent's
- ``run.sh``, ``setup.sh``, ``on_stop.sh``, ``env.<rank>``, ``archive.<n>``: handed to the job's user, nobody else can read them
- ``flags/`` the job's: ``claim`` (the one Slurm job that carries the run out), ``end`` (the rank that ended first),
  ``done`` (all is over) · ``errors`` what the scripts complain of
- ``<rank>/``: ``events``, ``started``, ``use``, ``out``, ``progress``, ``grace`` (files the job writes), ``work``, ``artifacts``, ``checkpoint``, ``mount.<n>``

What the job writes is opened without following links.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zhisuan.engines.local.folders import delete_tree

_LOCKS = 256
_SMALL_FILE_BYTES_MAX = 1 << 20


class RunPaths:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = folder / "plan"
        self.stop = folder / "stop"
        self.shape = str(folder / "shape")
        self.submit = str(folder / "submit")
        self.job = str(folder / "job")
        self.given_up = str(folder / "given_up")
        self.exit = str(folder / "exit")
        self.log = folder / "log"
        self.merged = str(folder / "merged")
        self.errors = folder / "errors"
        self.flags = folder / "flags"
        self.claim = self.flags / "claim"
        self.end = self.flags / "end"
        self.done = self.flags / "done"

    def node(self, rank: int) -> Path:
        return self.folder / str(rank)

    def exists(self) -> bool:
        """Whether the run is here: submitted, taken on by a job, or ended. A folder alone is a start that never took
        effect, or a request to stop one."""
        return os.path.exists(self.job) or os.path.exists(self.exit) or os.path.exists(self.claim)


def read_small(path: Path) -> str:
    """The whole lines of a file that a job wrote; empty when it is not there. Follows no link and never blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        text = os.pread(fd, _SMALL_FILE_BYTES_MAX, 0).decode("utf-8", "replace")
    finally:
        os.close(fd)
    return text[: text.rfind("\n") + 1]


class EngineFolders:
    """``runs``, ``batches`` (lists of the runs of one array), ``trash``, ``locks``, ``lib`` and ``keepalive``."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.engine_id = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        self.runs = self.root / "runs"
        self.batches = self.root / "batches"
        self.lib = self.root / "lib"
        self.trash = self.root / "trash"
        self.keepalive = self.root / "keepalive"
        self._locks = self.root / "locks"
        self.root.mkdir(parents=True, mode=0o711, exist_ok=True)
        self.root.chmod(0o711)
        for folder in (self.runs, self.batches):
            folder.mkdir(mode=0o711, exist_ok=True)
        self.lib.mkdir(mode=0o755, exist_ok=True)
        for folder in (self.trash, self._locks):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.keepalive.touch(0o644)

    def run(self, lease_id: str, generation: int) -> RunPaths:
        return RunPaths(self.runs / lease_id / str(generation))

    def lease_lock(self, lease_id: str) -> Path:
        return self._locks / f"{int(hashlib.sha256(lease_id.encode()).hexdigest(), 16) % _LOCKS:03d}"

    def generations(self, lease_id: str) -> list[int]:
        try:
            names = os.listdir(self.runs / lease_id)
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def all_runs(self) -> Iterator[tuple[str, int]]:
        for lease_id in sorted(os.listdir(self.runs)):
            for generation in self.generations(lease_id):
                yield lease_id, generation

    def make_run(self, lease_id: str, generation: int) -> RunPaths:
        paths = self.run(lease_id, generation)
        paths.folder.parent.mkdir(mode=0o711, exist_ok=True)
        paths.folder.mkdir(mode=0o711, exist_ok=True)
        return paths

    def discard_run(self, lease_id: str, generation: int) -> None:
        """Forget the run in one step, then delete what it left. A job of it that begins later finds nothing and ends."""
        grave = self.trash / f"{lease_id}.{generation}.{os.urandom(4).hex()}"
        with suppress(FileNotFoundError):
            (self.runs / lease_id / str(generation)).rename(grave)
        with suppress(OSError):  # other generations of the lease may still be here
            (self.runs / lease_id).rmdir()
        delete_tree(grave)

    def empty_trash(self) -> None:
        for grave in self.trash.iterdir():
            delete_tree(grave)
