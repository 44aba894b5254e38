"""Who is paid what for the use of an invoice."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Settlement(Table):
    """The split of one invoice's use among providers and platform; the parts sum to ``total_fen`` exactly.

    ``transaction_id`` is empty where nothing was to be booked: an invoice without use, or whose uses net to nothing.
    """

    __tablename__ = "settlement_settlement"
    __table_args__ = (Index(None, "org_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(unique=True)
    org_id: Mapped[str]
    month: Mapped[str]
    at: Mapped[datetime]
    value_ucny: Mapped[int]
    total_fen: Mapped[int]
    transaction_id: Mapped[str | None]


class Share(Table):
    """One party's part of a settlement, and the lines it comes from.

    ``value_ucny`` is the value of the use the part is taken from: a provider's own, or all of it for the platform.
    ``detail`` of a provider: ``fee_fen`` and ``lines``; it holds ids of records and no name.
    """

    __tablename__ = "settlement_share"
    __table_args__ = (UniqueConstraint("settlement_id", "party"), Index(None, "party", "role"))

    settlement_id: Mapped[str] = mapped_column(ForeignKey("settlement_settlement.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    party: Mapped[str]
    role: Mapped[str]
    value_ucny: Mapped[int]
    amount_fen: Mapped[int]
    detail: Mapped[dict[str, Any]]
