"""Talking to a model at the gateway, as any OpenAI client does."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import orjson

TIMEOUT = httpx.Timeout(120.0, connect=3.0)
ANSWER_CHARACTERS_MAX = 20_000


class GatewayRefused(Exception):
    """The gateway answered with an error; the text is its own."""


class GatewayAway(Exception):
    """The gateway cannot be reached, or broke off."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer; the last one may say what was counted."""

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None


async def chat(base_url: str, key: str, model: str, messages: list[dict[str, str]]) -> AsyncIterator[Piece]:
    """The answer to ``messages``, piece by piece. ``key`` goes out in the header and nowhere else."""
    body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    length = 0
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http,
            http.stream(
                "POST", f"{base_url.rstrip('/')}/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}
            ) as answer,
        ):
            if not answer.is_success:
                raise GatewayRefused(_refusal(await answer.aread(), answer.status_code))
            async for line in answer.aiter_lines():
                data = line[5:].strip() if line.startswith("data:") else ""
                if not data or data == "[DONE]":
                    continue
                piece = _piece(data)
                length += len(piece.text)
                yield piece
                if length > ANSWER_CHARACTERS_MAX:
                    return
    except httpx.HTTPError as error:
        raise GatewayAway(type(error).__name__) from error


def _piece(data: str) -> Piece:
    try:
        found = orjson.loads(data)
        if "error" in found:
            raise GatewayRefused(str(found["error"].get("message", "")))
        usage = found.get("usage") or {}
        text = "".join((c.get("delta") or {}).get("content") or "" for c in found.get("choices") or ())
    except (orjson.JSONDecodeError, AttributeError, TypeError) as error:
        raise GatewayAway("the answer is not of the interface") from error
    return Piece(text, usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _refusal(content: bytes, status: int) -> str:
    try:
        return str(orjson.loads(content)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return str(status)
