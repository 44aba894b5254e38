"""Moore Threads, by the table of ``mthreads-gmi`` (seen from versions 1.14.0, 2.0.0, 2.3.2, 2.3.3 and 2.4.1).

    ID   Name                 |PCIe                |%GPU  Mem
         Device Type   Perf   |Pcie Lane Width     |Temp  MPC Capable        before 2.2 without Perf
                                                   |      ECC Mode
    0    MTT S5000            |00000000:18:00.0    |0%    66641MiB(81920MiB)
         Physical      P0     |16x(16x)            |52C   YES
                                                   |      On-die, EDC

A table of processes follows. The tool says nothing of health; a device that is not ``Physical`` is a share of a card.
"""

import re
from collections.abc import Iterator

from zhisuan.base.text import Text
from zhisuan.site.discovery.accelerators.common import (
    DeviceError,
    Finding,
    FormError,
    collect,
    partitioned,
    run_tool,
    tool_failed,
    whole_number,
)
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator

TOOL = "mthreads-gmi"
COMMAND = (TOOL,)
_VERSION = re.compile(r"mthreads-gmi:\s*(\S+)")
_DRIVER = re.compile(r"Driver Version:\s*(\S+)")
_HEADING = re.compile(r"\s*ID\s+Name\s*\|\s*PCIe\s*\|\s*%GPU\s+Mem\s*")
_SECOND = re.compile(r"\s*Device Type\s+(?:Perf\s*)?\|\s*Pcie Lane Width\s*\|\s*Temp\s+MPC Capable\s*")
_RULE = re.compile(r"[-+=]+")
_UPPER = re.compile(
    r"\s*(?P<id>\d+)\s+(?P<name>\S[^|]*?)\s*\|(?P<bus>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*"
    r"\|\s*(?P<load>\d+%|N/A)\s+(?P<used>\d+)MiB\((?P<total>\d+)MiB\)\s*"
)
_LOWER = re.compile(r"\s*(?P<type>[A-Za-z][^|]*?)(?:\s+P\d+)?\s*\|[^|]*\|\s*(?P<temp>\d+C|N/A)\s.*")
_REMEDY = Text("Undo the split of this card and run discovery again.", "请取消该卡的切分后重新发现设备。")


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
    shared = driver[1] if driver else None
    return collect(TOOL, called, _entries(output.splitlines()), lambda pair: _device(*pair, driver=shared))


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """The two lines of every device, up to the table of processes."""
    at = next((at for at, line in enumerate(lines) if _HEADING.fullmatch(line)), None)
    if at is None or at + 1 >= len(lines) or not _SECOND.fullmatch(lines[at + 1]):
        raise FormError("a table headed ID, Name, PCIe, %GPU, Mem", lines[0] if lines else "")
    body = [line for line in lines[at + 2 :] if line.strip() and not _RULE.fullmatch(line.strip())]
    upper: str | None = None
    for line in body:
        if line.strip().startswith("Processes"):
            break
        if upper is not None:
            yield upper, line
            upper = None
        elif re.match(r"\s*\d", line):
            upper = line
        elif line.partition("|")[0].strip():
            raise FormError("number, name, bus, load and memory of a device", line)
    if upper is not None:
        raise FormError("two lines a device", upper)


def _device(upper: str, lower: str, *, driver: str | None) -> Accelerator:
    first, second = _UPPER.fullmatch(upper), _LOWER.fullmatch(lower)
    if first is None or second is None:
        raise FormError("number, name, bus, load, memory; type, lanes, temperature", f"{upper} / {lower}")
    if second["type"] != "Physical":
        raise DeviceError(partitioned(TOOL, f"GPU {first['id']} ({first['name']})", second["type"], _REMEDY))
    return Accelerator(
        key=f"mthreads:{first['bus'].lower()}",
        vendor="mthreads",
        index=int(first["id"]),
        name=first["name"],
        memory_mib=int(first["total"]),
        memory_used_mib=int(first["used"]),
        power_limit_milliwatts=None,
        driver_version=driver,
        compute_capability=None,
        bus_id=first["bus"],
        health="ok",
        tool=TOOL,
        utilization_percent=whole_number(first["load"].rstrip("%")),
        temperature_celsius=whole_number(second["temp"].rstrip("C")),
    )
