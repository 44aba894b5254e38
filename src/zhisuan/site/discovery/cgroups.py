"""The limits that control groups put on this process: CPU quota and memory, versions 1 and 2.

Formats: cgroups(7) and proc(5) of the Linux manual, and the kernel's ``admin-guide/cgroup-v2.rst``. A limit of any
group on the way up to the root holds, so the tightest one counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zhisuan.site.discovery.reader import HostReader

# Version 1 says "no limit" with the largest page-aligned number; no machine has an exbibyte.
_V1_MEMORY_UNLIMITED = 1 << 60
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """``None`` where nothing limits."""

    cpu_millicores: int | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Mount:
    """One control-group file system: its root inside the hierarchy and where it is mounted."""

    root: str
    point: str
    version: int
    controllers: frozenset[str]


def parse_mounts(mountinfo: str) -> tuple[Mount, ...]:
    """The control-group mounts of ``/proc/self/mountinfo``; lines of another form are passed over."""
    mounts = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if not separator or len(left) < 6 or len(right) < 3 or right[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = frozenset(right[2].split(",")) - {"rw", "ro"} if right[0] == "cgroup" else frozenset[str]()
        mounts.append(Mount(_unescape(left[3]), _unescape(left[4]), 1 if right[0] == "cgroup" else 2, controllers))
    return tuple(mounts)


def _unescape(path: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)


def parse_memberships(text: str) -> dict[str, str]:
    """``/proc/self/cgroup`` as controller → path; version 2's one path is under the key ``""``."""
    memberships = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and parts[2].startswith("/"):
            for controller in parts[1].split(","):
                memberships[controller] = parts[2]
    return memberships


def folders(mount: Mount, path: str) -> Iterator[str]:
    """The folders of a group under its mount, from the group itself up to the mount point."""
    inside = path.strip("/") if mount.root == "/" else _below(mount.root, path)
    # A path that leads out of what is mounted here ("/../…") leaves only the mount point to look at.
    parts = [] if inside is None or ".." in inside.split("/") else [part for part in inside.split("/") if part]
    for depth in range(len(parts), -1, -1):
        yield "/".join([mount.point.rstrip("/"), *parts[:depth]])


def _below(root: str, path: str) -> str | None:
    if path == root:
        return ""
    return path[len(root) + 1 :] if path.startswith(root + "/") else None


def parse_cpu_max(text: str) -> int | None:
    """``cpu.max`` of version 2, ``"150000 100000"`` or ``"max 100000"``, in thousandths of a core."""
    parts = text.split()
    if len(parts) == 2 and parts[0].isdecimal() and parts[1].isdecimal() and int(parts[1]) > 0:
        return int(parts[0]) * 1000 // int(parts[1])
    return None


def parse_cfs(quota: str, period: str) -> int | None:
    """``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` of version 1 in thousandths of a core; a quota of -1 is none."""
    if quota.strip().isdecimal() and period.strip().isdecimal() and int(period) > 0:
        return int(quota) * 1000 // int(period)
    return None


def parse_memory(text: str) -> int | None:
    """``memory.max`` or ``memory.limit_in_bytes`` in bytes; ``max`` and version 1's huge number are no limit."""
    value = text.strip()
    if not value.isdecimal() or int(value) >= _V1_MEMORY_UNLIMITED:
        return None
    return int(value)


def read_limits(reader: HostReader) -> CgroupLimits:
    """The tightest CPU and memory limits on the reading process."""
    mounts = parse_mounts(reader.read_text("/proc/self/mountinfo") or "")
    memberships = parse_memberships(reader.read_text("/proc/self/cgroup") or "")
    cpu: list[int] = []
    memory: list[int] = []
    for mount in mounts:
        if mount.version == 2 and "" in memberships:
            for folder in folders(mount, memberships[""]):
                _keep(cpu, parse_cpu_max(reader.read_text(f"{folder}/cpu.max") or ""))
                _keep(memory, parse_memory(reader.read_text(f"{folder}/memory.max") or ""))
        if mount.version == 1 and "cpu" in mount.controllers and "cpu" in memberships:
            for folder in folders(mount, memberships["cpu"]):
                quota = reader.read_text(f"{folder}/cpu.cfs_quota_us") or ""
                _keep(cpu, parse_cfs(quota, reader.read_text(f"{folder}/cpu.cfs_period_us") or ""))
        if mount.version == 1 and "memory" in mount.controllers and "memory" in memberships:
            for folder in folders(mount, memberships["memory"]):
                _keep(memory, parse_memory(reader.read_text(f"{folder}/memory.limit_in_bytes") or ""))
    return CgroupLimits(min(cpu, default=None), min(memory, default=None))


def _keep(limits: list[int], value: int | None) -> None:
    if value is not None:
        limits.append(value)
