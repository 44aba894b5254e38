"""Reading what placement decides on from supply, in a bounded number of queries: everything, or what is asked for by id."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVarTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute

from zhisuan.base.db import Tx
from zhisuan.placement.rules import plain_names
from zhisuan.placement.types import ClassFacts, DeviceState, NodeState, SiteState, Snapshot
from zhisuan.supply import service as supply
from zhisuan.supply.grid_factors import grid_factor
from zhisuan.supply.service import is_reachable, site_facts
from zhisuan.supply.tables import Device, Node, Site, SiteRecall

Columns = TypeVarTuple("Columns")
HEALTH_USABLE = ("ok", "degraded", "unknown")
SITE_COLUMNS = (
    Site.id, Site.name, Site.provider_id, Site.state, Site.region, Site.pue_milli, Site.engine, Site.offering,
    Site.clock_offset_ms, Site.last_seen_at, Site.green_ppm,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """What is stored of a site that has not closed. ``site`` belongs to no session."""

    site: Site
    recall: SiteRecall | None
    factors_ppm: tuple[tuple[str, int], ...]
    provider_name: str
    round_trips_us: tuple[tuple[str, int], ...]

    def state(self, nodes: tuple[NodeState, ...], *, reachable: bool, offered: bool) -> SiteState:
        site = self.site
        isolation, allowed = site_facts(site.engine)
        return SiteState(
            id=site.id, name=site.name, provider_id=site.provider_id, state=site.state, reachable=reachable,
            isolated=isolation in ("sandbox", "user_sandbox") or allowed, region=site.region, pue_milli=site.pue_milli,
            grid_g_per_mwh=grid_factor(site.region).g_per_mwh, nodes=nodes,
            gang_nodes_max=int(site.engine.get("nodes_max", 1)), offered=offered, factors_ppm=self.factors_ppm,
            jupyterlab=site.engine.get("jupyterlab") is True, provider_name=self.provider_name, green_ppm=site.green_ppm,
            round_trips_us=self.round_trips_us,
        )  # fmt: skip

    def offer(self, now: datetime) -> supply.Offer:
        return supply.offer_of(self.site, self.recall, now)


def read_sites(tx: Tx, ids: Collection[str] | None = None) -> list[SiteRecord]:
    """All sites that have not closed, or those of them that are asked for, by id."""
    found = tx.session.execute(
        _among(select(*SITE_COLUMNS).where(Site.state != "closed").order_by(Site.id), Site.id, ids)
    ).all()
    sites = [Site(**row._mapping) for row in found]
    # Columns and not the session's objects: these are kept when the transaction is over, however it ends.
    recalls = tx.session.execute(
        _among(
            select(SiteRecall.site_id, SiteRecall.stop_at, SiteRecall.until).where(SiteRecall.state != "ended"),
            SiteRecall.site_id,
            ids,
        )
    ).all()
    recall_of = {row.site_id: SiteRecall(**row._mapping) for row in recalls}
    factors: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for (site_id, class_id), ppm in sorted(supply.rate_factors(tx, ids).items()):
        factors[site_id].append((class_id, ppm))
    trips, names = supply.round_trips(tx, ids), supply.provider_names(tx, {s.provider_id for s in sites})
    return [
        SiteRecord(s, recall_of.get(s.id), tuple(factors[s.id]), names.get(s.provider_id, ""), trips.get(s.id, ())) for s in sites
    ]


def read_nodes(
    tx: Tx, *, ids: Collection[str] | None = None, site_ids: Collection[str] | None = None
) -> dict[str, dict[str, NodeState]]:
    """Nodes with their present devices, by site and node: all, or those of these ids, or of these sites."""
    # Columns and not objects: a city has a hundred thousand devices.
    query = select(Node.id, Node.site_id, Node.hostname, Node.present).order_by(Node.site_id, Node.id)
    nodes = tx.session.execute(_among(_among(query, Node.id, ids), Node.site_id, site_ids)).all()
    of_nodes = None if ids is None and site_ids is None else [row.id for row in nodes]
    devices = tx.session.execute(
        _among(
            select(
                Device.id, Device.key, Device.kind, Device.class_id, Device.reported_capacity, Device.allocated, Device.health, Device.node_id
            ).where(Device.present).order_by(Device.id),
            Device.node_id,
            of_nodes,
        )
    ).all()  # fmt: skip
    by_node: dict[str, list[DeviceState]] = defaultdict(list)
    for ident, key, kind, class_id, capacity, allocated, health, node_id in devices:
        state = DeviceState(ident, key, kind, class_id, capacity, allocated, health in HEALTH_USABLE)
        by_node[node_id].append(state)
    by_site: dict[str, dict[str, NodeState]] = defaultdict(dict)
    for ident, site_id, hostname, present in nodes:
        by_site[site_id][ident] = NodeState(ident, hostname, present, tuple(by_node[ident]))
    return by_site


def _among(query: Select[*Columns], column: InstrumentedAttribute[str], ids: Collection[str] | None) -> Select[*Columns]:
    return query if ids is None else query.where(column.in_(ids))


def take_snapshot(
    tx: Tx, *, classes: Iterable[ClassFacts], price_e8_per_du: int, cpu_with_accelerator_free: bool, ttl: timedelta
) -> Snapshot:
    """All sites that have joined, their nodes and devices, at this transaction's time, read anew."""
    nodes = read_nodes(tx)
    states = (
        record.state(
            tuple(nodes[record.site.id].values()),
            reachable=is_reachable(record.site, tx.now, ttl),
            offered=record.offer(tx.now).offered,
        )
        for record in read_sites(tx)
    )
    return Snapshot(tuple(states), tuple(classes), price_e8_per_du, cpu_with_accelerator_free)


def class_facts(rows: Iterable[tuple[str, str, int | None, int | None, int | None]]) -> tuple[ClassFacts, ...]:
    """From (class id, model, rate in 10⁻⁶ 度 an hour, rated watts, MiB of a card); None where there is none."""
    return tuple(
        ClassFacts(class_id, plain_names(class_id, model), rate, (watts or 0) * 1000, memory_mib)
        for class_id, model, rate, watts, memory_mib in rows
    )
