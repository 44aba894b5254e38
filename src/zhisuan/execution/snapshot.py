"""The snapshot that placement decides on, read from supply and catalogue in a bounded number of queries."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.placement.rules import plain_names
from zhisuan.placement.types import ClassFacts, DeviceState, NodeState, SiteState, Snapshot
from zhisuan.supply import service as supply
from zhisuan.supply.grid_factors import grid_factor
from zhisuan.supply.service import is_reachable, site_facts
from zhisuan.supply.tables import Device, Node, Site

HEALTH_USABLE = ("ok", "degraded", "unknown")


def take_snapshot(
    tx: Tx, *, classes: Iterable[ClassFacts], price_e8_per_du: int, cpu_with_accelerator_free: bool, ttl: timedelta
) -> Snapshot:
    """All sites that have joined, their nodes and devices, at this transaction's time."""
    sites = tx.session.scalars(select(Site).where(Site.state != "closed").order_by(Site.id)).all()
    nodes = tx.session.scalars(select(Node).order_by(Node.id)).all()
    devices = tx.session.scalars(select(Device).where(Device.present).order_by(Device.id)).all()
    by_node: dict[str, list[DeviceState]] = defaultdict(list)
    for d in devices:
        by_node[d.node_id].append(
            DeviceState(d.id, d.key, d.kind, d.class_id, d.reported_capacity, d.allocated, d.health in HEALTH_USABLE)
        )
    by_site: dict[str, list[NodeState]] = defaultdict(list)
    for n in nodes:
        by_site[n.site_id].append(NodeState(n.id, n.hostname, n.present, tuple(by_node[n.id])))
    offers = supply.offers(tx, sites)
    factors: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (site_id, class_id), ppm in sorted(supply.rate_factors(tx).items()):
        factors[site_id].append((class_id, ppm))
    states = (
        _site_state(
            s, tuple(by_site[s.id]), reachable=is_reachable(s, tx.now, ttl), offered=offers[s.id].offered, factors=tuple(factors[s.id])
        )
        for s in sites
    )  # fmt: skip
    return Snapshot(
        sites=tuple(states),
        classes=tuple(classes),
        price_e8_per_du=price_e8_per_du,
        cpu_with_accelerator_free=cpu_with_accelerator_free,
    )


def _site_state(
    site: Site, nodes: tuple[NodeState, ...], *, reachable: bool, offered: bool, factors: tuple[tuple[str, int], ...]
) -> SiteState:
    isolation, allowed = site_facts(site.engine)
    return SiteState(
        id=site.id, name=site.name, provider_id=site.provider_id, state=site.state, reachable=reachable,
        isolated=isolation in ("sandbox", "user_sandbox") or allowed, region=site.region, pue_milli=site.pue_milli,
        grid_g_per_mwh=grid_factor(site.region).g_per_mwh, nodes=nodes,
        gang_nodes_max=int(site.engine.get("nodes_max", 1)), offered=offered, factors_ppm=factors,
    )  # fmt: skip


def class_facts(rows: Iterable[tuple[str, str, int | None, int | None]]) -> tuple[ClassFacts, ...]:
    """From (class id, model, rate in 10⁻⁶ 度 an hour or None, rated watts or None)."""
    return tuple(
        ClassFacts(class_id, plain_names(class_id, model), rate, (watts or 0) * 1000)
        for class_id, model, rate, watts in rows
    )
