"""When a site is offered: against the clock on the wall, minute by minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput
from zhisuan.supply.offering import (
    DAY_NAMES,
    RecallTimes,
    Window,
    Windows,
    clock_reason,
    is_offered,
    parsed_windows,
    written_windows,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 6, 29, tzinfo=SHANGHAI)
MINUTE = timedelta(minutes=1)

times = st.integers(0, 7 * 24 * 60 - 1).map(lambda m: MONDAY + m * MINUTE)
windows = st.lists(
    st.builds(
        Window,
        st.lists(st.integers(0, 6), min_size=1, unique=True).map(lambda d: tuple(sorted(d))),
        st.integers(0, 1439),
        st.integers(0, 1440),
    ),
    max_size=4,
).map(tuple)


def open_by_the_clock(week: tuple[Window, ...], at: datetime) -> bool:
    """By the local day and minute alone, in a zone without daylight saving."""
    local = at.astimezone(SHANGHAI)
    minute, today, yesterday = local.hour * 60 + local.minute, local.weekday(), (local.weekday() - 1) % 7
    for w in week:
        if w.closes > w.opens:
            if today in w.days and w.opens <= minute < w.closes:
                return True
        elif (today in w.days and minute >= w.opens) or (yesterday in w.days and minute < w.closes):
            return True
    return not week


@given(windows, times)
def test_a_site_is_offered_when_the_clock_on_its_wall_says_so(week: tuple[Window, ...], at: datetime) -> None:
    assert is_offered(Windows(windows=week), None, at).offered == open_by_the_clock(week, at)


@given(windows, times)
def test_next_open_and_until_are_the_next_change(week: tuple[Window, ...], at: datetime) -> None:
    found = is_offered(Windows(windows=week), None, at)
    change = found.until if found.offered else found.next_open
    if change is None:
        assert found.offered and all(open_by_the_clock(week, at + d * timedelta(hours=1)) for d in range(24 * 6))
        return
    assert change > at
    assert open_by_the_clock(week, change) is not found.offered
    assert open_by_the_clock(week, change - MINUTE) is found.offered


@given(windows, times, st.integers(-3000, 3000), st.one_of(st.none(), st.integers(1, 3000)))
def test_a_recall_takes_its_span_out_and_nothing_else(
    week: tuple[Window, ...], at: datetime, starts: int, lasts: int | None
) -> None:
    stop = at + starts * MINUTE
    until = None if lasts is None else stop + lasts * MINUTE
    taken = stop <= at and (until is None or at < until)
    found = is_offered(Windows(windows=week), RecallTimes(stop, until), at)
    assert found.offered == (open_by_the_clock(week, at) and not taken)
    if found.offered and stop > at:
        assert found.until is not None and found.until <= stop
    if not found.offered and found.next_open is not None:
        opens = is_offered(Windows(windows=week), RecallTimes(stop, until), found.next_open)
        assert opens.offered


def test_daylight_saving_is_the_zones_own() -> None:
    """New York jumps from 2:00 to 3:00 on 2026-03-08: a window from 1:00 to 4:00 is two hours long that day."""
    week = Windows("America/New_York", (Window((6,), 60, 240),))
    start = datetime(2026, 3, 8, 6, tzinfo=UTC)
    assert is_offered(week, None, start).until == start + timedelta(hours=2)
    week_before = is_offered(week, None, start - timedelta(days=7))
    assert week_before.until == start - timedelta(days=7) + timedelta(hours=3)


def test_why_not_is_said_in_both_languages() -> None:
    closed = is_offered(Windows(windows=(Window((0,), 0, 60),)), None, MONDAY + timedelta(hours=5))
    assert closed.reason is not None and "hours" in closed.reason.en and "时段" in closed.reason.zh
    taken = is_offered(Windows(), RecallTimes(MONDAY, None), MONDAY)
    assert taken.reason is not None and "taken the devices back" in taken.reason.en
    assert taken.next_open is None


@given(windows)
def test_windows_are_read_as_they_are_written(week: tuple[Window, ...]) -> None:
    kept = Windows("Asia/Urumqi", week)
    assert parsed_windows("Asia/Urumqi", written_windows(kept)) == kept
    assert Windows.of(kept.as_dict()) == kept


@pytest.mark.parametrize(
    ("zone", "window", "where"),
    [
        ("Mars/Olympus", {"from": "01:00", "to": "02:00"}, "zone"),
        ("../../etc/passwd", {"from": "01:00", "to": "02:00"}, "zone"),
        ("UTC", {"days": ["someday"], "from": "01:00", "to": "02:00"}, "windows.0.days"),
        ("UTC", {"from": "1:00", "to": "02:00"}, "windows.0.from"),
        ("UTC", {"from": "24:00", "to": "02:00"}, "windows.0.from"),
        ("UTC", {"from": "01:00", "to": "25:00"}, "windows.0.to"),
    ],
)
def test_a_wrong_window_is_named(zone: str, window: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parsed_windows(zone, [window])
    assert [p.where for p in caught.value.problems] == [where]


def test_without_days_it_is_every_day() -> None:
    assert parsed_windows("UTC", [{"from": "00:00", "to": "24:00"}]).windows[0].days == tuple(range(len(DAY_NAMES)))


@pytest.mark.parametrize(
    ("offset_ms", "bad"), [(None, False), (0, False), (5000, False), (5001, True), (-60_000, False), (-60_001, True), (600_000, True)]
)  # fmt: skip
def test_a_clock_that_cannot_be_metered_by_keeps_work_away(offset_ms: int | None, bad: bool) -> None:
    reason = clock_reason(offset_ms)
    assert (reason is not None) == bad
    if offset_ms is not None and offset_ms > 5000:
        assert reason is not None and f"{offset_ms // 1000} s ahead" in reason.en and "快" in reason.zh
