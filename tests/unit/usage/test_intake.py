"""Intake of windows and model calls: once each, refusals kept with a reason, replays harmless."""

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from usage_world import GATEWAY, MINUTE, ORG, SITE, add_lease, call, kept_aside, minutes, send, send_calls, window

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.outbox import OutboxEvent
from zhisuan.execution.tables import Lease
from zhisuan.site.metering import windows_due
from zhisuan.testing.database import START
from zhisuan.usage import service as usage
from zhisuan.usage.tables import TokenEvent, Window
from zhisuan.wire.common import LeaseKey
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

HOUR = timedelta(hours=1)


def stored(database: Database) -> list[Window]:
    with database.begin("test") as tx:
        return list(tx.session.scalars(select(Window).order_by(Window.lease_id, Window.start_at)))


def test_windows_are_counted_once(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1", rate=999_999)
    clock.advance(HOUR)
    sent = minutes(lease, 3)
    assert send(database, sent).accepted == 3
    again = send(database, [*sent, *sent])
    assert (again.accepted, again.duplicate, again.refused) == (0, 6, ())
    rows = stored(database)
    assert [(w.source, w.org_id, w.generation, w.seconds, w.rated) for w in rows] == [(SITE, ORG, 1, 60, False)] * 3
    assert [w.quantity_udu for w in rows] == [16_666, 16_667, 16_666]
    assert [w.minute for w in rows] == [int(START.timestamp()) // 60 + n for n in range(3)]
    assert kept_aside(database) == []


def test_a_batch_may_hold_the_same_window_twice(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    clock.advance(HOUR)
    [one] = minutes(lease, 1)
    answer = send(database, [one, one])
    assert (answer.accepted, answer.duplicate) == (1, 1)


def test_the_agents_own_windows_are_taken(database: Database, clock: ManualClock) -> None:
    """What site.metering cuts, in another zone's clothes, is what this side takes; 度 are exact over the whole run."""
    start = START + timedelta(seconds=13)
    lease = add_lease(database, "lea_1", rate=777_777, active_from=start, active_to=start + timedelta(seconds=1234))
    clock.advance(HOUR)
    due = windows_due(LeaseKey(lease_id=lease, generation=1), start, start + timedelta(seconds=1234))
    east = timezone(timedelta(hours=8))
    sent = [w.model_copy(update={"start": w.start.astimezone(east), "end": w.end.astimezone(east)}) for w in due]
    assert send(database, sent).accepted == len(due) == 21
    assert sum(w.quantity_udu for w in stored(database)) == 777_777 * 1234 // 3600


REFUSALS = [
    ("unknown_lease", lambda s: window("lea_none", s, s + MINUTE)),
    ("unknown_lease", lambda s: window("lea_foreign", s, s + MINUTE)),
    ("unknown_lease", lambda s: window("lea_\x00", s, s + MINUTE, ident="w")),
    ("wrong_generation", lambda s: window("lea_1", s, s + MINUTE, generation=2)),
    ("not_whole_seconds", lambda s: window("lea_1", s + timedelta(microseconds=1), s + MINUTE)),
    ("not_whole_seconds", lambda s: window("lea_1", s, s + timedelta(seconds=2.5))),
    ("empty", lambda s: window("lea_1", s, s)),
    ("empty", lambda s: window("lea_1", s + MINUTE, s)),
    ("crosses_minute", lambda s: window("lea_1", s + timedelta(seconds=1), s + timedelta(seconds=61))),
    ("in_future", lambda s: window("lea_open", s + 120 * MINUTE, s + 120 * MINUTE + timedelta(seconds=6))),
    ("outside_active", lambda s: window("lea_1", s + 60 * MINUTE, s + 60 * MINUTE + timedelta(seconds=6))),
    ("too_late", lambda s: window("lea_old", s - timedelta(days=91), s - timedelta(days=91) + MINUTE)),
    ("outside_active", lambda s: window("lea_1", s - MINUTE, s)),
    ("outside_active", lambda s: window("lea_1", s + 30 * MINUTE, s + 30 * MINUTE + timedelta(seconds=11))),
    ("bad_text", lambda s: window("lea_1", s, s + MINUTE, ident="a\x00b")),
    ("bad_text", lambda s: window("lea_1", s, s + MINUTE, ident="x" * 400)),
    ("bad_text", lambda s: window("lea_1", s, s + MINUTE).model_copy(update={"id": "\ud800"})),
]


@pytest.mark.parametrize(("code", "make"), REFUSALS)
def test_a_window_that_cannot_be_counted_is_kept_aside(
    database: Database,
    clock: ManualClock,
    code: str,
    make: Callable[[datetime], UsageWindow],
) -> None:
    end = START + 30 * MINUTE + timedelta(seconds=10)
    add_lease(database, "lea_1", active_to=end)
    add_lease(database, "lea_open")
    add_lease(database, "lea_old", active_from=START - timedelta(days=100))
    add_lease(database, "lea_foreign", site="site_two")
    clock.advance(HOUR)
    bad, good = make(START), window("lea_1", START + 5 * MINUTE, START + 6 * MINUTE)
    answer = send(database, [bad, good])
    assert (answer.accepted, answer.duplicate, answer.refused, answer.retry) == (1, 0, (bad.id,), ())
    assert [c for _, c in kept_aside(database)] == [code]
    with database.begin("test") as tx:
        [event] = usage.list_quarantined(tx.session)
        assert event.source == SITE and event.reason and event.body["generation"] == bad.generation
        [notice] = tx.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "usage.quarantined"))
        assert notice.subject == SITE and notice.data["count"] == 1
    again = send(database, [bad, good])
    assert (again.accepted, again.duplicate, again.refused) == (0, 1, (bad.id,))
    assert len(kept_aside(database)) == 1


def test_a_window_of_a_clock_some_minutes_ahead_is_sent_again_until_its_time_has_come(database: Database, clock: ManualClock) -> None:
    early = window(add_lease(database, "lea_1"), START + 10 * MINUTE, START + 11 * MINUTE)
    answer = send(database, [early])
    assert (answer.accepted, answer.refused, answer.retry) == (0, (), (early.id,))
    clock.advance(11 * MINUTE)
    assert send(database, [early]).accepted == 1


def test_five_seconds_of_clock_skew_are_allowed(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    assert send(database, [window(lease, START, START + timedelta(seconds=5))]).accepted == 1


def test_the_last_second_of_a_lease_counts(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1", active_to=START + timedelta(seconds=7))
    clock.advance(HOUR)
    assert send(database, [window(lease, START, START + timedelta(seconds=7))]).accepted == 1


def test_a_lease_that_is_not_active_yet_is_retried_and_nothing_kept(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1", active_from=None)
    clock.advance(HOUR)
    sent = minutes(lease, 2)
    answer = send(database, sent)
    assert (answer.accepted, answer.refused, answer.retry) == (0, (), tuple(w.id for w in sent))
    assert stored(database) == [] and kept_aside(database) == []
    with database.begin("test") as tx:
        tx.session.get_one(Lease, lease).active_from = START
    assert send(database, sent).accepted == 2


def test_an_id_with_another_body_is_refused_and_the_first_stays(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    clock.advance(HOUR)
    first = window(lease, START, START + MINUTE, ident="w")
    other = window(lease, START + MINUTE, START + 2 * MINUTE, ident="w")
    assert send(database, [first, other]).refused == ("w",)
    assert send(database, [other]).refused == ("w",)
    answer = send(database, [other, first])
    assert (answer.accepted, answer.duplicate, answer.refused) == (0, 1, ("w",))
    assert [(w.id, w.start_at) for w in stored(database)] == [("w", START)]
    assert kept_aside(database) == [("w", "id_reused")]


def test_two_windows_in_one_minute_of_a_lease_are_one_too_many(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    clock.advance(HOUR)
    first = window(lease, START, START + timedelta(seconds=30))
    second = window(lease, START + timedelta(seconds=30), START + MINUTE)
    assert send(database, [second, first]).accepted == 1
    assert send(database, [second]).refused == (second.id,)
    assert [w.id for w in stored(database)] == [first.id]
    assert kept_aside(database) == [(second.id, "overlap")]


def test_a_replay_after_the_lease_was_cut_short_is_still_a_duplicate(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    clock.advance(HOUR)
    sent = minutes(lease, 3)
    send(database, sent)
    with database.begin("test") as tx:
        tx.session.get_one(Lease, lease).active_to = START + MINUTE
    clock.advance(timedelta(days=100))
    answer = send(database, sent)
    assert (answer.duplicate, answer.refused) == (3, ()) and kept_aside(database) == []


def test_ids_belong_to_their_site(database: Database, clock: ManualClock) -> None:
    add_lease(database, "lea_1")
    add_lease(database, "lea_2", site="site_two")
    clock.advance(HOUR)
    assert send(database, [window("lea_1", START, START + MINUTE, ident="w")]).accepted == 1
    assert send(database, [window("lea_2", START, START + MINUTE, ident="w")], site="site_two").accepted == 1


@pytest.mark.parametrize("order", ["same", "reversed"])
def test_many_servers_taking_the_same_batch_count_each_window_once(
    database: Database, clock: ManualClock, order: str
) -> None:
    leases = [add_lease(database, f"lea_{n}") for n in range(4)]
    clock.advance(5 * HOUR)
    sent = [w for lease in leases for w in minutes(lease, 200)]
    answers = []
    barrier = threading.Barrier(4)
    servers = [
        Database(database.url, clock, TimeOrderedIds(clock, random.Random(n).getrandbits), pool_size=1)
        for n in range(4)
    ]

    def take(number: int) -> None:
        batch = sent if order == "same" or number % 2 else list(reversed(sent))
        barrier.wait(timeout=30)
        answers.append(send(servers[number], batch))

    threads = [threading.Thread(target=take, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for server in servers:
        server.close()
    assert sorted((a.accepted, a.duplicate) for a in answers) == [(0, 800)] * 3 + [(800, 0)]
    assert len(stored(database)) == 800 and kept_aside(database) == []


@settings(max_examples=20)
@given(seconds=st.integers(1, 600), offset=st.integers(0, 59), rate=st.integers(1, 10**9), seed=st.integers(0, 10**6))
def test_any_arrival_order_batching_and_replay_give_the_exact_total(
    database: Database, clock: ManualClock, seconds: int, offset: int, rate: int, seed: int
) -> None:
    rng = random.Random(seed)
    start = clock.now().replace(second=offset)
    lease = add_lease(database, f"lea_{clock.now().timestamp()}", rate=rate, active_from=start)
    clock.advance(HOUR)
    sent = list(windows_due(LeaseKey(lease_id=lease, generation=1), start, start + timedelta(seconds=seconds)))
    arriving = sent + rng.choices(sent, k=3)
    rng.shuffle(arriving)
    taken = 0
    while arriving:
        cut = rng.randint(1, len(arriving))
        taken += send(database, arriving[:cut]).accepted
        arriving = arriving[cut:]
    with database.begin("test") as tx:
        [total] = usage.lease_usage(tx.session, lease_ids=[lease])
        assert usage.check_totals(tx.session) == []
    assert taken == len(sent)
    assert (total.seconds, total.quantity_udu) == (seconds, rate * seconds // 3600)
    assert (total.first_start, total.last_end) == (start, start + timedelta(seconds=seconds))


def test_model_calls_are_counted_once(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    sent = [call(f"t{n}", lease, START + timedelta(milliseconds=n)) for n in range(5)]
    assert send_calls(database, sent).accepted == 5
    again = send_calls(database, [*sent, call("new", lease)])
    assert (again.accepted, again.duplicate) == (1, 5)
    changed = send_calls(database, [call("t0", lease, output_tokens=8)])
    assert changed.refused == ("t0",) and kept_aside(database) == [("t0", "id_reused")]
    with database.begin("test") as tx:
        rows = tx.session.scalars(select(TokenEvent).order_by(TokenEvent.id)).all()
        assert [r.id for r in rows] == ["new", "t0", "t1", "t2", "t3", "t4"]
        assert (rows[1].source, rows[1].output_tokens, rows[1].at, rows[1].rated) == (GATEWAY, 7, START, False)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("unknown_lease", {"lease_id": "lea_none"}),
        ("unknown_lease", {"org_id": "org_other"}),
        ("cached_above_input", {"cached_input_tokens": 6}),
        ("in_future", {"at": START + timedelta(seconds=6)}),
        ("too_late", {"at": START - timedelta(days=91)}),
        ("too_large", {"output_tokens": 2**60}),
        ("bad_text", {"model": "a\x00b"}),
        ("bad_text", {"id": ""}),
    ],
)
def test_a_model_call_that_cannot_be_counted_is_kept_aside(
    database: Database, clock: ManualClock, code: str, changes: dict[str, object]
) -> None:
    lease = add_lease(database, "lea_1")
    bad: TokenUsage = call("bad", lease).model_copy(update=changes)
    answer = send_calls(database, [bad, call("good", lease)])
    assert (answer.accepted, answer.refused) == (1, (bad.id,))
    assert [c for _, c in kept_aside(database)] == [code]


def test_a_second_cannot_be_written_twice_even_past_this_code(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    clock.advance(HOUR)
    send(database, minutes(lease, 1))
    copied = (
        "INSERT INTO usage_window SELECT source, id || 'x', org_id, lease_id, generation, minute, start_at, end_at, seconds,"
        " quantity_udu, received_at, rated FROM usage_window"
    )
    with pytest.raises(Exception, match="usage_window_lease_id_minute"), database.begin("test") as tx:
        tx.session.execute(text(copied))
