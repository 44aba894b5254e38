"""A replica's answer as a client may see it: what is passed on, what is a failure of the replica."""

from collections.abc import Iterable

import orjson

from zhisuan.base.text import Text
from zhisuan.gateway.answers import error_message
from zhisuan.gateway.errors import SERVER_ERROR, ApiError
from zhisuan.wire.gateway import TunnelHead

PASSED_STATUSES = frozenset((400, 413, 422))
NOT_SERVED_STATUSES = frozenset((404, 405, 501))
RETRY_AFTER_SECONDS_MAX = 120


class UpstreamFailed(Exception):
    """A replica did not answer as it should. ``status`` is what the client gets where no other replica can help."""

    def __init__(self, code: str, why: Text, status: int = 502) -> None:
        super().__init__(why.en)
        self.code = code
        self.why = why
        self.status = status

    def as_api_error(self) -> ApiError:
        return ApiError(
            self.status,
            self.code,
            Text(
                f"The model's replica failed: {self.why.en}. The call is not charged beyond what was delivered; try again.",
                f"模型副本出现故障：{self.why.zh}。未送达的内容不计费，请重试。",
            ),
            kind=SERVER_ERROR,
            retry_after_seconds=1,
        )


def cut_off(code: str, detail: str) -> UpstreamFailed:
    """The stream to the replica broke."""
    return UpstreamFailed(
        "upstream_failed",
        Text(f"the connection to it broke off ({code}{': ' if detail else ''}{detail})", f"与副本的连接中断（{code}）"),
    )


def too_slow(seconds: float) -> UpstreamFailed:
    return UpstreamFailed(
        "upstream_timeout",
        Text(f"it sent nothing for {seconds:g} seconds", f"副本在 {seconds:g} 秒内没有任何输出"),
        status=504,
    )


def malformed(what: str) -> UpstreamFailed:
    return UpstreamFailed("upstream_failed", Text(what, "副本返回的内容无法识别"))


def broken_in_answer(message: str) -> UpstreamFailed:
    return UpstreamFailed("upstream_failed", Text(f"it reported an error: {message}", f"副本报告错误：{message}"))


def refusal(head: TunnelHead, body: bytes, path: str) -> ApiError | UpstreamFailed:
    """What an answer other than 200 means: the client's mistake, passed on, or the replica's failure."""
    message = _message(body)
    if head.status in PASSED_STATUSES:
        return ApiError(
            head.status,
            "rejected_by_model",
            Text(f"The model does not take this request: {message}", f"模型不接受该请求：{message}"),
        )
    if head.status in NOT_SERVED_STATUSES:
        return ApiError(
            404,
            "endpoint_not_served",
            Text(f"This model does not serve {path}: {message}", f"该模型不提供 {path} 接口：{message}"),
        )
    if head.status == 429:
        return ApiError(
            429,
            "rate_limit_exceeded",
            Text(f"The model's replica is busy: {message}", f"模型副本繁忙：{message}"),
            kind="requests",
            retry_after_seconds=_retry_after(head.headers),
        )
    return UpstreamFailed(
        "upstream_failed",
        Text(f"it answered {head.status} ({message})", f"副本返回状态 {head.status}（{message}）"),
    )


def content_type(head: TunnelHead) -> str:
    return (_header(head.headers, "content-type") or "").partition(";")[0].strip().lower()


def _message(body: bytes) -> str:
    try:
        return error_message(orjson.loads(body))
    except orjson.JSONDecodeError:
        return "no reason was given"


def _retry_after(headers: Iterable[tuple[str, str]]) -> int:
    given = _header(headers, "retry-after") or ""
    return min(int(given), RETRY_AFTER_SECONDS_MAX) if given.isascii() and given.isdecimal() else 1


def _header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)
