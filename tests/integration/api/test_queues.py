"""Quotas, and who of the waiting starts next, over the API with its reconcilers."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_world import Person, SiteAgentTwin, World, number, open_world
from sqlalchemy import select

from zhisuan.api import launching
from zhisuan.base.db import Database, QueryCount
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.execution import sharing
from zhisuan.execution.tables import Lease
from zhisuan.placement.queueing.types import Amounts
from zhisuan.testing.database import TestServer
from zhisuan.workload.queue_tables import UsedHour
from zhisuan.workload.tables import Workload

TTL = timedelta(days=400)


@pytest.fixture
def world(postgres: TestServer, tmp_path: Path) -> Iterator[World]:
    with open_world(postgres, tmp_path) as made:
        yield made


def file(cpus: int = 1, spot: bool = False, **own: object) -> str:
    resources = f"{{cpus: {cpus}, memory: 1{', use_spot: true' if spot else ''}}}"
    lines = [f"name: n{number()}", f"resources: {resources}", "run: 'true'"]
    return "\n".join([*lines, *(["zhisuan:", *(f"  {name}: {value}" for name, value in own.items())] if own else [])])


def launch(who: Person, cpus: int = 1, project: str | None = None, **more: Any) -> str:
    made = who.post("/workloads", {"file": file(cpus, **more), "project": project})
    ident: str = made["workload"]["id"]
    return ident


def state(who: Person, ident: str) -> str:
    found: str = who.get(f"/workloads/{ident}")["state"]
    return found


def quota(who: Person, subject: str, status: int = 200, **terms: Any) -> Any:
    answer = who.call("PUT", f"/quotas/{subject}", json=terms)
    assert answer.status_code == status, answer.text
    return answer.json()


def end(site: SiteAgentTwin, world: World, *idents: str) -> None:
    """End the work of these at its site."""
    for ident in idents:
        offer = next(o for o in site.sync() if o["workload_id"] == ident)
        site.end(site.start(offer))


def test_a_limit_is_kept_and_said_and_what_waits_for_it_holds_up_nobody(world: World) -> None:
    site = SiteAgentTwin(world, cores=8)
    who, other = world.tenant(), world.tenant()
    quota(world.operator, who.org_id, limit_cores_milli=2000)
    first, second, third = launch(who), launch(who), launch(who)
    assert [state(who, i) for i in (first, second, third)] == ["placed", "placed", "pending"]
    assert state(other, launch(other, 4)) == "placed", "who waits for a quota holds up nobody"
    world.pass_time(40)
    world.reconcile("place")
    assert state(who, third) == "pending"
    why = who.get(f"/workloads/{third}/why")
    assert "2 cores held, 1 asked for, limit 2" in why["reason"]["en"] and "配额已用完" in why["reason"]["zh"]
    queue = why["queue"]
    assert (queue["state"], queue["number"], queue["of"], queue["expected_at"]) == ("quota", 1, 1, None)
    (shown,) = queue["quotas"]
    assert (shown["held_cores_milli"], shown["left_cores_milli"], shown["borrowed_cores_milli"]) == (2000, 0, 2000)
    end(site, world, first)
    world.reconcile("place")
    assert state(who, third) == "placed"
    refused = who.call("POST", "/workloads", json={"file": file(3)})
    assert (refused.status_code, refused.json()["code"]) == (422, "above_quota")


def test_orders_of_one_batch_do_not_pass_a_quota_together(world: World) -> None:
    SiteAgentTwin(world, cores=16)
    who = world.tenant()
    quota(world.operator, who.org_id, limit_cores_milli=5000)
    with ThreadPoolExecutor(12) as pool:
        made = [f.result(60) for f in [pool.submit(launch, who) for _ in range(12)]]
    assert sorted(state(who, ident) for ident in made) == ["pending"] * 7 + ["placed"] * 5


def test_the_next_place_goes_to_whoever_has_had_less_and_a_burst_delays_others_by_one(world: World) -> None:
    site = SiteAgentTwin(world, cores=1)
    many, one = world.tenant(), world.tenant()
    burst = [launch(many) for _ in range(6)]
    assert [state(many, i) for i in burst] == ["placed"] + ["pending"] * 5
    begun = site.start(site.sync()[0])
    world.pass_time(5)
    late = launch(one)
    why = one.get(f"/workloads/{late}/why")["queue"]
    assert (why["number"], why["of"], why["ahead_others_count"]) == (1, 6, 0)
    assert many.get(f"/workloads/{burst[3]}/why")["queue"]["ahead_own"] == burst[1:3]
    site.end(begun)
    world.pass_time(2)
    world.reconcile("place")
    assert state(one, late) == "placed" and state(many, burst[1]) == "pending"


def test_an_order_that_comes_now_does_not_overtake_one_that_has_a_place(world: World) -> None:
    site = SiteAgentTwin(world, cores=2)
    who, other = world.tenant(), world.tenant()
    running = launch(who, 2)
    waits = launch(who, 2)
    end(site, world, running)
    world.pass_time(2)
    late = launch(other)
    assert state(other, late) == "pending", "the place is free, and the one that came before has it first"
    world.reconcile("place")
    assert state(who, waits) == "placed" or state(other, late) == "placed"


def test_a_large_order_is_kept_room_for_and_short_ones_pass(world: World) -> None:
    site = SiteAgentTwin(world, cores=4)
    who, other = world.tenant(), world.tenant()
    running = launch(who, 3, max_duration="20m")
    site.start(site.sync()[0])
    large = launch(who, 4)
    world.pass_time(40)
    world.reconcile("place")
    blocked = launch(who)
    assert state(who, blocked) == "pending"
    assert "kept for orders that have waited longer" in who.get(f"/workloads/{blocked}/why")["reason"]["en"]
    queue = who.get(f"/workloads/{large}/why")["queue"]
    assert queue["state"] == "reserved" and queue["reservation"]["at"] == queue["expected_at"]
    short = launch(other, max_duration="5m")
    assert state(other, short) == "placed", "it will have ended before"
    end(site, world, short)
    world.pass_time(2)
    world.reconcile("place")
    assert state(who, blocked) == "pending"
    world.pass_time(600)
    site.sync()
    world.reconcile("heard", "place")
    stranger = launch(world.tenant())
    world.pass_time(2)
    world.reconcile("place")
    with world.database.begin() as tx:
        assert tx.session.get_one(Workload, stranger).state == "pending", "the oldest has its place before those with smaller shares"
    end(site, world, running)
    world.pass_time(2)
    world.reconcile("place")
    assert (state(who, large), state(who, blocked)) == ("placed", "pending")


def test_expected_start_is_known_by_history_and_unknown_without_any(world: World) -> None:
    site = SiteAgentTwin(world, cores=1)
    who = world.tenant()
    text = "name: nightly\nresources: {cpus: 1, memory: 1}\nrun: 'true'"

    def nightly() -> str:
        ident: str = who.post("/workloads", {"file": text})["workload"]["id"]
        return ident

    nightly()
    begun = site.start(site.sync()[0])
    waiting = launch(who)
    unknown = who.get(f"/workloads/{waiting}/why")["queue"]
    assert unknown["expected_at"] is None and "Unknown" in unknown["expected"]["en"]
    world.pass_time(300)
    site.end(begun)
    who.post(f"/workloads/{waiting}/cancel")
    second = nightly()
    site.start(site.sync()[0])
    started = world.clock.now()
    last = launch(who)
    known = who.get(f"/workloads/{last}/why")["queue"]
    assert state(who, second) == "running" and datetime.fromisoformat(known["expected_at"]) == started.replace(microsecond=0) + timedelta(seconds=300)


def test_priority_is_bounded_by_role_and_orders_ones_own(world: World) -> None:
    site = SiteAgentTwin(world, cores=1)
    owner = world.tenant()
    member = world.member(owner)
    refused = member.call("POST", "/workloads", json={"file": file(priority=51)})
    assert (refused.status_code, refused.json()["code"]) == (403, "priority_above_role")
    running = launch(owner)
    low, high = launch(member, priority=10), launch(owner, priority=90)
    end(site, world, running)
    world.pass_time(2)
    world.reconcile("place")
    assert (state(owner, low), state(owner, high)) == ("pending", "placed")
    assert owner.get(f"/workloads/{low}/why")["queue"]["priority"] == 10


def test_who_may_set_and_see_which_quota(world: World) -> None:
    owner, stranger = world.tenant(), world.tenant()
    member = world.member(owner)
    vision = owner.post("/projects", {"name": "vision"})["id"]
    assert quota(owner, owner.org_id, 403)["code"] == "forbidden"
    assert quota(member, "vision", 403)["code"] == "forbidden"
    assert quota(stranger, vision, 404) == quota(stranger, "prj_nobody", 404) | {"detail": quota(stranger, vision, 404)["detail"]} | {
        "zh": quota(stranger, vision, 404)["zh"]
    }
    quota(world.operator, owner.org_id, guaranteed_cores_milli=4000, limit_cores_milli=8000)
    page = quota(owner, "vision", guaranteed_cores_milli=2000, limit_cores_milli=8000, weight=3)
    shown = {q["name"]: q for q in page["items"]}
    assert shown["vision"]["weight"] == 3 and shown["vision"]["parent_id"] == owner.org_id and not shown["default"]["is_set"]
    assert member.get("/quotas")["items"] == page["items"]
    assert stranger.call("GET", f"/quotas?organisation={owner.org_id}").status_code == 404
    everyone = world.operator.get("/quotas")
    assert {q["subject"] for q in everyone["items"]} >= {owner.org_id, stranger.org_id} and everyone["capacity_cores_milli"] == 0


def test_wrong_quotas_are_refused_by_name(world: World) -> None:
    owner = world.tenant()
    for name in ("vision", "speech"):
        owner.post("/projects", {"name": name})
    quota(world.operator, owner.org_id, guaranteed_cards_milli=4000, limit_cards_milli=8000)
    assert quota(owner, "vision", 422, guaranteed_cards_milli=-1)["code"] == "quota_negative"
    assert quota(owner, "vision", 422, limit_cards_milli=9000)["code"] == "quota_above_parent"
    assert quota(owner, "vision", 422, guaranteed_cards_milli=5000)["code"] == "quota_above_parent"
    assert quota(owner, "vision", 422, guaranteed_cards_milli=2000, limit_cards_milli=1000)["code"] == "quota_above_limit"
    quota(owner, "vision", parent="speech")
    circle = quota(owner, "speech", 422, parent="vision")
    assert circle["code"] == "quota_cycle" and "speech" in circle["problems"][0]["en"] and "vision" in circle["problems"][0]["en"]
    quota(owner, "speech", guaranteed_cards_milli=4000)
    assert quota(world.operator, owner.org_id, 422, guaranteed_cards_milli=3000, limit_cards_milli=8000)["code"] == "quota_above_parent"


def test_a_project_under_another_counts_for_both(world: World) -> None:
    SiteAgentTwin(world, cores=8)
    owner = world.tenant()
    for name in ("lab", "team"):
        owner.post("/projects", {"name": name})
    quota(owner, "lab", limit_cores_milli=3000)
    quota(owner, "team", parent="lab", limit_cores_milli=2000)
    made = [launch(owner, 1, "team") for _ in range(3)] + [launch(owner, 1, "lab") for _ in range(2)]
    assert [state(owner, i) for i in made] == ["placed", "placed", "pending", "placed", "pending"]


def test_borrowed_spot_work_is_taken_back_within_an_organisation_and_has_its_least_time_first(world: World) -> None:
    site = SiteAgentTwin(world, cores=8)
    owner = world.tenant()
    for name in ("borrows", "owed"):
        owner.post("/projects", {"name": name})
    quota(world.operator, owner.org_id, guaranteed_cores_milli=4000, limit_cores_milli=4000)
    for name in ("borrows", "owed"):
        quota(owner, name, guaranteed_cores_milli=2000)
    spot = [launch(owner, 1, "borrows", spot=True) for _ in range(4)]
    assert [state(owner, i) for i in spot] == ["placed"] * 4
    wants = launch(owner, 1, "owed")
    world.pass_time(30)
    world.reconcile("room")
    with world.database.begin() as tx:
        assert not tx.session.scalars(select(Lease.id).where(Lease.desired == "stop")).all(), "it has its least time"
    world.pass_time(40)
    world.reconcile("room")
    with world.database.begin() as tx:
        stopped = tx.session.scalars(select(Lease).where(Lease.desired == "stop")).all()
        assert [lease.preempted_for for lease in stopped] == [wants]
        ended = stopped[0].workload_id
    offer = next(o for o in site.sync() if o["workload_id"] == ended)
    site.end(site.start(offer), reason="cancelled")
    world.pass_time(2)
    world.reconcile("place")
    assert state(owner, wants) == "placed" and state(owner, ended) == "pending"


def test_use_is_noted_once_and_is_the_same_made_anew(world: World) -> None:
    site = SiteAgentTwin(world, cores=4)
    who = world.tenant()
    for n in range(3):
        launch(who, 1 + n % 2)
        begun = site.start(site.sync()[0])
        world.pass_time(1800 + 700 * n)
        if n == 1:
            world.reconcile("used")
        site.end(begun)
    running = launch(who, 2)
    site.start(site.sync()[0])
    world.pass_time(100)

    def used() -> dict[int, Amounts]:
        with world.database.begin() as tx:
            found = sharing.used_by(tx, [who.org_id])
        return next(iter(found.values()))

    before = used()
    assert sum(a.cores_milli for a in before.values()) == 1000 * (1800 + 2 * 2500 + 3200 + 2 * 100)
    world.reconcile("used")
    assert used() == before and state(who, running) == "running"
    with world.database.begin() as tx:
        noted = {(u.project_id, u.hour): u.cores_milli_seconds for u in tx.session.scalars(select(UsedHour))}
    assert world.operator.post("/quotas/used") == {"leases": 3}
    assert used() == before, "nothing is missing while it is counted anew"
    world.reconcile("used")
    with world.database.begin() as tx:
        assert {(u.project_id, u.hour): u.cores_milli_seconds for u in tx.session.scalars(select(UsedHour))} == noted != {}
    assert used() == before
    world.pass_time(400 * 3600)
    world.reconcile("used")
    with world.database.begin() as tx:
        assert not tx.session.scalars(select(UsedHour)).all()


def test_where_nothing_waits_an_order_costs_two_queries_more(world: World) -> None:
    SiteAgentTwin(world, cores=8)
    who = world.tenant()
    launch(who)
    with QueryCount(world.database.engine) as count:
        launch(who)
    asks = [s for s in count.statements if "workload_quota" in s or ("workload_workload" in s and "state" in s and s.startswith("SELECT"))]
    assert len(asks) == 2, asks


class _Crowd:
    """Two servers' worth of placers: threads that launch, place what waits, end and look, on two databases with memories of their own."""

    def __init__(self, world: World, site: SiteAgentTwin, tenants: list[Person], servers: list[Database]) -> None:
        self.world, self.site, self.tenants, self.servers = world, site, tenants, servers
        self.lock = threading.Lock()
        self.looks = 0

    def run(self, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(14):
            rng.choice((self.launch, self.launch, self.place, self.place, self.end, self.look))(rng)

    def launch(self, rng: random.Random) -> None:
        launch(rng.choice(self.tenants), rng.choice((1, 2)), spot=rng.random() < 0.3)

    def place(self, rng: random.Random) -> None:
        server = rng.choice(self.servers)
        with server.begin("placement") as tx:
            ids = list(launching.placeable(tx, TTL))
        rng.shuffle(ids)
        for ident in ids[:5]:
            with server.begin("placement") as tx:
                launching.place_waiting(tx, ident, TTL)

    def end(self, rng: random.Random) -> None:
        with self.lock:
            offers = self.site.sync()
            for offer in rng.sample(offers, min(2, len(offers))):
                self.site.end(self.site.start(offer))

    def look(self, rng: random.Random) -> None:
        with rng.choice(self.servers).begin() as tx:
            tx.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            for tenant in self.tenants:
                leases = tx.session.scalars(
                    select(Lease).where(Lease.org_id == tenant.org_id, Lease.state.in_(("offered", "accepted", "active")))
                ).all()
                assert sum(lease.cores_milli for lease in leases) <= 5000
                default = [lease.cores_milli for lease in leases if lease.project_id == leases[0].project_id] if leases else []
                assert sum(default) <= 4000
        self.looks += 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_quota_is_never_passed_while_two_servers_place_at_once(world: World, seed: int) -> None:
    site = SiteAgentTwin(world, cores=64, memory_mib=1_000_000)
    tenants = [world.tenant("900.00") for _ in range(2)]
    for tenant in tenants:
        quota(world.operator, tenant.org_id, limit_cores_milli=5000)
        quota(tenant, "default", limit_cores_milli=4000)
    url, clock = world.database.url, world.clock
    servers = [Database(url, clock, TimeOrderedIds(clock)) for _ in range(2)]
    crowd = _Crowd(world, site, tenants, servers)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(crowd.run, 100 * seed + n) for n in range(8)]:
            done.result(120)
    for n in range(10):  # how far the threads came is chance: what is asked for last is more than there is
        launch(tenants[n % 2], 2)
    crowd.look(random.Random(0))
    with world.database.begin() as tx:
        assert tx.session.scalars(select(Workload.id).where(Workload.state == "pending")).all(), "the quota was reached"
    assert crowd.looks
    for server in servers:
        server.close()


def test_times_are_in_utc(world: World) -> None:
    site = SiteAgentTwin(world, cores=1)
    who = world.tenant()
    launch(who, max_duration="10m")
    site.start(site.sync()[0])
    late = launch(who)
    at = datetime.fromisoformat(who.get(f"/workloads/{late}/why")["queue"]["expected_at"])
    assert at == world.clock.now().astimezone(UTC).replace(microsecond=0) + timedelta(minutes=10)
