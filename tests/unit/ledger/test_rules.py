"""The pure rules: which purse pays, exactly how much, and rounding."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.money import cost_ucny
from zhisuan.catalog.price_book import DedicatedTokens
from zhisuan.ledger.rules import (
    GrantState,
    PaidTotal,
    Purses,
    Slice,
    Terms,
    affordable_udu,
    burn_order,
    round_invoice,
    token_udu_e6,
)
from zhisuan.usage.rules import quantity_until_udu

DU = 1_000_000
PRICE = 1_800_000_000


def grant(
    ident: str,
    left: int,
    *,
    priority: int = 1,
    expires: int | None = None,
    paid: int = 0,
    starts: int = 0,
    created: int = 0,
) -> GrantState:
    return GrantState(ident, priority, starts, expires, created, left, paid, left, paid)


def terms(price: int = PRICE, rate: int = 3600, free_ppm: int = 400_000) -> Terms:
    return Terms(rate, 0, price, free_ppm)


def nothing() -> PaidTotal:
    return PaidTotal(0, 0, 0)


def test_burn_order_example() -> None:
    """G3 has the lowest priority number, G2 expires before G1, G4 comes last: 10, 20, 30, 40 of 100 度."""
    grants = [
        grant("G1", 30 * DU, priority=1, expires=31),
        grant("G2", 20 * DU, priority=1, expires=15),
        grant("G3", 10 * DU, priority=0, expires=62),
        grant("G4", 100 * DU, priority=5),
    ]
    slices = Purses(grants, 0).pay(1, 1, 100 * DU, terms(), nothing())
    assert [(s.grant_id, s.quantity_udu // DU) for s in slices] == [("G3", 10), ("G2", 20), ("G1", 30), ("G4", 40)]


def test_burn_order_ties() -> None:
    """Among equals: an expiry before none, gifted before paid, older first, then the id."""
    grants = [
        grant("none", 1),
        grant("paid", 1, expires=9, paid=5),
        grant("younger", 1, expires=9, created=2),
        grant("b", 1, expires=9, created=1),
        grant("a", 1, expires=9, created=1),
    ]
    assert [g.id for g in burn_order(grants)] == ["a", "b", "younger", "paid", "none"]


def test_a_grant_that_expires_inside_a_window_splits_it() -> None:
    """60 s at 1 µ度 a second; the grant ends after 20 s and pays for exactly these."""
    purses = Purses([grant("G", 1000, expires=20)], 10**9)
    assert purses.pay(0, 60, 60, terms(), nothing()) == [
        Slice("free", "G", 20, 20 * 18 * 4 // 10, 0),
        Slice("wallet", None, 40, 40 * 18, 40 * 18),
    ]


def test_a_grant_that_starts_inside_a_window_splits_it() -> None:
    purses = Purses([grant("G", 1000, starts=45)], 10**9)
    assert [(s.purse, s.quantity_udu) for s in purses.pay(0, 60, 60, terms(), nothing())] == [
        ("wallet", 45),
        ("free", 15),
    ]


def test_slices_of_one_purse_around_a_grant_are_one() -> None:
    purses = Purses([grant("G", 1000, starts=20, expires=40)], 10**9)
    assert [(s.purse, s.quantity_udu) for s in purses.pay(0, 60, 60, terms(), nothing())] == [
        ("wallet", 40),
        ("free", 20),
    ]


def test_an_expiry_at_the_edge_of_a_window_does_not_split_it() -> None:
    for start, expected in ((0, "free"), (60, "wallet")):
        purses = Purses([grant("G", 1000, expires=60)], 10**9)
        assert [s.purse for s in purses.pay(start, start + 60, 60, terms(), nothing())] == [expected]


def test_wallet_pays_as_far_as_it_goes_and_the_rest_is_owed() -> None:
    """At 18 ucny a µ度, 100 ucny buy 5 and leave 10."""
    purses = Purses([], 100)
    assert purses.pay(0, 60, 60, terms(), nothing()) == [
        Slice("wallet", None, 5, 90, 90),
        Slice("arrears", None, 55, 990, 990),
    ]
    assert (purses.wallet_ucny, purses.arrears_ucny) == (10, 990)


def test_without_a_price_nothing_is_owed() -> None:
    purses = Purses([], 0)
    assert purses.pay(0, 60, 60, terms(price=0), nothing()) == [Slice("wallet", None, 60, 0, 0)]


@given(
    quantity=st.integers(1, 10**9),
    paid=st.integers(1, 10**12),
    cuts=st.lists(st.integers(1, 10**9), max_size=8),
)
def test_a_used_up_pack_recognises_what_was_paid_for_it(quantity: int, paid: int, cuts: list[int]) -> None:
    state = grant("G", quantity, paid=paid)
    purses = Purses([state], 0)
    edges = sorted({c % quantity for c in cuts} | {0, quantity})
    values = []
    for before, after in itertools.pairwise(edges):
        values += [s.value_ucny for s in purses.pay(0, 0, after - before, terms(), nothing())]
        assert sum(values) == paid * after // quantity
    assert sum(values) == paid and state.deferred_ucny == 0 and state.left_udu == 0
    assert all(value >= 0 for value in values)


@given(
    price=st.integers(0, 10**11),
    quantities=st.lists(st.integers(0, 10**7), max_size=20),
    other=st.lists(st.integers(0, 10**7), max_size=20),
)
def test_wallet_cost_does_not_depend_on_how_use_is_cut(price: int, quantities: list[int], other: list[int]) -> None:
    """Any two cuts of one quantity cost the same, and that is the one half-even rounding of the whole."""
    total = sum(quantities)
    edges = sorted({c % (total + 1) for c in other} | {0, total})
    cuts = [b - a for a, b in itertools.pairwise(edges)]
    for parts in (quantities, cuts):
        purses, state = Purses([], 10**20), nothing()
        cash = sum(s.cash_ucny for q in parts for s in purses.pay(0, 0, q, terms(price=price), state))
        assert cash == cost_ucny(total, price) == round(Fraction(total * price, 10**8))


@given(paid=st.integers(0, 10**9), money=st.integers(0, 10**9), price=st.integers(1, 10**11))
def test_affordable_is_the_most_the_money_buys(paid: int, money: int, price: int) -> None:
    most = affordable_udu(paid, money, price)
    before = cost_ucny(paid, price)
    assert most >= 0
    assert cost_ucny(paid + most, price) - before <= money
    assert cost_ucny(paid + most + 1, price) - before > money


GRANTS = st.lists(
    st.builds(
        lambda n, left, priority, starts, length, paid: grant(
            f"g{n}",
            left,
            priority=priority,
            starts=starts,
            expires=None if length is None else starts + length,
            paid=paid,
        ),
        st.integers(0, 10**6),
        st.integers(1, 5000),
        st.integers(0, 2),
        st.integers(0, 400),
        st.none() | st.integers(1, 400),
        st.sampled_from([0, 0, 7, 99_999]),
    ),
    max_size=6,
    unique_by=lambda g: g.id,
)


@given(
    grants=GRANTS,
    wallet=st.integers(0, 200_000),
    spans=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 60)), max_size=12),
    price=st.sampled_from([0, 1, 33_333_333, PRICE, 1_799_999_999]),
)
def test_every_unit_is_paid_for_once_and_no_purse_is_overdrawn(
    grants: list[GrantState], wallet: int, spans: list[tuple[int, int]], price: int
) -> None:
    rate = 3600 * 40
    start_left = {g.id: (g.left_udu, g.deferred_ucny) for g in grants}
    by_id = {g.id: g for g in grants}
    purses, total = Purses(grants, wallet), nothing()
    free_value = 0
    for start, length in sorted(spans):
        quantity = quantity_until_udu(rate, start + length) - quantity_until_udu(rate, start)
        slices = purses.pay(start, start + length, quantity, terms(price=price, rate=rate), total)
        assert sum(s.quantity_udu for s in slices) == quantity
        assert all(s.quantity_udu > 0 and s.value_ucny >= 0 for s in slices)
        for s in slices:
            if s.grant_id is not None:
                used = by_id[s.grant_id]
                assert s.cash_ucny == 0
                assert used.starts_at < start + max(length, 1) and (used.expires_at is None or start < used.expires_at)
            else:
                assert s.cash_ucny == s.value_ucny
            free_value += s.value_ucny if s.purse == "free" else 0
    assert purses.wallet_ucny >= 0 and purses.wallet_ucny + purses.wallet_paid_ucny == wallet
    assert purses.wallet_paid_ucny + purses.arrears_ucny == cost_ucny(purses.on_demand_udu, price)
    assert purses.free_value_ucny == free_value
    for ident, (left, deferred) in start_left.items():
        state = by_id[ident]
        assert 0 <= state.left_udu <= left and 0 <= state.deferred_ucny <= deferred


@given(
    calls=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=30),
    prices=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)),
)
def test_many_small_calls_come_to_the_same_as_one(calls: list[tuple[int, int]], prices: tuple[int, int, int]) -> None:
    dedicated = DedicatedTokens(
        input_udu_per_million=prices[0], cached_input_udu_per_million=prices[1], output_udu_per_million=prices[2]
    )
    cached = [given // 3 for given, _ in calls]
    one = token_udu_e6(dedicated, sum(i for i, _ in calls), sum(cached), sum(o for _, o in calls))
    assert one == sum(token_udu_e6(dedicated, i, c, o) for (i, o), c in zip(calls, cached, strict=True))


@pytest.mark.parametrize(
    ("amounts", "fen", "shown"),
    [
        ([335_000] * 3, 101, (34, 34, 33)),
        ([125_000], 13, (13,)),
        ([4_999], 0, (0,)),
        ([5_000], 1, (1,)),
        ([-335_000] * 3, -101, (-33, -34, -34)),
        ([700_000_000, -335_000], 69967, (70000, -33)),
        ([], 0, ()),
    ],
)
def test_invoice_rounding_examples(amounts: list[int], fen: int, shown: tuple[int, ...]) -> None:
    rounded = round_invoice(amounts)
    assert (rounded.total_fen, sum(rounded.shown_fen)) == (fen, fen)
    assert sorted(rounded.shown_fen) == sorted(shown)
    if all(a > 0 for a in amounts):
        assert rounded.shown_fen == shown


@given(st.lists(st.integers(-(10**9), 10**9), max_size=30))
def test_shown_fen_sum_to_the_total_and_stay_next_to_their_amounts(amounts: list[int]) -> None:
    rounded = round_invoice(amounts)
    assert sum(rounded.shown_fen) == rounded.total_fen
    assert rounded.total_fen * 10_000 == rounded.total_ucny + rounded.rounding_ucny
    assert abs(rounded.rounding_ucny) <= 5_000
    assert all(abs(fen * 10_000 - a) < 10_000 for fen, a in zip(rounded.shown_fen, amounts, strict=True))
