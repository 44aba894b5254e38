"""The use cases of this package."""

from zhisuan.settlement.books import checks
from zhisuan.settlement.earnings import provider_statement
from zhisuan.settlement.payouts import record_payout
from zhisuan.settlement.settling import settle_invoice, settlement_of, settlements_of
from zhisuan.settlement.types import (
    Check,
    InvoiceSettlement,
    PartyShare,
    Payout,
    ProviderStatement,
    StatementInvoice,
    StatementLine,
)

__all__ = [
    "Check",
    "InvoiceSettlement",
    "PartyShare",
    "Payout",
    "ProviderStatement",
    "StatementInvoice",
    "StatementLine",
    "checks",
    "provider_statement",
    "record_payout",
    "settle_invoice",
    "settlement_of",
    "settlements_of",
]
