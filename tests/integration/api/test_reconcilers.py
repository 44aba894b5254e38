"""What the platform does by itself, step by step; and two replicas doing it at once do nothing twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from api_city import JOB, JOB_ONCE, furnish, offer_of, run_through
from api_world import SiteAgentTwin, World
from sqlalchemy import func, select, update

from zhisuan.app.reconcilers import STEPS
from zhisuan.base.db import QueryCount
from zhisuan.ledger.tables import Charge, Grant, Transaction
from zhisuan.supply.tables import SiteSilence

Sites = Callable[..., SiteAgentTwin]


def without_grants(world: World, org_id: str) -> None:
    with world.database.begin() as tx:
        tx.session.execute(update(Grant).where(Grant.org_id == org_id).values(expires_at=tx.now))


def count(world: World, query: Any) -> int:
    with world.database.begin() as tx:
        return tx.session.scalar(query) or 0


def test_place_takes_what_fits_and_passes_by_what_does_not(world: World, make_site: Sites) -> None:
    make_site(cores=2)
    owner = world.tenant()
    owner.post("/workloads", {"file": JOB})
    large = owner.post("/workloads", {"file": "run: x\nresources: {cpus: 2}\n"})["workload"]["id"]
    world.reconcile("place")
    assert owner.get(f"/workloads/{large}")["state"] == "pending"
    small = owner.post("/workloads", {"file": JOB})["workload"]["id"]
    assert owner.get(f"/workloads/{small}")["state"] == "placed", "launching places at once what could not help the other"
    world.reconcile("place")
    assert owner.get(f"/workloads/{large}")["state"] == "pending"


def test_a_faulted_lease_is_credited_once_and_whole(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    before = owner.get("/wallet")["grants"][0]["left_udu"]
    workload_id = owner.post("/workloads", {"file": JOB_ONCE})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    site.meter(running, 130)
    site.end(running, reason="lost", exit_code=None)
    assert owner.get(f"/workloads/{workload_id}")["state"] == "failed"
    world.reconcile("credit")
    assert owner.get("/charges")["items"] == [], "nothing is credited before it was rated"
    world.reconcile("rate")
    for _ in range(3):
        world.reconcile("credit")
    charges = owner.get("/charges?limit=200")["items"]
    assert len([c for c in charges if c["kind"] == "credit"]) == len([c for c in charges if c["kind"] == "time"]) > 0
    assert sum(c["quantity_udu"] for c in charges) == sum(c["cash_ucny"] for c in charges) == 0
    assert owner.get("/wallet")["grants"][0]["left_udu"] == before
    assert all(c["ok"] for c in world.operator.get("/checks")["items"])


def test_an_empty_purse_stops_work_and_what_ran_stays_charged(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant("0.01")
    without_grants(world, owner.org_id)
    workload_id = owner.post("/workloads", {"file": JOB_ONCE})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    site.meter(running, 7200)
    world.reconcile("stop")
    assert offer_of(site, workload_id)["desired"] == "run", "nothing is rated yet"
    world.reconcile("rate")
    for _ in range(3):
        world.reconcile("stop")
    assert offer_of(site, workload_id)["desired"] == "stop"
    events = owner.get(f"/workloads/{workload_id}")["events"]
    assert [e["cause"] for e in events if "nothing left to pay with" in e["cause"]] != []
    assert len(events) == len({e["number"] for e in events}) == 5
    site.end(running, reason="cancelled", exit_code=None)
    world.reconcile()
    assert owner.get(f"/workloads/{workload_id}")["state"] == "cancelled"
    charges = owner.get("/charges?limit=200")["items"]
    assert sum(c["seconds"] for c in charges) == 7200 and {c["kind"] for c in charges} == {"time"}
    wallet = owner.get("/wallet")
    assert wallet["spendable_udu"] == 0 < wallet["arrears_ucny"]


def test_an_offer_that_nobody_pays_for_ends_as_soon_as_its_site_has_heard(world: World, make_site: Sites) -> None:
    site = make_site()
    owner = world.tenant(None)
    workload_id = owner.post("/workloads", {"file": JOB})["workload"]["id"]
    without_grants(world, owner.org_id)
    world.reconcile("stop")
    offer = offer_of(site, workload_id)
    assert (owner.get(f"/workloads/{workload_id}")["state"], offer["desired"]) == ("placed", "stop")
    site.end({"lease_id": offer["lease_id"], "generation": 1}, reason="cancelled")
    assert owner.get(f"/workloads/{workload_id}")["state"] == "cancelled"


def test_a_deployment_ends_with_its_service(world: World, make_site: Sites) -> None:
    site = make_site(cores=16, memory_mib=65536)
    tenancy = furnish(world, site)
    owner, deployment = tenancy.owner, tenancy.ids["deployment"]
    assert owner.get(f"/deployments/{deployment}")["state"] == "ready"
    assert owner.get(f"/deployments/{deployment}")["tokens"] == {
        "input": 1200,
        "cached_input": 200,
        "output": 800,
        "calls": 1,
    }
    owner.post(f"/workloads/{tenancy.ids['service']}/cancel")
    serving = {"lease_id": offer_of(site, tenancy.ids["service"])["lease_id"], "generation": 1}
    site.end(serving, reason="cancelled")
    world.reconcile("deployments")
    ended = owner.get(f"/deployments/{deployment}")
    assert ended["state"] == "ended" and ended["ended_at"] is not None
    again = owner.post("/deployments", {"model": tenancy.ids["model_name"]})
    stopped = owner.post(f"/deployments/{again['id']}/stop")
    assert stopped["state"] == "ended"
    site.end({"lease_id": offer_of(site, again["workload_id"])["lease_id"], "generation": 1}, reason="cancelled")
    assert owner.get(f"/workloads/{again['workload_id']}")["state"] == "cancelled"


def test_a_silence_is_noted_once_and_ends_when_the_site_speaks(world: World, make_site: Sites) -> None:
    site = make_site()
    world.reconcile("silences")
    assert count(world, select(func.count()).select_from(SiteSilence)) == 0
    world.pass_time(120)
    world.reconcile("silences")
    world.reconcile("silences")
    assert world.operator.get(f"/sites/{site.id}")["reachable"] is False
    site.sync()
    assert world.operator.get(f"/sites/{site.id}")["reachable"] is True
    with world.database.begin() as tx:
        only = tx.session.scalars(select(SiteSilence)).one()
        assert (only.site_id, only.until - only.since if only.until else None) == (site.id, timedelta(seconds=120))


def test_long_expired_grants_become_breakage_once(world: World) -> None:
    owner = world.tenant(None)
    without_grants(world, owner.org_id)
    world.pass_time(4 * 86400)
    for _ in range(2):
        world.reconcile("expire")
    booked = select(func.count()).select_from(Transaction).where(Transaction.kind == "expiry")
    assert count(world, booked) == 1
    assert all(c["ok"] for c in owner.get("/bill/checks")["items"])


@pytest.mark.slow
def test_replicas_at_once_do_nothing_twice(world: World, make_site: Sites) -> None:
    """Three run every step at the same moment, round after round."""
    sites = [make_site(cores=2) for _ in range(2)]
    rich = [world.tenant() for _ in range(3)]
    poor = world.tenant("0.01")
    without_grants(world, poor.org_id)
    launched = [p.post("/workloads", {"file": JOB})["workload"]["id"] for p in (*rich, poor)]
    waiting = [p.post("/workloads", {"file": JOB})["workload"]["id"] for p in (*rich, poor)]
    for site in sites:
        for offer in site.sync():
            site.start(offer)
    world.pass_time(3600)
    for site in sites:
        for offer in site.sync():
            start = world.clock.now() - timedelta(seconds=3600)
            windows = [
                {"lease_id": offer["lease_id"], "generation": 1, "id": f"{offer['lease_id']}/{m}",
                 "start": (start + timedelta(minutes=m)).isoformat(), "end": (start + timedelta(minutes=m + 1)).isoformat()}
                for m in range(60)
            ]  # fmt: skip
            site.agent.post("/wire/v1/usage", {"windows": windows})
            site.sync({
                "lease_id": offer["lease_id"], "generation": 1, "phase": "exited", "reason": "lost", "complete": True,
                "started_at": start.isoformat(), "ended_at": world.clock.now().isoformat(),
            })  # fmt: skip
    world.pass_time(200)
    barrier = Barrier(3)

    def replica(_: int) -> None:
        barrier.wait()
        for _ in range(3):
            for step in STEPS:
                step.run(world.platform)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(replica, range(3)))
    with world.database.begin() as tx:
        kinds = dict(tx.session.execute(select(Charge.kind, func.count()).group_by(Charge.kind)).all())
        assert kinds["time"] == kinds["credit"] == 4 * 60
        silences = tx.session.execute(select(SiteSilence.site_id, func.count()).group_by(SiteSilence.site_id)).all()
        assert sorted(n for _, n in silences) == [1, 1]
    assert all(c["ok"] for c in world.operator.get("/checks")["items"])
    assert len(launched) == len(waiting) == 4


def test_of_many_that_wait_for_the_same_only_one_more_than_fits_is_planned(world: World, make_site: Sites) -> None:
    site, owner = make_site(cores=4), world.tenant()
    held = [owner.post("/workloads", {"file": "run: x\nresources: {cpus: 2}\n"})["workload"]["id"] for _ in range(2)]
    waiting = [owner.post("/workloads", {"file": "run: x\nresources: {cpus: 2}\n"})["workload"]["id"] for _ in range(12)]
    small = owner.post("/workloads", {"file": "run: x\nresources: {cpus: 1, memory: 1}\n"})["workload"]["id"]
    run_through(world, site, held[0])
    with QueryCount(world.database.engine) as asked:
        world.reconcile("place")
    assert sum("FOR UPDATE SKIP LOCKED" in s and "workload_workload" in s for s in asked.statements) <= 4
    states = [owner.get(f"/workloads/{i}")["state"] for i in waiting]
    assert states == ["placed"] + ["pending"] * 11, "the oldest of them"
    assert owner.get(f"/workloads/{small}")["state"] == "pending"
