"""Errors of the embedded model server, in the shape that OpenAI's clients expect.

ApiError
├── invalid            400  the request cannot be served as written
├── context_too_long   400  the prompt leaves no room for an answer
├── not_served     404, 405  no such address, or not with this method
├── model_not_found    404  this server serves one model, and not that one
├── body_too_large     413  the request body is over the limit
├── queue_full         503  every place in the queue is taken; Retry-After says when to come back
├── model_loading      503  the model is not loaded yet
├── shutting_down      503  the server was stopped before the answer was complete
└── server_failed      500  generation broke; the log of the service says how
"""

from typing import Any

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"


class ApiError(Exception):
    """One refused or failed call: an HTTP status and the four fields of OpenAI's error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_seconds = retry_after_seconds

    def body(self) -> dict[str, Any]:
        """The JSON body: ``{"error": {"message", "type", "param", "code"}}``."""
        kind = SERVER_ERROR if self.status >= 500 else INVALID_REQUEST
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_seconds is None else {"retry-after": str(self.retry_after_seconds)}


def invalid(message: str, param: str | None, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, code=code, param=param)


def context_too_long(prompt_tokens: int, context_tokens: int, param: str) -> ApiError:
    return ApiError(
        400,
        f"This model's context holds {context_tokens} tokens and at least one of them must be left for the answer, "
        f"but the prompt has {prompt_tokens}. Shorten it.",
        code="context_length_exceeded",
        param=param,
    )


def model_not_found(asked: str, served: str) -> ApiError:
    return ApiError(
        404,
        f"The model {asked!r} is not served here; this server serves {served!r}.",
        code="model_not_found",
        param="model",
    )


def not_served(status: int, method: str, path: str) -> ApiError:
    return ApiError(
        status,
        f"{method} {path} is not served here. This server has GET /health, GET /v1/models, POST /v1/chat/completions "
        "and POST /v1/completions.",
        code="not_served",
    )


def body_too_large(limit_bytes: int) -> ApiError:
    return ApiError(413, f"The request body is larger than {limit_bytes} bytes. Shorten it.", code="body_too_large")


def queue_full(waiting: int, retry_after_seconds: int) -> ApiError:
    return ApiError(
        503,
        f"{waiting} requests are waiting for this model already. Try again in {retry_after_seconds} s.",
        code="queue_full",
        retry_after_seconds=retry_after_seconds,
    )


def model_loading() -> ApiError:
    return ApiError(
        503,
        "The model is still being loaded. Try again in a moment; GET /health answers 200 once it is ready.",
        code="model_loading",
        retry_after_seconds=1,
    )


def shutting_down() -> ApiError:
    return ApiError(
        503,
        "The server was stopped before this answer was complete. Try again.",
        code="shutting_down",
        retry_after_seconds=1,
    )


def server_failed(detail: str) -> ApiError:
    return ApiError(
        500, f"The model failed while it answered: {detail}. The log of this service has more.", code="failed"
    )
