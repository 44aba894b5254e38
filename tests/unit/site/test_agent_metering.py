"""Windows tile a run exactly, whatever happens between the cuts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.metering import SETTLING, over_until, settled_end, window_id, windows_due
from zhisuan.wire.common import LeaseKey
from zhisuan.wire.site import UsageWindow

KEY = LeaseKey(lease_id="lea_a", generation=3)
NOON = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
INSTANTS = st.integers(0, 20_000).map(lambda s: NOON + timedelta(seconds=s))


def spans(windows: tuple[UsageWindow, ...]) -> list[tuple[datetime, datetime]]:
    return [(w.start, w.end) for w in windows]


def test_a_run_over_three_minutes_reads_as_it_should() -> None:
    start, end = NOON.replace(second=50), NOON + timedelta(minutes=2, seconds=5)
    windows = windows_due(KEY, start, end)
    assert spans(windows) == [
        (start, NOON + timedelta(minutes=1)),
        (NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)),
        (NOON + timedelta(minutes=2), end),
    ]
    assert windows[0].id == f"lea_a:3:{int(start.timestamp())}" == window_id("lea_a", 3, start)


@pytest.mark.parametrize(
    ("seen", "over"),
    [(0, -60), (1, -60), (2, 0), (61, 0), (62, 60), (119, 60), (122, 120)],
)
def test_a_minute_is_over_only_after_it_has_settled(seen: int, over: int) -> None:
    assert timedelta(seconds=2) == SETTLING
    assert over_until(NOON + timedelta(seconds=seen)) == NOON + timedelta(seconds=over)


@given(start=INSTANTS, length=st.integers(0, 5_000))
def test_windows_tile_the_run(start: datetime, length: int) -> None:
    end = start + timedelta(seconds=length)
    windows = windows_due(KEY, start, end)
    at = start
    for window in windows:
        assert window.start == at < window.end
        assert window.start.replace(second=0) == (window.end - timedelta(seconds=1)).replace(second=0), (
            "inside one minute"
        )
        at = window.end
    assert at == end
    assert len({w.id for w in windows}) == len(windows)


@given(start=INSTANTS, length=st.integers(0, 3_000), looks=st.lists(st.integers(0, 4_000), max_size=30))
def test_cutting_as_time_goes_by_gives_the_windows_of_one_cut(start: datetime, length: int, looks: list[int]) -> None:
    end = start + timedelta(seconds=length)
    cut: list[UsageWindow] = []
    metered = start
    for look in sorted(looks):
        seen_at = start + timedelta(seconds=look)
        until = over_until(seen_at) if seen_at < end else end
        due = windows_due(KEY, metered, until)
        cut += due
        metered = due[-1].end if due else metered
    cut += windows_due(KEY, metered, end)
    assert tuple(cut) == windows_due(KEY, start, end)


@given(start=INSTANTS, metered=st.integers(0, 600), ended=st.integers(-600, 1_200), micros=st.integers(0, 999_999))
def test_a_settled_end_takes_nothing_back(start: datetime, metered: int, ended: int, micros: int) -> None:
    until = start + timedelta(seconds=metered)
    end = settled_end(start, until, start + timedelta(seconds=ended, microseconds=micros))
    assert end >= until >= start
    assert end.microsecond == 0
    if ended >= metered:
        assert end == start + timedelta(seconds=ended)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        over_until(datetime(2026, 8, 1, 12, 0))  # noqa: DTZ001 - the mistake under test
