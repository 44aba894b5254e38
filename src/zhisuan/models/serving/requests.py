"""Requests of OpenAI's chat and completion interfaces: what is taken, what is refused by name.

A field is never ignored silently. Those in NO_EFFECT only identify the caller. Those in NEUTRAL are refused unless
they have a value that asks for nothing.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zhisuan.models.serving.errors import ApiError, invalid

NO_EFFECT = frozenset(("user", "metadata", "safety_identifier", "prompt_cache_key"))
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "echo": (False,),
    "store": (False,),
    "tools": ([],),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
}
STOPS_MAX = 4
STOP_LENGTH_MAX = 256

StopText = Annotated[str, Field(min_length=1, max_length=STOP_LENGTH_MAX)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TextPart(_Strict):
    type: Literal["text"]
    text: str


class Message(_Strict):
    """One message; this server takes text only, and no tools."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def as_template_input(self) -> dict[str, Any]:
        """The message as chat templates expect it: content as one string."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": self.role, "content": text, **({} if self.name is None else {"name": self.name})}


class StreamOptions(_Strict):
    include_usage: bool | None = None


class _Generation(_Strict):
    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: StopText | Annotated[list[StopText], Field(max_length=STOPS_MAX)] | None = None
    max_tokens: int | None = Field(default=None, ge=1)

    @property
    def stops(self) -> tuple[str, ...]:
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that holds the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(_Generation):
    """Body of ``POST /v1/chat/completions``; ``max_completion_tokens`` is the newer name of ``max_tokens``."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)

    @property
    def tokens_max(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class CompletionRequest(_Generation):
    """Body of ``POST /v1/completions``; without ``max_tokens`` an answer ends after 16, as at OpenAI."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]

    @property
    def text(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]

    @property
    def tokens_max(self) -> int:
        return 16 if self.max_tokens is None else self.max_tokens


Body = TypeVar("Body", ChatRequest, CompletionRequest)


def parse_request(raw: bytes, kind: type[Body]) -> Body:
    """The checked request. Raises ApiError (400) that names every field with something wrong."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}.", None, "invalid_json") from error
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object.", None, "invalid_json")
    _refuse_lone_surrogates(raw, body)
    asked = {name: value for name, value in body.items() if name not in NO_EFFECT}
    for name in [name for name in asked if name in NEUTRAL]:
        value = asked.pop(name)
        if value is not None and not any(_same(value, neutral) for neutral in NEUTRAL[name]):
            raise _unsupported(name, f"only {json.dumps(NEUTRAL[name][0])} is supported")
    try:
        request = kind.model_validate(asked)
    except ValidationError as error:
        raise _refusal(error) from error
    if request.stream_options is not None and not request.stream:
        raise invalid("'stream_options' has a meaning only when 'stream' is true.", "stream_options")
    return request


def _refuse_lone_surrogates(raw: bytes, body: dict[str, Any]) -> None:
    """JSON can spell half a character (``\\ud800``), which is no text and has no tokens."""
    if b"\\u" not in raw:
        return
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise invalid(
            "The request holds half of a surrogate pair (\\ud800 to \\udfff), which is no text.", None
        ) from error


def _same(value: object, neutral: object) -> bool:
    """Equality in JSON, where true is not 1."""
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)


def _unsupported(name: str, detail: str) -> ApiError:
    return invalid(f"'{name}' is not supported by this server: {detail}. Remove it.", name, "unsupported_parameter")


def _refusal(error: ValidationError) -> ApiError:
    """All problems in one message; ``param`` is the place of the first."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    places = [".".join(str(step) for step in problem["loc"]) for problem in problems]
    for place, problem in zip(places, problems, strict=True):
        if problem["type"] == "extra_forbidden":
            return _unsupported(place, "it is not among its fields")
    told = "; ".join(f"'{place}': {problem['msg']}" for place, problem in zip(places, problems, strict=True))
    missing = problems[0]["type"] == "missing"
    return invalid(f"The request cannot be served: {told}.", places[0], "missing_field" if missing else "invalid_value")
