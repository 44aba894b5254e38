"""The wire of volumes and of files in parts (``zhisuan.wire.data``)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from zhisuan.api import uploading
from zhisuan.api.auth import SiteAgent
from zhisuan.api.data_schemas import DIGEST, UploadView
from zhisuan.api.platform import Platform, platform_of
from zhisuan.api.ranges import joined_files, stored_file
from zhisuan.api.receiving import PART_BYTES_MAX, received
from zhisuan.base.db import Tx
from zhisuan.base.errors import InvalidInput, NotFound
from zhisuan.base.incoming import Incoming
from zhisuan.base.text import Text
from zhisuan.base.trees import File
from zhisuan.data import content, uploads, volumes
from zhisuan.data.rules import Change, path_problem
from zhisuan.data.tables import Volume, VolumeVersion
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease
from zhisuan.wire.data import (
    Pack,
    TreeFile,
    UploadAnswer,
    UploadRequest,
    VolumeChange,
    VolumeCommitted,
    VolumeManifest,
    VolumeMount,
)
from zhisuan.workload import service as workloads

router = APIRouter(tags=["wire: data"])
Agent = Annotated[str, Depends(SiteAgent())]


def _version(tx: Tx, site_id: str, version_id: str) -> VolumeVersion:
    """A version that an open lease of the site has; others are not there for it."""
    query = select(Lease.offer["volumes"]).where(Lease.site_id == site_id, Lease.state != "closed")
    granted = {v["version_id"] for mounts in tx.session.scalars(query) for v in mounts or ()}
    found = tx.session.get(VolumeVersion, version_id) if version_id in granted else None
    if found is None:
        raise NotFound.of(Text("volume version", "数据卷版本"), version_id)
    return found


@router.get("/volumes/{version_id}/manifest")
def manifest(request: Request, version_id: str, site_id: Agent) -> VolumeManifest:
    with platform_of(request).database.begin(site_id) as tx:
        files = volumes.tree_of(tx, _version(tx, site_id, version_id).id).values()
    return VolumeManifest(
        files=tuple(TreeFile(path=f.path, mode=f.mode, size_bytes=f.size_bytes, sha256=f.sha256) for f in files)
    )


@router.post("/volumes/{version_id}/pack", response_class=StreamingResponse)
def pack(request: Request, version_id: str, body: Pack, site_id: Agent) -> StreamingResponse:
    """Several files of a version, one behind the other."""
    here = platform_of(request)
    with here.database.begin(site_id) as tx:
        sizes = volumes.digests_of(tx, _version(tx, site_id, version_id).id, body.digests)
    return joined_files(here.store, body.digests, sizes)


@router.get("/volumes/{version_id}/content/{sha256}", response_class=StreamingResponse)
def file_content(
    request: Request, version_id: str, sha256: Annotated[str, Path(pattern=DIGEST)], site_id: Agent
) -> StreamingResponse:
    here = platform_of(request)
    with here.database.begin(site_id) as tx:
        sizes = volumes.digests_of(tx, _version(tx, site_id, version_id).id, [sha256])
    if sha256 not in sizes:
        raise NotFound.of(Text("file", "文件"), sha256)
    return stored_file(request, here.store, sha256, sizes[sha256], name=sha256)


@router.post("/uploads")
def begin(request: Request, body: UploadRequest, site_id: Agent) -> UploadAnswer:
    """Begin to deliver a file, or find how far it has come."""
    here = platform_of(request)
    with here.database.begin(site_id) as tx:
        lease = _lease(tx, site_id, body.lease_id, body.generation)
        org_id = lease.org_id
    if body.artefact is None:
        return _answer(uploading.begin(here, org_id, body.sha256, body.size_bytes))
    _check_path(body.artefact)
    with here.database.begin(site_id) as tx:
        standing = uploads.begin(tx, body.lease_id, body.sha256, body.size_bytes)
    return _kept(here, site_id, body.lease_id, body.generation, standing, body.artefact)


@router.put("/uploads/{lease_id}/{generation}/{upload_id}")
async def part(
    request: Request, lease_id: str, generation: int, upload_id: str, site_id: Agent,
    offset: Annotated[int, Query(ge=0, le=2**62)], artefact: Annotated[str | None, Query(min_length=1, max_length=500)] = None,
) -> UploadAnswer:  # fmt: skip
    """The next part; of one that is cut off what came is kept."""
    here = platform_of(request)
    if artefact is not None:
        _check_path(artefact)

    def owner() -> str:
        with here.database.begin(site_id) as tx:
            lease = _lease(tx, site_id, lease_id, generation)
            return lease.org_id if artefact is None else lease.id

    whose = await run_in_threadpool(owner)
    before = await run_in_threadpool(uploading.expected, here, whose, upload_id, offset)

    def take(incoming: Incoming) -> UploadAnswer:
        standing = uploading.take(here, whose, upload_id, offset, incoming)
        if artefact is None:
            return _answer(uploading.finish(here, whose, standing))
        return _kept(here, site_id, lease_id, generation, standing, artefact)

    return await received(request, here, PART_BYTES_MAX, take, cut_off_too=True, before=before)


def _kept(
    here: Platform, site_id: str, lease_id: str, generation: int, standing: uploads.Standing, path: str
) -> UploadAnswer:
    """A whole file becomes an artefact of its lease."""
    if not standing.whole:
        return UploadAnswer(upload_id=standing.id, offset=standing.offset, complete=False)
    uploads.join(here.database, here.store, lease_id, standing)
    sha256, size = standing.sha256, standing.size_bytes
    with here.database.begin(site_id) as tx:
        lease = _lease(tx, site_id, lease_id, generation)
        content.secure(tx, here.store, [sha256])
        execution.add_artefact(tx, lease, path=path, sha256=sha256, size_bytes=size)
        uploads.forget(tx, standing.id)
    if not standing.kept:
        here.store.drop_pieces(standing.id)
    return UploadAnswer(upload_id=None, offset=size, complete=True)


@router.post("/volumes/commit")
def commit(request: Request, body: VolumeChange, site_id: Agent) -> VolumeCommitted:
    """What a run made of a volume becomes its next version; a side version where another has come first. Saying it again
    changes nothing."""
    with platform_of(request).database.begin(site_id) as tx:
        lease = _lease(tx, site_id, body.lease_id, body.generation)
        mounts = [VolumeMount.model_validate(v) for v in lease.offer.get("volumes", ())]
        mount = next((m for m in mounts if m.target == body.target and m.mode == "rw"), None)
        base = tx.session.get(VolumeVersion, mount.version_id) if mount else None
        if mount is None or base is None:
            raise NotFound.of(Text("writable volume", "可写数据卷"), body.target)
        volume = tx.session.get_one(Volume, base.volume_id, with_for_update=True)
        made = _earlier(tx, volume.id, lease)
        if made is None:
            change = Change(tuple(File(f.path, f.mode, f.size_bytes, f.sha256) for f in body.put), body.remove)
            made = volumes.commit(
                tx, volume, base=base.number, change=change, by=lease.workload_id, workload_id=lease.workload_id,
                note=_note(lease), side=f"conflict-{lease.workload_id}",
            )  # fmt: skip
            workload = workloads.visible(tx, lease.workload_id, None, lock=True)
            told = {"volume": volume.name, "number": made.number, "side": made.side}
            workloads.note(tx, workload, "what it wrote is kept as a version", **told)
        return VolumeCommitted(number=made.number, side=made.side)


def _note(lease: Lease) -> str:
    return f"{lease.workload_id}/{lease.generation}"


def _earlier(tx: Tx, volume_id: str, lease: Lease) -> VolumeVersion | None:
    query = select(VolumeVersion).where(
        VolumeVersion.volume_id == volume_id, VolumeVersion.workload_id == lease.workload_id, VolumeVersion.note == _note(lease)
    )
    return tx.session.scalar(query)


def _lease(tx: Tx, site_id: str, lease_id: str, generation: int) -> Lease:
    lease = tx.session.get(Lease, lease_id)
    if lease is None or lease.site_id != site_id or lease.generation != generation or lease.state == "closed":
        raise NotFound.of(Text("open lease", "进行中的租约"), f"{lease_id}/{generation}")
    return lease


def _check_path(path: str) -> None:
    told = path_problem(path)
    if told is not None:
        raise InvalidInput(
            Text(f"{path!r} {told.en}.", f"{path!r} {told.zh}。"),
            Text("Send a relative path without '..'.", "请使用不含 .. 的相对路径。"),
        )


def _answer(view: UploadView) -> UploadAnswer:
    return UploadAnswer(upload_id=view.id, offset=view.offset, complete=view.complete)
