"""What the operator of a site may choose about the local engine."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


def default_runtime_dir() -> Path:
    """A short path that any user may pass through, emptied at boot: sockets' names are limited to 107 bytes."""
    if os.geteuid() == 0:
        return Path("/run/zhisuan")
    session = os.environ.get("XDG_RUNTIME_DIR")
    return Path(session) / "zhisuan" if session else Path(f"/tmp/zhisuan-{os.geteuid()}")  # noqa: S108 - owner is checked


@dataclass(frozen=True, slots=True)
class LocalEngineConfig:
    """All values have a working default.

    - ``runtime_prefixes``: folders shown read-only at their own path inside the sandbox; their ``bin`` comes first in
      ``PATH``, in this order (the platform's virtual environment, so that jobs find PyTorch). The interpreter that
      runs the platform is always shown.
    - ``network``: ``none`` gives the run its own network with loopback alone; ``host`` the host's.
    - ``allow_unisolated``: run tenants' work as ordinary processes where the host cannot isolate.
    - ``uid_base``, ``uid_count``: the user ids given to runs, one each. They must belong to nobody on the host.
    - ``orphan_grace_seconds``: how long runs go on after the last ``keepalive``.
    - ``timeout_grace_seconds``: from SIGTERM to SIGKILL when a run has used up its time or is orphaned.
    - ``log_bytes_max``: output kept of one run; ``archive_bytes_max``, ``archive_entries_max``: unpacked, of all its
      archives together; ``pids_max``: processes and threads; ``open_files_max``: files one process may hold open.
    - ``cgroup_parent``: the group, relative to the top of the hierarchy, below which runs get theirs.
    - ``runtime_dir``: sockets, user ids in use and mount points; shared by all engines of this host.
    """

    kind: Literal["local"] = "local"
    runtime_prefixes: tuple[Path, ...] = ()
    network: Literal["none", "host"] = "none"
    allow_unisolated: bool = False
    uid_base: int = 200_000
    uid_count: int = 50_000
    orphan_grace_seconds: int = 3600
    timeout_grace_seconds: int = 10
    log_bytes_max: int = 64 << 20
    archive_bytes_max: int = 32 << 30
    archive_entries_max: int = 500_000
    pids_max: int = 4096
    open_files_max: int = 65_536
    cgroup_parent: str = "zhisuan"
    runtime_dir: Path = field(default_factory=default_runtime_dir)

    def __post_init__(self) -> None:
        positive = ("uid_base", "uid_count", "orphan_grace_seconds", "log_bytes_max", "archive_bytes_max", "pids_max")
        for name in (*positive, "archive_entries_max", "open_files_max"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.timeout_grace_seconds < 0:
            raise ValueError(f"timeout_grace_seconds must not be negative, not {self.timeout_grace_seconds}")
        if not self.runtime_dir.is_absolute():
            raise ValueError(f"runtime_dir must be an absolute path, not {self.runtime_dir}")
        for prefix in self.runtime_prefixes:
            if not prefix.is_absolute():
                raise ValueError(f"a runtime prefix must be an absolute path, not {prefix}")
        if self.cgroup_parent.startswith("/") or ".." in Path(self.cgroup_parent).parts or not self.cgroup_parent:
            raise ValueError(f"cgroup_parent is a path below the hierarchy's top, not {self.cgroup_parent!r}")
