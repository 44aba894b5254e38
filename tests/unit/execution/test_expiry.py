"""When a lease of a silent site counts as lost, and when not."""

from datetime import datetime, timedelta

import pytest
from execution_world import (
    at,
    launched,
    lease_of,
    node,
    open_site,
    provider,
    report,
    say,
    workload_of,
)

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.execution import expiry
from zhisuan.execution.expiry import EXPIRY_MARGIN
from zhisuan.supply.tables import Site
from zhisuan.workload.survival import GRACE_SECONDS

TERM = timedelta(hours=2)
MARGIN = EXPIRY_MARGIN + timedelta(seconds=GRACE_SECONDS)


@pytest.fixture
def site_id(database: Database) -> str:
    return open_site(database, provider(database), [node("a")])


def step(database: Database) -> list[str]:
    """What a server does every few seconds."""
    with database.begin() as tx:
        since = expiry.note_listening(tx)
        found = list(expiry.expired_leases(tx, since))
    lost = []
    for lease_id in found:
        with database.begin() as tx:
            if expiry.lose_lease(tx, lease_id, since):
                lost.append(lease_id)
    return lost


def listen(database: Database, clock: ManualClock, span: timedelta) -> list[str]:
    """Servers at work for ``span``."""
    lost, end = step(database), clock.now() + span
    while clock.now() < end:
        clock.advance(min(end - clock.now(), timedelta(seconds=30)))
        lost += step(database)
    return lost


def hear(database: Database, site_id: str, when: datetime) -> None:
    with database.begin() as tx:
        tx.session.get_one(Site, site_id).last_seen_at = when


def test_a_site_cut_off_keeps_its_work_for_the_term_and_not_longer(database: Database, clock: ManualClock, site_id: str) -> None:
    workload_id, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    hear(database, site_id, clock.now())
    assert listen(database, clock, TERM + MARGIN - timedelta(seconds=1)) == []
    assert workload_of(database, workload_id).state == "running"
    assert listen(database, clock, timedelta(seconds=1)) == [lease_id]
    lease = lease_of(database, lease_id)
    assert (lease.state, lease.reason, lease.fault) == ("closed", "lost", "provider")
    assert workload_of(database, workload_id).state == "pending"
    assert step(database) == []


def test_a_site_that_is_heard_again_in_time_has_a_new_term(database: Database, clock: ManualClock, site_id: str) -> None:
    _, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    hear(database, site_id, clock.now())
    assert listen(database, clock, TERM) == []
    hear(database, site_id, clock.now())
    assert listen(database, clock, TERM) == []
    assert listen(database, clock, MARGIN) == [lease_id]


def test_silence_counts_only_while_somebody_listened(database: Database, clock: ManualClock, site_id: str) -> None:
    _, lease_id = launched(database)
    hear(database, site_id, clock.now())
    assert listen(database, clock, timedelta(minutes=5)) == []
    clock.advance(timedelta(hours=5))
    assert listen(database, clock, TERM) == []
    assert listen(database, clock, MARGIN) == [lease_id]


def test_an_offer_to_a_site_that_was_silent_before_has_a_term_of_its_own(database: Database, clock: ManualClock, site_id: str) -> None:
    step(database)
    hear(database, site_id, clock.now() - timedelta(hours=5))
    _, lease_id = launched(database)
    assert listen(database, clock, TERM) == []
    assert listen(database, clock, MARGIN) == [lease_id]


def test_an_end_that_was_told_stays_although_not_all_was_delivered(database: Database, clock: ManualClock, site_id: str) -> None:
    workload_id, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    say(database, site_id, report(lease_id, "exited", ended_at=at(database, 5), reason="completed", exit_code=0))
    assert listen(database, clock, TERM + MARGIN) == [lease_id]
    assert (workload_of(database, workload_id).state, lease_of(database, lease_id).reason) == ("succeeded", "completed")


def test_a_sync_between_looking_and_losing_saves_the_lease(database: Database, clock: ManualClock, site_id: str) -> None:
    _, lease_id = launched(database)
    listen(database, clock, TERM)
    clock.advance(MARGIN)
    with database.begin() as tx:
        since = expiry.note_listening(tx)
        assert list(expiry.expired_leases(tx, since)) == []
    clock.advance(timedelta(seconds=1))
    hear(database, site_id, clock.now())
    with database.begin() as tx:
        assert not expiry.lose_lease(tx, lease_id, since)
