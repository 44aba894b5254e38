"""What was cleared away, by day: for the operator, who is to see that nothing is left behind and how much it was."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Tx
from zhisuan.data.tables import Swept

DAYS = 30


@dataclass(frozen=True, slots=True)
class Amount:
    file_count: int
    size_bytes: int


def note(tx: Tx, kind: str, count: int, size_bytes: int) -> None:
    row = insert(Swept).values(day=tx.now.date(), kind=kind, file_count=count, size_bytes=size_bytes)
    tx.session.execute(
        row.on_conflict_do_update(
            index_elements=["day", "kind"],
            set_={
                "file_count": Swept.file_count + row.excluded.file_count,
                "size_bytes": Swept.size_bytes + row.excluded.size_bytes,
            },
        )
    )


def lately(tx: Tx) -> Amount:
    """Of the last ``DAYS`` days."""
    query = select(func.coalesce(func.sum(Swept.file_count), 0), func.coalesce(func.sum(Swept.size_bytes), 0))
    count, size = tx.session.execute(query.where(Swept.day > tx.now.date() - timedelta(days=DAYS))).one()
    return Amount(int(count), int(size))
