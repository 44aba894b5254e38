"""The wire of site agents (``zhisuan.wire.site``)."""

import asyncio
import base64
import binascii
from datetime import timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from zhisuan.api.agent_version import require_known_version
from zhisuan.api.auth import SiteAgent
from zhisuan.api.platform import Platform, platform_of
from zhisuan.api.receiving import received
from zhisuan.api.routes import wire_checkpoints, wire_data, wire_joining, wire_links
from zhisuan.base.db import Tx
from zhisuan.base.errors import InvalidInput, NotFound, TooLarge, ZhisuanError
from zhisuan.base.incoming import Incoming
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import AmbiguousDevice, load_device_classes, match_class
from zhisuan.data import content
from zhisuan.execution import checkpoints
from zhisuan.execution import service as execution
from zhisuan.execution.desired import Desired, desired_of_site, needs_blob
from zhisuan.execution.placing import SITE_CHANNEL
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.inventory import DeviceRecord, EngineRecord, NodeRecord
from zhisuan.supply.tables import Site
from zhisuan.usage import service as usage
from zhisuan.wire.common import Accepted
from zhisuan.wire.site import (
    AccountBatch,
    ArtefactAnswer,
    DeviceReport,
    Inventory,
    LeaseReport,
    LogAnswer,
    LogChunk,
    NodeReport,
    SecretValues,
    SyncAnswer,
    SyncRequest,
    UsageBatch,
)
from zhisuan.workload import secrets
from zhisuan.workload.tables import Blob

router = APIRouter(tags=["wire: sites"], dependencies=[Depends(require_known_version)])
router.include_router(wire_joining.router)
router.include_router(wire_links.router)
router.include_router(wire_checkpoints.router)
router.include_router(wire_data.router)
Agent = Annotated[str, Depends(SiteAgent())]
SEEN_EVERY = timedelta(seconds=5)
UNSAID = Desired("", ())
ARTEFACT_BYTES_MAX = 64 * 1024**3
PATH_LENGTH_MAX = 500


@router.post("/inventory")
def inventory(request: Request, body: Inventory, site_id: Agent) -> Accepted:
    with platform_of(request).database.begin(site_id) as tx:
        site = tx.session.get_one(Site, site_id, with_for_update=True)
        engine = body.engine
        record = EngineRecord(
            engine=engine.engine, version=engine.version, isolation=engine.isolation, allow_unisolated=engine.allow_unisolated,
            limits=dict(engine.limits), problems=engine.problems, nodes_max=engine.nodes_max,
            jupyterlab=engine.jupyterlab, shells=engine.shells,
        )  # fmt: skip
        supply.take_inventory(tx, site, record, [_node(n) for n in body.nodes])
    return Accepted(accepted=len(body.nodes))


def _node(report: NodeReport) -> NodeRecord:
    devices = tuple(
        DeviceRecord(
            key=d.key, kind=d.kind, class_id=_class_of(d), name=d.name, capacity=d.capacity, memory_mib=d.memory_mib,
            health=d.health, note=d.note, measurements=tuple((m.precision, m.mflops, m.method, m.at) for m in d.measurements),
        )
        for d in report.devices
    )  # fmt: skip
    facts = {**report.facts, "os": report.os, "architecture": report.architecture}
    return NodeRecord(report.hostname, report.boot_id, facts, devices)


def _class_of(device: DeviceReport) -> str | None:
    """The class of a reported device; None for one the catalogue does not know, which is shown and not sold."""
    if device.kind == "cpu":
        return "cpu-core"
    if device.kind != "accelerator":
        return None
    try:
        return match_class(device.name, device.memory_mib or 0, load_device_classes())
    except AmbiguousDevice:
        return None


@router.post("/sync", response_model=SyncAnswer)
async def sync(request: Request, body: SyncRequest, site_id: Agent) -> Response:
    """Take in what runs at the site and answer what should; waits for a change when nothing is different."""
    here = platform_of(request)
    loop = asyncio.get_running_loop()
    until = loop.time() + body.wait_seconds
    with here.hub.listening(SITE_CHANNEL, site_id) as signal:
        answer = await here.in_own_thread(_sync_once, here, site_id, body)
        while answer.version == body.known_version and (left := until - loop.time()) > 0:
            if not await signal.wait(left):
                break
            answer = await here.in_own_thread(_desired, here, site_id)
    # Put together from offers as they are kept: a site may hold hundreds, and asks with each that begins or ends.
    head = {"version": answer.version, "server_time": here.database.clock.now()}
    data = orjson.dumps(head)[:-1] + b',"leases":[' + b",".join(answer.offers) + b"]}"
    return Response(data, media_type="application/json")


def _sync_once(here: Platform, site_id: str, body: SyncRequest) -> Desired:
    with here.database.begin(site_id) as tx:
        hearing = tx.memory.of(supply.Hearing)
        offset_ms = supply.clock_offset_ms(body.at, tx.now)
        if not hearing.note(site_id, agent_boot=body.agent_boot, offset_ms=offset_ms, now=tx.now):
            site = tx.session.get_one(Site, site_id)
            supply.heard_from(tx, site, agent_boot=body.agent_boot, agent_time=body.at, every=SEEN_EVERY)
            hearing.learn(site)
        reports = execution.news(tx, site_id, body.leases)
        if not reports and not body.only_tells:
            return desired_of_site(tx, site_id)
    if reports:
        _take_in(here, site_id, reports)
    return UNSAID if body.only_tells else _desired(here, site_id)


def _take_in(here: Platform, site_id: str, reports: list[LeaseReport]) -> None:
    """All in one transaction; where one of them is refused, each in its own, so that it holds up no other."""
    try:
        with here.database.begin(site_id) as tx:
            execution.apply_reports(tx, site_id, reports)
    except ZhisuanError:
        if len(reports) == 1:
            raise
        for report in reports:
            _take_in(here, site_id, [report])


