"""Stored bytes and who may name them. The store keeps bytes once; rows say who has them, and the last to go takes them along.

Bringing and collecting the same bytes at the same time is settled by a lock on the first byte of their digest, shared by all who
bring: who adds a row looks, under the lock, whether the bytes are there; who takes bytes away has it alone, and looks whether
there is a row.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Tx
from zhisuan.base.errors import TooLarge, Unavailable
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.data.tables import Content, Doomed, Quota

LOCKS = 0x636F6E74
_SHARED = text("SELECT pg_advisory_xact_lock_shared(:space, number) FROM unnest(CAST(:numbers AS int[])) AS n(number)")
_ALONE = text("SELECT pg_advisory_xact_lock(:space, :number)")


def secure(tx: Tx, store: Store, digests: Sequence[str]) -> None:
    """To be called with bytes that were just stored and are about to be named by rows: from here to the end of the transaction
    nobody takes them away. Raises ``Unavailable`` where somebody already has."""
    tx.session.execute(_SHARED, {"space": LOCKS, "numbers": sorted({_lock_of(d) for d in digests})})
    if store.missing(digests):
        raise Unavailable(
            Text("The same bytes were just being cleared away.", "相同的内容恰好正在被清理。"),
            Text("Send them again.", "请重新发送。"),
            code="content_gone",
        )


def exclude(tx: Tx, sha256: str) -> None:
    """To be called before bytes are taken away: from here to the end of the transaction nobody adds a row that names them."""
    tx.session.execute(_ALONE, {"space": LOCKS, "number": _lock_of(sha256)})


def _lock_of(sha256: str) -> int:
    """Some digests share a lock, since a database has room for a few thousand."""
    return int(sha256[:2], 16)


def add(tx: Tx, store: Store, org_id: str, sizes: Mapping[str, int], default_bytes_max: int) -> None:
    """Note that an organisation has these stored bytes, by digest. Raises ``TooLarge`` when its quota does not allow them."""
    secure(tx, store, list(sizes))
    rows = [
        {"org_id": org_id, "sha256": sha256, "size_bytes": sizes[sha256], "touched_at": tx.now} for sha256 in sorted(sizes)
    ]
    new = set(tx.session.scalars(insert(Content).values(rows).on_conflict_do_nothing().returning(Content.sha256)))
    if len(new) < len(sizes):
        touch(tx, org_id, [sha256 for sha256 in sizes if sha256 not in new])
    if not new:
        return
    size_bytes = sum(sizes[sha256] for sha256 in new)
    tx.session.execute(insert(Quota).values(org_id=org_id, bytes_used=0).on_conflict_do_nothing())
    used = tx.session.scalars(
        update(Quota)
        .where(Quota.org_id == org_id, Quota.bytes_used + size_bytes <= func.coalesce(Quota.bytes_max, default_bytes_max))
        .values(bytes_used=Quota.bytes_used + size_bytes)
        .returning(Quota.bytes_used)
    ).all()
    if not used:
        raise over_quota(*quota_of(tx, org_id, default_bytes_max), size_bytes)


def quota_of(tx: Tx, org_id: str, default_bytes_max: int) -> tuple[int, int]:
    """(bytes used, most bytes) of an organisation."""
    found = tx.session.get(Quota, org_id, populate_existing=True)
    if found is None:
        return 0, default_bytes_max
    return found.bytes_used, default_bytes_max if found.bytes_max is None else found.bytes_max


def require_room(tx: Tx, org_id: str, size_bytes: int, default_bytes_max: int) -> None:
    """Refuse before anything is sent what could not be kept in the end."""
    used, most = quota_of(tx, org_id, default_bytes_max)
    if used + size_bytes > most:
        raise over_quota(used, most, size_bytes)


def over_quota(used: int, most: int, size_bytes: int) -> TooLarge:
    return TooLarge(
        Text(
            f"This needs {size_bytes} bytes; {max(0, most - used)} of your organisation's {most} bytes of volumes are free.",
            f"需要 {size_bytes} 字节；贵组织数据卷配额为 {most} 字节，剩余 {max(0, most - used)} 字节。",
        ),
        Text(
            "Delete volumes that nobody needs (their room is free some days later), or ask the operator for a larger quota.",
            "请删除不再需要的数据卷（数日后释放空间），或请运营方提高配额。",
        ),
        code="data_quota",
        extra={"bytes_used": used, "bytes_max": most, "bytes_wanted": size_bytes},
    )


def set_quota(tx: Tx, org_id: str, bytes_max: int | None) -> Quota:
    tx.session.execute(
        insert(Quota)
        .values(org_id=org_id, bytes_used=0, bytes_max=bytes_max)
        .on_conflict_do_update(index_elements=["org_id"], set_={"bytes_max": bytes_max})
    )
    return tx.session.get_one(Quota, org_id, populate_existing=True)


def touch(tx: Tx, org_id: str, digests: Sequence[str]) -> None:
    """Keep this content for as long as something that was just brought; rows are taken in one order by all."""
    rows = select(Content.sha256).where(Content.org_id == org_id, Content.sha256.in_(digests))
    locked = tx.session.scalars(rows.order_by(Content.sha256).with_for_update()).all()
    tx.session.execute(
        update(Content).where(Content.org_id == org_id, Content.sha256.in_(locked)).values(touched_at=tx.now)
    )


def held(tx: Tx, org_id: str, digests: Sequence[str]) -> dict[str, int]:
    """Of these digests those that the organisation has, with their sizes; they are kept from being collected meanwhile."""
    if not digests:
        return {}
    touch(tx, org_id, digests)
    rows = select(Content.sha256, Content.size_bytes).where(Content.org_id == org_id, Content.sha256.in_(digests))
    return {str(sha256): int(size) for sha256, size in tx.session.execute(rows)}


def let_go(tx: Tx, rows: Sequence[Content]) -> None:
    """Forget that organisations have this content; what nobody else names leaves the store later."""
    for row in rows:
        tx.session.delete(row)
        tx.session.execute(
            update(Quota).where(Quota.org_id == row.org_id).values(bytes_used=Quota.bytes_used - row.size_bytes)
        )
        tx.session.execute(insert(Doomed).values(sha256=row.sha256, since=tx.now).on_conflict_do_nothing())
    tx.session.flush()
