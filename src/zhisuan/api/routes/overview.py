"""What each kind of reader wants to see first. Sums come from the database in a fixed number of queries."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import case, func, select

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.platform import Platform, platform_of
from zhisuan.api.routes.wallet import wallet_view
from zhisuan.api.views import workload_views
from zhisuan.base.clock import bill_month, bill_month_bounds
from zhisuan.base.db import Tx
from zhisuan.data import sweeping
from zhisuan.green import service as green
from zhisuan.ledger.tables import Charge
from zhisuan.models.tables import Deployment
from zhisuan.settlement import service as settlement
from zhisuan.supply.tables import Device, Measurement, Node, Site
from zhisuan.tenancy.tables import Organisation
from zhisuan.usage.tables import Quarantined
from zhisuan.workload.tables import Workload

router = APIRouter(tags=["overview"])
DAYS = 14
RECENT = 10
STATES = ("pending", "placed", "starting", "running", "paused", "succeeded", "failed", "cancelled")


@router.get("/overview")
def overview(
    request: Request,
    caller: Annotated[
        Caller,
        Depends(Allow("platform:overview:read", "provider:overview:read", "org:overview:read", "city:overview:read")),
    ],
) -> dict[str, Any]:
    """The first page: of a tenant, a provider, the operator or the city."""
    here = platform_of(request)
    with here.database.begin() as tx:
        kind = caller.principal.org_kind
        if kind == "tenant":
            return _tenant(tx, caller.principal.org_id)
        if kind == "provider":
            return _provider(tx, here, caller.principal.org_id)
        return _operator(tx, here) if kind == "operator" else _city(tx, here)


def _tenant(tx: Tx, org_id: str) -> dict[str, Any]:
    recent = tx.session.scalars(
        select(Workload).where(Workload.org_id == org_id).order_by(Workload.id.desc()).limit(RECENT)
    ).all()
    start, end = bill_month_bounds(bill_month(tx.now))
    carbon = green.totals(tx.session, org_id=org_id, since=start, until=end)
    return {
        "kind": "tenant",
        "workloads": _states(tx, org_id),
        "recent": [w.model_dump(mode="json") for w in workload_views(tx, recent)],
        "wallet": wallet_view(tx, org_id).model_dump(mode="json"),
        "month": {**_month(tx, Charge.org_id == org_id), "carbon_ug": carbon.carbon_ug},
        "daily": _daily(tx, Charge.org_id == org_id),
        "deployments": tx.session.scalar(
            select(func.count())
            .select_from(Deployment)
            .where(Deployment.org_id == org_id, Deployment.ended_at.is_(None))
        ),
    }


def _provider(tx: Tx, here: Platform, org_id: str) -> dict[str, Any]:
    sites = _sites(tx, here, Site.provider_id == org_id)
    use = _use(tx, Site.provider_id == org_id)
    cores = use.get("cpu", {"capacity": 0, "allocated": 0})
    cards = use.get("accelerator", {"capacity": 0, "allocated": 0})
    main = cards if cards["capacity"] else cores
    return {
        "kind": "provider",
        "sites": sites["total"],
        "reachable": sites["reachable"],
        "devices": {"accelerators": cards["capacity"] // 1000, "cores": cores["capacity"] // 1000},
        "used_ppm": main["allocated"] * 1_000_000 // main["capacity"] if main["capacity"] else 0,
        "payable_fen": settlement.provider_statement(tx.session, org_id).balance_ucny // 10_000,
        "month": _month(tx, Charge.provider_id == org_id),
        "daily": _daily(tx, Charge.provider_id == org_id),
    }


def _operator(tx: Tx, here: Platform) -> dict[str, Any]:
    by_kind = dict(tx.session.execute(select(Organisation.kind, func.count()).group_by(Organisation.kind)).all())
    states = _states(tx, None)
    return {
        "kind": "operator",
        "sites": _sites(tx, here, None),
        "organisations": by_kind,
        "workloads": states,
        "waiting": states["pending"],
        "utilisation": [{"kind": k, **v} for k, v in sorted(_use(tx, None).items())],
        "delivery_seconds_p50": _delivery(tx),
        "month": _month(tx, None),
        "daily": _daily(tx, None),
        "swept": {"days": sweeping.DAYS, **asdict(sweeping.lately(tx))},
        "quarantined": tx.session.scalar(select(func.count()).select_from(Quarantined)),
    }


def _city(tx: Tx, here: Platform) -> dict[str, Any]:
    start, end = bill_month_bounds(bill_month(tx.now))
    carbon = green.totals(tx.session, org_id=None, since=start, until=end)
    by_kind = dict(tx.session.execute(select(Organisation.kind, func.count()).group_by(Organisation.kind)).all())
    best = (
        select(Measurement.device_id, func.max(Measurement.mflops).label("mflops"))
        .join(Device, Device.id == Measurement.device_id)
        .where(Device.present)
        .group_by(Measurement.device_id)
        .subquery()
    )
    return {
        "kind": "city",
        "sites": _sites(tx, here, None),
        "providers": by_kind.get("provider", 0),
        "tenants": by_kind.get("tenant", 0),
        "measured_mflops_total": int(tx.session.scalar(select(func.coalesce(func.sum(best.c.mflops), 0))) or 0),
        "utilisation": [{"kind": k, **v} for k, v in sorted(_use(tx, None).items())],
        "month": _month(tx, None),
        "energy_uwh": carbon.energy_uwh,
        "carbon_ug": carbon.carbon_ug,
        "daily": _daily(tx, None),
    }


def _states(tx: Tx, org_id: str | None) -> dict[str, int]:
    query = select(Workload.state, func.count()).group_by(Workload.state)
    if org_id is not None:
        query = query.where(Workload.org_id == org_id)
    found = dict(tx.session.execute(query).all())
    return {state: int(found.get(state, 0)) for state in STATES}


def _sites(tx: Tx, here: Platform, which: Any) -> dict[str, int]:
    heard = func.sum(case((Site.last_seen_at >= tx.now - here.site_ttl, 1), else_=0))
    query = select(func.count(), heard).where(Site.state != "closed")
    total, reachable = tx.session.execute(query if which is None else query.where(which)).one()
    return {"total": int(total), "reachable": int(reachable or 0)}


def _use(tx: Tx, which: Any) -> dict[str, dict[str, int]]:
    query = (
        select(Device.kind, func.sum(Device.capacity), func.sum(Device.allocated))
        .join(Node, Node.id == Device.node_id)
        .join(Site, Site.id == Node.site_id)
        .where(Device.present, Site.state.in_(("open", "draining")))
        .group_by(Device.kind)
    )
    rows = tx.session.execute(query if which is None else query.where(which)).all()
    return {kind: {"capacity": int(capacity), "allocated": int(allocated)} for kind, capacity, allocated in rows}


def _month(tx: Tx, which: Any) -> dict[str, int]:
    start, end = bill_month_bounds(bill_month(tx.now))
    query = select(
        func.sum(Charge.seconds), func.sum(Charge.quantity_udu), func.sum(Charge.cash_ucny), func.sum(Charge.value_ucny)
    ).where(Charge.at >= start, Charge.at < end)
    seconds, quantity, cash, value = tx.session.execute(query if which is None else query.where(which)).one()
    return {
        "seconds": int(seconds or 0), "quantity_udu": int(quantity or 0), "cash_ucny": int(cash or 0), "value_ucny": int(value or 0),
    }  # fmt: skip


def _daily(tx: Tx, which: Any) -> list[dict[str, Any]]:
    """度 by day of Asia/Shanghai, the last two weeks, days without use included."""
    day = func.to_char(func.timezone("Asia/Shanghai", Charge.at), "YYYY-MM-DD")
    query = select(day, func.sum(Charge.quantity_udu)).where(Charge.at >= tx.now - timedelta(days=DAYS)).group_by(day)
    rows = tx.session.execute(query if which is None else query.where(which)).all()
    found = {str(d): int(q) for d, q in rows}
    local = tx.now + timedelta(hours=8)
    days = [(local - timedelta(days=n)).strftime("%Y-%m-%d") for n in reversed(range(DAYS))]
    return [{"date": d, "quantity_udu": found.get(d, 0)} for d in days]


def _delivery(tx: Tx) -> str | None:
    """Median seconds from order to running over the last day, as a decimal; None without any."""
    seconds = func.extract("epoch", Workload.started_at - Workload.created_at)
    found = tx.session.scalar(
        select(func.percentile_cont(0.5).within_group(seconds)).where(
            Workload.started_at.is_not(None), Workload.created_at >= tx.now - timedelta(days=1)
        )
    )
    return f"{found:.3f}" if found is not None else None
