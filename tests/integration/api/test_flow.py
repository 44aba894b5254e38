"""The one way through, over HTTP: order, place, run, meter, rate, bill, settle, trace; and output as it comes."""

import hashlib
import threading
from collections.abc import Callable

import orjson
import pytest
from api_city import JOB, City, furnish, offer_of, run_through
from api_world import SiteAgentTwin, World
from sqlalchemy import func, select

from zhisuan.models.tables import ModelVersion

Sites = Callable[..., SiteAgentTwin]
STATIONS = [
    "supply", "catalogue", "workload", "placement", "lease", "execution", "usage", "charge", "invoice", "settlement", "carbon",
]  # fmt: skip


def test_everything_that_was_used_is_billed_paid_and_traced(city: City) -> None:
    owner, ids = city.one.owner, city.one.ids
    charges = owner.get(f"/charges?lease_id={ids['lease']}")["items"]
    assert sum(c["seconds"] for c in charges) == 90
    quantity = 90 * 25_000 // 3600
    assert sum(c["quantity_udu"] for c in charges) == quantity, "one core at 0.025 度 an hour for 90 s, cut down once"
    assert all(sum(s["quantity_udu"] for s in c["slices"]) == c["quantity_udu"] for c in charges)
    invoice = owner.get(f"/invoices/{ids['invoice']}")
    assert sum(x["shown_fen"] for x in invoice["lines"]) == invoice["total_fen"]
    line = next(x for x in invoice["lines"] if x["subject"] == ids["lease"])
    assert (line["seconds"], line["quantity_udu"]) == (90, quantity)
    settled = next(s for s in city.world.operator.get("/settlements")["items"] if s["invoice_id"] == ids["invoice"])
    assert sum(s["amount_fen"] for s in settled["shares"]) == settled["total_fen"]
    bill = owner.get("/bill")
    assert next(w for w in bill["by_workload"] if w["workload_id"] == ids["workload"])["seconds"] == 90
    assert bill["carbon"]["location_ug"] == owner.get("/overview")["month"]["carbon_ug"]
    assert bill["quantity_udu"] == owner.get("/overview")["month"]["quantity_udu"]
    assert all(c["ok"] for c in owner.get("/bill/checks")["items"] + city.world.operator.get("/checks")["items"])


@pytest.mark.parametrize("kind", ["workload", "lease", "charge", "invoice", "settlement", "artefact", "version"])
def test_a_trace_passes_every_station_from_any_record(city: City, kind: str) -> None:
    found = city.one.owner.get(f"/trace/{city.one.ids[kind]}")
    by_name = {s["station"]: s["records"] for s in found["stations"]}
    assert list(by_name) == STATIONS
    assert all(by_name[name] for name in STATIONS), [n for n in STATIONS if not by_name[n]]


def test_the_price_of_a_quote_is_the_price_of_the_lease(world: World, make_site: Sites) -> None:
    make_site(cores=8, cards=("NVIDIA A100-SXM4-80GB",) * 2)
    owner = world.tenant("100.00")
    for file in ("run: x\nresources: {cpus: 3}\n", "run: x\nresources: {cpus: 2, accelerators: 'A100:2'}\n"):
        quote = owner.post("/quotes", {"file": file})
        made = owner.post("/workloads", {"file": file})["workload"]
        detail = owner.get(f"/workloads/{made['id']}")
        assert quote["rate_udu_per_hour"] == made["rate_udu_per_hour"] == detail["leases"][0]["rate_udu_per_hour"] > 0
        assert quote["hour_ucny"] == detail["placement"]["candidates"][0]["hour_ucny"]


def test_a_workload_that_waits_says_why_and_what_would_help(world: World, make_site: Sites) -> None:
    site = make_site(cores=2)
    owner = world.tenant()
    first = owner.post("/workloads", {"file": "run: x\nresources: {cpus: 2}\n"})["workload"]
    second = owner.post("/workloads", {"file": "run: x\nresources: {cpus: 2}\n"})
    assert second["workload"]["state"] == "pending" and second["placement"]["chosen"] is None
    why = owner.get(f"/workloads/{second['workload']['id']}/why")
    assert (
        why["reason"]["en"].startswith("None of 1 nodes can take it now")
        and "当前空闲核数不足 2" in why["reason"]["zh"]
    )
    assert why["unblock"] == [{"en": "other work there ends", "zh": "等待其他作业结束"}]
    run_through(world, site, first["id"])
    world.reconcile("place")
    detail = owner.get(f"/workloads/{second['workload']['id']}")
    assert detail["state"] == "placed" and [e["state"] for e in detail["events"]] == ["pending", "placed"]


