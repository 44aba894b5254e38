"""Reading the books as a whole, and proving that they agree with themselves."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from zhisuan.ledger import accounts
from zhisuan.ledger.tables import Balance, Entry, Grant, Transaction


@dataclass(frozen=True, slots=True)
class AccountBalance:
    account: str
    currency: str
    amount: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All accounts at one instant, and their sum by currency, which must be zero."""

    rows: tuple[AccountBalance, ...]
    sums: dict[str, int]

    @property
    def is_zero(self) -> bool:
        return not any(self.sums.values())


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two figures that must be equal and are not."""

    what: str
    subject: str
    kept: int
    recomputed: int


def trial_balance(session: Session, at: datetime | None = None) -> TrialBalance:
    """The sums of all entries, of all time or of what had been booked at ``at``."""
    query = select(Entry.account, Entry.currency, func.sum(Entry.amount)).group_by(Entry.account, Entry.currency)
    if at is not None:
        query = query.join(Transaction, Transaction.id == Entry.transaction_id).where(Transaction.at <= at)
    rows = tuple(
        AccountBalance(a, c, int(s)) for a, c, s in session.execute(query.order_by(Entry.account, Entry.currency))
    )
    sums = {c: sum(row.amount for row in rows if row.currency == c) for c in ("CNY", "DU")}
    return TrialBalance(rows, sums)


def balances(session: Session, org_id: str) -> tuple[AccountBalance, ...]:
    """The organisation's own accounts: wallet, arrears, its grants and what is deferred of them, and its payable."""
    own = [accounts.wallet(org_id), accounts.arrears(org_id), accounts.provider_payable(org_id)]
    of_grants = [
        account(ident)
        for ident in session.scalars(select(Grant.id).where(Grant.org_id == org_id))
        for account in (accounts.grant, accounts.deferred)
    ]
    rows = session.execute(
        select(Balance.account, Balance.currency, Balance.amount)
        .where(or_(Balance.account.in_(own), Balance.account.in_(of_grants)))
        .order_by(Balance.account, Balance.currency)
    )
    return tuple(AccountBalance(*row) for row in rows)


def rebuild_balances_check(session: Session) -> tuple[Disagreement, ...]:
    """Balances that are not the sum of their entries; empty when all agree."""
    rows = session.execute(
        text("""
        SELECT coalesce(b.account, e.account) || ' ' || coalesce(b.currency, e.currency),
            coalesce(b.amount, 0), coalesce(e.amount, 0)
        FROM ledger_balance b
        FULL JOIN (SELECT account, currency, sum(amount)::bigint AS amount FROM ledger_entry GROUP BY account, currency) e
            ON e.account = b.account AND e.currency = b.currency
        WHERE coalesce(b.amount, 0) <> coalesce(e.amount, 0) ORDER BY 1""")
    )
    return tuple(Disagreement("balance", *row) for row in rows)


def check_charges(session: Session) -> tuple[Disagreement, ...]:
    """Charges whose slices do not come to them, slices without a charge, and transactions whose ``clearing`` entry is not
    the value of their charges; empty when all agree."""
    sums = session.execute(
        text("""
        SELECT 'slices.' || f.name, coalesce(c.id, s.charge_id), coalesce(f.kept, 0), coalesce(f.summed, 0)
        FROM ledger_charge c
        FULL JOIN (
            SELECT charge_id, sum(quantity_udu)::bigint AS quantity_udu, sum(value_ucny)::bigint AS value_ucny,
                sum(cash_ucny)::bigint AS cash_ucny
            FROM ledger_slice GROUP BY charge_id
        ) s ON s.charge_id = c.id
        CROSS JOIN LATERAL (VALUES
            ('quantity_udu', c.quantity_udu, s.quantity_udu),
            ('value_ucny', c.value_ucny, s.value_ucny),
            ('cash_ucny', c.cash_ucny, s.cash_ucny)
        ) AS f(name, kept, summed)
        WHERE c.id IS NULL OR f.kept <> coalesce(f.summed, 0) ORDER BY 2, 1""")
    )
    found = [Disagreement(*row) for row in sums]
    rows = session.execute(
        text("""
        SELECT t.id, coalesce(e.amount, 0), coalesce(c.value, 0)
        FROM ledger_transaction t
        LEFT JOIN ledger_entry e ON e.transaction_id = t.id AND e.account = 'clearing'
        LEFT JOIN (SELECT transaction_id, sum(value_ucny)::bigint AS value FROM ledger_charge GROUP BY 1) c
            ON c.transaction_id = t.id
        WHERE t.kind IN ('rating', 'credit') AND coalesce(e.amount, 0) <> coalesce(c.value, 0) ORDER BY 1""")
    )
    found += [Disagreement("clearing", *row) for row in rows]
    return tuple(found)
