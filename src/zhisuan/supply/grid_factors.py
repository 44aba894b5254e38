"""Grid emission factors of China: gCO2 per MWh by region, year and basis, as the ministry publishes them.

The table ships in ``supply/data/grid_factors.csv`` (its README names the notices). Factors lag by about two years: the
year belongs beside every result. Where none is published there is an error, never a stand-in.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from zhisuan.base.text import Text

Level = Literal["national", "zone", "province"]
Basis = Literal["average", "average_excl_market_nonfossil", "fossil_only"]
Confidence = Literal["high", "medium", "low"]

COLUMNS = (
    "region",
    "level",
    "name_en",
    "name_zh",
    "zone",
    "year",
    "basis",
    "g_per_mwh",
    "source",
    "source_url",
    "confidence",
)
_CHOICES = {
    "level": ("national", "zone", "province"),
    "basis": ("average", "average_excl_market_nonfossil", "fossil_only"),
    "confidence": ("high", "medium", "low"),
}
# No notice gives a factor for these; they are listed so that a person sees why.
_UNPUBLISHED = (
    ("CN-XZ", Text("Tibet (Xizang)", "西藏")),
    ("CN-HK", Text("Hong Kong", "香港")),
    ("CN-MO", Text("Macao", "澳门")),
    ("CN-TW", Text("Taiwan", "台湾")),
)


class UnknownGridFactor(ValueError):
    """No factor is published for what was asked; ``what`` says it in both languages."""

    def __init__(self, what: Text) -> None:
        self.what = what
        super().__init__(what.en)


class GridFactorTableError(ValueError):
    """The table is not valid; ``problems`` lists every fault as ``line N, column: what``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The grid factor table is not valid:\n" + "\n".join(f"  {p}" for p in self.problems))


@dataclass(frozen=True, slots=True)
class GridFactor:
    """One published factor. ``g_per_mwh`` is gCO2 per MWh (kgCO2/kWh × 10⁶).

    ``basis``: ``average`` for location-based accounting; ``average_excl_market_nonfossil`` is the residual mix for load
    that no certificate covers; ``fossil_only`` is for avoided-fossil claims. The last two exist for the nation only.
    """

    region: str
    level: Level
    name: Text
    zones: tuple[str, ...]
    year: int
    basis: Basis
    g_per_mwh: int
    source: str
    source_url: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class GridRegion:
    """A region for a list: ISO 3166-2 code, ``CN`` for the nation or ``CN-GRID-…`` for a grid zone."""

    region: str
    level: Level
    name: Text
    zones: tuple[str, ...]
    has_factor: bool


def grid_factor(region_iso: str, *, year: int | None = None, basis: str = "average") -> GridFactor:
    """The factor of a region, of its latest published year when ``year`` is ``None``.

    Raises ``UnknownGridFactor`` for an unknown region, one without a published factor, a year or a basis not published.
    """
    of_region = [factor for factor in load_grid_factors() if factor.region == region_iso]
    if not of_region:
        raise UnknownGridFactor(_no_region(region_iso))
    of_basis = [factor for factor in of_region if factor.basis == basis]
    name = of_region[0].name
    if not of_basis:
        known = ", ".join(sorted({factor.basis for factor in of_region}))
        raise UnknownGridFactor(
            Text(
                f"No grid factor of basis {basis!r} is published for {name.en} ({region_iso}); published: {known}.",
                f"{name.zh}（{region_iso}）没有公布口径为 {basis} 的电网排放因子；已公布的口径：{known}。",
            )
        )
    if year is None:
        return max(of_basis, key=lambda factor: factor.year)
    for factor in of_basis:
        if factor.year == year:
            return factor
    years = ", ".join(str(factor.year) for factor in sorted(of_basis, key=lambda factor: factor.year))
    raise UnknownGridFactor(
        Text(
            f"No grid factor for {year} is published for {name.en} ({region_iso}); published years: {years}.",
            f"{name.zh}（{region_iso}）没有公布 {year} 年的电网排放因子；已公布年份：{years}。",
        )
    )


