"""A wrong request gets one clear problem in both languages, the right status, and leaves no row behind."""

import json
from typing import Any

import pytest
from api_city import City
from api_world import number

RUN = "run: x\n"
TENANT_CASES: list[tuple[str, Any, int, str, str]] = [
    ("/workloads", {"file": RUN + "rnu: y\n"}, 422, "invalid_workload", "rnu"),
    ("/workloads", {"file": RUN + "resources: {cloud: aws, cpus: many}\n"}, 422, "invalid_workload", "resources.cloud"),
    ("/workloads", {"file": "name: x\n"}, 422, "invalid_workload", "run"),
    ("/workloads", {"file": "a: [b\n"}, 422, "invalid_workload", "file"),
    ("/workloads", {"file": "run: \ud800"}, 422, "invalid_input", "file"),
    ("/workloads", {"file": RUN, "color": "red"}, 422, "invalid_input", "color"),
    ("/workloads", {"file": "x" * 300_001}, 422, "invalid_input", "file"),
    ("/workloads", {"file": "run: " + "x" * 270_000}, 413, "too_large", ""),
    ("/workloads", {"file": RUN + "workdir: .\n"}, 422, "invalid_input", "workdir"),
    ("/workloads", {"file": RUN, "mounts": {"../../etc": "blb_x"}}, 422, "invalid_input", "mounts.../../etc"),
    ("/workloads", {"file": RUN + "resources: {accelerators: 'TPU-v9:1'}\n"}, 422, "unknown_device_class", "resources.accelerators"),
    ("/workloads", {"file": RUN + "resources: {accelerators: 'A100:1'}\n"}, 422, "cannot_fit", ""),
    ("/workloads", {"file": RUN + "resources: {cpus: 4000}\n"}, 422, "cannot_fit", ""),
    ("/quotes", {"file": RUN + "resources: {memory: 99999}\n"}, 422, "cannot_fit", ""),
    ("/orders", {"product": "no-such-pack"}, 404, "not_found", ""),
    ("/orders", {"product": "$pack", "quantity": 0}, 422, "invalid_input", "quantity"),
    ("/orders", {"product": "$pack", "quantity": 9999}, 402, "empty_wallet", ""),
    ("/projects", {"name": " "}, 422, "invalid_input", ""),
    ("/members", {"email": "no address", "name": "", "password": "short", "role": "tenant_member"}, 422, "invalid_input", "password"),
    ("/members", {"email": "$email", "name": "n", "password": "long enough 1", "role": "tenant_member"}, 409, "name_taken", ""),
    ("/members", {"email": "a@b.cn", "name": "n", "password": "long enough 1", "role": "operator"}, 403, "forbidden", ""),
    ("/keys", {"name": "k", "role": "emperor"}, 422, "invalid_input", "role"),
    ("/models/qa/versions", {"workload_id": "$service"}, 409, "conflict", ""),
    ("/models/qa/versions", {"workload_id": "$workload", "path": "elsewhere"}, 404, "not_found", ""),
    ("/models/qa/versions", {"workload_id": "$workload", "evaluation_path": "none.json"}, 404, "not_found", ""),
    ("/models/b%20d%0A/versions", {"workload_id": "$workload"}, 422, "invalid_input", ""),
    ("/deployments", {"model": "$model_name"}, 409, "already_deployed", ""),
    ("/deployments", {"model": "$model_name", "version": 99}, 404, "not_found", ""),
    ("/workloads/$workload/cancel", {}, 409, "conflict", ""),
    ("/workloads/$workload/pause", {}, 409, "conflict", ""),
    ("/workloads/$workload/resume", {}, 409, "conflict", ""),
    ("/workloads/$workload/restart", {}, 409, "conflict", ""),
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("path", "body", "status", "code", "where"), TENANT_CASES)
def test_a_wrong_request_of_a_tenant(
    city: City, path: str, body: Any, status: int, code: str, where: str, language: str
) -> None:
    before = city.world.row_counts()
    values = city.one.ids | {"pack": pack_of(city), "email": city.two.owner.email}
    sent = {k: fill(v, values) for k, v in body.items()}
    headers = {"Accept-Language": language, "Content-Type": "application/json"}
    answer = city.one.owner.call("POST", fill(path, values), headers=headers, content=json.dumps(sent))
    _is_one_clear_problem(answer, status, code, where, language)
    assert city.world.row_counts() == before


def fill(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, str) and "$" in value:
        name = value.partition("$")[2].partition("/")[0]
        return value.replace(f"${name}", values[name])
    return value


def pack_of(city: City) -> str:
    product: str = city.world.anyone().get("/catalog")["book"]["packs"][0]["product"]
    return product


def _is_one_clear_problem(answer: Any, status: int, code: str, where: str, language: str) -> None:
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["code"] == code, answer.text
    assert problem["detail"] and problem["remedy"] and problem["zh"]["detail"] and problem["zh"]["remedy"]
    has_chinese = any("\u4e00" <= ch <= "\u9fff" for ch in problem["detail"])
    if language == "zh":
        assert has_chinese and problem["detail"] == problem["zh"]["detail"]
    if where:
        assert where in [p["where"] for p in problem["problems"]], answer.text
        assert all(p["en"] and p["zh"] for p in problem["problems"])


