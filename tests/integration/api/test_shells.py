"""Who may have a shell beside running work, as the server tells the gateway; every refusal in words."""

from collections.abc import Callable
from typing import Any

import pytest
from api_city import offer_of
from api_world import Person, SiteAgentTwin, World

from zhisuan.base.secrets import digest

FILE = "name: 训练\nresources: {cpus: 1, memory: 1}\nrun: sleep 600\n"


@pytest.fixture
def site(make_site: Callable[..., SiteAgentTwin]) -> SiteAgentTwin:
    made = make_site()
    made.say_shells(True)
    return made


def launched(owner: Person, file: str = FILE, **more: Any) -> str:
    return str(owner.post("/workloads", {"file": file, **more})["workload"]["id"])


def asked(world: World, ident: str, who: Person, *, rank: int = 0, opening: bool = False) -> dict[str, Any]:
    body = {"workload_id": ident, "rank": rank, "credential_digest": digest(who.key or ""), "opening": opening}
    answer: dict[str, Any] = world.gateway().post("/wire/v1/gateway/shell", body)
    return answer


def code_of(answer: dict[str, Any]) -> str:
    refusal = answer["refusal"]
    assert all(refusal[part] for part in ("what_en", "what_zh", "remedy_en", "remedy_zh"))
    assert not answer["lease_id"] and not answer["site_id"]
    return str(refusal["code"])


def running(site: SiteAgentTwin, owner: Person) -> tuple[str, dict[str, Any]]:
    ident = launched(owner)
    return ident, site.start(offer_of(site, ident))


def test_an_opening_is_told_the_way_and_written_down_once(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    ident, lease = running(site, owner)
    first = asked(world, ident, owner)
    assert (first["refusal"], first["lease_id"], first["generation"], first["site_id"]) == (None, lease["lease_id"], 1, site.id)
    before = owner.get(f"/workloads/{ident}")["events"]
    assert asked(world, ident, owner, opening=True) == first
    assert asked(world, ident, owner) == first
    added = owner.get(f"/workloads/{ident}")["events"][len(before) :]
    me = owner.get("/me")["user"]["id"]
    assert [(e["cause"], e["state"], e["actor"]) for e in added] == [("shell opened", "running", me)]


def test_each_state_without_a_shell_says_why(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    ident = launched(owner)
    offer = offer_of(site, ident)
    assert code_of(asked(world, ident, owner)) == "workload_starting"
    lease = site.start(offer)
    assert code_of(asked(world, ident, owner, rank=1)) == "no_such_rank"
    owner.post(f"/workloads/{ident}/cancel")
    assert code_of(asked(world, ident, owner)) == "workload_ending"
    site.end(lease, reason="cancelled", exit_code=None)
    assert code_of(asked(world, ident, owner)) == "workload_not_running"
    launched(owner, FILE.replace("cpus: 1", "cpus: 3"))
    assert code_of(asked(world, launched(owner, FILE.replace("cpus: 1", "cpus: 3")), owner)) == "workload_waiting"
    space = launched(owner, "name: w\nresources: {cpus: 1, memory: 1}\nzhisuan: {workspace: shell}\n")
    assert code_of(asked(world, space, owner)) == "is_workspace"


def test_a_site_that_cannot_says_so(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    ident, _ = running(site, owner)
    for shells, engine, code, word in (
        (False, "slurm", "engine_without_shells", "Slurm"), (False, "ray", "engine_without_shells", "Ray"),
        (False, "local", "engine_without_shells", "isolates no work"), (None, "local", "agent_without_shells", "too old"),
    ):  # fmt: skip
        site.say_shells(shells, engine)
        answer = asked(world, ident, owner, opening=True)
        assert code_of(answer) == code and word in answer["refusal"]["what_en"]
    site.say_shells(True)
    assert asked(world, ident, owner)["refusal"] is None
    world.pass_time(300)
    assert code_of(asked(world, ident, owner)) in ("site_unreachable", "workload_waiting")
    assert not [e for e in owner.get(f"/workloads/{ident}")["events"] if e["cause"] == "shell opened"]


def test_others_learn_nothing(world: World, site: SiteAgentTwin) -> None:
    owner, other = world.tenant(), world.tenant()
    ident, _ = running(site, owner)
    unknown = "job_" + "0" * 26
    nothing = asked(world, unknown, other)
    assert code_of(nothing) == "not_found" and nothing["refusal"]["status"] == 404
    nobody = Person(world.client, "zsk_nobody")
    for who in (other, site.provider, world.operator, nobody, Person(world.client, site.agent.key or "")):
        told = asked(world, ident, who, opening=True)
        assert str(told).replace(ident, unknown) == str(nothing)
    assert not [e for e in owner.get(f"/workloads/{ident}")["events"] if e["cause"] == "shell opened"]


def test_a_key_of_one_project_leads_into_work_of_no_other(world: World, site: SiteAgentTwin) -> None:
    owner = world.tenant()
    owner.post("/projects", {"name": "隔壁"})
    key = owner.post("/keys", {"name": "k", "project": "隔壁"})
    bound = Person(world.client, key["secret"])
    ident, _ = running(site, owner)
    assert code_of(asked(world, ident, bound)) == "not_found"
    theirs = launched(bound)
    site.start(offer_of(site, theirs))
    assert asked(world, theirs, bound)["refusal"] is None
    owner.call("DELETE", f"/keys/{key['id']}")
    assert code_of(asked(world, theirs, bound)) == "not_found"
