"""Rule 6: a repeated change gets its first answer, the same key with another body is a conflict; no secret is kept."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from api_city import City
from api_world import PASSWORD, number
from sqlalchemy import Text as SqlText
from sqlalchemy import cast, func, select

from zhisuan.base.db import Table
from zhisuan.base.idempotency import IdempotencyKey


def test_a_repeated_change_has_one_effect_and_its_first_answer(city: City) -> None:
    before = city.world.row_counts()["tenancy_project"]
    body = {"name": f"p{number()}"}
    answers = [city.one.owner.call("POST", "/projects", key="same", json=body) for _ in range(3)]
    assert [a.status_code for a in answers] == [201] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert [a.headers.get("idempotency-replayed") for a in answers] == [None, "true", "true"]
    assert city.world.row_counts()["tenancy_project"] == before + 1
    other = city.one.owner.call("POST", "/projects", key="same", json={"name": "other"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_a_key_counts_for_one_organisation_and_one_route(city: City) -> None:
    key = f"shared-{number()}"
    made = {t.owner.post("/projects", {"name": key}, key=key)["id"] for t in (city.one, city.two)}
    assert len(made) == 2
    assert city.one.owner.post("/keys", {"name": key}, key=key)["id"].startswith("key_")


def test_two_calls_at_once_with_one_key_are_one_change(city: City) -> None:
    body, key = {"name": f"p{number()}"}, f"k{number()}"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: city.one.owner.call("POST", "/projects", key=key, json=body), range(4)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1


def test_a_change_that_failed_leaves_its_key_free(city: City) -> None:
    key = f"k{number()}"
    taken = city.one.owner.get("/projects")["items"][0]["name"]
    assert city.one.owner.call("POST", "/projects", key=key, json={"name": taken}).status_code == 409
    assert city.one.owner.call("POST", "/projects", key=key, json={"name": f"free {number()}"}).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_a_change_without_a_usable_key_is_refused(city: City, key: str) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    answer = city.one.owner.call("POST", "/projects", key="", headers=headers, json={"name": "x"})
    assert answer.status_code == 422
    assert answer.json()["code"] == ("invalid_input" if key else "idempotency_key_required")


def test_a_secret_is_shown_once(city: City) -> None:
    for path, body, name in (
        ("/keys", {"name": "k"}, "secret"),
        ("/sites", {"name": f"s{number()}", "region": "CN-AH"}, "join_token"),
    ):
        who = city.one.owner if path == "/keys" else city.site.provider
        first, again = (who.post(path, body, key=f"once{path}") for _ in range(2))
        assert first[name].startswith("zs") and not again[name].startswith("zs")
    body = {
        "kind": "tenant", "organisation": f"o{number()}", "name": "n", "email": f"o{number()}@example.cn",
        "password": PASSWORD,
    }  # fmt: skip
    first, again = (city.world.anyone().post("/sign-up", body, key="once") for _ in range(2))
    assert first["key"]["secret"].startswith("zsk_") and not again["key"]["secret"].startswith("zsk_")


def test_no_secret_stands_in_any_table(city: City, caplog: pytest.LogCaptureFixture) -> None:
    """Bearer secrets, join tokens and passwords: looked for in every column of every row."""
    body = {"name": f"s{number()}", "region": "CN-AH"}
    secrets = [
        city.one.owner.key, city.world.operator.key, city.site.agent.key, PASSWORD,
        city.one.owner.post("/keys", {"name": "k"})["secret"], city.site.provider.post("/sites", body)["join_token"],
        city.world.anyone().post("/sessions", {"email": city.one.owner.email, "password": PASSWORD})["secret"],
    ]  # fmt: skip
    with city.world.database.begin() as tx:
        assert tx.session.scalar(select(func.count()).select_from(IdempotencyKey))
        for table in Table.metadata.sorted_tables:
            for secret in secrets:
                found = (
                    select(func.count()).select_from(table).where(cast(table.table_valued(), SqlText).contains(secret))
                )
                assert not tx.session.scalar(found), f"a secret in {table.name}"
    assert not [s for s in secrets if s and s in caplog.text]


def test_the_stored_answer_is_what_was_answered(city: City) -> None:
    key = f"k{number()}"
    answer = city.one.owner.post("/projects", {"name": key}, key=key)
    with city.world.database.begin() as tx:
        kept = tx.session.scalars(select(IdempotencyKey).where(IdempotencyKey.key == key)).one()
    assert orjson.loads(orjson.dumps(kept.answer)) == answer and kept.status == 201
