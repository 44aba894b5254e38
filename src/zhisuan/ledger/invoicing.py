"""Issuing invoices: what was used and bought, by line, rounded once, each charge on one line."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from zhisuan.base.clock import bill_month, bill_month_bounds
from zhisuan.base.db import Tx
from zhisuan.catalog.tables import Order
from zhisuan.ledger import accounts
from zhisuan.ledger.accounts import Leg, into_wallet
from zhisuan.ledger.posting import balance_of, lock_org, post
from zhisuan.ledger.rules import round_invoice
from zhisuan.ledger.tables import Charge, Invoice, InvoiceLine, Slice

PACK = "pack"
LINE_ORDER = {"time": 0, "tokens": 1, PACK: 2, "credit": 3}
PURSE_ORDER = {"free": 0, "pack": 1, "wallet": 2, "arrears": 3}


@dataclass(slots=True)
class _Draft:
    """One line while it is put together."""

    kind: str
    subject: str
    first_at: datetime
    last_at: datetime
    seconds: int = 0
    tokens: int = 0
    quantity_udu: int = 0
    amount_ucny: int = 0
    value_ucny: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


def issue_invoice(tx: Tx, org_id: str, through: datetime) -> Invoice | None:
    """Bill the charges and orders before ``through`` that no invoice has yet: those of the earliest bill month among
    them (Asia/Shanghai). Call again until it gives None for one invoice a month.

    Lines: a lease's time, a deployment's tokens, each order, a lease's credits. The total is the money of these
    lines (packs, and use paid from wallet or arrears), rounded once to the fen; the difference is booked to
    ``rounding``. An issued invoice never changes: what comes late is on a further invoice of its month.
    """
    lock_org(tx, org_id)
    first = _first_unbilled(tx.session, org_id, through)
    if first is None:
        return None
    month = bill_month(first)
    month_start, month_end = bill_month_bounds(month)
    until = min(through, month_end)
    drafts = _lines_of_charges(tx.session, org_id, until) + _lines_of_orders(tx.session, org_id, until)
    drafts.sort(key=lambda d: (LINE_ORDER[d.kind], d.first_at, d.subject))
    rounded = round_invoice([draft.amount_ucny for draft in drafts])
    number, earlier_to = _numbering(tx.session, org_id, month)
    invoice = Invoice(
        id=tx.ids.new("inv"), org_id=org_id, number=number, month=month, from_at=min(first, earlier_to or month_start),
        to_at=until, issued_at=tx.now, total_ucny=rounded.total_ucny, total_fen=rounded.total_fen,
        rounding_ucny=rounded.rounding_ucny,
    )  # fmt: skip
    tx.session.add(invoice)
    tx.session.flush()
    for n, (draft, shown) in enumerate(zip(drafts, rounded.shown_fen, strict=True), start=1):
        tx.session.add(_line(tx, invoice.id, n, draft, shown))
    tx.session.flush()
    _mark_billed(tx.session, invoice)
    post(
        tx,
        "invoice",
        invoice.id,
        _rounding_legs(tx, org_id, rounded.rounding_ucny),
        org_id=org_id,
        memo={"month": month},
    )
    tx.emit("invoice.issued", invoice.id, {"org_id": org_id, "month": month, "total_fen": invoice.total_fen})
    return invoice


def _unbilled(org_id: str, until: datetime) -> ColumnElement[bool]:
    return (Charge.org_id == org_id) & Charge.invoice_line_id.is_(None) & (Charge.at < until)


def _unbilled_order(org_id: str, until: datetime) -> ColumnElement[bool]:
    billed = select(InvoiceLine.id).where(InvoiceLine.kind == PACK, InvoiceLine.subject == Order.id).exists()
    return (Order.org_id == org_id) & (Order.at < until) & ~billed


def _first_unbilled(session: Session, org_id: str, through: datetime) -> datetime | None:
    charge = session.scalar(select(func.min(Charge.at)).where(_unbilled(org_id, through)))
    order = session.scalar(select(func.min(Order.at)).where(_unbilled_order(org_id, through)))
    return min((at for at in (charge, order) if at is not None), default=None)


def _numbering(session: Session, org_id: str, month: str) -> tuple[int, datetime | None]:
    """The next number, and where the month's latest invoice ended."""
    last = session.scalar(select(func.max(Invoice.number)).where(Invoice.org_id == org_id)) or 0
    ended = session.scalar(select(func.max(Invoice.to_at)).where(Invoice.org_id == org_id, Invoice.month == month))
    return last + 1, ended


