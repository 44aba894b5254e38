"""What no volume, upload, artefact, model or checkpoint names any more leaves the store; see ``zhisuan.data.collecting``.

One of several servers does it at a time. The whole store is held against the rows too, a 256th part of it in each round.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from zhisuan.api.platform import Platform
from zhisuan.base.db import Tx
from zhisuan.data import collecting, sweeping
from zhisuan.execution import superseded
from zhisuan.execution.tables import Artefact, CheckpointBlob, LogVolume
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Blob, Workload

log = logging.getLogger(__name__)
ROUND_SECONDS = 300


def collect(here: Platform) -> bool:
    """One round; whether there may be more to do at once."""
    with here.database.begin("collecting") as guard:
        if not collecting.alone(guard):
            return False
        before = _lately(here)
        more = _round(here, here.database.clock.now())
        after = _lately(here)
    if after.file_count > before.file_count:
        log.info(
            "cleared away: %d files, %d bytes", after.file_count - before.file_count, after.size_bytes - before.size_bytes
        )
    return more


def _round(here: Platform, now: datetime) -> bool:
    settings = here.settings
    keep_since = now - timedelta(hours=settings.content_keep_hours)
    with here.database.begin("collecting") as tx:
        purged = collecting.purge(tx, now - timedelta(days=settings.deleted_volume_days), _going_on)
    with here.database.begin("collecting") as tx:
        let_go = collecting.let_go(tx, keep_since)
    with here.database.begin("collecting") as tx:
        looked_at, gone = superseded.let_go(tx, keep_since)
        collecting.doom(tx, gone)
    prefix = f"{int(now.timestamp()) // ROUND_SECONDS % 256:02x}"
    collecting.doom_unnamed(here.database, here.store, prefix, keep_since, _named)
    swept = collecting.sweep(here.database, here.store, _named)
    dropped = collecting.drop_stale_uploads(here.database, here.store, keep_since)
    collecting.drop_abandoned(here.database, here.store, keep_since)
    return max(purged, let_go, looked_at, swept, dropped) >= collecting.AT_ONCE


def _lately(here: Platform) -> sweeping.Amount:
    with here.database.begin("collecting") as tx:
        return sweeping.lately(tx)


def _going_on(tx: Tx, workload_ids: list[str]) -> set[str]:
    query = select(Workload.id).where(Workload.id.in_(workload_ids), Workload.state.in_(workloads.OPEN_STATES))
    return set(tx.session.scalars(query))


def _named(tx: Tx, digests: Sequence[str]) -> set[str]:
    """What an artefact, an archive (of a launch or of a model version), a checkpoint or kept output has of these bytes."""
    queries = (
        select(Artefact.sha256).where(Artefact.sha256.in_(digests)), select(Blob.sha256).where(Blob.sha256.in_(digests)),
        select(CheckpointBlob.sha256).where(CheckpointBlob.sha256.in_(digests)),
        select(LogVolume.sha256).where(LogVolume.sha256.in_(digests), LogVolume.removed_at.is_(None)),
    )  # fmt: skip
    return {sha256 for query in queries for sha256 in tx.session.scalars(query)}
