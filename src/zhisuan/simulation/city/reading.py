"""A city from a folder of tables; README.md says what each column holds. All that is wrong is told at once."""

import math
from pathlib import Path

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.price_file import default_price_book, parse_price_book
from zhisuan.simulation.city.table import Problems, Row, once, read_table
from zhisuan.simulation.city.types import HOURS_A_DAY, City, CitySite, NodeGroup
from zhisuan.simulation.city.work import JOB_COLUMNS, read_jobs
from zhisuan.simulation.rows import unreadable
from zhisuan.supply.grid_factors import UnknownGridFactor, grid_factor

SITES = ("site", "provider", "region", "latitude", "longitude", "pue", "gang_nodes_max", "opens", "closes", "tariff", "carbon")
NODES = ("site", "nodes", "cores", "memory_gib", "class", "cards")
HOURS = ("profile", "unit", *(f"h{hour:02}" for hour in range(HOURS_A_DAY)))
LINKS = ("from", "to", "one_way_ms")
ORGS = ("org", "home")
UNITS = {"yuan/kWh": (6, 10**8), "g/kWh": (3, 5 * 10**6)}
"""Decimal places, and the most."""

CORES_MAX, MEMORY_MIB_MAX, CARDS_MAX, NODES_MAX = 4096, 1 << 26, 64, 1_000_000
EARTH_KM, FIBRE_KM_PER_MS = 6371, 200
"""Light in fibre goes about two thirds as fast as in a vacuum."""

Hourly = dict[str, tuple[str, tuple[int, ...]]]


def read_city(folder: Path) -> City:
    """Raises InvalidInput with every fault and its place."""
    if not folder.is_dir():
        raise unreadable(folder, "there is no such folder")
    problems = Problems()
    book, text = _prices(folder)
    hours = _hours(read_table(folder / "hours.csv", HOURS, problems))
    groups = _groups(read_table(folder / "nodes.csv", NODES, problems), book)
    rows = read_table(folder / "sites.csv", SITES, problems)
    once(rows, ("site",))
    sites = tuple(_site(row, hours, groups) for row in rows)
    names = frozenset(site.name for site in sites)
    if not sites:
        problems.add("sites.csv", "there is no site", "没有任何站点")
    for name, found in groups.items():
        if name not in names:
            found[0][0].bad("site", f"there is no site {name!r}", f"没有站点 {name!r}")
    orgs = read_table(folder / "orgs.csv", ORGS, problems)
    once(orgs, ("org",))
    homes = {row.text("org"): row.one_of("home", names, Text("site", "站点")) for row in orgs}
    links = _links(folder, {site.name: site for site in sites}, problems)
    jobs_file = folder / "jobs.csv"
    jobs = read_jobs(read_table(jobs_file, JOB_COLUMNS, problems), homes) if jobs_file.exists() else ()
    problems.refuse()
    return City(tuple(sorted(sites, key=lambda s: s.name)), homes, links, book, jobs, price_text=text)


def _prices(folder: Path) -> tuple[PriceBook, str | None]:
    path = folder / "prices.yaml"
    return read_prices(path) if path.exists() else (default_price_book(), None)


