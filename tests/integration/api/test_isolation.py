"""Rule 7: a tenant sees only its own, a provider its own sites and no tenant's data; unknown and foreign ids answer alike."""

import re
from typing import Any

import pytest
from api_city import City
from api_routes import routes_of
from api_world import Person

OPERATOR_ONLY = re.compile(
    r"/organisations/\{org_id\}|/providers/|/invoices/\{invoice_id\}/settlement|/sites/\{site_id\}/verify|/places/\{place_id\}"
)
# What stands in each path parameter, by route where one name means different things.
KINDS = {
    "workload_id": ("workload", "job"), "artefact_id": ("artefact", "art"), "deployment_id": ("deployment", "dep"),
    "invoice_id": ("invoice", "inv"), "key_id": ("key", "key"), "name": ("model_name", ""), "upload_id": ("upload", "upl"), "subject": ("project", "prj"),
}
VOLUME_ROUTES = "/api/v1/volumes/"  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/v1/models/{name}/versions": {"workload_id": "job_unknown"},
    "POST /api/v1/volumes/{name}/versions": {"base": 0},
    "POST /api/v1/volumes/{name}/current": {"number": 1},
    "POST /api/v1/volumes/{name}/delete": {"reason": "x"},
    "POST /api/v1/volumes/{name}/pack": {"digests": ["0" * 64]},
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "GET /api/v1/volumes/{name}/content": {"path": "a"},
    "PUT /api/v1/uploads/{upload_id}/bytes": {"offset": 0},
}


def _alike(text: str, ident: str) -> str:
    return text.replace(ident, "<id>")


def test_a_foreign_id_answers_as_an_unknown_one_on_every_route(city: City) -> None:
    """Generated from the routes: a new one with an id in its path is tested from its first day."""
    app = city.world.client.app
    seen = 0
    for route in routes_of(app):
        parameters = re.findall(r"\{(\w+)\}", route.path)
        if not parameters or route.path.startswith("/wire/") or OPERATOR_ONLY.search(route.path):
            continue
        path = route.path.removeprefix("/api/v1")
        if "site_id" in parameters or "ident" in parameters:
            continue  # their own tests are below
        if route.path.startswith("/api/v1/content/"):
            continue  # a digest is not a record of anyone
        kind, prefix = ("volume_name", "") if route.path.startswith(VOLUME_ROUTES) else KINDS[parameters[0]]
        foreign = city.two.ids[kind]
        unknown = f"{prefix}_{'0' * 26}" if prefix else "qa-unknown"
        answers = []
        for ident in (foreign, unknown):
            filled = path.replace("{" + parameters[0] + "}", ident)
            more = {} if route.method == "GET" else {"json": BODIES.get(route.name, {})}
            more |= {"params": PARAMETERS[route.name]} if route.name in PARAMETERS else {}
            answers.append(city.one.owner.call(route.method, filled, **more))
        assert [a.status_code for a in answers] == [404, 404], (route.name, answers[0].text)
        assert _alike(answers[0].text, foreign) == _alike(answers[1].text, unknown), route.name
        seen += 1
    assert seen >= 13


@pytest.mark.parametrize(
    "kind",
    ["workload", "service", "lease", "placement", "artefact", "charge", "line", "invoice", "settlement", "order", "grant",
     "model", "version", "deployment"],
)  # fmt: skip
def test_a_trace_of_a_foreign_record_is_not_there(city: City, kind: str) -> None:
    foreign = city.two.ids[kind]
    unknown = foreign.partition("_")[0] + "_" + "0" * 26
    answers = [city.one.owner.call("GET", f"/trace/{i}") for i in (foreign, unknown)]
    assert [a.status_code for a in answers] == [404, 404]
    assert _alike(answers[0].text, foreign) == _alike(answers[1].text, unknown)
    assert city.two.owner.get(f"/trace/{foreign}")["id"] == foreign
    assert city.world.operator.get(f"/trace/{foreign}")["id"] == foreign


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/workloads", {"file": "run: x\n", "project": "$project"}),
        ("/workloads", {"file": "run: x\nworkdir: .\n", "workdir_blob": "$blob"}),
        ("/workloads", {"file": "run: x\nfile_mounts: {data: ./d}\n", "mounts": {"data": "$blob"}}),
        ("/models/own/versions", {"workload_id": "$workload"}),
        ("/deployments", {"model": "$model_name"}),
        ("/keys", {"name": "k", "project": "$project"}),
    ],
)
def test_a_foreign_id_in_a_body_answers_as_an_unknown_one(city: City, path: str, body: dict[str, Any]) -> None:
    before = city.world.row_counts()
    texts = []
    for unknown in (False, True):
        sent, ident = _filled(city, body, unknown)
        answer = city.one.owner.call("POST", path, json=sent)
        assert answer.status_code == 404, answer.text
        texts.append(_alike(answer.text, ident))
    assert texts[0] == texts[1]
    assert city.world.row_counts() == before


