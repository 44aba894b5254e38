"""Checkpoints of workloads: whole copies of the folder ``$ZHISUAN_CHECKPOINT``, made of the organisation's own blobs.

1. The agent sends the list of files (``offer``); the answer names the digests that the organisation does not have.
2. It sends those (``add_blob``), and the list again. Only a list whose bytes are all there becomes the current checkpoint, in
   one transaction; until then the one before stays.
3. The next lease of the workload, on whatever site, is offered the current one.

Only an open lease changes anything, so a site that was given up cannot replace what came after it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput, TooLarge
from zhisuan.base.text import Text
from zhisuan.execution.tables import Checkpoint, CheckpointBlob, Lease
from zhisuan.workload.tables import Workload

TOUCH_AGAIN = timedelta(hours=1)
CHECKPOINTS_KEPT = 3
"""Lists of files kept of one workload; the current one is the last."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file of a checkpoint; ``path`` is relative, with ``/``."""

    path: str
    sha256: str
    size_bytes: int


def files_of(checkpoint: Checkpoint) -> Iterator[KeptFile]:
    return (KeptFile(path, sha256, size) for path, sha256, size in checkpoint.files)


def current(tx: Tx, workload_id: str) -> Checkpoint | None:
    """The last whole checkpoint of a workload."""
    return tx.session.scalar(
        select(Checkpoint)
        .where(Checkpoint.workload_id == workload_id)
        .order_by(Checkpoint.number.desc())
        .limit(1)
    )


def offer(tx: Tx, lease: Lease, files: Sequence[KeptFile], bytes_max: int) -> tuple[Checkpoint | None, Sequence[str]]:
    """Make this list the current checkpoint of the lease's workload; or the digests of what is missing for that.

    The same list as the current one changes nothing. ``lease`` is open. Raises ``InvalidInput``, ``TooLarge``.
    """
    _check(files, bytes_max)
    tx.session.get_one(Workload, lease.workload_id, with_for_update=True)
    known = _known(tx, lease.org_id, [f.sha256 for f in files])
    missing = sorted({f.sha256 for f in files if known.get(f.sha256) != f.size_bytes})
    if missing:
        return None, missing
    before = current(tx, lease.workload_id)
    listed: list[Any] = [[f.path, f.sha256, f.size_bytes] for f in sorted(files, key=lambda f: f.path)]
    if before is not None and before.files == listed:
        return before, ()
    made = _add(tx, lease, listed, before)
    return made, ()


def _check(files: Sequence[KeptFile], bytes_max: int) -> None:
    paths = [f.path for f in files]
    wrong = [p for p in paths if p.startswith("/") or ".." in p.split("/") or not p or "\0" in p]
    if wrong or len(set(paths)) != len(paths):
        raise InvalidInput(
            Text("A checkpoint's files need relative paths, each once.", "检查点的文件路径须为相对路径且不重复。"),
            Text("Send relative paths without '..'.", "请使用不含 .. 的相对路径。"),
            problems=[FieldProblem(f"files.{p!r}", Text("leaves the folder", "超出了目录")) for p in wrong[:10]],
        )
    size = sum(f.size_bytes for f in files)
    if size > bytes_max:
        raise TooLarge(
            Text(
                f"The checkpoint folder holds {size} bytes; the most that is kept is {bytes_max}.",
                f"检查点目录共 {size} 字节，最多保留 {bytes_max} 字节。",
            ),
            Text(
                "Keep less in $ZHISUAN_CHECKPOINT, for example only the last step.",
                "请减少 $ZHISUAN_CHECKPOINT 中的内容，例如只保留最近一步。",
            ),
        )


def _known(tx: Tx, org_id: str, digests: Sequence[str]) -> dict[str, int]:
    """Sizes of the organisation's own blobs among these: what only others have is not known, so nobody can ask by digest. They
    stay until the end of the transaction, and for another while (``superseded``)."""
    own = CheckpointBlob.org_id == org_id, CheckpointBlob.sha256.in_(set(digests))
    query = select(CheckpointBlob.sha256, CheckpointBlob.size_bytes).where(*own).order_by(CheckpointBlob.sha256)
    rows = tx.session.execute(query.with_for_update(read=True)).all()
    stale = CheckpointBlob.touched_at < tx.now - TOUCH_AGAIN
    tx.session.execute(update(CheckpointBlob).where(*own, stale).values(touched_at=tx.now))
    return {row.sha256: row.size_bytes for row in rows}


def _add(tx: Tx, lease: Lease, listed: list[Any], before: Checkpoint | None) -> Checkpoint:
    had = {sha256 for _, sha256, _ in before.files} if before is not None else set()
    new = {sha256: size for _, sha256, size in listed if sha256 not in had}
    made = Checkpoint(
        id=tx.ids.new("chk"), workload_id=lease.workload_id, number=before.number + 1 if before is not None else 1,
        lease_id=lease.id, generation=lease.generation, org_id=lease.org_id, files=listed,
        size_bytes=sum(size for _, _, size in listed), new_bytes=sum(new.values()), created_at=tx.now,
    )  # fmt: skip
    tx.session.add(made)
    tx.session.flush()
    # The files of older ones are dropped; that they were made, and what they cost, stays.
    tx.session.execute(
        update(Checkpoint)
        .where(Checkpoint.workload_id == lease.workload_id, Checkpoint.number <= made.number - CHECKPOINTS_KEPT)
        .values(files=[])
    )
    tx.emit("checkpoint.kept", made.id, {"workload_id": lease.workload_id, "size_bytes": made.size_bytes})
    return made


def add_blob(tx: Tx, lease: Lease, sha256: str, size_bytes: int) -> None:
    """Note that the organisation has these bytes; they are in the store already."""
    tx.session.execute(
        insert(CheckpointBlob)
        .values(org_id=lease.org_id, sha256=sha256, size_bytes=size_bytes, created_at=tx.now, touched_at=tx.now)
        .on_conflict_do_update(index_elements=["org_id", "sha256"], set_={"touched_at": tx.now})
    )


def offered_to(tx: Tx, site_id: str, checkpoint_id: str) -> Checkpoint | None:
    """A checkpoint that an open lease of this site begins from."""
    found = tx.session.get(Checkpoint, checkpoint_id)
    if found is None:
        return None
    offered = tx.session.scalar(
        select(Lease.id).where(
            Lease.site_id == site_id,
            Lease.state != "closed",
            Lease.workload_id == found.workload_id,
            Lease.offer["checkpoint_id"].as_string() == checkpoint_id,
        )
    )
    return found if offered is not None else None
