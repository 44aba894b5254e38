"""Rule 1: at every instant the live leases on a device add up to at most the device, whoever places at once."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from execution_world import (
    ENGINE,
    allocated,
    at,
    check_capacity,
    check_life_cycles,
    launched,
    new_workload,
    node,
    open_site,
    place_one,
    plan_for,
    provider,
    report,
    say,
    spec,
)
from sqlalchemy import select, text, update

from zhisuan.base.db import Database
from zhisuan.base.errors import Conflict
from zhisuan.execution import service as execution
from zhisuan.execution.placing import place
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

THREADS = 6


def test_two_placers_with_one_old_plan_cannot_take_the_last_cores_twice(database: Database) -> None:
    open_site(database, provider(database), [node("a", cores=4)])
    with database.begin() as tx:
        old = plan_for(tx, spec(3000))
        ids = [new_workload(tx, spec(3000)).id for _ in range(2)]
    leases = []
    for workload_id in ids:
        with database.begin() as tx:
            leases.append(place(tx, tx.session.get_one(Workload, workload_id), old).lease)
    assert leases[0] is not None and leases[1] is None
    assert allocated(database) == {"cpu": 3000, "memory": 1024}


def test_a_plan_made_before_the_site_was_drained_places_nothing(database: Database) -> None:
    site_id = open_site(database, provider(database), [node("a")])
    with database.begin() as tx:
        old = plan_for(tx, spec())
        workload_id = new_workload(tx, spec()).id
        supply.change_state(tx, tx.session.get_one(Site, site_id), "drain")
    with database.begin() as tx:
        assert place(tx, tx.session.get_one(Workload, workload_id), old).lease is None
    assert allocated(database) == {"cpu": 0, "memory": 0}


def test_the_next_candidate_is_taken_when_the_first_is_full(database: Database) -> None:
    site_id = open_site(database, provider(database), [node("a", cores=2), node("b", cores=8)])
    with database.begin() as tx:
        old = plan_for(tx, spec(2000))
        first, second = (new_workload(tx, spec(2000)).id for _ in range(2))
    assert [c.hostnames for c in old.candidates] == [("a",), ("b",)]
    for workload_id in (first, second):
        with database.begin() as tx:
            placed = place(tx, tx.session.get_one(Workload, workload_id), old)
            assert placed.record.plan["chosen"]["node_hostnames"] == (["a"] if workload_id == first else ["b"])
            assert placed.record.chosen_site_id == site_id


def test_a_device_that_shrank_under_its_leases_takes_no_more_than_it_has(database: Database) -> None:
    site_id = open_site(database, provider(database), [node("a", cores=4)])
    _, first = launched(database, spec(2000))
    launched(database, spec(2000))
    with database.begin() as tx:
        supply.take_inventory(tx, tx.session.get_one(Site, site_id), ENGINE, [node("a", cores=2)])
        check_capacity(tx)
    say(database, site_id, report(first, "exited", reason="completed", exit_code=0, complete=True))
    with database.begin() as tx:
        check_capacity(tx)
        assert plan_for(tx, spec(1000)).chosen is None, "2 cores there, 2 taken"


def test_a_device_that_vanished_keeps_its_lease_and_takes_no_new_one(database: Database) -> None:
    site_id = open_site(database, provider(database), [node("a", cores=4, cards=1)])
    launched(database, spec(1000, 1024, 1))
    with database.begin() as tx:
        supply.take_inventory(tx, tx.session.get_one(Site, site_id), ENGINE, [node("a", cores=4)])
        check_capacity(tx)
        assert plan_for(tx, spec(1000, 1024, 1)).chosen is None
    assert allocated(database)["accelerator"] == 1000


class _Crowd:
    """Threads that place, report, cancel and look at once."""

    def __init__(self, database: Database, sites: list[str]) -> None:
        self.database, self.sites = database, sites
        self.barrier = threading.Barrier(THREADS)
        self.looks = 0

    def run(self, seed: int) -> None:
        rng = random.Random(seed)
        self.barrier.wait()
        for _ in range(25):
            rng.choice((self.launch, self.launch, self.end_some, self.cancel_one, self.look, self.shrink))(rng)

    def launch(self, rng: random.Random) -> None:
        what = spec(rng.choice((500, 1500, 3000)), rng.choice((512, 3000)), rng.choice((0, 0, 1, 2)))
        with self.database.begin() as tx:
            workload_id = new_workload(tx, what).id
        place_one(self.database, workload_id)

    def end_some(self, rng: random.Random) -> None:
        """A sync with several ends in it, over the nodes of a site."""
        site_id = rng.choice(self.sites)
        with self.database.begin() as tx:
            mine = tx.session.execute(
                select(Lease.id, Lease.generation).where(Lease.site_id == site_id, Lease.state != "closed")
            ).all()
        chosen = rng.sample(list(mine), min(len(mine), 3))
        now = at(self.database)
        say(self.database, site_id, *(
            report(i, "exited", g, reason=rng.choice(("completed", "lost")), exit_code=0, started_at=now, ended_at=now,
                   complete=rng.random() < 0.7)
            for i, g in chosen
        ))  # fmt: skip

    def cancel_one(self, rng: random.Random) -> None:
        with self.database.begin() as tx:
            ids = list(tx.session.scalars(select(Workload.id).where(Workload.state.in_(workloads.OPEN_STATES))))
        if not ids:
            return
        try:
            with self.database.begin() as tx:
                execution.cancel(tx, workloads.visible(tx, rng.choice(ids), None, lock=True))
        except Conflict:
            return  # somebody else ended it first

    def shrink(self, rng: random.Random) -> None:
        with self.database.begin() as tx:
            site = tx.session.get_one(Site, rng.choice(self.sites), with_for_update=True)
            cores = rng.randint(2, 8)
            supply.take_inventory(tx, site, ENGINE, [node("a", cores=cores, cards=2), node("b", cores=6, cards=1)])

    def look(self, rng: random.Random) -> None:
        with self.database.begin() as tx:
            tx.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            check_capacity(tx)
            self.looks += 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_capacity_holds_while_many_place_end_cancel_and_shrink_at_once(database: Database, seed: int) -> None:
    owner = provider(database)
    nodes = [node("a", cores=6, cards=2), node("b", cores=6, cards=1)]
    crowd = _Crowd(database, [open_site(database, owner, nodes) for _ in range(2)])
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(crowd.run, seed * 100 + n) for n in range(THREADS)]:
            done.result()
    assert crowd.looks > 5
    with database.begin() as tx:
        check_capacity(tx)
        ids = list(tx.session.scalars(select(Workload.id)))
        check_life_cycles(tx, ids)
        assert len(ids) > 20


def test_one_that_somebody_is_just_taking_is_passed_over_for_another_that_is_as_good(database: Database) -> None:
    """The first transaction is not over, so the second would have to wait for the node that both find the best."""
    open_site(database, provider(database), [node("a"), node("b")])
    with database.begin() as tx:
        old = plan_for(tx, spec())
        ids = [new_workload(tx, spec()).id for _ in range(2)]
    with database.begin() as first:
        place(first, first.session.get_one(Workload, ids[0]), old)
        first.session.flush()
        with database.begin() as second:
            second.session.execute(text("SET LOCAL lock_timeout = '5s'"))
            placed = place(second, second.session.get_one(Workload, ids[1]), old)
            assert placed.candidate is not None and placed.candidate.hostnames == ("b",)
    assert allocated(database) == {"cpu": 2000, "memory": 2048}


def test_a_dearer_one_is_not_taken_only_because_somebody_is_at_the_cheaper(database: Database) -> None:
    """It waits for the cheaper one and takes it, since there was room for both."""
    who = provider(database)
    cheap, dear = (open_site(database, who, [node(name, cards=1)]) for name in ("a", "b"))
    with database.begin() as tx:
        tx.session.execute(update(Site).where(Site.id == dear).values(pue_milli=1900))
        old = plan_for(tx, spec(1000))
        ids = [new_workload(tx, spec(1000)).id for _ in range(2)]
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as first:
            place(first, first.session.get_one(Workload, ids[0]), old)
            first.session.flush()

            def other() -> str | None:
                with database.begin() as second:
                    lease = place(second, second.session.get_one(Workload, ids[1]), old).lease
                    return lease.site_id if lease else None

            waits = pool.submit(other)
            with pytest.raises(TimeoutError):
                waits.result(0.3)
        assert waits.result(60) == cheap
