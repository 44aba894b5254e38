"""Lists as cursor pages, newest first."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Query
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from zhisuan.api.schemas import PageOf
from zhisuan.base.db import Tx
from zhisuan.base.paging import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page_of

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description=f"Rows a page, at most {LIMIT_MAX}.")]
Cursor = Annotated[str | None, Query(max_length=300, description="The next_cursor of the page before.")]

__all__ = ["LIMIT_DEFAULT", "Cursor", "Limit", "paged"]


def paged(
    tx: Tx,
    query: Select[*tuple[Any, ...]],
    column: InstrumentedAttribute[str],
    view: Callable[[Any], T],
    limit: int,
    cursor: str | None,
    *,
    scalars: bool = True,
    key: Callable[[Any], str] = lambda row: str(row.id),
) -> PageOf[T]:
    """One page of ``query`` in falling order of ``column``, which must be unique among its rows."""
    after = decode_cursor(cursor)
    if after is not None:
        query = query.where(column < after)
    query = query.order_by(column.desc()).limit(limit + 1)
    rows = tx.session.scalars(query).all() if scalars else tx.session.execute(query).all()
    page = page_of(rows, limit, key)
    return PageOf[T](items=[view(row) for row in page.items], next_cursor=page.next_cursor)
