"""The client, the watch and the gateway box, against recorded answers without a socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from zhisuan.console import gateway, watching
from zhisuan.console.client import Api, ApiAway, ApiProblem, Connection
from zhisuan.console.speech import Speech
from zhisuan.console.watching import Watch

Handler = Callable[[httpx.Request], httpx.Response]


def run(handler: Handler, work: Callable[[Api], Any], secret: str | None = "zss_secret") -> Any:
    async def go() -> Any:
        connection = Connection("http://platform.invalid", httpx.MockTransport(handler))
        try:
            return await work(Api(connection, "zh", secret))
        finally:
            await connection.close()

    return asyncio.run(go())


def test_a_call_carries_credential_and_language() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"ok": 1})

    assert run(answer, lambda api: api.get("/wallet", month=None, limit=5)) == {"ok": 1}
    assert str(seen[0].url) == "http://platform.invalid/api/v1/wallet?limit=5"
    assert seen[0].headers["authorization"] == "Bearer zss_secret" and seen[0].headers["accept-language"] == "zh"
    run(answer, lambda api: api.get("/catalog"), secret=None)
    assert "authorization" not in seen[1].headers


def test_the_secret_is_not_in_what_is_printed() -> None:
    connection = Connection("http://platform.invalid", httpx.MockTransport(lambda _: httpx.Response(200)))
    assert "zss_secret" not in repr(Api(connection, "zh", "zss_secret"))
    asyncio.run(connection.close())


def test_a_change_that_breaks_off_goes_again_with_the_same_key() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.RemoteProtocolError("the connection broke")
        return httpx.Response(201, json={"id": "job_1"})

    assert run(answer, lambda api: api.post("/workloads", {"file": "x"}))["id"] == "job_1"
    assert len(keys) == 2 and len(set(keys)) == 1
    run(answer, lambda api: api.post("/workloads", {"file": "x"}))
    assert len(set(keys)) == 2, "another change has another key"


def test_a_refusal_says_what_and_what_to_do() -> None:
    problem = {"code": "invalid_workload", "detail": "文件有误。", "remedy": "请修改。", "problems": [{"where": "run", "en": "is needed", "zh": "不能为空"}]}
    with pytest.raises(ApiProblem) as told:
        run(lambda _: httpx.Response(422, json=problem), lambda api: api.post("/quotes", {}))
    assert (told.value.status, told.value.code, told.value.detail, told.value.remedy) == (422, "invalid_workload", "文件有误。", "请修改。")
    assert told.value.field_lines(Speech("en")) == ["run: is needed"]


@pytest.mark.parametrize("answer", [httpx.Response(502, text="bad gateway"), httpx.Response(200, text="<html>"), httpx.Response(200, json=[1])])
def test_what_is_not_of_the_interface_is_no_answer(answer: httpx.Response) -> None:
    with pytest.raises(ApiAway):
        run(lambda _: answer, lambda api: api.get("/me"))


def test_nobody_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ApiAway):
        run(refuse, lambda api: api.get("/me"))


def sse(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b": a comment\n\n" + b"".join(f"event: {n}\ndata: ".encode() + orjson.dumps(data) + b"\n\n" for n, data in events)


def log(text: str, end: int) -> tuple[str, dict[str, Any]]:
    return "log", {"text": text, "next_offset": end}


def watched(streams: list[bytes], monkeypatch: pytest.MonkeyPatch, *, pause: bool = False) -> tuple[list[str], list[str], list[str], list[str]]:
    """What a page is told while the platform answers with ``streams`` one after another."""
    monkeypatch.setattr(watching, "RETRY_SECONDS", (0.0,))
    offsets: list[str] = []
    texts: list[str] = []
    states: list[str] = []
    links: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        offsets.append(request.url.params["offset"])
        if not streams:
            return httpx.Response(404, json={"detail": "gone"})
        return httpx.Response(200, content=streams.pop(0))

    async def work(api: Api) -> None:
        async def on_state(workload: dict[str, Any]) -> None:
            states.append(workload["state"])

        watch = Watch(api, "job_1", "[cut]\n", texts.append, on_state, links.append)
        if pause:
            watch.pause(True)
        await watch.run()
        if pause:
            assert texts == []
            watch.pause(False)

    run(answer, work)
    return texts, states, links, offsets


def test_a_watch_goes_on_where_a_broken_link_left_off(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [sse(("state", {"state": "running"}), log("one\n", 4)), sse(log("two\n", 8), log("three\n", 14), ("end", {"state": "succeeded"}))]
    texts, states, links, offsets = watched(streams, monkeypatch)
    assert "".join(texts) == "one\ntwo\nthree\n"
    assert offsets == ["0", "4"]
    assert states == ["running", "succeeded"] and links == ["live", "ended"]


def test_a_watch_of_what_is_gone_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, _, _, offsets = watched([sse(log("last\n", 5))], monkeypatch)
    assert "".join(texts) == "last\n" and offsets == ["0", "5"]


def test_a_pause_holds_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, *_ = watched([sse(log("one\n", 4), log("two\n", 8), ("end", {"state": "failed"}))], monkeypatch, pause=True)
    assert texts == ["one\ntwo\n"]


def test_more_than_a_page_can_show_is_cut_at_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BACKLOG_CHARACTERS_MAX", 100)
    lines = [f"line {n:03}\n" for n in range(200)]
    texts, *_ = watched([sse(*[log(x, n + 1) for n, x in enumerate(lines)], ("end", {"state": "succeeded"}))], monkeypatch, pause=True)
    text = "".join(texts)
    assert text.startswith("[cut]\n") and text.endswith(lines[-1]) and len(text) <= 300
    assert text.removeprefix("[cut]\n") in "".join(lines), "what is left is whole lines in order"


def chat_pieces(content: bytes, status: int = 200, monkeypatch: pytest.MonkeyPatch | None = None) -> list[gateway.Piece]:
    assert monkeypatch is not None
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, content=content)

    real = httpx.AsyncClient
    monkeypatch.setattr(gateway.httpx, "AsyncClient", lambda **more: real(transport=httpx.MockTransport(answer)))

    async def go() -> list[gateway.Piece]:
        found: AsyncIterator[gateway.Piece] = gateway.chat("http://gate.invalid/v1/", "zsk_key", "m", [{"role": "user", "content": "hi"}])
        return [piece async for piece in found]

    try:
        return asyncio.run(go())
    finally:
        assert str(seen[0].url) == "http://gate.invalid/v1/chat/completions"
        assert seen[0].headers["authorization"] == "Bearer zsk_key" and b"zsk_key" not in seen[0].content


def test_a_chat_comes_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{}}]}\n\n'
            b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n')  # fmt: skip
    pieces = chat_pieces(body, monkeypatch=monkeypatch)
    assert "".join(p.text for p in pieces) == "a"
    assert (pieces[-1].input_tokens, pieces[-1].output_tokens) == (3, 1)


@pytest.mark.parametrize(("status", "body", "wanted"), [(401, b'{"error":{"message":"no key"}}', "no key"), (500, b"oops", "500"), (200, b'data: {"error":{"message":"no budget"}}\n\n', "no budget")])  # fmt: skip
def test_a_refusal_of_the_gateway_is_its_own_words(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, wanted: str) -> None:
    with pytest.raises(gateway.GatewayRefused, match=wanted):
        chat_pieces(body, status, monkeypatch)


@pytest.mark.parametrize("body", [b"data: {not json\n\n", b'data: {"choices":[1]}\n\n', b"data: []\n\n"])
def test_an_answer_that_is_none_of_the_interface(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with pytest.raises(gateway.GatewayAway):
        chat_pieces(body, 200, monkeypatch)


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "ANSWER_CHARACTERS_MAX", 10)
    pieces = chat_pieces(b'data: {"choices":[{"delta":{"content":"12345"}}]}\n\n' * 50, monkeypatch=monkeypatch)
    assert sum(len(p.text) for p in pieces) <= 15
