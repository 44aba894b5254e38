"""Checks of the books: each comparison is one statement, so that it sees the books at one instant."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Select, String, case, cast, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from zhisuan.base.money import UCNY_PER_FEN
from zhisuan.base.text import Text
from zhisuan.ledger.accounts import PLATFORM_FEE, provider_payable
from zhisuan.ledger.invoicing import PACK
from zhisuan.ledger.tables import Balance, Charge, Entry, Invoice, InvoiceLine, Slice, Transaction
from zhisuan.settlement.records import PROVIDER
from zhisuan.settlement.tables import Settlement, Share
from zhisuan.settlement.types import Check

Compared = Select[Any, bool]


def slices_sum_to_charge(session: Session, org_id: str | None) -> Check:
    """The slices of each charge sum to its 度, its value and what is owed in yuan."""
    compared = (
        select(Charge.id, _differs(Charge, Slice, "quantity_udu", "value_ucny", "cash_ucny"))
        .outerjoin(Slice, Slice.charge_id == Charge.id)
        .group_by(Charge.id)
    )
    return _check(
        session,
        "slices_sum_to_charge",
        _of(compared, Charge.org_id, org_id),
        Text("Charges against the sum of their slices (度, value, yuan)", "计费与其分项之和（度、价值、金额）"),
    )


def charges_sum_to_line(session: Session, org_id: str | None) -> Check:
    """The charges of each invoice line for use sum to its seconds, tokens, 度, value and amount; a pack has none."""
    amount = InvoiceLine.amount_ucny != func.coalesce(func.sum(Charge.cash_ucny), 0)
    compared = (
        select(
            InvoiceLine.id,
            or_(_differs(InvoiceLine, Charge, "seconds", "tokens", "quantity_udu", "value_ucny"), amount),
        )
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .outerjoin(Charge, Charge.invoice_line_id == InvoiceLine.id)
        .where(InvoiceLine.kind != PACK)
        .group_by(InvoiceLine.id)
    )
    return _check(
        session,
        "charges_sum_to_line",
        _of(compared, Invoice.org_id, org_id),
        Text("Invoice lines for use against the sum of their charges", "用量账单行与其计费之和"),
    )


def lines_sum_to_invoice(session: Session, org_id: str | None) -> Check:
    """The lines of each invoice sum to its total before rounding and, as shown, to the fen; it was rounded once."""
    rounded = Invoice.total_fen * UCNY_PER_FEN
    compared = (
        select(
            Invoice.id,
            or_(
                Invoice.total_fen != func.coalesce(func.sum(InvoiceLine.shown_fen), 0),
                Invoice.total_ucny != func.coalesce(func.sum(InvoiceLine.amount_ucny), 0),
                rounded != Invoice.total_ucny + Invoice.rounding_ucny,
                func.abs(Invoice.rounding_ucny) > UCNY_PER_FEN // 2,
            ),
        )
        .outerjoin(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .group_by(Invoice.id)
    )
    return _check(
        session,
        "lines_sum_to_invoice",
        _of(compared, Invoice.org_id, org_id),
        Text("Invoices against the sum of their lines, to the fen", "账单与其各行之和（精确到分）"),
    )


def shares_sum_to_settlement(session: Session, org_id: str | None) -> Check:
    """The shares of each settlement sum to its total, which is the value of the invoice's charges rounded once."""
    charged = (
        select(func.coalesce(func.sum(Charge.value_ucny), 0))
        .join(InvoiceLine, InvoiceLine.id == Charge.invoice_line_id)
        .where(InvoiceLine.invoice_id == Settlement.invoice_id)
        .correlate(Settlement)
        .scalar_subquery()
    )
    compared = (
        select(
            Settlement.id,
            or_(
                Settlement.total_fen != func.coalesce(func.sum(Share.amount_fen), 0),
                func.abs(Settlement.value_ucny - Settlement.total_fen * UCNY_PER_FEN) > UCNY_PER_FEN // 2,
                Settlement.value_ucny != charged,
            ),
        )
        .outerjoin(Share, Share.settlement_id == Settlement.id)
        .group_by(Settlement.id)
    )
    return _check(
        session,
        "shares_sum_to_settlement",
        _of(compared, Settlement.org_id, org_id),
        Text("Settlements against the sum of their shares, to the fen", "结算与各方所得之和（精确到分）"),
    )


