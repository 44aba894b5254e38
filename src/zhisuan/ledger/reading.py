"""Invoices, charges and slices as people and other packages read them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from zhisuan.base.errors import InvalidInput, NotFound
from zhisuan.base.paging import LIMIT_DEFAULT, Page, decode_cursor, page_of
from zhisuan.base.text import Text
from zhisuan.ledger.tables import Charge, Grant, Invoice, InvoiceLine, Slice, TopUp


@dataclass(frozen=True, slots=True)
class InvoiceWithLines:
    invoice: Invoice
    lines: tuple[InvoiceLine, ...]


def list_invoices(session: Session, org_id: str) -> list[Invoice]:
    """All invoices of the organisation, newest first."""
    return list(session.scalars(select(Invoice).where(Invoice.org_id == org_id).order_by(Invoice.number.desc())))


def get_invoice(session: Session, invoice_id: str, *, org_id: str | None = None) -> InvoiceWithLines:
    """An invoice with its lines in order. With ``org_id`` only that organisation's; raises ``NotFound`` otherwise."""
    invoice = session.get(Invoice, invoice_id)
    if invoice is None or org_id not in (None, invoice.org_id):
        raise NotFound.of(Text("invoice", "账单"), invoice_id)
    lines = session.scalars(
        select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.number)
    )
    return InvoiceWithLines(invoice, tuple(lines))


def get_invoice_line(session: Session, line_id: str, *, org_id: str | None = None) -> tuple[Invoice, InvoiceLine]:
    """A line and the invoice it is on; ``NotFound`` as for invoices."""
    query = select(Invoice, InvoiceLine).join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
    row = session.execute(query.where(InvoiceLine.id == line_id)).one_or_none()
    if row is None or org_id not in (None, row[0].org_id):
        raise NotFound.of(Text("invoice line", "账单明细"), line_id)
    return row[0], row[1]


def list_charges(
    session: Session, org_id: str, *, lease_id: str | None = None, line_id: str | None = None, cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> Page[Charge]:  # fmt: skip
    """Charges of the organisation, newest use first; of one lease or invoice line only where given."""
    query = select(Charge).where(Charge.org_id == org_id)
    if lease_id is not None:
        query = query.where(Charge.lease_id == lease_id)
    if line_id is not None:
        query = query.where(Charge.invoice_line_id == line_id)
    after = _place(decode_cursor(cursor))
    if after is not None:
        query = query.where(tuple_(Charge.at, Charge.id) < after)
    rows = session.scalars(query.order_by(Charge.at.desc(), Charge.id.desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda charge: f"{charge.at.isoformat()} {charge.id}")


def get_charge(session: Session, charge_id: str, *, org_id: str | None = None) -> Charge:
    """Raises ``NotFound`` for an unknown id, or another organisation's."""
    charge = session.get(Charge, charge_id)
    if charge is None or org_id not in (None, charge.org_id):
        raise NotFound.of(Text("charge", "计费记录"), charge_id)
    return charge


def charge_of_event(session: Session, source: str, event_id: str) -> Charge | None:
    """The charge of a window or model call, or None while it is unrated."""
    return session.scalar(select(Charge).where(Charge.source == source, Charge.event_id == event_id))


def slices_of(session: Session, charge_id: str) -> tuple[Slice, ...]:
    """What paid a charge, in the order the purses were used."""
    return tuple(session.scalars(select(Slice).where(Slice.charge_id == charge_id).order_by(Slice.number)))


def list_grants(session: Session, org_id: str) -> list[Grant]:
    """All grants of the organisation, used up and expired ones too, newest first."""
    return list(
        session.scalars(select(Grant).where(Grant.org_id == org_id).order_by(Grant.created_at.desc(), Grant.id.desc()))
    )


def list_top_ups(session: Session, org_id: str) -> list[TopUp]:
    """All top-ups of the organisation, newest first."""
    return list(session.scalars(select(TopUp).where(TopUp.org_id == org_id).order_by(TopUp.at.desc(), TopUp.id.desc())))


def _place(key: str | None) -> tuple[datetime, str] | None:
    if key is None:
        return None
    at, _, ident = key.partition(" ")
    try:
        return datetime.fromisoformat(at), ident
    except ValueError as error:
        raise InvalidInput(
            Text("The page cursor is not one that this list gave out.", "分页游标不属于此列表。"),
            Text("Begin again without a cursor.", "请去掉游标，从第一页重新开始。"),
        ) from error
