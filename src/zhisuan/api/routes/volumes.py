"""Volumes: named trees of files with versions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import select

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.data_schemas import (
    CurrentBody,
    DeleteBody,
    FileView,
    FolderEntry,
    NewVersion,
    NewVolume,
    PackWanted,
    VersionOfVolume,
    VolumeUseView,
    VolumeView,
)
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.ranges import joined_files, stored_file
from zhisuan.api.schemas import PageOf
from zhisuan.base.db import Tx
from zhisuan.base.errors import TooLarge
from zhisuan.base.packs import PACK_BYTES
from zhisuan.base.paging import decode_cursor, page_of
from zhisuan.base.text import Text
from zhisuan.base.trees import File
from zhisuan.data import volumes
from zhisuan.data.rules import Change
from zhisuan.data.tables import Volume, VolumeFile, VolumeUse, VolumeVersion
from zhisuan.tenancy import service as tenancy
from zhisuan.workload.tables import Workload

router = APIRouter(tags=["volumes"], prefix="/volumes")
Reader = Annotated[Caller, Depends(Allow("org:volume:read"))]
Writer = Annotated[Caller, Depends(Allow("org:volume:write"))]
Number = Annotated[int | None, Query(ge=1, le=2**62, description="Not given: the current version.")]
FilePath = Annotated[str, Query(min_length=1, max_length=2000)]
FolderPath = Annotated[str, Query(max_length=2000, description="Empty: the top.")]


def volume_views(tx: Tx, found: list[Volume]) -> list[VolumeView]:
    """Volumes with their current versions, in one more query."""
    versions = {
        v.volume_id: v
        for v in tx.session.scalars(
            select(VolumeVersion)
            .join(Volume, Volume.id == VolumeVersion.volume_id)
            .where(Volume.id.in_([v.id for v in found]), VolumeVersion.number == Volume.current_number)
        )
    }
    return [
        VolumeView(
            id=v.id, name=v.name, project_id=v.project_id, current_number=v.current_number, last_number=v.last_number,
            created_at=v.created_at, created_by=v.created_by, deleted_at=v.deleted_at, delete_reason=v.delete_reason,
            current=VersionOfVolume.model_validate(versions[v.id]) if v.id in versions else None,
        )
        for v in found
    ]  # fmt: skip


@router.post("", status_code=201, response_model=VolumeView)
def create(request: Request, body: NewVolume, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """An empty volume."""
    who = caller.principal

    def work(tx: Tx) -> VolumeView:
        project = tenancy.project_named(tx, who.org_id, body.project or who.project_id)
        made = volumes.create(tx, org_id=who.org_id, project_id=project.id, name=body.name, by=who.user_id)
        return volume_views(tx, [made])[0]

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.get("")
def list_volumes(
    request: Request, caller: Reader, deleted: bool = False, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[VolumeView]:
    """Newest first; ``deleted``: those that were deleted, with the reason."""
    with platform_of(request).database.begin() as tx:
        query = select(Volume).where(Volume.org_id == caller.org_scope)
        query = query.where(Volume.deleted_at.is_not(None) if deleted else Volume.deleted_at.is_(None))
        rows = paged(tx, query, Volume.id, lambda v: v, limit, cursor)
        return PageOf[VolumeView](items=volume_views(tx, rows.items), next_cursor=rows.next_cursor)


@router.get("/{name}")
def volume(request: Request, name: str, caller: Reader) -> VolumeView:
    with platform_of(request).database.begin() as tx:
        return volume_views(tx, [volumes.named(tx, caller.principal.org_id, name)])[0]


@router.post("/{name}/delete", response_model=VolumeView)
def delete(request: Request, name: str, body: DeleteBody, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Delete a volume. Work that has one of its versions keeps it; the room is free some days later."""
    who = caller.principal

    def work(tx: Tx) -> VolumeView:
        found = volumes.named(tx, who.org_id, name, lock=True)
        volumes.delete(tx, found, by=who.user_id, reason=body.reason)
        return volume_views(tx, [found])[0]

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work)


