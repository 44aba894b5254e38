"""What settlement answers: settlements with their shares, providers' statements, payouts, checks. ``as_dict`` gives JSON
values; amounts are whole fen (``_fen``) or 10⁻⁶ yuan (``_ucny``), and ``_yuan`` the same as exact decimal text."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from zhisuan.base.money import UCNY_PER_FEN, decimal_text
from zhisuan.base.text import Text


def fen_text(amount_fen: int) -> str:
    """Fen as yuan with two places: ``1234`` → ``12.34``."""
    return decimal_text(amount_fen, 2, at_least=2)


@dataclass(frozen=True, slots=True)
class PartyShare:
    """One party's part of a settlement; ``role`` is ``provider`` or ``platform``."""

    number: int
    party: str
    role: str
    value_ucny: int
    amount_fen: int

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "amount_yuan": fen_text(self.amount_fen)}


@dataclass(frozen=True, slots=True)
class InvoiceSettlement:
    """The settlement of one invoice; the shares sum to ``total_fen``."""

    id: str
    invoice_id: str
    org_id: str
    month: str
    at: datetime
    value_ucny: int
    total_fen: int
    transaction_id: str | None
    shares: tuple[PartyShare, ...]

    @property
    def rounding_ucny(self) -> int:
        """What rounding to whole fen left in the books, on the account ``rounding``."""
        return self.value_ucny - self.total_fen * UCNY_PER_FEN

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "invoice_id": self.invoice_id,
            "org_id": self.org_id,
            "month": self.month,
            "at": self.at.isoformat(),
            "value_ucny": self.value_ucny,
            "total_fen": self.total_fen,
            "total_yuan": fen_text(self.total_fen),
            "rounding_ucny": self.rounding_ucny,
            "transaction_id": self.transaction_id,
            "shares": [share.as_dict() for share in self.shares],
        }


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One lease's part of one invoice line, as its provider may see it: ids, amounts, no name."""

    line_id: str
    lease_id: str
    kind: str
    seconds: int
    tokens: int
    quantity_udu: int
    value_ucny: int
    platform_fee_ppm: int
    fee_fen: int
    payable_fen: int

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "quantity_du": decimal_text(self.quantity_udu, 6),
            "value_yuan": decimal_text(self.value_ucny, 6, at_least=2),
            "fee_yuan": fen_text(self.fee_fen),
            "payable_yuan": fen_text(self.payable_fen),
        }


@dataclass(frozen=True, slots=True)
class StatementInvoice:
    """What a provider gets for one invoice; its lines sum to it."""

    settlement_id: str
    invoice_id: str
    month: str
    at: datetime
    value_ucny: int
    fee_fen: int
    payable_fen: int
    lines: tuple[StatementLine, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "settlement_id": self.settlement_id,
            "invoice_id": self.invoice_id,
            "month": self.month,
            "at": self.at.isoformat(),
            "value_ucny": self.value_ucny,
            "fee_fen": self.fee_fen,
            "payable_fen": self.payable_fen,
            "payable_yuan": fen_text(self.payable_fen),
            "lines": [line.as_dict() for line in self.lines],
        }


@dataclass(frozen=True, slots=True)
class Payout:
    """Money sent to a provider outside the platform, under the bank's or the payer's reference."""

    transaction_id: str
    provider_id: str
    reference: str
    amount_fen: int
    at: datetime

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat(), "amount_yuan": fen_text(self.amount_fen)}


@dataclass(frozen=True, slots=True)
class ProviderStatement:
    """A provider's earnings and payouts, of one bill month or of all time; ``balance_ucny`` is what is owed to it now."""

    provider_id: str
    month: str | None
    invoices: tuple[StatementInvoice, ...]
    payouts: tuple[Payout, ...]
    balance_ucny: int

    @property
    def value_ucny(self) -> int:
        return sum(each.value_ucny for each in self.invoices)

    @property
    def fee_fen(self) -> int:
        return sum(each.fee_fen for each in self.invoices)

    @property
    def payable_fen(self) -> int:
        return sum(each.payable_fen for each in self.invoices)

    @property
    def paid_fen(self) -> int:
        return sum(each.amount_fen for each in self.payouts)

    def as_dict(self) -> dict[str, Any]:
        return {
            "provider_id": self.provider_id,
            "month": self.month,
            "value_ucny": self.value_ucny,
            "fee_fen": self.fee_fen,
            "fee_yuan": fen_text(self.fee_fen),
            "payable_fen": self.payable_fen,
            "payable_yuan": fen_text(self.payable_fen),
            "paid_fen": self.paid_fen,
            "paid_yuan": fen_text(self.paid_fen),
            "balance_ucny": self.balance_ucny,
            "balance_yuan": decimal_text(self.balance_ucny, 6, at_least=2),
            "invoices": [each.as_dict() for each in self.invoices],
            "payouts": [each.as_dict() for each in self.payouts],
        }


@dataclass(frozen=True, slots=True)
class Check:
    """One thing about the books that must hold, whether it does, and what was compared."""

    name: str
    ok: bool
    detail: Text

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail.as_dict()}
