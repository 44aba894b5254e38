"""What sites' engines say of leases: kept beside them once, compared when all is in, shown, and never used to correct."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_city import JOB_ONCE, offer_of
from api_world import SiteAgentTwin, World

Sites = Callable[..., SiteAgentTwin]


def account(running: dict[str, Any], world: World, **more: Any) -> dict[str, Any]:
    """Of a run that ended now and that the engine counted from two seconds before its first instruction."""
    now = world.clock.now()
    said = {
        "lease_id": running["lease_id"], "generation": running["generation"], "source": "sacct", "reference": "4711",
        "state": "COMPLETED", "started_at": (now - timedelta(seconds=92)).isoformat(), "ended_at": now.isoformat(),
        "elapsed_milliseconds": 92_000, "cpu_milliseconds": 61_250, "nodes": 1,
    }  # fmt: skip
    return said | more


@pytest.fixture
def site(world: World, make_site: Sites) -> SiteAgentTwin:
    return make_site()


def ran(world: World, site: SiteAgentTwin, owner: Any) -> dict[str, Any]:
    workload_id = owner.post("/workloads", {"file": JOB_ONCE})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    site.meter(running, 90)
    site.end(running)
    return running


def tell(site: SiteAgentTwin, *accounts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = site.agent.post("/wire/v1/accounts", {"accounts": list(accounts)})
    return found


def counted(world: World, site: SiteAgentTwin) -> dict[str, int]:
    found = world.operator.get(f"/sites/{site.id}/reconciliation")
    assert found == site.provider.get(f"/sites/{site.id}/reconciliation")
    return {
        name: found[name]
        for name in found
        if found[name] and name not in ("site_id", "tolerance_seconds", "tolerance_per_cent")
    }


def test_an_account_that_agrees_is_shown_beside_what_was_metered(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    running = ran(world, site, owner)
    assert counted(world, site) == {"none": 1}
    assert tell(site, account(running, world))["accepted"] == 1
    assert counted(world, site) == {"waiting": 1}
    world.reconcile("accounts")
    assert counted(world, site) == {"agrees": 1}
    (row,) = world.operator.get(f"/engine-accounts?site_id={site.id}")["items"]
    assert (row["verdict"], row["metered_seconds"], row["engine_milliseconds"]) == ("agrees", 90, 90_000)
    assert (row["source"], row["reference"], row["cpu_milliseconds"]) == ("sacct", "4711", 61_250)
    assert world.operator.get(f"/engine-accounts?site_id={site.id}&verdict=differs")["items"] == []
    stations = {s["station"]: s["records"] for s in owner.get(f"/trace/{running['lease_id']}")["stations"]}
    (shown,) = [r for r in stations["usage"] if "sacct" in r["title"]["en"]]
    assert (shown["facts"]["verdict"], shown["facts"]["engine_seconds"]) == ("agrees", "90")


def test_a_difference_is_shown_and_corrects_nothing(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    running = ran(world, site, owner)
    tell(site, account(running, world, elapsed_milliseconds=32_000))
    world.reconcile("accounts")
    world.reconcile("rate")
    before = owner.get("/charges?limit=200")["items"]
    assert counted(world, site) == {"metered_more": 1}
    (row,) = world.operator.get(f"/engine-accounts?site_id={site.id}&verdict=differs")["items"]
    assert (row["lease_id"], row["difference_milliseconds"]) == (running["lease_id"], 60_000)
    for step in ("accounts", "rate", "credit"):
        world.reconcile(step)
    assert owner.get("/charges?limit=200")["items"] == before
    assert sum(c["seconds"] for c in before) == 90


def test_the_first_account_of_a_lease_stays(world: World, site: SiteAgentTwin) -> None:
    running = ran(world, site, world.tenant())
    told = account(running, world)
    assert tell(site, told) == tell(site, told) | {"accepted": 1, "duplicate": 0}
    assert tell(site, told | {"elapsed_milliseconds": 1})["duplicate"] == 1
    assert world.operator.get(f"/engine-accounts?site_id={site.id}")["items"][0]["elapsed_milliseconds"] == 92_000


def test_an_account_may_come_before_the_end_and_waits_for_it(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    workload_id = owner.post("/workloads", {"file": JOB_ONCE})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    site.meter(running, 90)
    tell(site, account(running, world))
    world.reconcile("accounts")
    assert world.operator.get(f"/engine-accounts?site_id={site.id}")["items"][0]["verdict"] is None
    site.end(running)
    world.reconcile("accounts")
    assert counted(world, site) == {"agrees": 1}


def test_of_foreign_unknown_and_passed_leases_nothing_is_kept(
    world: World, site: SiteAgentTwin, make_site: Sites
) -> None:
    running = ran(world, site, world.tenant())
    other = make_site()
    told = account(running, world)
    for sender, sent in (
        (other, told), (site, told | {"lease_id": "lea_unknown"}), (site, told | {"generation": running["generation"] + 1}),
        (site, told | {"lease_id": "bad\u0000id"}), (site, told | {"state": "a\u0000b"}),
    ):  # fmt: skip
        answer = tell(sender, sent)
        assert (answer["accepted"], answer["refused"]) == (0, [sent["lease_id"]])
    assert world.operator.get(f"/engine-accounts?site_id={site.id}")["items"] == []
    refused = site.agent.call("POST", "/wire/v1/accounts", json={"accounts": [told | {"elapsed_milliseconds": -1}]})
    assert refused.status_code == 422


def test_more_metered_later_is_compared_anew(world: World, site: SiteAgentTwin) -> None:
    from sqlalchemy import update

    from zhisuan.execution.tables import Lease
    from zhisuan.usage import service as usage

    owner = world.tenant()
    workload_id = owner.post("/workloads", {"file": JOB_ONCE})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    started = world.clock.now().replace(microsecond=0)
    site.meter(running, 60)
    late_from = world.clock.now().replace(microsecond=0)
    world.pass_time(30)
    site.end(running, ended_at=late_from.isoformat())
    early = {
        "lease_id": running["lease_id"], "generation": running["generation"], "start": late_from.isoformat(),
        "end": min(late_from + timedelta(seconds=20), late_from.replace(second=0) + timedelta(minutes=1)).isoformat(), "id": "late",
    }  # fmt: skip
    assert site.agent.post("/wire/v1/usage", {"windows": [early]})["refused"] == ["late"]
    seconds = 60
    tell(site, account(running, world, started_at=started.isoformat(), elapsed_milliseconds=seconds * 1000))
    world.reconcile("accounts")
    assert counted(world, site) == {"agrees": 1}
    with world.database.begin() as tx:
        tx.session.execute(
            update(Lease).where(Lease.id == running["lease_id"]).values(active_to=late_from + timedelta(seconds=60))
        )
        assert usage.replay_quarantined(tx, source=site.id).resolved == 1
    assert counted(world, site) == {"waiting": 1}
    world.reconcile("accounts")
    (row,) = world.operator.get(f"/engine-accounts?site_id={site.id}")["items"]
    assert row["metered_seconds"] > 60
