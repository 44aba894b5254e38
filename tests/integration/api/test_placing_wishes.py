"""Alternatives and wishes about sites from the file to the offer, the price and the explanation."""

from collections.abc import Callable

import pytest
from api_city import offer_of
from api_world import SiteAgentTwin, World

Sites = Callable[..., SiteAgentTwin]
H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"
EITHER = "run: x\nresources: {cpus: 1, memory: 1, accelerators: ['H100 SXM5 80GB:1', A100:1]}\nzhisuan: {sites: [%s]}\n"


def test_an_ordered_list_is_placed_priced_and_explained(world: World, make_site: Sites) -> None:
    site, owner = make_site(cards=(H100, A100)), world.tenant("100.00")
    file = EITHER % site.id
    quote = owner.post("/quotes", {"file": file})
    first = owner.post("/workloads", {"file": file})
    second = owner.post("/workloads", {"file": file})
    offers = [offer_of(site, made["workload"]["id"]) for made in (first, second)]
    assert [o["env"]["ZHISUAN_ACCELERATOR"] for o in offers] == ["nvidia-h100-sxm5-80g", "nvidia-a100-sxm4-80g"]
    assert [made["placement"]["candidates"][0]["alternative"] for made in (first, second)] == [1, 2]
    assert "Alternative 2 of 2 (A100:1" in second["placement"]["reason"]["en"]
    leases = [owner.get(f"/workloads/{m['workload']['id']}")["leases"][0] for m in (first, second)]
    assert leases[0]["rate_udu_per_hour"] > leases[1]["rate_udu_per_hour"]
    most = quote["rate_udu_per_hour"]
    assert most == leases[0]["rate_udu_per_hour"] == second["workload"]["rate_udu_per_hour"], "quoted is the dearest"
    assert quote["hour_ucny_max"] == quote["hour_ucny"]
    third = owner.post("/workloads", {"file": file})["workload"]
    why = owner.get(f"/workloads/{third['id']}/why")
    assert "Alternative 1" in why["reason"]["en"] and "Alternative 2" in why["reason"]["en"]
    site.end(site.start(offers[1]))
    world.reconcile("place")
    assert owner.get(f"/workloads/{third['id']}")["state"] == "placed", "what is free for an alternative is enough"


def test_what_runs_on_a_cheaper_alternative_is_charged_at_its_price(world: World, make_site: Sites) -> None:
    site, owner = make_site(cards=(A100,)), world.tenant("100.00")
    made = owner.post("/workloads", {"file": EITHER % site.id})["workload"]
    running = site.start(offer_of(site, made["id"]))
    site.meter(running, 3600)
    world.reconcile("rate")
    charges = owner.get("/charges?limit=200")["items"]
    rate = owner.get(f"/workloads/{made['id']}")["leases"][0]["rate_udu_per_hour"]
    assert sum(c["quantity_udu"] for c in charges) == rate < made["rate_udu_per_hour"]


def test_cores_of_the_chosen_alternative_are_told_to_the_work(world: World, make_site: Sites) -> None:
    site, owner = make_site(cores=4), world.tenant()
    file = f"run: x\nresources: {{memory: 1, ordered: [{{cpus: 8}}, {{cpus: 3}}]}}\nzhisuan: {{sites: [{site.id}]}}\n"
    made = owner.post("/workloads", {"file": file})
    assert offer_of(site, made["workload"]["id"])["env"]["ZHISUAN_CPUS"] == "3"
    assert made["workload"]["resources"]["alternatives"][1]["cpus_milli"] == 3000


@pytest.mark.parametrize("field", ["sites", "avoid_sites"])
def test_a_site_that_there_is_not_is_refused(world: World, make_site: Sites, field: str) -> None:
    make_site()
    answer = world.tenant().call("POST", "/workloads", json={"file": f"run: x\nzhisuan: {{{field}: [nowhere]}}\n"})
    assert answer.status_code == 422 and answer.json()["problems"][0]["where"] == f"zhisuan.{field}"


def test_sites_and_regions_are_kept_to(world: World, make_site: Sites) -> None:
    one, two, owner = make_site(), make_site(), world.tenant()
    for wish, at in (
        (f"sites: [{one.id}]", one), (f"sites: [{two.id}]", two), (f"sites: [{one.id}, {two.id}], region: CN-AH", None),
    ):  # fmt: skip
        made = owner.post("/workloads", {"file": f"run: x\nresources: {{memory: 1}}\nzhisuan: {{{wish}}}\n"})
        assert at is None or made["placement"]["chosen"]["site_id"] == at.id
    answer = owner.call("POST", "/workloads", json={"file": f"run: x\nzhisuan: {{sites: [{one.id}], region: CN-GS}}\n"})
    assert answer.json()["code"] == "cannot_fit" and answer.status_code == 422, answer.text
