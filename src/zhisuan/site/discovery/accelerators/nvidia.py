"""NVIDIA, by ``nvidia-smi --query-gpu … --format=csv,noheader,nounits`` (man page nvidia-smi(1), "--help-query-gpu").

One line a device, values parted by a comma and a blank, memory in MiB, power in W. A value that a device does not have
is ``[N/A]``, ``[Not Supported]``, ``[Insufficient Permissions]`` or ``[Unknown Error]``; a lost device gives
``[GPU is lost]``. The state (errors, load, temperature) and the processes are asked for apart: where a driver does not
give them, the devices are known all the same.
"""

import dataclasses

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators.common import (
    Finding,
    device_unreadable,
    milliwatts,
    partitioned,
    run_tool,
    tool_failed,
    unknown_format,
    whole_number,
    whole_part,
)
from zhisuan.site.discovery.accelerators.queries import ask, query, refused_field
from zhisuan.site.discovery.accelerators.queries import rows as query_rows
from zhisuan.site.discovery.reader import HostReader, ToolResult
from zhisuan.site.discovery.types import Accelerator, Health, Problem

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
STATE_FIELDS: tuple[str, ...] = (
    "uuid",
    "utilization.gpu",
    "temperature.gpu",
    "power.draw",
    "ecc.errors.uncorrected.volatile.total",
    "retired_pages.pending",
)
PROCESSES_COMMAND = (TOOL, "--query-compute-apps=gpu_uuid,used_memory", "--format=csv,noheader,nounits")
_NONE_FOUND = "No devices were found"
_MIG_REMEDY = Text(
    "Switch MIG off for this card (nvidia-smi -i INDEX -mig 0) and run discovery again.",
    "请关闭该卡的 MIG（nvidia-smi -i 序号 -mig 0）后重新发现设备。",
)


def command(fields: tuple[str, ...]) -> tuple[str, ...]:
    return query(TOOL, fields)


def find(reader: HostReader) -> Finding:
    result, fields = ask(reader, TOOL, FIELDS, _OPTIONAL)
    if result.outcome == "missing":
        return Finding()
    if _NONE_FOUND in result.stdout + result.stderr:
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(_failure(result),))
    finding = parse(result.stdout, fields)
    if not finding.devices:
        return finding
    states, held = _states(reader), _held(reader)
    devices = tuple(_in_state(d, states.get(d.key, {}), held) for d in finding.devices)
    return Finding(devices, finding.problems)


def _failure(result: ToolResult) -> Problem:
    if refused_field(result):
        return unknown_format(TOOL, "a driver that knows the basic query fields", result.stdout + result.stderr)
    return tool_failed(TOOL, result)


def parse(output: str, fields: tuple[str, ...] = FIELDS) -> Finding:
    """Devices out of the tool's lines; one line of another shape makes the whole answer an unknown format."""
    devices: list[Accelerator] = []
    problems: list[Problem] = []
    rows = query_rows(output, fields)
    for row in rows:
        if row is None:
            return Finding(problems=(unknown_format(TOOL, f"{len(fields)} values a line", output),))
        outcome = _device(row)
        if isinstance(outcome, Accelerator):
            devices.append(outcome)
        elif outcome.code == "unknown_format":
            return Finding(problems=(outcome,))
        else:
            problems.append(outcome)
    if not rows:
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
    mig = row.get("mig.mode.current", "Disabled")
    if mig == "Enabled":
        return partitioned(TOOL, label, "MIG", _MIG_REMEDY)
    if mig not in ("Disabled", "N/A") and not mig.startswith("["):
        return unknown_format(TOOL, "Enabled or Disabled in mig.mode.current", mig)
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


def _states(reader: HostReader) -> dict[str, dict[str, str]]:
    """The state of each device by UUID; empty where the driver does not give it."""
    result, fields = ask(reader, TOOL, STATE_FIELDS, STATE_FIELDS[1:])
    if result.outcome != "exited" or result.exit_code != 0:
        return {}
    return {row["uuid"]: row for row in query_rows(result.stdout, fields) if row is not None}


def _held(reader: HostReader) -> dict[str, int | None] | None:
    """Memory of the processes on each device by UUID, ``None`` where one of them does not say; or nothing is known."""
    result = run_tool(reader, PROCESSES_COMMAND)
    if result.outcome != "exited" or result.exit_code != 0:
        return None
    held: dict[str, int | None] = {}
    for row in query_rows(result.stdout, ("uuid", "memory")):
        if row is None:
            return None
        memory, before = whole_number(row["memory"]), held.get(row["uuid"], 0)
        held[row["uuid"]] = None if memory is None or before is None else before + memory
    return held


def _in_state(device: Accelerator, state: dict[str, str], held: dict[str, int | None] | None) -> Accelerator:
    health, reason = _health(state)
    return dataclasses.replace(
        device,
        health=health,
        health_reason=reason,
        process_memory_mib=None if held is None else held.get(device.key, 0),
        utilization_percent=whole_number(state.get("utilization.gpu", "")),
        temperature_celsius=whole_part(state.get("temperature.gpu", "")),
        power_draw_milliwatts=milliwatts(state.get("power.draw", "")),
    )


def _health(state: dict[str, str]) -> tuple[Health, Text | None]:
    errors = whole_number(state.get("ecc.errors.uncorrected.volatile.total", ""))
    if errors:
        return "degraded", Text(
            f"{errors} memory errors since the start of the host could not be corrected.",
            f"主机启动以来有 {errors} 个显存错误未能纠正。",
        )
    if state.get("retired_pages.pending") == "Yes":
        return "degraded", Text("Bad memory pages wait to be retired: restart the host.", "有坏页待隔离，请重启主机。")
    return "ok", None
