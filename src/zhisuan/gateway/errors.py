"""Errors as the OpenAI SDK reads them: ``{"error": {message, type, param, code}}`` and the header ``x-should-retry``."""

from typing import Any

import orjson

from zhisuan.base.text import Text

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
Headers = list[tuple[bytes, bytes]]


class ApiError(Exception):
    """An answer other than 200. ``retry_after_seconds`` tells a client when to come back; ``should_retry`` overrules
    the SDK's own rule (it repeats 408, 409, 429 and all of 500 and above)."""

    def __init__(
        self,
        status: int,
        code: str,
        message: Text,
        *,
        kind: str = INVALID_REQUEST,
        param: str | None = None,
        retry_after_seconds: int | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message.en)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.should_retry = should_retry

    def body(self) -> bytes:
        return orjson.dumps({"error": self.as_dict()})

    def as_dict(self) -> dict[str, Any]:
        return {
            "message": self.message.en,
            "message_zh": self.message.zh,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }

    def headers(self) -> Headers:
        extra: Headers = []
        if self.retry_after_seconds is not None:
            extra.append((b"retry-after", b"%d" % self.retry_after_seconds))
        if self.should_retry is not None:
            extra.append((b"x-should-retry", b"true" if self.should_retry else b"false"))
        if self.status == 401:
            extra.append((b"www-authenticate", b"Bearer"))
        if self.status == 413:
            extra.append((b"connection", b"close"))
        return extra


def invalid_key() -> ApiError:
    return ApiError(
        401,
        "invalid_api_key",
        Text(
            "The API key is missing or not valid. Send 'Authorization: Bearer zsk_…' with a key of your organisation.",
            "缺少 API 密钥或密钥无效。请在请求头 Authorization 中以“Bearer zsk_…”的形式提供本组织的密钥。",
        ),
    )


def unfunded() -> ApiError:
    return ApiError(
        429,
        "insufficient_quota",
        Text(
            "No free quota, pack or wallet balance of your organisation covers this call. Top up the wallet or buy a pack.",
            "本组织的免费额度、算力包和钱包余额均不足以支付本次调用。请充值或购买算力包。",
        ),
        kind="insufficient_quota",
        should_retry=False,
    )


def model_not_found(model: str) -> ApiError:
    return ApiError(
        404,
        "model_not_found",
        Text(
            f"The model {model!r} does not exist or is not yours. GET /v1/models lists the models of this key.",
            f"模型 {model!r} 不存在或不属于您。GET /v1/models 可列出该密钥可用的模型。",
        ),
        param="model",
    )


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        "unknown_url",
        Text(f"There is nothing at {method} {path} here.", f"此处没有 {method} {path} 这个接口。"),
    )


def method_not_allowed(method: str, path: str) -> ApiError:
    return ApiError(
        405,
        "method_not_allowed",
        Text(f"{path} does not take {method}.", f"{path} 不支持 {method} 方法。"),
    )


def no_ready_replica(model: str) -> ApiError:
    return ApiError(
        503,
        "no_ready_replica",
        Text(
            f"No replica of the model {model!r} is ready now. Try again shortly; the deployment page shows why.",
            f"模型 {model!r} 目前没有就绪的副本。请稍后重试；部署页面会说明原因。",
        ),
        kind=SERVER_ERROR,
        retry_after_seconds=3,
    )


def not_started() -> ApiError:
    return ApiError(
        503,
        "gateway_starting",
        Text(
            "The gateway has not yet learnt from the server which models there are. Try again shortly.",
            "网关尚未从服务器取得模型列表，请稍后重试。",
        ),
        kind=SERVER_ERROR,
        retry_after_seconds=2,
    )


def cannot_authorise() -> ApiError:
    return ApiError(
        503,
        "authorisation_unavailable",
        Text(
            "The key cannot be checked because the server does not answer the gateway. Try again shortly.",
            "服务器未响应网关，暂时无法校验密钥，请稍后重试。",
        ),
        kind=SERVER_ERROR,
        retry_after_seconds=2,
    )


def metering_unavailable() -> ApiError:
    return ApiError(
        503,
        "metering_unavailable",
        Text(
            "The gateway cannot write its usage journal, so it takes no calls. Its operator must free disk space or "
            "repair the journal.",
            "网关无法写入用量日志，因此暂停受理调用。请网关运维人员清理磁盘或修复日志文件。",
        ),
        kind=SERVER_ERROR,
        retry_after_seconds=5,
    )


def too_many_of_key(limit: int) -> ApiError:
    return ApiError(
        429,
        "rate_limit_exceeded",
        Text(
            f"This key already has {limit} calls running, the most it may have at once. Wait for one to end.",
            f"该密钥已有 {limit} 个调用在进行，达到并发上限。请等待其中一个结束后再试。",
        ),
        kind="requests",
        retry_after_seconds=1,
    )


def too_many_calls() -> ApiError:
    return ApiError(
        503,
        "gateway_overloaded",
        Text("The gateway is full. Try again shortly.", "网关当前已满载，请稍后重试。"),
        kind=SERVER_ERROR,
        retry_after_seconds=1,
    )


def body_too_large(limit: int) -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        Text(
            f"The request body is larger than {limit} bytes. Shorten the input or pass large media by link.",
            f"请求体超过 {limit} 字节。请缩短输入，或以链接方式传递较大的媒体文件。",
        ),
    )


def body_too_slow(seconds: float) -> ApiError:
    return ApiError(
        408,
        "request_timeout",
        Text(
            f"The request body did not arrive within {seconds:g} seconds. Send it again.",
            f"请求体未能在 {seconds:g} 秒内送达，请重新发送。",
        ),
    )


def bad_request(code: str, message: Text, param: str | None = None) -> ApiError:
    return ApiError(400, code, message, param=param)


def internal(request_id: str) -> ApiError:
    return ApiError(
        500,
        "internal_error",
        Text(
            f"The gateway failed on this call. Report the request id {request_id} to its operator.",
            f"网关处理本次调用时出错。请将请求编号 {request_id} 告知运维人员。",
        ),
        kind=SERVER_ERROR,
    )
