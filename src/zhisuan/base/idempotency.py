"""Idempotency keys: a repeated call gets the first answer; the same key with another body is a conflict.

The key is stored in the transaction of the call itself, so a call that failed leaves no key and can be repeated.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table, Tx
from zhisuan.base.errors import IdempotencyConflict, InvalidInput, ZhisuanError
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


@dataclass(frozen=True, slots=True)
class Keyed:
    """One call: who makes it, on which route, with which key, and the hash of its body."""

    principal: str
    route: str
    key: str
    body_hash: str

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.principal, self.route, self.key

    @property
    def lock(self) -> int:
        digest = hashlib.sha256(f"{self.principal}|{self.route}|{self.key}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


Earlier = tuple[int, dict[str, Any]]


def earlier_answers(tx: Tx, calls: Sequence[Keyed]) -> list[Earlier | ZhisuanError | None]:
    """For each of these calls, of which no two are the same: its stored answer, the error it must get, or None for a new one. Two
    calls at once with one key run one after the other.

    The errors are ``IdempotencyConflict`` when the key was used with another body, ``InvalidInput`` when it is malformed.
    """
    whole = [call for call in calls if _is_whole(call)]
    tx.session.execute(_LOCK, {"locks": sorted({call.lock for call in whole})})
    query = select(IdempotencyKey).where(
        tuple_(IdempotencyKey.principal, IdempotencyKey.route, IdempotencyKey.key).in_([c.identity for c in whole])
    )
    found = {(row.principal, row.route, row.key): row for row in tx.session.scalars(query)}
    return [_earlier(call, found.get(call.identity)) for call in calls]


def _is_whole(call: Keyed) -> bool:
    return 0 < len(call.key) <= KEY_LENGTH_MAX and call.key.isprintable()


_LOCK = text("SELECT pg_advisory_xact_lock(l) FROM unnest(CAST(:locks AS bigint[])) AS l")


def _earlier(call: Keyed, found: IdempotencyKey | None) -> Earlier | ZhisuanError | None:
    if not _is_whole(call):
        return InvalidInput(
            Text("The idempotency key is empty, too long or not printable.", "幂等键为空、过长或含不可见字符。"),
            Text(f"Use 1 to {KEY_LENGTH_MAX} printable characters.", f"请使用 1 到 {KEY_LENGTH_MAX} 个可见字符。"),
        )
    if found is None:
        return None
    if found.body_hash != call.body_hash:
        return IdempotencyConflict(
            Text(
                f"The idempotency key {call.key!r} was used before with another request body.",
                f"幂等键 {call.key!r} 此前已用于内容不同的请求。",
            ),
            Text(
                "Repeat the first body to get its answer again, or use a new key for a new request.",
                "重发原请求可得到原来的结果；新的请求请换用新的键。",
            ),
        )
    return found.status, found.answer


def earlier_answer(tx: Tx, call: Keyed) -> Earlier | None:
    """``earlier_answers`` of one call; raises the error."""
    (found,) = earlier_answers(tx, [call])
    if isinstance(found, ZhisuanError):
        raise found
    return found


def remember_answer(tx: Tx, call: Keyed, status: int, answer: dict[str, Any]) -> None:
    """Keep the answer in the same transaction as what the call did."""
    tx.session.add(
        IdempotencyKey(
            principal=call.principal, route=call.route, key=call.key, body_hash=call.body_hash, status=status,
            answer=answer, at=tx.now,
        )
    )  # fmt: skip
