"""Mutating calls: one transaction with the idempotency key in it."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from zhisuan.api.platform import platform_of
from zhisuan.base.db import Tx
from zhisuan.base.idempotency import Earlier, Keyed, body_hash, earlier_answer, remember_answer

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="Made by the caller, one for each intended change; repeating it repeats the first answer.",
        max_length=200,
    ),
]
HIDDEN = "(shown once, with the first answer)"


def change(
    request: Request,
    *,
    principal: str,
    actor: str,
    key: str,
    body: Any,
    work: Callable[[Tx], BaseModel | None],
    status: int = 200,
    secret_fields: tuple[str, ...] = (),
) -> JSONResponse:
    """Run ``work`` once for this key: its effects, the key and the answer commit together or not at all.

    ``secret_fields`` (dotted) are left out of the stored answer, so a repeated call does not show a secret again.
    """
    call = keyed(request, principal, key, body)
    with platform_of(request).database.begin(actor) as tx:
        earlier = earlier_answer(tx, call)
        if earlier is not None:
            return replayed(earlier)
        made = work(tx)
        answer: dict[str, Any] = made.model_dump(mode="json") if made is not None else {}
        remember_answer(tx, call, status, _without(answer, secret_fields))
    return JSONResponse(answer, status)


def keyed(request: Request, principal: str, key: str, body: Any) -> Keyed:
    return Keyed(principal, f"{request.method} {request.url.path}", key, body_hash(jsonable_encoder(body)))


def replayed(earlier: Earlier) -> JSONResponse:
    return JSONResponse(earlier[1], earlier[0], headers={"Idempotency-Replayed": "true"})


def _without(answer: dict[str, Any], dotted: tuple[str, ...]) -> dict[str, Any]:
    for path in dotted:
        head, _, rest = path.partition(".")
        if head in answer:
            inner = _without(answer[head], (rest,)) if rest else HIDDEN
            answer = {**answer, head: inner}
    return answer
