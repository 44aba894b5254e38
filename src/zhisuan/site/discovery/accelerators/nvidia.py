"""NVIDIA, by ``nvidia-smi --query-gpu … --format=csv,noheader,nounits`` (man page nvidia-smi(1), "--help-query-gpu").

One line a device, values parted by a comma and a blank, memory in MiB, power in W. A value that a device does not have
is ``[N/A]``, ``[Not Supported]``, ``[Insufficient Permissions]`` or ``[Unknown Error]``; a lost device gives
``[GPU is lost]``.
"""

import re

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators.common import (
    Finding,
    device_unreadable,
    milliwatts,
    run_tool,
    tool_failed,
    unknown_format,
    whole_number,
)
from zhisuan.site.discovery.reader import HostReader, ToolResult
from zhisuan.site.discovery.types import Accelerator, Problem

TOOL = "nvidia-smi"
FIELDS: tuple[str, ...] = (
    "index",
    "uuid",
    "name",
    "memory.total",
    "memory.used",
    "power.limit",
    "driver_version",
    "compute_cap",
    "pci.bus_id",
    "mig.mode.current",
)
# Fields that drivers before R470 (mig.mode) or R510 (compute_cap) do not know; without them the rest is still good.
_OPTIONAL = frozenset({"compute_cap", "mig.mode.current"})
_REFUSED = re.compile(r'Field "([^"]+)" is not a valid field to query')
_NONE_FOUND = "No devices were found"


def command(fields: tuple[str, ...]) -> tuple[str, ...]:
    return (TOOL, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def find(reader: HostReader) -> Finding:
    fields = FIELDS
    result = run_tool(reader, command(fields))
    # The tool names one refused field a run.
    for _ in _OPTIONAL:
        refused = _REFUSED.search(result.stdout + result.stderr)
        if refused is None or refused[1] not in _OPTIONAL:
            break
        fields = tuple(field for field in fields if field != refused[1])
        result = run_tool(reader, command(fields))
    if result.outcome == "missing":
        return Finding()
    if _NONE_FOUND in result.stdout + result.stderr:
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(_failure(result),))
    return parse(result.stdout, fields)


def _failure(result: ToolResult) -> Problem:
    if _REFUSED.search(result.stdout + result.stderr):
        return unknown_format(TOOL, "a driver that knows the basic query fields", result.stdout + result.stderr)
    return tool_failed(TOOL, result)


def parse(output: str, fields: tuple[str, ...] = FIELDS) -> Finding:
    """Devices out of the tool's lines; one line of another shape makes the whole answer an unknown format."""
    devices: list[Accelerator] = []
    problems: list[Problem] = []
    lines = [line for line in output.splitlines() if line.strip()]
    for line in lines:
        values = [value.strip() for value in line.split(",")]
        if len(values) != len(fields):
            return Finding(problems=(unknown_format(TOOL, f"{len(fields)} values a line", line),))
        row = dict(zip(fields, values, strict=True))
        outcome = _device(row)
        if isinstance(outcome, Accelerator):
            devices.append(outcome)
        elif outcome.code == "unknown_format":
            return Finding(problems=(outcome,))
        else:
            problems.append(outcome)
    if not lines:
        return Finding(problems=(unknown_format(TOOL, "one line a device", output),))
    if len({device.key for device in devices}) != len(devices):
        return Finding(problems=(unknown_format(TOOL, "a different UUID for every device", output),))
    return Finding(tuple(devices), tuple(problems))


def _device(row: dict[str, str]) -> Accelerator | Problem:
    index, uuid = whole_number(row["index"]), row["uuid"]
    if index is None or not uuid or not row["name"]:
        return unknown_format(TOOL, "index, uuid and name at the start of a line", ", ".join(row.values()))
    label = f"GPU {index} ({row['name']})"
    if "lost" in uuid.lower() or not uuid.startswith("GPU-"):
        return device_unreadable(TOOL, f"GPU {index}", f"cannot read it: {uuid}", f"无法读取：{uuid}")
    memory = whole_number(row["memory.total"])
    if memory is None:
        if not row["memory.total"].startswith("["):
            return unknown_format(TOOL, "whole MiB in memory.total", row["memory.total"])
        text = row["memory.total"]
        return device_unreadable(TOOL, label, f"gives no memory size: {text}", f"没有给出显存大小：{text}")
    if row.get("mig.mode.current") == "Enabled":
        return _partitioned(label)
    return Accelerator(
        key=uuid,
        vendor="nvidia",
        index=index,
        name=row["name"],
        memory_mib=memory,
        memory_used_mib=whole_number(row["memory.used"]),
        power_limit_milliwatts=milliwatts(row["power.limit"]),
        driver_version=_given(row["driver_version"]),
        compute_capability=_given(row.get("compute_cap", "")),
        bus_id=_given(row["pci.bus_id"]),
        health="ok",
        tool=TOOL,
    )


def _given(value: str) -> str | None:
    return None if not value or value.startswith("[") or value == "N/A" else value


def _partitioned(label: str) -> Problem:
    return Problem(
        TOOL,
        "device_partitioned",
        Text(
            f"{label} is split by MIG, so it cannot be offered as a whole card.",
            f"{label} 已开启 MIG 切分，不能作为整卡上架。",
        ),
        Text(
            "Switch MIG off for this card (nvidia-smi -i INDEX -mig 0) and run discovery again.",
            "请关闭该卡的 MIG（nvidia-smi -i 序号 -mig 0）后重新发现设备。",
        ),
    )
