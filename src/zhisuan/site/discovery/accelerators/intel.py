"""Intel, by ``xpu-smi discovery -j``, then ``discovery -d N -j`` and ``stats -d N -j`` of every device (XPU Manager user
guides of versions 1.0 to 2.0).

    {"device_list": [{"device_id": 0, "device_name": "…", "device_type": "GPU", "pci_bdf_address": "0000:4d:00.0",
                      "uuid": "…", "vendor_name": "Intel(R) Corporation"}]}

The memory stands in the answer for one device as text in bytes (``memory_physical_size_byte``,
``memory_free_size_byte``). ``device_state`` is there in newer releases. A virtual function is a share of a card.
Kunlunxin has a tool of the same name: only Intel's ``-v`` names the version of Level Zero.
"""

import json
from typing import Any

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators.common import (
    DeviceError,
    Finding,
    FormError,
    collect,
    device_unreadable,
    milliwatts,
    partitioned,
    run_tool,
    said,
    tool_failed,
    unknown_format,
    whole_number,
    whole_part,
)
from zhisuan.site.discovery.accelerators.documents import first_json
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator, Health

TOOL = "xpu-smi"
VERSION_COMMAND = (TOOL, "-v")
COMMAND = (TOOL, "discovery", "-j")
_VENDOR = "Intel"
_VF_REMEDY = Text("Remove the virtual functions of this card.", "请移除该卡的虚拟功能（VF）。")


def is_intel(reader: HostReader) -> bool:
    """Whether the tool called ``xpu-smi`` on this host is Intel's."""
    return "Level Zero" in run_tool(reader, VERSION_COMMAND).stdout


def find(reader: HostReader) -> Finding:
    if not is_intel(reader):
        return Finding()
    result = run_tool(reader, COMMAND)
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(TOOL, result),))
    document = first_json(result.stdout)
    listed = document.get("device_list") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return Finding(problems=(unknown_format(TOOL, "a JSON object with device_list", result.stdout),))
    if not listed:
        return Finding()
    return collect(TOOL, None, listed, lambda entry: _device(entry, reader))


def _told(reader: HostReader, *words: str) -> dict[str, Any]:
    document = first_json(run_tool(reader, (TOOL, *words, "-j")).stdout)
    return document if isinstance(document, dict) else {}


def _device(entry: Any, reader: HostReader) -> Accelerator:
    listed: dict[str, Any] = entry if isinstance(entry, dict) else {}
    index, name, bus = listed.get("device_id"), listed.get("device_name"), listed.get("pci_bdf_address")
    vendor = str(listed.get("vendor_name", ""))
    if not isinstance(index, int) or isinstance(index, bool) or not isinstance(name, str) or not isinstance(bus, str):
        raise FormError("device_id, device_name and pci_bdf_address of every device", json.dumps(entry))
    if _VENDOR not in vendor:
        raise FormError("vendor_name Intel", vendor)
    label = f"GPU {index} ({name})"
    if listed.get("device_function_type") == "virtual":
        raise DeviceError(partitioned(TOOL, label, "SR-IOV", _VF_REMEDY))
    detail = _told(reader, "discovery", "-d", str(index))
    total = whole_number(str(detail.get("memory_physical_size_byte", "")))
    free = whole_number(str(detail.get("memory_free_size_byte", "")))
    if not total or detail.get("pci_bdf_address") != bus:
        raise DeviceError(device_unreadable(TOOL, label, "gives no memory size", "没有给出显存大小"))
    stats = _stats(_told(reader, "stats", "-d", str(index)))
    health, reason = _health(listed.get("device_state", detail.get("device_state")))
    driver = detail.get("driver_version")
    return Accelerator(
        key=f"intel:{bus.lower()}",
        vendor="intel",
        index=index,
        name=name,
        memory_mib=total // 1024**2,
        memory_used_mib=None if free is None or free > total else (total - free) // 1024**2,
        power_limit_milliwatts=None,
        driver_version=str(driver) if driver else None,
        compute_capability=None,
        bus_id=bus,
        health=health,
        tool=TOOL,
        health_reason=reason,
        utilization_percent=whole_part(stats.get("XPUM_STATS_GPU_UTILIZATION", "")),
        temperature_celsius=whole_part(stats.get("XPUM_STATS_GPU_CORE_TEMPERATURE", "")),
        power_draw_milliwatts=milliwatts(stats.get("XPUM_STATS_POWER", "")),
    )


def _stats(document: dict[str, Any]) -> dict[str, str]:
    levels = document.get("device_level")
    rows = [row for row in levels if isinstance(row, dict)] if isinstance(levels, list) else []
    return {str(row.get("metrics_type")): str(row.get("value", "")) for row in rows}


def _health(state: Any) -> tuple[Health, Text | None]:
    if state is None or state == "normal":
        return "ok", None
    return "degraded", said(f"device_state {state}")
