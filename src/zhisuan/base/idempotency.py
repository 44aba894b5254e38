"""Idempotency keys: a repeated call gets the first answer; the same key with another body is a conflict.

The key is stored in the transaction of the call itself, so a call that failed leaves no key and can be repeated.
"""

import hashlib
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table, Tx
from zhisuan.base.errors import IdempotencyConflict, InvalidInput
from zhisuan.base.text import Text

KEY_LENGTH_MAX = 200


class IdempotencyKey(Table):
    """The first answer given to ``key`` of ``principal`` on ``route``."""

    __tablename__ = "base_idempotency_key"

    principal: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    status: Mapped[int]
    answer: Mapped[dict[str, Any]]
    at: Mapped[datetime]


def body_hash(body: Any) -> str:
    """A digest of a JSON value that does not depend on the order of its keys.

    Raises ``InvalidInput`` for a whole number beyond 64 bits, which no field of ours can hold.
    """
    try:
        return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except TypeError as error:
        raise InvalidInput(
            Text("The body holds a number that is too large.", "请求中含有过大的数字。"),
            Text("Send whole numbers within 64 bits.", "请使用 64 位以内的整数。"),
            code="number_too_large",
        ) from error


def earlier_answer(tx: Tx, principal: str, route: str, key: str, hashed: str) -> tuple[int, dict[str, Any]] | None:
    """The stored answer of this key, or None. Two calls at once with one key run one after the other.

    Raises ``IdempotencyConflict`` when the key was used with another body, ``InvalidInput`` when it is malformed.
    """
    if not key or len(key) > KEY_LENGTH_MAX or not key.isprintable():
        raise InvalidInput(
            Text("The idempotency key is empty, too long or not printable.", "幂等键为空、过长或含不可见字符。"),
            Text(f"Use 1 to {KEY_LENGTH_MAX} printable characters.", f"请使用 1 到 {KEY_LENGTH_MAX} 个可见字符。"),
        )
    lock = int.from_bytes(hashlib.sha256(f"{principal}|{route}|{key}".encode()).digest()[:8], "big", signed=True)
    tx.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
    found = tx.session.get(IdempotencyKey, (principal, route, key))
    if found is None:
        return None
    if found.body_hash != hashed:
        raise IdempotencyConflict(
            Text(
                f"The idempotency key {key!r} was used before with another request body.",
                f"幂等键 {key!r} 此前已用于内容不同的请求。",
            ),
            Text(
                "Repeat the first body to get its answer again, or use a new key for a new request.",
                "重发原请求可得到原来的结果；新的请求请换用新的键。",
            ),
        )
    return found.status, found.answer


def remember_answer(
    tx: Tx, principal: str, route: str, key: str, hashed: str, status: int, answer: dict[str, Any]
) -> None:
    """Keep the answer in the same transaction as what the call did."""
    tx.session.add(
        IdempotencyKey(
            principal=principal, route=route, key=key, body_hash=hashed, status=status, answer=answer, at=tx.now
        )
    )
