"""The engine's own folders: what must last, under its root; what lives until the next boot, under the runtime folder."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zhisuan.engines.errors import StartRefused
from zhisuan.engines.local.paths import RunPaths

_LOCKS = 64


class EngineFolders:
    """``runs/<lease>/<generation>`` one folder per run · ``trash`` removed runs being deleted · ``locks`` one of a few
    per lease · ``keepalive`` touched by the agent. Under the runtime folder: ``uids``, ``stage`` (an empty place to
    mount at) and ``sockets``."""

    def __init__(self, root: Path, runtime_dir: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.engine_id = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        self.runs = self.root / "runs"
        self.trash = self.root / "trash"
        self.keepalive = self.root / "keepalive"
        self._locks = self.root / "locks"
        self._runtime = runtime_dir
        self.uids = runtime_dir / "uids"
        self.stage = runtime_dir / "stage"
        self._sockets = runtime_dir / "sockets"
        self.root.mkdir(parents=True, mode=0o700, exist_ok=True)
        for folder in (self.runs, self.trash, self._locks):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.keepalive.touch(0o600)

    def prepare_runtime(self) -> None:
        """Raises StartRefused when the folder belongs to someone else: whoever owns it could redirect sockets."""
        try:
            self._runtime.mkdir(parents=True, mode=0o711, exist_ok=True)
            status = os.lstat(self._runtime)
            if status.st_uid != os.geteuid() or not self._runtime.is_dir() or self._runtime.is_symlink():
                raise StartRefused(f"{self._runtime} belongs to another user; remove it or set another runtime_dir")
            self._runtime.chmod(0o711)
            self.uids.mkdir(mode=0o700, exist_ok=True)
            self.stage.mkdir(mode=0o755, exist_ok=True)
            self._sockets.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StartRefused(f"the runtime folder {self._runtime} cannot be used: {error}") from error

    def run(self, lease_id: str, generation: int) -> RunPaths:
        return RunPaths(str(self.runs / lease_id / str(generation)))

    def lease_lock(self, lease_id: str) -> Path:
        return self._locks / f"{int(hashlib.sha256(lease_id.encode()).hexdigest(), 16) % _LOCKS:02d}"

    def socket(self, lease_id: str, generation: int) -> Path:
        """Short whatever the lease is called: a socket's name has at most 107 bytes (unix(7))."""
        name = hashlib.sha256(f"{lease_id}/{generation}".encode()).hexdigest()[:24]
        return self._sockets / f"{self.engine_id}.{name}"

    def shell_socket(self, lease_id: str, generation: int, rank: int = 0) -> Path:
        """Beside the service's, and as short."""
        service = self.socket(lease_id, generation)
        return service.with_name(f"{service.name}.sh{rank}")

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
        folder = self.runs / lease_id / str(generation)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return RunPaths(str(folder))

    def discard_run(self, lease_id: str, generation: int) -> None:
        """Forget the run in one step, then delete what it left, however deep or oddly protected it is."""
        grave = self.trash / f"{lease_id}.{generation}.{os.urandom(4).hex()}"
        (self.runs / lease_id / str(generation)).rename(grave)
        with suppress(OSError):  # other generations of the lease may still be here
            (self.runs / lease_id).rmdir()
        delete_tree(grave)

    def empty_trash(self) -> None:
        for grave in self.trash.iterdir():
            delete_tree(grave)


def delete_tree(path: Path) -> None:
    """By the system's own ``rm``, which neither follows links nor runs out of stack on deep trees."""
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(path)], capture_output=True, check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], capture_output=True, check=False)