def _filled(city: City, body: dict[str, Any], unknown: bool) -> tuple[dict[str, Any], str]:
    kind = re.findall(r"\$(\w+)", str(body))[0]
    foreign = city.two.ids[kind]
    ident = foreign[:-4] + "0000" if unknown else foreign

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: fill(v) for k, v in value.items()}
        return value.replace(f"${kind}", ident)

    return fill(body), ident


def _texts(person: Person, paths: list[str]) -> str:
    out = []
    for path in paths:
        answer = person.call("GET", path)
        assert answer.status_code == 200, (path, answer.text)
        out.append(answer.text)
    return "\n".join(out)


LISTS = [
    "/workloads", "/models", "/deployments", "/charges", "/invoices", "/orders", "/keys", "/projects", "/members", "/wallet",
    "/bill", "/carbon", "/overview", "/me", "/bill/checks",
]  # fmt: skip


def test_no_list_of_a_tenant_holds_anything_of_another(city: City) -> None:
    shown = _texts(city.one.owner, LISTS)
    for kind, ident in city.one.ids.items():
        if kind in ("workload", "invoice", "deployment", "order", "model_name"):
            assert ident in shown, kind
    for kind, ident in city.two.ids.items():
        assert ident not in shown, kind
    assert city.two.owner.email not in shown


@pytest.mark.parametrize("query", ["lease_id=$lease", "invoice_line_id=$line"])
def test_a_filter_by_a_foreign_id_finds_nothing(city: City, query: str) -> None:
    kind = query.partition("$")[2]
    foreign = city.one.owner.get("/charges?" + query.replace(f"${kind}", city.two.ids[kind]))
    unknown = city.one.owner.get("/charges?" + query.replace(f"${kind}", "none"))
    assert foreign == unknown == {"items": [], "next_cursor": None}
    own = city.one.owner.get("/charges?lease_id=" + city.one.ids["lease"])
    assert own["items"]


def test_carbon_of_a_foreign_workload_is_that_of_an_unknown_one(city: City) -> None:
    answers = [city.one.owner.get(f"/carbon?workload_id={i}") for i in (city.two.ids["workload"], "job_none")]
    for answer in answers:
        assert answer.pop("workload_id") and answer["rows"] == []
    assert answers[0] == answers[1]


PROVIDER_PAGES = ["/sites", "/earnings", "/overview", "/me", "/keys", "/members"]


def test_a_provider_sees_its_own_sites_and_nothing_of_tenants(city: City) -> None:
    shown = _texts(city.site.provider, PROVIDER_PAGES)
    assert city.site.id in shown and city.other_site.id not in shown
    hidden = [
        t.ids[k] for t in (city.one, city.two) for k in t.ids if k not in ("invoice", "settlement", "lease", "line")
    ]
    for ident in [*hidden, city.one.owner.email, "python train.py"]:
        assert ident not in shown, ident
    assert city.site.provider.get("/earnings")["items"]
    assert city.other_site.provider.get("/earnings")["items"] == []


def test_a_foreign_site_answers_a_provider_as_an_unknown_one(city: City) -> None:
    unknown = "site_" + "0" * 26
    for method, path in (
        ("GET", ""), ("POST", "/join-tokens"), ("POST", "/open"), ("POST", "/drain"), ("POST", "/close"),
    ):  # fmt: skip
        answers = [city.other_site.provider.call(method, f"/sites/{i}{path}") for i in (city.site.id, unknown)]
        assert [a.status_code for a in answers] == [404, 404], path
        assert _alike(answers[0].text, city.site.id) == _alike(answers[1].text, unknown)
    assert city.world.operator.get(f"/sites/{city.site.id}")["state"] == "open"


def test_a_site_gets_only_the_uploads_of_its_leases(city: City) -> None:
    unknown = "blb_" + "0" * 26
    answers = [city.other_site.agent.call("GET", f"/wire/v1/blobs/{i}") for i in (city.one.ids["blob"], unknown)]
    assert [a.status_code for a in answers] == [404, 404]
    assert _alike(answers[0].text, city.one.ids["blob"]) == _alike(answers[1].text, unknown)
