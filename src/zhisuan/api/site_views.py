"""Sites as answers, with their nodes and devices, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from fastapi import Request
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import (
    DeviceView,
    MeasuredView,
    NodeView,
    OfferView,
    RecallView,
    SiteView,
    UseView,
    Words,
)
from zhisuan.base.db import Tx
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import DeviceClass, load_device_classes
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.grid_factors import grid_regions
from zhisuan.supply.tables import Device, Measurement, Node, Site, SiteRecall
from zhisuan.tenancy.tables import Organisation


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
    recalls = supply.recalls_of(tx, ids)
    ttl = platform_of(request).site_ttl
    return [
        SiteView(
            id=s.id, name=s.name, provider={"id": s.provider_id, "name": names.get(s.provider_id, "")}, state=s.state,
            reachable=supply.is_reachable(s, tx.now, ttl), region=s.region, region_name=_words(regions[s.region]),
            pue_milli=s.pue_milli, engine=s.engine, joined_at=s.joined_at, last_seen_at=s.last_seen_at,
            nodes=by_site[s.id], leases_running=running.get(s.id, 0), city=s.city, latitude_e6=s.latitude_e6,
            longitude_e6=s.longitude_e6, echo_address=s.echo_address, tariff_ucny_per_kwh=s.tariff_ucny_per_kwh, green_ppm=s.green_ppm, clock_offset_ms=s.clock_offset_ms,
            credential_since=s.credential_since, revoked_at=s.revoked_at, offer=_offer(s, recalls.get(s.id), tx),
            recall=RecallView.model_validate(recalls[s.id]) if s.id in recalls else None, use=_use(by_site[s.id]),
            round_trip_us=_round_trip(by_site[s.id]),
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


@cache
def _classes() -> dict[str, DeviceClass]:
    return {c.class_id: c for c in load_device_classes()}


def _device(device: Device, measured: list[MeasuredView]) -> DeviceView:
    facts = _classes().get(device.class_id or "")
    return DeviceView(
        id=device.id, key=device.key, kind=device.kind, class_id=device.class_id, name=device.name,
        capacity=device.reported_capacity, allocated=device.allocated, health=device.health, note=device.note,
        memory_mib=device.memory_mib, nominal_tflops_milli=facts.nominal_fp16_tflops_milli if facts else None,
        published_rate_udu_per_hour=facts.published_rate_udu_per_hour if facts else None, measured=measured,
    )  # fmt: skip


def _offer(site: Site, recall: SiteRecall | None, tx: Tx) -> OfferView:
    offer = supply.offer_of(site, recall, tx.now)
    windows = supply.Windows.of(site.offering)
    return OfferView(
        offered=offer.offered, reason=_words(offer.reason) if offer.reason else None, next_open=offer.next_open,
        until=offer.until, zone=windows.zone, windows=supply.written_windows(windows),
    )  # fmt: skip


def _use(nodes: Sequence[NodeView]) -> list[UseView]:
    """Sums over nodes; memory is not a class and is left out."""
    groups: dict[tuple[str, str], list[tuple[bool, DeviceView]]] = defaultdict(list)
    for node in nodes:
        for device in node.devices:
            if device.kind != "memory":
                usable = node.present and device.health not in ("failed", "occupied")
                groups[device.kind, device.class_id or device.name].append((usable, device))
    names = {c.class_id: c.name for c in load_device_classes()}
    return [
        UseView(
            kind=kind, class_id=members[0][1].class_id, devices=len(members),
            name=_words(names.get(name) or Text(members[0][1].name, members[0][1].name)),
            total=sum(d.capacity for _, d in members), allocated=sum(d.allocated for _, d in members),
            idle=sum(max(0, d.capacity - d.allocated) for usable, d in members if usable),
            out=sum(max(0, d.capacity - d.allocated) for usable, d in members if not usable),
        )
        for (kind, name), members in sorted(groups.items(), key=lambda g: (g[0][0] != "cpu", g[0][1]))
    ]  # fmt: skip


def _round_trip(nodes: Sequence[NodeView]) -> int | None:
    """What the agent measured to this server, in microseconds; the least over its nodes."""
    found = [(n.facts.get("probes") or {}).get("round_trip") or {} for n in nodes]
    return min((int(f["median_us"]) for f in found if "median_us" in f), default=None)
