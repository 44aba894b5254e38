"""``chat``: the OpenAI protocol, as the gateway speaks it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cli_canned import CannedPlatform
from typer.testing import Result

Run = Callable[..., Result]


class Gateway:
    """Answers each question with its number; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answer: httpx.Response | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url == "http://gateway.test/v1/chat/completions"
        self.asked.append(json.loads(request.content))
        self.keys.append(request.headers["Authorization"])
        if self.answer is not None:
            return self.answer
        words = ["迎客松", "\u2028在", f"玉屏楼 {len(self.asked)}"]
        chunks: list[dict[str, Any]] = [{"choices": [{"delta": {"content": w}, "finish_reason": None}]} for w in words]
        chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        chunks += [{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}}]
        body = (
            ": open\n\n"
            + "".join(f"data: {json.dumps(c, ensure_ascii=False)}\n\n" for c in chunks)
            + "data: [DONE]\n\n"
        )
        return httpx.Response(200, content=body.encode())


@pytest.fixture
def gateway(platform: CannedPlatform, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()
    monkeypatch.setattr("zhisuan.cli.chat.transport", lambda: httpx.MockTransport(made))
    return made


def test_one_question_is_answered_as_it_comes_with_the_tokens_beside(run: Run, gateway: Gateway) -> None:
    result = run(
        "chat", "huangshan", "迎客松在哪里？", "--system", "简短。", "--max-tokens", "50", "--temperature", "0.5"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "迎客松\u2028在玉屏楼 1\n"
    assert "9 tokens in, 5 out" in result.stderr
    assert gateway.keys == ["Bearer zsk_test"]
    assert gateway.asked == [
        {
            "model": "huangshan", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 50, "temperature": 0.5,
            "messages": [{"role": "system", "content": "简短。"}, {"role": "user", "content": "迎客松在哪里？"}],
        }
    ]  # fmt: skip


def test_as_one_document(run: Run, gateway: Gateway) -> None:
    assert json.loads(run("chat", "huangshan", "?", "--json").stdout) == {
        "model": "huangshan", "message": "迎客松\u2028在玉屏楼 1", "finish_reason": "stop",
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
    }  # fmt: skip


def test_a_conversation_remembers_what_was_said(run: Run, gateway: Gateway) -> None:
    result = run("chat", "huangshan", stdin="一\n二\n/exit\n三\n")
    assert result.stdout == "迎客松\u2028在玉屏楼 1\n迎客松\u2028在玉屏楼 2\n"
    assert [m["content"] for m in gateway.asked[1]["messages"]] == ["一", "迎客松\u2028在玉屏楼 1", "二"]
    turns = json.loads(run("chat", "huangshan", "--json", stdin="一\n\n").stdout)["turns"]
    assert [t["user"] for t in turns] == ["一"]


@pytest.mark.parametrize(("status", "expected"), [(401, 4), (402, 1), (404, 1), (429, 1), (503, 3)])
def test_a_refusal_of_the_gateway_is_told_in_its_words(run: Run, gateway: Gateway, status: int, expected: int) -> None:
    error = {"error": {"message": "The model 'x' is not yours.", "type": "t", "code": "model_not_found"}}
    gateway.answer = httpx.Response(status, json=error)
    result = run("chat", "x", "?", "--json")
    assert result.exit_code == expected
    document = json.loads(result.stderr)
    assert (document["detail"], document["code"]) == ("The model 'x' is not yours.", "model_not_found")


def test_an_answer_that_breaks_off_is_an_error(run: Run, gateway: Gateway) -> None:
    piece = json.dumps({"choices": [{"delta": {"content": "half"}}]})
    gateway.answer = httpx.Response(
        200, content=f'data: {piece}\n\ndata: {{"error": {{"message": "site lost"}}}}\n\n'.encode()
    )
    result = run("chat", "x", "?")
    assert result.exit_code == 3
    assert result.stdout.startswith("half")
    assert "site lost" in result.stderr
    gateway.answer = httpx.Response(200, content=f"data: {piece}\n\n".encode())
    result = run("chat", "x", "?")
    assert result.exit_code == 3
    assert "broke off" in result.stderr


def test_a_temperature_that_is_none_is_a_mistake(run: Run, gateway: Gateway) -> None:
    for wrong in ("warm", "[]", "NaN"):
        assert run("chat", "x", "?", "--temperature", wrong).exit_code == 2
    assert gateway.asked == []


def test_without_a_gateway_it_says_so(run: Run, platform: CannedPlatform) -> None:
    platform.answers["GET /platform"] = {"version": "1", "gateway_url": None}
    result = run("chat", "x", "?")
    assert result.exit_code == 3
    assert "no model gateway" in result.stderr
