"""The formulas, against exact fractions worked out another way."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.green.rules import Footprint, footprint

POWER = st.integers(0, 5_000_000_000)
PUE = st.integers(1000, 3000)
FACTOR = st.integers(1, 1_500_000)
SECONDS = st.integers(0, 40_000_000)


def test_one_card_for_an_hour() -> None:
    """300 W for an hour is 0.3 kWh; at PUE 1.42 it is 0.426 kWh; at 0.5703 kg/kWh that is 242.9478 g."""
    found = footprint(power_milliwatts=300_000, pue_milli=1420, g_per_mwh=570_300, seconds=3600)
    assert found == Footprint(300_000_000, 426_000_000, 242_947_800)


def test_a_second_of_a_core_is_not_lost() -> None:
    """3.1 W for one second is 861.111… µWh, 1,222.777… at the meter of the building, 697.35 µg."""
    found = footprint(power_milliwatts=3100, pue_milli=1420, g_per_mwh=570_300, seconds=1)
    assert found == Footprint(861, 1223, 697)


def test_without_a_factor_there_is_energy_and_no_carbon() -> None:
    found = footprint(power_milliwatts=300_000, pue_milli=1100, g_per_mwh=None, seconds=3600)
    assert found == Footprint(300_000_000, 330_000_000, None)


@given(POWER, PUE, FACTOR, SECONDS)
def test_each_figure_is_the_exact_one_rounded_once(power: int, pue: int, factor: int, seconds: int) -> None:
    watt_hours = Fraction(power, 1000) * Fraction(seconds, 3600)
    kwh_at_building = watt_hours / 1000 * Fraction(pue, 1000)
    grams = kwh_at_building * Fraction(factor, 1000)
    found = footprint(power_milliwatts=power, pue_milli=pue, g_per_mwh=factor, seconds=seconds)
    assert found.it_energy_uwh == round(watt_hours * 10**6)
    assert found.energy_uwh == round(kwh_at_building * 10**9)
    assert found.carbon_ug == round(grams * 10**6)


@given(POWER, PUE, FACTOR, st.lists(st.integers(0, 100_000), max_size=30))
def test_any_cut_into_windows_adds_up_to_the_whole(power: int, pue: int, factor: int, windows: list[int]) -> None:
    parts, before = [], 0
    for seconds in windows:
        parts.append(
            footprint(power_milliwatts=power, pue_milli=pue, g_per_mwh=factor, seconds=seconds, seconds_before=before)
        )
        before += seconds
    whole = footprint(power_milliwatts=power, pue_milli=pue, g_per_mwh=factor, seconds=before)
    assert sum(part.it_energy_uwh for part in parts) == whole.it_energy_uwh
    assert sum(part.energy_uwh for part in parts) == whole.energy_uwh
    assert sum(part.carbon_ug or 0 for part in parts) == whole.carbon_ug


@given(POWER, PUE, FACTOR, SECONDS, st.integers(1, 1000))
def test_more_of_anything_is_never_less_carbon(power: int, pue: int, factor: int, seconds: int, more: int) -> None:
    def carbon(**change: int) -> int:
        given_values = {"power_milliwatts": power, "pue_milli": pue, "g_per_mwh": factor, "seconds": seconds} | change
        return footprint(**given_values).carbon_ug or 0

    least = carbon()
    assert least <= carbon(power_milliwatts=power + more)
    assert least <= carbon(pue_milli=pue + more)
    assert least <= carbon(g_per_mwh=factor + more)
    assert least <= carbon(seconds=seconds + more)


@pytest.mark.parametrize(
    "wrong", [{"power_milliwatts": -1}, {"pue_milli": 999}, {"g_per_mwh": -1}, {"seconds": -1}, {"seconds_before": -1}]
)
def test_impossible_input_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        footprint(**({"power_milliwatts": 1, "pue_milli": 1000, "g_per_mwh": 1, "seconds": 1} | wrong))
