"""Checkpoints on the wire of site agents (``zhisuan.wire.checkpoints``)."""

import tarfile
import zlib
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select

from zhisuan.api.auth import SiteAgent
from zhisuan.api.platform import Platform, platform_of
from zhisuan.api.receiving import received
from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.incoming import Incoming
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.data import content
from zhisuan.execution import checkpoints
from zhisuan.execution.checkpoints import KeptFile
from zhisuan.execution.tables import Checkpoint, Lease
from zhisuan.wire.checkpoints import CheckpointAnswer, CheckpointList
from zhisuan.workload.tables import Workload

router = APIRouter()
Agent = Annotated[str, Depends(SiteAgent())]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
GZIP = 16 + zlib.MAX_WBITS


@router.post("/checkpoints/{lease_id}/{generation}")
def offer_checkpoint(
    request: Request, body: CheckpointList, lease_id: str, generation: int, site_id: Agent
) -> CheckpointAnswer:
    """Make a list of files the current checkpoint of a lease's workload, or say which bytes are missing for that."""
    here = platform_of(request)
    files = [KeptFile(f.path, f.sha256, f.size_bytes) for f in body.files]
    with here.database.begin(site_id) as tx:
        lease = _open_lease(tx, site_id, lease_id, generation)
        made, missing = checkpoints.offer(tx, lease, files, here.settings.checkpoint_bytes_max)
        if made is None:
            return CheckpointAnswer(missing=tuple(missing))
        return CheckpointAnswer(
            checkpoint_id=made.id, number=made.number, size_bytes=made.size_bytes, new_bytes=made.new_bytes
        )


def _open_lease(tx: Tx, site_id: str, lease_id: str, generation: int) -> Lease:
    """Locked after its workload, in the order of all who change both."""
    workload_id = tx.session.scalar(select(Lease.workload_id).where(Lease.id == lease_id))
    if workload_id is not None:
        tx.session.get_one(Workload, workload_id, with_for_update=True)
        lease = tx.session.get_one(Lease, lease_id, with_for_update=True)
        if lease.site_id == site_id and lease.generation == generation and lease.state != "closed":
            return lease
    raise NotFound.of(Text("open lease", "进行中的租约"), f"{lease_id}/{generation}")


@router.put("/checkpoints/{lease_id}/{generation}/{sha256}", status_code=204)
async def checkpoint_bytes(
    request: Request, lease_id: str, generation: int, sha256: Digest, site_id: Agent
) -> Response:
    """Take in the bytes of one file; sending them again changes nothing."""
    here = platform_of(request)
    await run_in_threadpool(_check_lease, here, site_id, lease_id, generation)
    await received(
        request, here, here.settings.checkpoint_bytes_max,
        lambda incoming: _keep(here, incoming, site_id, lease_id, generation, sha256),
    )  # fmt: skip
    return Response(status_code=204)


def _check_lease(here: Platform, site_id: str, lease_id: str, generation: int) -> None:
    with here.database.begin(site_id) as tx:
        _open_lease(tx, site_id, lease_id, generation)


def _keep(here: Platform, incoming: Incoming, site_id: str, lease_id: str, generation: int, sha256: str) -> None:
    incoming.finish(sha256)
    here.store.keep(incoming, sha256)
    with here.database.begin(site_id) as tx:
        content.secure(tx, here.store, [sha256])
        lease = _open_lease(tx, site_id, lease_id, generation)
        checkpoints.add_blob(tx, lease, sha256, incoming.size_bytes)


def archive_of(store: Store, checkpoint: Checkpoint) -> Iterator[bytes]:
    """The checkpoint as a tar.gz, made as it is read. Nothing is compressed: weights do not get smaller."""
    packer = zlib.compressobj(0, zlib.DEFLATED, GZIP)
    for file in checkpoints.files_of(checkpoint):
        info = tarfile.TarInfo(file.path)
        info.size, info.mode = file.size_bytes, 0o644
        yield packer.compress(info.tobuf(tarfile.PAX_FORMAT))
        for data in store.chunks(file.sha256):
            yield packer.compress(data)
        yield packer.compress(bytes(-file.size_bytes % tarfile.BLOCKSIZE))
    yield packer.compress(bytes(2 * tarfile.BLOCKSIZE))
    yield packer.flush()
