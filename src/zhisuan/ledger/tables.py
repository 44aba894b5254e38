"""Double-entry books, grants of 度, charges with their slices, invoices. Rows are added, never changed; the marked
exceptions are projections that can be rebuilt."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Transaction(Table):
    """A set of entries that sum to zero in each currency. ``cause`` is the id of the record that made it."""

    __tablename__ = "ledger_transaction"
    __table_args__ = (Index(None, "cause"), UniqueConstraint("kind", "cause"))

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    cause: Mapped[str]
    org_id: Mapped[str | None]
    reverses: Mapped[str | None]
    memo: Mapped[dict[str, Any]]


class Entry(Table):
    """One side of a transaction: a signed amount on one account, in 10⁻⁶ of its currency (CNY or DU)."""

    __tablename__ = "ledger_entry"
    __table_args__ = (CheckConstraint("currency IN ('CNY','DU')", name="currency"), Index(None, "account", "currency"))

    transaction_id: Mapped[str] = mapped_column(ForeignKey("ledger_transaction.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[int]


class Balance(Table):
    """Projection: the sum of an account's entries, kept under lock. An account that must not be overdrawn has
    ``floor`` 0, and the check refuses the transaction that would."""

    __tablename__ = "ledger_balance"
    __table_args__ = (CheckConstraint("floor IS NULL OR amount >= floor", name="not_overdrawn"),)

    account: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]
    floor: Mapped[int | None]


class Grant(Table):
    """度 that an organisation may use: free quota or a pack it bought. What is left is the balance of ``grant:<id>``.

    Burn order: priority, expiry (none last), gifted before paid, created, id. ``paid_ucny`` is what the pack cost;
    each slice recognises its share, so that the whole is recognised exactly once when the grant is used up.
    """

    __tablename__ = "ledger_grant"
    __table_args__ = (Index(None, "org_id", "priority"), CheckConstraint("quantity_udu > 0", name="quantity"))

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    kind: Mapped[str]
    product: Mapped[str]
    order_id: Mapped[str | None]
    priority: Mapped[int]
    quantity_udu: Mapped[int]
    paid_ucny: Mapped[int]
    created_at: Mapped[datetime]
    starts_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class TopUp(Table):
    """Money put into a wallet through a payment channel; identity (channel, reference)."""

    __tablename__ = "ledger_top_up"
    __table_args__ = (UniqueConstraint("channel", "reference"), CheckConstraint("amount_ucny > 0", name="amount"))

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(index=True)
    channel: Mapped[str]
    reference: Mapped[str]
    amount_ucny: Mapped[int]
    at: Mapped[datetime]
    by: Mapped[str]


class Charge(Table):
    """One rated window (kind ``time``), token event (``tokens``) or credit of a charge (``credit``, negative; its source is
    ``credit`` and its event id the charge it undoes, so a charge is credited once at most). ``subject`` is what its
    invoice line is about: the lease, or the deployment. ``value_ucny`` is what the provider is paid on: the sum of its
    slices' values."""

    __tablename__ = "ledger_charge"
    __table_args__ = (
        UniqueConstraint("source", "event_id"),
        Index(None, "org_id", "at"),
        Index("ix_ledger_charge_uninvoiced", "org_id", postgresql_where=text("invoice_line_id IS NULL")),
        Index(None, "lease_id"),
        Index(None, "invoice_line_id", postgresql_where=text("invoice_line_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    source: Mapped[str]
    event_id: Mapped[str]
    kind: Mapped[str]
    lease_id: Mapped[str]
    provider_id: Mapped[str]
    subject: Mapped[str]
    at: Mapped[datetime]
    seconds: Mapped[int]
    tokens: Mapped[int]
    quantity_udu: Mapped[int]
    value_ucny: Mapped[int]
    cash_ucny: Mapped[int]
    platform_fee_ppm: Mapped[int]
    price_book_version: Mapped[int]
    price_e8_per_du: Mapped[int]
    transaction_id: Mapped[str]
    invoice_line_id: Mapped[str | None]


class Slice(Table):
    """The part of a charge that one purse paid: ``free``, ``pack`` (with its grant), ``wallet``, or
    ``arrears`` where work had run and nothing was left to pay it with.

    ``value_ucny`` is the settlement value; ``cash_ucny`` what the tenant owes in yuan for it (wallet and arrears slices).
    Slices are written with their charge in one transaction and never again; checking a foreign key for each of them would
    cost a fifth of the rating time, so ``books.check_charges`` proves the pairing instead.
    """

    __tablename__ = "ledger_slice"
    __table_args__ = (CheckConstraint("purse IN ('free','pack','wallet','arrears')", name="purse"),)

    charge_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    purse: Mapped[str]
    grant_id: Mapped[str | None]
    quantity_udu: Mapped[int]
    value_ucny: Mapped[int]
    cash_ucny: Mapped[int]


class RatedTotal(Table):
    """Projection: what of a lease has been rated, by kind of charge, so that the next event goes on with the cumulative
    rounding. ``paid_udu`` is what wallet and arrears paid for; ``token_udu_e6`` the 10⁻¹² 度 of its tokens."""

    __tablename__ = "ledger_rated_total"

    lease_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    paid_udu: Mapped[int]
    token_udu_e6: Mapped[int]


class Invoice(Table):
    """What an organisation used and bought in ``[from_at, to_at)``; immutable once issued. ``total_fen`` is rounded once,
    ``rounding_ucny`` is what that added."""

    __tablename__ = "ledger_invoice"
    __table_args__ = (UniqueConstraint("org_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    number: Mapped[int]
    month: Mapped[str]
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    issued_at: Mapped[datetime]
    total_ucny: Mapped[int]
    total_fen: Mapped[int]
    rounding_ucny: Mapped[int]


class InvoiceLine(Table):
    """One thing on an invoice: a lease's time, a deployment's tokens, or a pack bought. ``shown_fen`` of all lines sum to
    the invoice's total (largest remainder)."""

    __tablename__ = "ledger_invoice_line"
    __table_args__ = (UniqueConstraint("invoice_id", "number"), Index(None, "subject"))

    id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(ForeignKey("ledger_invoice.id"))
    number: Mapped[int]
    kind: Mapped[str]
    subject: Mapped[str]
    seconds: Mapped[int]
    tokens: Mapped[int]
    quantity_udu: Mapped[int]
    amount_ucny: Mapped[int]
    shown_fen: Mapped[int]
    value_ucny: Mapped[int]
    detail: Mapped[dict[str, Any]]
