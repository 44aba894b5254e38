"""What reports, cancels and losses mean for a lease and its workload; and output, however it arrives."""

import random
from datetime import timedelta

import pytest
from execution_world import (
    allocated,
    at,
    launched,
    lease_of,
    new_workload,
    node,
    open_site,
    place_one,
    provider,
    report,
    say,
    say_unasked,
    site_of,
    spec,
    states,
    workload_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, QueryCount
from zhisuan.base.errors import Conflict
from zhisuan.base.store import Store
from zhisuan.execution import service as execution
from zhisuan.execution.desired import desired_of_site
from zhisuan.execution.rules import Wishes, end_of
from zhisuan.supply import service as supply
from zhisuan.wire.site import LeaseOffer
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import WorkloadEvent

NO_STORE = Store("memory://nothing")


@pytest.fixture
def site_id(database: Database) -> str:
    return open_site(database, provider(database), [node("a", cores=4)])


def cancel(database: Database, workload_id: str, cause: str = "asked for") -> None:
    with database.begin() as tx:
        execution.cancel(tx, workloads.visible(tx, workload_id, None, lock=True), cause)


def test_a_job_from_offer_to_success(database: Database, clock: ManualClock, site_id: str) -> None:
    workload_id, lease_id = launched(database)
    assert states(database, workload_id, lease_id) == ("placed", "offered")
    say(database, site_id, report(lease_id, "accepted"))
    assert states(database, workload_id, lease_id) == ("starting", "accepted")
    say(database, site_id, report(lease_id, "running", started_at=at(database, 1), progress=250_000))
    assert states(database, workload_id, lease_id) == ("running", "active")
    assert workload_of(database, workload_id).progress_ppm == 250_000
    end = {"started_at": at(database, 1), "ended_at": at(database, 61), "reason": "completed", "exit_code": 0}
    clock.advance(timedelta(seconds=61))
    say(database, site_id, report(lease_id, "exited", **end))
    assert states(database, workload_id, lease_id) == ("running", "ending")
    assert allocated(database) == {"cpu": 0, "memory": 0}, "devices are free while output still arrives"
    say(database, site_id, report(lease_id, "exited", **end, complete=True))
    assert states(database, workload_id, lease_id) == ("succeeded", "closed")
    lease = lease_of(database, lease_id)
    assert execution.active_seconds(lease, at(database, 9999)) == 60


@pytest.mark.parametrize("ahead", [4000, 90_000])
def test_a_site_whose_clock_is_set_forward_has_not_worked_for_longer(
    database: Database, clock: ManualClock, site_id: str, ahead: int
) -> None:
    _, set_during = launched(database)
    say(database, site_id, report(set_during, "running", started_at=at(database)))
    _, always = launched(database)
    say(database, site_id, report(always, "running", started_at=at(database, ahead)))
    clock.advance(timedelta(seconds=90))
    for lease_id in (set_during, always):
        say(database, site_id, report(lease_id, "exited", ended_at=at(database, ahead), reason="completed", exit_code=0))
    assert execution.active_seconds(lease_of(database, set_during), at(database)) == 95
    assert execution.active_seconds(lease_of(database, always), at(database)) == 0


def test_a_report_that_came_late_takes_nothing_back(database: Database, site_id: str) -> None:
    """A running report behind the end: neither readiness nor progress nor the state goes back."""
    workload_id, lease_id = launched(database, spec(service=True))
    say(database, site_id, report(lease_id, "running", started_at=at(database), ready=True))
    say(database, site_id, report(lease_id, "exited", ended_at=at(database, 5), reason="failed", exit_code=1))
    late = report(lease_id, "running", started_at=at(database, 3), ready=True, progress=1)
    assert say(database, site_id, late) == 0
    say_unasked(database, site_id, late)
    assert lease_of(database, lease_id).ready is False
    assert workload_of(database, workload_id).progress_ppm is None
    assert states(database, workload_id, lease_id) == ("running", "ending")


def test_progress_that_comes_with_the_end_counts_and_later_ones_do_not(database: Database, site_id: str) -> None:
    """Work may say its last word and end between two looks of the agent."""
    workload_id, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    said = {"started_at": at(database), "ended_at": at(database), "reason": "completed", "exit_code": 0}
    say(database, site_id, report(lease_id, "exited", progress=1_000_000, **said))
    say(database, site_id, report(lease_id, "exited", progress=5, complete=True, **said))
    found = workload_of(database, workload_id)
    assert (found.state, found.progress_ppm) == ("succeeded", 1_000_000)



def test_metered_time_does_not_begin_before_the_offer(database: Database, site_id: str) -> None:
    _, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database, -3600)))
    lease = lease_of(database, lease_id)
    assert lease.active_from == lease.offered_at.replace(microsecond=0)


