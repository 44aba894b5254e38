"""Results of the probes: frozen values in whole numbers, with their plain form."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from zhisuan.base.text import Text
from zhisuan.site.discovery.types import Problem

DeviceKind = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """The rate of dense matrix products on one device in one precision.

    ``mflops`` is 10⁶ floating-point operations a second, from the median of ``repeats`` products of two
    ``size_n × size_n`` matrices; ``mflops_best`` from the fastest of them. ``duration_ms`` is the whole probe of this
    precision. ``device_index`` is the accelerator's index, 0 for the processor.
    """

    device_kind: DeviceKind
    device_index: int
    precision: str
    mflops: int
    mflops_best: int
    method: str
    size_n: int
    repeats: int
    duration_ms: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BandwidthMeasurement:
    """Main-memory bandwidth of one kernel in 10⁶ bytes a second, from the fastest of ``repeats``.

    ``exceeds_cache`` says whether each array is at least four times the largest cache, as STREAM asks.
    """

    kernel: Literal["copy", "triad"]
    megabytes_per_second: int
    method: str
    array_bytes: int
    threads: int
    repeats: int
    exceeds_cache: bool
    duration_ms: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DiskMeasurement:
    """Sequential speed of a folder's disk in 10⁶ bytes a second.

    Writing includes the ``fsync`` at its end. Reading is ``None`` where the system cannot be told to forget the cached
    file, since that would measure memory.
    """

    path: str
    write_megabytes_per_second: int
    read_megabytes_per_second: int | None
    bytes_written: int
    method: str
    duration_ms: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Progress:
    """Step ``step`` of ``steps`` has begun (or says more): ``what`` in both languages."""

    step: int
    steps: int
    what: Text


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Everything that was measured, and everything that could not be."""

    measurements: tuple[Measurement, ...]
    memory: tuple[BandwidthMeasurement, ...]
    disk: DiskMeasurement | None
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "measurements": [m.to_json() for m in self.measurements],
            "memory": [m.to_json() for m in self.memory],
            "disk": None if self.disk is None else self.disk.to_json(),
            "problems": [p.to_json() for p in self.problems],
        }
