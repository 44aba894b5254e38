"""Splits of an invoice's use: exact to the fen, whatever the order and the grouping."""

from collections import Counter, defaultdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.money import split_exactly
from zhisuan.settlement.rules import Split, Use, split_signed, split_use

FEES = st.sampled_from([0, 50_000, 80_000, 100_000, 123_457, 333_333, 1_000_000])
PROVIDERS = st.sampled_from(["org_a", "org_b", "org_c"])
FEN = 10_000


def use(provider: str, value: int, fee: int = 100_000, line: str = "inl_1", lease: str = "lea_1") -> Use:
    kind = "credit" if value < 0 else "time"
    return Use(provider, line, lease, kind, fee, seconds=60, tokens=0, quantity_udu=1, value_ucny=value)


def uses(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[Use]]:
    one = st.builds(
        use, PROVIDERS, values, FEES, st.sampled_from(["inl_1", "inl_2", "inl_3"]), st.sampled_from(["lea_1", "lea_2"])
    )
    return st.lists(one, max_size=12)


CHARGES = uses(st.integers(0, 3_000_000_000))
MIXED = uses(st.integers(-2_000_000_000, 2_000_000_000) | st.integers(-20_000, 20_000))


def amounts(split: Split) -> dict[str, int]:
    return {part.provider_id: part.payable_fen for part in split.providers} | {"platform": split.platform_fen}


def assert_sums(split: Split) -> None:
    assert sum(part.payable_fen for part in split.providers) + split.platform_fen == split.total_fen
    assert sum(part.fee_fen for part in split.providers) == split.platform_fen
    for part in split.providers:
        assert sum(line.payable_fen for line in part.lines) == part.payable_fen
        assert sum(line.fee_fen for line in part.lines) == part.fee_fen
        assert sum(line.use.value_ucny for line in part.lines) == part.value_ucny
    assert sum(part.value_ucny for part in split.providers) == split.value_ucny


# Worked examples of the billing notes: fen, weights, parts.
@pytest.mark.parametrize(
    "total, weights, parts",
    [
        (123_457, (82, 10, 5, 3), (101_235, 12_345, 6_173, 3_704)),
        (99_999, (82, 10, 5, 3), (81_999, 10_000, 5_000, 3_000)),
        (10_000, (1, 1, 1), (3334, 3333, 3333)),
        (-10_000, (1, 1, 1), (-3334, -3333, -3333)),
    ],
)
def test_worked_examples(total: int, weights: tuple[int, ...], parts: tuple[int, ...]) -> None:
    assert split_exactly(total, weights) == parts
    assert split_signed(total, weights, 1) == parts
    if total > 0:
        assert split_signed(-total, [-weight for weight in weights], 1) == tuple(-part for part in parts)