def _lines_of_charges(session: Session, org_id: str, until: datetime) -> list[_Draft]:
    drafts: dict[tuple[str, str], _Draft] = {}
    sums = (
        func.sum(c) for c in (Charge.seconds, Charge.tokens, Charge.quantity_udu, Charge.cash_ucny, Charge.value_ucny)
    )
    rows = session.execute(
        select(Charge.kind, Charge.subject, func.min(Charge.at), func.max(Charge.at), *sums)
        .where(_unbilled(org_id, until))
        .group_by(Charge.kind, Charge.subject)
    )
    for row in rows:
        seconds, tokens, quantity, cash, value = map(int, row[4:])
        drafts[row[0], row[1]] = _Draft(*row[:4], seconds, tokens, quantity, cash, value)
    for key, slices in _slices_by_line(session, org_id, until).items():
        drafts[key].detail["slices"] = slices
    for key, parties in _parties_by_line(session, org_id, until).items():
        drafts[key].detail["providers"] = parties
    return list(drafts.values())


def _slices_by_line(session: Session, org_id: str, until: datetime) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By line, what each purse paid."""
    key = Charge.kind, Charge.subject, Slice.purse, Slice.grant_id
    rows = session.execute(
        select(*key, func.sum(Slice.quantity_udu), func.sum(Slice.value_ucny), func.sum(Slice.cash_ucny))
        .join(Charge, Charge.id == Slice.charge_id)
        .where(_unbilled(org_id, until))
        .group_by(*key)
    ).all()
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for kind, subject, purse, grant_id, quantity, value, cash in sorted(
        rows, key=lambda r: (PURSE_ORDER[r[2]], r[3] or "")
    ):
        found[kind, subject].append({
            "purse": purse, "grant_id": grant_id, "quantity_udu": int(quantity), "value_ucny": int(value),
            "cash_ucny": int(cash),
        })  # fmt: skip
    return found


def _parties_by_line(session: Session, org_id: str, until: datetime) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By line, whose devices were used, at which price and fee, and what that is worth."""
    key = (
        Charge.kind, Charge.subject, Charge.provider_id, Charge.lease_id, Charge.price_book_version, Charge.price_e8_per_du,
        Charge.platform_fee_ppm,
    )  # fmt: skip
    rows = session.execute(
        select(*key, func.count(Charge.id), func.sum(Charge.quantity_udu), func.sum(Charge.value_ucny))
        .where(_unbilled(org_id, until))
        .group_by(*key)
        .order_by(*key)
    )
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for kind, subject, provider_id, lease_id, version, price, fee, charges, quantity, value in rows:
        found[kind, subject].append({
            "provider_id": provider_id, "lease_id": lease_id, "price_book_version": version, "price_e8_per_du": price,
            "platform_fee_ppm": fee, "charges": int(charges), "quantity_udu": int(quantity), "value_ucny": int(value),
        })  # fmt: skip
    return found


def _lines_of_orders(session: Session, org_id: str, until: datetime) -> list[_Draft]:
    return [
        _Draft(
            PACK, order.id, order.at, order.at, quantity_udu=order.quantity_udu, amount_ucny=order.amount_ucny,
            detail={"product": order.product, "quantity": order.quantity, "price_book_version": order.price_book_version},
        )
        for order in session.scalars(select(Order).where(_unbilled_order(org_id, until)))
    ]  # fmt: skip


def _line(tx: Tx, invoice_id: str, number: int, draft: _Draft, shown_fen: int) -> InvoiceLine:
    span = {"first_at": draft.first_at.isoformat(), "last_at": draft.last_at.isoformat()}
    return InvoiceLine(
        id=tx.ids.new("inl"), invoice_id=invoice_id, number=number, kind=draft.kind, subject=draft.subject,
        seconds=draft.seconds, tokens=draft.tokens, quantity_udu=draft.quantity_udu, amount_ucny=draft.amount_ucny,
        shown_fen=shown_fen, value_ucny=draft.value_ucny, detail={**span, **draft.detail},
    )  # fmt: skip


def _mark_billed(session: Session, invoice: Invoice) -> None:
    session.execute(
        update(Charge)
        .where(
            _unbilled(invoice.org_id, invoice.to_at),
            InvoiceLine.invoice_id == invoice.id,
            InvoiceLine.kind == Charge.kind,
            InvoiceLine.subject == Charge.subject,
        )
        .values(invoice_line_id=InvoiceLine.id)
        .execution_options(synchronize_session=False)
    )


def _rounding_legs(tx: Tx, org_id: str, rounding_ucny: int) -> list[Leg]:
    """Rounding up is taken from the wallet, or owed where it is empty; rounding down is given back."""
    legs = [Leg(accounts.ROUNDING, "CNY", rounding_ucny)]
    if rounding_ucny < 0:
        return legs + into_wallet(org_id, -rounding_ucny, balance_of(tx.session, accounts.arrears(org_id)))
    paid = min(rounding_ucny, balance_of(tx.session, accounts.wallet(org_id)))
    return [
        *legs,
        Leg(accounts.wallet(org_id), "CNY", -paid),
        Leg(accounts.arrears(org_id), "CNY", paid - rounding_ucny),
    ]
