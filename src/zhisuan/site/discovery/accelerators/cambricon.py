"""Cambricon, by the table of ``cnmon`` (seen from versions 4.20.11 and 5.10.13).

    | Card  VF  Name       Firmware | Inited        Driver | Util        Ecc-Error |   4.20: no bus address
    | Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |   5.10
    | Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | …                     |

A card of two chips (MLU370-X8) has a line pair for each chip. ``Ecc-Error`` is a count, or ``N/A`` with ECC off. A table
of processes follows: card, instance, process, command, memory.
"""

import re

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

TOOL = "cnmon"
COMMAND = (TOOL,)
_VERSION = re.compile(r"CNMON\s+v(\S+)")
_DRIVER = re.compile(r"Driver\s+v(\S+)")
_CARD = re.compile(r"(?P<card>\d+)\s+(?P<function>/|\d+)\s+(?P<name>MLU\S+)\s+\S+")
_INITED = re.compile(r"(?P<state>On|Off)\s+v(?P<driver>\S+)")
_BUS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")
_LOAD = re.compile(r"(?P<load>\d+)%\s+(?P<errors>\d+|N/A)")
_STATE = re.compile(r"(?:\d+%|N/A)\s+(?P<temp>\d+C|N/A)\s+(?P<power>[\d.]+\s*W|N/A)\s*/\s*(?P<cap>[\d.]+\s*W|N/A)")
_MEMORY = re.compile(r"(?P<used>\d+)\s*MiB\s*/\s*(?P<total>\d+)\s*MiB")
_PROCESS = re.compile(r"(\d+)\s+\S+\s+\d+\s.*?(\d+)\s*MiB")
_VF_REMEDY = Text(
    "Take back the virtual functions of this card and run discovery again.",
    "请回收该卡的虚拟功能（VF）后重新发现设备。",
)


def find(reader: HostReader) -> Finding:
    result = run_tool(reader, COMMAND)
    if result.outcome == "missing":
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    return parse(result.stdout)


def parse(output: str) -> Finding:
    version, driver = _VERSION.search(output), _DRIVER.search(output)
    called = version[1] if version else None
    try:
        rows = table_rows(output)
        at = heading_at(rows, "Card VF Name Firmware", "", "Util Ecc-Error")
        if at is None or heading_at(rows[at + 1 :], "Fan Temp Pwr:Usage/Cap", "Memory-Usage") != 0:
            raise FormError("a table headed Card, VF, Name, Firmware", output)
        entries = list(pairs(rows[at + 2 :], 3))
    except FormError as error:
        return Finding(problems=(unknown_format(TOOL, error.expected, error.found, called),))
    shared = driver[1] if driver else None
    held = _held(rows)
    return collect(TOOL, called, entries, lambda entry: _device(*entry, driver=shared, held=held))


def _held(rows: list[list[str]]) -> dict[int, int] | None:
    """Memory of the processes on each card by its number; ``None`` without a table of processes."""
    at = heading_at(rows, "Processes:")
    if at is None:
        return None
    held: dict[int, int] = {}
    for process in filter(None, (_PROCESS.fullmatch(cells[0]) for cells in rows[at + 1 :])):
        held[int(process[1])] = held.get(int(process[1]), 0) + int(process[2])
    return held


def _device(upper: list[str], lower: list[str], *, driver: str | None, held: dict[int, int] | None) -> Accelerator:
    card, load = _CARD.fullmatch(upper[0]), _LOAD.fullmatch(upper[2])
    inited, bus = _INITED.fullmatch(upper[1]), _BUS.fullmatch(upper[1])
    state, memory = _STATE.fullmatch(lower[0]), _MEMORY.fullmatch(lower[1])
    if not (card and load and state and memory and (inited or bus)):
        raise FormError("two lines a chip: card, name, bus; state, memory", f"{' | '.join([*upper, *lower])}")
    if card["function"] != "/":
        raise DeviceError(partitioned(TOOL, f"MLU {card['card']} ({card['name']})", "SR-IOV", _VF_REMEDY))
    health, reason = _health(inited["state"] if inited else "On", whole_number(load["errors"]))
    return Accelerator(
        key=f"cambricon:{bus[0].lower()}" if bus else f"cambricon:card{card['card']}",
        vendor="cambricon",
        index=int(card["card"]),
        name=card["name"],
        memory_mib=int(memory["total"]),
        memory_used_mib=int(memory["used"]),
        power_limit_milliwatts=milliwatts(state["cap"].rstrip("W")),
        driver_version=inited["driver"] if inited else driver,
        compute_capability=None,
        bus_id=bus[0] if bus else None,
        health=health,
        tool=TOOL,
        health_reason=reason,
        process_memory_mib=None if held is None else held.get(int(card["card"]), 0),
        utilization_percent=int(load["load"]),
        temperature_celsius=whole_number(state["temp"].rstrip("C")),
        power_draw_milliwatts=milliwatts(state["power"].rstrip("W")),
    )


def _health(state: str, errors: int | None) -> tuple[Health, Text | None]:
    if state == "Off":
        return "failed", said("Inited Off")
    if errors:
        return "degraded", said(f"Ecc-Error {errors}")
    return "ok", None
