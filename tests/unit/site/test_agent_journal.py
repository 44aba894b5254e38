"""Records and windows on disk: whatever kill lies between two steps, the same windows reach the server."""

import os
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.engines.contract import ExitReason, Observation, Progress, RunPhase
from zhisuan.site.errors import JournalUnreadable
from zhisuan.site.journal import PAST_KEPT, Journal
from zhisuan.site.metering import windows_due
from zhisuan.site.record import Key, LeaseRecord, Stage, Step, ended_without_run, lost, observed, report
from zhisuan.wire.site import LeaseOffer, LeasePhase, NodeGrantMessage, UsageWindow

NOON = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
KEY = Key("lea_a", 2)
OFFER = LeaseOffer(
    lease_id=KEY.lease_id,
    generation=KEY.generation,
    workload_id="job_a",
    workload_name="a",
    nodes=(NodeGrantMessage(hostname="here", devices=()),),
    run="true",
)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def seen(at: datetime, start: datetime | None, end: datetime, **changes: object) -> Observation:
    """What an engine shows at ``at`` of a run over ``[start, end)``."""
    over = at >= end
    started = start is not None and at >= start
    values: dict[str, object] = {
        "lease_id": KEY.lease_id,
        "generation": KEY.generation,
        "phase": RunPhase.exited if over else RunPhase.running if started else RunPhase.preparing,
        "started_at": start if started else None,
        "ended_at": end if over else None,
        "exit_code": 0 if over else None,
        "signal": None,
        "reason": ExitReason.completed if over else None,
        "message": None,
        "cpu_seconds_milli": 5,
        "memory_peak_bytes": 7,
        "progress": Progress(500_000, "half"),
    }
    return Observation(**(values | changes))  # type: ignore[arg-type]


def test_a_run_from_offer_to_end() -> None:
    record = LeaseRecord(offer=OFFER)
    start, end = NOON + seconds(10.7), NOON + seconds(75.2)
    assert report(record).phase is LeasePhase.accepted
    record, windows = observed(record, seen(NOON, start, end), NOON)
    assert (record.stage, report(record).phase, windows) == (Stage.started, LeasePhase.accepted, ())
    record, windows = observed(record, seen(start, start, end), start)
    assert (report(record).phase, record.started_at, windows) == (LeasePhase.running, NOON + seconds(10), ())
    at = NOON + seconds(63)
    record, windows = observed(record, seen(at, start, end), at)
    assert [(w.start, w.end) for w in windows] == [(NOON + seconds(10), NOON + seconds(60))]
    record, windows = observed(record, seen(end, start, end), end)
    assert [(w.start, w.end) for w in windows] == [(NOON + seconds(60), NOON + seconds(75))]
    told = report(record, complete=True)
    assert (told.phase, told.ended_at, told.exit_code, told.reason) == (
        LeasePhase.exited,
        NOON + seconds(75),
        0,
        "completed",
    )
    late = observed(record, seen(end, start, end, exit_code=9, ended_at=end + seconds(500)), end)
    assert late == Step(record), "an end never changes"


def test_a_clock_set_back_takes_nothing_back() -> None:
    record, windows = observed(LeaseRecord(offer=OFFER), seen(NOON, NOON, NOON + seconds(500)), NOON)
    record, windows = observed(record, seen(NOON, NOON, NOON + seconds(500)), NOON + seconds(125))
    assert windows[-1].end == NOON + seconds(120)
    back = NOON + seconds(30)
    record, windows = observed(record, seen(back, NOON, back), back)
    assert (record.ended_at, windows) == (NOON + seconds(120), ())


def test_what_never_ran_and_what_was_lost() -> None:
    record, windows = ended_without_run(LeaseRecord(offer=OFFER), NOON + seconds(0.5), "cancelled", "Stopped.")
    assert (record.started_at, record.ended_at, windows) == (None, NOON, ())
    assert report(record).message == "Stopped."
    running, _ = observed(LeaseRecord(offer=OFFER), seen(NOON, NOON, NOON + seconds(500)), NOON + seconds(70))
    gone, windows = lost(running, NOON + seconds(400))
    assert (gone.ended_at, gone.reason, windows) == (NOON + seconds(60), "lost", ())


MOMENTS = st.tuples(
    st.integers(0, 90_000).map(lambda ms: ms / 100),
    st.sampled_from(["fine", "killed before journal", "killed after journal"]),
    st.sampled_from(["fine", "not sent", "killed before journal"]),
)
numbers = count()