def test_four_providers_and_the_platform() -> None:
    """1,234.57 yuan used at 82/10/5/3 % with no fee: the worked example through the whole rule."""
    value = 1_234_570_000
    shares = [("org_a", 82), ("org_b", 10), ("org_c", 5), ("org_d", 3)]
    split = split_use([use(provider, value * share // 100, fee=0) for provider, share in shares])
    assert split.total_fen == 123_457
    assert amounts(split) == {"org_a": 101_235, "org_b": 12_345, "org_c": 6_173, "org_d": 3_704, "platform": 0}


def test_a_provider_and_a_fee() -> None:
    """0.125 yuan at 10 %: 12.5 fen is 13; 11.7 : 1.3 gives 12 and 1, and 0.005 yuan more than was used."""
    split = split_use([use("org_a", 125_000)])
    assert (split.total_fen, amounts(split), split.rounding_ucny) == (13, {"org_a": 12, "platform": 1}, -5_000)


def test_a_provider_and_a_fee_of_a_credit_is_the_mirror() -> None:
    split = split_use([use("org_a", -125_000)])
    assert (split.total_fen, amounts(split), split.rounding_ucny) == (-13, {"org_a": -12, "platform": -1}, 5_000)


def test_a_credit_to_one_provider_beside_a_charge_of_another() -> None:
    """10 yuan used at A, 4 yuan credited of an earlier use of B, 10 % each: A 9.00, B -3.60, platform 0.60."""
    split = split_use([use("org_a", 10_000_000), use("org_b", -4_000_000)])
    assert (split.total_fen, amounts(split)) == (600, {"org_a": 900, "org_b": -360, "platform": 60})


def test_no_use_settles_to_nothing() -> None:
    assert split_use([]) == Split(0, 0, 0, ())


def test_uses_that_cancel_out() -> None:
    split = split_use([use("org_a", 700_000), use("org_a", -700_000, line="inl_2")])
    assert (split.total_fen, amounts(split)) == (0, {"org_a": 0, "platform": 0})


@pytest.mark.parametrize("fee", [-1, 1_000_001])
def test_an_impossible_fee_is_refused(fee: int) -> None:
    with pytest.raises(ValueError, match="inl_1"):
        split_use([use("org_a", 1, fee=fee)])


@given(MIXED)
def test_every_part_sums_exactly_and_the_total_is_rounded_once(found: list[Use]) -> None:
    split = split_use(found)
    assert_sums(split)
    assert split.value_ucny == sum(each.value_ucny for each in found)
    assert split.value_ucny == split.total_fen * FEN + split.rounding_ucny
    assert abs(split.rounding_ucny) <= FEN // 2


@given(CHARGES)
def test_charges_follow_the_largest_remainder_rule(found: list[Use]) -> None:
    """Worked out again with fractions: the weights of the brief, one call of the rule."""
    value: dict[str, Fraction] = defaultdict(Fraction)
    fee = Fraction(0)
    for each in found:
        value[each.provider_id] += Fraction(each.value_ucny) * (1 - Fraction(each.platform_fee_ppm, 10**6))
        fee += Fraction(each.value_ucny) * Fraction(each.platform_fee_ppm, 10**6)
    parties = sorted(value)
    weights = [int(value[party] * 10**6) for party in parties] + [int(fee * 10**6)]
    split = split_use(found)
    assert [*amounts(split).values()] == list(split_exactly(split.total_fen, weights))


@given(MIXED)
def test_each_party_is_within_two_fen_of_its_exact_part(found: list[Use]) -> None:
    exact: dict[str, Fraction] = defaultdict(Fraction)
    for each in found:
        exact[each.provider_id] += Fraction(each.provider_weight, 10**10)
        exact["platform"] += Fraction(each.platform_weight, 10**10)
    for party, fen in amounts(split_use(found)).items():
        assert abs(fen - exact[party]) < 2


@given(MIXED, st.randoms(use_true_random=False))
def test_the_order_of_uses_does_not_matter(found: list[Use], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split_use(shuffled) == split_use(found)


@given(CHARGES, st.data())
def test_how_use_is_cut_into_charges_does_not_matter(found: list[Use], data: st.DataObject) -> None:
    cut: list[Use] = []
    for each in found:
        first = data.draw(st.integers(0, each.value_ucny))
        cut += [
            use(each.provider_id, part, each.platform_fee_ppm, each.line_id)
            for part in (first, each.value_ucny - first)
        ]
    assert amounts(split_use(cut)) == amounts(split_use(found))


@given(MIXED)
def test_crediting_everything_mirrors_every_amount(found: list[Use]) -> None:
    credited = [use(u.provider_id, -u.value_ucny, u.platform_fee_ppm, u.line_id, u.lease_id) for u in found]
    charged, back = split_use(found), split_use(credited)
    assert amounts(back) == {party: -fen for party, fen in amounts(charged).items()}
    assert back.total_fen == -charged.total_fen


@given(MIXED)
def test_no_credit_line_is_paid_and_no_use_is_taken_back(found: list[Use]) -> None:
    for part in split_use(found).providers:
        for line in part.lines:
            sign = 1 if line.use.value_ucny > 0 else -1
            if len({each.use.value_ucny > 0 for each in part.lines}) == 2:
                assert line.payable_fen * sign >= 0


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=8), st.integers(-2, 2))
def test_split_signed_is_exact_for_any_total_near_the_weights(weights: list[int], off: int) -> None:
    if not any(weights):
        return
    total = sum(weights) // 10**6 + off
    parts = split_signed(total, weights, 10**6)
    assert sum(parts) == total
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


def test_parties_are_counted_once() -> None:
    split = split_use([use("org_b", 5), use("org_a", 5), use("org_b", 7, line="inl_2")])
    assert Counter(part.provider_id for part in split.providers) == {"org_a": 1, "org_b": 1}
    assert [part.provider_id for part in split.providers] == ["org_a", "org_b"]
