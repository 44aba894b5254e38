"""MetaX, by the table of ``mx-smi`` (seen from versions 2.1.12, 2.2.4, 2.2.9 and 2.3.1).

    | GPU         NAME                   | Bus-id       | GPU-Util             |          to 2.2.4
    | Temp        Pwr:Usage/Cap          | Memory-Usage | GPU-State            |          2.1 has no GPU-State
    | Board       Name | GPU   Persist-M | Bus-id       | GPU-Util      sGPU-M |          from 2.2.9
    | Pwr:Usage/Cap    | Temp   Perf     | Memory-Usage | GPU-State            |

Driver and firmware hold about 1 GiB of an idle card. Another maker (Moffett) has a tool of this name, with another
table: its devices are not read.
"""

import re
from dataclasses import dataclass

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators.common import (
    DeviceError,
    Finding,
    FormError,
    collect,
    milliwatts,
    partitioned,
    run_tool,
    said,
    tool_failed,
    unknown_format,
    whole_number,
)
from zhisuan.site.discovery.accelerators.tables import heading_at, pairs, table_rows
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator, Health

TOOL = "mx-smi"
COMMAND = (TOOL,)
IDLE_MIB = 1024
_VERSION = re.compile(r"MX-SMI\s+(\S+)")
_DRIVER = re.compile(r"Kernel Mode Driver Version:\s*(\S+)")
_COUNT = re.compile(r"Attached GPUs\s*:\s*(\d+)")
_PROCESS = re.compile(r"(\d+)\s+\d+\s+\S.*?\s+(\d+)")
_NAMED = re.compile(r"(\d+)\s+(MetaX \S.*)")
_BUS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")
_MEMORY = re.compile(r"(\d+)/(\d+) MiB")
_POWER = r"(\d+)\s*W\s*/\s*(\d+)\s*W"
_OLD_STATE = re.compile(r"(\d+)C\s+" + _POWER)
_STATES: dict[str, Health] = {"available": "ok", "": "ok", "unavailable": "failed", "not available": "failed"}
_SGPU_REMEDY = Text("Switch sGPU off for this card and run discovery again.", "请关闭该卡的 sGPU 后重新发现设备。")


@dataclass(frozen=True, slots=True)
class _Fields:
    """One device's cells, whatever the form they stood in."""

    named: str
    number: str | None
    bus: str
    load: str
    state: str
    temperature: str
    power: str
    memory: str


def find(reader: HostReader) -> Finding:
    result = run_tool(reader, COMMAND)
    if result.outcome == "missing" or "MOFFETT" in result.stdout.upper():
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    return parse(result.stdout)


def parse(output: str) -> Finding:
    version, driver, count = (found.search(output) for found in (_VERSION, _DRIVER, _COUNT))
    called = version[1] if version else None
    try:
        rows = table_rows(output)
        entries = _entries(rows)
        held = _held(rows)
    except FormError as error:
        return Finding(problems=(unknown_format(TOOL, error.expected, error.found, called),))
    shared = driver[1] if driver else None
    expected = int(count[1]) if count else None
    return collect(TOOL, called, entries, lambda fields: _device(fields, shared, held), count=expected)


def _entries(rows: list[list[str]]) -> list[_Fields]:
    old = heading_at(rows, "GPU NAME", "Bus-id", "GPU-Util")
    if old is not None and heading_at(rows[old + 1 :], "Temp Pwr:Usage/Cap", "Memory-Usage") == 0:
        return [_old(upper, lower) for upper, lower in pairs(rows[old + 2 :], 3)]
    new = heading_at(rows, "Board Name", "GPU Persist-M", "Bus-id", "GPU-Util sGPU-M")
    if new is not None and heading_at(rows[new + 1 :], "Pwr:Usage/Cap", "Temp Perf", "Memory-Usage", "GPU-State") == 0:
        return [_new(upper, lower) for upper, lower in pairs(rows[new + 2 :], 4)]
    raise FormError("a table headed GPU, NAME or Board, Name", " | ".join(rows[0]) if rows else "")


def _old(upper: list[str], lower: list[str]) -> _Fields:
    state = _OLD_STATE.fullmatch(lower[0])
    if state is None:
        raise FormError("temperature and power", lower[0])
    power = lower[0].partition("C")[2].strip()
    return _Fields(upper[0], None, upper[1], upper[2], lower[2], state[1], power, lower[1])


def _new(upper: list[str], lower: list[str]) -> _Fields:
    number, temperature = upper[1].split(), re.match(r"(\d+)C", lower[1])
    if not number or temperature is None:
        raise FormError("the number of the GPU and its temperature", f"{upper[1]} | {lower[1]}")
    return _Fields(upper[0], number[0], upper[2], upper[3], lower[3], temperature[1], lower[0], lower[2])


def _held(rows: list[list[str]]) -> dict[int, int] | None:
    """Memory of the processes on each GPU by its number; ``None`` without a table of processes."""
    at = next((at for at, cells in enumerate(rows) if cells[0].startswith("Process")), None)
    if at is None:
        return None
    held: dict[int, int] = {}
    for cells in rows[at + 1 :]:
        process = _PROCESS.fullmatch(cells[0])
        if process:
            held[int(process[1])] = held.get(int(process[1]), 0) + int(process[2])
    return held


def _device(fields: _Fields, driver: str | None, held: dict[int, int] | None) -> Accelerator:
    named, memory, power = (
        _NAMED.fullmatch(fields.named),
        _MEMORY.fullmatch(fields.memory),
        re.fullmatch(_POWER, fields.power),
    )
    load = re.fullmatch(r"(\d+)%(?:\s+(\w+))?", fields.load)
    index = whole_number(fields.number or (named[1] if named else ""))
    if not (named and memory and power and load and _BUS.fullmatch(fields.bus)) or index is None:
        raise FormError("number, MetaX name, bus, load; temperature, power, memory", str(fields))
    if load[2] not in (None, "Disabled", "Native"):
        raise DeviceError(partitioned(TOOL, f"GPU {index} ({named[2]})", "sGPU", _SGPU_REMEDY))
    health = _STATES.get(fields.state.lower(), "unknown")
    return Accelerator(
        key=f"metax:{fields.bus.lower()}",
        vendor="metax",
        index=index,
        name=named[2],
        memory_mib=int(memory[2]),
        memory_used_mib=int(memory[1]),
        power_limit_milliwatts=milliwatts(power[2]),
        driver_version=driver,
        compute_capability=None,
        bus_id=fields.bus,
        health=health,
        tool=TOOL,
        health_reason=None if health == "ok" else said(fields.state),
        memory_idle_mib=IDLE_MIB,
        process_memory_mib=None if held is None else held.get(index, 0),
        utilization_percent=int(load[1]),
        temperature_celsius=whole_number(fields.temperature),
        power_draw_milliwatts=milliwatts(power[1]),
    )
