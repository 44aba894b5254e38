"""Time comes in from the edge: decisions get ``now``, loops get a ``Clock``."""

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOCK_SKEW = timedelta(seconds=5)  # by which the clocks of two machines may differ without a word


class Clock(Protocol):
    """The time of day; always UTC and aware."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock. Only entry points make one."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told; for tests and the simulated city."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs an aware start time")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        if by < timedelta(0):
            raise ValueError("time does not run backwards")
        self._now += by
        return self._now


def whole_second(at: datetime) -> datetime:
    """``at`` floored to its second in UTC: the resolution of metering."""
    if at.tzinfo is None:
        raise ValueError("a naive time has no meaning here; give it a zone")
    return at.astimezone(UTC).replace(microsecond=0)


def bill_month(at: datetime) -> str:
    """The bill month ``YYYY-MM`` that ``at`` falls in; months are Asia/Shanghai months."""
    return at.astimezone(SHANGHAI).strftime("%Y-%m")


def bill_month_bounds(month: str) -> tuple[datetime, datetime]:
    """UTC bounds ``[start, end)`` of a bill month such as ``2026-08``."""
    year, number = (int(part) for part in month.split("-"))
    start = datetime(year, number, 1, tzinfo=SHANGHAI)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=SHANGHAI)
    return start.astimezone(UTC), end.astimezone(UTC)
