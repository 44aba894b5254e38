"""Launching, watching and ending work; its output and artefacts."""

import asyncio
import codecs
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field
from sqlalchemy import select

from zhisuan.api import expecting
from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change, keyed
from zhisuan.api.explained_schemas import QuoteView
from zhisuan.api.explaining import quoted_sites, runners_up
from zhisuan.api.launching import checked_plan, market_of, snapshot_of
from zhisuan.api.ordering import Ordered, desk_of
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import Platform, platform_of
from zhisuan.api.pricing import dearest_shape, shape_for
from zhisuan.api.queue_schemas import WhyInLine
from zhisuan.api.ranges import stored_file
from zhisuan.api.receiving import received
from zhisuan.api.schemas import (
    ArtefactView,
    BlobView,
    Body,
    LogText,
    PageOf,
    Words,
    WorkloadLaunched,
    WorkloadView,
)
from zhisuan.api.submitting import check_uploads, read_order
from zhisuan.api.survival_schemas import WorkloadWhole, checkpoint_view, survival_view
from zhisuan.api.views import (
    event_views,
    last_placement,
    lease_views,
    placement_view,
    uploads_view,
    workload_view,
    workload_views,
)
from zhisuan.api.wishing import check_times, wish_of
from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.incoming import Incoming
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.catalog import service as catalog
from zhisuan.data import content
from zhisuan.execution import checkpoints
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Artefact
from zhisuan.tenancy.service import Principal
from zhisuan.workload import service as workloads
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.tables import Workload

router = APIRouter(tags=["workloads"])
Reader = Annotated[Caller, Depends(Allow("org:workload:read", "platform:workload:read"))]
Writer = Annotated[Caller, Depends(Allow("org:workload:write"))]
State = Literal["pending", "placed", "starting", "running", "paused", "succeeded", "failed", "cancelled"]
BYTES = {"type": "string", "format": "binary"}
WATCH_SECONDS = 15.0
LOG_BYTES_MAX = 1024 * 1024


class Launch(Body):
    file: str = Field(description="The workload file, YAML.", max_length=300_000)
    workdir_blob: str | None = None
    mounts: dict[str, str] = Field(default_factory=dict, description="Upload for each target of file_mounts.")
    files: list[str] = Field(
        default_factory=list, description="Targets of file_mounts that are a single file: an archive of that file alone."
    )
    secrets: dict[str, str] = Field(
        default_factory=dict, description="Secrets that the file names without a value, and further ones. Never shown again."
    )
    project: str | None = None


class QuoteBody(Body):
    file: str = Field(max_length=300_000)
    project: str | None = None


