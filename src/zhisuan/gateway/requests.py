"""What a client asks for: read, checked and written again for the replica. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from zhisuan.base.text import Text
from zhisuan.gateway.errors import bad_request

MODEL_NAME_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call: ``body`` is the client's JSON object; fields this gateway does not know stay in it untouched."""

    path: str
    model: str
    stream: bool
    wants_usage: bool
    body: dict[str, Any]

    def upstream_body(self, upstream_model: str) -> bytes:
        """The body for a replica: its own name of the model, and token counts asked for at the end of a stream."""
        changed = {**self.body, "model": upstream_model}
        if self.stream:
            changed["stream_options"] = {**(self.body.get("stream_options") or {}), "include_usage": True}
        return orjson.dumps(changed)


def read_request(path: str, raw: bytes) -> ModelRequest:
    """The request in ``raw``; ``ApiError`` 400 names what is wrong with it."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            "invalid_json",
            Text(
                f"The request body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
                f"请求体不是合法的 JSON：第 {error.lineno} 行第 {error.colno} 列附近有误。",
            ),
        ) from None
    if not isinstance(body, dict):
        raise bad_request(
            "invalid_json", Text("The request body must be a JSON object.", "请求体必须是一个 JSON 对象。")
        )
    model = body.get("model")
    if not isinstance(model, str) or not model or len(model) > MODEL_NAME_LENGTH_MAX:
        raise bad_request(
            "model_required",
            Text(
                "'model' must be the name of a model; GET /v1/models lists them.",
                "“model”须为模型名称，可用 GET /v1/models 查看。",
            ),
            param="model",
        )
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise bad_request(
            "invalid_type", Text("'stream' must be true or false.", "“stream”须为 true 或 false。"), "stream"
        )
    return ModelRequest(path=path, model=model, stream=stream, wants_usage=_wants_usage(body), body=body)


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    wants = options.get("include_usage") or False if isinstance(options, dict) else None
    if not isinstance(wants, bool):
        raise bad_request(
            "invalid_type",
            Text(
                "'stream_options' must be an object whose 'include_usage' is true or false.",
                "“stream_options”须为对象，其中“include_usage”须为 true 或 false。",
            ),
            "stream_options",
        )
    return wants