@router.post("/{name}/current", response_model=VolumeView)
def make_current(request: Request, name: str, body: CurrentBody, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Let another version be the one that work gets which names none."""
    who = caller.principal

    def work(tx: Tx) -> VolumeView:
        found = volumes.named(tx, who.org_id, name, lock=True)
        volumes.make_current(tx, found, body.number)
        tx.session.flush()
        return volume_views(tx, [found])[0]

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work)


@router.post("/{name}/versions", status_code=201, response_model=VersionOfVolume)
def commit(request: Request, name: str, body: NewVersion, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """The next version, of files whose content was uploaded before. Refused with ``volume_moved`` when ``base`` is not the
    current version, and with ``content_missing`` and the digests when content is not there."""
    who = caller.principal
    wanted = Change(tuple(File(f.path, f.mode, f.size_bytes, f.sha256) for f in body.put), tuple(body.remove))

    def work(tx: Tx) -> VersionOfVolume:
        found = volumes.named(tx, who.org_id, name, lock=True)
        made = volumes.commit(tx, found, base=body.base, change=wanted, by=who.user_id, note=body.note)
        return VersionOfVolume.model_validate(made)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.get("/{name}/versions")
def versions(
    request: Request, name: str, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[VersionOfVolume]:
    """Newest first."""
    with platform_of(request).database.begin() as tx:
        found = volumes.named(tx, caller.principal.org_id, name)
        query = select(VolumeVersion).where(VolumeVersion.volume_id == found.id)
        return paged(tx, query, VolumeVersion.id, VersionOfVolume.model_validate, limit, cursor)


@router.get("/{name}/files")
def files(
    request: Request, name: str, caller: Reader, version: Number = None, folder: FolderPath = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000, cursor: Annotated[str | None, Query(max_length=4000)] = None,
) -> PageOf[FileView]:  # fmt: skip
    """Every file of a version below a folder, by path."""
    with platform_of(request).database.begin() as tx:
        found = volumes.version_of(tx, volumes.named(tx, caller.principal.org_id, name), version)
        query = volumes.files_query(found.id, folder.strip("/")).order_by(VolumeFile.path).limit(limit + 1)
        after = decode_cursor(cursor)
        if after is not None:
            query = query.where(VolumeFile.path > after)
        page = page_of(tx.session.scalars(query).all(), limit, lambda f: f.path)
        return PageOf[FileView](
            items=[FileView.model_validate(f) for f in page.items], next_cursor=page.next_cursor
        )


@router.get("/{name}/folder")
def folder(
    request: Request, name: str, caller: Reader, version: Number = None, path: FolderPath = "", limit: Limit = 200,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> PageOf[FolderEntry]:  # fmt: skip
    """What lies directly in a folder of a version, by name."""
    with platform_of(request).database.begin() as tx:
        found = volumes.version_of(tx, volumes.named(tx, caller.principal.org_id, name), version)
        rows = volumes.listing(tx, found.id, path.strip("/"), decode_cursor(cursor) or "", limit + 1)
        page = page_of(rows, limit, lambda entry: entry.name)
        return PageOf[FolderEntry](
            items=[
                FolderEntry(
                    name=e.name, is_folder=e.file is None, file_count=e.file_count, size_bytes=e.size_bytes,
                    mode=e.file.mode if e.file else None, sha256=e.file.sha256 if e.file else None,
                )
                for e in page.items
            ],
            next_cursor=page.next_cursor,
        )  # fmt: skip


@router.get("/{name}/content", response_class=StreamingResponse)
def file_content(
    request: Request, name: str, path: FilePath, caller: Reader, version: Number = None
) -> StreamingResponse:
    """The bytes of one file; a Range with If-Match goes on where a download was cut off."""
    here = platform_of(request)
    with here.database.begin() as tx:
        found = volumes.version_of(tx, volumes.named(tx, caller.principal.org_id, name), version)
        file = volumes.file_at(tx, found.id, path)
    return stored_file(request, here.store, file.sha256, file.size_bytes, name=path)


@router.post("/{name}/pack", response_class=StreamingResponse)
def pack(request: Request, name: str, body: PackWanted, caller: Reader) -> StreamingResponse:
    """Many small files of a version, one behind the other in the order asked for. Changes nothing, so it needs no key."""
    here = platform_of(request)
    with here.database.begin() as tx:
        found = volumes.version_of(tx, volumes.named(tx, caller.principal.org_id, name), body.version)
        sizes = volumes.digests_of(tx, found.id, body.digests)
    total = sum(sizes.get(d, 0) for d in body.digests)
    if total > PACK_BYTES:
        raise TooLarge(
            Text(f"These files are {total} bytes; a pack is at most {PACK_BYTES}.", f"这些文件共 {total} 字节；一次最多打包 {PACK_BYTES} 字节。"),
            Text("Ask for fewer at once, and for big ones by themselves.", "请减少每次请求的文件，大文件请单独下载。"),
        )
    return joined_files(here.store, body.digests, sizes)


@router.get("/{name}/uses")
def uses(
    request: Request, name: str, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[VolumeUseView]:
    """Which workloads have, or had, a version of it; newest first."""
    with platform_of(request).database.begin() as tx:
        found = volumes.named(tx, caller.principal.org_id, name)
        query = (
            select(VolumeUse, VolumeVersion.number, Workload.name, Workload.state)
            .join(VolumeVersion, VolumeVersion.id == VolumeUse.version_id)
            .join(Workload, Workload.id == VolumeUse.workload_id)
            .where(VolumeUse.volume_id == found.id)
        )
        after = decode_cursor(cursor)
        if after is not None:
            workload_id, _, target = after.partition(" ")
            query = query.where(
                (VolumeUse.workload_id < workload_id)
                | ((VolumeUse.workload_id == workload_id) & (VolumeUse.target > target))
            )
        query = query.order_by(VolumeUse.workload_id.desc(), VolumeUse.target).limit(limit + 1)
        rows = tx.session.execute(query).all()
        page = page_of(rows, limit, lambda row: f"{row[0].workload_id} {row[0].target}")
        return PageOf[VolumeUseView](
            items=[
                VolumeUseView(
                    workload_id=use.workload_id, workload_name=title, workload_state=state, target=use.target, number=number,
                    mode=use.mode,
                )
                for use, number, title, state in page.items
            ],
            next_cursor=page.next_cursor,
        )  # fmt: skip
