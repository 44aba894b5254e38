"""Records as answers."""

from collections.abc import Sequence

from sqlalchemy import select

from zhisuan.api.schemas import EventView, LeaseView, PlacementView, WorkloadView
from zhisuan.api.work_schemas import UploadsView
from zhisuan.base.db import Tx
from zhisuan.catalog.tables import Quote
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease, PlacementRecord
from zhisuan.supply.tables import Node, Site
from zhisuan.workload.tables import Workload, WorkloadEvent


def workload_views(tx: Tx, workloads: Sequence[Workload]) -> list[WorkloadView]:
    quotes = {q.id: q for q in tx.session.scalars(select(Quote).where(Quote.id.in_({w.quote_id for w in workloads})))}
    return [quoted_view(w, quotes[w.quote_id]) for w in workloads]


def workload_view(tx: Tx, workload: Workload) -> WorkloadView:
    return workload_views(tx, [workload])[0]


def quoted_view(w: Workload, quote: Quote) -> WorkloadView:
    return WorkloadView(
        id=w.id, kind=w.kind, name=w.name, state=w.state, project_id=w.project_id, created_at=w.created_at,
        started_at=w.started_at, ended_at=w.ended_at, created_by=w.created_by, exit_code=w.exit_code, reason=w.reason,
        message=w.message, progress_ppm=w.progress_ppm, progress_message=w.progress_message, attempts=w.attempts,
        resources={
            "cpus_milli": w.spec["cpus_milli"], "memory_mib": w.spec["memory_mib"],
            "accelerators": w.spec["accelerators"], "num_nodes": w.spec.get("num_nodes", 1),
            "alternatives": w.spec.get("alternatives", []), "ordered": w.spec.get("ordered", False),
            "where": w.spec.get("where", {}), "secrets": w.spec.get("secrets", []),
            "tasks": w.spec.get("tasks"),
        },
        rate_udu_per_hour=quote.rate_udu_per_hour, price_e8_per_du=quote.price_e8_per_du,
    )  # fmt: skip


def uploads_view(w: Workload) -> UploadsView:
    spec = w.spec
    return UploadsView(
        workdir_blob=spec.get("workdir_blob"), mounts=spec.get("mount_blobs", {}), files=spec.get("mount_files", [])
    )


def lease_views(tx: Tx, leases: Sequence[Lease]) -> list[LeaseView]:
    sites = dict(tx.session.execute(select(Site.id, Site.name).where(Site.id.in_({x.site_id for x in leases}))).all())
    nodes = dict(
        tx.session.execute(select(Node.id, Node.hostname).where(Node.id.in_({i for x in leases for i in x.node_ids}))).all()
    )
    return [
        LeaseView(
            id=x.id, generation=x.generation, site_id=x.site_id, site_name=sites[x.site_id],
            node_hostnames=[nodes[i] for i in x.node_ids],
            state=x.state, offered_at=x.offered_at, accepted_at=x.accepted_at, active_from=x.active_from,
            active_to=x.active_to, closed_at=x.closed_at, ready=x.ready, exit_code=x.exit_code, reason=x.reason,
            message=x.message, fault=x.fault, rate_udu_per_hour=x.rate_udu_per_hour,
            seconds=execution.active_seconds(x, tx.now),
        )
        for x in leases
    ]  # fmt: skip


def placement_view(record: PlacementRecord | None) -> PlacementView | None:
    if record is None:
        return None
    plan = record.plan
    return PlacementView(
        id=record.id, at=record.at, chosen=plan["chosen"], candidates=plan["candidates"], rejected=plan["rejected"],
        reason=plan["reason"],
    )  # fmt: skip


def last_placement(tx: Tx, workload_id: str) -> PlacementRecord | None:
    return tx.session.scalar(
        select(PlacementRecord)
        .where(PlacementRecord.workload_id == workload_id)
        .order_by(PlacementRecord.id.desc())
        .limit(1)
    )


def event_views(events: Sequence[WorkloadEvent]) -> list[EventView]:
    return [EventView.model_validate(e) for e in events]
