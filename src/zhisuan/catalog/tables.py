"""What is sold and at what price: price books in versions, quotes that keep the price an order was made at."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class PriceBook(Table):
    """One version of all public prices; the newest with ``effective_from`` in the past is in force. Never edited."""

    __tablename__ = "catalog_price_book"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    effective_from: Mapped[datetime]
    published_at: Mapped[datetime]
    published_by: Mapped[str]
    book: Mapped[dict[str, Any]]


class Quote(Table):
    """The price a workload or order was accepted at; rating reads the quote, so it repeats exactly."""

    __tablename__ = "catalog_quote"

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(index=True)
    price_book_version: Mapped[int] = mapped_column(ForeignKey("catalog_price_book.version"))
    at: Mapped[datetime]
    shape: Mapped[dict[str, Any]]
    rate_udu_per_hour: Mapped[int]
    price_e8_per_du: Mapped[int]
    platform_fee_ppm: Mapped[int]


class Order(Table):
    """A pack bought from the catalogue, whole and paid."""

    __tablename__ = "catalog_order"
    __table_args__ = (CheckConstraint("amount_ucny >= 0", name="amount"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(index=True)
    product: Mapped[str]
    price_book_version: Mapped[int] = mapped_column(ForeignKey("catalog_price_book.version"))
    quantity: Mapped[int]
    amount_ucny: Mapped[int]
    quantity_udu: Mapped[int]
    at: Mapped[datetime]
    by: Mapped[str]
