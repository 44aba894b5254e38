"""Invoices with their lines, charges and slices, written straight into the ledger's tables, and booked as rating does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from zhisuan.base.db import Tx
from zhisuan.base.money import div_half_up, split_exactly
from zhisuan.ledger.accounts import Leg
from zhisuan.ledger.service import post
from zhisuan.ledger.tables import Charge, Invoice, InvoiceLine, Slice

FROM = datetime(2026, 6, 30, 16, tzinfo=UTC)
TO = datetime(2026, 7, 31, 16, tzinfo=UTC)
TENANT = "org_tenant_with_a_name"


@dataclass(frozen=True, slots=True)
class Used:
    """One charge to write: who provided it, on which lease, its value; negative for a credit."""

    provider: str
    value_ucny: int
    lease: str = "lea_1"
    fee_ppm: int = 100_000
    seconds: int = 60
    quantity_udu: int = 1_000


@dataclass(frozen=True, slots=True)
class Made:
    """What was written."""

    invoice_id: str
    line_ids: tuple[str, ...]
    charge_ids: tuple[str, ...]


def make_invoice(
    tx: Tx,
    lines: Sequence[Sequence[Used]],
    *,
    org: str = TENANT,
    number: int = 1,
    month: str = "2026-07",
    pack_ucny: int = 0,
) -> Made:
    """An issued invoice: one line for each sequence of charges, and one for a pack bought where ``pack_ucny`` is given."""
    invoice_id = tx.ids.new("inv")
    amounts = [sum(used.value_ucny for used in line) for line in lines] + ([pack_ucny] if pack_ucny else [])
    total = sum(amounts)
    total_fen = div_half_up(total, 10_000)
    shown = split_exactly(total_fen, amounts) if total > 0 and min(amounts) >= 0 else _shown(amounts, total_fen)
    tx.session.add(
        Invoice(
            id=invoice_id, org_id=org, number=number, month=month, from_at=FROM, to_at=TO, issued_at=tx.now, total_ucny=total,
            total_fen=total_fen, rounding_ucny=total_fen * 10_000 - total,
        )
    )  # fmt: skip
    tx.session.flush()
    line_ids, charge_ids = [], []
    for line, amount, fen in zip(lines, amounts, shown, strict=False):
        line_ids.append(_line(tx, invoice_id, len(line_ids) + 1, line, amount, fen))
        charge_ids += [_charge(tx, org, line_ids[-1], used) for used in line]
    if pack_ucny:
        line_ids.append(_pack(tx, invoice_id, len(line_ids) + 1, pack_ucny, shown[-1]))
    tx.session.flush()
    return Made(invoice_id, tuple(line_ids), tuple(charge_ids))


def _shown(amounts: Sequence[int], total_fen: int) -> list[int]:
    shown = [amount // 10_000 for amount in amounts]
    return [fen + (1 if number < total_fen - sum(shown) else 0) for number, fen in enumerate(shown)]


def _line(tx: Tx, invoice_id: str, number: int, line: Sequence[Used], amount: int, fen: int) -> str:
    ident = tx.ids.new("inl")
    tx.session.add(
        InvoiceLine(
            id=ident, invoice_id=invoice_id, number=number, kind="time", subject=line[0].lease if line else "lea_0",
            seconds=sum(used.seconds for used in line), tokens=0, quantity_udu=sum(used.quantity_udu for used in line),
            amount_ucny=amount, shown_fen=fen, value_ucny=amount, detail={"workload": "secret research of the tenant"},
        )
    )  # fmt: skip
    return ident


def _pack(tx: Tx, invoice_id: str, number: int, amount: int, fen: int) -> str:
    ident = tx.ids.new("inl")
    tx.session.add(
        InvoiceLine(
            id=ident, invoice_id=invoice_id, number=number, kind="pack", subject="ord_1", seconds=0, tokens=0,
            quantity_udu=50_000_000, amount_ucny=amount, shown_fen=fen, value_ucny=0, detail={"product": "pack-50"},
        )
    )  # fmt: skip
    return ident


def _charge(tx: Tx, org: str, line_id: str, used: Used) -> str:
    ident = tx.ids.new("chg")
    transaction_id = post(
        tx, "rating", ident,
        [Leg("promotion", "CNY", -used.value_ucny), Leg("clearing", "CNY", used.value_ucny)], org_id=org,
    )  # fmt: skip
    tx.session.add(
        Charge(
            id=ident, org_id=org, source="site_1", event_id=ident, kind="credit" if used.value_ucny < 0 else "time",
            lease_id=used.lease, provider_id=used.provider, subject=used.lease, at=tx.now, seconds=used.seconds, tokens=0,
            quantity_udu=used.quantity_udu, value_ucny=used.value_ucny, cash_ucny=used.value_ucny,
            platform_fee_ppm=used.fee_ppm, price_book_version=1, price_e8_per_du=180_000_000, transaction_id=transaction_id,
            invoice_line_id=line_id,
        )
    )  # fmt: skip
    tx.session.flush()
    first, rest = used.value_ucny // 3, used.value_ucny - used.value_ucny // 3
    part = used.quantity_udu // 3
    for number, (value, quantity) in enumerate([(first, part), (rest, used.quantity_udu - part)], start=1):
        tx.session.add(
            Slice(
                charge_id=ident, number=number, purse="wallet", grant_id=None, quantity_udu=quantity, value_ucny=value,
                cash_ucny=value,
            )
        )  # fmt: skip
    return ident
