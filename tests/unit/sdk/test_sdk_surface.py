"""The public surface, pinned; and that it covers the API, route by route and field by field."""

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import httpx
import pytest
from pydantic import BaseModel

import zhisuan.sdk
import zhisuan.sdk.types
from zhisuan.sdk import Client
from zhisuan.sdk.types.common import Answer

AT = "2026-08-01T00:00:00Z"
CALLS: dict[str, Callable[[Client], Any]] = {
    "GET /health": lambda c: c.health(),
    "GET /platform": lambda c: c.platform(),
    "GET /catalog": lambda c: c.catalog(),
    "GET /templates": lambda c: c.templates(),
    "POST /sign-up": lambda c: c.sign_up("tenant", "o", "n", "e", "p"),
    "POST /sessions": lambda c: c.sign_in("e", "p"),
    "DELETE /sessions/current": lambda c: c.sign_out(),
    "GET /me": lambda c: c.me(),
    "GET /overview": lambda c: c.overview(),
    "GET /keys": lambda c: c.keys(),
    "POST /keys": lambda c: c.create_key("n", role="tenant_owner", project="p"),
    "DELETE /keys/x": lambda c: c.revoke_key("x"),
    "GET /projects": lambda c: c.projects(),
    "POST /projects": lambda c: c.create_project("n"),
    "GET /members": lambda c: c.members(),
    "POST /members": lambda c: c.add_member("e", "n", "p", "tenant_member"),
    "GET /organisations": lambda c: c.organisations(),
    "POST /organisations": lambda c: c.create_organisation("tenant", "o", "n", "e", "p"),
    "POST /organisations/x/top-ups": lambda c: c.top_up("x", "20.00", "r"),
    "POST /organisations/x/invoices": lambda c: c.issue_invoices("x"),
    "POST /invoices/x/settlement": lambda c: c.settle_invoice("x"),
    "GET /settlements": lambda c: c.settlements(),
    "GET /price-books": lambda c: c.price_books(),
    "POST /price-books": lambda c: c.publish_price_book("yaml"),
    "POST /providers/x/payouts": lambda c: c.pay_provider("x", 1, "r"),
    "GET /checks": lambda c: c.checks(),
    "GET /sites": lambda c: c.sites(),
    "GET /sites/x": lambda c: c.site("x"),
    "POST /sites": lambda c: c.create_site("n", "CN-AH", 1250),
    "POST /sites/x/join-tokens": lambda c: c.new_join_token("x"),
    "POST /sites/x/verify": lambda c: c.verify_site("x"),
    "GET /sites/x/join-tokens": lambda c: c.join_tokens("x"),
    "DELETE /sites/x/join-tokens/x": lambda c: c.revoke_join_token("x", "x"),
    "GET /sites/x/links": lambda c: c.site_links("x"),
    "GET /sites/x/places": lambda c: c.site_places("x"),
    "GET /places": lambda c: c.places(),
    "POST /places": lambda c: c.add_place("x", 0, 0),
    "POST /places/x/remove": lambda c: c.remove_place("x"),
    "GET /places/x/links": lambda c: c.place_links("x"),
    "POST /places/x/links": lambda c: c.set_place_link("x", "x", direction="from_place", method="stated", source="x", round_trip_us=1),
    "GET /sites/x/reconciliation": lambda c: c.site_reconciliation("x"),
    "GET /engine-accounts": lambda c: c.engine_accounts(),
    "GET /sites/x/evidence": lambda c: c.site_evidence("x"),
    "POST /sites/x/pricing": lambda c: c.price_site("x", "card", "measured", "r"),
    "GET /sites/x/conditions": lambda c: c.site_conditions("x"),
    "POST /sites/x/conditions": lambda c: c.set_site_conditions("x", pue_milli=1200),
    "POST /sites/x/claims": lambda c: c.set_site_claims("x", []),
    "POST /sites/x/windows": lambda c: c.set_site_windows("x", []),
    "POST /sites/x/take-back": lambda c: c.take_back("x"),
    "POST /sites/x/offer-again": lambda c: c.offer_again("x"),
    "POST /sites/x/revoke": lambda c: c.revoke_site("x"),
    "GET /sites/x/earnings": lambda c: c.site_earnings("x"),
    "POST /sites/x/open": lambda c: c.open_site("x"),
    "POST /sites/x/drain": lambda c: c.drain_site("x"),
    "POST /sites/x/close": lambda c: c.close_site("x"),
    "GET /earnings": lambda c: c.earnings("2026-08"),
    "GET /wallet": lambda c: c.wallet(),
    "GET /orders": lambda c: c.orders(),
    "POST /orders": lambda c: c.buy("p"),
    "POST /quotes": lambda c: c._quote("run: x", "p"),
    "POST /workloads": lambda c: c.submit("run: x", workdir_blob="b", mounts={"t": "b"}, project="p"),
    "GET /workloads": lambda c: c.workloads(state="running", kind="job"),
    "GET /workloads/x": lambda c: c.workload("x"),
    "POST /workloads/x/cancel": lambda c: c.cancel("x"),
    "POST /workloads/x/pause": lambda c: c.pause("x"),
    "POST /workloads/x/resume": lambda c: c.resume("x"),
    "POST /workloads/x/restart": lambda c: c.restart("x"),
    "GET /workloads/x/why": lambda c: c.why("x"),
    "GET /workloads/x/logs": lambda c: c.logs("x"),
    "GET /workloads/x/artefacts": lambda c: c.artefacts("x", path="p"),
    "GET /workspaces": lambda c: c.workspaces(),
    "GET /workspaces/x": lambda c: c.workspace("x"),
    "POST /workspaces/x/link": lambda c: c.workspace_link("x"),
    "GET /models": lambda c: c.models(),
    "GET /models/x": lambda c: c.model("x"),
    "POST /models/x/versions": lambda c: c.register_model("x", "job_1", evaluation_path="e", description="d"),
    "GET /deployments": lambda c: c.deployments(),
    "POST /deployments": lambda c: c.deploy("x", version=1, cpus=1, memory_gib=1, project="p"),
    "GET /deployments/x": lambda c: c.deployment("x"),
    "POST /deployments/x/stop": lambda c: c.stop_deployment("x"),
    "GET /bill": lambda c: c.bill("2026-08"),
    "GET /bill/checks": lambda c: c.bill_checks(),
    "GET /charges": lambda c: c.charges(lease_id="l", invoice_line_id="i"),
    "GET /invoices": lambda c: c.invoices(),
    "GET /invoices/x": lambda c: c.invoice("x"),
    "GET /carbon": lambda c: c.carbon(month="2026-08", workload_id="w"),
    "GET /trace/x": lambda c: c.trace("x"),
    "GET /volumes": lambda c: c.volumes(deleted=True),
    "POST /volumes": lambda c: c.create_volume("n", project="p"),
    "GET /volumes/x": lambda c: c.volume("x"),
    "GET /volumes/x/versions": lambda c: c.volume_versions("x"),
    "POST /volumes/x/versions": lambda c: c.commit_volume("x", base=0, put=[], remove=[], note="n"),
    "GET /volumes/x/files": lambda c: c.volume_files("x", version=1, folder="f"),
    "GET /volumes/x/folder": lambda c: c.volume_folder("x", "p", version=1),
    "GET /volumes/x/uses": lambda c: c.volume_uses("x"),
    "POST /volumes/x/current": lambda c: c.use_volume_version("x", 1),
    "POST /volumes/x/delete": lambda c: c.delete_volume("x", "r"),
    "GET /data-use": lambda c: c.data_use(),
    "PUT /organisations/x/data-quota": lambda c: c.set_data_quota("x", 1),
    "POST /quotas/used": lambda c: c.count_used_anew(),
    "GET /quotas": lambda c: c.quotas("o", cursor="c"),
    "PUT /quotas/x": lambda c: c.set_quota("x", guaranteed_cards_milli=1, limit_cards_milli=1, limit_cores_milli=1, parent="p"),
}
# Bodies and streams have tests of their own.
ELSEWHERE = {
    "POST /blobs", "GET /workloads/x/watch", "GET /artefacts/x/content",
    "GET /volumes/x/content", "POST /volumes/x/pack", "PUT /content/x", "POST /content/pack", "POST /content/missing",
    "POST /uploads", "GET /uploads/x", "PUT /uploads/x/bytes",
}  # fmt: skip


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    from zhisuan.api.build import add_api, new_app

    document: dict[str, Any] = add_api(new_app(), None).openapi()  # type: ignore[arg-type]
    return document


