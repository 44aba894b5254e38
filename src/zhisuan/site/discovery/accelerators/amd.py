"""AMD, by ``amd-smi static --json``; on hosts before ROCm 6, or where that fails, by ``rocm-smi … --json``.

amd-smi: a list of devices, in newer releases inside ``{"gpu_data": […]}``; sizes are ``{"value", "unit"}`` with MB
meaning MiB; power limits are flat (``socket_power``, ``max_power``) or, in newer releases, under ``ppt0``
(``socket_power_limit``, ``max_power_limit``); what is not there is ``"N/A"``. ``amd-smi metric … --json`` gives the state in
lists of the same two shapes: ``mem_usage.used_vram``, ``usage.gfx_activity``, ``temperature.hotspot``,
``power.socket_power``, ``ecc.total_uncorrectable_count``.
rocm-smi: ``{"card0": {…}, "system": {…}}`` with all values as text.
"""

import dataclasses
import json
from typing import Any

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
from zhisuan.site.discovery.accelerators.documents import first_json
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator, Problem

AMD_SMI = "amd-smi"
ROCM_SMI = "rocm-smi"
AMD_SMI_COMMAND = (AMD_SMI, "static", "--json")
METRIC_COMMAND = (
    AMD_SMI,
    "metric",
    "--mem-usage",
    "--usage",
    "--temperature",
    "--power",
    "--ecc",
    "--json",
)
ROCM_SMI_COMMAND = (
    ROCM_SMI,
    "--showproductname",
    "--showmeminfo",
    "vram",
    "--showbus",
    "--showmaxpower",
    "--showdriverversion",
    "--json",
)
_MIB_PER_UNIT = {"MB": 1, "GB": 1024}


def find(reader: HostReader) -> Finding:
    newer = run_tool(reader, AMD_SMI_COMMAND)
    problems: tuple[Problem, ...] = ()
    if newer.outcome != "missing":
        if newer.outcome == "exited" and newer.exit_code == 0:
            finding = parse_amd_smi(newer.stdout)
        else:
            finding = Finding(problems=(tool_failed(AMD_SMI, newer),))
        if finding.devices or not finding.problems:
            return _with_state(reader, finding)
        problems = finding.problems
    older = run_tool(reader, ROCM_SMI_COMMAND)
    if older.outcome == "missing":
        return Finding(problems=problems)
    if older.outcome != "exited" or older.exit_code != 0:
        return Finding(problems=(*problems, tool_failed(ROCM_SMI, older)))
    if _is_hygon(older.stdout):
        return Finding(problems=problems)
    finding = parse_rocm_smi(older.stdout)
    return Finding(finding.devices, (*problems, *finding.problems))


def _is_hygon(output: str) -> bool:
    """Whether this is Hygon's tool under the name of AMD's: its devices are those of ``hy-smi``."""
    document = first_json(output)
    entries = document.values() if isinstance(document, dict) else ()
    makers = {
        str(value) for e in entries if isinstance(e, dict) for key, value in e.items() if key.lower() == "card vendor"
    }
    return bool(makers) and not any("AMD" in maker for maker in makers)


def _with_state(reader: HostReader, finding: Finding) -> Finding:
    """With use and state from ``amd-smi metric``; unchanged where the tool does not give them."""
    entries = _entries(run_tool(reader, METRIC_COMMAND).stdout) or []
    states = {_part(entry, "gpu"): entry for entry in entries if isinstance(_part(entry, "gpu"), int)}
    return Finding(tuple(_in_state(d, states.get(d.index)) for d in finding.devices), finding.problems)


def _in_state(device: Accelerator, state: Any) -> Accelerator:
    errors = _part(state, "ecc", "total_uncorrectable_count")
    counted = isinstance(errors, int) and not isinstance(errors, bool) and errors > 0
    told = Text(f"{errors} memory errors could not be corrected.", f"有 {errors} 个显存错误未能纠正。")
    return dataclasses.replace(
        device,
        memory_used_mib=_figure(state, "MB", "mem_usage", "used_vram"),
        health="degraded" if counted else device.health,
        health_reason=told if counted else None,
        utilization_percent=_figure(state, "%", "usage", "gfx_activity"),
        temperature_celsius=_figure(state, "C", "temperature", "hotspot"),
        power_draw_milliwatts=milliwatts(str(_figure(state, "W", "power", "socket_power"))),
    )


def _figure(state: Any, unit: str, *path: str) -> int | None:
    figure = _part(state, *path)
    value = _part(figure, "value")
    if _part(figure, "unit") != unit or not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return value


def _entries(output: str) -> list[Any] | None:
    document = first_json(output)
    entries = document.get("gpu_data") if isinstance(document, dict) else document
    return entries if isinstance(entries, list) else None


