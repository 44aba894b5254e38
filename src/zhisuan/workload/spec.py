"""A checked workload, as ``workload.reading`` makes it of a workload file and the database keeps it."""

from dataclasses import dataclass, field
from typing import Any

from zhisuan.workload.demands import Demands
from zhisuan.workload.survival import Survival
from zhisuan.workload.tasks import Tasks
from zhisuan.workload.volume_mounts import VolumeMount

DEFAULT_LEASE_SECONDS = 7200
DEFAULT_PRIORITY = 50


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """An endpoint: the port the work listens on and the path that answers 2xx once it is ready."""

    port: int
    readiness_path: str = "/health"


@dataclass(frozen=True, slots=True)
class Alternative:
    """What one node of the work would also be content with; units as in ``WorkloadSpec``."""

    cpus_milli: int
    memory_mib: int
    accelerators: tuple[tuple[str, int], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "cpus_milli": self.cpus_milli, "memory_mib": self.memory_mib, "accelerators": [list(a) for a in self.accelerators],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Alternative":
        cards = tuple((str(n), int(c)) for n, c in data["accelerators"])
        return cls(data["cpus_milli"], data["memory_mib"], cards)


@dataclass(frozen=True, slots=True)
class Where:
    """Wishes about sites, by id or name; see ``placement.alternatives.Wish``."""

    sites: tuple[str, ...] = ()
    standby: tuple[str, ...] = ()
    avoid_sites: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {name: list(getattr(self, name)) for name in ("sites", "standby", "avoid_sites", "regions")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Where":
        return cls(**{name: tuple(values) for name, values in data.items()})


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """A checked workload. CPUs in milli-cores, memory in MiB, accelerators as (name as written, count), all on each of its
    nodes. ``lease_seconds``: how long its site may be cut off before the work ends there and goes on elsewhere.

    ``alternatives``: several ways to be content, of which the first stands in the fields as well; none where there is only
    one. ``ordered``: they are in the order of preference. ``secrets``: the names only; the values are kept apart, sealed.
    ``priority``: among what waits of its organisation, 0 to 100."""

    name: str
    run: str
    setup: str | None
    envs: dict[str, str]
    cpus_milli: int
    memory_mib: int
    accelerators: tuple[tuple[str, int], ...]
    service: ServiceSpec | None
    workdir: str | None
    file_mounts: dict[str, str]
    artefacts: tuple[str, ...]
    max_seconds: int | None
    restarts: int
    num_nodes: int = 1
    lease_seconds: int = DEFAULT_LEASE_SECONDS
    alternatives: tuple[Alternative, ...] = ()
    ordered: bool = False
    where: Where = Where()
    secrets: tuple[str, ...] = ()
    survival: Survival = field(default_factory=Survival)
    volumes: tuple[VolumeMount, ...] = ()
    workspace: str | None = None
    tasks: Tasks | None = None
    demands: Demands = field(default_factory=Demands)
    priority: int = DEFAULT_PRIORITY

    @property
    def kind(self) -> str:
        if self.workspace:
            return "workspace"
        return "service" if self.service else "job"

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "run": self.run, "setup": self.setup, "envs": self.envs, "cpus_milli": self.cpus_milli,
            "memory_mib": self.memory_mib, "accelerators": [list(a) for a in self.accelerators],
            "service": {"port": self.service.port, "readiness_path": self.service.readiness_path} if self.service else None,
            "workdir": self.workdir, "file_mounts": self.file_mounts, "artefacts": list(self.artefacts),
            "max_seconds": self.max_seconds, "restarts": self.restarts, "num_nodes": self.num_nodes,
            "lease_seconds": self.lease_seconds, "alternatives": [a.as_dict() for a in self.alternatives],
            "ordered": self.ordered, "where": self.where.as_dict(), "secrets": list(self.secrets),
            "survival": self.survival.as_dict(), "volumes": [v.as_dict() for v in self.volumes],
            "workspace": self.workspace, "tasks": self.tasks.as_dict() if self.tasks else None,
            "demands": self.demands.as_dict(),
            "priority": self.priority,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "WorkloadSpec":
        return cls(
            name=data["name"], run=data["run"], setup=data["setup"], envs=data["envs"], cpus_milli=data["cpus_milli"],
            memory_mib=data["memory_mib"], accelerators=tuple((str(n), int(c)) for n, c in data["accelerators"]),
            service=ServiceSpec(**data["service"]) if data["service"] else None, workdir=data["workdir"],
            file_mounts=data["file_mounts"], artefacts=tuple(data["artefacts"]), max_seconds=data["max_seconds"],
            restarts=data["restarts"], num_nodes=data.get("num_nodes", 1),
            lease_seconds=data.get("lease_seconds", DEFAULT_LEASE_SECONDS),
            alternatives=tuple(Alternative.from_dict(a) for a in data.get("alternatives", [])),
            ordered=data.get("ordered", False), where=Where.from_dict(data.get("where", {})),
            secrets=tuple(data.get("secrets", [])), survival=Survival.from_dict(data.get("survival", {})),
            volumes=tuple(VolumeMount(**v) for v in data.get("volumes", ())), workspace=data.get("workspace"),
            tasks=Tasks(**data["tasks"]) if data.get("tasks") else None,
            demands=Demands.from_dict(data.get("demands", {})),
            priority=data.get("priority", DEFAULT_PRIORITY),
        )  # fmt: skip
