"""Bytes that only checkpoints had which were superseded, or a delivery that broke off.

1. Rows that nobody brought, asked for or found named lately are locked, those that others have locked passed over.
2. Only then is asked which of them a checkpoint lists: ``checkpoints.offer`` locks the rows it relies on until its list is
   there, so a list made meanwhile is seen, and one that waits finds the row gone and asks for the bytes again.
3. What is listed is not looked at again for another while; the rows of the rest go. Their bytes are the caller's to clear away.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, tuple_, update

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Checkpoint, CheckpointBlob

AT_ONCE = 500


def let_go(tx: Tx, before: datetime) -> tuple[int, Sequence[str]]:
    """How many rows were looked at, and the digests of those that went."""
    key = tuple_(CheckpointBlob.org_id, CheckpointBlob.sha256)
    query = select(CheckpointBlob.org_id, CheckpointBlob.sha256).where(CheckpointBlob.touched_at < before)
    query = query.order_by(CheckpointBlob.touched_at, CheckpointBlob.org_id, CheckpointBlob.sha256).limit(AT_ONCE)
    locked = {(org_id, sha256) for org_id, sha256 in tx.session.execute(query.with_for_update(skip_locked=True))}
    if not locked:
        return 0, ()
    entry = func.jsonb_build_array(func.jsonb_build_array(CheckpointBlob.sha256))
    listed = select(Checkpoint.id).where(Checkpoint.org_id == CheckpointBlob.org_id, Checkpoint.files.contains(entry))
    rows = select(CheckpointBlob.org_id, CheckpointBlob.sha256).where(key.in_(locked), listed.exists())
    kept = {(org_id, sha256) for org_id, sha256 in tx.session.execute(rows)}
    gone = locked - kept
    if kept:
        tx.session.execute(update(CheckpointBlob).where(key.in_(kept)).values(touched_at=tx.now))
    if gone:
        tx.session.execute(delete(CheckpointBlob).where(key.in_(gone)))
    return len(locked), sorted({sha256 for _, sha256 in gone})
