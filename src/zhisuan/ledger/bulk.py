"""Writing charges and their slices, many at once."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from zhisuan.ledger.rules import Slice
from zhisuan.usage.bulk import copy_rows

CHARGE_COLUMNS = {
    "id": "text", "org_id": "text", "source": "text", "event_id": "text", "kind": "text", "lease_id": "text",
    "provider_id": "text", "subject": "text", "at": "timestamptz", "seconds": "int8", "tokens": "int8",
    "quantity_udu": "int8", "value_ucny": "int8", "cash_ucny": "int8", "platform_fee_ppm": "int8",
    "price_book_version": "int8", "price_e8_per_du": "int8", "transaction_id": "text",
}  # fmt: skip
SLICE_COLUMNS = {
    "charge_id": "text", "number": "int8", "purse": "text", "grant_id": "text", "quantity_udu": "int8", "value_ucny": "int8",
    "cash_ucny": "int8",
}  # fmt: skip


def write_charges(
    session: Session, charges: Sequence[Sequence[Any]], slices: Iterable[tuple[str, Sequence[Slice]]]
) -> None:
    """Add charges (rows in the order of ``CHARGE_COLUMNS``) and the slices of each."""
    copy_rows(session, "ledger_charge", CHARGE_COLUMNS, charges)
    copy_rows(
        session,
        "ledger_slice",
        SLICE_COLUMNS,
        ((charge_id, number, *part) for charge_id, parts in slices for number, part in enumerate(parts, start=1)),
    )
