"""Time comes in from outside; ids sort by it, and never repeat in any thread; cursors and settings."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.clock import SHANGHAI, ManualClock, SystemClock, bill_month, bill_month_bounds, whole_second
from zhisuan.base.errors import InvalidInput
from zhisuan.base.ids import PREFIXES, TimeOrderedIds, prefix_of
from zhisuan.base.paging import decode_cursor, encode_cursor, page_of
from zhisuan.base.settings import Settings
from zhisuan.base.text import Text

START = datetime(2026, 7, 1, tzinfo=UTC)
times = st.integers(0, 998 * 365 * 86_400 * 10**6).map(
    lambda micro: datetime(2001, 1, 1, tzinfo=UTC) + timedelta(microseconds=micro)
)


def test_the_published_example_of_a_month_bound() -> None:
    assert bill_month(datetime(2026, 7, 31, 16, tzinfo=UTC)) == "2026-08"
    assert bill_month(datetime(2026, 7, 31, 15, 59, 59, tzinfo=UTC)) == "2026-07"
    assert bill_month_bounds("2026-12")[1] == datetime(2026, 12, 31, 16, tzinfo=UTC)


@given(at=times)
def test_every_instant_lies_in_exactly_its_month(at: datetime) -> None:
    start, end = bill_month_bounds(bill_month(at))
    assert start <= at < end and start.utcoffset() == timedelta(0)
    assert bill_month(end) == bill_month(end + timedelta(days=1)) != bill_month(at)
    assert start.astimezone(SHANGHAI).day == 1


@given(at=times, hours=st.integers(-12, 14))
def test_whole_seconds_are_utc_and_never_later(at: datetime, hours: int) -> None:
    floored = whole_second(at.astimezone(timezone(timedelta(hours=hours))))
    assert floored.microsecond == 0 and timedelta(0) <= at - floored < timedelta(seconds=1)
    assert floored.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused_and_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError):
        whole_second(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError):
        ManualClock(START).advance(timedelta(seconds=-1))
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_ids_rise_with_time_and_when_the_clock_goes_back() -> None:
    class Jumping(ManualClock):
        def set(self, at: datetime) -> None:
            self._now = at

    clock = Jumping(START)
    ids = TimeOrderedIds(clock, lambda bits: 2**bits - 1)
    made = [ids.new("job")]
    for seconds in (0, 0, 5, -3600, 3600):
        clock.set(START + timedelta(seconds=seconds))
        made.append(ids.new("job"))
    assert made == sorted(made) and len(set(made)) == len(made)
    assert {len(i) for i in made} == {len("job_") + 26}


def test_ids_never_repeat_in_any_thread() -> None:
    ids = TimeOrderedIds(ManualClock(START), lambda _: 7)
    made: list[list[str]] = [[] for _ in range(8)]
    barrier = threading.Barrier(8)

    def make(into: list[str]) -> None:
        barrier.wait()
        into.extend(ids.new("evt") for _ in range(2000))

    threads = [threading.Thread(target=make, args=(each,)) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({i for each in made for i in each}) == 16_000
    assert all(each == sorted(each) for each in made)


def test_a_prefix_says_what_an_id_names() -> None:
    ids = TimeOrderedIds(SystemClock())
    assert all(prefix_of(ids.new(prefix)) == prefix for prefix in PREFIXES)
    assert [prefix_of(x) for x in ("", "job", "job_", "no_1", "_x")] == [""] * 5
    with pytest.raises(ValueError, match="unknown id prefix"):
        ids.new("thing")
    one, two = ids.secret("zsk"), ids.secret("zsk")
    assert one != two and len(one) == 44


@given(last=st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=60))
def test_a_cursor_reads_back(last: str) -> None:
    assert decode_cursor(encode_cursor(last)) == last


@given(text=st.text(max_size=20))
def test_text_that_is_no_cursor_is_refused(text: str) -> None:
    try:
        assert not text or encode_cursor(decode_cursor(text) or "") == text
    except InvalidInput:
        return


@given(rows=st.lists(st.integers(), max_size=12), limit=st.integers(1, 6))
def test_a_page_has_a_cursor_exactly_while_there_is_more(rows: list[int], limit: int) -> None:
    page = page_of(rows[: limit + 1], limit, str)
    assert list(page.items) == rows[:limit]
    assert (page.next_cursor is not None) == (len(rows) > limit)
    if page.next_cursor:
        assert decode_cursor(page.next_cursor) == str(rows[limit - 1])


def test_text_is_told_in_the_readers_language() -> None:
    text = Text("one", "一")
    assert [text.in_language(x) for x in ("zh", "zh-CN", "ZH", "en", "fr", "")] == [
        "一",
        "一",
        "一",
        "one",
        "one",
        "one",
    ]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHISUAN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ZHISUAN_DATABASE_URL", "postgresql://u:hidden@h/d")
    settings = Settings()
    assert settings.artefact_address == f"file://{tmp_path}/artefacts"
    assert "hidden" not in repr(settings), "an address with a password is not shown"
    assert all(field.description for field in Settings.model_fields.values() if field.annotation is not None)