@router.post("/workloads", status_code=201, response_model=WorkloadLaunched)
async def launch(request: Request, body: Launch, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Launch a workload: checked, priced, placed if there is a place, and explained."""
    return await desk_of(request).take(await run_in_threadpool(_ordered, request, body, key, caller.principal))


def _ordered(request: Request, body: Launch, key: str, who: Principal) -> Ordered:
    order = read_order(body.file, body.secrets)
    check_uploads(order.spec, workdir_blob=body.workdir_blob, mounts=body.mounts, files=body.files)
    told = body.model_dump() | {"file": order.text, "secrets": order.fingerprints(platform_of(request).vault)}
    call = keyed(request, who.org_id, key, told)
    return Ordered(call, who, order, body.project, body.workdir_blob, body.mounts, body.files)


@router.post("/quotes", response_model=QuoteView)
def quote(request: Request, body: QuoteBody, caller: Writer) -> QuoteView:
    """What a workload would cost, and where, without launching it. Nothing is stored."""
    spec = parse_workload(body.file)
    here = platform_of(request)
    with here.database.begin() as tx:
        check_times(tx.now, spec)
        market = market_of(tx)
        wish, on_spot = wish_of(spec), spec.survival.spot
        snapshot = snapshot_of(tx, market, here.site_ttl, spot=on_spot)
        made = checked_plan(snapshot, wish)
        shape = shape_for(made, wish, market.book, market.classes)
        price = catalog.estimate(tx.session, tx.now, shape, 3600, spot=on_spot)
        dearest = dearest_shape(made, wish, market.book, market.classes)
        most = catalog.estimate(tx.session, tx.now, dearest, 3600, spot=on_spot)
    data = made.as_dict()
    sites, counted = quoted_sites(snapshot, made)
    return QuoteView(
        shape=[{"kind": i.kind, "class_id": i.class_id, "amount": i.amount} for i in shape],
        rate_udu_per_hour=price.rate_udu_per_hour, price_e8_per_du=price.price_e8_per_du,
        price_book_version=price.price_book_version, hour_ucny=price.cost_ucny, hour_ucny_max=most.cost_ucny, candidates=data["candidates"],
        rejected=data["rejected"], reason=data["reason"],
        carbon_g_per_hour_milli=made.chosen.carbon_g_per_hour_milli if made.chosen else None, sites=sites, sites_counted=counted,
    )  # fmt: skip


@router.get("/workloads")
def list_workloads(
    request: Request,
    caller: Reader,
    state: State | None = None,
    kind: Literal["job", "service", "workspace"] | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[WorkloadView]:
    """Newest first."""
    with platform_of(request).database.begin() as tx:
        page = workloads.page(tx, caller.org_scope, state=state, kind=kind, limit=limit, cursor=cursor)
        return PageOf[WorkloadView](items=workload_views(tx, page.items), next_cursor=page.next_cursor)


@router.get("/workloads/{workload_id}")
def workload(request: Request, workload_id: str, caller: Reader) -> WorkloadWhole:
    with platform_of(request).database.begin() as tx:
        found = workloads.visible(tx, workload_id, caller.org_scope)
        return WorkloadWhole(
            **workload_view(tx, found).model_dump(),
            leases=lease_views(tx, execution.leases_of(tx, found.id)),
            placement=placement_view(last_placement(tx, found.id)),
            events=event_views(workloads.events(tx, found.id)),
            file=found.file,
            checkpoint=checkpoint_view(checkpoints.current(tx, found.id)),
            survival=survival_view(found),
            uploads=uploads_view(found),
        )


@router.post("/workloads/{workload_id}/cancel", response_model=WorkloadView)
def cancel(
    request: Request,
    workload_id: str,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("org:workload:write", "platform:workload:cancel"))],
) -> JSONResponse:
    """End a workload: at once while it waits, else when its site has stopped it."""
    who = caller.principal

    def work(tx: Tx) -> WorkloadView:
        found = workloads.visible(tx, workload_id, caller.org_scope, lock=True)
        execution.cancel(tx, found)
        return workload_view(tx, found)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)


@router.get("/workloads/{workload_id}/why")
def why(request: Request, workload_id: str, caller: Reader) -> WhyInLine:
    """Why a workload waits and what would unblock it; for one that was placed, what was compared."""
    here = platform_of(request)
    with here.database.begin() as tx:
        found = workloads.visible(tx, workload_id, caller.org_scope)
        record = placement_view(last_placement(tx, found.id))
        if found.state == "pending":
            return expecting.why_waiting_in_line(tx, found, record, here.site_ttl)
        reason = record.reason if record else Words(en="It was never placed.", zh="从未被放置。")
        return WhyInLine(
            state=found.state, reason=reason, placement=record, unblock=[], deadline=found.deadline,
            runners_up=runners_up(record) if record else [], queue=None,
        )  # fmt: skip


def _read(tx: Tx, store: Store, found: Workload, offset: int, limit: int) -> LogText:
    output = execution.read_log(tx, store, found.id, offset, limit)
    done = found.state in workloads.RESTING_STATES
    text, used = decode_prefix(output.data, final=done and offset + len(output.data) >= output.end)
    return LogText(text=text, offset=offset, next_offset=offset + used, complete=done and offset + used >= output.end)


def decode_prefix(data: bytes, *, final: bool) -> tuple[str, int]:
    """The text of ``data`` and how many bytes that is. A character cut off at the end is left for the next call unless
    this is the ``final`` one; bytes that are not UTF-8 become replacement characters."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final)
    return text, len(data) - len(decoder.getstate()[0])


@router.get("/workloads/{workload_id}/logs")
def logs(
    request: Request,
    workload_id: str,
    caller: Annotated[Caller, Depends(Allow("org:workload:read"))],
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=4, le=LOG_BYTES_MAX)] = 65536,
) -> LogText:
    """Output from a byte offset; ``complete`` says that no more will come."""
    here = platform_of(request)
    with here.database.begin() as tx:
        return _read(tx, here.store, workloads.visible(tx, workload_id, caller.org_scope), offset, limit)


