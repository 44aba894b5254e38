"""Iluvatar CoreX, by ``ixsmi --query-gpu … --format=csv,noheader,nounits`` (seen from IX-ML 3.0.1 to 4.4.0).

The tool follows nvidia-smi. The fields asked for are known to all releases seen; power goes by another name in each
line (``gpu.power.draw`` in 4.x, ``power.draw`` in 3.x), and counts of memory errors are refused. A card of two chips
(BI-V150) is listed chip by chip.
"""

from zhisuan.site.discovery.accelerators.common import (
    DeviceError,
    Finding,
    FormError,
    collect,
    device_unreadable,
    milliwatts,
    tool_failed,
    unknown_format,
    whole_number,
    whole_part,
)
from zhisuan.site.discovery.accelerators.queries import ask, refused_field, rows
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator

TOOL = "ixsmi"
FIELDS: tuple[str, ...] = (
    "index",
    "uuid",
    "name",
    "memory.total",
    "memory.used",
    "utilization.gpu",
    "temperature.gpu",
    "pci.bus_id",
    "driver_version",
    "gpu.power.draw",
    "power.draw",
)
_OPTIONAL = frozenset({"pci.bus_id", "driver_version", "gpu.power.draw", "power.draw"})


def find(reader: HostReader) -> Finding:
    result, fields = ask(reader, TOOL, FIELDS, _OPTIONAL)
    if result.outcome == "missing":
        return Finding()
    if refused_field(result):
        told = result.stdout + result.stderr
        return Finding(problems=(unknown_format(TOOL, "a driver that knows the basic query fields", told),))
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    return parse(result.stdout, fields)


def parse(output: str, fields: tuple[str, ...] = FIELDS) -> Finding:
    return collect(TOOL, None, rows(output, fields), _device)


def _device(row: dict[str, str] | None) -> Accelerator:
    if row is None:
        raise FormError("as many values a line as fields asked for", "another number of values")
    index, uuid, name = whole_number(row["index"]), row["uuid"], row["name"]
    if index is None or not uuid.startswith("GPU-") or not name:
        raise FormError("index, uuid and name at the start of a line", ", ".join(row.values()))
    memory, used = whole_number(row["memory.total"]), whole_number(row["memory.used"])
    if memory is None and row["memory.total"] not in ("N/A", "[N/A]"):
        raise FormError("whole MiB in memory.total", row["memory.total"])
    if not memory:
        raise DeviceError(device_unreadable(TOOL, f"GPU {index} ({name})", "gives no memory size", "没有给出显存大小"))
    bus = row.get("pci.bus_id", "")
    return Accelerator(
        key=uuid,
        vendor="iluvatar",
        index=index,
        name=name,
        memory_mib=memory,
        memory_used_mib=used,
        power_limit_milliwatts=None,
        driver_version=row.get("driver_version") or None,
        compute_capability=None,
        bus_id=bus if ":" in bus else None,
        health="ok",
        tool=TOOL,
        utilization_percent=whole_part(row["utilization.gpu"]),
        temperature_celsius=whole_part(row["temperature.gpu"]),
        power_draw_milliwatts=milliwatts(row.get("gpu.power.draw") or row.get("power.draw") or ""),
    )