OPERATOR_CASES: list[tuple[str, Any, int, str]] = [
    ("/organisations/$org/top-ups", {"amount_yuan": "0.00", "reference": "r"}, 422, "invalid_input"),
    ("/organisations/$org/top-ups", {"amount_yuan": "1.005", "reference": "r"}, 422, "invalid_input"),
    ("/organisations/$org/top-ups", {"amount_yuan": "-1", "reference": "r"}, 422, "invalid_input"),
    ("/organisations/$org/top-ups", {"amount_yuan": "1\n", "reference": "r"}, 422, "invalid_input"),
    ("/organisations/org_none/top-ups", {"amount_yuan": "1", "reference": "r"}, 404, "not_found"),
    ("/organisations/$org/invoices", {"through": "2026-07-01T00:00:00"}, 422, "invalid_input"),
    ("/organisations/org_none/invoices", {}, 404, "not_found"),
    ("/invoices/inv_none/settlement", {}, 404, "not_found"),
    ("/providers/$org/payouts", {"amount_fen": 1, "reference": "r"}, 404, "not_found"),
    ("/providers/$provider/payouts", {"amount_fen": 10**12, "reference": "r"}, 409, "more_than_owed"),
    ("/price-books", {"yaml": "nothing"}, 422, "invalid_price_book"),
    ("/sites/$site/verify", {}, 409, "conflict"),
    ("/organisations", {"kind": "tenant", "organisation": "x", "name": "n", "email": "e", "password": "p"}, 422, "invalid_input"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "code"), OPERATOR_CASES)
def test_a_wrong_request_of_the_operator(city: City, path: str, body: Any, status: int, code: str) -> None:
    before = city.world.row_counts()
    values = city.one.ids | {"provider": city.site.provider.org_id, "site": city.site.id}
    answer = city.world.operator.call("POST", fill(path, values), json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code, answer.text
    assert city.world.row_counts() == before


@pytest.mark.parametrize(
    "path",
    ["/bill?month=2026-13", "/bill?month=0000-01", "/bill?month=9999-12", "/bill?month=２０２６-01", "/carbon?month=1999-01",
     "/workloads?limit=0", "/workloads?limit=201", "/workloads?cursor=%00", "/workloads?cursor=!!!", "/workloads?state=odd",
     "/workloads/$workload/logs?offset=-1", "/workloads/$workload/logs?limit=1", "/charges?cursor=AA"],
)  # fmt: skip
def test_a_wrong_question_is_refused_and_never_an_error_of_ours(city: City, path: str) -> None:
    answer = city.one.owner.call("GET", fill(path, city.one.ids))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_empty_purse_is_told_before_anything_is_made(city: City) -> None:
    poor = city.world.tenant(None)
    with city.world.database.begin() as tx:  # spend the free quota without running for weeks
        from sqlalchemy import update

        from zhisuan.ledger.tables import Grant

        tx.session.execute(update(Grant).where(Grant.org_id == poor.org_id).values(expires_at=tx.now))
    before = city.world.row_counts()
    for language in ("en", "zh"):
        answer = poor.call("POST", "/workloads", json={"file": RUN}, headers={"Accept-Language": language})
        _is_one_clear_problem(answer, 402, "empty_wallet", "", language)
    assert city.world.row_counts() == before
    city.world.top_up(poor, "1.00")
    made = poor.post("/workloads", {"file": RUN})["workload"]
    assert made["state"] == "placed"
    poor.post(f"/workloads/{made['id']}/cancel")


def test_a_payment_reference_counts_once(city: City) -> None:
    reference = f"bank {number()}"
    path = f"/organisations/{city.two.owner.org_id}/top-ups"
    made = [city.world.operator.post(path, {"amount_yuan": "1.00", "reference": reference})["id"] for _ in range(2)]
    assert made[0] == made[1]
    answer = city.world.operator.call("POST", path, json={"amount_yuan": "2.00", "reference": reference})
    assert (answer.status_code, answer.json()["code"]) == (409, "reference_used")


def test_too_many_wrong_passwords_close_the_door_for_a_while(city: City) -> None:
    person = city.world.tenant(None)
    wrong = {"email": person.email, "password": "not this one at all"}
    codes = [city.world.anyone().call("POST", "/sessions", json=wrong).json()["code"] for _ in range(9)]
    assert codes == ["wrong_sign_in"] * 8 + ["too_many_sign_ins"]
    right = {"email": person.email, "password": "correct horse battery"}
    assert city.world.anyone().call("POST", "/sessions", json=right).status_code == 401
    unknown = {"email": "nobody@example.cn", "password": "x"}
    first, second = (
        city.world.anyone().call("POST", "/sessions", json=b) for b in (unknown, unknown | {"email": "n@x.cn"})
    )
    assert first.json() == second.json()