@router.get("/workloads/{workload_id}/watch", response_class=StreamingResponse)
async def watch(
    request: Request,
    workload_id: str,
    caller: Annotated[Caller, Depends(Allow("org:workload:read"))],
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> StreamingResponse:
    """Output and state as server-sent events: ``log``, ``state``, and ``end`` once all of it has come."""
    here = platform_of(request)

    def check() -> None:
        with here.database.begin() as tx:
            workloads.visible(tx, workload_id, caller.org_scope)

    await run_in_threadpool(check)
    return StreamingResponse(
        _events(here, workload_id, caller.org_scope, offset),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _events(here: Platform, workload_id: str, org_id: str | None, offset: int) -> AsyncIterator[bytes]:
    shown = b""

    def look(at: int) -> tuple[LogText, WorkloadView]:
        with here.database.begin() as tx:
            found = workloads.visible(tx, workload_id, org_id)
            return _read(tx, here.store, found, at, LOG_BYTES_MAX), workload_view(tx, found)

    with here.hub.listening(workloads.WATCH_CHANNEL, workload_id) as signal:
        while True:
            log, view = await run_in_threadpool(look, offset)
            state = view.model_dump_json().encode()
            if state != shown:
                shown = state
                yield b"event: state\ndata: " + state + b"\n\n"
            if log.text:
                offset = log.next_offset
                yield b"event: log\ndata: " + orjson.dumps({"text": log.text, "next_offset": offset}) + b"\n\n"
                continue
            if log.complete:
                yield b"event: end\ndata: " + state + b"\n\n"
                return
            if not await signal.wait(WATCH_SECONDS):
                yield b": still here\n\n"
            await asyncio.sleep(0.05)


@router.get("/workloads/{workload_id}/artefacts")
def artefacts(
    request: Request,
    workload_id: str,
    caller: Annotated[Caller, Depends(Allow("org:workload:read"))],
    path: Annotated[str | None, Query(max_length=4096, description="Only what was left under this path.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[ArtefactView]:
    with platform_of(request).database.begin() as tx:
        found = workloads.visible(tx, workload_id, caller.org_scope)
        query = select(Artefact).where(Artefact.workload_id == found.id)
        if path is not None:
            query = query.where(Artefact.path == path)
        return paged(tx, query, Artefact.id, ArtefactView.model_validate, limit, cursor)


@router.get("/artefacts/{artefact_id}/content", response_class=StreamingResponse)
def artefact_content(
    request: Request, artefact_id: str, caller: Annotated[Caller, Depends(Allow("org:workload:read"))]
) -> StreamingResponse:
    """The bytes of one artefact; a Range with If-Match goes on where a download was cut off."""
    here = platform_of(request)
    with here.database.begin() as tx:
        found = tx.session.get(Artefact, artefact_id)
        if found is None or found.org_id != caller.org_scope:
            raise NotFound.of(Text("artefact", "产物"), artefact_id)
    return stored_file(request, here.store, found.sha256, found.size_bytes, name=found.path)


@router.post(
    "/blobs",
    status_code=201,
    response_model=BlobView,
    openapi_extra={"requestBody": {"required": True, "content": {"application/gzip": {"schema": BYTES}}}},
)
async def upload(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("org:blob:write"))],
    x_content_sha256: Annotated[str | None, Header(max_length=64)] = None,
) -> JSONResponse:
    """Upload a tar.gz archive. The same bytes again are the same upload, so this call needs no idempotency key."""
    here = platform_of(request)
    view = await received(
        request, here, here.settings.upload_bytes_max, lambda incoming: _keep(here, incoming, caller, x_content_sha256)
    )
    return JSONResponse(view.model_dump(mode="json"), 201)


def _keep(here: Platform, incoming: Incoming, caller: Caller, announced: str | None) -> BlobView:
    digest = incoming.finish(announced)
    here.store.keep(incoming, digest)
    with here.database.begin(caller.principal.user_id) as tx:
        content.secure(tx, here.store, [digest])
        blob = workloads.add_blob(tx, org_id=caller.principal.org_id, sha256=digest, size_bytes=incoming.size_bytes)
        return BlobView(id=blob.id, sha256=blob.sha256, size_bytes=blob.size_bytes)
