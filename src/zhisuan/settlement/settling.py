"""Settling an invoice: its use divided and booked, once."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotFound
from zhisuan.base.text import Text
from zhisuan.ledger.service import post
from zhisuan.ledger.tables import Charge, Invoice, InvoiceLine
from zhisuan.settlement.records import SETTLEMENT_KIND, legs_of, party_share, shares_of
from zhisuan.settlement.rules import Split, Use, split_use
from zhisuan.settlement.tables import Settlement, Share
from zhisuan.settlement.types import InvoiceSettlement


def settle_invoice(tx: Tx, invoice_id: str) -> InvoiceSettlement:
    """Divide an issued invoice's use among its providers and the platform and book it, once: later calls get the same answer.

    Calls at once for one invoice run one after the other. Raises ``NotFound`` for an unknown invoice and ``Conflict`` where
    its lines and their charges disagree: nobody is paid from books that are not right.
    """
    invoice = tx.session.scalar(select(Invoice).where(Invoice.id == invoice_id).with_for_update())
    if invoice is None:
        raise NotFound.of(Text("invoice", "账单"), invoice_id)
    earlier = settlement_of(tx.session, invoice_id)
    if earlier is not None:
        return earlier
    split = split_use(_uses(tx.session, invoice_id))
    _check_lines(tx.session, invoice_id, split)
    settlement = Settlement(
        id=tx.ids.new("stl"),
        invoice_id=invoice_id,
        org_id=invoice.org_id,
        month=invoice.month,
        at=tx.now,
        value_ucny=split.value_ucny,
        total_fen=split.total_fen,
        transaction_id=_book(tx, invoice, split),
    )
    shares = shares_of(settlement.id, split)
    tx.session.add(settlement)
    tx.session.flush()
    tx.session.add_all(shares)
    tx.emit("invoice.settled", invoice_id, {"settlement_id": settlement.id, "total_fen": split.total_fen})
    tx.session.flush()
    return _answer(settlement, shares)


def settlement_of(session: Session, invoice_id: str) -> InvoiceSettlement | None:
    """The settlement of an invoice, or None while there is none."""
    return settlements_of(session, [invoice_id]).get(invoice_id)


def settlements_of(session: Session, invoice_ids: Collection[str]) -> dict[str, InvoiceSettlement]:
    """The settlements of these invoices by invoice id, in two queries; one that is not settled is left out."""
    found = session.scalars(select(Settlement).where(Settlement.invoice_id.in_(set(invoice_ids)))).all()
    shares: dict[str, list[Share]] = {settlement.id: [] for settlement in found}
    for share in session.scalars(select(Share).where(Share.settlement_id.in_(shares)).order_by(Share.number)):
        shares[share.settlement_id].append(share)
    return {settlement.invoice_id: _answer(settlement, shares[settlement.id]) for settlement in found}


def _answer(settlement: Settlement, shares: list[Share]) -> InvoiceSettlement:
    return InvoiceSettlement(
        id=settlement.id,
        invoice_id=settlement.invoice_id,
        org_id=settlement.org_id,
        month=settlement.month,
        at=settlement.at,
        value_ucny=settlement.value_ucny,
        total_fen=settlement.total_fen,
        transaction_id=settlement.transaction_id,
        shares=tuple(party_share(share) for share in shares),
    )


def _uses(session: Session, invoice_id: str) -> list[Use]:
    """The invoice's charges, summed by provider, line, lease, kind and fee."""
    keys = (Charge.provider_id, InvoiceLine.id, Charge.lease_id, Charge.kind, Charge.platform_fee_ppm)
    sums = (Charge.seconds, Charge.tokens, Charge.quantity_udu, Charge.value_ucny)
    rows = session.execute(
        select(*keys, *(func.sum(column) for column in sums))
        .join(InvoiceLine, InvoiceLine.id == Charge.invoice_line_id)
        .where(InvoiceLine.invoice_id == invoice_id)
        .group_by(*keys)
    )
    return [Use(*row[:5], *(int(value) for value in row[5:])) for row in rows]


def _check_lines(session: Session, invoice_id: str, split: Split) -> None:
    summed = select(func.sum(InvoiceLine.value_ucny)).where(InvoiceLine.invoice_id == invoice_id)
    on_lines = int(session.scalar(summed) or 0)
    if on_lines != split.value_ucny:
        raise Conflict(
            Text(
                f"Invoice {invoice_id} cannot be settled: its lines hold a value of {on_lines} and their charges one of "
                f"{split.value_ucny} (10⁻⁶ yuan).",
                f"账单 {invoice_id} 无法结算：账单行价值为 {on_lines}，对应计费价值为 {split.value_ucny}（单位 10⁻⁶ 元）。",
            ),
            Text(
                "Nothing was paid. The check charges_sum_to_line names the line that differs.",
                "未发生任何支付。核对项 charges_sum_to_line 会指出不一致的账单行。",
            ),
            code="books_disagree",
        )


def _book(tx: Tx, invoice: Invoice, split: Split) -> str | None:
    legs = legs_of(split)
    if not legs:
        return None
    return post(tx, SETTLEMENT_KIND, invoice.id, legs, org_id=invoice.org_id, memo={"month": invoice.month})
