"""Workspaces at the server: launched and paid as any work, entered by a link that is good once, and nobody else's."""

from collections.abc import Callable
from typing import Any

from api_city import offer_of
from api_world import Person, SiteAgentTwin, World

from zhisuan.base.secrets import digest
from zhisuan.execution.tables import Lease

FILE = "name: 分析\nresources: {cpus: 1, memory: 1}\nzhisuan: {workspace: shell}\n"


def started(owner: Person, file: str = FILE) -> str:
    return str(owner.post("/workloads", {"file": file})["workload"]["id"])


def told(world: World, workload_id: str, secret: str) -> dict[str, Any]:
    body = {"workload_id": workload_id, "credential_digest": digest(secret)}
    answer: dict[str, Any] = world.gateway().post("/wire/v1/gateway/workspace", body)
    return answer


def entered(world: World, workload_id: str, ticket: str, session: str) -> int:
    body = {"workload_id": workload_id, "ticket_digest": digest(ticket), "session_digest": digest(session)}
    return int(world.gateway().post("/wire/v1/gateway/enter", body)["seconds"])


def ticket_of(owner: Person, workload_id: str) -> str:
    return str(owner.post(f"/workspaces/{workload_id}/link")["url"]).partition("ticket=")[2]


def test_the_life_of_a_workspace(world: World, make_site: Callable[..., SiteAgentTwin]) -> None:
    world.platform.settings = world.platform.settings.model_copy(update={"workspace_url": "https://{id}.ws.test"})
    site, owner = make_site(), world.tenant()
    ident = started(owner)
    assert ident.startswith("wsp_") and owner.get(f"/workloads/{ident}")["kind"] == "workspace"
    offer = offer_of(site, ident)
    assert 20_000 <= offer["service_port"] < 30_000 and offer["readiness_path"] == f"/workspaces/{ident}/api"
    assert "terminals" in offer["run"] and offer["env"]["ZHISUAN_WORKSPACE_PATH"] == f"/workspaces/{ident}/"
    token = offer["env"]["ZHISUAN_WORKSPACE_TOKEN"]
    assert len(token) > 40 and told(world, ident, owner.key or "")["state"] == "starting"

    running = site.start(offer, ready=True)
    assert owner.get(f"/workspaces/{ident}")["status"] == "ready"
    answer = told(world, ident, owner.key or "")
    assert (answer["valid"], answer["state"], answer["token"], answer["lease_id"], answer["site_id"]) == (
        True, "ready", token, running["lease_id"], site.id,
    )  # fmt: skip
    for text in (str(owner.get(f"/workloads/{ident}")), str(owner.get("/workspaces")), str(world.operator.get(f"/trace/{ident}"))):
        assert token not in text, "the session's token is shown to nobody"

    site.meter(running, 3600)
    world.reconcile("rate")
    shown = owner.get("/workspaces")["items"][0]
    assert (shown["seconds"], shown["charged_udu"], shown["session"]) == (3600, shown["rate_udu_per_hour"], "shell")
    assert shown["hour_ucny"] * 10**8 == shown["rate_udu_per_hour"] * shown["price_e8_per_du"]

    link = owner.post(f"/workspaces/{ident}/link")
    assert link["url"].startswith(f"https://{ident.replace('_', '-')}.ws.test/workspaces/{ident}/_enter?ticket=zst_")
    site.end(running)
    assert owner.get(f"/workloads/{ident}")["state"] == "succeeded", "shut down from inside"
    assert owner.get(f"/workspaces/{ident}")["status"] == "ended"
    assert told(world, ident, owner.key or "")["state"] == "ended"
    assert owner.call("POST", f"/workspaces/{ident}/link").json()["code"] == "workspace_ended"


def test_a_ticket_is_good_once_and_for_a_minute(world: World, make_site: Callable[..., SiteAgentTwin]) -> None:
    world.platform.settings = world.platform.settings.model_copy(update={"workspace_url": "https://{id}.ws.test"})
    make_site()
    owner = world.tenant()
    one, two = started(owner), started(owner)
    ticket = ticket_of(owner, one)
    assert entered(world, two, ticket, "zsb_0") == 0, "another workspace's"
    assert entered(world, one, ticket, "zsb_1") == entered(world, one, ticket, "zsb_1") == 12 * 3600
    assert entered(world, one, ticket, "zsb_2") == 0, "used"
    late = ticket_of(owner, one)
    world.pass_time(61)
    assert entered(world, one, late, "zsb_3") == 0
    assert told(world, one, "zsb_1")["valid"] and not told(world, two, "zsb_1")["valid"]
    world.pass_time(12 * 3600)
    assert not told(world, one, "zsb_1")["valid"]


