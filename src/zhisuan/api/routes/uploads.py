"""Files on their way to the platform: small ones whole, big ones in parts that can be gone on with."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from zhisuan.api import uploading
from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.data_schemas import DIGEST, DataUse, Digests, MissingView, NewQuota, NewUpload, PackView, UploadView
from zhisuan.api.platform import platform_of
from zhisuan.api.receiving import PART_BYTES_MAX, received
from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.packs import BODY_BYTES_MAX
from zhisuan.base.text import Text
from zhisuan.data import content, uploads
from zhisuan.tenancy.tables import Organisation

router = APIRouter(tags=["data"])
Reader = Annotated[Caller, Depends(Allow("org:volume:read"))]
Writer = Annotated[Caller, Depends(Allow("org:volume:write"))]
BINARY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


@router.post("/uploads", response_model=UploadView)
def begin(request: Request, body: NewUpload, caller: Writer) -> UploadView:
    """Begin to upload a file, or find how far it has come. The same bytes are the same upload, so this call needs no
    idempotency key."""
    return uploading.begin(platform_of(request), caller.principal.org_id, body.sha256, body.size_bytes)


@router.get("/uploads/{upload_id}")
def upload(request: Request, upload_id: str, caller: Writer) -> UploadView:
    """How far an upload has come."""
    with platform_of(request).database.begin() as tx:
        return uploading.view(uploads.standing(tx, caller.principal.org_id, upload_id))


@router.put("/uploads/{upload_id}/bytes", openapi_extra=BINARY)
async def part(
    request: Request, upload_id: str, caller: Writer, offset: Annotated[int, Query(ge=0, le=2**62)]
) -> UploadView:
    """The next part, at most 256 MiB, beginning at the offset that is wanted next; at another offset it changes nothing. Of a part
    that is cut off what came is kept. With the last byte the whole is checked against its SHA-256."""
    here = platform_of(request)
    org_id = caller.principal.org_id

    before = await run_in_threadpool(uploading.expected, here, org_id, upload_id, offset)
    return await received(
        request, here, PART_BYTES_MAX,
        lambda incoming: uploading.finish(here, org_id, uploading.take(here, org_id, upload_id, offset, incoming)),
        cut_off_too=True, before=before,
    )  # fmt: skip


@router.put("/content/{sha256}", openapi_extra=BINARY)
async def whole(
    request: Request, sha256: Annotated[str, Path(pattern=DIGEST)], caller: Writer
) -> UploadView:
    """A file of at most 256 MiB in one piece."""
    here = platform_of(request)
    return await received(
        request, here, PART_BYTES_MAX, lambda incoming: uploading.keep_whole(here, caller.principal.org_id, sha256, incoming)
    )


@router.post("/content/pack", openapi_extra=BINARY)
async def pack(request: Request, caller: Writer) -> PackView:
    """Many small files at once, together at most 8 MiB: before the bytes of each a line of its SHA-256, a space, its size and a
    line feed. Of a pack that is cut off the files that came whole are kept."""
    here = platform_of(request)
    return await received(
        request, here, BODY_BYTES_MAX,
        lambda incoming: PackView(files=uploading.keep_pack(here, caller.principal.org_id, incoming)), cut_off_too=True,
    )  # fmt: skip


@router.post("/content/missing")
def missing(request: Request, body: Digests, caller: Writer) -> MissingView:
    """Which of these the organisation has not brought; what it has is kept for another while. Changes nothing else."""
    with platform_of(request).database.begin() as tx:
        held = content.held(tx, caller.principal.org_id, sorted(set(body.digests)))
    return MissingView(missing=[d for d in dict.fromkeys(body.digests) if d not in held])


@router.get("/data-use")
def data_use(request: Request, caller: Reader) -> DataUse:
    """What the organisation's volumes and uploads add up to, and its quota."""
    here = platform_of(request)
    with here.database.begin() as tx:
        used, most = content.quota_of(tx, caller.principal.org_id, here.settings.volume_bytes_max)
    return DataUse(bytes_used=used, bytes_max=most)


@router.put("/organisations/{org_id}/data-quota", response_model=DataUse)
def set_quota(
    request: Request,
    org_id: str,
    body: NewQuota,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("platform:org:write"))],
) -> JSONResponse:
    """How much an organisation may keep; what it has already stays, whatever the limit."""
    here = platform_of(request)

    def work(tx: Tx) -> DataUse:
        if tx.session.get(Organisation, org_id) is None:
            raise NotFound.of(Text("organisation", "组织"), org_id)
        content.set_quota(tx, org_id, body.bytes_max)
        used, most = content.quota_of(tx, org_id, here.settings.volume_bytes_max)
        return DataUse(bytes_used=used, bytes_max=most)

    who = caller.principal
    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work)
