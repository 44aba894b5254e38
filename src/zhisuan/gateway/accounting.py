"""Tokens of one call: as the replica counted them or, where it did not, estimated. Pure, whole numbers only.

The estimate of a text is 0.3 token for each ASCII character and 0.6 for any other, rounded up: the rates that DeepSeek
publishes for English and Chinese (api-docs.deepseek.com/quick_start/token_usage). Output of a stream is estimated
better: a chunk with content counts as one token, which is how engines send them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ASCII_TENTHS = 3
OTHER_TENTHS = 6

_TEXT_FIELDS = ("messages", "prompt", "tools", "functions")
_MEDIA_FIELDS = frozenset(("image_url", "input_audio", "file", "video_url"))
_CONTENT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call")


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """``input_tokens`` includes the cached ones, as in OpenAI's ``usage``."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False


def reported_counts(usage: object) -> TokenCounts | None:
    """The counts of an OpenAI ``usage`` object; None when it is absent or makes no sense."""
    if not isinstance(usage, dict):
        return None
    given, made = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens", 0))
    if given is None or made is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return TokenCounts(input_tokens=given, cached_input_tokens=min(cached or 0, given), output_tokens=made)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def estimate_text(text: str) -> int:
    ascii_characters = len(text.encode("ascii", errors="ignore"))
    return _tokens(ascii_characters, len(text) - ascii_characters)


def estimate_input(body: dict[str, Any]) -> int:
    """Tokens of what a request gives the model to read: its messages or prompt, and its tools. A prompt given as token
    numbers counts as many tokens as it has. Media (pictures, sound, files) are not counted."""
    ascii_characters = others = numbers = 0
    for name in _TEXT_FIELDS:
        for leaf in _leaves(body.get(name)):
            if isinstance(leaf, str):
                ascii_part = len(leaf.encode("ascii", errors="ignore"))
                ascii_characters += ascii_part
                others += len(leaf) - ascii_part
            elif name == "prompt":
                numbers += 1
    return numbers + _tokens(ascii_characters, others)


def estimate_output(answer: dict[str, Any]) -> int:
    """Tokens of an answer that came whole and without counts."""
    texts = []
    for choice in _choices(answer):
        message = choice.get("message")
        fields = [message.get(name) for name in _CONTENT_FIELDS] if isinstance(message, dict) else []
        texts += [leaf for leaf in _leaves([*fields, choice.get("text")]) if isinstance(leaf, str)]
    return estimate_text("".join(texts))


def content_pieces(chunk: dict[str, Any]) -> int:
    """How many choices of a streamed chunk carry content: text, reasoning or a part of a tool call."""
    pieces = 0
    for choice in _choices(chunk):
        delta = choice.get("delta")
        if choice.get("text") or (isinstance(delta, dict) and any(delta.get(name) for name in _CONTENT_FIELDS)):
            pieces += 1
    return pieces


def _choices(answer: dict[str, Any]) -> list[dict[str, Any]]:
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _tokens(ascii_characters: int, others: int) -> int:
    tenths = ASCII_TENTHS * ascii_characters + OTHER_TENTHS * others
    return -(-tenths // 10)


def _leaves(value: object) -> Iterator[str | int]:
    """Texts and whole numbers in a JSON value, without the fields that hold media."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool)):
            yield item
        elif isinstance(item, dict):
            todo += [inner for name, inner in item.items() if name not in _MEDIA_FIELDS]
        elif isinstance(item, list):
            todo += item
