"""Quarantine replays, totals for others, and the check against the raw rows."""

from datetime import timedelta

from sqlalchemy import text
from usage_world import GATEWAY, MINUTE, ORG, SITE, add_lease, call, kept_aside, minutes, send, send_calls, window

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.execution.tables import Lease
from zhisuan.testing.database import START
from zhisuan.usage import service as usage

HOUR = timedelta(hours=1)


def replay(database: Database, **kwargs: str) -> tuple[int, int]:
    with database.begin("test") as tx:
        done = usage.replay_quarantined(tx, **kwargs)
    return done.resolved, done.remaining


def test_a_replay_takes_in_what_has_become_right(database: Database, clock: ManualClock) -> None:
    clock.advance(HOUR)
    sent = minutes("lea_late", 3)
    assert len(send(database, sent).refused) == 3
    send_calls(database, [call("t", "lea_late")])
    assert replay(database) == (0, 4)
    add_lease(database, "lea_late")
    assert replay(database, source=GATEWAY) == (1, 0)
    assert replay(database) == (3, 0)
    assert replay(database) == (0, 0) and kept_aside(database) == []
    with database.begin("test") as tx:
        [total] = usage.lease_usage(tx.session)
        resolved = usage.list_quarantined(tx.session, resolved=True)
        assert total.seconds == 180 and len(resolved) == 4 and all(e.resolved_at == clock.now() for e in resolved)
        assert usage.list_quarantined(tx.session, resolved=True, after=resolved[1].id) == resolved[2:]
    assert send(database, sent).duplicate == 3


def test_a_replay_of_what_is_still_wrong_adds_nothing(database: Database, clock: ManualClock) -> None:
    lease = add_lease(database, "lea_1")
    clock.advance(HOUR)
    send(database, [window(lease, START, START + timedelta(seconds=90), ident="long\x00")])
    for _ in range(3):
        assert replay(database) == (0, 1)
    assert len(kept_aside(database)) == 1


def test_totals_by_organisation_workload_and_time(database: Database, clock: ManualClock) -> None:
    add_lease(database, "lea_1", workload="job_1")
    add_lease(database, "lea_2", workload="job_1", generation=2, rate=25_000)
    add_lease(database, "lea_3", org="org_other")
    add_lease(database, "lea_4")
    clock.advance(HOUR)
    send(database, [*minutes("lea_1", 5), *minutes("lea_3", 1)])
    send(database, [window("lea_2", START, START + MINUTE, generation=2)])
    with database.begin("test") as tx:

        def totals(**kwargs: object) -> list[tuple[str, int]]:
            return [(u.lease_id, u.seconds) for u in usage.lease_usage(tx.session, **kwargs)]  # type: ignore[arg-type]

        assert totals() == [("lea_1", 300), ("lea_2", 60), ("lea_3", 60)]
        assert totals(org_id=ORG) == totals(workload_id="job_1") == [("lea_1", 300), ("lea_2", 60)]
        assert totals(lease_ids=["lea_3", "lea_4"]) == [("lea_3", 60)]
        assert totals(since=START + 2 * MINUTE) == [("lea_1", 180)]
        assert totals(until=START + 2 * MINUTE, workload_id="job_1") == [("lea_1", 120), ("lea_2", 60)]
        [one] = usage.lease_usage(tx.session, lease_ids=["lea_2"])
        assert (one.quantity_udu, one.power_milliwatts, one.pue_milli, one.region) == (416, 400_000, 1200, "cn-west")
        assert (one.site_id, one.provider_id, one.workload_id) == (SITE, "org_provider", "job_1")


def test_the_check_finds_totals_that_are_not_their_windows(database: Database, clock: ManualClock) -> None:
    for n in range(2):
        add_lease(database, f"lea_{n}", rate=999_999)
    clock.advance(HOUR)
    send(database, minutes("lea_0", 3) + minutes("lea_1", 3))
    with database.begin("test") as tx:
        assert usage.check_totals(tx.session) == []
        tx.session.execute(text("UPDATE usage_window SET quantity_udu = quantity_udu + 1 WHERE lease_id = 'lea_1'"))
        [found] = usage.check_totals(tx.session)
        assert (found.lease_id, found.stored_udu, found.recomputed_udu) == ("lea_1", 50_002, 49_999)


def test_events_are_given_out_for_rating_once_and_in_order(database: Database, clock: ManualClock) -> None:
    for n in range(2):
        add_lease(database, f"lea_{n}")
    add_lease(database, "lea_x", org="org_other")
    clock.advance(HOUR)
    send(database, minutes("lea_1", 3) + minutes("lea_0", 2) + minutes("lea_x", 1))
    send_calls(database, [call("b", "lea_0", START + MINUTE), call("a", "lea_0", START + timedelta(milliseconds=1500))])
    with database.begin("test") as tx:
        assert usage.orgs_with_unrated(tx.session) == ["org_other", ORG]
        assert usage.orgs_with_unrated(tx.session, limit=1) == ["org_other"]
        assert usage.orgs_with_unrated(tx.session, after="org_other") == [ORG]
        first = usage.take_unrated_windows(tx.session, ORG, 3)
        rest = usage.take_unrated_windows(tx.session, ORG, 3)
        assert [(w.lease_id, w.second - int(START.timestamp())) for w in first + rest] == [
            ("lea_0", 0), ("lea_1", 0), ("lea_0", 60), ("lea_1", 60), ("lea_1", 120),
        ]  # fmt: skip
        assert (first[0].seconds, first[0].at) == (60, START)
        calls = usage.take_unrated_tokens(tx.session, ORG, 10)
        assert [(c.id, c.second - int(START.timestamp()), c.at) for c in calls] == [
            ("a", 1, START + timedelta(milliseconds=1500)), ("b", 60, START + MINUTE),
        ]  # fmt: skip
        assert usage.take_unrated_windows(tx.session, ORG, 3) == [] == usage.take_unrated_tokens(tx.session, ORG, 3)
        assert usage.orgs_with_unrated(tx.session) == ["org_other"]
        tx.session.rollback()
    with database.begin("test") as tx:
        assert len(usage.take_unrated_windows(tx.session, ORG, 100)) == 5


def test_terms_of_leases(database: Database) -> None:
    add_lease(database, "lea_1", rate=7)
    add_lease(database, "lea_2", active_from=None)
    with database.begin("test") as tx:
        tx.session.get_one(Lease, "lea_2").fault = "provider"
        terms = usage.lease_terms(tx.session, ["lea_1", "lea_2", "lea_none"])
    assert {t.lease_id: (t.rate_udu_per_hour, t.active_from, t.fault) for t in terms.values()} == {
        "lea_1": (7, int(START.timestamp()), None), "lea_2": (1_000_000, 0, "provider"),
    }  # fmt: skip
