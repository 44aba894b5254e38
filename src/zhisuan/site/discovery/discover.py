"""Discovery of one host: reads, no writes, no network; every part that cannot be read is a problem, never a guess."""

from pathlib import PurePath

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators import find_accelerators
from zhisuan.site.discovery.cgroups import read_limits
from zhisuan.site.discovery.cpu import read_processor
from zhisuan.site.discovery.reader import HostBasics, HostReader
from zhisuan.site.discovery.types import CpuFacts, DiskFacts, HostFacts, MemoryFacts, OsFacts, Problem

_MIB = 1024**2
# The source of the one problem that no accelerator's tool has.
DISK = "disk"


def discover(reader: HostReader, *, data_dir: str) -> HostFacts:
    """The facts of the host behind ``reader``; the disk is the one that holds (or will hold) ``data_dir``."""
    basics = reader.basics()
    limits = read_limits(reader)
    processor = read_processor(reader)
    accelerators, problems = find_accelerators(reader)
    disk = _disk(reader, data_dir)
    if disk is None:
        problems = (*problems, _no_disk(data_dir))
    return HostFacts(
        hostname=basics.hostname,
        boot_id=(reader.read_text("/proc/sys/kernel/random/boot_id") or "").strip() or None,
        os=_os(reader, basics),
        cpu=CpuFacts(
            model=processor.model,
            vendor=processor.vendor,
            sockets=processor.sockets,
            cores_physical=processor.cores_physical,
            cores_logical=basics.cores_logical,
            cores_allowed=basics.cores_allowed,
            quota_millicores=limits.cpu_millicores,
            flags=processor.flags,
        ),
        memory=MemoryFacts(
            total_mib=_memory_bytes(reader, basics) // _MIB,
            limit_mib=None if limits.memory_bytes is None else limits.memory_bytes // _MIB,
        ),
        disk=disk,
        accelerators=accelerators,
        problems=problems,
    )


def _os(reader: HostReader, basics: HostBasics) -> OsFacts:
    """Name and version from ``/etc/os-release`` (os-release(5)), else what the run-time says."""
    release: dict[str, str] = {}
    for line in (reader.read_text("/etc/os-release") or "").splitlines():
        key, separator, value = line.strip().partition("=")
        if separator and not key.startswith("#"):
            release[key] = value.strip("\"'")
    return OsFacts(
        name=release.get("NAME") or basics.system,
        version=release.get("VERSION_ID") or (basics.version if "NAME" not in release else ""),
        kernel=basics.release,
        architecture=basics.architecture,
    )


def _memory_bytes(reader: HostReader, basics: HostBasics) -> int:
    for line in (reader.read_text("/proc/meminfo") or "").splitlines():
        parts = line.split()
        if len(parts) >= 2 and parts[0] == "MemTotal:" and parts[1].isdecimal():
            return int(parts[1]) * 1024
    return basics.memory_bytes


def _disk(reader: HostReader, data_dir: str) -> DiskFacts | None:
    """The nearest folder on the way up that exists answers for a data folder that is still to be made."""
    for folder in (PurePath(data_dir), *PurePath(data_dir).parents):
        sizes = reader.disk_bytes(str(folder))
        if sizes is not None:
            return DiskFacts(data_dir, sizes[0] // _MIB, sizes[1] // _MIB)
    return None


def _no_disk(data_dir: str) -> Problem:
    return Problem(
        source=DISK,
        code="disk_unreadable",
        what=Text(
            f"The size of the disk that holds {data_dir} cannot be read.",
            f"无法读取 {data_dir} 所在磁盘的容量。",
        ),
        remedy=Text(
            "Choose a data folder on a local file system that this user may read.",
            "请把数据目录放在当前用户可读的本地文件系统上。",
        ),
    )
