"""Finds where this host lets the engine make control groups, and which limits really hold there."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines.local.cgroup import CgroupHost

V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
V2_CONTROLLERS = ("memory", "cpu", "pids")


@dataclass(frozen=True, slots=True)
class CgroupMounts:
    """Mount points of version 1 by controller, and of version 2."""

    v1: dict[str, Path]
    v2: Path | None


@dataclass(frozen=True, slots=True)
class CgroupFound:
    """``host`` is None when no group can be made; ``failure`` then says why. ``supervisors`` is the group that keeps
    supervisors out of the agent's own (version 2 only), so that ending the agent's service does not end the runs."""

    host: CgroupHost | None
    supervisors: Path | None
    failure: str | None

    def enforces(self, controller: str) -> bool:
        return self.host is not None and controller in self.host.parents


def parse_mounts(mountinfo: str) -> CgroupMounts:
    """``mountinfo`` as in ``/proc/self/mountinfo`` (proc(5)): fields, ``-``, file system type, source, super options."""
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if len(fields) < 5 or len(tail) < 3:
            continue
        where = Path(fields[4].replace("\\040", " "))
        if tail[0] == "cgroup2":
            v2 = where
        elif tail[0] == "cgroup":
            v1.update({option: where for option in tail[2].split(",") if option in V1_CONTROLLERS})
    return CgroupMounts(v1, v2)


def own_v2_path(proc_self_cgroup: str) -> str:
    """This process's group in the version 2 hierarchy, such as ``/user.slice/…``; ``/`` when it is not said."""
    for line in proc_self_cgroup.splitlines():
        if line.startswith("0::"):
            return line[3:] or "/"
    return "/"


def detect(parent: str, engine_id: str) -> CgroupFound:
    """Make the group ``parent`` and try to make and join one in it. Never raises for what the host lacks."""
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_text("utf-8"))
    try:
        if "memory" in mounts.v1 or "pids" in mounts.v1:
            return _try_v1(mounts, parent, engine_id)
        if mounts.v2 is not None:
            return _try_v2(mounts.v2, parent, engine_id)
    except OSError as error:
        return CgroupFound(None, None, f"{error.filename}: {error.strerror}")
    return CgroupFound(None, None, "no cgroup file system is mounted")


def _try_v1(mounts: CgroupMounts, parent: str, engine_id: str) -> CgroupFound:
    parents: dict[str, str] = {}
    for controller, mount in mounts.v1.items():
        folder = mount / parent
        folder.mkdir(parents=True, exist_ok=True)
        parents[controller] = str(folder)
    return _tried(CgroupHost(1, parents, engine_id), None)


def _try_v2(mount: Path, parent: str, engine_id: str) -> CgroupFound:
    top = mount if os.geteuid() == 0 else _delegated(mount)
    if top is None:
        return CgroupFound(None, None, f"no group below {mount} is delegated to this user")
    folder = top / parent
    supervisors = folder / "supervisors"
    supervisors.mkdir(parents=True, exist_ok=True)
    level = top
    for part in ("", *Path(parent).parts):
        level = level / part
        _enable(level)
    enabled = (folder / "cgroup.subtree_control").read_text("ascii").split()
    parents = {controller: str(folder) for controller in V2_CONTROLLERS if controller in enabled}
    if not parents:
        return CgroupFound(None, None, f"{folder}: no controller could be switched on")
    return _tried(CgroupHost(2, parents, engine_id), supervisors)


def _enable(folder: Path) -> None:
    """Hand each controller that is there on to the children. One that cannot be is left out, not an error."""
    available = (folder / "cgroup.controllers").read_text("ascii").split()
    for controller in V2_CONTROLLERS:
        if controller in available:
            try:
                (folder / "cgroup.subtree_control").write_text(f"+{controller}", "ascii")
            except OSError:
                continue


def _delegated(mount: Path) -> Path | None:
    """The highest group on the way to our own that this user may divide (systemd delegates one to each user)."""
    level = mount
    for part in Path(own_v2_path(Path("/proc/self/cgroup").read_text("utf-8"))).parts:
        level = level / part.strip("/")
        if all(os.access(path, os.W_OK) for path in (level, level / "cgroup.procs", level / "cgroup.subtree_control")):
            return level
    return None


def _tried(host: CgroupHost, supervisors: Path | None) -> CgroupFound:
    """Limits on paper are not enough: a process must be able to move into a group."""
    probe = host.group(f"probe-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        probe.create(64 << 20, 1000, 16)
        command = "; ".join(f'echo 0 > "{folder}/cgroup.procs"' for folder in sorted(set(probe.folders.values())))
        result = subprocess.run(
            ["/bin/sh", "-e", "-c", command], capture_output=True, text=True, timeout=10, check=False
        )
    finally:
        probe.remove()
    if result.returncode != 0:
        return CgroupFound(None, None, result.stderr.strip() or "a process could not be moved into a new group")
    return CgroupFound(host, supervisors, None)
