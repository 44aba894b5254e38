"""Output that has left the database: compressed volumes in the artefact store, by digest.

The database holds output as it arrives, in small pieces. Of ended work all of it, of running work what fills whole volumes, is
moved to the store (``packing``), so that the table of pieces stays as small as what is being written just now. Whoever reads
output does not see where it is.
"""

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.execution.tables import LogPiece, LogVolume

VOLUME_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a lease's output is: ``[0, packed)`` in volumes, ``[packed, end)`` in pieces."""

    packed: int
    end: int


def extents(tx: Tx, lease_ids: Sequence[str]) -> dict[str, Extent]:
    """Of each of these leases that has output."""
    pieces = tx.session.execute(
        select(LogPiece.lease_id, LogPiece.at_byte + func.length(LogPiece.data))
        .where(LogPiece.lease_id.in_(lease_ids))
        .order_by(LogPiece.lease_id, LogPiece.at_byte.desc())
        .ext(distinct_on(LogPiece.lease_id))
    )
    ends = {lease_id: int(end) for lease_id, end in pieces}
    volumes = tx.session.execute(
        select(LogVolume.lease_id, func.max(LogVolume.at_byte + LogVolume.size_bytes))
        .where(LogVolume.lease_id.in_(lease_ids))
        .group_by(LogVolume.lease_id)
    )
    packed = {lease_id: int(end) for lease_id, end in volumes}
    return {i: Extent(packed.get(i, 0), max(ends.get(i, 0), packed.get(i, 0))) for i in {*ends, *packed}}


def read(tx: Tx, store: Store, lease_id: str, offset: int, limit: int) -> bytes:
    """At most ``limit`` bytes of a lease's output from ``offset``, of what is packed. Raises ``NotFound`` where it was
    removed after its time."""
    rows = tx.session.scalars(
        select(LogVolume)
        .where(
            LogVolume.lease_id == lease_id,
            LogVolume.at_byte < offset + limit,
            LogVolume.at_byte + LogVolume.size_bytes > offset,
        )
        .order_by(LogVolume.at_byte)
    )
    data = b""
    for volume in rows:
        if volume.removed_at is not None:
            raise _removed(volume)
        with store.open(volume.sha256) as packed:
            whole = gzip.decompress(packed.read())
        data += whole[max(0, offset - volume.at_byte) : offset + limit - volume.at_byte]
    return data


def packed(lease_id: str, at_byte: int, data: bytes) -> bytes:
    """The same for the same output, and that of no other place: what is removed with one lease is nobody else's."""
    out = io.BytesIO()
    with gzip.GzipFile(f"{lease_id}.{at_byte}", "wb", 6, out, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def _removed(volume: LogVolume) -> NotFound:
    return NotFound(
        Text(
            f"This output was removed on {volume.removed_at:%Y-%m-%d}, when it had been kept for its time.",
            f"该输出保留期已满，已于 {volume.removed_at:%Y-%m-%d} 删除。",
        ),
        Text(
            "What must be kept for longer belongs into artefacts; the operator sets how long output is kept (output_days).",
            "需要长期保存的内容请写入产物；输出保留天数由运营方设置（output_days）。",
        ),
        code="output_removed",
    )
