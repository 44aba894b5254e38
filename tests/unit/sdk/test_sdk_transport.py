"""Keys, retries, pages and unexpected answers, against a transport that never leaves the process."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.clock import ManualClock
from zhisuan.base.errors import InvalidInput, NotAuthenticated, Unavailable
from zhisuan.sdk import Client, NotReachable, UnexpectedAnswer
from zhisuan.testing.database import START

PLATFORM = "http://platform.test"
ORDER = {
    "id": "ord_1",
    "product": "p",
    "quantity": 1,
    "amount_ucny": 1,
    "quantity_udu": 1,
    "at": "2026-08-01T00:00:00Z",
}
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, *, waits: list[float] | None = None, **more: Any) -> Client:
    return Client(
        PLATFORM,
        "zsk_test",
        transport=httpx.MockTransport(handler),
        pause=(waits if waits is not None else []).append,
        clock=ManualClock(START),
        **more,
    )


def problem(status: int, **more: Any) -> httpx.Response:
    body = {"status": status, "title": "x", "code": "x", "detail": "d", "remedy": "r", **more}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


FAILURES: dict[str, Callable[[], httpx.Response]] = {
    "refused": lambda: (_ for _ in ()).throw(httpx.ConnectError("refused")),
    "cut": lambda: (_ for _ in ()).throw(httpx.RemoteProtocolError("cut off")),
    "slow": lambda: (_ for _ in ()).throw(httpx.ReadTimeout("slow")),
    "502": lambda: httpx.Response(502, text="bad gateway"),
    "503": lambda: problem(503),
    "504": lambda: httpx.Response(504),
}


@given(failures=st.lists(st.sampled_from(sorted(FAILURES)), max_size=4))
def test_a_change_is_repeated_with_the_same_key_and_body_until_it_succeeds(failures: list[str]) -> None:
    left, seen = list(failures), []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["Idempotency-Key"], request.content))
        return FAILURES[left.pop(0)]() if left else httpx.Response(201, json=ORDER)

    keys = iter(["first", "second"])
    with client(handler, retries=4, new_key=lambda: next(keys)) as platform:
        assert platform.buy("p").id == "ord_1"
        assert set(seen) == {("first", b'{"product":"p","quantity":1}')}
        assert len(seen) == len(failures) + 1
        platform.buy("p")
        assert seen[-1][0] == "second"


@given(retries=st.integers(0, 5))
def test_it_gives_up_after_the_retries(retries: int) -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise httpx.ConnectError("refused")

    waits: list[float] = []
    with client(handler, waits=waits, retries=retries) as platform, pytest.raises(NotReachable) as caught:
        platform.health()
    assert len(calls) == retries + 1
    assert len(waits) == retries
    assert PLATFORM in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 429, 500])
def test_a_refusal_is_not_repeated(status: int) -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return problem(status)

    with client(handler) as platform, pytest.raises(Exception, match="d r"):
        platform.buy("p")
    assert len(calls) == 1


def test_the_callers_own_key_is_used_and_reading_has_none() -> None:
    keys = []

    def handler(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("Idempotency-Key"))
        return httpx.Response(200, json=ORDER if request.method == "POST" else {"status": "ok", "version": "1"})

    with client(handler) as platform:
        platform.buy("p", idempotency_key="mine")
        platform.health()
    assert keys == ["mine", None]


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7.0), ("0", 0.0), ("{date}", 12.0)],
)
def test_retry_after_is_honoured_in_both_forms(header: str, expected: float) -> None:
    at = (START + timedelta(seconds=12)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answers = [
        httpx.Response(503, headers={"Retry-After": header.replace("{date}", at)}),
        httpx.Response(200, json=ORDER),
    ]
    waits: list[float] = []
    with client(lambda _: answers.pop(0), waits=waits) as platform:
        platform.buy("p")
    assert waits == [expected]


def test_a_wait_that_is_too_long_is_the_callers_to_decide() -> None:
    waits: list[float] = []
    with (
        client(lambda _: httpx.Response(503, headers={"Retry-After": "3600"}), waits=waits) as platform,
        pytest.raises(Unavailable),
    ):
        platform.buy("p")
    assert waits == []


def test_pauses_grow_and_stay_bounded() -> None:
    waits: list[float] = []
    with client(lambda _: httpx.Response(502), waits=waits, retries=8) as platform, pytest.raises(Unavailable):
        platform.health()
    assert all(0.1 <= w <= 5.0 for w in waits)
    assert waits[0] <= 0.2
    assert waits[-1] >= 2.5


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_pages_give_every_item_once_in_order_and_no_page_too_early(sizes: list[int]) -> None:
    asked: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor")
        asked.append(cursor)
        page = int(cursor) if cursor else 0
        start = sum(sizes[:page])
        items = [ORDER | {"id": f"ord_{start + i}"} for i in range(sizes[page])]
        return httpx.Response(
            200, json={"items": items, "next_cursor": str(page + 1) if page + 1 < len(sizes) else None}
        )

    with client(handler) as platform:
        orders = platform.orders()
        assert asked == []
        if sizes[0]:
            next(orders)
            assert asked == [None]
            rest = [o.id for o in orders]
            assert rest == [f"ord_{i}" for i in range(1, sum(sizes))]
        else:
            assert [o.id for o in orders] == [f"ord_{i}" for i in range(sum(sizes))]
    assert len(asked) == len(sizes)


def test_ids_cannot_leave_their_place_in_the_path() -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return problem(404)

    with client(handler) as platform, pytest.raises(Exception, match="d r"):
        platform.workload("../me?x=1#y")
    assert seen == [b"/api/v1/workloads/..%2Fme%3Fx%3D1%23y"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(200, text="<html>hello</html>"), "<html>hello</html>"),
        (httpx.Response(200, json={"status": "ok"}), "version: Field required"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.test"}), "302"),
        (httpx.Response(500, text="oops"), "oops"),
        (httpx.Response(404, json={"detail": "Not Found"}), "Not Found"),
    ],
)
def test_an_answer_of_something_else_says_so(answer: httpx.Response, told: str) -> None:
    with client(lambda _: answer) as platform, pytest.raises(UnexpectedAnswer) as caught:
        platform.health()
    assert told in str(caught.value)
    assert "GET /api/v1/health" in str(caught.value)


def test_fields_of_a_newer_server_do_no_harm_and_are_kept() -> None:
    answer = {"status": "ok", "version": "9", "mood": {"is": "good"}}
    with client(lambda _: httpx.Response(200, json=answer)) as platform:
        assert platform.health().as_json() == answer


def test_credential_and_language_go_along() -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["Authorization"], request.headers["Accept-Language"]))
        return problem(401, title="not authenticated", zh={"detail": "密钥无效。", "remedy": "请重新登录。"})

    with client(handler, language="zh") as platform, pytest.raises(NotAuthenticated) as caught:
        platform.me()
    assert seen == [("Bearer zsk_test", "zh")]
    assert caught.value.what.zh == "密钥无效。"


@pytest.mark.parametrize("address", ["", "platform.test", "ftp://platform.test", "http://", "file:///etc"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(InvalidInput, match="not the address"):
        Client(address)


@pytest.mark.parametrize("address", ["http://h:1", "http://h:1/", "http://h:1/api/v1", " http://h:1/api/v1/ "])
def test_addresses_are_taken_as_people_write_them(address: str) -> None:
    with Client(address) as platform:
        assert platform.base_url == "http://h:1"


def test_a_proxy_of_the_environment_does_not_catch_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    with Client("http://127.0.0.1:1") as near, Client("http://far.test") as far:
        assert not near._http.trust_env
        assert far._http.trust_env


def test_a_repeated_answer_without_its_secret_is_recognised() -> None:
    answers = [{"id": "key_1", "secret": "zsk_abc"}, {"id": "key_1", "secret": "(shown once, with the first answer)"}]
    with client(lambda _: httpx.Response(201, json=answers.pop(0))) as platform:
        assert [platform.create_key("k").lost for _ in range(2)] == [False, True]
