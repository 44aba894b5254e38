"""A platform on which everything has happened once: two tenants with work, models, bills; two providers; a city."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from api_world import Person, SiteAgentTwin, World, number

JOB = "name: train\nresources: {cpus: 1, memory: 1}\nrun: python train.py\nzhisuan: {artefacts: [model]}\n"
JOB_ONCE = "name: once\nresources: {cpus: 1, memory: 1}\nrun: x\nzhisuan: {restarts: 0}\n"


@dataclass
class Tenancy:
    """A tenant and the ids of what belongs to it, by kind."""

    owner: Person
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class City:
    world: World
    one: Tenancy
    two: Tenancy
    site: SiteAgentTwin
    other_site: SiteAgentTwin
    member: Person
    viewer: Person


def build_city(world: World) -> City:
    site = SiteAgentTwin(world, cores=16, memory_mib=65536)
    other = SiteAgentTwin(world, cores=1, memory_mib=512)
    one, two = (furnish(world, site) for _ in range(2))
    return City(world, one, two, site, other, world.member(one.owner), world.sign_up("city"))


def furnish(world: World, site: SiteAgentTwin, owner: Person | None = None) -> Tenancy:
    """A tenant (a new one, unless given) that bought, ran, trained, deployed, called a model, was billed and settled."""
    owner = owner or world.tenant("100.00")
    ids: dict[str, str] = {"org": owner.org_id}
    ids["order"] = owner.post("/orders", {"product": world.anyone().get("/catalog")["book"]["packs"][0]["product"]})[
        "id"
    ]
    ids["grant"] = owner.get("/wallet")["grants"][0]["id"]
    ids["key"] = owner.get("/keys")["items"][0]["id"]
    ids["project"] = owner.post("/projects", {"name": f"research {number()}"})["id"]
    ids["blob"] = owner.post("/blobs", content=b"archive %d" % number())["id"]
    ids["volume_name"] = f"data-{number()}"
    ids["volume"] = owner.post("/volumes", {"name": ids["volume_name"]})["id"]
    _fill_volume(owner, ids["volume_name"])
    ids["upload"] = owner.post("/uploads", {"sha256": f"{number():064x}", "size_bytes": 9})["id"]
    launched = owner.post("/workloads", {"file": f"volumes: {{/data: {ids['volume_name']}}}\n{JOB}"})
    ids["workload"], ids["placement"] = launched["workload"]["id"], launched["placement"]["id"]
    running = run_through(world, site, ids["workload"])
    ids["lease"] = running["lease_id"]
    ids["artefact"] = owner.get(f"/workloads/{ids['workload']}/artefacts")["items"][0]["id"]
    ids["model_name"] = f"qa-{number()}"
    ids["version"] = owner.post(f"/models/{ids['model_name']}/versions", {"workload_id": ids["workload"]})["id"]
    ids["model"] = owner.get(f"/models/{ids['model_name']}")["id"]
    deployment = owner.post("/deployments", {"model": ids["model_name"]})
    ids["deployment"], ids["service"] = deployment["id"], deployment["workload_id"]
    serving = site.start(offer_of(site, ids["service"]), ready=True)
    world.gateway().post("/wire/v1/gateway/usage", {"gateway": "gw", "events": [_call(world, owner, ids, serving)]})
    site.meter(serving, 70)
    world.reconcile("rate")
    ids["charge"] = owner.get("/charges")["items"][0]["id"]
    invoice = world.operator.post(f"/organisations/{owner.org_id}/invoices")["items"][0]
    ids["invoice"] = invoice["id"]
    ids["line"] = owner.get(f"/invoices/{invoice['id']}")["lines"][0]["id"]
    ids["settlement"] = world.operator.post(f"/invoices/{invoice['id']}/settlement")["id"]
    return Tenancy(owner, ids)


def _fill_volume(owner: Person, name: str) -> None:
    data = b"data of %d" % number()
    digest = hashlib.sha256(data).hexdigest()
    assert owner.call("PUT", f"/content/{digest}", content=data).status_code == 200
    for path in ("a", "b/c"):
        base = owner.get(f"/volumes/{name}")["current_number"]
        put = [{"path": path, "size_bytes": len(data), "sha256": digest}]
        owner.post(f"/volumes/{name}/versions", {"base": base, "put": put})


def offer_of(site: SiteAgentTwin, workload_id: str) -> dict[str, Any]:
    return next(o for o in site.sync() if o["workload_id"] == workload_id)


def run_through(world: World, site: SiteAgentTwin, workload_id: str, seconds: int = 90) -> dict[str, Any]:
    """Run a placed workload to its end with output, usage and artefacts."""
    running = site.start(offer_of(site, workload_id))
    site.log(running, 0, "第一行\n".encode())
    site.meter(running, seconds)
    for path in ("model/weights.bin", "model/config.json", "evaluation.json"):
        assert site.deliver(running, path, b'{"accuracy": 1}').status_code == 200
    site.end(running)
    return running


def _call(world: World, owner: Person, ids: dict[str, str], serving: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"call-{number()}", "org_id": owner.org_id, "project_id": None, "key_id": ids["key"],
        "deployment_id": ids["deployment"], "lease_id": serving["lease_id"], "model": ids["model_name"],
        "at": world.clock.now().isoformat(), "input_tokens": 1200, "cached_input_tokens": 200, "output_tokens": 800,
        "estimated": False, "outcome": "completed", "duration_ms": 900,
    }  # fmt: skip
