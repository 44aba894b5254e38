"""When a site's devices are offered: weekly windows in the site's own time zone, less the time its provider takes them
back. Pure.

A window is days of the week, a time of day it opens and one it closes; one that closes at or before it opens runs over
midnight into the next day. Without any window a site is always offered. Outside of its windows nothing new is placed; what
runs goes on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text

DEFAULT_ZONE = "Asia/Shanghai"
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
WINDOWS_MAX = 50
# Long enough that every window of the week has come up once, whatever day it is.
LOOK_AHEAD_DAYS = 9
CLOCK_AHEAD_MAX = timedelta(seconds=5)
CLOCK_BEHIND_MAX = timedelta(seconds=60)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """``days`` count from 0 for Monday; minutes are of the local day, ``closes`` 1440 for its end."""

    days: tuple[int, ...]
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Windows:
    """A site's week; no windows means always."""

    zone: str = DEFAULT_ZONE
    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Windows":
        """From what a site row keeps."""
        windows = tuple(Window(tuple(w["days"]), w["opens"], w["closes"]) for w in kept.get("windows", ()))
        return cls(str(kept.get("zone", DEFAULT_ZONE)), windows)

    def as_dict(self) -> dict[str, Any]:
        windows = [{"days": list(w.days), "opens": w.opens, "closes": w.closes} for w in self.windows]
        return {"zone": self.zone, "windows": windows}


@dataclass(frozen=True, slots=True)
class RecallTimes:
    """Nothing new from ``stop_at`` to ``until`` (None: until the provider offers the site again)."""

    stop_at: datetime
    until: datetime | None


class Offer(NamedTuple):
    """Whether devices are offered now; else why not and when next (None: not of itself). ``until``: when that ends (None:
    no end is known)."""

    offered: bool
    reason: Text | None
    next_open: datetime | None
    until: datetime | None


def is_offered(windows: Windows, recall: RecallTimes | None, now: datetime) -> Offer:
    """By the windows and the recall. Times are zoned; a week that daylight saving cuts is followed by the zone's clock."""
    spans = _less(_spans(windows, now), recall)
    current = next((s for s in spans if s[0] <= now < s[1]), None)
    horizon = now + timedelta(days=LOOK_AHEAD_DAYS - 2)
    if current is not None:
        return Offer(True, None, None, None if current[1] > horizon else current[1])
    coming = next((s[0] for s in spans if s[0] > now), None)
    if recall is not None and recall.stop_at <= now and (recall.until is None or now < recall.until):
        return Offer(False, Text("the provider has taken the devices back", "提供方已收回设备"), coming, None)
    return Offer(
        False, Text("outside the hours in which the provider offers it", "不在提供方开放的时段内"), coming, None
    )


def _spans(windows: Windows, now: datetime) -> list[Span]:
    """All of the time offered from before ``now`` to some days ahead, joined where windows meet."""
    zone = ZoneInfo(windows.zone)
    today = now.astimezone(zone).date()
    if not windows.windows:
        return [(now - timedelta(days=1), now + timedelta(days=LOOK_AHEAD_DAYS))]
    found: list[Span] = []
    for ahead in range(-2, LOOK_AHEAD_DAYS):
        day = today + timedelta(days=ahead)
        for w in windows.windows:
            if day.weekday() in w.days:
                closes = w.closes if w.closes > w.opens else w.closes + DAY_MINUTES
                found.append(tuple(_instant(day, m, zone) for m in (w.opens, closes)))  # type: ignore[arg-type]
    return _joined(found)


def _instant(day: Any, minute: int, zone: ZoneInfo) -> datetime:
    """The moment at which a clock on the wall shows it; of a time that the clock leaves out, when it jumps over it."""
    on = day + timedelta(days=minute // DAY_MINUTES)
    local = datetime.combine(on, time(minute % DAY_MINUTES // 60, minute % 60), zone)
    return local.astimezone(UTC)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(s for s in spans if s[0] < s[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _less(spans: Sequence[Span], recall: RecallTimes | None) -> list[Span]:
    if recall is None:
        return list(spans)
    left: list[Span] = []
    for start, end in spans:
        left.append((start, min(end, recall.stop_at)))
        if recall.until is not None:
            left.append((max(start, recall.until), end))
    return [s for s in left if s[0] < s[1]]


def clock_reason(offset_ms: int | None) -> Text | None:
    """Why a site whose clock is off gets no new work: metered time that lies ahead of the platform's is not counted, and
    time before a lease is not either. Positive: the site's clock is ahead. Being late by less than a minute may be the way."""
    if offset_ms is None:
        return None
    offset = timedelta(milliseconds=offset_ms)
    if -CLOCK_BEHIND_MAX <= offset <= CLOCK_AHEAD_MAX:
        return None
    seconds = abs(offset_ms) // 1000
    ahead = offset_ms > 0
    return Text(
        f"the site's clock is {seconds} s {'ahead' if ahead else 'behind'}, so its work could not be metered",
        f"站点时钟{'快' if ahead else '慢'} {seconds} 秒，无法正确计量",
    )


def parsed_windows(zone: str, given: Sequence[Mapping[str, Any]]) -> Windows:
    """From ``{"days": ["mon", …], "from": "22:00", "to": "08:00"}``. Raises ``InvalidInput`` with every wrong place."""
    problems: list[FieldProblem] = []
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        told = Text(f"{zone!r} is not a time zone such as Asia/Shanghai", f"{zone!r} 不是 Asia/Shanghai 这样的时区名")
        problems.append(FieldProblem("zone", told))
    if len(given) > WINDOWS_MAX:
        problems.append(FieldProblem("windows", Text(f"takes at most {WINDOWS_MAX}", f"最多 {WINDOWS_MAX} 个时段")))
    windows = [_parsed(f"windows.{n}", w, problems) for n, w in enumerate(given)]
    if problems:
        raise InvalidInput(
            Text("These offer windows cannot be kept.", "开放时段有误。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )
    return Windows(zone, tuple(windows))


def _parsed(where: str, given: Mapping[str, Any], problems: list[FieldProblem]) -> Window:
    days = [str(d).lower() for d in given.get("days") or DAY_NAMES]
    for day in days:
        if day not in DAY_NAMES:
            told = Text(f"{day!r} is not one of {', '.join(DAY_NAMES)}", f"{day!r} 不是 {'、'.join(DAY_NAMES)} 之一")
            problems.append(FieldProblem(f"{where}.days", told))
    minutes = []
    for name in ("from", "to"):
        text = str(given.get(name, ""))
        if not _TIME.fullmatch(text) or (name == "from" and text == "24:00"):
            told = Text(f"{text!r} is not a time of day such as 22:00", f"{text!r} 不是 22:00 这样的时刻")
            problems.append(FieldProblem(f"{where}.{name}", told))
            minutes.append(0)
        else:
            minutes.append(int(text[:2]) * 60 + int(text[3:]))
    opens, closes = minutes
    indexes = tuple(sorted({DAY_NAMES.index(d) for d in days if d in DAY_NAMES}))
    return Window(indexes, opens, closes)


def written_windows(windows: Windows) -> list[dict[str, Any]]:
    """As ``parsed_windows`` reads them."""
    return [
        {"days": [DAY_NAMES[d] for d in w.days], "from": _written(w.opens), "to": _written(w.closes)}
        for w in windows.windows
    ]


def _written(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
