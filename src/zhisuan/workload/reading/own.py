"""``zhisuan``: our own fields."""

from dataclasses import dataclass
from typing import Any

from zhisuan.workload.reading.demands import DEMANDS
from zhisuan.workload.reading.reader import Reader, is_whole, read_duration
from zhisuan.workload.reading.where import WHERE, read_where
from zhisuan.workload.spec import DEFAULT_LEASE_SECONDS, DEFAULT_PRIORITY, Where

PRIORITY_MAX = 100
DURATION_SECONDS_MAX = 30 * 86400
LEASE_SECONDS_MIN, LEASE_SECONDS_MAX = 120, 7 * 86400
OWN = {
    "artefacts",
    "artifacts",
    "lease",
    "max_duration",
    "priority",
    "restarts",
    "workspace",
    "tasks",
    "checkpoint",
    "grace",
    "on_stop",
    "retries",
    "stop_at",
    *WHERE,
    *DEMANDS,
}


@dataclass(frozen=True, slots=True)
class Own:
    """What stands below ``zhisuan``, named as in ``WorkloadSpec``."""

    artefacts: tuple[str, ...]
    max_seconds: int | None
    lease_seconds: int
    restarts: int
    where: Where
    priority: int


def read_own(reader: Reader, value: Any) -> Own:
    data = reader.mapping("zhisuan", value)
    reader.known("zhisuan.", data, OWN, {})
    return Own(
        artefacts=read_artefacts(reader, data),
        max_seconds=read_duration(reader, "max_duration", data.get("max_duration"), 1, DURATION_SECONDS_MAX),
        lease_seconds=read_duration(reader, "lease", data.get("lease"), LEASE_SECONDS_MIN, LEASE_SECONDS_MAX)
        or DEFAULT_LEASE_SECONDS,
        restarts=read_restarts(reader, data),
        where=read_where(reader, data),
        priority=read_priority(reader, data),
    )


def read_priority(reader: Reader, own: dict[str, Any]) -> int:
    priority = own.get("priority", DEFAULT_PRIORITY)
    if not is_whole(priority) or not 0 <= priority <= PRIORITY_MAX:
        reader.wrong("zhisuan.priority", f"is a whole number from 0 to {PRIORITY_MAX}", f"须为 0 到 {PRIORITY_MAX} 的整数")
        return DEFAULT_PRIORITY
    return int(priority)


def read_restarts(reader: Reader, own: dict[str, Any]) -> int:
    restarts = own.get("restarts", 3)
    if not is_whole(restarts) or not 0 <= restarts <= 20:
        reader.wrong("zhisuan.restarts", "is a whole number from 0 to 20", "须为 0 到 20 的整数")
        return 0
    return int(restarts)


def read_artefacts(reader: Reader, own: dict[str, Any]) -> tuple[str, ...]:
    if "artefacts" in own and "artifacts" in own:
        reader.wrong(
            "zhisuan.artifacts", "is another name of artefacts; give one of them", "与 artefacts 含义相同，只能填写一个"
        )
    value = own.get("artefacts", own.get("artifacts", []))
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        reader.wrong("zhisuan.artefacts", "takes a list of paths below the artefact folder", "须为产物目录下的路径列表")
        return ()
    for path in value:
        if path.startswith("/") or ".." in path.split("/"):
            reader.wrong("zhisuan.artefacts", f"{path} leaves the artefact folder", f"{path} 超出了产物目录")
    return tuple(value)
