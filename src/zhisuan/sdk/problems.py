"""Problem documents (RFC 9457) → the error tree of ``base.errors``.

| answer | raised |
| --- | --- |
| a problem whose class or code is in the tree | that class: ``NotFound``, ``PaymentRequired``, ``IdempotencyConflict`` … |
| a problem with another status | ``ApiProblem`` |
| no answer at all | ``NotReachable`` |
| an answer that is no problem document, or not of this API | ``UnexpectedAnswer`` (502, 503, 504: ``Unavailable``) |
"""

from typing import Any

from zhisuan.base.errors import (
    AgentTooOld,
    CannotFit,
    Conflict,
    FieldProblem,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PaymentRequired,
    StaleGeneration,
    StorageFull,
    TooLarge,
    Unavailable,
    ZhisuanError,
)
from zhisuan.base.text import Text

_TREE: tuple[type[ZhisuanError], ...] = (
    InvalidInput, NotAuthenticated, Forbidden, NotFound, Conflict, IdempotencyConflict, StaleGeneration,
    PaymentRequired, CannotFit, TooLarge, Unavailable, StorageFull, AgentTooOld,
)  # fmt: skip
_BY_CODE = {error.default_code: error for error in _TREE}
_BY_STATUS: dict[int, type[ZhisuanError]] = {
    401: NotAuthenticated, 402: PaymentRequired, 403: Forbidden, 404: NotFound, 409: Conflict, 413: TooLarge,
    422: InvalidInput, 426: AgentTooOld, 503: Unavailable, 507: StorageFull,
}  # fmt: skip
GATEWAY_STATUSES = frozenset({502, 503, 504})


class ApiProblem(ZhisuanError):
    """A problem whose status has no class of its own, such as 429 or 500; ``http_status`` is the answer's."""

    default_code = "api_problem"

    def __init__(self, what: Text, remedy: Text, *, http_status: int, **more: Any) -> None:
        super().__init__(what, remedy, **more)
        self.http_status = http_status

    def as_problem(self, language: str = "en") -> dict[str, Any]:
        return {**super().as_problem(language), "status": self.http_status}


class NotReachable(Unavailable):
    """Nothing answers at the platform's address."""

    default_code = "not_reachable"


class UnexpectedAnswer(ZhisuanError):
    """Something answered, and it is not this version of the API."""

    default_code = "unexpected_answer"


def not_reachable(base_url: str, cause: Exception) -> NotReachable:
    told = str(cause) or type(cause).__name__
    return NotReachable(
        Text(f"No answer from {base_url}: {told}.", f"{base_url} 没有应答：{told}。"),
        Text(
            "Check the address and that the platform runs there ('zhisuan up' starts one here), then try again.",
            "请核对地址，确认平台正在运行（在本机启动：zhisuan up），然后重试。",
        ),
    )


def unexpected(where: str, status: int, told: str) -> ZhisuanError:
    """For an answer that is not of this API: an error page of a proxy, another service, another version."""
    what = Text(
        f"The answer to {where} (HTTP {status}) is not one of the zhisuan API: {told}",
        f"{where} 的应答（HTTP {status}）不符合 zhisuan API：{told}",
    )
    if status in GATEWAY_STATUSES:
        remedy = Text("A proxy before the platform gave up; try again soon.", "平台前的代理未能转发请求；请稍后重试。")
        return Unavailable(what, remedy, code="bad_gateway")
    return UnexpectedAnswer(
        what,
        Text(
            "Check that the address is a zhisuan platform, and that client and platform are of versions that go together.",
            "请确认该地址是 zhisuan 平台，且客户端与平台版本相配。",
        ),
    )


def error_of(status: int, document: dict[str, Any]) -> ZhisuanError:
    """The error that a problem document stands for.

    ``detail`` is in the language the client asked for; the Chinese text is always there beside it.
    """
    detail, remedy = str(document.get("detail", "")), str(document.get("remedy", ""))
    chinese = document.get("zh") or {}
    what = Text(detail, chinese.get("detail") or detail)
    next_step = Text(remedy, chinese.get("remedy") or remedy)
    code = str(document.get("code") or "") or None
    problems = [
        FieldProblem(str(p.get("where", "")), Text(str(p.get("en", "")), str(p.get("zh", p.get("en", "")))))
        for p in document.get("problems") or ()
    ]
    family = str(document.get("title", "")).replace(" ", "_")
    found = _BY_CODE.get(family) or _BY_CODE.get(code or "") or _BY_STATUS.get(status)
    if found is None:
        return ApiProblem(
            what, next_step, http_status=status, code=code, problems=problems, extra=document.get("extra")
        )
    return found(what, next_step, code=code, problems=problems, extra=document.get("extra"))
