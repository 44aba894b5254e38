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
    # Columns and not objects: a city has a hundred thousand devices.
    nodes = tx.session.execute(select(Node.id, Node.site_id, Node.hostname, Node.present).order_by(Node.id)).all()
    devices = tx.session.execute(
        select(
            Device.id, Device.key, Device.kind, Device.class_id, Device.reported_capacity, Device.allocated, Device.health, Device.node_id
        )
        .where(Device.present)
        .order_by(Device.id)
    ).all()  # fmt: skip
    by_node: dict[str, list[DeviceState]] = defaultdict(list)
    for ident, key, kind, class_id, capacity, allocated, health, node_id in devices:
        state = DeviceState(ident, key, kind, class_id, capacity, allocated, health in HEALTH_USABLE)
        by_node[node_id].append(state)
    by_site: dict[str, list[NodeState]] = defaultdict(list)
    for ident, site_id, hostname, present in nodes:
        by_site[site_id].append(NodeState(ident, hostname, present, tuple(by_node[ident])))
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