@settings(max_examples=60)
@given(
    offset=st.integers(0, 5_999).map(lambda ms: ms / 100),
    length=st.integers(0, 60_000).map(lambda ms: ms / 100),
    moments=st.lists(MOMENTS, max_size=12),
)
def test_kills_between_any_two_steps_change_nothing(
    tmp_path: Path, offset: float, length: float, moments: list[tuple[float, str, str]]
) -> None:
    path = tmp_path / f"{next(numbers)}.db"
    start = NOON + seconds(offset)
    end = start + seconds(length)
    server: dict[str, UsageWindow] = {}
    journal = Journal(path)
    journal.save(LeaseRecord(offer=OFFER))

    def look(at: datetime, fate: str, sending: str) -> None:
        nonlocal journal
        [record] = journal.records()
        step = observed(record, seen(at, start, end), at)
        if fate != "killed before journal":
            journal.save(step.record, step.windows)
        if fate != "fine":
            journal.close()
            journal = Journal(path)
        windows = journal.unsent_windows(100)
        if sending != "not sent":
            for window in windows:
                assert server.setdefault(window.id, window) == window, "a replay says the same"
        if sending == "fine":
            journal.windows_sent(windows)

    for after, fate, sending in sorted(moments):
        look(start + seconds(after), fate, sending)
    last = max(end, start + seconds(max((m[0] for m in moments), default=0)))
    look(last, "fine", "fine")
    assert not journal.has_unsent(KEY)
    journal.close()

    first, final = (at.replace(microsecond=0) for at in (start, end))
    expected = windows_due(OFFER, first, final)
    assert sorted(server.values(), key=lambda w: w.start) == list(expected)
    assert sum((w.end - w.start for w in server.values()), timedelta()) == final - first


def test_a_record_and_its_windows_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    record = LeaseRecord(offer=OFFER)
    windows = windows_due(OFFER, NOON, NOON + seconds(90))
    journal.save(record, windows)
    with pytest.raises(sqlite3.IntegrityError):
        journal.save(record.with_stage(Stage.exited), windows[-1:])
    assert journal.records() == [record]
    assert journal.unsent_windows(10) == list(windows)
    assert journal.unsent_windows(1) == [windows[0]]
    journal.windows_sent(windows[:1])
    assert journal.has_unsent(KEY)
    assert not journal.has_unsent(Key(KEY.lease_id, 1))
    journal.close()


def test_what_is_forgotten_leaves_its_final_report(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    record = ended_without_run(LeaseRecord(offer=OFFER), NOON, "cancelled", "Stopped.").record
    journal.save(record)
    journal.artefact_sent(KEY, "a/b", "00")
    assert journal.artefacts(KEY) == {"a/b": "00"}
    final = report(record, complete=True)
    journal.forget(final, NOON)
    assert (journal.records(), journal.artefacts(KEY)) == ([], {})
    assert journal.past_of(KEY.lease_id) == [final]
    other = final.model_copy(update={"lease_id": "lea_b"})
    journal.forget(other, NOON + PAST_KEPT + seconds(1))
    assert (journal.past_of(KEY.lease_id), journal.past_of("lea_b")) == ([], [other])
    journal.close()


def test_the_journal_is_the_agents_alone_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    journal.keep_fact("x", {"y": [1]})
    journal.close()
    again = Journal(path)
    assert again.fact("x") == {"y": [1]}
    assert again.fact("z") is None
    again.close()


@pytest.mark.parametrize("damage", ["text", "page"])
def test_a_damaged_journal_says_so_and_is_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    for number in range(200):
        journal.keep_fact(f"name {number}", "x" * 500)
    journal.close()
    content = bytearray(path.read_bytes())
    if damage == "text":
        content = bytearray(b"this is no database" * 100)
    else:
        content[4096 * 3 : 4096 * 9] = os.urandom(4096 * 6)
    path.write_bytes(content)
    with pytest.raises(JournalUnreadable, match="damaged") as caught:
        Journal(path)
    assert "j.db.damaged" in caught.value.remedy.en
    assert caught.value.exit_status == 6
    assert path.read_bytes() == bytes(content)


def test_a_full_disk_is_said_and_leaves_the_journal_whole(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    journal.save(LeaseRecord(offer=OFFER))
    journal._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(JournalUnreadable, match="full"):
        journal.keep_fact("big", "x" * 1_000_000)
    assert journal.fact("big") is None
    journal.close()
    again = Journal(path)
    assert [record.key for record in again.records()] == [KEY]
    again.close()
