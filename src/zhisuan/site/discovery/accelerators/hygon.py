"""Hygon DCU, by ``hy-smi … --json`` (forms seen with drivers 6.2.26, 6.3.31 and DTK 24.04 to 26.04).

The tool is made from rocm-smi: ``{"card0": {…}, "card1": {…}}`` with all values as text. Newer releases say HCU where
older ones say DCU; memory is in MiB, or in bytes (key ends in ``(B)``) in the oldest. ``PCI Bus`` may carry serial
numbers behind ``-->``. The tool says nothing of health in this form.
"""

import json
import re
from typing import Any

from zhisuan.site.discovery.accelerators.common import (
    DeviceError,
    Finding,
    FormError,
    collect,
    device_unreadable,
    milliwatts,
    run_tool,
    tool_failed,
    unknown_format,
    whole_number,
    whole_part,
)
from zhisuan.site.discovery.accelerators.documents import first_json
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator

TOOL = "hy-smi"
COMMAND = (
    TOOL,
    "--showproductname",
    "--showbus",
    "--showmeminfo",
    "vram",
    "--showuse",
    "--showtemp",
    "--showpower",
    "--showmaxpower",
    "--showdriverversion",
    "--json",
)
_CARD = re.compile(r"card(\d+)")
_BUS = re.compile(r"([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])(?:\s*-->.*)?")


def find(reader: HostReader) -> Finding:
    result = run_tool(reader, COMMAND)
    if result.outcome == "missing":
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    return parse(result.stdout)


def parse(output: str) -> Finding:
    document = first_json(output)
    if not isinstance(document, dict):
        return Finding(problems=(unknown_format(TOOL, "a JSON object with card0, card1 …", output),))
    driver = _lower(document.get("system")).get("driver version")
    cards = [(name, entry) for name, entry in document.items() if name != "system"]
    return collect(TOOL, None, cards, lambda card: _device(*card, driver=_said(driver)))


def _lower(entry: Any) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in entry.items()} if isinstance(entry, dict) else {}


def _said(value: Any) -> str | None:
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    return None if text in ("", "N/A", "unknown") else text


def _device(name: str, entry: Any, *, driver: str | None) -> Accelerator:
    values = {key: _said(value) for key, value in _lower(entry).items()}
    number, series = _CARD.fullmatch(name), values.get("card series")
    bus = _BUS.fullmatch(values.get("pci bus") or "")
    memory = _memory(values, "vram total memory")
    if number is None or series is None or bus is None:
        raise FormError("cardN with Card Series and PCI Bus", f"{name}: {json.dumps(entry)}")
    if not memory:
        raise DeviceError(device_unreadable(TOOL, f"{name} ({series})", "gives no memory size", "没有给出显存大小"))
    load = values.get("hcu use (%)") or values.get("dcu use (%)") or ""
    return Accelerator(
        key=f"hygon:{bus[1].lower()}",
        vendor="hygon",
        index=int(number[1]),
        name=series,
        memory_mib=memory,
        memory_used_mib=_memory(values, "vram total used memory"),
        power_limit_milliwatts=milliwatts(values.get("max graphics package power (w)") or ""),
        driver_version=driver,
        compute_capability=None,
        bus_id=bus[1],
        health="ok",
        tool=TOOL,
        utilization_percent=whole_part(load),
        temperature_celsius=whole_part(
            values.get("temperature (sensor junction) (c)") or values.get("temperature (sensor core) (c)") or ""
        ),
        power_draw_milliwatts=milliwatts(values.get("average graphics package power (w)") or ""),
    )


def _memory(values: dict[str, str | None], key: str) -> int | None:
    mib, size = whole_number(values.get(f"{key} (mib)") or ""), whole_number(values.get(f"{key} (b)") or "")
    return mib if mib is not None else None if size is None else size // 1024**2
