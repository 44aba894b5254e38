"""An order of many tasks at the server: what its site is told, and that it is metered and charged as any job is."""

import subprocess
from collections.abc import Callable

from api_city import offer_of
from api_world import Person, SiteAgentTwin, World

Sites = Callable[..., SiteAgentTwin]
FILE = "name: sweep\nresources: {cpus: 2, memory: 1}\nrun: echo 你好\n"
TASKS = FILE + "zhisuan: {artefacts: [model], tasks: {count: 1000, parallel: 4, retries: 2}}\n"


def ordered(owner: Person, file: str) -> str:
    made: str = owner.post("/workloads", {"file": file})["workload"]["id"]
    return made


def test_the_site_is_told_a_script_and_nothing_new(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    job = ordered(owner, TASKS)
    offer = offer_of(site, job)
    assert offer["artefacts"] == ["model", "tasks.csv"] and offer["checkpoint_seconds"] == 60
    assert "Order(1000, 4, 2, '', ())" in offer["run"] and "share_threads=True" in offer["run"]
    assert len(offer["run"]) < 30_000
    subprocess.run(["bash", "-n"], input=offer["run"].encode(), check=True)
    plain = offer_of(site, ordered(owner, FILE))
    assert plain["run"] == "echo 你好" and set(plain) == set(offer), "no field that an agent does not know"
    shown = owner.get(f"/workloads/{job}")
    assert shown["kind"] == "job"
    assert shown["resources"]["tasks"] == {"count": 1000, "parallel": 4, "retries": 2}
    assert owner.get(f"/workloads/{job}/why")["state"] == "placed"


def test_variables_that_the_tenant_set_are_its_own(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    for said in ("envs: {OMP_NUM_THREADS: 2}\n", "secrets: {OMP_NUM_THREADS: '2'}\n"):
        assert "share_threads=False" in offer_of(site, ordered(owner, TASKS + said))["run"]


def test_the_table_is_found_by_its_path_among_many_artefacts(world: World, make_site: Sites) -> None:
    site, owner = make_site(), world.tenant()
    job = ordered(owner, TASKS)
    running = site.start(offer_of(site, job))
    for path in ("model/a", "tasks.csv", "model/tasks.csv"):
        assert site.deliver(running, path, path.encode()).status_code == 200
    site.end(running, reason="failed", exit_code=1)
    found = owner.get(f"/workloads/{job}/artefacts?path=tasks.csv")["items"]
    assert [a["path"] for a in found] == ["tasks.csv"]
    assert owner.get(f"/workloads/{job}/artefacts?path=nothing")["items"] == []
    assert len(owner.get(f"/workloads/{job}/artefacts")["items"]) == 3
    other = world.tenant()
    assert other.call("GET", f"/workloads/{job}/artefacts?path=tasks.csv").status_code == 404


def test_it_costs_what_a_job_of_the_same_seconds_costs(world: World, make_site: Sites) -> None:
    """Rule 2: the lease's seconds, whatever runs in them."""
    site, owner = make_site(cores=8), world.tenant()
    charged = []
    for file in (FILE, TASKS):
        quote = owner.post("/quotes", {"file": file})
        job = ordered(owner, file)
        world.pass_time(60 - world.clock.now().second)  # both begin with a minute, so that they are cut alike
        running = site.start(offer_of(site, job))
        site.meter(running, 130)
        site.end(running)
        world.reconcile()
        lease = owner.get(f"/workloads/{job}")["leases"][0]
        charges = owner.get(f"/charges?lease_id={lease['id']}")["items"]
        assert lease["seconds"] == sum(c["seconds"] for c in charges) == 130
        charged.append(
            (quote["hour_ucny"], lease["rate_udu_per_hour"], sorted((c["seconds"], c["quantity_udu"], c["value_ucny"]) for c in charges))
        )
    assert charged[0] == charged[1] and charged[0][2]
