"""一主多备: work goes to its standby when its site is lost, taken back or drained, and never runs twice at once."""

from collections.abc import Callable

import pytest
from api_city import offer_of
from api_world import Person, SiteAgentTwin, World

Sites = Callable[..., SiteAgentTwin]
TERM = 120
MARGIN = 70


def launch(owner: Person, primary: SiteAgentTwin, *standbys: SiteAgentTwin, term: str = "2m") -> str:
    wish = f"sites: [{primary.id}], standby: [{', '.join(s.id for s in standbys)}], lease: {term}"
    made = owner.post("/workloads", {"file": f"run: x\nresources: {{memory: 1}}\nzhisuan: {{{wish}}}\n"})
    assert made["placement"]["chosen"]["site_id"] == primary.id
    assert "primary site" in made["placement"]["reason"]["en"]
    return str(made["workload"]["id"])


def sites_now(owner: Person, workload_id: str) -> list[tuple[str, str]]:
    return [(x["site_id"], x["state"]) for x in owner.get(f"/workloads/{workload_id}")["leases"]]


def test_a_lost_site_keeps_the_work_for_its_term_and_the_standby_has_it_after(world: World, make_site: Sites) -> None:
    primary, first, second, owner = make_site(), make_site(), make_site(), world.tenant()
    workload_id = launch(owner, primary, first, second)
    running = primary.start(offer_of(primary, workload_id))
    world.operator.post(f"/sites/{first.id}/drain")
    silent = 0
    while silent <= TERM + MARGIN:
        for other in (first, second):
            other.sync()
        world.reconcile("heard", "silences", "lose", "place", "standby")
        leases = sites_now(owner, workload_id)
        if leases[0][1] == "closed":
            break
        assert leases == [(primary.id, "active")], "nothing runs elsewhere before the term is over"
        world.pass_time(10)
        silent += 10
    assert silent >= TERM, "the term of the lease is respected"
    world.reconcile("place")
    assert sites_now(owner, workload_id) == [(primary.id, "closed"), (second.id, "offered")]
    placed = owner.get(f"/workloads/{workload_id}")["placement"]
    assert "is standby 2" in placed["reason"]["en"] and placed["chosen"]["site_id"] == second.id
    again = second.start(offer_of(second, workload_id))
    assert again["generation"] == running["generation"] + 1
    primary.end(running)
    assert owner.get(f"/workloads/{workload_id}")["state"] == "running", "the lost site's word counts no more"
    assert [o["workload_id"] for o in primary.sync()] == [], "and it is told to hold nothing"


def test_work_leaves_a_drained_site_once_and_only_for_a_place(world: World, make_site: Sites) -> None:
    primary, standby, owner = make_site(cores=1), make_site(cores=1), world.tenant()
    workload_id = launch(owner, primary, standby)
    running = primary.start(offer_of(primary, workload_id))
    blocker = owner.post("/workloads", {"file": f"run: x\nresources: {{memory: 1}}\nzhisuan: {{sites: [{standby.id}]}}\n"})
    world.operator.post(f"/sites/{primary.id}/drain")
    world.reconcile("standby", "place")
    assert offer_of(primary, workload_id)["desired"] == "run", "it stays while no standby has room"
    standby.end(standby.start(offer_of(standby, blocker["workload"]["id"])))
    world.reconcile("standby", "place")
    assert offer_of(primary, workload_id)["desired"] == "stop"
    assert sites_now(owner, workload_id) == [(primary.id, "active")], "not twice at once"
    primary.end(running, reason="cancelled", exit_code=None)
    world.reconcile("place")
    assert sites_now(owner, workload_id) == [(primary.id, "closed"), (standby.id, "offered")]
    found = owner.get(f"/workloads/{workload_id}")
    assert any("drained" in (e["cause"] or "") for e in found["events"]) and found["attempts"] == 2


def test_work_without_a_standby_stays_on_a_drained_site(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    make_site()
    made = owner.post("/workloads", {"file": f"run: x\nresources: {{memory: 1}}\nzhisuan: {{sites: [{site.id}]}}\n"})["workload"]
    site.start(offer_of(site, made["id"]))
    world.operator.post(f"/sites/{site.id}/drain")
    world.reconcile("standby")
    assert offer_of(site, made["id"])["desired"] == "run"


def test_what_is_taken_back_goes_to_the_standby(world: World, make_site: Sites) -> None:
    primary, standby, owner = make_site(), make_site(), world.tenant()
    workload_id = launch(owner, primary, standby)
    running = primary.start(offer_of(primary, workload_id))
    primary.provider.post(f"/sites/{primary.id}/take-back", {"notice_seconds": 60})
    world.reconcile("recalls")
    primary.end(running, reason="cancelled", exit_code=None)
    standby.sync()
    world.reconcile("place")
    assert sites_now(owner, workload_id)[-1] == (standby.id, "offered")


@pytest.mark.parametrize("wish", ["standby: [a]", "sites: [a], standby: [a]", "sites: [a], avoid_sites: [a]"])
def test_a_standby_needs_another_primary(world: World, wish: str) -> None:
    answer = world.tenant().call("POST", "/workloads", json={"file": f"run: x\nzhisuan: {{{wish}}}\n"})
    assert answer.status_code == 422 and answer.json()["code"] == "invalid_workload"
