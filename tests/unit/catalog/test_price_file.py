"""Price files as people write them: exact, or every fault with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zhisuan.base.errors import InvalidInput
from zhisuan.base.money import cost_ucny, decimal_text
from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.price_file import default_price_book, parse_price_book, published_rates

GOOD = """
currency: CNY
on_demand: {yuan_per_du: 18.00}
devices:
  cpu_with_accelerator: charged
  published_rates: false
  rates_du_per_hour: {cpu-core: 0.025}
free_quota: {du: 0.5, valid_days: null, provider_value_percent: 12.5}
packs:
  - {product: small, name: {en: Small, zh: 小包}, du: 0.000001, yuan: 0.01, valid_days: 30}
platform_fee_percent: 0
"""


def problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse_price_book(text)
    assert caught.value.code == "invalid_price_book"
    assert all(p.problem.en and p.problem.zh for p in caught.value.problems)
    return {p.where: p.problem.en for p in caught.value.problems}


def test_a_file_becomes_whole_numbers() -> None:
    made = parse_price_book(GOOD)
    assert made.on_demand_price_e8_per_du == 1_800_000_000
    assert made.device_rates == {"cpu-core": 25_000} and not made.cpu_with_accelerator_free
    assert (made.free_quota.quantity_udu, made.free_quota.valid_days) == (500_000, None)
    assert (made.free_quota.provider_value_ppm, made.platform_fee_ppm) == (125_000, 0)
    assert (made.packs[0].quantity_udu, made.packs[0].price_ucny, made.packs[0].valid_days) == (1, 10_000, 30)
    assert made.tokens.dedicated.output_udu_per_million == 0


def test_the_shipped_prices() -> None:
    """18 yuan a 度 on demand, 7 in packs, one free 度 for 90 days, and every published rate."""
    made = default_price_book()
    assert cost_ucny(1_000_000, made.on_demand_price_e8_per_du) == 18_000_000
    assert {p.price_ucny * 1_000_000 // p.quantity_udu for p in made.packs} == {7_000_000}
    assert [p.quantity_udu // 1_000_000 for p in made.packs] == [10, 100, 1000]
    assert (made.free_quota.quantity_udu, made.free_quota.valid_days) == (1_000_000, 90)
    assert made.device_rates == published_rates()
    assert made.device_rates["cpu-core"] == 25_000 and made.device_rates["nvidia-a100-sxm4-80g"] == 1_000_000


def test_rates_of_the_file_go_before_published_ones() -> None:
    made = parse_price_book(GOOD.replace("published_rates: false", "published_rates: true").replace("0.025", "0.03"))
    assert made.device_rates == {**published_rates(), "cpu-core": 30_000}


def test_stored_and_read_back_is_the_same() -> None:
    for made in (default_price_book(), parse_price_book(GOOD)):
        assert PriceBook.from_json(made.to_json()) == made


def test_every_fault_is_named_with_its_place() -> None:
    found = problems("""
currency: USD
discount: 3
on_demand: {yuan_per_du: 1.123456789}
devices: {cpu_with_accelerator: maybe, published_rates: 7, rates_du_per_hour: {cpu-core: 0.0255, moon-card: 0}}
packs:
  - {product: Small Pack, name: {en: ''}, du: 0, yuan: -1, valid_days: 1.5}
  - {product: a, name: {en: a, zh: b}, du: 1e3, yuan: .5, valid_days: 99999}
platform_fee_percent: 100.1
""")
    assert set(found) == {
        "currency", "discount", "on_demand.yuan_per_du", "devices.cpu_with_accelerator", "devices.published_rates",
        "devices.rates_du_per_hour.cpu-core", "devices.rates_du_per_hour.moon-card", "free_quota", "packs.0.product",
        "packs.0.name.en", "packs.0.name.zh", "packs.0.du", "packs.0.yuan", "packs.0.valid_days", "packs.1.du",
        "packs.1.yuan", "packs.1.valid_days", "platform_fee_percent",
    }  # fmt: skip
    assert found["on_demand.yuan_per_du"] == "has more than 8 decimal places"
    assert found["discount"] == "is not a field of the price book"
    assert found["free_quota"] == "is missing"
    assert "multiple of 0.001" in found["devices.rates_du_per_hour.cpu-core"]


def test_unknown_classes_and_repeated_products() -> None:
    pack = GOOD[GOOD.index("  - {product") : GOOD.index("platform_fee")]
    found = problems(GOOD.replace("cpu-core:", "moon-card:").replace(pack, pack + pack))
    assert found == {
        "devices": "rates are given for unknown device classes: moon-card",
        "packs": "these products are listed twice: small",
    }


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "file"),
        ("- 1", "file"),
        ("a: [", "line 1, column 5"),
        ("a: 1\na: 2", "line 2, column 1"),
        ("? [a]\n: 1", "line 1, column 3"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4"),
        ("a: *b", "line 1, column 4"),
    ],
)
def test_what_is_not_a_price_file(text: str, where: str) -> None:
    assert where in problems(text)


@given(st.integers(0, 10**15), st.integers(0, 8))
def test_decimal_texts_are_read_exactly(value: int, extra_zeros: int) -> None:
    written = decimal_text(value, 8, at_least=1) + "0" * extra_zeros
    assert parse_price_book(GOOD.replace("18.00", written)).on_demand_price_e8_per_du == value


@pytest.mark.parametrize("value", [1.0, "1", True])
def test_stored_books_take_whole_numbers_only(value: object) -> None:
    stored = default_price_book().to_json()
    with pytest.raises(ValidationError):
        PriceBook.from_json({**stored, "on_demand_price_e8_per_du": value})
    with pytest.raises(ValidationError):
        PriceBook.from_json({**stored, "surprise": 1})
    with pytest.raises(ValidationError, match="listed twice"):
        PriceBook.from_json({**stored, "packs": stored["packs"] * 2})
