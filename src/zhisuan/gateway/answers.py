"""A replica's answer on its way to the client: the public model name, the token counts, what was delivered. Pure."""

from typing import Any, NamedTuple

import orjson

from zhisuan.gateway.accounting import TokenCounts, content_pieces, estimate_input, estimate_output, reported_counts
from zhisuan.gateway.requests import ModelRequest
from zhisuan.gateway.sse import SseSplitter, as_event, event_data

DONE = as_event(b"[DONE]")
_MESSAGE_LENGTH_MAX = 500


class Batch(NamedTuple):
    """Bytes for the client now, and how many pieces of content are in them."""

    body: bytes
    pieces: int


class StreamedAnswer:
    """The events of one streamed answer, rewritten as they pass.

    ``closing`` holds what must wait until the call's usage is kept: the counts the client asked for, and ``[DONE]``.
    """

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._splitter = SseSplitter()
        self._usage_event = b""
        self._open_choices: set[object] = set()
        self._choice_ended = False
        self.done = False
        self.counts: TokenCounts | None = None
        self.error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the model had said all: ``[DONE]`` came, or every choice gave its reason to finish."""
        return self.done or (self._choice_ended and not self._open_choices)

    @property
    def closing(self) -> bytes:
        return self._usage_event + DONE

    def feed(self, data: bytes) -> Batch:
        return self._pass(self._splitter.feed(data))

    def end(self) -> Batch:
        """The replica closed the stream: an event without its closing empty line still counts."""
        left = self._splitter.rest()
        return self._pass([left] if left else [])

    def _pass(self, events: list[bytes]) -> Batch:
        out, pieces = [], 0
        for event in events:
            if self.done or self.error is not None:
                break
            data = event_data(event)
            if data is None:
                out.append(event + b"\n\n")
            elif data.strip() == b"[DONE]":
                self.done = True
            else:
                body, count = self._chunk(data)
                out.append(body)
                pieces += count
        return Batch(b"".join(out), pieces)

    def _chunk(self, data: bytes) -> tuple[bytes, int]:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk = None
        if not isinstance(chunk, dict):
            self.error = "it sent an event that is not a JSON object"
            return b"", 0
        if chunk.get("error"):
            self.error = error_message(chunk)
            return b"", 0
        return self._rewritten(chunk)

    def _rewritten(self, chunk: dict[str, Any]) -> tuple[bytes, int]:
        self.counts = reported_counts(chunk.get("usage")) or self.counts
        if "model" in chunk:
            chunk["model"] = self._request.model
        choices = chunk.get("choices")
        self._follow(choices)
        if not choices and chunk.get("usage"):
            # The extra last chunk: only for a client that asked, and then not before the usage is kept.
            self._usage_event = as_event(orjson.dumps(chunk)) if self._request.wants_usage else b""
            return b"", 0
        if not self._request.wants_usage:
            chunk.pop("usage", None)
        return as_event(orjson.dumps(chunk)), content_pieces(chunk)

    def _follow(self, choices: object) -> None:
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if choice.get("finish_reason"):
                self._open_choices.discard(choice.get("index"))
                self._choice_ended = True
            else:
                self._open_choices.add(choice.get("index"))


class WholeAnswer(NamedTuple):
    body: bytes
    counts: TokenCounts


def whole_answer(request: ModelRequest, raw: bytes) -> WholeAnswer | None:
    """An answer that was not streamed, with its counts; None when it is no JSON object, or an error in disguise."""
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(answer, dict) or answer.get("error"):
        return None
    if "model" in answer:
        answer["model"] = request.model
    counts = reported_counts(answer.get("usage")) or TokenCounts(
        input_tokens=estimate_input(request.body), output_tokens=estimate_output(answer), estimated=True
    )
    return WholeAnswer(orjson.dumps(answer), counts)


def error_message(answer: object) -> str:
    """The sentence in an engine's error, in any of the shapes engines use; short enough to show."""
    found: object = answer
    if isinstance(found, dict) and "error" in found:
        found = found["error"]
    if isinstance(found, dict):
        found = found.get("message") or found.get("detail")
    return (found if isinstance(found, str) and found else "no reason was given")[:_MESSAGE_LENGTH_MAX]
