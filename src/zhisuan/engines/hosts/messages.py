"""What head and host say to each other, as plain JSON values."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from zhisuan.engines.contract import ClusterNode, EngineReport, Observation, RunSpec
from zhisuan.engines.local.seat import Seat

PATH = "/hosts/v1"
VERSION = 1
ARTIFACTS, CHECKPOINT, FOLDER = "artifacts", "checkpoint", "folder:"
"""Which folder of a run is asked for; a volume's copy is named by its target, after ``FOLDER``."""


@dataclass(frozen=True, slots=True)
class Archive:
    """``number`` names it on the head; ``path`` is its place there, as the specification names it."""

    number: int
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RankOrder:
    """One rank for one host: ``spec`` names this host alone, and archives by their places on the head."""

    spec: RunSpec
    seat: Seat | None
    archives: tuple[Archive, ...] = ()
    """Also the folders of ``spec``, packed, each named as the place of its folder."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a host says of itself when it connects, and again when it is different. ``address``: where the other hosts
    reach it. ``orphan_grace_seconds`` and ``timeout_grace_seconds`` are those of its own engine."""

    version: int
    hostname: str
    address: str
    now: datetime
    node: ClusterNode
    report: EngineReport
    allow_unisolated: bool
    orphan_grace_seconds: int
    timeout_grace_seconds: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """One rank the head wants to hear of: ``logged`` bytes of its output are there already; ``digest`` is that of the
    view it had last."""

    lease_id: str
    generation: int
    logged: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One rank as its host sees it. ``seen`` is None where the host has no such run. ``log`` follows the bytes the head
    has; ``more``: there is further output to fetch."""

    lease_id: str
    generation: int
    digest: str
    seen: Observation | None
    ready: bool
    log: str
    more: bool

    def output(self) -> bytes:
        return b64decode(self.log)


@dataclass(frozen=True, slots=True)
class Views:
    """``others``: runs the host holds that it was not asked for, and whether each has ended."""

    views: tuple[View, ...]
    others: tuple[tuple[str, int, bool], ...]


ORDER = TypeAdapter(RankOrder)
INTRODUCTION = TypeAdapter(Introduction)
WANTED = TypeAdapter(tuple[Wanted, ...])
VIEWS = TypeAdapter(Views)
OBSERVATION = TypeAdapter(Observation)
SPEC = TypeAdapter(RunSpec)


def plain(adapter: TypeAdapter[Any], value: object) -> Any:
    return adapter.dump_python(value, mode="json")


def text_of(data: bytes) -> str:
    return b64encode(data).decode("ascii")
