"""Writing charges and their slices, many at once."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from zhisuan.ledger.rules import Slice
from zhisuan.usage.bulk import copy_rows

CHARGE_COLUMNS = (
    "id", "org_id", "source", "event_id", "kind", "lease_id", "provider_id", "subject", "at", "seconds", "tokens",
    "quantity_udu", "value_ucny", "cash_ucny", "platform_fee_ppm", "price_book_version", "price_e8_per_du",
    "transaction_id",
)  # fmt: skip
SLICE_COLUMNS = ("charge_id", "number", "purse", "grant_id", "quantity_udu", "value_ucny", "cash_ucny")


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
