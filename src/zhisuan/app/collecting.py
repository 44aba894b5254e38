"""What no volume, upload, artefact or model names any more leaves the store; see ``zhisuan.data.collecting``."""

from datetime import timedelta

from sqlalchemy import select

from zhisuan.api.platform import Platform
from zhisuan.base.db import Tx
from zhisuan.data import collecting
from zhisuan.execution.tables import Artefact, CheckpointBlob, LogVolume
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Blob, Workload


def collect(here: Platform) -> bool:
    """One round; whether there may be more to do at once."""
    settings, now = here.settings, here.database.clock.now()
    keep_since = now - timedelta(hours=settings.content_keep_hours)
    with here.database.begin("collecting") as tx:
        purged = collecting.purge(tx, now - timedelta(days=settings.deleted_volume_days), _going_on)
    with here.database.begin("collecting") as tx:
        let_go = collecting.let_go(tx, keep_since)
    swept = collecting.sweep(here.database, here.store, _named)
    dropped = collecting.drop_stale_uploads(here.database, here.store, keep_since)
    return max(purged, let_go, swept, dropped) >= collecting.AT_ONCE


def _going_on(tx: Tx, workload_ids: list[str]) -> set[str]:
    query = select(Workload.id).where(Workload.id.in_(workload_ids), Workload.state.in_(workloads.OPEN_STATES))
    return set(tx.session.scalars(query))


def _named(tx: Tx, sha256: str) -> bool:
    """Whether an artefact, an archive (of a launch or of a model version), a checkpoint or kept output has these bytes."""
    queries = (
        select(Artefact.id).where(Artefact.sha256 == sha256), select(Blob.id).where(Blob.sha256 == sha256),
        select(CheckpointBlob.org_id).where(CheckpointBlob.sha256 == sha256),
        select(LogVolume.lease_id).where(LogVolume.sha256 == sha256, LogVolume.removed_at.is_(None)),
    )  # fmt: skip
    return any(tx.session.scalar(query.limit(1)) is not None for query in queries)
