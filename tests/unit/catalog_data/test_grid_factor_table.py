"""The shipped grid factors against the notices' own statements, and errors instead of stand-ins."""

import csv
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from zhisuan.supply.grid_factors import (
    COLUMNS,
    GridFactorTableError,
    UnknownGridFactor,
    grid_factor,
    grid_regions,
    load_grid_factors,
    parse_grid_factors,
)

FACTORS = load_grid_factors()
TEXT = files("zhisuan.supply").joinpath("data/grid_factors.csv").read_text(encoding="utf-8")
SHARED = Path(__file__).parents[4] / "shared" / "data" / "green" / "grid_emission_factors_cn.csv"
# ISO 3166-2:CN, written out here so that the table is held against something else.
PROVINCES = {
    "AH", "BJ", "CQ", "FJ", "GD", "GS", "GX", "GZ", "HA", "HB", "HE", "HI", "HL", "HN", "JL", "JS", "JX",
    "LN", "NM", "NX", "QH", "SC", "SD", "SH", "SN", "SX", "TJ", "XJ", "YN", "ZJ", "HK", "MO", "TW", "XZ",
}  # fmt: skip


@pytest.mark.parametrize(
    ("region", "year", "basis", "g_per_mwh"),
    [
        ("CN", 2023, "average", 530_600),
        ("CN", 2023, "average_excl_market_nonfossil", 609_600),
        ("CN", 2021, "fossil_only", 842_600),
        ("CN-AH", 2023, "average", 655_300),
        ("CN-YN", 2022, "average", 107_300),
        ("CN-GRID-EC", 2023, "average", 550_000),
    ],
)
def test_published_figures(region: str, year: int, basis: str, g_per_mwh: int) -> None:
    assert grid_factor(region, year=year, basis=basis).g_per_mwh == g_per_mwh


def test_without_a_year_the_latest_counts_and_says_its_year_and_source() -> None:
    factor = grid_factor("CN-AH")
    assert (factor.year, factor.basis, factor.source) == (2023, "average", "MEE & NBS Notice 2025 No.47")
    assert (factor.name.en, factor.name.zh, factor.zones) == ("Anhui", "安徽", ("CN-GRID-EC",))


def _change_percent(region: str, basis: str) -> Decimal:
    before, after = (Decimal(grid_factor(region, year=year, basis=basis).g_per_mwh) for year in (2022, 2023))
    return ((after / before - 1) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)


def test_the_ministrys_statement_on_2023_is_reproduced() -> None:
    """20 provinces went down and 10 up; the nation by -1.1 %, without traded non-fossil power by +4.1 %."""
    provinces = {factor.region for factor in FACTORS if factor.level == "province"}
    changes = {
        region: grid_factor(region, year=2023).g_per_mwh - grid_factor(region, year=2022).g_per_mwh
        for region in provinces
    }
    assert sum(change < 0 for change in changes.values()) == 20
    assert sum(change > 0 for change in changes.values()) == 10
    assert _change_percent("CN", "average") == Decimal("-1.1")
    assert _change_percent("CN", "average_excl_market_nonfossil") == Decimal("4.1")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared reference data is not beside this checkout")
def test_every_figure_agrees_with_the_shared_reference() -> None:
    with SHARED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {(f.name.zh.removesuffix("电网"), f.year, f.basis): f for f in FACTORS}
    assert len(names) == len(rows) == len(FACTORS)
    for row in rows:
        factor = names[row["region_zh"], int(row["year"]), row["basis"]]
        assert Decimal(factor.g_per_mwh) == Decimal(row["factor"]) * 1_000_000
        assert factor.source == row["source"]
        assert factor.confidence == row["confidence"]


@pytest.mark.parametrize("region", ["CN-XZ", "CN-HK", "CN-MO", "CN-TW"])
def test_a_region_without_a_published_factor_is_an_error(region: str) -> None:
    with pytest.raises(UnknownGridFactor) as caught:
        grid_factor(region)
    assert isinstance(caught.value, ValueError)
    assert region in caught.value.what.en and region in caught.value.what.zh
    assert "未公布" in caught.value.what.zh


@pytest.mark.parametrize("region", ["", "cn-ah", "CN-ZZ", "Anhui", "US-CA", "CN-GRID-XX"])
def test_an_unknown_region_is_an_error_with_an_example(region: str) -> None:
    with pytest.raises(UnknownGridFactor, match="CN-AH"):
        grid_factor(region)


def test_a_year_that_is_not_published_is_an_error_that_lists_the_years() -> None:
    with pytest.raises(UnknownGridFactor, match="2021, 2022, 2023"):
        grid_factor("CN-AH", year=2024)


def test_a_basis_that_is_not_published_for_a_province_is_an_error() -> None:
    with pytest.raises(UnknownGridFactor, match="published: average"):
        grid_factor("CN-AH", basis="fossil_only")


def test_regions_are_the_nation_seven_zones_and_all_provinces() -> None:
    regions = grid_regions()
    by_level = {level: [r for r in regions if r.level == level] for level in ("national", "zone", "province")}
    assert [r.region for r in by_level["national"]] == ["CN"]
    assert len(by_level["zone"]) == 7
    assert {r.region.removeprefix("CN-") for r in by_level["province"]} == PROVINCES
    assert all(r.name.en and r.name.zh for r in regions)
    zones = {r.region for r in by_level["zone"]}
    assert all(set(r.zones) <= zones and r.zones for r in by_level["province"] if r.has_factor)


def test_a_region_of_the_list_has_a_factor_exactly_when_it_says_so() -> None:
    for region in grid_regions():
        if region.has_factor:
            assert grid_factor(region.region).g_per_mwh > 0
        else:
            with pytest.raises(UnknownGridFactor):
                grid_factor(region.region)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("CN-BJ,province", "BJ,province", "line 12, region"),
        ("CN-BJ,province", "CN-BJ,town", "line 12, level"),
        ("北京", "", "line 12, name_zh"),
        ("568800", "0.5688", "line 12, g_per_mwh"),
        ("CN-GRID-NC,2021,average,568800", "CN-GRID-NC,21,average,568800", "line 12, year"),
        ("CN-GRID-NC,2021,average,568800", "CN-GRID-NC,2021,median,568800", "line 12, basis"),
        ("CN-TJ,province", "CN-BJ,province", "line 13, region"),
    ],
)
def test_a_fault_is_named_by_line_and_column(old: str, new: str, where: str) -> None:
    with pytest.raises(GridFactorTableError) as caught:
        parse_grid_factors(TEXT.replace(old, new, 1))
    assert any(problem.startswith(where + ":") for problem in caught.value.problems), caught.value.problems


def test_all_faults_are_listed_at_once() -> None:
    broken = TEXT.replace("568800", "x").replace("735500", "y") + "too,short\n"
    with pytest.raises(GridFactorTableError) as caught:
        parse_grid_factors(broken)
    assert len(caught.value.problems) == 3


def test_other_columns_are_refused() -> None:
    with pytest.raises(GridFactorTableError, match="columns"):
        parse_grid_factors(",".join(COLUMNS[1:]) + "\n")
