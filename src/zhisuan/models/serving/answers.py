"""Answers in OpenAI's form: whole, and as chunks of a stream."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from zhisuan.models.serving.generation import Usage

DONE = b"data: [DONE]\n\n"


def usage_body(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def server_sent_event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


@dataclass(frozen=True)
class AnswerForm:
    """How one answer is written; ``kind`` tells chat messages from plain completions."""

    kind: Literal["chat", "text"]
    id: str
    created: int
    model: str
    with_usage: bool = False

    def whole(self, text: str, finish_reason: str, usage: Usage) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason, "logprobs": None}
        if self.kind == "chat":
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        body = self._body("chat.completion" if self.kind == "chat" else "text_completion", [choice])
        return {**body, "usage": usage_body(usage)}

    def opening(self) -> bytes:
        """The first chunk, which says who speaks; plain completions have none."""
        return self._chunk({"role": "assistant", "content": ""}) if self.kind == "chat" else b""

    def piece(self, text: str) -> bytes:
        return self._chunk({"content": text}, text)

    def closing(self, finish_reason: str, usage: Usage) -> bytes:
        """The chunk with the reason of the end, the usage where it was asked for, and the end mark."""
        last = self._chunk({}, "", finish_reason)
        counted = b""
        if self.with_usage:
            counted = server_sent_event({**self._body(self._stream_object, []), "usage": usage_body(usage)})
        return last + counted + DONE

    @property
    def _stream_object(self) -> str:
        return "chat.completion.chunk" if self.kind == "chat" else "text_completion"

    def _chunk(self, delta: dict[str, str], text: str = "", finish_reason: str | None = None) -> bytes:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason, "logprobs": None}
        choice |= {"delta": delta} if self.kind == "chat" else {"text": text}
        body = self._body(self._stream_object, [choice])
        return server_sent_event({**body, "usage": None} if self.with_usage else body)

    def _body(self, name: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": name, "created": self.created, "model": self.model, "choices": choices}
