"""The facts of one host: frozen values, whole numbers, unit in the name; ``to_json`` gives the plain form."""

from dataclasses import dataclass
from typing import Any, Literal

from zhisuan.base.text import Text

Health = Literal["ok", "degraded", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read, with its source, a stable code, what happened and what to do."""

    source: str
    code: str
    what: Text
    remedy: Text

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "code": self.code,
            "what": self.what.as_dict(),
            "remedy": self.remedy.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class OsFacts:
    """``name`` and ``version`` as the system calls itself, ``kernel`` its release, ``architecture`` the machine's."""

    name: str
    version: str
    kernel: str
    architecture: str

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "kernel": self.kernel,
            "architecture": self.architecture,
        }


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """The processor.

    ``cores_logical`` counts hardware threads that are online; ``cores_allowed`` those this process may run on
    (affinity); ``quota_millicores`` is the tightest cgroup limit; ``cores_usable`` is what can be promised to work:
    the smaller of allowed and whole quota cores, at least 1. ``None`` means that the host does not say.
    """

    model: str
    vendor: str
    sockets: int | None
    cores_physical: int | None
    cores_logical: int
    cores_allowed: int
    quota_millicores: int | None
    flags: tuple[str, ...]

    @property
    def cores_usable(self) -> int:
        if self.quota_millicores is None:
            return self.cores_allowed
        return max(1, min(self.cores_allowed, self.quota_millicores // 1000))

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "vendor": self.vendor,
            "sockets": self.sockets,
            "cores_physical": self.cores_physical,
            "cores_logical": self.cores_logical,
            "cores_allowed": self.cores_allowed,
            "quota_millicores": self.quota_millicores,
            "cores_usable": self.cores_usable,
            "flags": list(self.flags),
        }


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Main memory: the host's, and the tightest cgroup limit where one is set."""

    total_mib: int
    limit_mib: int | None

    @property
    def usable_mib(self) -> int:
        return self.total_mib if self.limit_mib is None else min(self.total_mib, self.limit_mib)

    def to_json(self) -> dict[str, Any]:
        return {"total_mib": self.total_mib, "limit_mib": self.limit_mib, "usable_mib": self.usable_mib}


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The file system that holds ``path``; ``free_mib`` is what an ordinary user may still write."""

    path: str
    total_mib: int
    free_mib: int

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "total_mib": self.total_mib, "free_mib": self.free_mib}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One schedulable accelerator as its vendor's tool shows it.

    ``key`` is stable across restarts of the host (a UUID, else vendor and bus address); ``index`` is the number that
    the vendor's run-time uses to select the device. ``power_limit_milliwatts`` is the limit now in force.

    ``health`` follows the tool's own words; ``health_reason`` says them where it is not ``ok``. ``memory_idle_mib`` is
    what the driver may hold on a card that nobody uses, and ``process_memory_mib`` what the processes hold that the tool
    lists, ``None`` where it lists none or was not asked. Load, temperature and power are of the moment.
    """

    key: str
    vendor: str
    index: int
    name: str
    memory_mib: int
    memory_used_mib: int | None
    power_limit_milliwatts: int | None
    driver_version: str | None
    compute_capability: str | None
    bus_id: str | None
    health: Health
    tool: str
    health_reason: Text | None = None
    memory_idle_mib: int = 0
    process_memory_mib: int | None = None
    utilization_percent: int | None = None
    temperature_celsius: int | None = None
    power_draw_milliwatts: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "vendor": self.vendor,
            "index": self.index,
            "name": self.name,
            "memory_mib": self.memory_mib,
            "memory_used_mib": self.memory_used_mib,
            "power_limit_milliwatts": self.power_limit_milliwatts,
            "driver_version": self.driver_version,
            "compute_capability": self.compute_capability,
            "bus_id": self.bus_id,
            "health": self.health,
            "tool": self.tool,
            "health_reason": None if self.health_reason is None else self.health_reason.as_dict(),
            "memory_idle_mib": self.memory_idle_mib,
            "process_memory_mib": self.process_memory_mib,
            "utilization_percent": self.utilization_percent,
            "temperature_celsius": self.temperature_celsius,
            "power_draw_milliwatts": self.power_draw_milliwatts,
        }


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Everything discovery found, and everything it could not read."""

    hostname: str
    boot_id: str | None
    os: OsFacts
    cpu: CpuFacts
    memory: MemoryFacts
    disk: DiskFacts | None
    accelerators: tuple[Accelerator, ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "hostname": self.hostname,
            "boot_id": self.boot_id,
            "os": self.os.to_json(),
            "cpu": self.cpu.to_json(),
            "memory": self.memory.to_json(),
            "disk": None if self.disk is None else self.disk.to_json(),
            "accelerators": [a.to_json() for a in self.accelerators],
            "problems": [p.to_json() for p in self.problems],
        }