def test_lost_work_is_placed_again_one_generation_on_while_restarts_are_left(database: Database, site_id: str) -> None:
    workload_id, first = launched(database, spec(restarts=1))
    say(database, site_id, report(first, "running", started_at=at(database), progress=5))
    say(database, site_id, report(first, "exited", reason="lost", complete=True))
    assert states(database, workload_id, first) == ("pending", "closed")
    assert lease_of(database, first).fault == "provider"
    assert workload_of(database, workload_id).progress_ppm is None
    placed = place_one(database, workload_id)
    assert placed is not None and placed.lease is not None and placed.lease.generation == 2
    second = placed.lease.id
    assert say(database, site_id, report(second, "exited", 1, reason="lost", complete=True)) == 0, "a passed generation"
    say_unasked(database, site_id, report(second, "exited", 1, reason="lost", complete=True))
    assert states(database, workload_id, second) == ("placed", "offered")
    say(database, site_id, report(second, "exited", 2, reason="lost", complete=True))
    assert states(database, workload_id, second) == ("failed", "closed")


def test_a_foreign_site_can_say_nothing(database: Database, site_id: str) -> None:
    workload_id, lease_id = launched(database, site_id=site_id)
    other = open_site(database, provider(database), [node("o")])
    for phase in ("accepted", "running", "exited"):
        assert say(database, other, report(lease_id, phase, complete=True)) == 0
        say_unasked(database, other, report(lease_id, phase, complete=True))
    assert states(database, workload_id, lease_id) == ("placed", "offered")
    with database.begin() as tx:
        assert execution.add_log(tx, other, lease_id, 1, 0, b"not mine") == 8
        assert execution.read_log(tx, NO_STORE, workload_id, 0, 100).data == b""


def test_syncs_without_news_cost_one_query_and_take_no_lock(database: Database, site_id: str) -> None:
    known = []
    for _ in range(4):
        _, lease_id = launched(database)
        known.append(report(lease_id, "running", started_at=at(database), ready=None, progress=7))
    say(database, site_id, *known)
    with database.begin() as tx, QueryCount(database.engine) as count:
        assert execution.news(tx, site_id, known) == []
    assert len(count.statements) == 1 and "FOR UPDATE" not in count.statements[0]


@pytest.mark.parametrize("state", ["pending", "placed", "starting", "running", "ending"])
def test_cancel_in_each_state(database: Database, site_id: str, state: str) -> None:
    if state == "pending":
        with database.begin() as tx:
            workload_id = new_workload(tx, spec(9000)).id
        cancel(database, workload_id)
        assert workload_of(database, workload_id).state == "cancelled"
        return
    workload_id, lease_id = launched(database)
    if state != "placed":
        say(database, site_id, report(lease_id, "accepted"))
    if state in ("running", "ending"):
        say(database, site_id, report(lease_id, "running", started_at=at(database)))
    if state == "ending":
        say(database, site_id, report(lease_id, "exited", ended_at=at(database, 5), reason="completed", exit_code=0))
    cancel(database, workload_id)
    assert lease_of(database, lease_id).desired == "stop"
    if state == "placed":
        assert allocated(database) != {"cpu": 0, "memory": 0}, "the site may have begun without having been heard"
    say(database, site_id, report(lease_id, "exited", reason="cancelled", ended_at=at(database, 9), complete=True))
    expected = "succeeded" if state == "ending" else "cancelled"
    assert states(database, workload_id, lease_id) == (expected, "closed")
    assert allocated(database) == {"cpu": 0, "memory": 0}
    with pytest.raises(Conflict):
        cancel(database, workload_id)


