"""Who may call what: the whole matrix, written out by hand and compared with what the routes answer."""

import re

import pytest
from api_city import City
from api_routes import routes_of
from api_world import Person

from zhisuan.api.auth import Allow

ALL = {"operator", "provider", "owner", "member", "city"}
TENANT = {"owner", "member"}
MATRIX: dict[str, set[str]] = {
    "DELETE /sessions/current": ALL, "GET /me": ALL, "GET /keys": ALL, "POST /keys": ALL, "GET /members": ALL,
    "GET /overview": ALL, "GET /price-books": ALL,
    "DELETE /keys/{key_id}": ALL - {"member"},
    "POST /organisations": {"operator"}, "GET /organisations": {"operator"},
    "POST /organisations/{org_id}/top-ups": {"operator"}, "POST /organisations/{org_id}/invoices": {"operator"},
    "POST /invoices/{invoice_id}/settlement": {"operator"}, "GET /settlements": {"operator"}, "GET /checks": {"operator"},
    "POST /providers/{provider_id}/payouts": {"operator"}, "POST /price-books": {"operator"},
    "POST /sites/{site_id}/verify": {"operator"},
    "GET /sites": {"operator", "provider"}, "GET /sites/{site_id}": {"operator", "provider"},
    "POST /sites/{site_id}/open": {"operator", "provider"}, "POST /sites/{site_id}/drain": {"operator", "provider"},
    "POST /sites/{site_id}/close": {"operator", "provider"},
    "POST /sites/{site_id}/pricing": {"operator"},
    "GET /sites/{site_id}/evidence": {"operator", "provider"}, "GET /sites/{site_id}/earnings": {"operator", "provider"},
    "GET /sites/{site_id}/links": {"operator", "provider"},
    "GET /sites/{site_id}/reconciliation": {"operator", "provider"}, "GET /engine-accounts": {"operator"},
    "GET /sites/{site_id}/conditions": {"operator", "provider"}, "GET /sites/{site_id}/join-tokens": {"operator", "provider"},
    "POST /sites/{site_id}/revoke": {"operator", "provider"}, "POST /sites/{site_id}/offer-again": {"operator", "provider"},
    "DELETE /sites/{site_id}/join-tokens/{token_id}": {"operator", "provider"},
    "POST /sites/{site_id}/conditions": {"provider"}, "POST /sites/{site_id}/claims": {"provider"},
    "POST /sites/{site_id}/windows": {"provider"}, "POST /sites/{site_id}/take-back": {"provider"},
    "POST /sites": {"provider"}, "POST /sites/{site_id}/join-tokens": {"provider"}, "GET /earnings": {"provider"},
    "POST /projects": {"owner"}, "POST /members": {"owner"}, "POST /orders": {"owner"},
    "GET /projects": TENANT, "GET /wallet": TENANT, "GET /orders": TENANT, "POST /workloads": TENANT, "POST /quotes": TENANT,
    "POST /blobs": TENANT, "GET /bill": TENANT, "GET /bill/checks": TENANT, "GET /models": TENANT, "GET /models/{name}": TENANT,
    "GET /workspaces": TENANT | {"operator"}, "GET /workspaces/{workload_id}": TENANT | {"operator"},
    "POST /workspaces/{workload_id}/link": TENANT,
    "POST /models/{name}/versions": TENANT, "POST /deployments": TENANT, "GET /deployments": TENANT,
    "GET /deployments/{deployment_id}": TENANT, "POST /deployments/{deployment_id}/stop": TENANT,
    "GET /workloads/{workload_id}/logs": TENANT, "GET /workloads/{workload_id}/watch": TENANT,
    "GET /workloads/{workload_id}/artefacts": TENANT, "GET /artefacts/{artefact_id}/content": TENANT,
    "GET /templates": TENANT | {"operator"},
    "GET /workloads": TENANT | {"operator"}, "GET /workloads/{workload_id}": TENANT | {"operator"},
    "GET /workloads/{workload_id}/why": TENANT | {"operator"}, "POST /workloads/{workload_id}/cancel": TENANT | {"operator"},
    "POST /workloads/{workload_id}/pause": TENANT | {"operator"}, "POST /workloads/{workload_id}/resume": TENANT,
    "POST /workloads/{workload_id}/restart": TENANT,
    "GET /charges": TENANT | {"operator"}, "GET /invoices": TENANT | {"operator"},
    "GET /invoices/{invoice_id}": TENANT | {"operator"}, "GET /trace/{ident}": TENANT | {"operator"},
    "GET /carbon": TENANT | {"operator", "city"},
    "GET /volumes": TENANT, "POST /volumes": TENANT, "GET /volumes/{name}": TENANT, "POST /volumes/{name}/delete": TENANT,
    "POST /volumes/{name}/current": TENANT, "POST /volumes/{name}/versions": TENANT, "GET /volumes/{name}/versions": TENANT,
    "GET /volumes/{name}/files": TENANT, "GET /volumes/{name}/folder": TENANT, "GET /volumes/{name}/content": TENANT,
    "GET /volumes/{name}/uses": TENANT, "GET /data-use": TENANT, "POST /uploads": TENANT, "GET /uploads/{upload_id}": TENANT,
    "PUT /uploads/{upload_id}/bytes": TENANT, "PUT /content/{sha256}": TENANT, "POST /content/missing": TENANT,
    "POST /content/pack": TENANT, "POST /volumes/{name}/pack": TENANT,
    "PUT /organisations/{org_id}/data-quota": {"operator"},
    "GET /quotas": TENANT | {"operator"}, "PUT /quotas/{subject}": {"owner", "operator"},
    "POST /quotas/used": {"operator"},
    "GET /places": TENANT | {"operator", "provider"}, "POST /places": {"operator"}, "POST /places/{place_id}/remove": {"operator"},
    "GET /places/{place_id}/links": {"operator"}, "POST /places/{place_id}/links": {"operator"},
    "GET /sites/{site_id}/places": {"operator", "provider"},
}  # fmt: skip


