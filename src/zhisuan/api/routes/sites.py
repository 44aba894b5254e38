"""Sites: providers bring them, the operator verifies them."""

from collections import defaultdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import (
    Body,
    DeviceView,
    MeasuredView,
    NodeView,
    PageOf,
    SiteInvited,
    SiteView,
    TokenMade,
    Words,
)
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotFound
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.grid_factors import grid_regions
from zhisuan.supply.tables import Device, Measurement, Node, Site
from zhisuan.tenancy.tables import Organisation

router = APIRouter(tags=["sites"])
Reader = Annotated[Caller, Depends(Allow("platform:site:read", "provider:site:read"))]
Writer = Annotated[Caller, Depends(Allow("platform:site:write", "provider:site:write"))]
Operator = Annotated[Caller, Depends(Allow("platform:site:write"))]
Provider = Annotated[Caller, Depends(Allow("provider:site:write"))]


class NewSite(Body):
    name: str = Field(max_length=60)
    region: str = Field(max_length=10, description="ISO 3166-2 province, such as CN-AH; it picks the grid factor.")
    pue_milli: int = Field(ge=1000, le=3000, default=1420, description="PUE in thousandths")


def site_views(tx: Tx, sites: list[Site], request: Request) -> list[SiteView]:
    """Sites with their nodes and devices, in a fixed number of queries."""
    ids = [s.id for s in sites]
    names = dict(tx.session.execute(select(Organisation.id, Organisation.name)).all())
    nodes = tx.session.scalars(select(Node).where(Node.site_id.in_(ids)).order_by(Node.hostname)).all()
    devices = tx.session.scalars(
        select(Device).where(Device.node_id.in_([n.id for n in nodes]), Device.present).order_by(Device.key)
    ).all()
    measured = tx.session.scalars(
        select(Measurement)
        .where(Measurement.device_id.in_([d.id for d in devices]))
        .order_by(Measurement.device_id, Measurement.precision, Measurement.at.desc())
        .ext(distinct_on(Measurement.device_id, Measurement.precision))
    ).all()
    running = dict(
        tx.session.execute(
            select(Lease.site_id, func.count())
            .where(Lease.site_id.in_(ids), Lease.state != "closed")
            .group_by(Lease.site_id)
        ).all()
    )
    by_device: dict[str, list[MeasuredView]] = defaultdict(list)
    for m in measured:
        by_device[m.device_id].append(MeasuredView.model_validate(m))
    by_node: dict[str, list[DeviceView]] = defaultdict(list)
    for d in devices:
        by_node[d.node_id].append(_device(d, by_device[d.id]))
    by_site: dict[str, list[NodeView]] = defaultdict(list)
    for n in nodes:
        by_site[n.site_id].append(_node(n, by_node[n.id]))
    regions = {r.region: r.name for r in grid_regions()}
    ttl = platform_of(request).site_ttl
    return [
        SiteView(
            id=s.id, name=s.name, provider={"id": s.provider_id, "name": names.get(s.provider_id, "")}, state=s.state,
            reachable=supply.is_reachable(s, tx.now, ttl), region=s.region, region_name=_words(regions[s.region]),
            pue_milli=s.pue_milli, engine=s.engine, joined_at=s.joined_at, last_seen_at=s.last_seen_at,
            nodes=by_site[s.id], leases_running=running.get(s.id, 0),
        )
        for s in sites
    ]  # fmt: skip


def _words(text: Text) -> Words:
    return Words(en=text.en, zh=text.zh)


def _node(node: Node, devices: list[DeviceView]) -> NodeView:
    facts: dict[str, Any] = node.facts
    return NodeView(
        id=node.id, hostname=node.hostname, os=str(facts.get("os", "")), architecture=str(facts.get("architecture", "")),
        present=node.present, facts=facts, devices=devices,
    )  # fmt: skip


def _device(device: Device, measured: list[MeasuredView]) -> DeviceView:
    facts = next((c for c in load_device_classes() if c.class_id == device.class_id), None)
    return DeviceView(
        id=device.id, key=device.key, kind=device.kind, class_id=device.class_id, name=device.name,
        capacity=device.reported_capacity, allocated=device.allocated, health=device.health, note=device.note,
        memory_mib=device.memory_mib, nominal_tflops_milli=facts.nominal_fp16_tflops_milli if facts else None,
        published_rate_udu_per_hour=facts.published_rate_udu_per_hour if facts else None, measured=measured,
    )  # fmt: skip


