"""The unix sockets of this process that lead to the runs' services."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from zhisuan.engines.errors import EngineError, StartRefused
from zhisuan.engines.local import records
from zhisuan.engines.slurm.cluster import Cluster
from zhisuan.engines.slurm.node_state import read_node
from zhisuan.engines.slurm.paths import RunPaths, read_small
from zhisuan.engines.slurm.relay import Relays


class Services:
    """A socket belongs to the process that made it, and carries its number in its name: each process has its own."""

    def __init__(self, runtime_dir: Path, engine_id: str, cluster: Cluster) -> None:
        self._folder = runtime_dir / "slurm"
        self._engine_id = engine_id
        self._cluster = cluster
        self._relays = Relays()

    def socket(self, lease_id: str, generation: int, paths: RunPaths) -> Path | None:
        """Raises StartRefused when this host cannot have the socket."""
        port = dict(records.read(paths.shape) or []).get("port")
        if port is None or os.path.exists(paths.exit):
            return None
        path = self._path(lease_id, generation)

        def where() -> tuple[str, int] | None:
            name = read_node(read_small(paths.node(0) / "events"), "").name
            with suppress(EngineError, KeyError):
                return self._cluster.address(name), int(port)
            return None

        try:
            self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            if self._folder.lstat().st_uid != os.geteuid() or self._folder.is_symlink():
                raise OSError(f"{self._folder} belongs to another user; remove it or set another runtime_dir")
            self._relays.open(path, where)
        except OSError as error:
            raise StartRefused(f"the service's socket {path} cannot be made: {error}") from error
        return path

    def close(self, lease_id: str, generation: int) -> None:
        self._relays.close(self._path(lease_id, generation))

    def sweep(self) -> None:
        """Remove the sockets of processes that are gone."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            engine_id, _, rest = path.name.partition(".")
            pid = rest.rpartition(".")[2]
            if engine_id == self._engine_id and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                path.unlink(missing_ok=True)

    def _path(self, lease_id: str, generation: int) -> Path:
        name = hashlib.sha256(f"{lease_id}/{generation}".encode()).hexdigest()[:24]
        return self._folder / f"{self._engine_id}.{name}.{os.getpid()}"
