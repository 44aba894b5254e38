"""Token counts: as reported, or estimated; and the answers they come from."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.gateway.accounting import (
    TokenCounts,
    content_pieces,
    estimate_input,
    estimate_output,
    estimate_text,
    reported_counts,
)
from zhisuan.gateway.answers import StreamedAnswer, error_message, whole_answer
from zhisuan.gateway.requests import ModelRequest, read_request
from zhisuan.gateway.sse import SseSplitter, event_data

counts = st.integers(0, 10**6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def request(*, stream: bool = True, wants_usage: bool = False, **body: Any) -> ModelRequest:
    return ModelRequest("/v1/chat/completions", "guide", stream, wants_usage, {"model": "guide", **body})


@given(counts, counts, counts)
def test_reported_counts_are_taken_as_they_are(given_tokens: int, made: int, cached: int) -> None:
    usage = {
        "prompt_tokens": given_tokens,
        "completion_tokens": made,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    assert reported_counts(usage) == TokenCounts(given_tokens, min(cached, given_tokens), made, estimated=False)


@pytest.mark.parametrize(
    "usage",
    [None, 5, [], {}, {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": "3"}, {"prompt_tokens": True},
     {"prompt_tokens": 1, "completion_tokens": 1.5}, {"prompt_tokens": 2**60, "completion_tokens": 0}],
)  # fmt: skip
def test_counts_that_make_no_sense_are_none(usage: object) -> None:
    assert reported_counts(usage) is None


@given(json_values)
def test_no_json_value_breaks_the_reading_of_counts_or_texts(value: Any) -> None:
    reported_counts(value)
    if isinstance(value, dict):
        assert content_pieces(value) >= 0
        assert estimate_input(value) >= 0
        assert estimate_output(value) >= 0
    body = {"messages": value, "prompt": value, "choices": value}
    assert estimate_input(body) >= 0
    assert estimate_output(body) >= 0


@given(st.text(max_size=50), st.text(max_size=50))
def test_an_estimate_is_bounded_and_grows_with_the_text(a: str, b: str) -> None:
    assert estimate_text(a) <= estimate_text(a + b) <= estimate_text(a) + estimate_text(b)
    assert 3 * len(a) <= 10 * estimate_text(a) < 6 * len(a) + 10


def test_estimates_by_hand() -> None:
    assert estimate_text("") == 0
    assert estimate_text("a" * 10) == 3
    assert estimate_text("黄山" * 5) == 6
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "a" * 12}, picture]}]}
    # "user" 4 + "text" 4 + 12 + "image_url" 9 ASCII characters; the picture's bytes are no text.
    assert estimate_input(body) == 9
    assert estimate_input({"prompt": [1, 2, 3, 4]}) == 4
    assert estimate_input({"prompt": [[1, 2], [3]]}) == 3
    assert estimate_output({"choices": [{"message": {"content": "a" * 10}}, {"text": "b" * 10}]}) == 6


def stream_of(pieces: list[str], usage: dict[str, Any] | None, *, done: bool = True, finish: bool = True) -> bytes:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}]
    chunks += [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    if finish:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage is not None:
        chunks.append({"choices": [], "usage": usage})
    events = [json.dumps({"model": "upstream", **chunk}) for chunk in chunks] + (["[DONE]"] if done else [])
    return "".join(f"data: {event}\n\n" for event in events).encode()


USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}


@given(
    st.lists(st.text(min_size=1, max_size=6), max_size=6),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 1500), max_size=12),
)
def test_a_stream_is_rewritten_the_same_however_it_is_cut(
    pieces: list[str], has_usage: bool, wants_usage: bool, cuts: list[int]
) -> None:
    raw = stream_of(pieces, USAGE if has_usage else None)
    answer = StreamedAnswer(request(wants_usage=wants_usage))
    out, seen, last = b"", 0, 0
    for cut in [*sorted(min(c, len(raw)) for c in cuts), len(raw)]:
        batch = answer.feed(raw[last:cut])
        out, seen, last = out + batch.body, seen + batch.pieces, cut
    assert answer.done and answer.complete and answer.error is None
    assert seen == len(pieces)
    assert answer.counts == (TokenCounts(7, 0, 9) if has_usage else None)
    out += answer.closing
    data = [event_data(event) for event in SseSplitter().feed(out)]
    assert data.pop() == b"[DONE]"
    chunks = [json.loads(item or b"") for item in data]
    assert {chunk["model"] for chunk in chunks} == {"guide"}
    assert [
        c["choices"][0]["delta"]["content"] for c in chunks if c["choices"] and c["choices"][0]["delta"].get("content")
    ] == pieces
    assert [c["usage"] for c in chunks if "usage" in c] == ([USAGE] if has_usage and wants_usage else [])


def test_usage_in_every_chunk_is_the_latest_and_is_not_shown_unasked() -> None:
    answer = StreamedAnswer(request())
    for made in (1, 2):
        chunk = {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": {**USAGE, "completion_tokens": made}}
        assert b"usage" not in answer.feed(f"data: {json.dumps(chunk)}\n\n".encode()).body
    assert answer.counts == TokenCounts(7, 0, 2)


def test_an_error_event_stops_the_stream_after_what_came_before() -> None:
    answer = StreamedAnswer(request())
    batch = answer.feed(
        stream_of(["a"], None, done=False) + b'data: {"error": {"message": "boom"}}\n\ndata: [DONE]\n\n'
    )
    assert batch.pieces == 1
    assert (answer.error, answer.done) == ("boom", False)
    assert b"boom" not in batch.body


@pytest.mark.parametrize("event", [b"data: {", b"data: 7", b'data: "x"'])
def test_an_event_that_is_no_object_is_an_error(event: bytes) -> None:
    answer = StreamedAnswer(request())
    assert answer.feed(event + b"\n\n") == (b"", 0)
    assert answer.error


@pytest.mark.parametrize(
    "done, finish, complete", [(True, True, True), (False, True, True), (True, False, True), (False, False, False)]
)
def test_when_a_stream_counts_as_complete(done: bool, finish: bool, complete: bool) -> None:
    answer = StreamedAnswer(request())
    answer.feed(stream_of(["a"], None, done=done, finish=finish))
    answer.end()
    assert answer.complete is complete


def test_a_stream_of_two_choices_is_complete_when_both_have_finished() -> None:
    answer = StreamedAnswer(request())

    def feed(index: int, reason: str | None) -> None:
        chunk = {"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": reason}]}
        answer.feed(f"data: {json.dumps(chunk)}\n\n".encode())

    feed(0, None)
    feed(1, None)
    feed(0, "stop")
    assert not answer.complete
    feed(1, "length")
    assert answer.complete


def test_the_last_event_needs_no_empty_line_and_comments_pass() -> None:
    answer = StreamedAnswer(request())
    assert answer.feed(b": still thinking\n\ndata: [DONE]").body == b": still thinking\n\n"
    answer.end()
    assert answer.done


def test_tool_calls_and_reasoning_are_content() -> None:
    assert (
        content_pieces({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}, {"delta": {"reasoning_content": "x"}}]})
        == 2
    )
    assert content_pieces({"choices": [{"delta": {"role": "assistant", "content": ""}}, {"delta": None}, 7]}) == 0
    assert content_pieces({"choices": None}) == 0


def test_a_whole_answer_keeps_unknown_fields() -> None:
    raw = json.dumps(
        {"model": "up", "choices": [{"message": {"content": "hi"}}], "usage": USAGE, "extra": [1]}
    ).encode()
    answer = whole_answer(request(stream=False), raw)
    assert answer is not None
    assert json.loads(answer.body) == {**json.loads(raw), "model": "guide"}
    assert answer.counts == TokenCounts(7, 0, 9)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"error": {"message": "x"}}'])
def test_what_is_no_answer_is_none(raw: bytes) -> None:
    assert whole_answer(request(stream=False), raw) is None


@pytest.mark.parametrize(
    "shape, message",
    [({"error": {"message": "m"}}, "m"), ({"error": "m"}, "m"), ({"object": "error", "message": "m"}, "m"),
     ({"detail": "m"}, "m"), ({"detail": [{"loc": []}]}, "no reason was given"), ([], "no reason was given"),
     ({"error": {"message": "m" * 9_000}}, "m" * 500)],
)  # fmt: skip
def test_the_sentence_in_an_engines_error(shape: object, message: str) -> None:
    assert error_message(shape) == message


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4), st.booleans())
def test_a_request_is_written_again_with_only_what_must_change(extra: dict[str, Any], stream: bool) -> None:
    body = {**extra, "model": "guide", "stream": stream}
    body.pop("stream_options", None)
    read = read_request("/v1/chat/completions", json.dumps(body).encode())
    written = json.loads(read.upstream_body("upstream/guide"))
    options = {"stream_options": {"include_usage": True}} if stream else {}
    assert written == {**body, "model": "upstream/guide", **options}


def test_other_stream_options_stay() -> None:
    raw = json.dumps(
        {"model": "guide", "stream": True, "stream_options": {"include_usage": False, "other": 1}}
    ).encode()
    read = read_request("/v1/chat/completions", raw)
    assert not read.wants_usage
    assert json.loads(read.upstream_body("u"))["stream_options"] == {"include_usage": True, "other": 1}
