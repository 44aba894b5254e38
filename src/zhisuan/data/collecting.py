"""Clearing away what nobody names any more. Each step is safe beside uploads and commits, and may be cut off anywhere.

1. ``purge``: files of volumes deleted long enough ago, unless work that goes on has them.
2. ``let_go``: content that no version names and that nobody brought or asked for lately; its rows go, its digest is doomed.
3. ``doom_unnamed``: bytes in the store that no row names at all, since a process died between keeping and naming them.
4. ``sweep``: doomed bytes leave the store, if under their lock there is still no row that names them.
5. ``drop_stale_uploads``: uploads that nobody went on with, and parts in the store whose upload is gone.
6. ``drop_abandoned``: files half received when a server died.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Database, Tx
from zhisuan.base.store import Store
from zhisuan.data import content, sweeping, uploads
from zhisuan.data.tables import Content, Doomed, Upload, Volume, VolumeFile, VolumeUse, VolumeVersion

AT_ONCE = 500
ROUND = 0x73776570
_ALONE = text("SELECT pg_try_advisory_xact_lock(:space, 0)")
InUse = Callable[[Tx, list[str]], set[str]]
"""Of these workloads those that have not ended."""
Named = Callable[[Tx, Sequence[str]], set[str]]
"""Of these bytes those that anything beside volumes names."""


def alone(tx: Tx) -> bool:
    """Whether this process is to clear away, until the end of the transaction: one of several servers is enough. The steps are
    safe without it."""
    return bool(tx.session.scalar(_ALONE, {"space": ROUND}))


def purge(tx: Tx, before: datetime, in_use: InUse) -> int:
    """Drop the files of volumes deleted before; how many volumes. What versions there were and who used them stays on record."""
    has_files = (
        select(VolumeFile.path)
        .join(VolumeVersion, VolumeVersion.id == VolumeFile.version_id)
        .where(VolumeVersion.volume_id == Volume.id)
        .exists()
    )
    gone = tx.session.scalars(
        select(Volume.id).where(Volume.deleted_at < before, has_files).limit(AT_ONCE).with_for_update(skip_locked=True)
    ).all()
    dropped = 0
    for volume_id in gone:
        workloads = list(tx.session.scalars(select(VolumeUse.workload_id).where(VolumeUse.volume_id == volume_id)))
        if in_use(tx, workloads):
            continue
        versions = select(VolumeVersion.id).where(VolumeVersion.volume_id == volume_id)
        tx.session.execute(delete(VolumeFile).where(VolumeFile.version_id.in_(versions)))
        dropped += 1
    return dropped


def let_go(tx: Tx, before: datetime) -> int:
    """Drop content that no version of its organisation names; how many rows.

    Rows are locked first and looked at again after: a commit that touched one meanwhile has made it new, and one that waits
    for the lock finds it gone and asks for the content again.
    """
    named = select(VolumeFile.sha256).join(VolumeVersion, VolumeVersion.id == VolumeFile.version_id)
    unnamed = ~named.where(VolumeFile.sha256 == Content.sha256, VolumeVersion.org_id == Content.org_id).exists()
    query = select(Content).where(Content.touched_at < before, unnamed).order_by(Content.org_id, Content.sha256).limit(AT_ONCE)
    locked = tx.session.scalars(query.with_for_update(skip_locked=True)).all()
    if not locked:
        return 0
    again = select(Content).where(
        Content.org_id.in_({c.org_id for c in locked}), Content.sha256.in_({c.sha256 for c in locked}),
        Content.touched_at < before, unnamed,
    )  # fmt: skip
    keys = {(c.org_id, c.sha256) for c in locked}
    gone = [c for c in tx.session.scalars(again.execution_options(populate_existing=True)) if (c.org_id, c.sha256) in keys]
    content.let_go(tx, gone)
    return len(gone)


def doom(tx: Tx, digests: Sequence[str]) -> None:
    """Bytes that a row has just ceased to name."""
    if digests:
        rows = [{"sha256": sha256, "since": tx.now} for sha256 in sorted(digests)]
        tx.session.execute(insert(Doomed).values(rows).on_conflict_do_nothing())


def doom_unnamed(database: Database, store: Store, prefix: str, before: datetime, named: Named) -> int:
    """Doom what lies in the store under digests that begin so, kept before and named by no row; how many."""
    old = [stored.sha256 for stored in store.listing(prefix) if stored.since < before]
    found = 0
    for at in range(0, len(old), AT_ONCE):
        with database.begin("collecting") as tx:
            some = old[at : at + AT_ONCE]
            unnamed = set(some) - _named(tx, some, named)
            doom(tx, sorted(unnamed))
            found += len(unnamed)
    return found


def _named(tx: Tx, digests: Sequence[str], named: Named) -> set[str]:
    held = tx.session.scalars(select(Content.sha256).where(Content.sha256.in_(digests)))
    return {*held, *named(tx, digests)}


def sweep(database: Database, store: Store, named: Named) -> int:
    """Take doomed bytes out of the store; how many are settled, removed or found named again."""
    with database.begin("collecting") as tx:
        doomed = list(tx.session.scalars(select(Doomed.sha256).order_by(Doomed.since).limit(AT_ONCE)))
    for sha256 in doomed:
        with database.begin("collecting") as tx:
            _settle(tx, store, sha256, named)
    return len(doomed)


def _settle(tx: Tx, store: Store, sha256: str, named: Named) -> None:
    found = tx.session.get(Doomed, sha256, with_for_update={"skip_locked": True})
    if found is None:
        return
    content.exclude(tx, sha256)
    if not _named(tx, [sha256], named):
        size = store.remove(sha256)
        if size is not None:
            sweeping.note(tx, "content", 1, size)
    tx.session.delete(found)


def drop_stale_uploads(database: Database, store: Store, before: datetime) -> int:
    """How many uploads were dropped."""
    with database.begin("collecting") as tx:
        stale = uploads.stale(tx, before, AT_ONCE)
        if stale:
            size = tx.session.scalar(select(func.sum(Upload.offset_bytes)).where(Upload.id.in_(stale)))
            sweeping.note(tx, "upload", len(stale), int(size or 0))
        for upload_id in stale:
            uploads.forget(tx, upload_id)
    there = [name for name in store.uploads() if name.startswith("upl_")]
    with database.begin("collecting") as tx:
        known = uploads.known(tx, there)
    for upload_id in there:
        if upload_id not in known:
            store.drop_pieces(upload_id)
    return len(stale)


def drop_abandoned(database: Database, store: Store, before: datetime) -> int:
    """How many files were dropped."""
    count, size = store.remove_abandoned(before)
    if count:
        with database.begin("collecting") as tx:
            sweeping.note(tx, "received", count, size)
    return count