def routes(openapi: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for path, methods in openapi["paths"].items():
        plain = "/".join("x" if part.startswith("{") else part for part in path.removeprefix("/api/v1").split("/"))
        for method, operation in methods.items():
            found[f"{method.upper()} {plain}"] = operation
    return found


def first_of(result: Any) -> Any:
    return next(result) if isinstance(result, Iterator) else result


def request_of(call: Callable[[Client], Any]) -> httpx.Request:
    """The request that a call makes; what it does with the answer does not matter here."""
    made: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        made.append(request)
        return httpx.Response(418)

    with (
        Client("http://p.test", "k", transport=httpx.MockTransport(handler)) as client,
        pytest.raises(Exception, match="418"),
    ):
        first_of(call(client))
    return made[0]


def test_every_route_of_the_api_has_its_call_and_no_call_is_without_a_route(openapi: dict[str, Any]) -> None:
    assert set(routes(openapi)) == set(CALLS) | ELSEWHERE


@pytest.mark.parametrize("route", sorted(CALLS))
def test_a_call_asks_what_the_route_takes(openapi: dict[str, Any], route: str) -> None:
    request = request_of(CALLS[route])
    assert f"{request.method} {request.url.path.removeprefix('/api/v1')}" == route
    operation = routes(openapi)[route]
    takes = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
    assert set(request.url.params) <= takes, "a parameter that the route does not know"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    schema = resolved(openapi, body)
    sent = json.loads(request.content) if request.content else {}
    assert set(schema.get("required", ())) <= set(sent) <= set(schema.get("properties", ()))


def resolved(openapi: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def answer_schema(openapi: dict[str, Any], route: str) -> dict[str, Any]:
    answers = routes(openapi)[route]["responses"]
    good = next(answers[code] for code in ("200", "201", "204") if code in answers)
    return resolved(openapi, good.get("content", {}).get("application/json", {}).get("schema", {}))


def shape_of(route: str) -> Any:
    """The model that a call promises: of the answer, or of each item."""
    name = CALLS[route].__code__.co_names[0]
    promised = get_type_hints(getattr(Client, name))["return"]
    return get_args(promised)[0] if get_args(promised) else promised


@pytest.mark.parametrize(
    "route", sorted(r for r in CALLS if not r.startswith("DELETE") and r not in ("GET /overview", "GET /carbon"))
)
def test_what_a_call_reads_is_what_the_route_gives(openapi: dict[str, Any], route: str) -> None:
    schema, shape = answer_schema(openapi, route), shape_of(route)
    items = schema.get("properties", {}).get("items")
    if items is not None and "items" not in shape.model_fields:
        schema = resolved(openapi, items["items"])
    compare(openapi, schema, shape, route)


def compare(openapi: dict[str, Any], schema: dict[str, Any], shape: type[BaseModel], where: str) -> None:
    """Every field that is read is given, and is nullable here where it is nullable there."""
    given = schema.get("properties")
    if given is None:
        return
    for name, field in shape.model_fields.items():
        assert name in given, f"{where}: the platform gives no {shape.__name__}.{name}"
        there = given[name]
        nullable = {"type": "null"} in there.get("anyOf", ())
        assert not nullable or type(None) in get_args(field.annotation) or field.annotation is Any, (
            f"{where}.{name} may be null"
        )
        inner = next((a for a in (field.annotation, *get_args(field.annotation)) if is_answer(a)), None)
        part = there.get("items", there)
        part = resolved(openapi, next((a for a in part.get("anyOf", ()) if a != {"type": "null"}), part))
        if inner is not None and "properties" in part:
            compare(openapi, part, inner, f"{where}.{name}")


def is_answer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Answer)


def test_the_surface_is_what_is_pinned_here() -> None:
    assert sorted(zhisuan.sdk.__all__) == [
        "ApiProblem", "Archive", "Client", "EndEvent", "LogEvent", "NotReachable", "StateEvent", "UnexpectedAnswer",
        "pack_folder",
    ]  # fmt: skip
    public = sorted(name for name in dir(Client) if not name.startswith("_"))
    assert public == [
        "add_member", "add_place", "artefacts", "bill", "bill_checks", "buy", "cancel", "carbon", "catalog", "charges",
        "checks", "close", "close_site", "commit_volume", "copy", "count_used_anew", "create_key",
        "create_organisation", "create_project", "create_site", "create_volume", "data_use", "delete_volume", "deploy",
        "deployment", "deployments", "download", "download_all", "drain_site", "earnings", "engine_accounts",
        "fetch_file", "get_volume", "health", "invoice", "invoices", "issue_invoices", "join_tokens", "keys", "launch",
        "log_parts", "logs", "me", "members", "missing_content", "model", "models", "new_join_token", "offer_again",
        "open_site", "orders", "organisations", "overview", "pause", "pay_provider", "place_links", "places",
        "platform", "price_books", "price_site", "projects", "publish_price_book", "put_volume", "quotas", "quote",
        "register_model", "remove_place", "restart", "resume", "revoke_join_token", "revoke_key", "revoke_site",
        "send_file", "set_data_quota", "set_place_link", "set_quota", "set_site_claims", "set_site_conditions",
        "set_site_windows", "settle_invoice", "settlements", "sign_in", "sign_out", "sign_up", "site",
        "site_conditions", "site_earnings", "site_evidence", "site_links", "site_places", "site_reconciliation",
        "sites", "stop_deployment", "submit", "take_back", "tasks", "templates", "top_up", "trace", "upload",
        "upload_file", "upload_folder", "use_volume_version", "verify_site", "volume", "volume_files", "volume_folder",
        "volume_uses", "volume_versions", "volumes", "wait", "wallet", "watch", "why", "workload", "workloads",
        "workspace", "workspace_link", "workspaces",
    ]  # fmt: skip
    assert all(hasattr(zhisuan.sdk.types, name) for name in zhisuan.sdk.types.__all__)
    assert str(inspect.signature(Client.launch)) == (
        "(self, file: str | pathlib.Path, *, project: str | None = None, "
        "envs: collections.abc.Mapping[str, str] | None = None, "
        "secrets: collections.abc.Mapping[str, str] | None = None, idempotency_key: str | None = None) "
        "-> zhisuan.sdk.types.work.Launched"
    )


def test_every_call_that_makes_something_takes_a_key() -> None:
    for name in (
        "buy",
        "create_key",
        "create_site",
        "deploy",
        "launch",
        "register_model",
        "settle_invoice",
        "submit",
        "top_up",
    ):
        assert "idempotency_key" in inspect.signature(getattr(Client, name)).parameters, name
