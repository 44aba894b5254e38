"""From any record to the whole chain it stands in, both ways: supply → catalogue → … → carbon."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from zhisuan.api.schemas import Trace
from zhisuan.api.trace_stations import STATIONS, Focus
from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.ids import prefix_of
from zhisuan.base.text import Text
from zhisuan.catalog.tables import Order
from zhisuan.execution.tables import Artefact, Lease, PlacementRecord
from zhisuan.ledger.tables import Charge, Grant, Invoice, InvoiceLine, Slice, TopUp, Transaction
from zhisuan.models.tables import Deployment, Model, ModelVersion
from zhisuan.settlement.tables import Settlement
from zhisuan.workload.tables import Workload

LEASES_MAX = 50


@dataclass(frozen=True, slots=True)
class Start:
    """How one kind of record leads into the chain: queries for its leases and orders, and whose it is."""

    owner: Select[str]
    leases: Select[str] | None = None
    orders: Select[str] | None = None


def trace(tx: Tx, ident: str, org_id: str | None) -> Trace:
    """The chain around ``ident``. Raises ``NotFound`` alike for what is unknown, foreign or not traceable."""
    make = STARTS.get(prefix_of(ident))
    if make is None:
        raise NotFound.of(Text("traceable record", "可追溯的记录"), ident)
    start = make(ident)
    owner = tx.session.scalar(start.owner)
    if owner is None or (org_id is not None and owner != org_id):
        raise NotFound.of(Text("record", "记录"), ident)
    leases = _ids(tx, start.leases)
    focus = Focus(
        org_id=owner,
        lease_ids=leases,
        workload_ids=tuple(
            tx.session.scalars(
                select(Lease.workload_id).where(Lease.id.in_(leases)).distinct().order_by(Lease.workload_id)
            )
        )
        or _alone(ident),
        order_ids=_ids(tx, start.orders),
    )
    stations: list[dict[str, Any]] = [{"station": name, "records": collect(tx, focus)} for name, collect in STATIONS]
    return Trace.model_validate({"id": ident, "stations": stations})


def _ids(tx: Tx, query: Select[str] | None) -> tuple[str, ...]:
    return () if query is None else tuple(tx.session.scalars(query.distinct().limit(LEASES_MAX)))


def _alone(ident: str) -> tuple[str, ...]:
    """A workload that has no lease yet still stands at its own station."""
    return (ident,) if prefix_of(ident) in ("job", "svc", "wsp") else ()


def _of_workload(i: str) -> Start:
    return Start(select(Workload.org_id).where(Workload.id == i), select(Lease.id).where(Lease.workload_id == i))


def _of_lease(i: str) -> Start:
    return Start(select(Lease.org_id).where(Lease.id == i), select(Lease.id).where(Lease.id == i))


def _of_placement(i: str) -> Start:
    owner = (
        select(Workload.org_id)
        .join(PlacementRecord, PlacementRecord.workload_id == Workload.id)
        .where(PlacementRecord.id == i)
    )
    return Start(owner, select(Lease.id).where(Lease.placement_id == i))


def _of_quote(i: str) -> Start:
    return Start(select(Workload.org_id).where(Workload.quote_id == i), select(Lease.id).where(Lease.quote_id == i))


def _of_artefact(i: str) -> Start:
    return Start(select(Artefact.org_id).where(Artefact.id == i), select(Artefact.lease_id).where(Artefact.id == i))


def _of_charge(i: str) -> Start:
    return Start(select(Charge.org_id).where(Charge.id == i), select(Charge.lease_id).where(Charge.id == i))


def _of_line(i: str) -> Start:
    owner = select(Invoice.org_id).join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id).where(InvoiceLine.id == i)
    return Start(
        owner,
        select(Charge.lease_id).where(Charge.invoice_line_id == i),
        select(Order.id).join(InvoiceLine, InvoiceLine.subject == Order.id).where(InvoiceLine.id == i),
    )


def _of_invoice(i: str) -> Start:
    return Start(
        select(Invoice.org_id).where(Invoice.id == i),
        select(Charge.lease_id)
        .join(InvoiceLine, InvoiceLine.id == Charge.invoice_line_id)
        .where(InvoiceLine.invoice_id == i),
        select(Order.id).join(InvoiceLine, InvoiceLine.subject == Order.id).where(InvoiceLine.invoice_id == i),
    )


def _of_settlement(i: str) -> Start:
    return Start(
        select(Settlement.org_id).where(Settlement.id == i),
        select(Charge.lease_id)
        .join(InvoiceLine, InvoiceLine.id == Charge.invoice_line_id)
        .join(Settlement, Settlement.invoice_id == InvoiceLine.invoice_id)
        .where(Settlement.id == i),
    )


def _of_order(i: str) -> Start:
    return Start(
        select(Order.org_id).where(Order.id == i),
        select(Charge.lease_id)
        .join(Slice, Slice.charge_id == Charge.id)
        .join(Grant, Grant.id == Slice.grant_id)
        .where(Grant.order_id == i),
        select(Order.id).where(Order.id == i),
    )


def _of_grant(i: str) -> Start:
    return Start(
        select(Grant.org_id).where(Grant.id == i),
        select(Charge.lease_id).join(Slice, Slice.charge_id == Charge.id).where(Slice.grant_id == i),
        select(Grant.order_id).where(Grant.id == i, Grant.order_id.is_not(None)),  # type: ignore[arg-type]
    )


def _of_top_up(i: str) -> Start:
    return Start(select(TopUp.org_id).where(TopUp.id == i))


def _of_transaction(i: str) -> Start:
    return Start(
        select(Transaction.org_id).where(Transaction.id == i),  # type: ignore[arg-type]
        select(Charge.lease_id).where(Charge.transaction_id == i),
    )


def _of_model(i: str) -> Start:
    return Start(
        select(Model.org_id).where(Model.id == i), select(ModelVersion.lease_id).where(ModelVersion.model_id == i)
    )


def _of_version(i: str) -> Start:
    return Start(
        select(ModelVersion.org_id).where(ModelVersion.id == i),
        select(ModelVersion.lease_id).where(ModelVersion.id == i),
    )


def _of_deployment(i: str) -> Start:
    return Start(
        select(Deployment.org_id).where(Deployment.id == i),
        select(Lease.id).join(Deployment, Deployment.workload_id == Lease.workload_id).where(Deployment.id == i),
    )


STARTS: dict[str, Callable[[str], Start]] = {
    "job": _of_workload, "svc": _of_workload, "wsp": _of_workload, "lea": _of_lease, "plc": _of_placement, "quo": _of_quote,
    "art": _of_artefact, "chg": _of_charge, "inl": _of_line, "inv": _of_invoice, "stl": _of_settlement,
    "ord": _of_order, "grt": _of_grant, "top": _of_top_up, "txn": _of_transaction, "mdl": _of_model,
    "mdv": _of_version, "dep": _of_deployment,
}  # fmt: skip
