"""Cursor pages: stable under inserts, because a cursor names the last row seen and not a count of rows."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text

T = TypeVar("T")

LIMIT_DEFAULT = 50
LIMIT_MAX = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items in order, and the cursor of the next page or None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


def encode_cursor(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """The sort key inside a cursor. Raises ``InvalidInput`` for text that is no cursor of ours."""
    if not cursor:
        return None
    try:
        last = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        last = ""
    if not last.isprintable() or encode_cursor(last) != cursor:
        raise InvalidInput(
            Text("The page cursor is not one that this API gave out.", "分页游标无效。"),
            Text("Begin again without a cursor.", "请去掉游标，从第一页重新开始。"),
        )
    return last


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """The page made of ``limit + 1`` fetched rows."""
    items = tuple(rows[:limit])
    more = len(rows) > limit
    return Page(items=items, next_cursor=encode_cursor(key(items[-1])) if more else None)
