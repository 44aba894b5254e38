"""What an agent reports of a site, in the terms of this package (the wire messages are turned into these at the edge)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """``measurements`` are (precision, 10⁶ FLOP/s, method, time)."""

    key: str
    kind: str
    class_id: str | None
    name: str
    capacity: int
    memory_mib: int | None
    health: str
    note: str | None
    measurements: tuple[tuple[str, int, str, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeRecord:
    hostname: str
    boot_id: str
    facts: dict[str, Any]
    devices: tuple[DeviceRecord, ...]


@dataclass(frozen=True, slots=True)
class EngineRecord:
    engine: str
    version: str
    isolation: str
    allow_unisolated: bool
    limits: dict[str, Any]
    problems: tuple[dict[str, str], ...]
    nodes_max: int = 1
    jupyterlab: bool | None = None
    shells: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "version": self.version,
            "isolation": self.isolation,
            "allow_unisolated": self.allow_unisolated,
            "limits": self.limits,
            "problems": list(self.problems),
            "nodes_max": self.nodes_max,
            "jupyterlab": self.jupyterlab,
            "shells": self.shells,
        }
