"""A secret is in the answer to the site that holds the lease, and nowhere else: every table, answer and log line is searched."""

import logging
import secrets as random_secrets
from collections.abc import Callable
from typing import Any

import pytest
from api_city import offer_of
from api_world import Person, SiteAgentTwin, World
from sqlalchemy import select

from zhisuan.base.db import Table

Sites = Callable[..., SiteAgentTwin]


def rows_with(world: World, secret: str) -> list[str]:
    """The tables that hold the secret, in any column; and whether it can be seen in what is sealed."""
    found = []
    with world.database.begin() as tx:
        for table in Table.metadata.sorted_tables:
            for row in tx.session.execute(select(table)):
                if any(secret in (c.decode("latin-1") if isinstance(c, bytes) else str(c)) for c in row):
                    found.append(table.name)
    return found


def file_with(secret: str) -> str:
    return f"run: 'true'\nresources: {{memory: 1}}\nsecrets:\n  TOKEN: {secret}\n  BESIDE:\n"


def values_at(site: SiteAgentTwin, offer: dict[str, Any]) -> Any:
    return site.agent.call("GET", f"/wire/v1/secrets/{offer['lease_id']}/{offer['generation']}")


def test_a_secret_is_nowhere_but_at_its_site(world: World, make_site: Sites, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site, other, owner = make_site(), make_site(cores=1, memory_mib=512), world.tenant()
    secret, beside = (random_secrets.token_hex(16) for _ in range(2))
    body = {"file": file_with(secret), "secrets": {"BESIDE": beside}}
    answers = [owner.call("POST", "/workloads", json=body, key="once") for _ in range(2)]
    assert answers[0].json() == answers[1].json() and answers[1].headers["Idempotency-Replayed"] == "true"
    changed = {**body, "secrets": {"BESIDE": "another value"}}
    answers.append(owner.call("POST", "/workloads", json=changed, key="once"))
    assert answers[-1].status_code == 409, "another secret is another order"
    answers.append(owner.call("POST", "/quotes", json={"file": body["file"]}))
    workload_id = answers[0].json()["workload"]["id"]
    offer = offer_of(site, workload_id)
    assert sorted(offer["secrets"]) == ["BESIDE", "TOKEN"] and secret not in str(offer)
    assert values_at(site, offer).json() == {"values": {"TOKEN": secret, "BESIDE": beside}}
    assert values_at(other, offer).status_code == 404, "another site has no business with it"
    assert values_at(site, {**offer, "generation": 9}).status_code == 404
    assert owner.call("GET", f"/wire/v1/secrets/{offer['lease_id']}/1").status_code == 401
    running = site.start(offer)
    with world.database.begin() as tx:
        assert tx.session.execute(select(Table.metadata.tables["workload_secret"])).one().workload_id == workload_id
    answers += read_everything(world, owner, workload_id)
    site.end(running)
    assert owner.get(f"/workloads/{workload_id}")["state"] == "succeeded"
    assert values_at(site, offer).status_code == 404, "gone when the work has ended"
    with world.database.begin() as tx:
        assert tx.session.execute(select(Table.metadata.tables["workload_secret"])).all() == []
    for value in (secret, beside):
        assert rows_with(world, value) == [], "not in any table"
        assert not [a.url for a in answers if value in a.text], "not in any answer"
        assert value not in caplog.text, "not in any log"
    assert "TOKEN: null" in owner.get(f"/workloads/{workload_id}")["file"]


def read_everything(world: World, owner: Person, workload_id: str) -> list[Any]:
    """What the tenant and the operator can read of it."""
    paths = [
        f"/workloads/{workload_id}", f"/workloads/{workload_id}/why", f"/workloads/{workload_id}/logs", "/workloads",
        f"/workloads/{workload_id}/artefacts", f"/trace/{workload_id}", "/overview", "/audit",
    ]  # fmt: skip
    return [person.call("GET", path) for person in (owner, world.operator) for path in paths]


def test_the_search_finds_a_secret_where_there_is_one(world: World, make_site: Sites) -> None:
    make_site()
    world.tenant().post("/workloads", {"file": "run: echo plain-to-see\nresources: {memory: 1}\n"})
    assert "workload_workload" in rows_with(world, "plain-to-see")


def test_a_secret_without_a_value_is_asked_for_and_nothing_is_made(world: World, make_site: Sites) -> None:
    make_site()
    owner = world.tenant()
    before = world.row_counts()
    answer = owner.call("POST", "/workloads", json={"file": file_with("given-in-file")})
    assert answer.status_code == 422 and answer.json()["problems"][0]["where"] == "secrets.BESIDE"
    assert "given-in-file" not in answer.text and world.row_counts() == before


def test_a_cancelled_workload_keeps_no_secret(world: World) -> None:
    owner = world.tenant()
    SiteAgentTwin(world, verify=False)
    made = owner.call("POST", "/workloads", json={"file": "run: x\nresources: {memory: 1}\nsecrets: {A: some-secret}\n"})
    assert made.status_code == 201, made.text
    owner.post(f"/workloads/{made.json()['workload']['id']}/cancel")
    with world.database.begin() as tx:
        assert tx.session.execute(select(Table.metadata.tables["workload_secret"])).all() == []
