"""Huawei Ascend, by the table of ``npu-smi info`` (seen from versions 21 to 25.5).

Two lines a chip. The second heading line says which of three forms it is:

    | NPU   Name        | Health  | Power(W)   Temp(C)          Hugepages-Usage(page) |
    | Chip              | Bus-Id  | AICore(%)  Memory-Usage(MB) HBM-Usage(MB)         |   910B: one chip a card
    | Chip  Phy-ID      | Bus-Id  | AICore(%)  Memory-Usage(MB) HBM-Usage(MB)         |   910C: two dies a card
    | Chip  Device      | Bus-Id  | AICore(%)  Memory-Usage(MB)                       |   310P, 310B and 910A: no HBM

A table of processes may follow: NPU, chip, process, name, memory. The driver holds up to a tenth of an idle card.
"""

import re
from dataclasses import dataclass

from zhisuan.site.discovery.accelerators.common import (
    Finding,
    FormError,
    device_unreadable,
    milliwatts,
    run_tool,
    said,
    tool_failed,
    unknown_format,
    whole_number,
)
from zhisuan.site.discovery.accelerators.tables import table_rows
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator, Health, Problem

TOOL = "npu-smi"
COMMAND = (TOOL, "info")
_VERSION = re.compile(r"Version:\s*(\S+)")
_PAIR = re.compile(r"(\d+)\s*/\s*(\d+)")
_IDLE_SHARE = 10
Held = dict[tuple[int, int], int]
# Health words of the npu-smi reference ("npu-smi info" in the Atlas driver manuals).
_HEALTH: dict[str, Health] = {"OK": "ok", "WARNING": "degraded", "ALARM": "failed", "CRITICAL": "failed"}


@dataclass(frozen=True, slots=True)
class Form:
    """Which columns the heading announces."""

    has_hbm: bool
    has_device_number: bool


def find(reader: HostReader) -> Finding:
    result = run_tool(reader, COMMAND)
    if result.outcome == "missing":
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    return parse(result.stdout)


def parse(output: str) -> Finding:
    """Devices out of the table; any line of another shape makes the whole answer an unknown format."""
    try:
        rows = table_rows(output)
    except FormError as error:
        return Finding(problems=(unknown_format(TOOL, error.expected, error.found),))
    heading = next((at for at, cells in enumerate(rows) if _words(cells, 0)[:2] == ["NPU", "Name"]), None)
    form = _form(rows[heading + 1]) if heading is not None and heading + 1 < len(rows) else None
    if heading is None or form is None:
        return Finding(problems=(unknown_format(TOOL, "a table headed NPU, Name, Health, Power(W)", output),))
    version = _VERSION.search(output)
    body: list[list[str]] = []
    held: Held | None = None
    for cells in rows[heading + 2 :]:
        if "Process id" in cells:
            held = {}
        elif held is None:
            body.append(cells)
        else:
            _add_process(held, cells)
    devices: list[Accelerator] = []
    problems: list[Problem] = []
    for upper, lower in zip(body[::2], [*body[1::2], []], strict=False):
        outcome = _device(upper, lower, form, version[1] if version else None, held)
        if isinstance(outcome, Accelerator):
            devices.append(outcome)
        elif outcome.code == "unknown_format":
            return Finding(problems=(outcome,))
        else:
            problems.append(outcome)
    if not body or len({device.key for device in devices}) != len(devices):
        return Finding(problems=(unknown_format(TOOL, "a different bus address for every chip", output),))
    return Finding(tuple(devices), tuple(problems))


def _add_process(held: Held, cells: list[str]) -> None:
    """Count a process to its chip; a line that names none says that there is none."""
    at = [whole_number(word) for word in _words(cells, 0)]
    memory = whole_number(cells[-1])
    if len(cells) == 4 and len(at) == 2 and at[0] is not None and at[1] is not None and memory is not None:
        held[at[0], at[1]] = held.get((at[0], at[1]), 0) + memory


def _words(cells: list[str], at: int) -> list[str]:
    return cells[at].split() if at < len(cells) else []


def _form(cells: list[str]) -> Form | None:
    first, second, third = (_words(cells, at) for at in range(3))
    if first not in (["Chip"], ["Chip", "Phy-ID"], ["Chip", "Device"]) or second != ["Bus-Id"]:
        return None
    if third == ["AICore(%)", "Memory-Usage(MB)", "HBM-Usage(MB)"]:
        return Form(True, len(first) == 2)
    return Form(False, len(first) == 2) if third == ["AICore(%)", "Memory-Usage(MB)"] else None


def _device(
    upper: list[str], lower: list[str], form: Form, version: str | None, held: Held | None
) -> Accelerator | Problem:
    found = " | ".join(upper) + " / " + " | ".join(lower)
    card, chip = _words(upper, 0), [whole_number(word) for word in _words(lower, 0)]
    numbers_right = len(chip) == (2 if form.has_device_number else 1) and None not in chip
    card_number = whole_number(card[0]) if card else None
    if len(upper) != 3 or len(lower) != 3 or len(card) != 2 or card_number is None or not numbers_right:
        return unknown_format(TOOL, "two lines a chip: number, name, health; chip, bus, memory", found)
    pairs = [(int(used), int(total)) for used, total in _PAIR.findall(lower[2])]
    if len(pairs) != (2 if form.has_hbm else 1):
        return unknown_format(TOOL, "memory as used / total", found)
    used, total = pairs[-1]
    name = "Ascend " + card[1].removeprefix("Ascend")
    if total == 0:
        return device_unreadable(TOOL, f"NPU {card_number} ({name})", "gives no memory size", "没有给出显存大小")
    bus = lower[1] if lower[1] not in ("NA", "N/A", "") else None
    # Without a device number the run-time counts cards; that form has one chip a card.
    index = chip[-1] if form.has_device_number else card_number
    if index is None or (not form.has_device_number and chip[0] != 0):
        return unknown_format(TOOL, "a device number beside the second chip of a card", found)
    health = _HEALTH.get(upper[1].upper(), "unknown")
    measures, load = _words(upper, 2), _words(lower, 2)
    return Accelerator(
        key=f"ascend:{bus or f'npu{card_number}-chip{chip[0]}'}",
        vendor="huawei",
        index=index,
        name=name,
        memory_mib=total,
        memory_used_mib=used,
        power_limit_milliwatts=None,
        driver_version=version,
        compute_capability=None,
        bus_id=bus,
        health=health,
        tool=TOOL,
        health_reason=None if health == "ok" else said(f"Health {upper[1]}"),
        memory_idle_mib=total // _IDLE_SHARE,
        process_memory_mib=None if held is None else held.get((card_number, chip[0] or 0), 0),
        utilization_percent=whole_number(load[0]) if load else None,
        temperature_celsius=whole_number(measures[1]) if len(measures) > 1 else None,
        power_draw_milliwatts=milliwatts(measures[0]) if measures else None,
    )