def _no_region(region: str) -> Text:
    for code, name in _UNPUBLISHED:
        if code == region:
            return Text(
                f"No grid emission factor is published for {name.en} ({code}). "
                "Give a factor of your own with its source.",
                f"国家未公布{name.zh}（{code}）的电网排放因子，请自行提供因子并注明来源。",
            )
    return Text(
        f"{region!r} is not a known region. Use an ISO 3166-2 code such as CN-AH, CN for the national factor, "
        "or a grid zone such as CN-GRID-EC.",
        f"无法识别地区代码“{region}”。请使用 ISO 3166-2 代码（如 CN-AH）、CN（全国）或电网区域代码（如 CN-GRID-EC）。",
    )


def grid_regions() -> tuple[GridRegion, ...]:
    """All regions for a list: nation, zones, provinces in the order of the notices, then those without a factor."""
    regions: dict[str, GridRegion] = {}
    for factor in load_grid_factors():
        region = GridRegion(factor.region, factor.level, factor.name, factor.zones, True)
        regions.setdefault(factor.region, region)
    unpublished = tuple(GridRegion(code, "province", name, (), False) for code, name in _UNPUBLISHED)
    return (*regions.values(), *unpublished)


@cache
def load_grid_factors() -> tuple[GridFactor, ...]:
    """The shipped table in file order."""
    text = files("zhisuan.supply").joinpath("data/grid_factors.csv").read_text(encoding="utf-8")
    return parse_grid_factors(text)


def parse_grid_factors(text: str) -> tuple[GridFactor, ...]:
    """The factors of a table. Raises ``GridFactorTableError`` with every fault there is."""
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise GridFactorTableError([f"line 1: the columns must be {', '.join(COLUMNS)}"])
    problems: list[str] = []
    factors: list[GridFactor] = []
    seen: dict[tuple[str, str, str], int] = {}
    for number, values in enumerate(rows[1:], start=2):
        if len(values) != len(COLUMNS):
            problems.append(f"line {number}: {len(values)} values instead of {len(COLUMNS)}")
            continue
        row = dict(zip(COLUMNS, (value.strip() for value in values), strict=True))
        faults = _faults(row)
        key = (row["region"], row["year"], row["basis"])
        if key in seen:
            faults.append(f"region: {' '.join(key)} is also on line {seen[key]}")
        seen.setdefault(key, number)
        problems += [f"line {number}, {fault}" for fault in faults]
        if not faults:
            factors.append(_build(row))
    if problems:
        raise GridFactorTableError(problems)
    return tuple(factors)


def _faults(row: dict[str, str]) -> list[str]:
    faults = [f"{column}: must not be empty" for column in COLUMNS if column != "zone" and not row[column]]
    for column, choices in _CHOICES.items():
        if row[column] and row[column] not in choices:
            faults.append(f"{column}: {row[column]!r} is not one of {', '.join(choices)}")
    if row["year"] and not re.fullmatch(r"20[0-9]{2}", row["year"]):
        faults.append(f"year: {row['year']!r} is not a year of this century")
    if row["g_per_mwh"] and not re.fullmatch(r"[1-9][0-9]{0,6}", row["g_per_mwh"]):
        faults.append(f"g_per_mwh: {row['g_per_mwh']!r} is not a whole number from 1 to 9999999")
    if row["region"] and not re.fullmatch(r"CN(-[A-Z]{2}|-GRID-[A-Z]{2})?", row["region"]):
        faults.append(f"region: {row['region']!r} is not CN, CN-XX or CN-GRID-XX")
    return faults


def _build(row: dict[str, str]) -> GridFactor:
    return GridFactor(
        region=row["region"],
        level=cast(Level, row["level"]),
        name=Text(row["name_en"], row["name_zh"]),
        zones=tuple(zone for zone in row["zone"].split("/") if zone),
        year=int(row["year"]),
        basis=cast(Basis, row["basis"]),
        g_per_mwh=int(row["g_per_mwh"]),
        source=row["source"],
        source_url=row["source_url"],
        confidence=cast(Confidence, row["confidence"]),
    )