def test_the_matrix_names_every_route_that_takes_a_person(city: City) -> None:
    there = {
        f"{r.method} {r.path.removeprefix('/api/v1')}"
        for r in routes_of(city.world.client.app)
        if isinstance(r.rules[0], Allow)
    }
    assert there == set(MATRIX)


@pytest.mark.parametrize("role", sorted(ALL))
def test_each_role_is_let_in_where_the_matrix_says_and_nowhere_else(city: City, role: str) -> None:
    """Ids are unknown and bodies empty, so nothing happens: let in shows as any answer but 401 and 403."""
    person: Person = {
        "operator": city.world.operator, "provider": city.site.provider, "owner": city.one.owner, "member": city.member,
        "city": city.viewer,
    }[role]  # fmt: skip
    before = city.world.row_counts()
    wrong = []
    for name, roles in MATRIX.items():
        method, _, path = name.partition(" ")
        if path == "/sessions/current":
            continue  # it would end the session of this very test
        filled = re.sub(r"\{\w+\}", "none_" + "0" * 26, path)
        body = {"content": b""} if path == "/blobs" else {"json": {"unknown": 1}}
        answer = person.call(method, filled, **({} if method == "GET" else body))
        assert answer.status_code < 500, (name, answer.text)
        if (answer.status_code not in (401, 403)) != (role in roles):
            wrong.append((name, answer.status_code))
    assert wrong == []
    changed = {t for t, n in city.world.row_counts().items() if n != before[t]}
    assert changed <= {"workload_blob"}, "the upload of nothing is the one thing that is taken"


def test_what_me_says_is_what_the_role_may(city: City) -> None:
    assert "org:member:manage" in city.one.owner.get("/me")["permissions"]
    assert "org:member:manage" not in city.member.get("/me")["permissions"]
    assert city.viewer.get("/me")["role"] == "city_viewer"


def test_nobody_makes_a_key_above_their_own(city: City) -> None:
    for role in ("tenant_owner", "operator", "provider"):
        assert city.member.call("POST", "/keys", json={"name": "k", "role": role}).status_code == 403
        if role != "tenant_owner":
            assert city.one.owner.call("POST", "/keys", json={"name": "k", "role": role}).status_code == 403
    weaker = city.one.owner.post("/keys", {"name": "k", "role": "tenant_member"})
    held = Person(city.world.client, weaker["secret"])
    assert held.get("/me")["role"] == "tenant_member"
    assert held.call("POST", "/keys", json={"name": "k", "role": "tenant_owner"}).status_code == 403
    assert held.call("DELETE", f"/keys/{weaker['id']}").status_code == 403


def test_a_revoked_key_and_an_ended_session_are_worth_nothing(city: City) -> None:
    made = city.one.owner.post("/keys", {"name": "short-lived"})
    held = Person(city.world.client, made["secret"])
    assert held.get("/me")["organisation"]["id"] == city.one.owner.org_id
    for _ in range(2):
        assert city.one.owner.call("DELETE", f"/keys/{made['id']}").status_code == 204
    assert held.call("GET", "/me").status_code == 401
    session = city.world.anyone().post(
        "/sessions", {"email": city.one.owner.email, "password": "correct horse battery"}
    )
    signed_in = Person(city.world.client, session["secret"])
    assert signed_in.get("/me")["role"] == "tenant_owner"
    assert signed_in.call("DELETE", "/sessions/current").status_code == 204
    assert signed_in.call("GET", "/me").status_code == 401
