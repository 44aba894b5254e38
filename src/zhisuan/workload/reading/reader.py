"""What every part of the reading uses: a collector of problems, and values written as amounts and times."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from zhisuan.base.errors import FieldProblem
from zhisuan.base.text import Text

DURATION = re.compile(r"([0-9]{1,9})\s*(s|m|h|d)?")
AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
WHOLE = re.compile(r"[0-9]{1,9}")
SHOWN_LENGTH_MAX = 60
NAMES_MAX = 50
NAME_LENGTH_MAX = 200
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(slots=True)
class Reader:
    """Collects every problem with its place, so that one look mends the whole file."""

    problems: list[FieldProblem] = field(default_factory=list)

    def wrong(self, where: str, en: str, zh: str) -> None:
        self.problems.append(FieldProblem(where, Text(en, zh)))

    def refuse(self, where: str, reason: Text) -> None:
        self.problems.append(FieldProblem(where, reason))

    def mapping(self, where: str, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(where, "must be a mapping of names to values", "必须是键值映射")
            return {}
        return {str(k): v for k, v in value.items()}

    def known(self, prefix: str, data: dict[str, Any], names: set[str], refused: dict[str, Text]) -> None:
        """Every field is in ``names``, or is a problem; one that SkyPilot has and we have not says why."""
        for name in data:
            where = f"{prefix}{name}"
            if name in refused:
                self.refuse(where, refused[name])
            elif name not in names:
                self.wrong(
                    where,
                    f"is not a field of a workload file; known here: {', '.join(sorted(names))}",
                    f"不是工作负载文件的字段；此处可用：{'、'.join(sorted(names))}",
                )

    def text(self, where: str, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(where, "must be text", "必须是文本")
            return None
        return value


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def scalar(value: Any) -> str:
    """A text or number as it reads; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def shown(value: Any) -> str:
    """A wrong value as a message shows it: what it is, cut short."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"


def read_amount(reader: Reader, where: str, value: Any, scale: int, default: int) -> int:
    """A number such as 2, 0.5, "4" or "4+" (at least: the platform gives exactly that), times ``scale``."""
    if value is None:
        return default
    digits = scalar(value).strip().removesuffix("+").removesuffix("GB").strip()
    if not AMOUNT.fullmatch(digits):
        text = shown(value)
        reader.wrong(
            where, f"{text} is not an amount; write 2 or 0.5 or '4+'", f"{text} 不是有效数量；请写 2、0.5 或 '4+'"
        )
        return default
    whole, _, part = digits.partition(".")
    amount = (int(whole) * 1000 + int(part.ljust(3, "0") or 0)) * scale // 1000
    if amount <= 0 or amount > 10**9:
        reader.wrong(where, "must be more than zero and of this world", "必须大于零且在合理范围内")
        return default
    return amount


def read_duration(reader: Reader, name: str, value: Any, least: int, most: int) -> int | None:
    """Seconds of a time such as ``20m`` below ``zhisuan:``; None where there is none, or a wrong one."""
    if value is None:
        return None
    found = DURATION.fullmatch(scalar(value).strip())
    seconds = int(found.group(1)) * SECONDS[found.group(2) or "s"] if found else 0
    if not least <= seconds <= most:
        reader.wrong(
            f"zhisuan.{name}",
            f"takes a time such as 90s, 20m, 2h or 1d, from {least}s to {most // 86400}d",
            f"须为 90s、20m、2h、1d 之类的时长，范围 {least}s 到 {most // 86400}d",
        )
        return None
    return seconds


def read_time(reader: Reader, where: str, value: Any) -> str | None:
    """A time with its zone. Whether it lies ahead is for the moment of launching."""
    if value is None:
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        reader.wrong(
            where,
            "takes a time with its zone, such as 2026-12-01T18:00:00+08:00",
            "须为带时区的时间，例如 2026-12-01T18:00:00+08:00",
        )
        return None
    return at.isoformat()


def read_names(reader: Reader, own: dict[str, Any], field: str) -> tuple[str, ...]:
    """One name or a list of them below ``zhisuan:``, each once, in their order."""
    value = own.get(field)
    names = [value] if isinstance(value, str) else value
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(n, str) and 0 < len(n) <= NAME_LENGTH_MAX for n in names):
        reader.wrong(f"zhisuan.{field}", "takes one name or a list of names", "须为一个名称或名称列表")
        return ()
    if len(names) > NAMES_MAX:
        reader.wrong(f"zhisuan.{field}", f"takes at most {NAMES_MAX} names", f"最多 {NAMES_MAX} 个名称")
        return ()
    return tuple(dict.fromkeys(names))
