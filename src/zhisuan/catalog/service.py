"""Publishing prices, reading the ones in force, and quoting a shape of devices at them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.base.errors import InvalidInput, NotFound, Unavailable
from zhisuan.base.money import cost_ucny
from zhisuan.base.text import Text
from zhisuan.catalog import tables
from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.rules import RatedItem, ShapeItem, rate_shape

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class PublishedBook:
    version: int
    effective_from: datetime
    published_at: datetime
    published_by: str
    book: PriceBook


@dataclass(frozen=True, slots=True)
class Estimate:
    """What ``seconds`` of a shape come to; nothing is written."""

    price_book_version: int
    items: tuple[RatedItem, ...]
    rate_udu_per_hour: int
    price_e8_per_du: int
    seconds: int
    quantity_udu: int
    cost_ucny: int


def publish_price_book(tx: Tx, book: PriceBook, effective_from: datetime) -> int:
    """Add the next version; it is in force from ``effective_from``. Raises ``InvalidInput`` for a time in the past:
    a price never changes after the fact."""
    if effective_from.tzinfo is None or effective_from < tx.now:
        raise InvalidInput(
            Text(
                f"A price book cannot take effect at {effective_from.isoformat()}: that is in the past or has no time zone.",
                f"价目表的生效时间 {effective_from.isoformat()} 无效：早于当前时间，或没有时区。",
            ),
            Text("Give a time from now on, with its zone.", "请给出不早于当前时间且带时区的生效时间。"),
        )
    tx.session.execute(text("LOCK TABLE catalog_price_book IN SHARE ROW EXCLUSIVE MODE"))
    version = (tx.session.scalar(select(func.max(tables.PriceBook.version))) or 0) + 1
    tx.session.add(
        tables.PriceBook(
            version=version,
            effective_from=effective_from,
            published_at=tx.now,
            published_by=tx.actor,
            book=book.to_json(),
        )
    )
    tx.session.flush()
    tx.emit(
        "price_book.published", f"pbk_{version}", {"version": version, "effective_from": effective_from.isoformat()}
    )
    return version


def price_book_in_force(session: Session, at: datetime) -> tuple[int, PriceBook]:
    """The version in force at ``at``: the one that took effect last; of two with one time, the later version.

    Raises ``Unavailable`` when none had been published.
    """
    row = session.scalar(
        select(tables.PriceBook)
        .where(tables.PriceBook.effective_from <= at)
        .order_by(tables.PriceBook.effective_from.desc(), tables.PriceBook.version.desc())
        .limit(1)
    )
    if row is None:
        raise Unavailable(
            Text("No price book is in force yet.", "尚无生效的价目表。"),
            Text("The operator publishes one; then prices can be quoted.", "请运营方先发布价目表，之后即可报价。"),
            code="no_price_book",
        )
    return row.version, PriceBook.from_json(row.book)


class Books:
    """The books that a process has read: a version never changes once it is published."""

    def __init__(self) -> None:
        self._read: dict[tuple[int, datetime], PriceBook] = {}

    def in_force(self, tx: Tx) -> tuple[int, PriceBook]:
        """``price_book_in_force`` now; the book itself is read only once."""
        at = tx.session.execute(
            select(tables.PriceBook.version, tables.PriceBook.published_at)
            .where(tables.PriceBook.effective_from <= tx.now)
            .order_by(tables.PriceBook.effective_from.desc(), tables.PriceBook.version.desc())
            .limit(1)
        ).one_or_none()
        if at is None:
            return price_book_in_force(tx.session, tx.now)
        key = (at.version, at.published_at)
        if key not in self._read:
            self._read[key] = price_book_in_force(tx.session, tx.now)[1]
        return at.version, self._read[key]


def price_books(session: Session, versions: Sequence[int]) -> dict[int, PriceBook]:
    """The books of these versions."""
    rows = session.scalars(select(tables.PriceBook).where(tables.PriceBook.version.in_(set(versions))))
    return {row.version: PriceBook.from_json(row.book) for row in rows}


def list_price_books(session: Session) -> tuple[PublishedBook, ...]:
    """All versions, newest first."""
    rows = session.scalars(select(tables.PriceBook).order_by(tables.PriceBook.version.desc()))
    return tuple(
        PublishedBook(r.version, r.effective_from, r.published_at, r.published_by, PriceBook.from_json(r.book))
        for r in rows
    )


def make_quote(tx: Tx, org_id: str, shape: Sequence[ShapeItem], *, spot: bool = False) -> tables.Quote:
    """Keep the price of a shape as it is now, on demand or spot; what runs on it is rated by this quote whatever comes later."""
    quote = quote_of(tx, org_id, shape, spot=spot, at=tx.memory.of(Books).in_force(tx))
    tx.session.add(quote)
    return quote


def quote_of(tx: Tx, org_id: str, shape: Sequence[ShapeItem], *, spot: bool, at: tuple[int, PriceBook]) -> tables.Quote:
    """A quote at a version and book in force, not kept yet."""
    version, book = at
    items = rate_shape(book, shape)
    return tables.Quote(
        id=tx.ids.new("quo"),
        org_id=org_id,
        price_book_version=version,
        at=tx.now,
        shape={"items": [asdict(item) for item in items]},
        rate_udu_per_hour=sum(item.rate_udu_per_hour for item in items),
        price_e8_per_du=book.price_e8_per_du(spot=spot),
        platform_fee_ppm=book.platform_fee_ppm,
    )


def get_quote(session: Session, quote_id: str) -> tables.Quote:
    """Raises ``NotFound`` for an unknown id."""
    quote = session.get(tables.Quote, quote_id)
    if quote is None:
        raise NotFound.of(Text("quote", "报价"), quote_id)
    return quote


def quotes(session: Session, quote_ids: Sequence[str]) -> Mapping[str, tables.Quote]:
    """The quotes of these ids; an unknown id is left out."""
    return {row.id: row for row in session.scalars(select(tables.Quote).where(tables.Quote.id.in_(set(quote_ids))))}


def estimate(
    session: Session, at: datetime, shape: Sequence[ShapeItem], seconds: int, *, spot: bool = False
) -> Estimate:
    """What a shape would come to for ``seconds`` at the prices in force at ``at``, before any free quota or pack."""
    if seconds < 0:
        raise InvalidInput(
            Text("An estimate needs a time of zero seconds or more.", "估算时长不能为负。"),
            Text("Give the seconds the work is expected to run.", "请给出预计运行的秒数。"),
        )
    version, book = price_book_in_force(session, at)
    items = rate_shape(book, shape)
    rate = sum(item.rate_udu_per_hour for item in items)
    quantity = rate * seconds // SECONDS_PER_HOUR
    price = book.price_e8_per_du(spot=spot)
    return Estimate(version, items, rate, price, seconds, quantity, cost_ucny(quantity, price))
