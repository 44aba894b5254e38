"""Every error a person or a client can meet.

ZhisuanError
├── InvalidInput          422  the request is understood and cannot be carried out as written
├── NotAuthenticated      401  no key, a wrong key or an ended session
├── Forbidden             403  the role does not allow this action
├── NotFound              404  unknown, or somebody else's: both answer alike
├── Conflict              409  the state has moved on, or the name is taken
│   ├── IdempotencyConflict    the same idempotency key with another body
│   └── StaleGeneration        a write by a holder whose lease generation has passed
├── PaymentRequired       402  no purse covers the request
├── CannotFit             422  no site could ever run this workload
├── TooLarge              413  an upload over its limit
├── AgentTooOld           426  a site's agent whose version this server does not speak any more
├── Unavailable           503  a part the request needs is not there now
└── StorageFull           507  there is no room to keep what was sent
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zhisuan.base.text import Text


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one place of the input; ``where`` is a dotted path such as ``resources.cpus``."""

    where: str
    problem: Text

    def as_dict(self) -> dict[str, str]:
        return {"where": self.where, **self.problem.as_dict()}


class ZhisuanError(Exception):
    """Base of the tree: a stable ``code``, an HTTP ``status``, what happened and what to do, in both languages."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        what: Text,
        remedy: Text,
        *,
        code: str | None = None,
        problems: Sequence[FieldProblem] = (),
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(what.en)
        self.code = code or self.default_code
        self.what = what
        self.remedy = remedy
        self.problems = tuple(problems)
        self.extra = dict(extra or {})

    def __str__(self) -> str:
        lines = [f"{self.what.en} {self.remedy.en}".strip()]
        lines += [f"  {p.where}: {p.problem.en}" for p in self.problems]
        return "\n".join(lines)

    def as_problem(self, language: str = "en") -> dict[str, Any]:
        """The RFC 9457 problem document of this error."""
        return {
            "type": f"urn:zhisuan:error:{self.code}",
            "title": self.default_code.replace("_", " "),
            "status": self.status,
            "code": self.code,
            "detail": self.what.in_language(language),
            "remedy": self.remedy.in_language(language),
            "zh": {"detail": self.what.zh, "remedy": self.remedy.zh},
            "problems": [p.as_dict() for p in self.problems],
            **({"extra": self.extra} if self.extra else {}),
        }


class InvalidInput(ZhisuanError):
    status = 422
    default_code = "invalid_input"


class NotAuthenticated(ZhisuanError):
    status = 401
    default_code = "not_authenticated"


class Forbidden(ZhisuanError):
    status = 403
    default_code = "forbidden"


class NotFound(ZhisuanError):
    status = 404
    default_code = "not_found"

    @classmethod
    def of(cls, kind: Text, ident: str) -> "NotFound":
        """The answer for an id that is unknown or not the caller's: the two cannot be told apart."""
        return cls(
            Text(f"There is no {kind.en} {ident} here.", f"这里没有{kind.zh} {ident}。"),
            Text("Check the id; a list of yours shows what exists.", "请核对编号；列表里有您能看到的全部内容。"),
        )


class Conflict(ZhisuanError):
    status = 409
    default_code = "conflict"


class IdempotencyConflict(Conflict):
    default_code = "idempotency_conflict"


class StaleGeneration(Conflict):
    default_code = "stale_generation"


class PaymentRequired(ZhisuanError):
    status = 402
    default_code = "payment_required"


class CannotFit(ZhisuanError):
    status = 422
    default_code = "cannot_fit"


class TooLarge(ZhisuanError):
    status = 413
    default_code = "too_large"


class AgentTooOld(ZhisuanError):
    status = 426
    default_code = "agent_too_old"


class Unavailable(ZhisuanError):
    status = 503
    default_code = "unavailable"


class StorageFull(ZhisuanError):
    status = 507
    default_code = "storage_full"
