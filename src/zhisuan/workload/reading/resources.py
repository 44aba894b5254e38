"""``resources``: what each node of the work takes, and what it would take instead."""

from dataclasses import dataclass
from typing import Any

from zhisuan.workload.reading.reader import WHOLE, Reader, is_whole, read_amount, scalar
from zhisuan.workload.reading.refused import RESOURCES_REFUSED
from zhisuan.workload.spec import Alternative

DEFAULT_CPUS_MILLI = 1000
DEFAULT_MEMORY_MIB = 2048
ALTERNATIVES_MAX = 16
RESOURCES = {
    "cpus",
    "memory",
    "accelerators",
    "ports",
    "any_of",
    "ordered",
    "autostop",
    "job_recovery",
    "use_spot",
}
ALTERNATIVE = {"cpus", "memory", "accelerators"}
Cards = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Resources:
    """What stands below ``resources``, named as in ``WorkloadSpec``."""

    cpus_milli: int
    memory_mib: int
    accelerators: Cards
    port: int | None
    alternatives: tuple[Alternative, ...]
    ordered: bool


def read_resources(reader: Reader, value: Any) -> Resources:
    data = reader.mapping("resources", value)
    reader.known("resources.", data, RESOURCES, RESOURCES_REFUSED)
    beside = Alternative(
        read_amount(reader, "resources.cpus", data.get("cpus"), 1000, DEFAULT_CPUS_MILLI),
        read_amount(reader, "resources.memory", data.get("memory"), 1024, DEFAULT_MEMORY_MIB),
        (),
    )
    kinds, ordered = read_accelerators(reader, "resources.accelerators", data.get("accelerators"))
    found = [Alternative(beside.cpus_milli, beside.memory_mib, cards) for cards in kinds]
    given = [name for name in ("any_of", "ordered") if data.get(name) is not None]
    if len(given) == 2:
        reader.wrong("resources.ordered", "stands beside any_of; write one of them", "与 any_of 不能同时使用")
    elif given:
        if len(found) > 1:
            where = f"resources.{given[0]}"
            reader.wrong(
                where, "stands beside several accelerators; write them inside it", "与多种加速卡并列；请把它们写入其中"
            )
        ordered = given == ["ordered"]
        found = read_alternatives(reader, f"resources.{given[0]}", data[given[0]], found[0])
    distinct = tuple(dict.fromkeys(found))
    if len(distinct) > ALTERNATIVES_MAX:
        reader.wrong(
            "resources", f"has more than {ALTERNATIVES_MAX} alternatives", f"的备选超过 {ALTERNATIVES_MAX} 个"
        )
    first = distinct[0] if distinct else beside
    several = len(distinct) > 1
    return Resources(
        first.cpus_milli, first.memory_mib, first.accelerators, read_port(reader, data.get("ports")),
        distinct if several else (), several and ordered,
    )  # fmt: skip


def read_alternatives(reader: Reader, where: str, value: Any, beside: Alternative) -> list[Alternative]:
    """Each entry takes what it does not name from what stands beside the list."""
    if not isinstance(value, list) or not value:
        reader.wrong(where, "takes a list such as [{accelerators: A100}, {cpus: 8}]", "须为列表，例如 [{accelerators: A100}, {cpus: 8}]")
        return [beside]
    found = []
    for number, entry in enumerate(value):
        here = f"{where}[{number}]"
        data = reader.mapping(here, entry)
        reader.known(f"{here}.", data, ALTERNATIVE, RESOURCES_REFUSED)
        kinds = [beside.accelerators]
        if "accelerators" in data:
            kinds, _ = read_accelerators(reader, f"{here}.accelerators", data["accelerators"])
            if len(kinds) > 1:
                reader.wrong(f"{here}.accelerators", "takes one kind here; write another entry", "此处只能写一种；请另写一项")
        found.append(
            Alternative(
                read_amount(reader, f"{here}.cpus", data.get("cpus"), 1000, beside.cpus_milli),
                read_amount(reader, f"{here}.memory", data.get("memory"), 1024, beside.memory_mib),
                kinds[0],
            )
        )
    return found


def read_port(reader: Reader, ports: Any) -> int | None:
    if isinstance(ports, list) and len(ports) == 1:
        ports = ports[0]
    if ports is None:
        return None
    if isinstance(ports, str) and WHOLE.fullmatch(ports):
        ports = int(ports)
    if is_whole(ports) and 1024 <= ports <= 65535:
        return int(ports)
    reader.wrong("resources.ports", "takes one port from 1024 to 65535", "须为 1024 到 65535 的单个端口")
    return None


def read_accelerators(reader: Reader, where: str, value: Any) -> tuple[list[Cards], bool]:
    """The kinds, each by itself, and whether they are ordered.

    ``A100``, ``A100:2`` and ``{A100: 2}`` are one kind; a list is ordered by preference; a mapping or a set
    (``{A100:1, V100:1}``, in YAML a mapping to nothing) of several is any of them, as SkyPilot has it.
    """
    if value is None:
        return [()], False
    if isinstance(value, list) and value:
        return [_kind(reader, where, one) for one in value], True
    if isinstance(value, dict) and value:
        written = {str(name): count for name, count in value.items()}
        return [_kind(reader, where, n if count is None else {n: count}) for n, count in written.items()], False
    return [_kind(reader, where, value)], False


def _kind(reader: Reader, where: str, value: Any) -> Cards:
    """One kind: a name with a count of whole cards, 1 where there is none."""
    if isinstance(value, str):
        name, _, count = value.partition(":")
        pair: tuple[str, Any] = (name.strip(), count.strip() or "1")
    elif isinstance(value, dict) and len(value) == 1:
        pair = next((str(name), count) for name, count in value.items())
    else:
        reader.wrong(where, "takes kinds such as A100:1", "须为 A100:1 之类的加速卡")
        return ()
    name, text = pair[0], scalar(pair[1])
    if not name or not WHOLE.fullmatch(text) or not 1 <= int(text) <= 1024:
        reader.wrong(where, "takes a name and a whole number of cards, such as A100:1", "须为名称和整卡数量，例如 A100:1")
        return ()
    return ((name, int(text)),)
