"""Versions of prices, quotes and estimates."""

import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.base.errors import InvalidInput, NotFound, Unavailable
from zhisuan.base.money import cost_ucny
from zhisuan.catalog import service as catalog
from zhisuan.catalog import tables
from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.price_file import default_price_book
from zhisuan.catalog.rules import ShapeItem, rate_shape
from zhisuan.testing.database import START

BOOK = default_price_book()
A100, L40S, CORE = "nvidia-a100-sxm4-80g", "nvidia-l40s-48g", "cpu-core"
DAY = timedelta(days=1)


def at_price(yuan: int, *, cpu_free: bool = True) -> PriceBook:
    return BOOK.model_copy(update={"on_demand_price_e8_per_du": yuan * 10**8, "cpu_with_accelerator_free": cpu_free})


def in_force(database: Database, at: datetime) -> tuple[int, int]:
    with database.begin() as tx:
        version, book = catalog.price_book_in_force(tx.session, at)
    return version, book.on_demand_price_e8_per_du // 10**8


def test_versions_rise_by_one_and_take_effect_at_their_time(database: Database, clock: ManualClock) -> None:
    with pytest.raises(Unavailable):
        in_force(database, START)
    with database.begin("operator") as tx:
        assert catalog.publish_price_book(tx, at_price(18), START) == 1
        assert catalog.publish_price_book(tx, at_price(20), START + 10 * DAY) == 2
        assert catalog.publish_price_book(tx, at_price(17), START + 5 * DAY) == 3
        assert catalog.publish_price_book(tx, at_price(16), START + 5 * DAY) == 4
    assert [in_force(database, START + d * DAY) for d in (0, 4, 5, 9, 10, 99)] == [
        (1, 18), (1, 18), (4, 16), (4, 16), (2, 20), (2, 20),
    ]  # fmt: skip
    with pytest.raises(Unavailable):
        in_force(database, START - timedelta(seconds=1))
    with database.begin() as tx:
        listed = catalog.list_price_books(tx.session)
    assert [(b.version, b.published_by) for b in listed] == [(n, "operator") for n in (4, 3, 2, 1)]
    assert listed[-1].book == at_price(18)


def test_a_price_is_never_changed_after_the_fact(database: Database, clock: ManualClock) -> None:
    clock.advance(DAY)
    for effective in (START, clock.now() - timedelta(microseconds=1), clock.now().replace(tzinfo=None)):
        with pytest.raises(InvalidInput), database.begin() as tx:
            catalog.publish_price_book(tx, BOOK, effective)
    with database.begin() as tx:
        assert catalog.list_price_books(tx.session) == ()


def test_publishing_at_once_gives_each_its_version(database: Database) -> None:
    versions = []

    def publish() -> None:
        for _ in range(5):
            with database.begin() as tx:
                made = catalog.publish_price_book(tx, BOOK, tx.now)
            versions.append(made)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(1, 21))


def test_a_quote_keeps_the_price_it_was_made_at(database: Database) -> None:
    shape = [ShapeItem(A100, "accelerator", 2000), ShapeItem(CORE, "cpu", 16_000), ShapeItem(None, "memory", 65_536)]
    with database.begin() as tx:
        catalog.publish_price_book(tx, at_price(18), tx.now)
        quote = catalog.make_quote(tx, "org_1", shape)
        catalog.publish_price_book(tx, at_price(99, cpu_free=False), tx.now)
    with database.begin() as tx:
        kept = catalog.get_quote(tx.session, quote.id)
        assert (kept.org_id, kept.price_book_version, kept.at) == ("org_1", 1, START)
        assert (kept.rate_udu_per_hour, kept.price_e8_per_du, kept.platform_fee_ppm) == (
            2_000_000,
            1_800_000_000,
            100_000,
        )
        assert [(i["kind"], i["amount"], i["rate_udu_per_hour"], i["free"]) for i in kept.shape["items"]] == [
            ("accelerator", 2000, 2_000_000, None), ("cpu", 16_000, 0, "with_accelerator"), ("memory", 65_536, 0, "memory"),
        ]  # fmt: skip
        later = catalog.make_quote(tx, "org_1", shape)
        assert (later.price_book_version, later.rate_udu_per_hour) == (2, 2_400_000)
        assert set(catalog.quotes(tx.session, [quote.id, later.id, "quo_none"])) == {quote.id, later.id}
        assert set(catalog.price_books(tx.session, [1, 2, 7])) == {1, 2}
        with pytest.raises(NotFound):
            catalog.get_quote(tx.session, "quo_none")


@pytest.mark.parametrize(
    ("shape", "rate"),
    [
        ([ShapeItem(CORE, "cpu", 1000)], 25_000),
        ([ShapeItem(CORE, "cpu", 333)], 8_325),
        ([ShapeItem(L40S, "accelerator", 500)], 325_000),
        ([ShapeItem(L40S, "accelerator", 0), ShapeItem(CORE, "cpu", 2000)], 50_000),
        ([], 0),
    ],
)
def test_rates_of_shapes(shape: list[ShapeItem], rate: int) -> None:
    assert sum(item.rate_udu_per_hour for item in rate_shape(BOOK, shape)) == rate


@given(st.lists(st.tuples(st.sampled_from(sorted(BOOK.device_rates)), st.integers(0, 64_000)), max_size=6))
def test_shares_of_devices_have_exact_rates(parts: list[tuple[str, int]]) -> None:
    """A rate is amount × rate ÷ 1000 without a rest, so two halves of a card cost what the card costs."""
    for class_id, amount in parts:
        kind = "cpu" if class_id == CORE else "accelerator"
        whole, first, second = (
            rate_shape(BOOK, [ShapeItem(class_id, kind, a)])[0].rate_udu_per_hour
            for a in (amount, amount // 3, amount - amount // 3)
        )
        assert whole * 1000 == amount * BOOK.device_rates[class_id] and whole == first + second


def test_devices_without_a_rate_are_all_named() -> None:
    shape = [
        ShapeItem("moon-card", "accelerator", 1000), ShapeItem(A100, "accelerator", 1000), ShapeItem(None, "accelerator", 500),
        ShapeItem(A100, "accelerator", -1),
    ]  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        rate_shape(BOOK, shape)
    assert caught.value.code == "unrated_device"
    assert [p.where for p in caught.value.problems] == ["shape.0", "shape.2", "shape.3"]


def test_an_estimate_is_what_rating_would_charge_and_writes_nothing(database: Database) -> None:
    """3 cards of 0.65 度 an hour for 754 s."""
    with database.begin() as tx:
        catalog.publish_price_book(tx, at_price(18), tx.now)
        made = catalog.estimate(tx.session, tx.now, [ShapeItem(L40S, "accelerator", 3000)], 754)
        assert (made.rate_udu_per_hour, made.quantity_udu) == (1_950_000, 1_950_000 * 754 // 3600)
        assert made.cost_ucny == cost_ucny(made.quantity_udu, 1_800_000_000) == 18 * made.quantity_udu
        assert tx.session.scalars(select(tables.Quote)).all() == []
        with pytest.raises(InvalidInput):
            catalog.estimate(tx.session, tx.now, [], -1)
