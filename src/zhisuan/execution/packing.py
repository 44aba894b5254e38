"""Moves output from the database to the artefact store, and removes it there when it has been kept for its time.

1. Which leases have enough to move: ended ones all they have, others whole volumes.
2. Read one volume of pieces, compress it, keep it in the store under its digest: outside of any transaction.
3. In one transaction, the lease locked: note the volume and delete just its pieces, if they are still there.

Killed after any of these, the next pass does the same again, with the same bytes under the same digest.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select

from zhisuan.base.db import Database, Tx
from zhisuan.base.store import Store
from zhisuan.execution.tables import Lease, LogPiece, LogVolume
from zhisuan.execution.volumes import VOLUME_BYTES, packed

AT_ONCE = 50
Piece = tuple[int, bytes]


class _MovedMeanwhile(Exception):
    """Leaves the transaction as if nothing had been done."""


def pack(database: Database, store: Store) -> bool:
    """One volume of each lease that has something to move; whether there may be more."""
    with database.begin("output") as tx:
        found = _due(tx)
    moved = [_pack_lease(database, store, lease_id) for lease_id in found]
    return any(moved)


def _due(tx: Tx) -> Sequence[str]:
    """The table holds what is being written now, so looking at all of it is looking at little."""
    span = func.max(LogPiece.at_byte) - func.min(LogPiece.at_byte)
    query = (
        select(LogPiece.lease_id)
        .join(Lease, Lease.id == LogPiece.lease_id)
        .group_by(LogPiece.lease_id, Lease.state)
        .having(or_(Lease.state == "closed", span >= VOLUME_BYTES))
        .order_by(LogPiece.lease_id)
        .limit(AT_ONCE)
    )
    return tx.session.scalars(query).all()


def _pack_lease(database: Database, store: Store, lease_id: str) -> bool:
    with database.begin("output") as tx:
        pieces = _first_pieces(tx, lease_id)
    if not pieces:
        return False
    data = b"".join(data for _, data in pieces)
    incoming = store.incoming(bytes_max=2**62)
    try:
        incoming.write(packed(lease_id, pieces[0][0], data))
        digest = incoming.finish(None)
        store.keep(incoming, digest)
    finally:
        incoming.discard()
    volume = LogVolume(
        lease_id=lease_id, at_byte=pieces[0][0], size_bytes=len(data), sha256=digest, stored_bytes=incoming.size_bytes,
        removed_at=None,
    )  # fmt: skip
    with contextlib.suppress(_MovedMeanwhile), database.begin("output") as tx:
        _replace(tx, pieces, volume)
    return True


def _replace(tx: Tx, pieces: Sequence[Piece], volume: LogVolume) -> None:
    """The pieces by the volume. Raises ``_MovedMeanwhile`` where another server was quicker."""
    tx.session.get_one(Lease, volume.lease_id, with_for_update=True)
    gone = tx.session.execute(
        delete(LogPiece)
        .where(LogPiece.lease_id == volume.lease_id, LogPiece.at_byte.in_([at for at, _ in pieces]))
        .returning(LogPiece.at_byte)
    ).all()
    if len(gone) != len(pieces):
        raise _MovedMeanwhile
    volume.packed_at = tx.now
    tx.session.add(volume)


def _first_pieces(tx: Tx, lease_id: str) -> list[Piece]:
    """The oldest pieces that fill a volume; of running work the last piece is never among them."""
    first = select(func.min(LogPiece.at_byte)).where(LogPiece.lease_id == lease_id).scalar_subquery()
    rows = tx.session.execute(
        select(LogPiece.at_byte, LogPiece.data)
        .where(LogPiece.lease_id == lease_id, LogPiece.at_byte < first + VOLUME_BYTES)
        .order_by(LogPiece.at_byte)
    )
    return [(int(at), bytes(data)) for at, data in rows]


def remove_old(database: Database, store: Store, ended_before: datetime) -> bool:
    """Removes the stored output of work that ended before; whether there may be more."""
    with database.begin("output") as tx:
        query = (
            select(LogVolume.lease_id, LogVolume.at_byte)
            .join(Lease, Lease.id == LogVolume.lease_id)
            .where(LogVolume.removed_at.is_(None), Lease.closed_at < ended_before)
            .order_by(LogVolume.lease_id, LogVolume.at_byte)
            .limit(AT_ONCE)
        )
        found = tx.session.execute(query).all()
    for lease_id, at_byte in found:
        with database.begin("output") as tx:
            volume = tx.session.get_one(LogVolume, (lease_id, at_byte), with_for_update=True)
            volume.removed_at = volume.removed_at or tx.now
            digest = volume.sha256
        store.remove(digest)
    return len(found) == AT_ONCE
