"""Signing in, up and out; where one lands; what of a session ever leaves the server."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from console_setup import Served

SECRET = re.compile(rb"zss_\w+")


def client(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, trust_env=False)


def enter(http: httpx.Client, person: str = "tenant", **more: str) -> httpx.Response:
    return http.post("/sign-in", data={"email": f"{person}@example.com", "password": "good", **more})


def test_pages_lead_to_sign_in_and_back(page: Any, served: Served) -> None:
    page.goto(f"{served.url}/workloads?state=running&kind=job")
    page.wait_for_selector("input[name=email]")
    assert "/sign-in?next=" in page.url
    page.fill("input[name=email]", "tenant@example.com")
    page.fill("input[name=password]", "good")
    page.get_by_role("button", name="登录", exact=True).click()
    page.get_by_role("heading", name="工作负载").wait_for()
    assert page.url == f"{served.url}/workloads?state=running&kind=job"


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "/\t/evil.example", "/\n/evil.example",
     "javascript:alert(1)", "///evil.example", "/%5Cevil.example/..//x", "http:evil.example", "/sign-in?next=/x", "", "relative"],
)  # fmt: skip
def test_a_return_path_never_leads_elsewhere(served: Served, target: str) -> None:
    with client(served) as http:
        answer = enter(http, next=target)
        assert answer.status_code == 303
        landed = httpx.URL(served.url).join(answer.headers["location"])
        assert (landed.host, landed.scheme) == ("127.0.0.1", "http")
        assert landed.path == "/" or target.startswith("/%5C")
        page = http.get(f"/sign-in?next={quote(target)}", follow_redirects=False)
        assert httpx.URL(served.url).join(page.headers["location"]).host == "127.0.0.1"


def test_a_wrong_password_says_so_and_keeps_the_address(page: Any, served: Served) -> None:
    page.goto(f"{served.url}/sign-in")
    page.fill("input[name=email]", "tenant@example.com")
    page.fill("input[name=password]", "wrong")
    page.press("input[name=password]", "Enter")
    page.get_by_role("alert").get_by_text("邮箱或密码不正确。").wait_for()
    assert page.input_value("input[name=email]") == "tenant@example.com"
    assert page.input_value("input[name=password]") == ""
    page.reload()
    page.wait_for_selector("h1")
    assert page.get_by_role("alert").count() == 0


def test_sign_up_shows_the_key_once(page: Any, served: Served) -> None:
    page.goto(f"{served.url}/sign-up")
    page.fill("input[name=organisation]", "新租户")
    page.fill("input[name=name]", "新人")
    page.fill("input[name=email]", "new@example.com")
    page.fill("input[name=password]", "a long password")
    page.get_by_role("button", name="注册账户").click()
    page.get_by_text("zsk_shownonce").wait_for()
    page.reload()
    page.get_by_role("heading", name="概览").wait_for()
    assert page.get_by_text("zsk_shownonce").count() == 0
    page.get_by_text("还没有工作负载").wait_for()
    assert page.get_by_text("zhisuan launch job.yaml").count() == 1


def test_a_refused_sign_up_keeps_what_was_typed(page: Any, served: Served) -> None:
    page.goto(f"{served.url}/sign-up")
    page.get_by_label("提供算力（提供方）").check()
    for name, value in (("organisation", "老组织"), ("name", "老人"), ("email", "taken@example.com"), ("password", "pw")):
        page.fill(f"input[name={name}]", value)
    page.get_by_role("button", name="注册账户").click()
    page.get_by_role("alert").get_by_text("email: 已被使用").wait_for()
    assert page.input_value("input[name=organisation]") == "老组织"
    assert page.get_by_label("提供算力（提供方）").is_checked()


def test_sign_out_ends_the_session_at_the_platform(sign_in: Callable[..., Any], seen: Any, served: Served) -> None:
    page = sign_in("tenant")
    before = len(seen("DELETE", "/sessions/current"))
    page.get_by_role("button", name="退出登录").click()
    page.get_by_text("您已退出登录。").wait_for()
    assert len(seen("DELETE", "/sessions/current")) == before + 1
    page.goto(f"{served.url}/bill")
    page.wait_for_selector("input[name=email]")


def test_the_session_secret_stays_on_the_server(sign_in: Callable[..., Any], served: Served) -> None:
    page = sign_in("tenant")
    bodies: list[bytes] = []
    page.on("response", lambda r: bodies.append(r.body()) if "text/html" in r.headers.get("content-type", "") else None)
    for path in ("/", "/workloads", "/workloads/job_watched", "/bill"):
        page.goto(served.url + path)
        page.wait_for_selector("h1")
    seen_by_browser = b"".join(bodies) + str(page.context.cookies()).encode() + page.content().encode()
    assert bodies and not SECRET.search(seen_by_browser)
    assert not SECRET.search(served.log.read_bytes())
    kept = b"".join(f.read_bytes() for f in served.storage.glob("storage-user-*"))
    assert SECRET.search(kept)
    assert served.storage.stat().st_mode & 0o077 == 0


def test_signing_in_gives_the_browser_a_new_id(served: Served) -> None:
    with client(served) as http:
        http.get("/sign-in")
        planted = http.cookies["zhisuan_console"]
        enter(http)
        assert http.cookies["zhisuan_console"].split(".")[0] != planted.split(".")[0]
        assert http.get("/").status_code == 200
    with client(served) as other:
        other.cookies.set("zhisuan_console", planted)
        assert other.get("/").headers["location"] == "/sign-in"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/sign-up"])
def test_forms_from_elsewhere_are_refused(served: Served, path: str, headers: dict[str, str]) -> None:
    with client(served) as http:
        enter(http)
        answer = http.post(path, data={"email": "operator@example.com", "password": "good"}, headers=headers)
        assert answer.headers["location"] == "/sign-in"
        assert "Zhouming" not in http.get("/").text
        assert "陈知行" in http.get("/").text.encode().decode("unicode_escape", "ignore") + http.get("/").text


def test_a_session_that_ended_asks_to_sign_in_again(sign_in: Callable[..., Any], served: Served) -> None:
    page = sign_in("tenant")
    httpx.post(f"{served.url}/test/end-sessions", trust_env=False)
    page.goto(f"{served.url}/models")
    page.get_by_text("登录已过期。").wait_for()
    assert "next=%2Fmodels" in page.url


def test_pages_guard_themselves(served: Served) -> None:
    with client(served) as http:
        headers = http.get("/sign-in").headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "httponly" in headers["set-cookie"].lower() and "samesite=lax" in headers["set-cookie"].lower()
        assert headers["cache-control"] == "no-store"


def test_addresses_of_the_interface_stay_the_interfaces(served: Served) -> None:
    with client(served) as http:
        assert "text/html" not in http.get("/api/v1/nothing").headers["content-type"]
        assert http.delete("/api/v1/wallet").status_code == 405
        assert "set-cookie" not in http.get("/api/v1/catalog").headers
        missing = http.get("/nowhere")
        assert missing.status_code == 404 and "页面不存在" in missing.text
