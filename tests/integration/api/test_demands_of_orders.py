"""What an order demands of its place and time, from the file to the offer, the quote and the explanation."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from api_city import offer_of
from api_world import Person, SiteAgentTwin, World

Sites = Callable[..., SiteAgentTwin]
RTX_4090, RTX_5090 = "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 5090"
HEFEI, QINGYANG = {"latitude_e6": 31_820_000, "longitude_e6": 117_227_000}, {"latitude_e6": 35_709_000, "longitude_e6": 107_643_000}


def file_of(own: dict[str, Any], **resources: Any) -> str:
    return yaml.safe_dump({"run": "x", "resources": {"cpus": 1, "memory": 1} | resources, "zhisuan": own}, allow_unicode=True)


def launch(owner: Person, own: dict[str, Any], **resources: Any) -> Any:
    return owner.post("/workloads", {"file": file_of(own, **resources)})


def refused(owner: Person, own: dict[str, Any], **resources: Any) -> tuple[int, str]:
    answer = owner.call("POST", "/workloads", json={"file": file_of(own, **resources)})
    return answer.status_code, answer.json()["code"]


def told(site: SiteAgentTwin, **figures: Any) -> None:
    site.provider.post(f"/sites/{site.id}/conditions", figures)


def test_a_price_ceiling_is_kept_to_the_millionth_and_refused_where_nothing_is_so_cheap(world: World, make_site: Sites) -> None:
    make_site()
    owner = world.tenant()
    hour = owner.post("/quotes", {"file": file_of({})})["hour_ucny"]
    exact = f"{hour // 10**6}.{hour % 10**6:06}"
    assert launch(owner, {"price_max": exact})["workload"]["state"] == "placed"
    below = f"{(hour - 1) // 10**6}.{(hour - 1) % 10**6:06}"
    answer = owner.call("POST", "/workloads", json={"file": file_of({"price_max": below})})
    assert answer.status_code == 422 and answer.json()["code"] == "cannot_fit"
    assert "price_least" in {r["constraint"] for r in answer.json()["extra"]["rejected"]}
    assert "raise zhisuan.price_max" in answer.json()["remedy"]


def test_device_memory_takes_the_cards_that_have_it(world: World, make_site: Sites) -> None:
    small, large = make_site(cards=(RTX_4090,), card_memory_mib=24564), make_site(cards=(RTX_5090,), card_memory_mib=32607)
    owner = world.tenant("100.00")
    first = launch(owner, {"device_memory": 30}, accelerators="RTX")
    assert first["placement"]["chosen"]["site_id"] == large.id
    second = launch(owner, {"device_memory": 30}, accelerators="RTX")["workload"]
    why = owner.get(f"/workloads/{second['id']}/why")
    [step] = [s for s in why["steps"] if s["constraint"] == "device_memory"]
    assert step["taken_out"] == 1 and why["steps"][-1]["left"] == 0
    assert why["binding"]["constraint"] == "accelerator_free"
    [way] = why["relaxed"]
    assert (way["field"], way["fits"]) == ("zhisuan.device_memory", 1) and "24 GiB" in way["text"]["en"]
    assert launch(owner, {"device_memory": 20}, accelerators="RTX")["placement"]["chosen"]["site_id"] == small.id
    assert refused(owner, {"device_memory": 500}, accelerators="RTX") == (422, "cannot_fit")


def test_providers_and_green_shares_narrow_the_sites(world: World, make_site: Sites) -> None:
    plain, green = make_site(), make_site()
    told(green, green_ppm=800_000)
    owner = world.tenant()
    name = world.operator.get(f"/sites/{green.id}")["provider"]["name"]
    assert launch(owner, {"green_only": "80%"})["placement"]["chosen"]["site_id"] == green.id
    assert launch(owner, {"providers": [name]})["placement"]["chosen"]["site_id"] == green.id
    assert launch(owner, {"avoid_providers": [name]})["placement"]["chosen"]["site_id"] == plain.id
    assert refused(owner, {"green_only": True}) == (422, "cannot_fit")
    assert refused(owner, {"providers": "nobody"}) == (422, "unknown_provider")
    [seen] = [c for c in green.provider.get(f"/sites/{green.id}/conditions")["items"] if c["name"] == "green_ppm"]
    assert seen["value"] == 800_000 and world.operator.get(f"/sites/{green.id}")["green_ppm"] == 800_000
    assert plain.provider.call("POST", f"/sites/{plain.id}/conditions", json={"green_ppm": 1_000_001}).status_code == 422


def linked(world: World, place: str, site: SiteAgentTwin, us: int | None, **more: Any) -> Any:
    body = {"site_id": site.id, "direction": "from_place", "method": "measured", "round_trip_us": us, "source": "ping"}
    return world.operator.call("POST", f"/places/{place}/links", json=body | more)


def test_work_near_its_users_and_links_that_light_could_not_make(world: World, make_site: Sites) -> None:
    near, far = make_site(), make_site()
    told(near, **HEFEI)
    told(far, **QINGYANG)
    place = world.operator.post("/places", {"name": "合肥", **HEFEI})
    assert world.operator.call("POST", "/places", json={"name": "合肥", **HEFEI}).status_code == 409
    lie = linked(world, place["id"], far, 5_000)
    assert lie.status_code == 422 and lie.json()["problems"][0]["where"] == "round_trip_us"
    assert linked(world, place["id"], far, 22_000).json()["bound_us"] > 9_000
    assert linked(world, place["id"], far, 25_000, direction="from_site", method="stated", source="the carrier").status_code == 201
    assert linked(world, place["id"], near, 1_000).status_code == 201
    owner = world.tenant()
    assert {p["name"]: p["reached"] for p in owner.get("/places")["items"]} == {"合肥": 2}
    placed = launch(owner, {"latency": {"合肥": "24ms"}})["placement"]
    assert placed["chosen"]["site_id"] == near.id and placed["candidates"][0]["round_trip_us"] == 1_000, "the longer of both counts"
    quote = owner.post("/quotes", {"file": file_of({"latency": {"合肥": "25ms"}})})
    trips = {s["site_id"]: (s["round_trip_us"], "nearest" in s["marks"]) for s in quote["sites"]}
    assert trips == {near.id: (1_000, True), far.id: (25_000, False)} and quote["sites_counted"] == 2
    assert refused(owner, {"latency": {"Atlantis": "5ms"}}) == (422, "unknown_place")
    told(far, **HEFEI)
    told(near, **QINGYANG)
    kept = {(e["site_id"], e["direction"]): e["refused"] for e in world.operator.get(f"/places/{place['id']}/links")["items"]}
    assert kept == {(near.id, "from_place"): True, (far.id, "from_place"): False, (far.id, "from_site"): False}
    assert launch(owner, {"latency": {"合肥": "25ms"}})["placement"]["chosen"]["site_id"] == far.id, "what cannot be true is not used"
    computed = linked(world, place["id"], near, None, method="computed", source="").json()
    assert computed["round_trip_us"] * 2 > computed["bound_us"] * 3 and not computed["refused"]
    assert world.operator.post(f"/places/{place['id']}/remove", {})["name"] == "合肥"
    assert owner.get("/places")["items"] == []


def test_places_are_kept_by_the_operator_alone(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    assert owner.call("POST", "/places", json={"name": "x", **HEFEI}).status_code == 403
    place = world.operator.post("/places", {"name": "x", **HEFEI})
    for problem in ({"round_trip_us": None}, {"method": "computed"}, {"source": " "}, {}):
        answer = linked(world, place["id"], site, 1_000, **problem)
        assert answer.status_code == 422, "a site without coordinates has no round trips"
    assert linked(world, "dpl_unknown", site, 1_000).status_code == 404
    assert world.operator.get(f"/places/{place['id']}/links")["items"] == [], "nothing half-made"


def test_it_waits_until_it_may_start_and_takes_nobodys_place_meanwhile(world: World, make_site: Sites) -> None:
    site, owner = make_site(cores=2), world.tenant()
    later = (world.clock.now() + timedelta(hours=2)).isoformat()
    first = launch(owner, {"start_after": later}, cpus=2)
    assert first["workload"]["state"] == "pending" and later[:16] in first["placement"]["reason"]["en"]
    world.reconcile("place", "room")
    why = owner.get(f"/workloads/{first['workload']['id']}/why")
    assert why["binding"] is None and why["expected_start"][:16] == later[:16]
    world.pass_time(7200)
    site.sync()
    world.reconcile("place")
    assert owner.get(f"/workloads/{first['workload']['id']}")["state"] == "placed"


@pytest.mark.parametrize("late", ["fail", "go_on"])
def test_work_that_cannot_keep_its_deadline_is_told_and_ends_unless_it_is_to_go_on(world: World, make_site: Sites, late: str) -> None:
    site, owner = make_site(cores=2), world.tenant("100.00")
    running = launch(owner, {"max_duration": "3h"}, cpus=2)["workload"]
    lease = site.start(offer_of(site, running["id"]))
    deadline = (world.clock.now() + timedelta(hours=2)).isoformat()
    asked = {"deadline": deadline, "max_duration": "90m", "when_late": late}
    waiting = launch(owner, asked, cpus=2)["workload"]["id"]
    why = owner.get(f"/workloads/{waiting}/why")
    assert why["deadline"][:16] == deadline[:16] and why["binding"]["constraint"] == "cpu_free"
    assert why["expected_start"] > deadline, "the other may run for three hours"
    world.pass_time(1799)
    world.reconcile("late")
    assert owner.get(f"/workloads/{waiting}")["state"] == "pending"
    world.pass_time(2)
    world.reconcile("late")
    world.reconcile("late")
    seen = owner.get(f"/workloads/{waiting}")
    about = [e for e in seen["events"] if "deadline" in e["cause"]]
    assert len(about) == 1, "told once"
    if late == "fail":
        assert (seen["state"], seen["reason"]) == ("failed", "deadline") and deadline in seen["message"]
        return
    assert seen["state"] == "pending"
    site.end(lease)
    world.reconcile("place")
    assert owner.get(f"/workloads/{waiting}")["state"] == "placed"


def test_a_deadline_that_cannot_be_kept_is_refused_at_once_and_leaves_nothing(world: World, make_site: Sites) -> None:
    make_site()
    owner = world.tenant()
    before = world.row_counts()
    soon = (world.clock.now() + timedelta(minutes=30)).isoformat()
    assert refused(owner, {"deadline": soon, "max_duration": "1h"}) == (422, "deadline_passed")
    assert world.row_counts() == before


def test_a_placed_order_names_the_runners_up_with_what_they_come_to_more(world: World, make_site: Sites) -> None:
    cheap, dirty = make_site(), make_site()
    told(dirty, pue_milli=2000)
    owner = world.tenant()
    made = launch(owner, {})["workload"]["id"]
    why = owner.get(f"/workloads/{made}/why")
    assert why["placement"]["chosen"]["site_id"] == cheap.id
    [other] = why["runners_up"]
    assert (other["site_id"], other["hour_ucny_more"], other["round_trip_us_more"]) == (dirty.id, 0, None)
    assert other["carbon_g_per_hour_milli_more"] > 0