def _desired(here: Platform, site_id: str) -> Desired:
    with here.database.begin(site_id) as tx:
        supply.require_admitted(tx, site_id)
        return desired_of_site(tx, site_id)


@router.post("/usage")
async def report_usage(request: Request, body: UsageBatch, site_id: Agent) -> Accepted:
    here = platform_of(request)
    return await here.in_own_thread(_take_windows, here, site_id, body)


def _take_windows(here: Platform, site_id: str, body: UsageBatch) -> Accepted:
    with here.database.begin(site_id) as tx:
        return usage.accept_windows(tx, site_id, body.windows)


@router.post("/accounts")
def accounts(request: Request, body: AccountBatch, site_id: Agent) -> Accepted:
    with platform_of(request).database.begin(site_id) as tx:
        return usage.take_accounts(tx, site_id, body.accounts)


@router.post("/logs")
def logs(request: Request, body: LogChunk, site_id: Agent) -> LogAnswer:
    try:
        data = base64.b64decode(body.data, validate=True)
    except binascii.Error as error:
        raise InvalidInput(
            Text("The log data is not base64.", "日志数据不是有效的 base64。"),
            Text("Send the bytes as base64.", "请以 base64 发送。"),
        ) from error
    here = platform_of(request)
    with here.database.begin(site_id) as tx:
        wanted = execution.add_log(tx, site_id, body.lease_id, body.generation, body.offset, data)
        if wanted > here.settings.output_bytes_max:
            mib = here.settings.output_bytes_max // 1024**2
            raise TooLarge(
                Text(f"Of one run at most {mib} MiB of output are kept.", f"每次运行最多保留 {mib} MiB 输出。"),
                Text("Write what is large into files and keep them as artefacts.", "请将大量内容写入文件并作为产物保存。"),
            )
    return LogAnswer(next_offset=wanted)


@router.put("/artefacts/{lease_id}/{generation}")
async def artefact(
    request: Request,
    lease_id: str,
    generation: int,
    site_id: Agent,
    path: Annotated[str, Query(min_length=1, max_length=PATH_LENGTH_MAX)],
    x_content_sha256: Annotated[str | None, Header(max_length=64)] = None,
) -> ArtefactAnswer:
    """Take in one file that a lease left; sending it again changes nothing."""
    here = platform_of(request)
    if path.startswith("/") or ".." in path.split("/") or not path.isprintable():
        raise InvalidInput(
            Text(f"{path!r} is not a path below the artefact folder.", f"{path!r} 不是产物目录下的路径。"),
            Text("Send a relative path without '..'.", "请使用不含 .. 的相对路径。"),
        )
    await run_in_threadpool(_own_lease, here, site_id, lease_id, generation)
    return await received(
        request, here, ARTEFACT_BYTES_MAX,
        lambda incoming: _keep(here, incoming, site_id, lease_id, generation, path, x_content_sha256),
    )  # fmt: skip


def _own_lease(here: Platform, site_id: str, lease_id: str, generation: int) -> None:
    with here.database.begin(site_id) as tx:
        _lease(tx, site_id, lease_id, generation)


def _lease(tx: Tx, site_id: str, lease_id: str, generation: int) -> Lease:
    lease = tx.session.get(Lease, lease_id)
    if lease is None or lease.site_id != site_id or lease.generation != generation or lease.state == "closed":
        raise NotFound.of(Text("open lease", "进行中的租约"), f"{lease_id}/{generation}")
    return lease


def _keep(
    here: Platform, incoming: Incoming, site_id: str, lease_id: str, generation: int, path: str, announced: str | None
) -> ArtefactAnswer:
    digest = incoming.finish(announced)
    here.store.keep(incoming, digest)
    with here.database.begin(site_id) as tx:
        lease = _lease(tx, site_id, lease_id, generation)
        content.secure(tx, here.store, [digest])
        made = execution.add_artefact(tx, lease, path=path, sha256=digest, size_bytes=incoming.size_bytes)
        return ArtefactAnswer(path=made.path, size_bytes=made.size_bytes, sha256=made.sha256)


@router.get("/secrets/{lease_id}/{generation}")
def secret_values(request: Request, lease_id: str, generation: int, site_id: Agent) -> SecretValues:
    """The secrets of a lease that this site holds and should run; of any other it answers as of an unknown one."""
    here = platform_of(request)
    with here.database.begin(site_id) as tx:
        lease = _lease(tx, site_id, lease_id, generation)
        if lease.desired != "run" or lease.state == "ending":
            raise NotFound.of(Text("open lease", "进行中的租约"), f"{lease_id}/{generation}")
        return SecretValues(values=secrets.values_of(tx, here.vault, lease.workload_id))


@router.get("/blobs/{blob_id}", response_class=StreamingResponse)
def blob(request: Request, blob_id: str, site_id: Agent) -> StreamingResponse:
    """An upload, or a checkpoint, that a lease of this site needs; others are not there for it."""
    here = platform_of(request)
    with here.database.begin(site_id) as tx:
        kept = checkpoints.offered_to(tx, site_id, blob_id)
        if kept is not None:
            return StreamingResponse(wire_checkpoints.archive_of(here.store, kept), media_type="application/gzip")
        found = tx.session.get(Blob, blob_id)
        if found is None or not needs_blob(tx, site_id, blob_id):
            raise NotFound.of(Text("upload", "上传文件"), blob_id)
    headers = {"Content-Length": str(found.size_bytes), "X-Content-Sha256": found.sha256}
    return StreamingResponse(here.store.chunks(found.sha256), media_type="application/gzip", headers=headers)
