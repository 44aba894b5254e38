"""Kunlunxin, by ``xpu-smi -m`` (``xpu_smi`` on older hosts), the form for machines; seen for P800 with XRE 5.

One line a device, values parted by blanks, text with blanks in double quotes, without a heading. By position from 0:

    0 PCI address  1 number  3 serial  4 °C  8 power  17 memory used  18 memory total (MiB)  19 load %  21 "product"

15 and 16 are the L3 memory, which looks alike. The tool says nothing of health in this form. Intel's tool has the same
name: ``xpu-smi -v`` tells them apart (see ``intel.py``).
"""

import re
import shlex

from zhisuan.site.discovery.accelerators.common import (
    Finding,
    FormError,
    collect,
    run_tool,
    tool_failed,
    whole_number,
)
from zhisuan.site.discovery.accelerators.intel import is_intel
from zhisuan.site.discovery.reader import HostReader, ToolResult
from zhisuan.site.discovery.types import Accelerator

OWN_TOOL = "xpu_smi"
SHARED_TOOL = "xpu-smi"
_COLUMNS_MIN = 22
_BUS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")
_POWER_WATTS_MAX = 1500


def find(reader: HostReader) -> Finding:
    result = run_tool(reader, (OWN_TOOL, "-m"))
    tool = OWN_TOOL
    if result.outcome == "missing":
        if is_intel(reader):
            return Finding()
        result, tool = run_tool(reader, (SHARED_TOOL, "-m")), SHARED_TOOL
    return _answer(tool, result)


def _answer(tool: str, result: ToolResult) -> Finding:
    if result.outcome == "missing":
        return Finding()
    if result.outcome != "exited" or result.exit_code != 0:
        return Finding(problems=(tool_failed(tool, result),))
    return parse(result.stdout, tool)


def parse(output: str, tool: str = SHARED_TOOL) -> Finding:
    lines = [line for line in output.splitlines() if line.strip()]
    return collect(tool, None, lines, lambda line: _device(line, tool))


def _device(line: str, tool: str) -> Accelerator:
    try:
        values = shlex.split(line)
    except ValueError as error:
        raise FormError("text with blanks in double quotes", line) from error
    if len(values) < _COLUMNS_MIN or not _BUS.fullmatch(values[0]) or f'"{values[21]}"' not in line:
        raise FormError(f"at least {_COLUMNS_MIN} values from the PCI address to the product in quotes", line)
    index, used, total = (whole_number(values[at]) for at in (1, 17, 18))
    temperature, load, power = (whole_number(values[at]) for at in (4, 19, 8))
    if index is None or used is None or not total or used > total or load is None or load > 100:
        raise FormError("number, memory used and total, load below 101 at their places", line)
    return Accelerator(
        key=f"kunlun:{values[0].lower()}",
        vendor="kunlun",
        index=index,
        name=values[21],
        memory_mib=total,
        memory_used_mib=used,
        power_limit_milliwatts=None,
        driver_version=None,
        compute_capability=None,
        bus_id=values[0],
        health="ok",
        tool=tool,
        utilization_percent=load,
        temperature_celsius=temperature,
        # The first generation tells milliwatts here: a figure that no card draws is not taken for watts.
        power_draw_milliwatts=power * 1000 if power is not None and power <= _POWER_WATTS_MAX else None,
    )
