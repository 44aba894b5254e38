"""Wallets, bills, invoices, settlements, and the chain that ties them to the work."""

from typing import Any

from pydantic import AwareDatetime, Field

from zhisuan.base.text import Text
from zhisuan.sdk.types.common import Answer, TokenCounts


class Grant(Answer):
    """度 already paid for or given: ``kind`` is ``free`` or ``pack``."""

    id: str
    kind: str
    product: str | None = None
    quantity_udu: int
    left_udu: int
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None


class Wallet(Answer):
    wallet_ucny: int
    arrears_ucny: int = 0
    spendable_udu: int
    price_e8_per_du: int
    grants: tuple[Grant, ...] = ()


class Order(Answer):
    id: str
    product: str
    quantity: int
    amount_ucny: int
    quantity_udu: int
    at: AwareDatetime
    grant_id: str | None = None


class TopUp(Answer):
    id: str
    org_id: str
    amount_ucny: int
    at: AwareDatetime


class Invoice(Answer):
    """``total_fen`` is the sum of the exact lines rounded once; ``rounding_ucny`` is that rounding."""

    id: str
    number: str | int
    month: str
    from_at: AwareDatetime
    to_at: AwareDatetime
    issued_at: AwareDatetime
    total_ucny: int
    total_fen: int
    rounding_ucny: int = 0


class InvoiceLine(Answer):
    id: str
    number: int
    kind: str
    subject: str | None = None
    title: Text
    seconds: int | None = None
    tokens: int | None = None
    quantity_udu: int | None = None
    amount_ucny: int
    shown_fen: int
    value_ucny: int | None = None
    detail: Any = None


class InvoiceDetail(Invoice):
    lines: tuple[InvoiceLine, ...] = ()


class PurseUse(Answer):
    quantity_udu: int = 0
    cash_ucny: int = 0
    value_ucny: int = 0


class Energy(Answer):
    """``basis`` says whether it was measured or modelled, ``method`` how."""

    it_uwh: int
    facility_uwh: int
    basis: Any = None
    method: Any = None


class CarbonTotal(Answer):
    location_ug: int
    factors: Any = ()


class WorkloadUse(Answer):
    workload_id: str
    name: str
    kind: str
    seconds: int
    quantity_udu: int
    cash_ucny: int
    carbon_ug: int | None = None


class Bill(Answer):
    """One month of use. ``value_ucny`` is at list price; ``cash_ucny`` is what left the wallet or went to arrears."""

    month: str
    from_at: AwareDatetime
    to_at: AwareDatetime
    seconds: int
    quantity_udu: int
    tokens: TokenCounts = TokenCounts()
    by_purse: dict[str, PurseUse] = Field(default_factory=dict)
    cash_ucny: int
    value_ucny: int
    energy: Energy | None = None
    carbon: CarbonTotal | None = None
    by_workload: tuple[WorkloadUse, ...] = ()
    unbilled_cash_ucny: int = 0
    invoices: tuple[Invoice, ...] = ()


class ChargeSlice(Answer):
    purse: str
    grant_id: str | None = None
    quantity_udu: int
    value_ucny: int
    cash_ucny: int


class Charge(Answer):
    """One rated use, the rule that rated it, and the purses that paid."""

    id: str
    kind: str
    at: AwareDatetime
    subject: str | None = None
    lease_id: str | None = None
    seconds: int | None = None
    tokens: int | None = None
    quantity_udu: int
    value_ucny: int
    cash_ucny: int
    price_book_version: int | None = None
    price_e8_per_du: int | None = None
    invoice_line_id: str | None = None
    rule: Text | None = None
    slices: tuple[ChargeSlice, ...] = ()


class Share(Answer):
    party: str
    role: str
    value_ucny: int
    amount_fen: int


class Settlement(Answer):
    """How one invoice is split; the shares sum to it exactly."""

    id: str
    invoice_id: str
    at: AwareDatetime
    value_ucny: int
    total_fen: int
    shares: tuple[Share, ...] = ()


class TraceRecord(Answer):
    id: str
    title: Text
    facts: dict[str, Any] = Field(default_factory=dict)


class Station(Answer):
    station: str
    records: tuple[TraceRecord, ...] = ()


class Trace(Answer):
    """The whole chain through one record, from supply to carbon."""

    id: str
    stations: tuple[Station, ...] = ()
