"""Signing in and out, and where keys go."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_canned import KEY, CannedPlatform, problem
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from zhisuan.cli.credentials import (
    Credentials,
    Profile,
    credentials_file,
    read_credentials,
    resolve_access,
    write_credentials,
)

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHISUAN_URL")
    monkeypatch.delenv("ZHISUAN_API_KEY")


def keys_used(platform: CannedPlatform) -> list[str | None]:
    return [headers.get("Authorization") for *_, headers, _ in platform.calls]


def test_a_key_is_tried_stored_for_its_owner_alone_and_used(run: Run, platform: CannedPlatform) -> None:
    result = run("login", "--url", "http://platform.test/", "--key", "zsk_mine")
    assert result.exit_code == 0, result.stderr
    file = credentials_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert "zsk_mine" not in result.output
    stored = read_credentials()
    assert stored.profiles["default"] == Profile("http://platform.test", "zsk_mine", None, "黄山旅游", "a@b.cn")
    run("wallet")
    assert keys_used(platform) == ["Bearer zsk_mine", "Bearer zsk_mine"]


def test_a_key_that_is_refused_is_not_stored(run: Run, platform: CannedPlatform) -> None:
    platform.answers["GET /me"] = problem(401, "not authenticated")
    assert run("login", "--key", "zsk_wrong").exit_code == 4
    assert not credentials_file().exists()


def test_a_password_becomes_a_key_and_signing_out_revokes_it(run: Run, platform: CannedPlatform) -> None:
    result = run("login", "--email", "a@b.cn", "--password-stdin", stdin="correct horse\n")
    assert result.exit_code == 0, result.stderr
    assert platform.sent("POST /sessions") == {"email": "a@b.cn", "password": "correct horse"}
    assert [route for route, *_ in platform.calls] == [
        "POST /sessions",
        "POST /keys",
        "DELETE /sessions/current",
        "GET /me",
    ]
    assert keys_used(platform) == [None, "Bearer zss_secret", "Bearer zss_secret", "Bearer zsk_secret"]
    assert "correct horse" not in credentials_file().read_text()

    assert run("logout").exit_code == 0
    assert platform.calls[-1][0] == f"DELETE /keys/{KEY['id']}"
    assert "zsk_secret" not in credentials_file().read_text()
    assert run("wallet").exit_code == 4


def test_a_key_whose_answer_was_lost_is_replaced(run: Run, platform: CannedPlatform) -> None:
    withheld = {"id": KEY["id"], "secret": "(shown once, with the first answer)"}
    platform.answers["POST /keys"] = [withheld, {"id": "key_2", "secret": "zsk_second"}]
    run("login", "--email", "a@b.cn", "--password-stdin", stdin="p\n")
    assert f"DELETE /keys/{KEY['id']}" in [route for route, *_ in platform.calls]
    assert read_credentials().profiles["default"].key == "zsk_second"


def test_signing_out_forgets_the_key_even_when_nobody_answers(run: Run, platform: CannedPlatform) -> None:
    run("login", "--email", "a@b.cn", "--password-stdin", stdin="p\n")
    platform.answers[f"DELETE /keys/{KEY['id']}"] = [httpx.ConnectError("refused")] * 5
    assert run("logout").exit_code == 3
    assert read_credentials().profiles["default"].key is None


def test_a_role_that_may_not_revoke_is_told_whom_to_ask(run: Run, platform: CannedPlatform) -> None:
    run("login", "--email", "a@b.cn", "--password-stdin", stdin="p\n")
    platform.answers[f"DELETE /keys/{KEY['id']}"] = problem(403, "forbidden")
    result = run("logout")
    assert result.exit_code == 0
    assert str(KEY["id"]) in result.stderr


def test_a_key_that_one_brought_oneself_is_forgotten_and_not_revoked(run: Run, platform: CannedPlatform) -> None:
    run("login", "--key", "zsk_mine")
    assert run("logout").exit_code == 0
    assert [route for route, *_ in platform.calls] == ["GET /me"]
    assert json.loads(run("logout", "--json").stdout) == {
        "profile": "default",
        "signed_out": False,
        "key_revoked": False,
    }


def test_an_account_is_made_in_the_readers_language_and_signed_in(run: Run, platform: CannedPlatform) -> None:
    words = ["signup", "--organisation", "黄山旅游", "--email", "a@b.cn", "--name", "某", "--password-stdin"]
    assert run(*words, lang="zh", stdin="correct horse\n").exit_code == 0
    assert platform.sent("POST /sign-up") == {
        "kind": "tenant", "organisation": "黄山旅游", "name": "某", "email": "a@b.cn", "password": "correct horse", "language": "zh",
    }  # fmt: skip
    assert read_credentials().profiles["default"].key == "zsk_secret"
    assert run("signup", "--kind", "city", *words[1:], stdin="p\n").exit_code == 2


def test_not_signed_in_names_the_ways_in(run: Run, platform: CannedPlatform) -> None:
    result = run("wallet")
    assert result.exit_code == 4
    assert "zhisuan login" in result.stderr
    assert platform.calls == []
    assert run("catalog").exit_code == 0
    assert keys_used(platform) == [None]


def test_profiles_are_apart(run: Run, platform: CannedPlatform) -> None:
    run("--profile", "city", "login", "--url", "http://city.test", "--key", "zsk_city")
    run("login", "--url", "http://platform.test", "--key", "zsk_last")
    platform.calls.clear()
    run("--profile=city", "wallet")
    run("wallet", ZHISUAN_PROFILE="city")
    run("wallet")
    # Signing in without a name signs in to the profile in use, which is the last one.
    assert keys_used(platform) == ["Bearer zsk_last", "Bearer zsk_last", "Bearer zsk_last"]
    run("--profile", "other", "login", "--key", "zsk_other")
    platform.calls.clear()
    run("--profile", "city", "wallet")
    run("wallet")
    assert keys_used(platform) == ["Bearer zsk_last", "Bearer zsk_other"]
    result = run("--profile", "nobody", "wallet")
    assert result.exit_code == 1
    assert "Known: city, other." in result.stderr


URLS = st.sampled_from(["http://a.test", "http://b.test", "http://a.test/"])


@given(stored=URLS, asked=st.none() | URLS, key=st.none() | st.just("zsk_env"))
def test_a_stored_key_goes_only_where_it_was_stored_for(stored: str, asked: str | None, key: str | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ZHISUAN_URL", asked), ("ZHISUAN_API_KEY", key)):
            patch.setenv(name, value) if value else patch.delenv(name, raising=False)
        write_credentials(Credentials(profiles={"default": Profile(stored, "zsk_stored")}))
        access = resolve_access()
    assert access.url == (asked or stored).rstrip("/")
    if key:
        assert access.key == key
    else:
        assert (access.key == "zsk_stored") == (access.url == stored.rstrip("/"))


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)
PROFILES = st.builds(
    Profile, st.just("http://h"), st.none() | NAMES, st.none() | NAMES, st.none() | NAMES, st.none() | NAMES
)


@given(profiles=st.dictionaries(NAMES, PROFILES, max_size=4), current=NAMES)
def test_what_is_stored_is_read_again(profiles: dict[str, Profile], current: str) -> None:
    write_credentials(Credentials(current, profiles))
    assert read_credentials() == Credentials(current, profiles)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"profiles": 3}', '{"profiles": {"a": {}}}', b"\xff"])
def test_a_broken_file_is_named_with_the_remedy(run: Run, content: Any) -> None:
    file = credentials_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("wallet", COLUMNS="500")
    assert result.exit_code == 1
    assert "credentials.json" in result.stderr
    assert "zhisuan login" in result.stderr


def test_a_failed_write_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_credentials(Credentials(profiles={"default": Profile("http://h", "old")}))

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_credentials(Credentials(profiles={"default": Profile("http://h", "new")}))
    assert read_credentials().profiles["default"].key == "old"
    assert [p.name for p in Path(credentials_file().parent).iterdir()] == ["credentials.json"]
