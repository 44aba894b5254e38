"""Which requests are taken, and how the others are refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.models.serving.errors import ApiError
from zhisuan.models.serving.requests import NEUTRAL, NO_EFFECT, ChatRequest, CompletionRequest, parse_request

USER = {"role": "user", "content": "黄山在哪里？"}


def chat(**changes: Any) -> ChatRequest:
    body = {"model": "scenic-qa", "messages": [USER], **changes}
    return parse_request(json.dumps(body).encode(), ChatRequest)


def refused(**changes: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        chat(**changes)
    assert caught.value.status == 400
    assert caught.value.body()["error"]["type"] == "invalid_request_error"
    return caught.value


def test_the_least_request() -> None:
    request = chat()
    assert (request.temperature, request.top_p, request.seed, request.tokens_max) == (None, None, None, None)
    assert request.stops == ()
    assert not request.include_usage


def test_all_supported_fields() -> None:
    request = chat(
        stream=True, stream_options={"include_usage": True}, temperature=1, top_p=0.5, seed=-3, stop=["。", "\n"],
        max_tokens=9, max_completion_tokens=7,
    )  # fmt: skip
    assert (request.temperature, request.top_p, request.seed, request.tokens_max) == (1.0, 0.5, -3, 7)
    assert request.stops == ("。", "\n")
    assert request.include_usage
    assert chat(stop="。").stops == ("。",)


def test_content_parts_become_one_text() -> None:
    parts = [{"type": "text", "text": "黄山"}, {"type": "text", "text": "多高"}]
    request = chat(messages=[{"role": "system", "content": "简短"}, {"role": "user", "content": parts, "name": "li"}])
    assert [message.as_template_input() for message in request.messages] == [
        {"role": "system", "content": "简短"},
        {"role": "user", "content": "黄山多高", "name": "li"},
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 2.01), ("temperature", -1), ("temperature", "hot"), ("top_p", 1.5), ("max_tokens", 0),
        ("max_tokens", 1.5), ("max_completion_tokens", -1), ("seed", 2**63), ("seed", True), ("stop", ""), ("stop", 4),
        ("stop", ["a"] * 5), ("stop", ["x" * 300]), ("stream", "yes"), ("model", None), ("model", 5), ("messages", []),
        ("messages", "hello"), ("messages", None),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(field: str, value: object) -> None:
    error = refused(**{field: value})
    assert error.param is not None
    assert error.param.split(".")[0] == field
    assert f"'{field}" in error.message


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ApiError, match="temperature"):
        parse_request(
            b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}', ChatRequest
        )


def test_every_problem_is_told_at_once() -> None:
    error = refused(temperature=9, top_p=9, messages=[{"role": "user"}])
    assert all(name in error.message for name in ("'temperature'", "'top_p'", "'messages.0.content'"))


def test_a_missing_field_has_its_own_code() -> None:
    with pytest.raises(ApiError) as caught:
        parse_request(b'{"messages": [{"role": "user", "content": "a"}]}', ChatRequest)
    assert (caught.value.param, caught.value.code) == ("model", "missing_field")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2), ("n", True), ("tools", [{}]), ("logprobs", True), ("response_format", {"type": "json_object"}),
        ("frequency_penalty", 0.5), ("logit_bias", {"5": 1}), ("functions", []), ("frobnicate", 1), ("store", True),
    ],
)  # fmt: skip
def test_an_unsupported_field_is_refused_by_name(field: str, value: object) -> None:
    error = refused(**{field: value})
    assert (error.param, error.code) == (field, "unsupported_parameter")
    assert f"'{field}'" in error.message


def test_fields_that_ask_for_nothing_are_taken() -> None:
    for field, values in NEUTRAL.items():
        for value in (*values, None):
            chat(**{field: value})
    chat(**dict.fromkeys(NO_EFFECT, "anybody"))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "1"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "a", "tool_calls": []},
    ],
)
def test_messages_that_are_not_text_are_refused(message: dict[str, Any]) -> None:
    error = refused(messages=[message])
    assert error.param is not None
    assert error.param.startswith("messages.0")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse_request(raw, ChatRequest)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ApiError, match="surrogate"):
        parse_request(rb'{"model": "m", "messages": [{"role": "user", "content": "\ud83c"}]}', ChatRequest)
    whole = parse_request(rb'{"model": "m", "messages": [{"role": "user", "content": "\ud83c\udf0b"}]}', ChatRequest)
    assert whole.messages[0].content == "🌋"


def test_stream_options_need_a_stream() -> None:
    assert refused(stream_options={"include_usage": True}).param == "stream_options"


def test_completions() -> None:
    request = parse_request(b'{"model": "m", "prompt": ["abc"], "echo": false, "best_of": 1}', CompletionRequest)
    assert (request.text, request.tokens_max) == ("abc", 16)
    with pytest.raises(ApiError, match="prompt"):
        parse_request(b'{"model": "m", "prompt": ["a", "b"]}', CompletionRequest)


@contextmanager
def catching_refusal() -> Iterator[list[ApiError]]:
    """Collects the refusal, if there is one; any other exception goes through."""
    refusals: list[ApiError] = []
    try:
        yield refusals
    except ApiError as error:
        refusals.append(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*ChatRequest.model_fields, *NEUTRAL, *NO_EFFECT, "other"])


@given(st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_json_is_taken_or_refused_in_the_right_form(changes: dict[str, Any]) -> None:
    with catching_refusal() as refusals:
        chat(**changes)
    for refusal in refusals:
        assert refusal.status == 400
        json.dumps(refusal.body())
