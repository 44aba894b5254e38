"""Exact numbers: one rounding, splits that sum, the worked examples of the field."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.money import Money, cost_ucny, decimal_text, div_half_even, div_half_up, split_exactly

large = st.integers(-(10**24), 10**24)
weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)


@given(numerator=large, denominator=st.integers(1, 10**9))
def test_roundings_agree_with_decimal(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    for ours, mode in ((div_half_even, ROUND_HALF_EVEN), (div_half_up, ROUND_HALF_UP)):
        got = ours(numerator, denominator)
        assert abs(exact - got) <= Fraction(1, 2)
        if abs(exact - got) == Fraction(1, 2):
            assert got == int((Decimal(int(exact * 2)) / 2).quantize(Decimal(1), mode))


@pytest.mark.parametrize("divide", [div_half_even, div_half_up])
@pytest.mark.parametrize("denominator", [0, -1])
def test_a_denominator_is_above_zero(divide: object, denominator: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        divide(1, denominator)  # type: ignore[operator]


def test_the_published_examples_of_rounding() -> None:
    """An eighth of a yuan to the fen; three lines of 0.335 yuan on one invoice."""
    assert (div_half_up(125_000, 10_000), div_half_even(125_000, 10_000)) == (13, 12)
    lines = [335_000] * 3
    total = Money(sum(lines)).to_fen()
    assert total == 101
    assert split_exactly(total, lines) == (34, 34, 33)


@given(total=large, parts=weights)
def test_a_split_sums_exactly_and_no_part_is_off_by_one_unit(total: int, parts: list[int]) -> None:
    if not sum(parts):
        parts = [*parts, 1]
    split = split_exactly(total, parts)
    assert sum(split) == total and len(split) == len(parts)
    for got, weight in zip(split, parts, strict=True):
        assert abs(Fraction(total * weight, sum(parts)) - got) < 1
        assert weight or not got, "nothing goes to nothing"
    assert split_exactly(-total, parts) == tuple(-x for x in split)


@pytest.mark.parametrize(
    ("total", "parts", "expected"),
    [
        (10_000, (1, 1, 1), (3334, 3333, 3333)),
        (-10_000, (1, 1, 1), (-3334, -3333, -3333)),
        (123_457, (82, 10, 5, 3), (101_235, 12_345, 6_173, 3_704)),
        (99_999, (80, 10, 5, 3), None),
        (99_999, (82, 10, 5, 3), (81_999, 10_000, 5_000, 3_000)),
        (0, (0, 0), (0, 0)),
    ],
)
def test_published_splits(total: int, parts: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    got = split_exactly(total, parts)
    assert sum(got) == total and (expected is None or got == expected)


@pytest.mark.parametrize(("total", "parts"), [(1, ()), (1, (0, 0)), (1, (1, -1)), (0, ())])
def test_a_split_by_nothing_is_refused(total: int, parts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        split_exactly(total, parts)


@given(ucny=large)
def test_money_reads_back_from_its_text(ucny: int) -> None:
    assert Money.yuan(str(Money(ucny))) == Money(ucny)
    assert Decimal(decimal_text(ucny, 6)) == Decimal(ucny).scaleb(-6)


@pytest.mark.parametrize("text", ["0.0000001", "1e-7"])
def test_money_is_never_rounded_on_the_way_in(text: str) -> None:
    with pytest.raises(ValueError, match="six decimal places"):
        Money.yuan(text)


def test_money_adds_up_and_compares() -> None:
    assert Money.yuan("18") + Money.yuan("0.50") - Money.yuan(1) == Money.yuan("17.5")
    assert -Money(5) == Money(-5) and Money(1) < Money(2)
    assert str(Money(-5)) == "-0.000005" and str(Money.yuan("18")) == "18.00"


@given(udu=st.integers(0, 10**15), price=st.integers(0, 10**12))
def test_a_cost_is_the_exact_product_rounded_once(udu: int, price: int) -> None:
    exact = Fraction(udu, 10**6) * Fraction(price, 10**8) * 10**6
    assert abs(exact - cost_ucny(udu, price)) <= Fraction(1, 2)


def test_published_quantities() -> None:
    """8 cards of 312 TFLOPS for an hour and a half are 12 度; 3 of 280 for 754 s are 0.563889 度 (base 312)."""
    assert Fraction(8 * 312 * 5400, 3600 * 312) == 12
    assert div_half_even(3 * 280 * 754 * 10**6, 3600 * 312) == 563_889
