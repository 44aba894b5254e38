"""What a provider earned, was paid and is owed."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from zhisuan.base.clock import bill_month_bounds
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.ledger.accounts import provider_payable
from zhisuan.ledger.tables import Balance, Transaction
from zhisuan.settlement.records import PAYOUT_KIND, PROVIDER, payout_of, statement_invoice
from zhisuan.settlement.tables import Settlement, Share
from zhisuan.settlement.types import ProviderStatement

MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


def provider_statement(session: Session, provider_id: str, month: str | None = None) -> ProviderStatement:
    """A provider's earnings by invoice and line, its payouts and its balance; of bill month ``YYYY-MM``, or of all time.

    It names records by id and nothing of the tenants they belong to. Raises ``InvalidInput`` for a month that is none.
    """
    earned = (
        select(Share, Settlement)
        .join(Settlement, Settlement.id == Share.settlement_id)
        .where(Share.party == provider_id, Share.role == PROVIDER)
        .order_by(Settlement.at, Settlement.id)
    )
    paid = (
        select(Transaction)
        .where(Transaction.kind == PAYOUT_KIND, Transaction.org_id == provider_id)
        .order_by(Transaction.at, Transaction.id)
    )
    if month is not None:
        since, until = bill_month_bounds(_month(month))
        earned = earned.where(Settlement.month == month)
        paid = paid.where(Transaction.at >= since, Transaction.at < until)
    balance = select(Balance.amount).where(Balance.account == provider_payable(provider_id), Balance.currency == "CNY")
    return ProviderStatement(
        provider_id=provider_id,
        month=month,
        invoices=tuple(statement_invoice(share, settlement) for share, settlement in session.execute(earned)),
        payouts=tuple(payout_of(transaction) for transaction in session.scalars(paid)),
        balance_ucny=session.scalar(balance) or 0,
    )


def _month(month: str) -> str:
    if not MONTH.fullmatch(month):
        raise InvalidInput(
            Text(f"{month!r} is not a bill month.", f"“{month}”不是有效的账期。"),
            Text("Write it as 2026-08.", "请按 2026-08 的格式填写。"),
            problems=[FieldProblem("month", Text("is not of the form YYYY-MM", "格式应为 YYYY-MM"))],
        )
    return month