def _part(entry: Any, *path: str) -> Any:
    for name in path:
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


def _said(value: Any) -> str | None:
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return None if text in ("", "N/A") else text


def parse_amd_smi(output: str) -> Finding:
    entries = _entries(output)
    if entries is None:
        return Finding(problems=(unknown_format(AMD_SMI, "a JSON list of devices", output),))
    devices: list[Accelerator] = []
    problems: list[Problem] = []
    for entry in entries:
        outcome = _amd_smi_device(entry)
        if isinstance(outcome, Accelerator):
            devices.append(outcome)
        elif outcome.code == "unknown_format":
            return Finding(problems=(outcome,))
        else:
            problems.append(outcome)
    return Finding(tuple(devices), tuple(problems))


def _amd_smi_device(entry: Any) -> Accelerator | Problem:
    index = _part(entry, "gpu")
    name = _said(_part(entry, "asic", "market_name"))
    bus = _said(_part(entry, "bus", "bdf"))
    size = _part(entry, "vram", "size")
    if not isinstance(index, int) or isinstance(index, bool) or bus is None or size is None:
        shown = json.dumps(entry)
        return unknown_format(AMD_SMI, "gpu, asic.market_name, bus.bdf and vram.size of every device", shown)
    if name is None or size == "N/A":
        return device_unreadable(AMD_SMI, f"GPU {index}", "gives no name or memory size", "没有给出型号或显存大小")
    value, unit = _part(size, "value"), _part(size, "unit")
    if not isinstance(value, int) or isinstance(value, bool) or unit not in _MIB_PER_UNIT:
        return unknown_format(AMD_SMI, "vram.size as a whole number of MB or GB", json.dumps(size))
    return Accelerator(
        key=f"amd:{bus.lower()}",
        vendor="amd",
        index=index,
        name=name,
        memory_mib=value * _MIB_PER_UNIT[unit],
        memory_used_mib=None,
        power_limit_milliwatts=_amd_smi_power(_part(entry, "limit")),
        driver_version=_said(_part(entry, "driver", "version")),
        compute_capability=_said(_part(entry, "asic", "target_graphics_version")),
        bus_id=bus,
        health="ok",
        tool=AMD_SMI,
    )


def _amd_smi_power(limit: Any) -> int | None:
    """The limit in force, else the highest that may be set; a limit of 0 W means that it was not read."""
    for path in (
        ("socket_power",),
        ("ppt0", "socket_power_limit"),
        ("max_power",),
        ("ppt0", "max_power_limit"),
    ):
        figure = _part(limit, *path)
        if _part(figure, "unit") == "W":
            power = milliwatts(str(_part(figure, "value")))
            if power:
                return power
    return None


def parse_rocm_smi(output: str) -> Finding:
    document = first_json(output)
    if not isinstance(document, dict):
        return Finding(problems=(unknown_format(ROCM_SMI, "a JSON object with card0, card1 …", output),))
    driver = _said(_part(document, "system", "Driver version"))
    devices: list[Accelerator] = []
    for card, entry in document.items():
        if card == "system":
            continue
        outcome = _rocm_smi_device(card, entry, driver)
        if not isinstance(outcome, Accelerator):
            return Finding(problems=(outcome,))
        devices.append(outcome)
    return Finding(tuple(devices))


def _rocm_smi_device(card: str, entry: Any, driver: str | None) -> Accelerator | Problem:
    # The case of the keys changed between releases ("Card series", "Card Series").
    values = {key.lower(): value for key, value in entry.items()} if isinstance(entry, dict) else {}
    index = whole_number(card.removeprefix("card"))
    name = _said(values.get("card series")) or _said(values.get("device name"))
    maker = _said(values.get("card vendor"))
    memory = whole_number(_said(values.get("vram total memory (b)")) or "")
    used = whole_number(_said(values.get("vram total used memory (b)")) or "")
    if index is None or name is None or memory is None or maker is None or "AMD" not in maker:
        # Tools of other vendors are made from this one and carry its name: the maker must be AMD.
        expected = "card number, Card Series, Card Vendor AMD and VRAM Total Memory (B)"
        return unknown_format(ROCM_SMI, expected, f"{card}: {json.dumps(entry)}")
    bus = _said(values.get("pci bus"))
    return Accelerator(
        key=f"amd:{(bus or card).lower()}",
        vendor="amd",
        index=index,
        name=name,
        memory_mib=memory // 1024**2,
        memory_used_mib=None if used is None else used // 1024**2,
        power_limit_milliwatts=milliwatts(_said(values.get("max graphics package power (w)")) or ""),
        driver_version=driver,
        compute_capability=_said(values.get("gfx version")),
        bus_id=bus,
        health="ok",
        tool=ROCM_SMI,
    )