def test_a_cancel_says_once_why_the_work_is_being_stopped(database: Database, site_id: str) -> None:
    workload_id, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    cancel(database, workload_id, "nothing left to pay with")
    cancel(database, workload_id, "asked for")
    with database.begin() as tx:
        causes = list(tx.session.scalars(select(WorkloadEvent.cause).where(WorkloadEvent.workload_id == workload_id)))
    assert [c for c in causes if "told to stop" in c] == ["its site is told to stop it: nothing left to pay with"]


def test_work_that_is_stopped_for_an_empty_purse_is_nobody_elses_fault(database: Database, site_id: str) -> None:
    """Were it the platform's, everything it used would be given back."""
    workload_id, lease_id = launched(database)
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    cancel(database, workload_id, "nothing left to pay with")
    say(database, site_id, report(lease_id, "exited", reason="cancelled", ended_at=at(database, 9), complete=True))
    assert lease_of(database, lease_id).fault is None
    assert workload_of(database, workload_id).state == "cancelled"


def test_a_silent_site_that_is_closed_gives_its_work_back(database: Database, site_id: str) -> None:
    running, running_lease = launched(database, spec(1000, restarts=1))
    say(database, site_id, report(running_lease, "running", started_at=at(database)))
    stopping, stopping_lease = launched(database)
    say(database, site_id, report(stopping_lease, "running", started_at=at(database)))
    cancel(database, stopping)
    done, done_lease = launched(database)
    say(database, site_id, report(done_lease, "exited", reason="completed", exit_code=0))
    with database.begin() as tx:
        site = supply.site_visible(tx, site_id, None)
        supply.change_state(tx, site, "drain")
        supply.change_state(tx, site, "close")
        assert execution.open_lease_count(tx, site_id) == 3
        assert execution.lose_leases(tx, site) == 3
    assert states(database, running, running_lease) == ("pending", "closed")
    assert states(database, stopping, stopping_lease) == ("cancelled", "closed")
    assert states(database, done, done_lease) == ("succeeded", "closed")
    assert [lease_of(database, i).fault for i in (running_lease, stopping_lease, done_lease)] == [
        "provider",
        "provider",
        None,
    ]
    assert allocated(database) == {"cpu": 0, "memory": 0}
    assert site_of(database, site_id).state == "closed"
    with database.begin() as tx:
        assert execution.open_lease_count(tx, site_id) == 0


@pytest.mark.parametrize(
    ("reason", "code", "asked", "left", "kind", "state", "fault"),
    [
        ("completed", 0, False, 3, "job", "succeeded", None),
        ("completed", 0, True, 3, "job", "succeeded", None),
        ("completed", 0, False, 3, "service", "failed", None),
        ("completed", 0, True, 3, "service", "cancelled", None),
        ("completed", 1, False, 3, "job", "failed", None),
        ("failed", 1, False, 3, "job", "failed", None),
        ("failed", 1, True, 3, "job", "cancelled", None),
        ("cancelled", None, True, 3, "job", "cancelled", None),
        ("cancelled", None, False, 3, "job", "failed", "platform"),
        ("out_of_memory", None, False, 3, "job", "failed", None),
        ("timeout", None, False, 3, "job", "failed", None),
        ("lost", None, False, 1, "job", "pending", "provider"),
        ("lost", None, False, 0, "job", "failed", "provider"),
        ("orphaned", None, True, 3, "job", "cancelled", "provider"),
        ("start_failed", None, False, 1, "service", "pending", "provider"),
        (None, None, False, 3, "job", "failed", None),
    ],
)
def test_what_an_end_means(
    reason: str | None, code: int | None, asked: bool, left: int, kind: str, state: str, fault: str | None
) -> None:
    end = end_of(reason=reason, exit_code=code, kind=kind, wishes=Wishes(cancel=asked, restarts_left=left))
    assert (end.state, end.fault) == (state, fault)


