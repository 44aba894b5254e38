"""What the vendors' adapters share: their result, running a tool, and the problems they all can meet."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from zhisuan.base.text import Text
from zhisuan.site.discovery.reader import HostReader, ToolResult
from zhisuan.site.discovery.types import Accelerator, Problem

# A healthy tool answers in well under a second; a driver in trouble can hang for ever.
TOOL_TIMEOUT_SECONDS = 20.0
_EXCERPT_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Finding:
    """One vendor's devices and problems; both empty when the vendor's tool is not installed."""

    devices: tuple[Accelerator, ...] = ()
    problems: tuple[Problem, ...] = ()


Adapter = Callable[[HostReader], Finding]


def run_tool(reader: HostReader, command: Sequence[str]) -> ToolResult:
    return reader.run(command, timeout_seconds=TOOL_TIMEOUT_SECONDS)


def excerpt(text: str) -> str:
    """The first line with content, cut to a length that fits a message."""
    for line in text.splitlines():
        if line.strip():
            line = " ".join(line.split())
            return line if len(line) <= _EXCERPT_LENGTH else line[: _EXCERPT_LENGTH - 1] + "…"
    return ""


def tool_failed(tool: str, result: ToolResult) -> Problem:
    """The problem of a tool that is installed but gave no answer."""
    if result.outcome == "timed_out":
        seconds = int(TOOL_TIMEOUT_SECONDS)
        return Problem(
            tool,
            "tool_timed_out",
            Text(f"{tool} gave no answer within {seconds} s.", f"{tool} 在 {seconds} 秒内没有响应。"),
            Text(
                f"Run {tool} by hand; a driver that hangs usually needs a restart of the host.",
                f"请手动运行 {tool}；驱动卡死时通常需要重启主机。",
            ),
        )
    said = excerpt(result.stderr) or excerpt(result.stdout)
    code = result.exit_code
    how_en = "could not be started" if result.outcome == "failed_to_start" else f"ended with exit code {code}"
    how_zh = "无法启动" if result.outcome == "failed_to_start" else f"以退出码 {code} 结束"
    return Problem(
        tool,
        "tool_failed",
        Text(f"{tool} {how_en}: {said}" if said else f"{tool} {how_en}.", f"{tool} {how_zh}：{said or '没有输出'}"),
        Text(
            f"Make {tool} work by hand (driver loaded, device files readable), then run discovery again.",
            f"请先确认手动运行 {tool} 正常（驱动已加载、设备文件可读），再重新发现设备。",
        ),
    )


def unknown_format(tool: str, expected: str, found: str) -> Problem:
    """The problem of output in a form this adapter was not written for; nothing is read out of it."""
    shown = excerpt(found) or "(empty)"
    return Problem(
        tool,
        "unknown_format",
        Text(
            f"{tool} answered in a form that is not known here: expected {expected}, found: {shown}",
            f"{tool} 的输出格式无法识别：应为 {expected}，实际为：{shown}",
        ),
        Text(
            f"Report the full output and version of {tool} so that its form can be added; until then its devices are "
            "not offered.",
            f"请反馈 {tool} 的完整输出和版本，以便支持该格式；在此之前这些设备不会上架。",
        ),
    )


def device_unreadable(tool: str, device: str, reason_en: str, reason_zh: str) -> Problem:
    """The problem of one device that the tool lists but cannot describe."""
    return Problem(
        tool,
        "device_unreadable",
        Text(f"{tool} lists {device} but {reason_en}.", f"{tool} 列出了 {device}，但{reason_zh}。"),
        Text(
            "The device is left out; check its health with the vendor's tool and restart the host if it was lost.",
            "该设备暂不纳入；请用厂商工具检查其状态，若已掉卡请重启主机。",
        ),
    )


def milliwatts(text: str) -> int | None:
    """A decimal number of watts in whole milliwatts; ``None`` when it is not a non-negative number."""
    try:
        watts = Decimal(text.strip())
    except InvalidOperation:
        return None
    return int(watts * 1000) if watts.is_finite() and watts >= 0 else None


def whole_number(text: str) -> int | None:
    """A plain decimal integer, else ``None``."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip()) else None
