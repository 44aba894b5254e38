"""Launching and placing: the steps that take several packages, in one transaction."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.errors import CannotFit, FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.catalog import service as catalog
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.rules import ShapeItem
from zhisuan.execution import service as execution
from zhisuan.execution.placing import Placed, place
from zhisuan.execution.snapshot import class_facts, take_snapshot
from zhisuan.ledger import service as ledger
from zhisuan.placement.rules import class_ids_named, plan
from zhisuan.placement.types import Candidate, ClassFacts, Need, Plan, Snapshot
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

FUNDED_SECONDS = 60
LOOKED_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Market:
    """The prices in force and the facts of the classes under them."""

    version: int
    book: PriceBook
    classes: tuple[ClassFacts, ...]


def market_of(tx: Tx) -> Market:
    version, book = catalog.price_book_in_force(tx.session, tx.now)
    rates = book.device_rates
    rows = ((c.class_id, c.model, rates.get(c.class_id), c.power_watts_rated) for c in load_device_classes())
    return Market(version, book, class_facts(rows))


def need_of(spec: WorkloadSpec) -> Need:
    return Need(spec.cpus_milli, spec.memory_mib, spec.accelerators, spec.num_nodes)


def snapshot_of(tx: Tx, market: Market, ttl: timedelta) -> Snapshot:
    return take_snapshot(
        tx,
        classes=market.classes,
        price_e8_per_du=market.book.on_demand_price_e8_per_du,
        cpu_with_accelerator_free=market.book.cpu_with_accelerator_free,
        ttl=ttl,
    )


def checked_plan(snapshot: Snapshot, spec: WorkloadSpec) -> Plan:
    """The plan of a new workload. Raises ``CannotFit`` when no site could ever run it, naming what is missing."""
    classes = {c.class_id: c for c in snapshot.classes}
    unknown = [name for name, _ in spec.accelerators if not class_ids_named(name, classes)]
    if unknown:
        raise InvalidInput(
            Text(f"There is no device class called {unknown[0]}.", f"没有名为 {unknown[0]} 的设备型号。"),
            Text(
                "`zhisuan catalog` lists the classes; write the id or the model name.",
                "zhisuan catalog 列出全部型号；请填写编号或型号名。",
            ),
            code="unknown_device_class",
            problems=[
                FieldProblem("resources.accelerators", Text(f"{n} is not a device class", f"{n} 不是设备型号"))
                for n in unknown
            ],
        )
    made = plan(snapshot, need_of(spec))
    if not made.could_ever_fit:
        raise CannotFit(
            Text(f"No site could ever run this. {made.reason.en}", f"没有站点能够运行该工作负载。{made.reason.zh}"),
            Text(
                "; ".join(dict.fromkeys(r.unblock.en for r in made.rejections)) or "Join a site first.",
                "；".join(dict.fromkeys(r.unblock.zh for r in made.rejections)) or "请先加入站点。",
            ),
            extra={"rejected": [r.as_dict() for r in made.rejections]},
        )
    return made


def shape_for(made: Plan, spec: WorkloadSpec, market: Market) -> tuple[ShapeItem, ...]:
    """What is priced: the shares of the best candidate; while none is free, the cheapest class that has the name."""
    if made.chosen is not None:
        return _shape_of(made.chosen)
    classes = {c.class_id: c for c in market.classes}
    items = [ShapeItem(class_id="cpu-core", kind="cpu", amount=spec.cpus_milli * spec.num_nodes)]
    for name, count in spec.accelerators:
        named = [classes[i] for i in class_ids_named(name, classes)]
        rated = [(c.rate_udu_per_hour, c.class_id) for c in named if c.rate_udu_per_hour is not None]
        items.append(ShapeItem(class_id=min(rated)[1], kind="accelerator", amount=count * 1000 * spec.num_nodes))
    return tuple(items)


def _shape_of(candidate: Candidate) -> tuple[ShapeItem, ...]:
    return tuple(
        ShapeItem(s.class_id, "cpu" if s.kind == "cpu" else "accelerator", s.amount, s.factor_ppm)
        for s in candidate.shares
        if s.kind != "memory"
    )


def _place_at_its_price(tx: Tx, workload: Workload, made: Plan) -> Placed:
    """Place it; a place whose devices are worth less than what was quoted is charged at a quote of its own, never at a higher
    one than the tenant has seen."""
    placed = place(tx, workload, made)
    if placed.lease is not None and placed.candidate is not None:
        quoted = catalog.get_quote(tx.session, workload.quote_id)
        if placed.lease.rate_udu_per_hour < quoted.rate_udu_per_hour:
            quote = catalog.make_quote(tx, workload.org_id, _shape_of(placed.candidate))
            workload.quote_id = placed.lease.quote_id = quote.id
    return placed


def launch(
    tx: Tx,
    *,
    org_id: str,
    project_id: str,
    spec: WorkloadSpec,
    file: str,
    by: str,
    ttl: timedelta,
    workdir_blob: str | None,
    mount_blobs: dict[str, str],
) -> tuple[Workload, Placed]:
    """Price, check the purse, record and place a workload; all of it or nothing."""
    market = market_of(tx)
    made = checked_plan(snapshot_of(tx, market, ttl), spec)
    quote = catalog.make_quote(tx, org_id, shape_for(made, spec, market))
    ledger.require_funds(tx, org_id, quote.rate_udu_per_hour, quote.price_e8_per_du, FUNDED_SECONDS)
    stored: dict[str, Any] = spec.as_dict() | {"workdir_blob": workdir_blob, "mount_blobs": mount_blobs}
    workload = workloads.create(
        tx, org_id=org_id, project_id=project_id, spec=spec, file=file, quote_id=quote.id, by=by, stored=stored
    )
    return workload, _place_at_its_price(tx, workload, made)


def placeable(tx: Tx, ttl: timedelta) -> list[str]:
    """Waiting workloads that would find a place now, oldest first: one snapshot for all, nothing is locked or taken."""
    waiting = tx.session.execute(
        select(Workload.id, Workload.spec)
        .where(Workload.state == "pending")
        .order_by(Workload.id)
        .limit(LOOKED_AT_ONCE)
    ).all()
    if not waiting:
        return []
    snapshot = snapshot_of(tx, market_of(tx), ttl)
    fits: dict[Need, bool] = {}
    found = []
    for workload_id, spec in waiting:
        need = need_of(WorkloadSpec.from_dict(spec))
        if need not in fits:
            fits[need] = plan(snapshot, need).chosen is not None
        if fits[need]:
            found.append(workload_id)
    return found


def place_waiting(tx: Tx, workload_id: str, ttl: timedelta) -> bool:
    """Place one workload if it still waits, nobody else is at it, and there is a place."""
    workload = tx.session.scalar(
        select(Workload)
        .where(Workload.id == workload_id, Workload.state == "pending")
        .with_for_update(skip_locked=True)
    )
    if workload is None:
        return False
    made = plan(snapshot_of(tx, market_of(tx), ttl), need_of(WorkloadSpec.from_dict(workload.spec)))
    return made.chosen is not None and _place_at_its_price(tx, workload, made).lease is not None


def unfunded(tx: Tx) -> list[str]:
    """Open workloads, not being stopped yet, of organisations whose purses are all empty."""
    broke = ledger.exhausted_orgs(tx.session, tx.now)
    if not broke:
        return []
    query = select(Workload.id).where(
        Workload.org_id.in_(broke), Workload.state.in_(workloads.OPEN_STATES), Workload.cancel_requested_at.is_(None)
    )
    return list(tx.session.scalars(query.order_by(Workload.id)))


def stop_unfunded(tx: Tx, workload_id: str) -> bool:
    """End a workload that nothing pays for; False where it has ended meanwhile, or money has come."""
    workload = workloads.visible(tx, workload_id, None, lock=True)
    if workload.state not in workloads.OPEN_STATES or workload.cancel_requested_at is not None:
        return False
    if not ledger.exhausted_orgs(tx.session, tx.now, [workload.org_id]):
        return False
    execution.cancel(tx, workload, "nothing left to pay with")
    return True