def read_prices(path: Path) -> tuple[PriceBook, str]:
    """The price book of a file, and the text of it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, str(error)) from error
    try:
        return parse_price_book(text), text
    except InvalidInput as error:
        said = Text(f"The price book {path} cannot be used as written.", f"价目表 {path} 内容有误，无法使用。")
        raise InvalidInput(said, error.remedy, code=error.code, problems=error.problems) from error


def _hours(rows: list[Row]) -> Hourly:
    once(rows, ("profile",))
    found = {}
    for row in rows:
        unit = row.one_of("unit", UNITS, Text("unit", "单位"))
        places, most = UNITS.get(unit, (6, 10**8))
        found[row.text("profile")] = (unit, tuple(row.scaled(name, places, 0, most) for name in HOURS[2:]))
    return found


def _groups(rows: list[Row], book: PriceBook) -> dict[str, list[tuple[Row, NodeGroup]]]:
    kinds = {c.class_id: c.kind for c in load_device_classes()}
    found: dict[str, list[tuple[Row, NodeGroup]]] = {}
    for row in rows:
        class_id, cards = row.optional("class"), row.whole("cards", 0, CARDS_MAX)
        if class_id is not None and kinds.get(class_id) != "accelerator":
            row.bad("class", f"there is no class of cards {class_id!r}", f"没有加速卡类型 {class_id!r}")
        elif class_id is not None and class_id not in book.device_rates:
            row.bad("class", f"the price book has no rate for {class_id}", f"价目表没有 {class_id} 的费率")
        if (class_id is None) != (cards == 0):
            row.bad("cards", "a class and a number of cards go together", "型号与卡数须同时给出")
        group = NodeGroup(
            row.whole("nodes", 1, NODES_MAX), row.whole("cores", 1, CORES_MAX),
            row.scaled("memory_gib", 0, 1, MEMORY_MIB_MAX >> 10) << 10, class_id, cards,
        )  # fmt: skip
        found.setdefault(row.text("site"), []).append((row, group))
    return found


def _site(row: Row, hours: Hourly, groups: dict[str, list[tuple[Row, NodeGroup]]]) -> CitySite:
    name, region, carbon = row.text("site"), row.text("region"), row.optional("carbon")
    if name not in groups:
        row.bad("site", f"{name} has no nodes in nodes.csv", f"nodes.csv 中没有 {name} 的节点")
    opens, closes = row.whole("opens", 0, 23), row.whole("closes", 1, 24)
    if opens == closes:
        row.bad("closes", "it closes when it opens; 0 and 24 for always", "开放与关闭时刻相同；全天开放请填 0 与 24")
    return CitySite(
        name=name, provider=row.text("provider"), region=region, latitude_e6=row.scaled("latitude", 6, -90 * 10**6, 90 * 10**6),
        longitude_e6=row.scaled("longitude", 6, -180 * 10**6, 180 * 10**6), pue_milli=row.scaled("pue", 3, 1000, 5000),
        gang_nodes_max=row.whole("gang_nodes_max", 1, 100_000), opens=opens, closes=closes, tariff=row.text("tariff"), carbon=carbon,
        tariff_ucny_per_kwh=_profile(row, "tariff", hours, "yuan/kWh"), grid_g_per_mwh=_grid(row, region, carbon, hours),
        groups=tuple(group for _, group in groups.get(name, ())),
    )  # fmt: skip


def _profile(row: Row, column: str, hours: Hourly, unit: str) -> tuple[int, ...]:
    name = row.cells[column].strip()
    if name and name not in hours:
        row.bad(column, f"there is no profile {name!r} in hours.csv", f"hours.csv 中没有 {name!r}")
    elif name and hours[name][0] != unit:
        row.bad(column, f"{name} is in {hours[name][0]}, not in {unit}", f"{name} 的单位为 {hours[name][0]}，应为 {unit}")
    return hours.get(name, ("", (0,) * HOURS_A_DAY))[1]


def _grid(row: Row, region: str, carbon: str | None, hours: Hourly) -> tuple[int, ...]:
    if carbon is not None:
        return _profile(row, "carbon", hours, "g/kWh")
    try:
        return (grid_factor(region).g_per_mwh,) * HOURS_A_DAY
    except UnknownGridFactor as error:
        row.bad("region", error.what.en, error.what.zh)
        return (0,) * HOURS_A_DAY


def _links(folder: Path, sites: dict[str, CitySite], problems: Problems) -> dict[tuple[str, str], int]:
    path = folder / "links.csv"
    if not path.exists():
        return {}
    rows = read_table(path, LINKS, problems)
    once(rows, ("from", "to"))
    links = {}
    for row in rows:
        ends = tuple(row.one_of(column, sites, Text("site", "站点")) for column in ("from", "to"))
        taken = row.scaled("one_way_ms", 3, 0, 10**7)
        if all(end in sites for end in ends):
            least = light_us(sites[ends[0]], sites[ends[1]])
            if taken < least:
                row.bad("one_way_ms", f"light in fibre takes {least / 1000:g} ms at least", f"光在光纤中至少需要 {least / 1000:g} 毫秒")
        links[ends[0], ends[1]] = taken
    return links


def light_us(a: CitySite, b: CitySite) -> int:
    """The least time between two places in fibre along the great circle, in whole microseconds, rounded down."""
    lat_a, lon_a, lat_b, lon_b = (math.radians(e6 / 10**6) for e6 in (a.latitude_e6, a.longitude_e6, b.latitude_e6, b.longitude_e6))
    half = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return int(2 * EARTH_KM * math.asin(math.sqrt(min(1, half))) * 1000 / FIBRE_KM_PER_MS)
