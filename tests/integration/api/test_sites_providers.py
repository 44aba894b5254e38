"""A provider's side over the API: joining, tokens, credentials, terms, taking back, earnings; and the operator's judgement."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_world import Person, SiteAgentTwin, World, number

from zhisuan.base.secrets import digest

MakeSite = Callable[..., SiteAgentTwin]
JOB = "name: j\nresources: {cpus: 1, memory: 1}\nrun: x\nzhisuan: {restarts: 0}\n"
CARD = "NVIDIA A100-SXM4-80GB"
CARD_CLASS = "nvidia-a100-sxm4-80g"


def invited(world: World, provider: Person | None = None, **more: Any) -> tuple[Person, dict[str, Any]]:
    provider = provider or world.sign_up("provider")
    made = provider.post("/sites", {"name": f"s{number()}", "region": "CN-AH", "pue_milli": 1400, **more})
    return provider, made


def join(world: World, token: str, credential: str, **more: Any) -> Any:
    body = {"token": token, "agent_version": "t", "hostname": "h", "credential_digest": digest(credential), **more}
    return world.anyone().call("POST", "/wire/v1/join", json=body)


# --- tokens


def test_a_token_says_what_it_would_do_without_being_used(world: World) -> None:
    _, made = invited(world)
    for _ in range(2):
        hello = world.anyone().post("/wire/v1/hello", {"token": made["join_token"]})
        assert hello["token"]["state"] == "valid"
        assert hello["token"]["site_name"] == made["site"]["name"]
    assert world.anyone().post("/wire/v1/hello", {})["token"] is None
    assert join(world, made["join_token"], "zsc_a").status_code == 200


@pytest.mark.parametrize("state", ["unknown", "used", "expired", "revoked", "closed"])
def test_a_token_that_does_not_work_says_why(world: World, state: str) -> None:
    provider, made = invited(world)
    token, site = made["join_token"], made["site"]["id"]
    if state == "unknown":
        token = "zsj_" + "0" * 40
    elif state == "used":
        assert join(world, token, "zsc_first").status_code == 200
    elif state == "expired":
        world.pass_time(24 * 3600)
    elif state == "revoked":
        ident = provider.get(f"/sites/{site}/join-tokens")["items"][0]["id"]
        for _ in range(2):
            assert provider.call("DELETE", f"/sites/{site}/join-tokens/{ident}").status_code == 204
    else:
        provider.post(f"/sites/{site}/close")
    assert world.anyone().post("/wire/v1/hello", {"token": token})["token"]["state"] == state
    refused = join(world, token, "zsc_second")
    assert refused.status_code == 401
    problem = refused.json()
    assert (problem["code"], problem["extra"]["token"]) == ("bad_join_token", state)
    assert "zhisuan site token" in problem["remedy"]
    assert problem["zh"]["detail"] != problem["detail"]


def test_tokens_are_listed_without_what_they_are(world: World) -> None:
    provider, made = invited(world)
    site = made["site"]["id"]
    second = provider.post(f"/sites/{site}/join-tokens", {"hours": 1})
    answer = provider.call("GET", f"/sites/{site}/join-tokens")
    assert made["join_token"] not in answer.text and second["join_token"] not in answer.text
    listed = answer.json()["items"]
    assert [t["hint"] for t in listed] == [second["join_token"][-4:], made["join_token"][-4:]]
    join(world, made["join_token"], "zsc_x")
    world.pass_time(3601)
    states = [t["state"] for t in provider.get(f"/sites/{site}/join-tokens")["items"]]
    assert states == ["expired", "used"]
    used = listed[1]["id"]
    assert provider.call("DELETE", f"/sites/{site}/join-tokens/{used}").json()["code"] == "token_used"
    other, _ = invited(world)
    assert other.call("DELETE", f"/sites/{site}/join-tokens/{used}").status_code == 404


def test_what_the_agent_says_of_its_site_is_taken_until_it_is_verified(world: World) -> None:
    provider, made = invited(world)
    said = {
        "region": "CN-GS", "city": "庆阳", "latitude_e6": 35_709_000, "longitude_e6": 107_643_000, "pue_milli": 1180,
        "tariff_ucny_per_kwh": 350_000, "claims": [{"class_id": CARD_CLASS, "count": 8}],
    }  # fmt: skip
    assert join(world, made["join_token"], "zsc_1", registration=said).status_code == 200
    site = provider.get(f"/sites/{made['site']['id']}")
    assert {k: site[k] for k in said if k != "claims"} == {k: v for k, v in said.items() if k != "claims"}
    with world.database.begin() as tx:
        from zhisuan.supply.tables import Site

        tx.session.get_one(Site, site["id"]).state = "open"
    again = provider.post(f"/sites/{site['id']}/join-tokens")["join_token"]
    assert join(world, again, "zsc_2", registration={"region": "CN-AH", "pue_milli": 1000}).status_code == 200
    assert provider.get(f"/sites/{site['id']}")["region"] == "CN-GS"


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"region": "CN-XX"}, "region"),
        ({"pue_milli": 900}, "pue_milli"),
        ({"latitude_e6": 1}, "latitude_e6"),
        ({"claims": [{"class_id": "abacus", "count": 1}]}, "claims.abacus"),
    ],
)
def test_a_wrong_registration_leaves_the_token_unused(world: World, said: dict[str, Any], where: str) -> None:
    _, made = invited(world)
    refused = join(world, made["join_token"], "zsc_r", registration=said)
    assert refused.status_code == 422, refused.text
    assert [p["where"] for p in refused.json()["problems"]] == [where]
    assert join(world, made["join_token"], "zsc_r").status_code == 200


# --- credentials


def standing(world: World, credential: str) -> int:
    return Person(world.client, credential).call("GET", "/wire/v1/site").status_code


def offer_new(world: World, credential: str, new: str) -> int:
    body = {"credential_digest": digest(new)}
    return Person(world.client, credential).call("POST", "/wire/v1/credential", json=body).status_code


def test_the_old_credential_holds_until_the_new_one_is_used(world: World, make_site: MakeSite) -> None:
    site = make_site()
    old = str(site.agent.key)
    assert offer_new(world, old, "zsc_new") == 200
    assert standing(world, old) == 200
    assert standing(world, "zsc_new") == 200
    assert standing(world, old) == 401
    assert standing(world, "zsc_new") == 200


def test_a_second_offer_takes_the_place_of_one_that_was_never_used(world: World, make_site: MakeSite) -> None:
    site = make_site()
    old = str(site.agent.key)
    for new in ("zsc_lost", "zsc_kept", "zsc_kept"):
        assert offer_new(world, old, new) == 200
    assert standing(world, "zsc_lost") == 401
    assert standing(world, "zsc_kept") == 200


def test_a_credential_of_another_site_is_not_taken(world: World, make_site: MakeSite) -> None:
    one, two = make_site(), make_site()
    assert offer_new(world, str(one.agent.key), str(two.agent.key)) == 409
    assert standing(world, str(one.agent.key)) == 200


def test_the_gateway_takes_what_the_server_takes(world: World, make_site: MakeSite) -> None:
    site = make_site()
    offer_new(world, str(site.agent.key), "zsc_gw")
    ask = lambda c: world.gateway().post("/wire/v1/gateway/site", {"credential_digest": digest(c)})["valid"]  # noqa: E731
    assert ask(str(site.agent.key)) and ask("zsc_gw")
    standing(world, "zsc_gw")
    assert not ask(str(site.agent.key)) and ask("zsc_gw")


def test_a_credential_comes_of_age(world: World, make_site: MakeSite) -> None:
    site = make_site()
    assert site.agent.get("/wire/v1/site")["rotation_due"] is False
    world.pass_time(30 * 86_400)
    assert site.agent.get("/wire/v1/site")["rotation_due"] is True
    offer_new(world, str(site.agent.key), "zsc_fresh")
    assert Person(world.client, "zsc_fresh").get("/wire/v1/site")["rotation_due"] is False


@pytest.mark.parametrize("who", ["provider", "operator"])
def test_revoking_shuts_the_agent_out_at_once_and_a_token_lets_one_in(
    world: World, make_site: MakeSite, who: str
) -> None:
    site = make_site()
    offer_new(world, str(site.agent.key), "zsc_waiting")
    person = site.provider if who == "provider" else world.operator
    view = person.post(f"/sites/{site.id}/revoke", {"reason": "laptop stolen"})
    assert view["revoked_at"] is not None
    assert [standing(world, c) for c in (str(site.agent.key), "zsc_waiting")] == [401, 401]
    sync = {"agent_boot": "b", "sequence": 1, "at": world.clock.now().isoformat(), "leases": []}
    refused = site.agent.call("POST", "/wire/v1/sync", json=sync)
    assert (refused.status_code, refused.json()["code"]) == (401, "site_revoked")
    token = site.provider.post(f"/sites/{site.id}/join-tokens")["join_token"]
    assert join(world, token, "zsc_again").status_code == 200
    assert site.provider.get(f"/sites/{site.id}")["revoked_at"] is None
    assert standing(world, str(site.agent.key)) == 401


# --- terms


def test_conditions_hold_from_their_time_and_old_ones_stay(world: World, make_site: MakeSite) -> None:
    site = make_site()
    later = (world.clock.now() + timedelta(days=1)).isoformat()
    path = f"/sites/{site.id}/conditions"
    site.provider.post(path, {"tariff_ucny_per_kwh": 450_000, "city": "合肥"})
    view = site.provider.post(path, {"tariff_ucny_per_kwh": 300_000, "pue_milli": 1200, "valid_from": later})
    assert (view["tariff_ucny_per_kwh"], view["pue_milli"], view["city"]) == (450_000, 1400, "合肥")
    world.reconcile("conditions")
    assert site.provider.get(f"/sites/{site.id}")["pue_milli"] == 1400
    world.pass_time(86_400)
    world.reconcile("conditions")
    view = site.provider.get(f"/sites/{site.id}")
    assert (view["tariff_ucny_per_kwh"], view["pue_milli"]) == (300_000, 1200)
    rows = site.provider.get(path)["items"]
    assert [(r["name"], r["value"]) for r in rows if r["name"] == "tariff_ucny_per_kwh"] == [
        ("tariff_ucny_per_kwh", 300_000), ("tariff_ucny_per_kwh", 450_000),
    ]  # fmt: skip


def test_a_condition_cannot_be_set_for_the_past(world: World, make_site: MakeSite) -> None:
    site = make_site()
    past = (world.clock.now() - timedelta(hours=1)).isoformat()
    body = {"pue_milli": 1100, "valid_from": past}
    refused = site.provider.call("POST", f"/sites/{site.id}/conditions", json=body)
    assert refused.status_code == 422
    assert [p["where"] for p in refused.json()["problems"]] == ["valid_from"]


def test_windows_open_and_close_the_offer(world: World, make_site: MakeSite) -> None:
    """The world begins at 10:00 in Shanghai."""
    site = make_site()
    night = {"windows": [{"from": "22:00", "to": "08:00"}]}
    offer = site.provider.post(f"/sites/{site.id}/windows", night)["offer"]
    assert offer["offered"] is False
    assert offer["next_open"] == "2026-07-01T14:00:00Z"
    assert "时段" in offer["reason"]["zh"]
    world.pass_time(12 * 3600)
    offer = site.provider.get(f"/sites/{site.id}")["offer"]
    assert (offer["offered"], offer["until"]) == (True, "2026-07-02T00:00:00Z")
    assert site.provider.post(f"/sites/{site.id}/windows", {"windows": []})["offer"]["until"] is None


# --- taking back


def test_a_take_back_goes_its_way_and_the_work_goes_on_elsewhere(world: World, make_site: MakeSite) -> None:
    site, tenant = make_site(cores=4), world.tenant()
    workload = tenant.post("/workloads", {"file": JOB})["workload"]["id"]
    running = site.start(next(iter(site.sync())))
    asked = {"notice_seconds": 600, "reason": "own training run"}
    back = (world.clock.now() + timedelta(hours=1)).isoformat()
    recall = site.provider.post(f"/sites/{site.id}/take-back", {**asked, "back_at": back})["recall"]
    assert (recall["state"], recall["stop_at"]) == ("announced", "2026-07-01T02:50:00Z")
    world.reconcile("recalls")
    assert site.sync(running)[0]["desired"] == "run"
    world.pass_time(3000)
    site.sync(running)
    world.reconcile("recalls")
    told = site.sync(running)[0]
    assert (told["desired"], told["grace_seconds"]) == ("stop", 600)
    view = site.provider.get(f"/sites/{site.id}")
    assert view["recall"]["state"] == "stopping"
    assert view["offer"]["offered"] is False
    site.end(running, reason="cancelled", exit_code=143)
    world.reconcile("recalls", "place")
    assert site.provider.get(f"/sites/{site.id}")["recall"]["state"] == "held"
    found = tenant.get(f"/workloads/{workload}")
    assert found["state"] == "pending", "it had no restarts of its own left, and needed none"
    assert site.sync() == []
    assert site.provider.post(f"/sites/{site.id}/offer-again")["recall"] is None
    world.reconcile("place")
    assert len(site.sync()) == 1


def test_a_take_back_ends_by_itself_when_it_was_for_a_time(world: World, make_site: MakeSite) -> None:
    site = make_site()
    until = (world.clock.now() + timedelta(hours=2)).isoformat()
    view = site.provider.post(f"/sites/{site.id}/take-back", {"notice_seconds": 0, "until": until})
    assert view["offer"]["next_open"] == "2026-07-01T04:00:00Z"
    world.reconcile("recalls")
    assert site.provider.get(f"/sites/{site.id}")["recall"]["state"] == "held"
    second = site.provider.call("POST", f"/sites/{site.id}/take-back", json={})
    assert second.json()["code"] == "recalled_already"
    world.pass_time(7200)
    assert site.provider.get(f"/sites/{site.id}")["offer"]["offered"] is True
    world.reconcile("recalls")
    assert site.provider.get(f"/sites/{site.id}")["recall"] is None


@pytest.mark.parametrize(
    ("more", "where"),
    [({"back_at": "2026-07-01T02:05:00Z"}, "back_at"), ({"until": "2026-07-01T02:05:00Z"}, "until")],
)
def test_a_take_back_that_leaves_no_notice_is_refused(
    world: World, make_site: MakeSite, more: dict[str, str], where: str
) -> None:
    site = make_site()
    body = {"notice_seconds": 600, **more}
    refused = site.provider.call("POST", f"/sites/{site.id}/take-back", json=body)
    assert [p["where"] for p in refused.json()["problems"]] == [where]


# --- evidence, verification, price


def carded(world: World, bf16_tflops: int | None, *, claimed: int | None, verify: bool = False) -> SiteAgentTwin:
    site = SiteAgentTwin(world, cores=8, verify=False)
    if claimed is not None:
        site.provider.post(f"/sites/{site.id}/claims", {"claims": [{"class_id": CARD_CLASS, "count": claimed}]})
    measured = [
        {"precision": "bf16", "mflops": bf16_tflops * 1_000_000, "method": "gemm", "at": "2026-07-01T00:00:00Z"}
    ] if bf16_tflops else []  # fmt: skip
    devices = [
        {"key": "cpu", "kind": "cpu", "name": "CPU", "capacity": 8000},
        {"key": "memory", "kind": "memory", "name": "memory", "capacity": 65536},
        *({"key": f"g{i}", "kind": "accelerator", "name": CARD, "capacity": 1000, "memory_mib": 81920, "measurements": measured} for i in range(2)),
    ]  # fmt: skip
    node = {"hostname": "n", "os": "linux", "architecture": "x86_64", "boot_id": "b", "devices": devices}
    engine = {"engine": "local", "version": "1", "isolation": "sandbox"}
    site.agent.post("/wire/v1/inventory", {"engine": engine, "nodes": [node]})
    if verify:
        world.operator.post(f"/sites/{site.id}/verify")
    return site


def row_of(person: Person, site: SiteAgentTwin) -> dict[str, Any]:
    items = person.get(f"/sites/{site.id}/evidence")["items"]
    return next(i for i in items if i["class_id"] == CARD_CLASS)


def test_a_site_as_claimed_is_verified_with_its_evidence(world: World) -> None:
    site = carded(world, 300, claimed=2)
    row = row_of(site.provider, site)
    assert (row["claimed_count"], row["found_count"], row["measured_tflops_milli"]) == (2, 2, 300_000)
    assert row["flags"] == []
    assert world.operator.post(f"/sites/{site.id}/verify", {"note": "seen"})["state"] == "open"
    kept = world.operator.get(f"/sites/{site.id}/evidence")["verification"]
    assert (kept["note"], kept["accepted"]) == ("seen", [])


@pytest.mark.parametrize(("tflops", "claimed", "code"), [(200, 2, "shortfall"), (300, 8, "missing")])
def test_a_site_that_claims_what_it_lacks_is_not_sold_unseen(
    world: World, tflops: int, claimed: int, code: str
) -> None:
    site = carded(world, tflops, claimed=claimed)
    assert [f["code"] for f in row_of(world.operator, site)["flags"]] == [code]
    refused = world.operator.call("POST", f"/sites/{site.id}/verify", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "evidence_short")
    assert [f["code"] for f in refused.json()["extra"]["flags"]] == [code]
    assert world.operator.get(f"/sites/{site.id}")["state"] == "joining"
    world.operator.post(f"/sites/{site.id}/verify", {"accept": True})
    kept = world.operator.get(f"/sites/{site.id}/evidence")["verification"]
    assert [f["code"] for f in kept["accepted"]] == [code]


def test_a_slow_site_is_priced_by_measurement_if_the_operator_says_so(world: World) -> None:
    site = carded(world, 156, claimed=None)
    world.operator.post(f"/sites/{site.id}/verify", {"accept": True})
    path = f"/sites/{site.id}/pricing"
    body = {"class_id": CARD_CLASS, "basis": "measured", "reason": "half of its speed"}
    assert site.provider.call("POST", path, json=body).status_code == 403
    world.operator.post(path, body)
    assert row_of(world.operator, site)["rate_factor_ppm"] == 500_000
    from zhisuan.supply import service as supply

    with world.database.begin() as tx:
        assert supply.rate_factors(tx) == {(site.id, CARD_CLASS): 500_000}
    factor = world.operator.get(f"/sites/{site.id}/evidence")["factors"][0]
    assert (factor["reason"], factor["measured_tflops_milli"]) == ("half of its speed", 156_000)
    world.operator.post(path, {**body, "basis": "published", "reason": "mended"})
    with world.database.begin() as tx:
        assert supply.rate_factors(tx) == {}
    assert len(world.operator.get(f"/sites/{site.id}/evidence")["factors"]) == 2
    assert world.operator.call("POST", path, json={**body, "class_id": "cpu-core"}).json()["code"] == "nothing_measured"


# --- use, money, isolation


def test_use_adds_up_by_class(world: World) -> None:
    site = carded(world, 300, claimed=None, verify=True)
    use = {u["class_id"]: u for u in site.provider.get(f"/sites/{site.id}")["use"]}
    assert (use[CARD_CLASS]["devices"], use[CARD_CLASS]["total"], use[CARD_CLASS]["idle"]) == (2, 2000, 2000)
    tenant = world.tenant()
    tenant.post("/workloads", {"file": JOB})
    use = {u["class_id"]: u for u in site.provider.get(f"/sites/{site.id}")["use"]}
    assert (use["cpu-core"]["allocated"], use["cpu-core"]["idle"]) == (1000, 7000)


def test_a_site_shows_what_it_has_earned_and_what_is_to_come(world: World, make_site: MakeSite) -> None:
    provider = world.sign_up("provider")
    site, other = make_site(provider=provider), make_site(provider=provider)
    tenant = world.tenant()
    tenant.post("/workloads", {"file": JOB})
    busy = next(s for s in (site, other) if s.sync())
    idle = other if busy is site else site
    running = busy.start(next(iter(busy.sync())))
    busy.meter(running, 3600)
    busy.end(running)
    world.reconcile("rate")
    found = provider.get(f"/sites/{busy.id}/earnings")
    assert found["unsettled_value_ucny"] > 0
    assert found["amount_fen"] == 0
    # The free quota paid: its value is settled all the same.
    value = found["unsettled_value_ucny"]
    for invoice in world.operator.post(f"/organisations/{tenant.org_id}/invoices")["items"]:
        world.operator.post(f"/invoices/{invoice['id']}/settlement")
    found = provider.get(f"/sites/{busy.id}/earnings")
    assert (found["unsettled_value_ucny"], found["value_ucny"]) == (0, value)
    assert found["amount_fen"] == provider.get("/earnings")["items"][0]["amount_fen"]
    assert provider.get(f"/sites/{idle.id}/earnings")["items"] == []


def test_a_clock_that_is_off_is_shown_and_keeps_new_work_away(world: World, make_site: MakeSite) -> None:
    """Ten minutes off either way: its windows would be refused, so nothing is placed there, and everyone sees why."""
    for offset in (600, -600):
        site = make_site()
        site.sync(at=(world.clock.now() + timedelta(seconds=offset)).isoformat())
        view = site.provider.get(f"/sites/{site.id}")
        assert view["clock_offset_ms"] == offset * 1000
        assert view["offer"]["offered"] is False
        assert "600 s" in view["offer"]["reason"]["en"]
        world.pass_time(10)
        site.sync()
        assert site.provider.get(f"/sites/{site.id}")["offer"]["offered"] is True


def test_another_provider_sees_and_changes_nothing(world: World, make_site: MakeSite) -> None:
    site, other = make_site(), world.sign_up("provider")
    for path in ("", "/evidence", "/earnings", "/conditions", "/join-tokens"):
        assert other.call("GET", f"/sites/{site.id}{path}").status_code == 404
    bodies: dict[str, Any] = {
        "conditions": {}, "claims": {"claims": []}, "windows": {"windows": []}, "take-back": {}, "offer-again": {},
        "revoke": {}, "join-tokens": {},
    }  # fmt: skip
    for path, body in bodies.items():
        assert other.call("POST", f"/sites/{site.id}/{path}", json=body).status_code == 404
