"""Writing transactions into the books: zero-sum, once per cause, balances kept under lock."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotFound
from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.ledger import accounts
from zhisuan.ledger.accounts import Currency, Leg, floor_of, lock_order
from zhisuan.ledger.tables import Balance, Entry, Transaction
from zhisuan.tenancy.tables import Organisation

Key = tuple[str, Currency]


class Unbalanced(ValueError):
    """A transaction whose entries do not sum to zero in some currency: a fault of the program, never of its input."""


def post(
    tx: Tx,
    kind: str,
    cause: str,
    entries: Iterable[Leg],
    *,
    org_id: str | None = None,
    memo: dict[str, Any] | None = None,
    reverses: str | None = None,
    ident: str | None = None,
) -> str:
    """Write one transaction and return its id.

    (``kind``, ``cause``) is its identity: posting it again with the same entries changes nothing and returns the first
    id; with other entries it raises ``Conflict``. Raises ``Unbalanced`` when a currency does not sum to zero,
    ``Conflict`` when an account would fall below its floor. ``ident`` is an id that the caller has drawn already.
    """
    legs = merged(entries)
    ident = ident or tx.ids.new("txn")
    statement = (
        postgresql.insert(Transaction)
        .values(
            id=ident, at=tx.now, kind=kind, cause=cause, org_id=org_id, reverses=reverses,
            memo={"actor": tx.actor, **(memo or {})},
        )
        .on_conflict_do_nothing(index_elements=["kind", "cause"])
        .returning(Transaction.id)
    )  # fmt: skip
    if tx.session.scalar(statement) is None:
        return _posted_before(tx.session, kind, cause, legs)
    if legs:
        _move_balances(tx.session, legs)
        rows = [{"transaction_id": ident, "number": n, **leg._asdict()} for n, leg in enumerate(legs, start=1)]
        tx.session.execute(insert(Entry), rows)
    return ident


def merged(entries: Iterable[Leg]) -> list[Leg]:
    """One leg an account and currency, in locking order, without zeros. Raises ``Unbalanced``."""
    sums: dict[Key, int] = {}
    for leg in entries:
        sums[leg.account, leg.currency] = sums.get((leg.account, leg.currency), 0) + leg.amount
    legs = [Leg(*key, sums[key]) for key in sorted(sums, key=lambda key: (lock_order(key[0]), key[1])) if sums[key]]
    for currency in ("CNY", "DU"):
        rest = sum(leg.amount for leg in legs if leg.currency == currency)
        if rest:
            raise Unbalanced(f"the entries sum to {rest} and not to zero in {currency}: {legs}")
    return legs


def lock_org(tx: Tx, org_id: str, *, wait: bool = True) -> bool:
    """Hold the organisation's purses until the transaction ends; every use case that moves them begins here.

    Without ``wait`` the answer is False when somebody else holds them. Makes the accounts where they do not exist.
    Raises ``NotFound`` for an unknown organisation.
    """
    key = Balance.account == accounts.wallet(org_id), Balance.currency == "CNY"
    if tx.session.scalar(select(Balance.account).where(*key)) is None:
        if tx.session.get(Organisation, org_id) is None:
            raise NotFound.of(Text("organisation", "组织"), org_id)
        _make_accounts(tx.session, [(accounts.wallet(org_id), "CNY"), (accounts.arrears(org_id), "CNY")])
    held = select(Balance.account).where(*key).with_for_update(skip_locked=not wait)
    return tx.session.scalar(held) is not None


def balance_of(session: Session, account: str, currency: Currency = "CNY") -> int:
    """The balance now; zero for an account nothing was ever booked on."""
    return session.scalar(select(Balance.amount).where(Balance.account == account, Balance.currency == currency)) or 0


def _posted_before(session: Session, kind: str, cause: str, legs: Sequence[Leg]) -> str:
    ident = session.scalars(select(Transaction.id).where(Transaction.kind == kind, Transaction.cause == cause)).one()
    rows = session.execute(select(Entry.account, Entry.currency, Entry.amount).where(Entry.transaction_id == ident))
    if sorted(tuple(row) for row in rows) != sorted(tuple(leg) for leg in legs):
        raise Conflict(
            Text(
                f"{cause} has been booked as {kind} before, with other amounts.",
                f"{cause} 已按 {kind} 入账，且金额不同。",
            ),
            Text(
                "Entries are never changed; correct them with a new transaction.",
                "已入账的分录不可修改，请用新的交易更正。",
            ),
            code="booked_before",
        )
    return ident


def _make_accounts(session: Session, keys: Sequence[Key]) -> None:
    rows = [{"account": a, "currency": c, "amount": 0, "floor": floor_of(a)} for a, c in keys]
    session.execute(postgresql.insert(Balance).on_conflict_do_nothing(), rows)


def _move_balances(session: Session, legs: Sequence[Leg]) -> None:
    moved = []
    for leg in legs:
        amount, floor = _held(session, leg.account, leg.currency)
        if floor is not None and amount + leg.amount < floor:
            raise _overdrawn(leg, amount)
        moved.append({"account": leg.account, "currency": leg.currency, "amount": amount + leg.amount})
    session.execute(update(Balance), moved)


def _held(session: Session, account: str, currency: Currency) -> tuple[int, int | None]:
    """Balance and floor of an account, locked until the transaction ends."""
    query = select(Balance.amount, Balance.floor).where(Balance.account == account, Balance.currency == currency)
    found = session.execute(query.with_for_update()).one_or_none()
    if found is None:
        _make_accounts(session, [(account, currency)])
        found = session.execute(query.with_for_update()).one()
    return found.amount, found.floor


def _overdrawn(leg: Leg, balance: int) -> Conflict:
    have, need = decimal_text(balance, 6, at_least=2), decimal_text(-leg.amount, 6, at_least=2)
    return Conflict(
        Text(f"The account {leg.account} holds {have} {leg.currency} and cannot give {need}.",
             f"账户 {leg.account} 余额为 {have} {leg.currency}，不足以支出 {need}。"),
        Text("Nothing was booked. Read the balance again and retry with what there is.", "未入账。请重新查询余额后再试。"),
        code="overdrawn",
    )  # fmt: skip
