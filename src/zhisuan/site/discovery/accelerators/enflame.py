"""Enflame, by ``efsmi -q`` (form of version 1.4.3.4; older drivers say Mem Size and Mem Usage for Total and Used Size).

A block a device, headed ``DEV ID n``, with ``Key : value`` lines. ``Health`` is ``True`` or ``False``. Hosts of the older
T20 have ``topscloud_smi`` instead: no output of it is documented, so its devices are told and not read.
"""

import re

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators.common import (
    DeviceError,
    Finding,
    FormError,
    collect,
    device_unreadable,
    milliwatts,
    run_tool,
    said,
    tool_failed,
    unknown_format,
    whole_number,
    whole_part,
)
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator, Health, Problem

TOOL = "efsmi"
COMMAND = (TOOL, "-q")
OLDER_TOOL = "topscloud_smi"
OLDER_COMMAND = (OLDER_TOOL, "--version")
_DEVICE = re.compile(r"^DEV ID (\d+)\s*$", re.MULTILINE)
_MEMORY = re.compile(r"(\d+) MiB")
_HEALTH: dict[str, Health] = {"True": "ok", "False": "failed"}


def find(reader: HostReader) -> Finding:
    result = run_tool(reader, COMMAND)
    if result.outcome == "missing":
        return Finding(problems=_older(reader))
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    return parse(result.stdout)


def _older(reader: HostReader) -> tuple[Problem, ...]:
    if run_tool(reader, OLDER_COMMAND).outcome == "missing":
        return ()
    return (
        Problem(
            OLDER_TOOL,
            "undocumented_tool",
            Text(
                f"{OLDER_TOOL} is installed, and the form of its output is not documented: its devices are not read.",
                f"已安装 {OLDER_TOOL}，但其输出格式没有公开文档，因此不读取其设备。",
            ),
            Text(
                "Install efsmi with a newer driver, or report the output of the tool so that its form can be added.",
                "请安装带 efsmi 的新版驱动，或反馈该工具的输出以便支持。",
            ),
        ),
    )


def parse(output: str) -> Finding:
    parts = _DEVICE.split(output)
    entries = list(zip(parts[1::2], parts[2::2], strict=True))
    if not entries:
        return Finding(problems=(unknown_format(TOOL, "blocks headed DEV ID", output),))
    version = re.search(r"^\s+Ver\s*:\s*(\S+)\s*$", output, re.MULTILINE)
    return collect(TOOL, version[1] if version else None, entries, lambda entry: _device(*entry))


def _device(number: str, block: str) -> Accelerator:
    values: dict[str, str] = {}
    for line in block.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), value.strip())
    name, uuid = values.get("Dev Name"), values.get("Dev UUID")
    total = _MEMORY.fullmatch(values.get("Total Size") or values.get("Mem Size") or "")
    used = _MEMORY.fullmatch(values.get("Used Size") or values.get("Mem Usage") or "")
    if not name or not uuid or "Health" not in values:
        raise FormError("Dev Name, Dev UUID and Health of every device", f"DEV ID {number}: {sorted(values)}")
    if total is None or int(total[1]) == 0:
        raise DeviceError(device_unreadable(TOOL, f"DEV {number} ({name})", "gives no memory size", "没有给出显存大小"))
    health = _HEALTH.get(values["Health"], "unknown")
    bus = ":".join(values.get(part, "") for part in ("Domain", "Bus", "Dev")) + f".{values.get('Func', '')}"
    return Accelerator(
        key=f"enflame:{uuid}",
        vendor="enflame",
        index=int(number),
        name=name,
        memory_mib=int(total[1]),
        memory_used_mib=int(used[1]) if used else None,
        power_limit_milliwatts=milliwatts(values.get("Power Capa", "").rstrip("W")),
        driver_version=values.get("Ver"),
        compute_capability=None,
        bus_id=bus if re.fullmatch(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]", bus) else None,
        health=health,
        tool=TOOL,
        health_reason=None if health == "ok" else said(f"Health {values['Health']}"),
        utilization_percent=whole_part(values.get("GCU Usage", "").rstrip("%")),
        temperature_celsius=whole_number(values.get("GCU Temp", "").split(" ")[0]),
        power_draw_milliwatts=milliwatts(values.get("Cur Power", "").rstrip("W")),
    )