def test_nobody_else_gets_in(world: World, make_site: Callable[..., SiteAgentTwin]) -> None:
    world.platform.settings = world.platform.settings.model_copy(update={"workspace_url": "https://{id}.ws.test"})
    make_site()
    owner, other = world.tenant(), world.tenant()
    member = world.member(owner)
    ident = started(owner)
    job = started(owner, "run: x\nresources: {cpus: 0.1, memory: 0.1}\n")
    assert told(world, ident, member.key or "")["valid"], "a console session of the same organisation"
    session = ticket_of(member, ident)
    assert entered(world, ident, session, "zsb_m")
    for secret in (other.key, world.operator.key, "zsk_none"):
        assert told(world, ident, secret or "") == told(world, "wsp_" + "0" * 26, secret or "") and not told(world, ident, secret or "")["valid"]
    assert not told(world, job, owner.key or "")["valid"], "no workspace"
    unknown = "wsp_" + "0" * 26
    for method, path in (("GET", "/workspaces/{}"), ("POST", "/workspaces/{}/link")):
        answers = [other.call(method, path.format(i)) for i in (ident, unknown, job)]
        assert [a.status_code for a in answers] == [404] * 3
        assert answers[0].text.replace(ident, "") == answers[1].text.replace(unknown, "")
    assert other.get("/workspaces")["items"] == []
    assert owner.call("POST", f"/workspaces/{job}/link").status_code == 404
    member.call("DELETE", "/sessions/current")
    assert not told(world, ident, member.key or "")["valid"], "signed out"
    with world.database.begin() as tx:
        from zhisuan.tenancy.tables import Member, User

        user = tx.session.query(User).filter_by(email=member.email).one()
        tx.session.delete(tx.session.get_one(Member, (owner.org_id, user.id)))
    assert not told(world, ident, "zsb_m")["valid"], "no member any more"


def test_without_host_names_there_is_no_link_for_browsers(world: World, make_site: Callable[..., SiteAgentTwin]) -> None:
    make_site()
    owner = world.tenant()
    answer = owner.call("POST", f"/workspaces/{started(owner)}/link")
    assert (answer.status_code, answer.json()["code"]) == (409, "workspace_without_address")


def test_a_link_is_shown_once(world: World, make_site: Callable[..., SiteAgentTwin]) -> None:
    world.platform.settings = world.platform.settings.model_copy(update={"workspace_url": "https://{id}.ws.test"})
    make_site()
    owner = world.tenant()
    ident = started(owner)
    first, again = (owner.post(f"/workspaces/{ident}/link", key="same") for _ in range(2))
    assert "ticket" in first["url"] and "ticket" not in again["url"]


def test_a_lost_workspace_gets_a_new_token(world: World, make_site: Callable[..., SiteAgentTwin]) -> None:
    site, owner = make_site(), world.tenant()
    ident = started(owner)
    running = site.start(offer_of(site, ident), ready=True)
    site.end(running, reason="lost", exit_code=None)
    world.reconcile("place")
    with world.database.begin() as tx:
        tokens = [x.offer["env"]["ZHISUAN_WORKSPACE_TOKEN"] for x in tx.session.query(Lease).filter_by(workload_id=ident)]
    assert len(set(tokens)) == len(tokens) >= 1


def test_jupyterlab_waits_for_a_site_that_offers_it_and_shells_do_not(
    world: World, make_site: Callable[..., SiteAgentTwin]
) -> None:
    """What an agent does not say, as those of the version before, is not offered."""
    silent, without, owner = make_site(), make_site(jupyterlab=False), world.tenant()
    ident = started(owner, FILE.replace("shell", "jupyter"))
    found = owner.get(f"/workspaces/{ident}")
    why = owner.get(f"/workloads/{ident}/why")
    assert (found["state"], found["status"]) == ("pending", "waiting")
    assert "No site offers JupyterLab" in why["reason"]["en"] and "JupyterLab" in why["reason"]["zh"]
    assert any("zhisuan.workspace: shell" in one["en"] for one in why["unblock"])
    assert owner.get(f"/workspaces/{started(owner)}")["status"] == "starting", "a shell needs none"

    without.say_jupyterlab(True)
    assert world.operator.get(f"/sites/{without.id}")["engine"]["jupyterlab"] is True
    assert world.operator.get(f"/sites/{silent.id}")["engine"]["jupyterlab"] is None
    world.reconcile("place")
    assert offer_of(without, ident)["workload_id"] == ident
    one_more = started(owner, FILE.replace("shell", "jupyter"))
    assert offer_of(without, one_more)["workload_id"] == one_more, "never at the others, whatever they cost"
