"""The HTTP interface over a scripted model, called without sockets."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from scripted_model import Inbox, ScriptedModel
from starlette.testclient import TestClient

from zhisuan.base.clock import ManualClock
from zhisuan.models.serving.app import BODY_BYTES_MAX, Served, create_app
from zhisuan.models.serving.generation import GenerationRequest
from zhisuan.models.serving.language_model import LanguageModel
from zhisuan.models.serving.sampler import Sampling
from zhisuan.models.serving.worker import Worker

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ASK = {"model": "scenic-qa", "messages": [{"role": "user", "content": "黄山"}]}


@contextmanager
def serving(model: LanguageModel) -> Iterator[TestClient]:
    worker = Worker(lambda: model, 4, lambda: 0.0, lambda: None)
    app = create_app(Served("scenic-qa", 1_700_000_000, worker, ManualClock(NOW), lambda: "0001"))
    with TestClient(app) as client:
        # An answer means that the model is loaded; a prompt that fails is one too.
        loaded = Inbox()
        worker.submit(GenerationRequest((65,), 1, Sampling(0.0, 1.0, None)), loaded)
        loaded.last()
        yield client


@pytest.fixture
def client() -> Iterator[TestClient]:
    with serving(ScriptedModel("云海、奇松。", context_tokens=50)) as client:
        yield client


def events(text: str) -> list[Any]:
    blocks = text.split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


def error_of(response: Any) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return dict(body["error"])


def test_health_and_models(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "model": "scenic-qa", "waiting": 0}
    card = {"id": "scenic-qa", "object": "model", "created": 1_700_000_000, "owned_by": "zhisuan", "max_model_len": 50}
    assert client.get("/v1/models").json() == {"object": "list", "data": [card]}
    assert client.get("/v1/models/scenic-qa").json() == card
    assert client.get("/v1/models/other/one").status_code == 404


def test_a_whole_chat_answer(client: TestClient) -> None:
    assert client.post("/v1/chat/completions", json=ASK).json() == {
        "id": "chatcmpl-0001", "object": "chat.completion", "created": int(NOW.timestamp()), "model": "scenic-qa",
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": None,
            "message": {"role": "assistant", "content": "云海、奇松。", "refusal": None},
        }],
        "usage": {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8},
    }  # fmt: skip


def test_a_streamed_chat_answer(client: TestClient) -> None:
    response = client.post("/v1/chat/completions", json={**ASK, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    assert all("usage" not in chunk and chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks[1:-1]) == "云海、奇松。"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 7 + ["stop"]
    assert chunks[-1]["choices"][0]["delta"] == {}


def test_usage_comes_last_in_a_stream_that_asks_for_it(client: TestClient) -> None:
    ask = {**ASK, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 2}
    *chunks, last = events(client.post("/v1/chat/completions", json=ask).text)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def test_completions(client: TestClient) -> None:
    ask = {"model": "scenic-qa", "prompt": "黄山", "stop": "。"}
    whole = client.post("/v1/completions", json=ask).json()
    assert (whole["object"], whole["choices"][0]["text"]) == ("text_completion", "云海、奇松")
    chunks = events(client.post("/v1/completions", json={**ask, "stream": True}).text)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "云海、奇松"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"model": "other"}, 404, "model_not_found", "model"),
        ({"messages": [{"role": "user", "content": "山" * 50}]}, 400, "context_length_exceeded", "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "invalid_value", "messages"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 400, "invalid_value", "messages"),
        ({"temperature": "hot"}, 400, "invalid_value", "temperature"),
        ({"messages": [{"role": "user", "content": "山" * BODY_BYTES_MAX}]}, 413, "body_too_large", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals(
    client: TestClient, changes: dict[str, Any], status: int, code: str, param: str | None, stream: bool
) -> None:
    response = client.post("/v1/chat/completions", json={**ASK, **changes, "stream": stream})
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"


def test_unknown_addresses_and_methods_answer_in_the_same_form(client: TestClient) -> None:
    missing, wrong = client.post("/v1/embeddings", json={}), client.get("/v1/chat/completions")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert "POST /v1/embeddings is not served here" in error_of(missing)["message"]
    assert error_of(wrong)["code"] == "not_served"


def test_a_model_that_fails_is_an_error_whole_and_streamed() -> None:
    def fail() -> None:
        raise RuntimeError("out of memory")

    with serving(ScriptedModel("云", before_step=fail)) as client:
        whole = client.post("/v1/chat/completions", json=ASK)
        assert whole.status_code == 500
        assert error_of(whole)["type"] == "server_error"
        streamed = client.post("/v1/chat/completions", json={**ASK, "stream": True})
        assert "[DONE]" not in streamed.text
        last = json.loads(streamed.text.split("\n\n")[-2].removeprefix("data: "))
        assert "out of memory" in last["error"]["message"]


def test_nothing_is_served_before_the_model_is_loaded() -> None:
    worker = Worker(lambda: ScriptedModel("云"), 4, lambda: 0.0, lambda: None)
    app = create_app(Served("scenic-qa", 0, worker, ManualClock(NOW), lambda: "0001"))
    client = TestClient(app)  # not entered: the application's life, and with it the loading, has not begun
    assert client.get("/health").status_code == 503
    assert client.get("/health").json()["status"] == "loading"
    for response in (client.get("/v1/models"), client.post("/v1/chat/completions", json=ASK)):
        assert (response.status_code, error_of(response)["code"]) == (503, "model_loading")
        assert response.headers["retry-after"] == "1"
