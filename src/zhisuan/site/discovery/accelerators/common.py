"""What the vendors' adapters share: their result, running a tool, and the problems they all can meet."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeVar

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
Entry = TypeVar("Entry")


class FormError(Exception):
    """The output is in a form that the adapter was not written for: nothing is to be read out of it."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found


class DeviceError(Exception):
    """One device that the tool lists and that cannot be offered; the others can."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def collect(
    tool: str,
    version: str | None,
    entries: Iterable[Entry],
    read: Callable[[Entry], Accelerator],
    *,
    count: int | None = None,
) -> Finding:
    """A device out of every entry. ``entries`` and ``read`` may raise a FormError: then there is no device at all.
    ``count`` is how many the tool says there are, where it says so."""
    devices: list[Accelerator] = []
    problems: list[Problem] = []
    try:
        for entry in entries:
            try:
                devices.append(read(entry))
            except DeviceError as error:
                problems.append(error.problem)
        listed = len(devices) + len(problems)
        if listed == 0 or (count is not None and count != listed):
            raise FormError(f"{count or 'at least one'} devices", f"{listed} devices")
        if len({device.key for device in devices}) != len(devices):
            raise FormError("a different address for every device", ", ".join(d.key for d in devices))
    except FormError as error:
        return Finding(problems=(unknown_format(tool, error.expected, error.found, version),))
    return Finding(tuple(devices), tuple(problems))


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
    if result.outcome == "overran":
        return Problem(
            tool,
            "tool_overran",
            Text(f"{tool} printed without end and was stopped.", f"{tool} 输出过长，已被终止。"),
            Text(f"Run {tool} by hand and mend its installation.", f"请手动运行 {tool} 并修复其安装。"),
        )
    told = excerpt(result.stderr) or excerpt(result.stdout)
    code = result.exit_code
    how_en = "could not be started" if result.outcome == "failed_to_start" else f"ended with exit code {code}"
    how_zh = "无法启动" if result.outcome == "failed_to_start" else f"以退出码 {code} 结束"
    return Problem(
        tool,
        "tool_failed",
        Text(f"{tool} {how_en}: {told}" if told else f"{tool} {how_en}.", f"{tool} {how_zh}：{told or '没有输出'}"),
        Text(
            f"Make {tool} work by hand (driver loaded, device files readable), then run discovery again.",
            f"请先确认手动运行 {tool} 正常（驱动已加载、设备文件可读），再重新发现设备。",
        ),
    )


def unknown_format(tool: str, expected: str, found: str, version: str | None = None) -> Problem:
    """The problem of output in a form this adapter was not written for; nothing is read out of it."""
    shown = excerpt(found) or "(empty)"
    called = f"{tool} {version}" if version else tool
    return Problem(
        tool,
        "unknown_format",
        Text(
            f"{called} answered in a form that is not known here: expected {expected}, found: {shown}",
            f"{called} 的输出格式无法识别：应为 {expected}，实际为：{shown}",
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


def partitioned(tool: str, device: str, how: str, remedy: Text) -> Problem:
    """The problem of a card that is split, so that it cannot be sold whole; ``how`` is the vendor's word for it."""
    return Problem(
        tool,
        "device_partitioned",
        Text(
            f"{device} is split by {how}, so it cannot be offered as a whole card.",
            f"{device} 已开启 {how} 切分，不能作为整卡上架。",
        ),
        remedy,
    )


def said(word: str) -> Text:
    """Why a device is not well, in the tool's own words."""
    return Text(f"The tool says: {word}.", f"工具报告：{word}。")


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


def whole_part(text: str) -> int | None:
    """The whole part of a plain non-negative decimal number, else ``None``."""
    number = re.fullmatch(r"([0-9]{1,18})(?:\.[0-9]{1,18})?", text.strip())
    return int(number[1]) if number else None