@router.get("/sites")
def sites(request: Request, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> PageOf[SiteView]:
    """A provider's own sites; all of them for the operator."""
    query = select(Site)
    if caller.org_scope is not None:
        query = query.where(Site.provider_id == caller.org_scope)
    with platform_of(request).database.begin() as tx:
        rows = paged(tx, query, Site.id, lambda s: s, limit, cursor)
        return PageOf[SiteView](items=site_views(tx, rows.items, request), next_cursor=rows.next_cursor)


@router.get("/sites/{site_id}")
def site(request: Request, site_id: str, caller: Reader) -> SiteView:
    with platform_of(request).database.begin() as tx:
        found = tx.session.get(Site, site_id)
        if found is None or caller.org_scope not in (None, found.provider_id):
            raise NotFound.of(Text("site", "站点"), site_id)
        return site_views(tx, [found], request)[0]


@router.post("/sites", status_code=201, response_model=SiteInvited)
def create_site(request: Request, body: NewSite, key: IdempotencyKey, caller: Provider) -> JSONResponse:
    """Register a site and get the token that its agent joins with, once, within a day."""
    who = caller.principal

    def work(tx: Tx) -> SiteInvited:
        made = supply.create_site(
            tx, provider_id=who.org_id, name=body.name, region=body.region, pue_milli=body.pue_milli
        )
        return SiteInvited(
            site=site_views(tx, [made.site], request)[0], join_token=made.token, expires_at=made.expires_at
        )

    return change(
        request,
        principal=who.org_id,
        actor=who.user_id,
        key=key,
        body=body,
        work=work,
        status=201,
        secret_fields=("join_token",),
    )


@router.post("/sites/{site_id}/join-tokens", status_code=201, response_model=TokenMade)
def new_join_token(request: Request, site_id: str, key: IdempotencyKey, caller: Provider) -> JSONResponse:
    """A new join token; the agent that joins with it replaces the one before."""
    who = caller.principal

    def work(tx: Tx) -> TokenMade:
        made = supply.invite_again(tx, supply.site_visible(tx, site_id, caller.org_scope))
        return TokenMade(join_token=made.token, expires_at=made.expires_at)

    return change(
        request,
        principal=who.org_id,
        actor=who.user_id,
        key=key,
        body={},
        work=work,
        status=201,
        secret_fields=("join_token",),
    )


def _act(request: Request, site_id: str, key: str, caller: Caller, *actions: str) -> JSONResponse:
    ttl = platform_of(request).site_ttl

    def work(tx: Tx) -> SiteView:
        found = supply.site_visible(tx, site_id, caller.org_scope)
        if "close" in actions and supply.is_reachable(found, tx.now, ttl) and execution.open_lease_count(tx, found.id):
            raise Conflict(
                Text(f"Work still runs at the site {found.name}.", f"站点 {found.name} 仍有作业在运行。"),
                Text(
                    "Drain the site, wait until its work has ended, and close it then.",
                    "请先排空站点，待作业结束后再关闭。",
                ),
                code="site_in_use",
            )
        for action in actions:
            supply.change_state(tx, found, action)
        if found.state == "closed":
            execution.lose_leases(tx, found)
        return site_views(tx, [found], request)[0]

    who = caller.principal
    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)


@router.post("/sites/{site_id}/verify", response_model=SiteView)
def verify(request: Request, site_id: str, key: IdempotencyKey, caller: Operator) -> JSONResponse:
    """The operator has looked at what the site measured and opens it for work."""
    return _act(request, site_id, key, caller, "verify", "open")


@router.post("/sites/{site_id}/open", response_model=SiteView)
def reopen(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Open a verified or drained site."""
    return _act(request, site_id, key, caller, "open")


@router.post("/sites/{site_id}/drain", response_model=SiteView)
def drain(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Take no new work; what runs there goes on."""
    return _act(request, site_id, key, caller, "drain")


@router.post("/sites/{site_id}/close", response_model=SiteView)
def close(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """End a drained site; its agent's credential is void from then on. Of a site that cannot be heard, what still ran
    there counts as lost: it is not charged, and waits for another place while it has restarts left."""
    return _act(request, site_id, key, caller, "close")