def test_what_a_provider_takes_back_waits_for_another_place_and_uses_up_no_restart(database: Database, site_id: str) -> None:
    workload_id, lease_id = launched(database)
    before = workload_of(database, workload_id).restarts_left
    say(database, site_id, report(lease_id, "running", started_at=at(database)))
    for _ in range(2):
        with database.begin() as tx:
            assert execution.take_back(tx, site_id, grace_seconds=77, cause="wanted back") == 1
    with database.begin() as tx:
        (offer,) = map(LeaseOffer.model_validate_json, desired_of_site(tx, site_id).offers)
    assert (offer.desired, offer.grace_seconds) == ("stop", 77)
    say(database, site_id, report(lease_id, "exited", reason="cancelled", ended_at=at(database, 9), complete=True))
    workload = workload_of(database, workload_id)
    assert (workload.state, workload.restarts_left, lease_of(database, lease_id).fault) == ("pending", before, None)
    with database.begin() as tx:
        assert execution.take_back(tx, site_id, grace_seconds=77, cause="wanted back") == 0


def test_what_ended_by_itself_or_was_cancelled_is_not_taken_back(database: Database, site_id: str) -> None:
    done, cancelled = launched(database), launched(database)
    for _, lease_id in (done, cancelled):
        say(database, site_id, report(lease_id, "running", started_at=at(database)))
    cancel(database, cancelled[0])
    with database.begin() as tx:
        execution.take_back(tx, site_id, grace_seconds=77, cause="wanted back")
    say(database, site_id, report(done[1], "exited", reason="completed", exit_code=0, ended_at=at(database, 9), complete=True))
    say(database, site_id, report(cancelled[1], "exited", reason="cancelled", ended_at=at(database, 9), complete=True))
    assert [workload_of(database, w).state for w, _ in (done, cancelled)] == ["succeeded", "cancelled"]


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), size=st.integers(0, 400))
def test_output_is_the_same_however_it_is_cut_repeated_and_shuffled(database: Database, seed: int, size: int) -> None:
    """The agent sends what it is asked for next, yet links repeat and reorder what was sent."""
    rng = random.Random(seed)
    site_id = open_site(database, provider(database), [node("a")])
    workload_id, lease_id = launched(database, site_id=site_id)
    whole = rng.randbytes(size)
    wanted, sent = 0, []
    while wanted < size:
        cut = rng.randint(1, 90)
        sent.append((wanted, whole[wanted : wanted + cut]))
        for offset, data in [*rng.sample(sent, min(len(sent), rng.randint(1, 3))), sent[-1]]:
            with database.begin() as tx:
                wanted = execution.add_log(tx, site_id, lease_id, 1, offset, data)
    with database.begin() as tx:
        assert execution.read_log(tx, NO_STORE, workload_id, 0, size + 10) == execution.Output(whole, size)
        place = rng.randint(0, size + 5)
        limit = rng.randint(1, 100)
        assert execution.read_log(tx, NO_STORE, workload_id, place, limit).data == whole[place : place + limit]


def test_output_of_a_second_attempt_follows_that_of_the_first(database: Database, site_id: str) -> None:
    workload_id, first = launched(database)
    with database.begin() as tx:
        execution.add_log(tx, site_id, first, 1, 0, b"first ")
    say(database, site_id, report(first, "exited", reason="lost", complete=True))
    placed = place_one(database, workload_id)
    assert placed is not None and placed.lease is not None
    with database.begin() as tx:
        assert execution.add_log(tx, site_id, first, 1, 6, b"too late") == 14
        assert execution.add_log(tx, site_id, placed.lease.id, 2, 0, b"second") == 6
        assert execution.read_log(tx, NO_STORE, workload_id, 0, 100) == execution.Output(b"first second", 12)
        assert execution.read_log(tx, NO_STORE, workload_id, 4, 5).data == b"t sec"
        assert execution.read_log(tx, NO_STORE, workload_id, 6, 3).data == b"sec"
        assert execution.read_log(tx, NO_STORE, workload_id, 12, 3) == execution.Output(b"", 12)


def test_an_artefact_delivered_twice_is_one(database: Database, site_id: str) -> None:
    _, lease_id = launched(database)
    with database.begin() as tx:
        lease = execution.open_lease(tx, lease_of(database, lease_id).workload_id)
        assert lease is not None
        one = execution.add_artefact(tx, lease, path="m/a", sha256="0" * 64, size_bytes=1)
        two = execution.add_artefact(tx, lease, path="m/a", sha256="1" * 64, size_bytes=2)
        assert one.id == two.id and two.sha256 == "1" * 64
