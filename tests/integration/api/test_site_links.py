"""Distances of sites through the API: named by the provider, measured by agents, read by those who may."""

from typing import Any

from api_world import SiteAgentTwin, World


def placed(world: World, twin: SiteAgentTwin, latitude_e6: int, longitude_e6: int, echo: str) -> None:
    body = {"latitude_e6": latitude_e6, "longitude_e6": longitude_e6, "echo_address": echo}
    assert twin.provider.post(f"/sites/{twin.id}/conditions", body)["echo_address"] == (echo or None)


def report(world: World, to: SiteAgentTwin, us: int | None) -> dict[str, Any]:
    return {
        "to_site_id": to.id, "at": world.clock.now().isoformat(), "tries": 5, "answered": 5 if us else 0, "median_us": us,
        "best_us": us, "note": None if us else "no answer in time",
    }  # fmt: skip


def test_a_measured_distance_is_shown_at_both_ends_and_one_faster_than_light_is_refused(world: World) -> None:
    beijing, shanghai = SiteAgentTwin(world), SiteAgentTwin(world)
    placed(world, beijing, 39_904_000, 116_407_000, "gw.bj.example:443")
    placed(world, shanghai, 31_230_000, 121_474_000, "gw.sh.example:443")
    assert {"site_id": shanghai.id, "echo_address": "gw.sh.example:443"} in beijing.agent.get("/wire/v1/peers")["peers"]
    assert beijing.agent.post("/wire/v1/links", {"links": [report(world, shanghai, 28_000)]}) == {
        "accepted": 1, "duplicate": 0, "refused": [], "retry": [],
    }  # fmt: skip
    [seen] = beijing.provider.get(f"/sites/{beijing.id}/links")["items"]
    [other] = shanghai.provider.get(f"/sites/{shanghai.id}/links")["items"]
    assert (seen["direction"], other["direction"], seen["median_us"], seen["refused"]) == ("to", "from", 28_000, False)
    assert 6_000 < seen["bound_us"] < 8_000

    world.pass_time(60)
    beijing.agent.post("/wire/v1/links", {"links": [report(world, shanghai, 3_000)]})
    [lie] = world.operator.get(f"/sites/{beijing.id}/links")["items"]
    assert lie["refused"] and lie["best_us"] == 3_000

    world.pass_time(60)
    beijing.agent.post("/wire/v1/links", {"links": [report(world, shanghai, None)]})
    [silent] = world.operator.get(f"/sites/{shanghai.id}/links")["items"]
    assert (silent["median_us"], silent["refused"], silent["note"]) == (None, False, "no answer in time")


def test_others_do_not_see_them_and_a_wrong_address_is_named(world: World) -> None:
    twin, stranger = SiteAgentTwin(world), world.sign_up("provider")
    assert stranger.call("GET", f"/sites/{twin.id}/links").status_code == 404
    assert world.tenant().call("GET", f"/sites/{twin.id}/links").status_code == 403
    assert world.anyone().call("POST", "/wire/v1/links", json={"links": []}).status_code == 401
    answer = twin.provider.call("POST", f"/sites/{twin.id}/conditions", json={"echo_address": "http://gw"})
    assert answer.status_code == 422 and answer.json()["problems"][0]["where"] == "echo_address"
    placed(world, twin, 0, 0, "gw:1")
    placed(world, twin, 0, 0, "")
    assert twin.id not in {p["site_id"] for p in SiteAgentTwin(world).agent.get("/wire/v1/peers")["peers"]}
