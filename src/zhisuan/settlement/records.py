"""From a split to the rows and ledger entries that keep it, and back to what a provider reads."""

from typing import Any

from zhisuan.base.money import UCNY_PER_FEN
from zhisuan.ledger.accounts import CLEARING, PLATFORM_FEE, ROUNDING, Leg, provider_payable
from zhisuan.ledger.tables import Transaction
from zhisuan.settlement.rules import ProviderPart, Split
from zhisuan.settlement.tables import Settlement, Share
from zhisuan.settlement.types import PartyShare, Payout, StatementInvoice, StatementLine

PLATFORM, PROVIDER = "platform", "provider"
SETTLEMENT_KIND, PAYOUT_KIND = "settlement", "payout"


def legs_of(split: Split) -> list[Leg]:
    """The ledger entries of a settlement: they sum to zero, and an account that gets nothing is left out."""
    legs = [
        Leg(CLEARING, "CNY", -split.value_ucny),
        *(Leg(provider_payable(p.provider_id), "CNY", p.payable_fen * UCNY_PER_FEN) for p in split.providers),
        Leg(PLATFORM_FEE, "CNY", split.platform_fen * UCNY_PER_FEN),
        Leg(ROUNDING, "CNY", split.rounding_ucny),
    ]
    return [leg for leg in legs if leg.amount]


def shares_of(settlement_id: str, split: Split) -> list[Share]:
    """One row a provider, in the order of ids, then the platform's; none for an invoice without use."""
    if not split.providers:
        return []
    shares = [
        Share(
            settlement_id=settlement_id,
            number=number,
            party=part.provider_id,
            role=PROVIDER,
            value_ucny=part.value_ucny,
            amount_fen=part.payable_fen,
            detail=_detail(part),
        )
        for number, part in enumerate(split.providers, start=1)
    ]
    platform = Share(
        settlement_id=settlement_id,
        number=len(shares) + 1,
        party=PLATFORM,
        role=PLATFORM,
        value_ucny=split.value_ucny,
        amount_fen=split.platform_fen,
        detail={},
    )
    return [*shares, platform]


def _detail(part: ProviderPart) -> dict[str, Any]:
    lines = [
        {
            "line_id": line.use.line_id,
            "lease_id": line.use.lease_id,
            "kind": line.use.kind,
            "seconds": line.use.seconds,
            "tokens": line.use.tokens,
            "quantity_udu": line.use.quantity_udu,
            "value_ucny": line.use.value_ucny,
            "platform_fee_ppm": line.use.platform_fee_ppm,
            "fee_fen": line.fee_fen,
            "payable_fen": line.payable_fen,
        }
        for line in part.lines
    ]
    return {"fee_fen": part.fee_fen, "lines": lines}


def party_share(share: Share) -> PartyShare:
    return PartyShare(share.number, share.party, share.role, share.value_ucny, share.amount_fen)


def statement_invoice(share: Share, settlement: Settlement) -> StatementInvoice:
    """A provider's share as it may read it: the settlement's tenant is left out."""
    return StatementInvoice(
        settlement_id=settlement.id,
        invoice_id=settlement.invoice_id,
        month=settlement.month,
        at=settlement.at,
        value_ucny=share.value_ucny,
        fee_fen=share.detail["fee_fen"],
        payable_fen=share.amount_fen,
        lines=tuple(StatementLine(**line) for line in share.detail["lines"]),
    )


def payout_of(transaction: Transaction) -> Payout:
    return Payout(
        transaction_id=transaction.id,
        provider_id=transaction.memo["provider_id"],
        reference=transaction.cause,
        amount_fen=transaction.memo["amount_fen"],
        at=transaction.at,
    )
