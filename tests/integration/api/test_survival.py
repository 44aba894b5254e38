"""Checkpoints, pause and resume, retries, spot and timed stops, over the API and the wire of a site that runs nothing."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_city import offer_of
from api_world import Person, SiteAgentTwin, World

Sites = Callable[..., SiteAgentTwin]
FILE = "name: long\nresources: {{cpus: {cpus}, memory: 1{more}}}\nrun: x\nzhisuan: {{restarts: 1{own}}}\n"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def launched(owner: Person, *, cpus: int = 1, more: str = "", own: str = "") -> str:
    made: str = owner.post("/workloads", {"file": FILE.format(cpus=cpus, more=more, own=own)})["workload"]["id"]
    return made


def save(site: SiteAgentTwin, running: dict[str, Any], files: dict[str, bytes], *, send: bool = True) -> dict[str, Any]:
    """Deliver a checkpoint as an agent does: list, missing bytes, list again."""
    where = f"/wire/v1/checkpoints/{running['lease_id']}/{running['generation']}"
    body = {"files": [{"path": p, "sha256": sha(d), "size_bytes": len(d)} for p, d in files.items()]}
    answer: dict[str, Any] = site.agent.post(where, body)
    by_digest = {sha(data): data for data in files.values()}
    for digest in answer["missing"] if send else ():
        assert site.agent.call("PUT", f"{where}/{digest}", content=by_digest[digest]).status_code == 204
    return site.agent.post(where, body) if answer["missing"] and send else answer


def files_in(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def state(owner: Person, workload_id: str) -> str:
    found: str = owner.get(f"/workloads/{workload_id}")["state"]
    return found


def test_a_checkpoint_goes_to_the_next_site_whole(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner, own=", checkpoint: {every: 5m}, grace: 45s, on_stop: 'echo bye'")
    offer = offer_of(site, workload_id)
    assert (offer["checkpoint_seconds"], offer["grace_seconds"], offer["on_stop"]) == (300, 45, "echo bye")
    assert (offer["checkpoint_id"], offer["env"]["ZHISUAN_ATTEMPT"]) == (None, "1")
    assert "ZHISUAN_RESTORED" not in offer["env"]
    running = site.start(offer)
    first = {"step": b"1", "deep/weights.bin": b"\x00" * 100_000, "名字": b""}
    assert save(site, running, first)["number"] == 1
    again = save(site, running, first, send=False)
    assert (again["number"], again["missing"]) == (1, []), "the same list is the same checkpoint"
    kept = save(site, running, first | {"step": b"two"})
    assert (kept["number"], kept["size_bytes"], kept["new_bytes"]) == (2, 100_003, 3)
    other = make_site()
    world.operator.post(f"/sites/{site.id}/drain")
    site.end(running, reason="lost", exit_code=None)
    world.reconcile("place")
    found = owner.get(f"/workloads/{workload_id}")
    assert (found["state"], found["checkpoint"]["number"], found["checkpoint"]["files"]) == ("placed", 2, 3)
    offer = offer_of(other, workload_id)
    assert (offer["env"]["ZHISUAN_ATTEMPT"], offer["env"]["ZHISUAN_RESTORED"]) == ("2", "1")
    archive = other.agent.call("GET", f"/wire/v1/blobs/{offer['checkpoint_id']}")
    assert archive.status_code == 200 and files_in(archive.content) == first | {"step": b"two"}
    assert site.agent.call("GET", f"/wire/v1/blobs/{offer['checkpoint_id']}").status_code == 404


def test_what_breaks_off_leaves_the_old_checkpoint(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner)
    running = site.start(offer_of(site, workload_id))
    assert save(site, running, {"step": b"old"})["number"] == 1
    broken = save(site, running, {"step": b"new", "more": b"never sent"}, send=False)
    assert broken["checkpoint_id"] is None and len(broken["missing"]) == 2
    where = f"/wire/v1/checkpoints/{running['lease_id']}/1/{sha(b'new')}"
    assert site.agent.call("PUT", where, content=b"damaged").json()["code"] == "digest_mismatch"
    assert owner.get(f"/workloads/{workload_id}")["checkpoint"]["number"] == 1
    site.end(running, reason="lost", exit_code=None)
    late = site.agent.call("POST", where.rpartition("/")[0], json={"files": [{"path": "a", "sha256": "0" * 64, "size_bytes": 1}]})
    assert late.status_code == 404, "a lease that is closed changes nothing"


def test_bytes_of_others_are_not_known(world: World, make_site: Sites) -> None:
    site, one, two = make_site(), world.tenant(), world.tenant()
    ids = [launched(one), launched(two)]
    mine, theirs = (site.start(offer_of(site, i)) for i in ids)
    secret = {"weights": b"a secret of the first organisation"}
    save(site, mine, secret)
    assert save(site, theirs, secret, send=False)["missing"] == [sha(secret["weights"])]
    stranger = make_site()
    where = f"/wire/v1/checkpoints/{mine['lease_id']}/1"
    body = {"files": [{"path": "weights", "sha256": sha(secret["weights"]), "size_bytes": 34}]}
    assert stranger.agent.call("POST", where, json=body).status_code == 404


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([("../up", 1)], 422), ([("/etc/passwd", 1)], 422), ([("a", 1), ("a", 1)], 422), ([], 422),
        ([("large", 16 * 1024**3 + 1)], 413),
    ],
)  # fmt: skip
def test_checkpoints_that_cannot_be_kept_are_refused_with_a_reason(
    world: World, make_site: Sites, files: list[tuple[str, int]], status: int
) -> None:
    site, owner = make_site(), world.tenant()
    running = site.start(offer_of(site, launched(owner)))
    listed = [{"path": p, "sha256": "0" * 64, "size_bytes": size} for p, size in files]
    answer = site.agent.call("POST", f"/wire/v1/checkpoints/{running['lease_id']}/1", json={"files": listed})
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


def test_pause_and_resume(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner)
    running = site.start(offer_of(site, workload_id))
    site.meter(running, 65)
    key = "pause-once"
    first = owner.post(f"/workloads/{workload_id}/pause", key=key)
    assert first == owner.post(f"/workloads/{workload_id}/pause", key=key)
    assert offer_of(site, workload_id)["desired"] == "stop"
    assert owner.get(f"/workloads/{workload_id}")["survival"]["pausing"] == "asked for"
    early = owner.call("POST", f"/workloads/{workload_id}/resume")
    assert early.status_code == 409 and "being paused" in early.json()["remedy"]
    save(site, running, {"step": b"41"})
    site.end(running, reason="cancelled", exit_code=None)
    found = owner.get(f"/workloads/{workload_id}")
    assert (found["state"], found["reason"], found["ended_at"]) == ("paused", "asked for", None)
    assert owner.get(f"/workloads/{workload_id}/logs")["complete"]
    assert not [o for o in site.sync() if o["workload_id"] == workload_id], "it holds nothing"
    world.reconcile()
    world.pass_time(86400)
    world.reconcile()
    assert state(owner, workload_id) == "paused"
    site.sync()
    owner.post(f"/workloads/{workload_id}/resume")
    offer = offer_of(site, workload_id)
    assert (offer["generation"], offer["env"]["ZHISUAN_RESTORED"]) == (2, "1")
    site.end(site.start(offer))
    done = owner.get(f"/workloads/{workload_id}")
    assert (done["state"], done["survival"]["restarts_left"]) == ("succeeded", 1)
    for verb in ("pause", "resume", "restart"):
        assert owner.call("POST", f"/workloads/{workload_id}/{verb}").status_code == 409
    assert sum(c["seconds"] for c in owner.get("/charges?limit=200")["items"]) == 65


def test_waiting_work_pauses_at_once_and_paused_work_can_be_cancelled(world: World, make_site: Sites) -> None:
    make_site(cores=2)
    owner = world.tenant()
    launched(owner, cpus=2)
    workload_id = launched(owner, cpus=2)
    assert owner.post(f"/workloads/{workload_id}/pause")["state"] == "paused"
    assert owner.post(f"/workloads/{workload_id}/cancel")["state"] == "cancelled"
    stranger = world.tenant()
    assert stranger.call("POST", f"/workloads/{workload_id}/restart").status_code == 404
    assert owner.post(f"/workloads/{workload_id}/restart")["state"] == "pending"


def test_completed_work_has_succeeded_although_a_pause_was_asked_for(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner)
    running = site.start(offer_of(site, workload_id))
    owner.post(f"/workloads/{workload_id}/pause")
    site.end(running)
    assert state(owner, workload_id) == "succeeded"


def test_restart_of_running_work_uses_nothing_up(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner)
    running = site.start(offer_of(site, workload_id))
    owner.post(f"/workloads/{workload_id}/restart")
    site.end(running, reason="cancelled", exit_code=None)
    world.reconcile("place")
    found = owner.get(f"/workloads/{workload_id}")
    assert (found["state"], found["attempts"], found["survival"]["restarts_left"]) == ("placed", 2, 1)


def test_failures_of_the_work_are_tried_again_and_each_attempt_is_charged(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner, own=", retries: 1", more=", job_recovery: {recover_on_exit_codes: [33]}")
    for attempt, (reason, code, then) in enumerate(
        [("failed", 33, "pending"), ("failed", 1, "pending"), ("failed", 33, "pending"), ("out_of_memory", 137, "failed")], 1
    ):
        running = site.start(offer_of(site, workload_id))
        assert running["generation"] == attempt
        site.meter(running, 61)
        site.end(running, reason=reason, exit_code=code)
        assert state(owner, workload_id) == then
        world.reconcile("place", "rate", "credit")
    found = owner.get(f"/workloads/{workload_id}")
    assert (found["survival"]["retries_left"], found["survival"]["restarts_left"]) == (0, 1)
    charges = owner.get("/charges?limit=200")["items"]
    assert sum(c["seconds"] for c in charges) == 4 * 61 and {c["kind"] for c in charges} == {"time"}
    assert owner.post(f"/workloads/{workload_id}/restart")["state"] == "placed"


def test_a_time_to_stop_pauses_work_and_must_lie_ahead(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    at = (world.clock.now() + timedelta(minutes=10)).isoformat()
    workload_id = launched(owner, own=f", stop_at: '{at}'")
    running = site.start(offer_of(site, workload_id))
    world.reconcile("stop_at")
    assert offer_of(site, workload_id)["desired"] == "run"
    world.pass_time(600)
    world.reconcile("stop_at")
    assert offer_of(site, workload_id)["desired"] == "stop"
    site.end(running, reason="cancelled", exit_code=None)
    found = owner.get(f"/workloads/{workload_id}")
    assert (found["state"], found["reason"]) == ("paused", "stop_at")
    owner.post(f"/workloads/{workload_id}/resume")
    world.reconcile("stop_at")
    assert state(owner, workload_id) == "placed", "a time that has passed stops nothing again"
    past = owner.call("POST", "/workloads", json={"file": FILE.format(cpus=1, more="", own=f", stop_at: '{at}'")})
    assert (past.status_code, past.json()["code"]) == (422, "stop_at_passed")


@pytest.mark.parametrize(("autostop", "then"), [("30m", "paused"), ("{idle_minutes: 30, down: true}", "cancelled")])
def test_idle_work_rests(world: World, make_site: Sites, autostop: str, then: str) -> None:
    site, owner = make_site(), world.tenant()
    workload_id = launched(owner, more=f", autostop: {autostop}")
    offer = offer_of(site, workload_id)
    assert offer["idle_seconds"] == 1800
    site.end(site.start(offer), reason="idle", exit_code=None)
    found = owner.get(f"/workloads/{workload_id}")
    assert (found["state"], found["reason"]) == (then, "idle")


def test_spot_makes_way_for_work_on_demand_and_comes_back(world: World, make_site: Sites) -> None:
    site, cheap, urgent = make_site(cores=2), world.tenant(), world.tenant()
    spot = launched(cheap, cpus=2, more=", use_spot: true")
    on_demand_price = urgent.post("/quotes", {"file": FILE.format(cpus=1, more="", own="")})["price_e8_per_du"]
    found = cheap.get(f"/workloads/{spot}")
    assert found["survival"]["spot"] and found["price_e8_per_du"] * 2 == on_demand_price
    running = site.start(offer_of(site, spot))
    world.reconcile("place", "room")
    assert offer_of(site, spot)["desired"] == "run", "nobody needs its place"
    wanted = launched(urgent, cpus=1)
    assert state(urgent, wanted) == "pending"
    world.reconcile("place", "room")
    assert offer_of(site, spot)["desired"] == "run", "it has its least time"
    world.pass_time(60)
    for _ in range(3):
        world.reconcile("place", "room")
    offer = offer_of(site, spot)
    assert (offer["desired"], offer["grace_seconds"]) == ("stop", 30)
    told = [e for e in cheap.get(f"/workloads/{spot}")["events"] if "preempted" in e["cause"]]
    assert len(told) == 1 and told[0]["detail"]["grace_seconds"] == 30
    assert wanted not in str(cheap.get(f"/workloads/{spot}")), "one tenant does not see the other"
    why = urgent.get(f"/workloads/{wanted}")
    assert "make way" in why["placement"]["reason"]["en"] and spot not in str(why)
    other = launched(cheap, cpus=1, more=", use_spot: true")
    save(site, running, {"step": b"9"})
    site.end(running, reason="cancelled", exit_code=None)
    found = cheap.get(f"/workloads/{spot}")
    assert (found["state"], found["survival"]["restarts_left"]) == ("pending", 1)
    world.reconcile("place")
    assert state(urgent, wanted) == "placed", "what was freed is not taken by older spot work"
    world.reconcile("place", "room")
    assert (state(cheap, other), state(cheap, spot)) == ("placed", "pending"), "one core is left, and free for spot"
    site.end(site.start(offer_of(site, wanted)))
    site.end(site.start(offer_of(site, other)))
    world.reconcile("place")
    assert offer_of(site, spot)["env"]["ZHISUAN_RESTORED"] == "1"


def test_spot_is_refused_where_none_is_sold(world: World, make_site: Sites) -> None:
    make_site()
    owner = world.tenant()
    book = (
        "currency: CNY\non_demand: {yuan_per_du: '18'}\ndevices: {cpu_with_accelerator: free, published_rates: true}\n"
        "free_quota: {du: '0', valid_days: null, provider_value_percent: '0'}\npacks: []\nplatform_fee_percent: '10'\n"
    )
    dearer = world.operator.call("POST", "/price-books", json={"yaml": book + "spot: {yuan_per_du: '18.5'}\n"})
    assert [p["where"] for p in dearer.json()["problems"]] == ["spot"]
    world.operator.post("/price-books", {"yaml": book})
    answer = owner.call("POST", "/workloads", json={"file": FILE.format(cpus=1, more=", use_spot: true", own="")})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_spot_price")