def test_logs_come_whole_with_no_character_cut(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = owner.post("/workloads", {"file": JOB})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    text = "训练开始 loss=0.5\n" * 9
    data = text.encode() + b"\xff\xfe!\n"
    offset = 0
    for cut in range(0, len(data), 7):
        offset = site.log(running, offset, data[cut : cut + 7])
    assert offset == len(data)
    got, at = "", 0
    while True:
        page = owner.get(f"/workloads/{workload_id}/logs?offset={at}&limit=5")
        assert page["offset"] == at and not page["complete"]
        if not page["text"]:
            break
        got, at = got + page["text"], page["next_offset"]
    assert got == text + "\ufffd\ufffd!\n"
    offset = site.log(running, offset, "尾".encode()[:2])
    site.end(running)
    last = owner.get(f"/workloads/{workload_id}/logs?offset={at}")
    assert (last["text"], last["complete"], last["next_offset"]) == ("\ufffd", True, len(data) + 2)


def test_watch_tells_output_and_states_and_ends(world: World, make_site: Sites) -> None:
    """The stream is read while another thread runs the work."""
    site, owner = make_site(), world.tenant()
    workload_id = owner.post("/workloads", {"file": JOB})["workload"]["id"]
    offer = offer_of(site, workload_id)

    def work() -> None:
        running = site.start(offer)
        site.log(running, 0, b"one\n")
        site.log(running, 4, b"two\n")
        site.end(running)

    worker = threading.Thread(target=work)
    worker.start()
    answer = owner.call("GET", f"/workloads/{workload_id}/watch")
    worker.join()
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    text = "".join(orjson.loads(e["data"])["text"] for e in events if e.get("event") == "log")
    states = [orjson.loads(e["data"])["state"] for e in events if e.get("event") == "state"]
    assert text == "one\ntwo\n"
    assert states[-1] == "succeeded" and states == list(dict.fromkeys(states))
    assert events[-1]["event"] == "end" and orjson.loads(events[-1]["data"])["state"] == "succeeded"
    again = owner.call("GET", f"/workloads/{workload_id}/watch?offset=4").text
    assert '"two\\n"' in again and "one" not in again
    assert city_404(world, workload_id) == 404


def city_404(world: World, workload_id: str) -> int:
    return world.tenant(None).call("GET", f"/workloads/{workload_id}/watch").status_code


def test_uploads_are_checked_kept_once_and_given_to_the_right_site(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    data = b"\x1f\x8b some archive"
    digest = hashlib.sha256(data).hexdigest()
    wrong = owner.call("POST", "/blobs", content=data, headers={"X-Content-Sha256": "0" * 64})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    too_large = owner.call("POST", "/blobs", content=b"x" * 1_000_001)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
    made = [owner.post("/blobs", content=data, headers={"X-Content-Sha256": digest.upper()}) for _ in range(2)]
    assert made[0] == made[1] == {"id": made[0]["id"], "sha256": digest, "size_bytes": len(data)}
    blob = made[0]["id"]
    assert site.agent.call("GET", f"/wire/v1/blobs/{blob}").status_code == 404
    launched = owner.post("/workloads", {"file": JOB + "workdir: .\n", "workdir_blob": blob})["workload"]
    offer = offer_of(site, launched["id"])
    assert offer["workdir_blob"] == blob
    got = site.agent.call("GET", f"/wire/v1/blobs/{blob}")
    assert got.content == data and got.headers["x-content-sha256"] == digest
    site.end(site.start(offer))
    assert site.agent.call("GET", f"/wire/v1/blobs/{blob}").status_code == 404, "not after the lease"


def test_artefacts_are_taken_once_and_given_back_as_they_were(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = owner.post("/workloads", {"file": JOB})["workload"]["id"]
    running = site.start(offer_of(site, workload_id))
    for _ in range(2):
        assert site.deliver(running, "model/权重.bin", b"\0weights").status_code == 200
    for path in ("/etc/passwd", "a/../../b", "a\nb"):
        assert site.deliver(running, path, b"x").status_code == 422
    site.end(running)
    assert site.deliver(running, "late", b"x").status_code == 404
    listed = owner.get(f"/workloads/{workload_id}/artefacts")["items"]
    assert [(a["path"], a["size_bytes"]) for a in listed] == [("model/权重.bin", 8)]
    got = owner.call("GET", f"/artefacts/{listed[0]['id']}/content")
    assert got.content == b"\0weights" and hashlib.sha256(got.content).hexdigest() == listed[0]["sha256"]
    assert got.headers["content-disposition"].startswith("attachment") and got.headers["x-content-type-options"] == "nosniff"
    (world.platform.store._filesystem).rm(world.platform.store._path(listed[0]["sha256"]))
    assert owner.call("GET", f"/artefacts/{listed[0]['id']}/content").status_code == 404


def test_the_same_files_make_the_same_model_archive(world: World, make_site: Sites) -> None:
    site = make_site(cores=16, memory_mib=65536)
    tenancy = furnish(world, site)
    name, workload_id = tenancy.ids["model_name"], tenancy.ids["workload"]
    again = tenancy.owner.post(
        f"/models/{name}/versions", {"workload_id": workload_id, "evaluation_path": "evaluation.json"}
    )
    detail = tenancy.owner.get(f"/models/{name}")
    assert [v["number"] for v in detail["versions"]] == [2, 1] and detail["latest"]["id"] == again["id"]
    assert again["evaluation"] == {"accuracy": 1}
    assert [f["path"] for f in detail["versions"][0]["files"]] == ["weights.bin", "config.json"]
    with world.database.begin() as tx:
        blobs = tx.session.scalar(select(func.count(ModelVersion.blob_id.distinct())))
    assert blobs == 1


def test_a_site_is_not_closed_under_its_work_unless_it_is_silent(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = owner.post("/workloads", {"file": JOB})["workload"]["id"]
    site.start(offer_of(site, workload_id))
    assert site.provider.post(f"/sites/{site.id}/drain")["state"] == "draining"
    refused = site.provider.call("POST", f"/sites/{site.id}/close")
    assert (refused.status_code, refused.json()["code"]) == (409, "site_in_use")
    world.pass_time(3600)
    assert site.provider.post(f"/sites/{site.id}/close")["state"] == "closed"
    assert owner.get(f"/workloads/{workload_id}")["state"] == "pending"
    assert site.agent.call("POST", "/wire/v1/sync", json={}).status_code == 401
    other = make_site()
    world.reconcile("place")
    assert offer_of(other, workload_id)["generation"] == 2