def shares_are_booked(session: Session, org_id: str | None) -> Check:
    """Each share stands in the ledger, in its settlement's transaction, on its party's account."""
    payable = func.replace(literal(provider_payable("{}")), "{}", Share.party)
    account = case((Share.role == PROVIDER, payable), else_=literal(PLATFORM_FEE))
    compared = (
        select(
            cast(Share.settlement_id + literal("/") + cast(Share.number, String), String),
            func.coalesce(Entry.amount, 0) != Share.amount_fen * UCNY_PER_FEN,
        )
        .join(Settlement, Settlement.id == Share.settlement_id)
        .outerjoin(
            Entry,
            (Entry.transaction_id == Settlement.transaction_id)
            & (Entry.account == account)
            & (Entry.currency == "CNY"),
        )
    )
    return _check(
        session,
        "shares_are_booked",
        _of(compared, Settlement.org_id, org_id),
        Text("Shares against their entries in the ledger", "结算所得与总账分录"),
    )


def transactions_sum_to_zero(session: Session, org_id: str | None) -> Check:
    """The entries of each ledger transaction sum to zero in each currency."""
    compared = (
        select(Transaction.id, func.sum(Entry.amount) != 0)
        .join(Entry, Entry.transaction_id == Transaction.id)
        .group_by(Transaction.id, Entry.currency)
    )
    return _check(
        session,
        "transactions_sum_to_zero",
        _of(compared, Transaction.org_id, org_id),
        Text("Ledger transactions, each currency by itself, against zero", "总账交易按币种求和与零"),
    )


def balances_equal_entries(session: Session, org_id: str | None) -> Check:
    """The balance of each account is the sum of its entries; of one organisation: the accounts it has entries on."""
    summed = select(Entry.account, Entry.currency, func.sum(Entry.amount).label("amount"))
    kept = select(Balance.account, Balance.currency, Balance.amount)
    if org_id is not None:
        touched = (
            select(Entry.account)
            .join(Transaction, Transaction.id == Entry.transaction_id)
            .where(Transaction.org_id == org_id)
        )
        summed, kept = summed.where(Entry.account.in_(touched)), kept.where(Balance.account.in_(touched))
    sums, balances = summed.group_by(Entry.account, Entry.currency).subquery(), kept.subquery()
    joined = sums.join(
        balances,
        (sums.c.account == balances.c.account) & (sums.c.currency == balances.c.currency),
        full=True,
    )
    compared = select(
        func.coalesce(sums.c.account, balances.c.account),
        func.coalesce(sums.c.amount, 0) != func.coalesce(balances.c.amount, 0),
    ).select_from(joined)
    return _check(
        session,
        "balances_equal_entries",
        compared,
        Text("Account balances against the sum of their entries", "账户余额与其分录之和"),
    )


COMPARISONS: tuple[Callable[[Session, str | None], Check], ...] = (
    slices_sum_to_charge,
    charges_sum_to_line,
    lines_sum_to_invoice,
    shares_sum_to_settlement,
    shares_are_booked,
    transactions_sum_to_zero,
    balances_equal_entries,
)


def checks(session: Session, org_id: str | None = None) -> list[Check]:
    """Every comparison of the books, of one organisation or of all; each names the first record that differs."""
    return [compare(session, org_id) for compare in COMPARISONS]


def _differs(
    whole: type[Charge] | type[InvoiceLine], part: type[Charge] | type[Slice], *columns: str
) -> ColumnElement[bool]:
    """Whether the parts' sums differ from the whole in any of these columns."""
    return or_(*(getattr(whole, name) != func.coalesce(func.sum(getattr(part, name)), 0) for name in columns))


def _of(compared: Compared, owner: InstrumentedAttribute[Any], org_id: str | None) -> Compared:
    return compared if org_id is None else compared.where(owner == org_id)


def _check(session: Session, name: str, compared: Compared, what: Text) -> Check:
    """Count what ``compared`` (id, differs) yields; the detail names the first that differs."""
    rows = compared.subquery()
    ident, differs = rows.c[0], rows.c[1]
    total, wrong, first = session.execute(
        select(func.count(), func.count().filter(differs), func.min(ident).filter(differs)).select_from(rows)
    ).one()
    if not wrong:
        detail = Text(f"{what.en}: {total} compared, all agree.", f"{what.zh}：共核对 {total} 项，全部一致。")
    else:
        detail = Text(
            f"{what.en}: {total} compared, {wrong} differ; the first is {first}.",
            f"{what.zh}：共核对 {total} 项，{wrong} 项不一致，首项为 {first}。",
        )
    return Check(name, wrong == 0, detail)
