"""What one site has earned."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import func, select

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.platform import platform_of
from zhisuan.api.site_calls import seen_site
from zhisuan.api.site_schemas import SiteEarning, SiteEarnings
from zhisuan.base.db import Tx
from zhisuan.execution.tables import Lease
from zhisuan.ledger.tables import Charge, InvoiceLine
from zhisuan.settlement import service as settlement
from zhisuan.settlement.tables import Settlement
from zhisuan.settlement.types import StatementInvoice, StatementLine

router = APIRouter(tags=["sites"])
Earner = Annotated[Caller, Depends(Allow("platform:settlement:read", "provider:earning:read"))]


@router.get("/sites/{site_id}/earnings")
def earnings(request: Request, site_id: str, caller: Earner) -> SiteEarnings:
    """What the work at this site has earned, invoice by invoice, without anything of the tenants it comes from; and what
    is still to be settled."""
    with platform_of(request).database.begin() as tx:
        site = seen_site(tx, site_id, caller)
        invoices = settlement.provider_statement(tx.session, site.provider_id).invoices
        wanted = {line.lease_id for invoice in invoices for line in invoice.lines}
        here = set(tx.session.scalars(select(Lease.id).where(Lease.id.in_(wanted), Lease.site_id == site_id)))
        items = [_item(i, own) for i in invoices if (own := [x for x in i.lines if x.lease_id in here])]
        unsettled = _unsettled(tx, site_id)
    return SiteEarnings(
        site_id=site_id, amount_fen=sum(i.amount_fen for i in items), fee_fen=sum(i.fee_fen for i in items),
        value_ucny=sum(i.value_ucny for i in items), unsettled_value_ucny=unsettled, items=items,
    )  # fmt: skip


def _item(invoice: StatementInvoice, lines: list[StatementLine]) -> SiteEarning:
    return SiteEarning(
        settlement_id=invoice.settlement_id, invoice_id=invoice.invoice_id, month=invoice.month, at=invoice.at,
        leases=len({x.lease_id for x in lines}), seconds=sum(x.seconds for x in lines),
        quantity_udu=sum(x.quantity_udu for x in lines), value_ucny=sum(x.value_ucny for x in lines),
        fee_fen=sum(x.fee_fen for x in lines), amount_fen=sum(x.payable_fen for x in lines),
    )  # fmt: skip


def _unsettled(tx: Tx, site_id: str) -> int:
    """Value of charges of the site's leases whose invoice, if there is one, has not been settled."""
    settled = select(Settlement.invoice_id)
    query = (
        select(func.coalesce(func.sum(Charge.value_ucny), 0))
        .join(Lease, Lease.id == Charge.lease_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == Charge.invoice_line_id)
        .where(Lease.site_id == site_id, InvoiceLine.invoice_id.is_(None) | InvoiceLine.invoice_id.not_in(settled))
    )
    return int(tx.session.scalar(query) or 0)
