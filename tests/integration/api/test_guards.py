"""Each route has one rule, each change takes an idempotency key, errors are problem documents; the tests can fail."""

import pytest
from api_city import City
from api_routes import routes_of
from fastapi import APIRouter, Depends, FastAPI

from zhisuan.api.auth import Allow, Gateway, Public, SiteAgent
from zhisuan.api.build import add_api, new_app
from zhisuan.api.platform import Platform
from zhisuan.tenancy.roles import ALL_PERMISSIONS

PUBLIC = {
    "GET /api/v1/health", "GET /api/v1/platform", "GET /api/v1/catalog", "POST /api/v1/sign-up", "POST /api/v1/sessions",
    "POST /wire/v1/join", "POST /wire/v1/hello",
}  # fmt: skip
NO_KEY_NEEDED = {
    "POST /api/v1/sessions": "a second session does no harm",
    "POST /api/v1/blobs": "the same bytes are the same upload",
    "POST /api/v1/quotes": "changes nothing",
    "POST /api/v1/uploads": "the same bytes are the same upload",
    "PUT /api/v1/uploads/{upload_id}/bytes": "a part that came before changes nothing",
    "PUT /api/v1/content/{sha256}": "the same bytes are the same content",
    "POST /api/v1/content/pack": "the same bytes are the same content",
    "POST /api/v1/volumes/{name}/pack": "changes nothing",
    "POST /api/v1/content/missing": "keeps what is there for longer, and changes nothing else",
    "DELETE /api/v1/sessions/current": "ending it again changes nothing",
    "DELETE /api/v1/keys/{key_id}": "revoking it again changes nothing",
    "DELETE /api/v1/sites/{site_id}/join-tokens/{token_id}": "revoking it again changes nothing",
}


def whole_app(platform: Platform) -> FastAPI:
    return add_api(new_app(), platform)


def unguarded(app: FastAPI) -> list[str]:
    return [r.name for r in routes_of(app) if len(r.rules) != 1]


def without_key(app: FastAPI) -> set[str]:
    changing = [r for r in routes_of(app) if r.method != "GET" and not r.path.startswith("/wire/")]
    return {r.name for r in changing if "idempotency-key" not in r.headers}


def test_each_route_has_exactly_one_rule(city: City) -> None:
    app = whole_app(city.world.platform)
    assert len(routes_of(app)) > 60
    assert unguarded(app) == []
    assert {r.name for r in routes_of(app) if isinstance(r.rules[0], Public)} == PUBLIC


def test_rules_name_permissions_that_exist_and_the_wire_takes_no_person(city: City) -> None:
    for route in routes_of(whole_app(city.world.platform)):
        rule = route.rules[0]
        if isinstance(rule, Allow):
            assert set(rule.permissions) <= ALL_PERMISSIONS, route.name
        if route.path.startswith("/wire/"):
            assert isinstance(rule, Gateway | SiteAgent) or route.name in PUBLIC


def test_each_change_takes_an_idempotency_key(city: City) -> None:
    assert without_key(whole_app(city.world.platform)) == set(NO_KEY_NEEDED)


def test_a_route_without_rule_or_key_would_be_found(city: City) -> None:
    app = whole_app(city.world.platform)
    extra = APIRouter(prefix="/api/v1")
    extra.add_api_route("/open", lambda: None, methods=["POST"])
    extra.add_api_route("/twice", lambda: None, methods=["GET"], dependencies=[Depends(Public()), Depends(Public())])
    app.include_router(extra)
    assert unguarded(app) == ["POST /api/v1/open", "GET /api/v1/twice"]
    assert "POST /api/v1/open" in without_key(app)


def test_nobody_gets_in_without_a_key(city: City) -> None:
    """Every route but the public ones answers 401 before it looks at anything else."""
    for route in routes_of(whole_app(city.world.platform)):
        if route.name in PUBLIC:
            continue
        for bearer in ({}, {"Authorization": "Bearer zsk_wrong"}, {"Authorization": "Basic enNr"}):
            answer = city.world.client.request(
                route.method, route.path, headers={"Idempotency-Key": "x", **bearer}, json={}
            )
            assert answer.status_code == 401, (route.name, bearer, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/v1/nothing-here", None, 404, "http_404"),
        ("PUT", "/api/v1/keys", None, 405, "http_405"),
        ("POST", "/api/v1/sign-up", b"{not json", 422, "invalid_input"),
        ("POST", "/api/v1/sign-up", b"[]", 422, "invalid_input"),
        ("POST", "/api/v1/sign-up", b"\xff\xfe", 422, "invalid_input"),
        ("GET", "/api/v1/catalog?x=%ff", None, 200, None),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh-CN,zh;q=0.9,en;q=0.8"])
def test_every_error_is_a_problem_document_in_the_readers_language(
    city: City, method: str, path: str, body: bytes | None, status: int, code: str | None, language: str
) -> None:
    headers = {"Idempotency-Key": "k", "Accept-Language": language, "Content-Type": "application/json"}
    answer = city.world.client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if code is None:
        return
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert set(problem) >= {"type", "title", "status", "code", "detail", "remedy", "zh", "problems"}
    is_chinese = any("\u4e00" <= ch <= "\u9fff" for ch in problem["detail"] + problem["remedy"])
    assert is_chinese == language.startswith("zh")
