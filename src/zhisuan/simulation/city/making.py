"""A made city and made work: everything drawn from one seed. Nothing in it is measured, and nobody's site is meant.

Places and grid regions are real; owners, sizes, tariffs, intensities and work are drawn. Card classes, rates and power are the catalogue's.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from zhisuan.base.money import split_exactly
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_file import default_price_book
from zhisuan.placement.types import Need
from zhisuan.simulation.city.reading import light_us
from zhisuan.simulation.city.types import HOUR, HOURS_A_DAY, City, CitySite, Job, NodeGroup
from zhisuan.simulation.city.work import in_order

PLACES = (
    ("hefei", "CN-AH", 31_820_000, 117_230_000), ("qingyang", "CN-GS", 35_710_000, 107_640_000), ("zhongwei", "CN-NX", 37_500_000, 105_190_000),
    ("ulanqab", "CN-NM", 41_000_000, 113_130_000), ("guian", "CN-GZ", 26_400_000, 106_600_000), ("shaoguan", "CN-GD", 24_810_000, 113_600_000),
    ("zhangjiakou", "CN-HE", 40_770_000, 114_890_000), ("hami", "CN-XJ", 42_820_000, 93_510_000), ("wuhu", "CN-AH", 31_350_000, 118_430_000),
    ("chongqing", "CN-CQ", 29_560_000, 106_550_000),
)  # fmt: skip
TARIFFS = {"flat": [0.42] * 24, "peak-valley": [0.28] * 8 + [0.62] * 4 + [0.48] * 5 + [0.74] * 5 + [0.38] * 2, "green-direct": [0.33] * 24}
CARBON = {"solar": (640, 300), "wind": (480, -90), "hydro": (260, 30)}
"""Grams at night, and how much less at noon."""

HABITS = {"steady": [1.0] * 24, "office": [0.2] * 8 + [2.0] * 10 + [0.8] * 4 + [0.3] * 2, "nightly": [2.2] * 6 + [0.5] * 14 + [1.6] * 4}
CARDS = ((1, 0.52), (2, 0.14), (4, 0.12), (8, 0.16), (16, 0.04), (32, 0.02))
CPU_ONLY, SPOT, ALTERNATIVES, NEAR = 0.12, 0.15, 0.3, 0.06
CARDS_A_NODE, CLASSES_MAX = 8, 8


@dataclass(frozen=True, slots=True)
class Size:
    """``devices`` counts cards; ``load_percent``: card-seconds asked for, of all there are in the hours in which work arrives."""

    sites: int = 12
    devices: int = 240
    orgs: int = 6
    jobs: int = 2000
    hours: int = 72
    load_percent: int = 90


def make_city(size: Size, seed: int) -> City:
    rng = np.random.default_rng([seed, 1])
    book = default_price_book()
    classes = [c.class_id for c in load_device_classes() if c.kind == "accelerator" and c.class_id in book.device_rates and c.power_watts_rated]
    classes = sorted(str(c) for c in rng.choice(classes, min(len(classes), CLASSES_MAX), replace=False))
    cards = split_exactly(size.devices, [int(w) for w in 100 + rng.pareto(1.2, size.sites) * 100])
    sites = tuple(sorted((_site(rng, number, count, classes) for number, count in enumerate(cards, 1)), key=lambda s: s.name))
    homes = {f"org-{n:02}": str(rng.choice([s.name for s in sites])) for n in range(1, size.orgs + 1)}
    by_name = {s.name: s for s in sites}
    links = {
        (home, s.name): light_us(by_name[home], s) * 3 // 2 + int(rng.integers(200, 900))
        for home in sorted(set(homes.values())) for s in sites if s.name != home
    }  # fmt: skip
    return City(sites, homes, links, book)


def _site(rng: np.random.Generator, number: int, cards: int, classes: list[str]) -> CitySite:
    place, region, lat, lon = PLACES[int(rng.integers(len(PLACES)))]
    class_id = classes[int(rng.integers(len(classes)))]
    whole, rest = divmod(cards, CARDS_A_NODE)
    groups = [NodeGroup(whole, 128, 1 << 20, class_id, CARDS_A_NODE)] if whole else []
    groups += [NodeGroup(1, 16 * rest, rest << 17, class_id, rest)] if rest else []
    groups += [NodeGroup(int(rng.integers(1, 4)), 64, 1 << 18, None, 0)] if not groups or rng.random() < 0.3 else []
    tariff = sorted(TARIFFS)[int(rng.integers(len(TARIFFS)))]
    carbon = ("", *sorted(CARBON))[int(rng.integers(len(CARBON) + 1))] or "hydro"
    nights_only = whole < 4 and rng.random() < 0.2
    return CitySite(
        name=f"{place}-{number:04}", provider=f"provider-{int(rng.integers(1, 1 + max(2, number // 3))):03}", region=region,
        latitude_e6=lat + int(rng.integers(-150_000, 150_000)), longitude_e6=lon + int(rng.integers(-150_000, 150_000)),
        pue_milli=int(rng.integers(11, 17)) * 100, gang_nodes_max=max(1, whole), opens=20 if nights_only else 0, closes=8 if nights_only else 24,
        tariff=tariff, carbon=carbon, tariff_ucny_per_kwh=tariff_of(tariff), grid_g_per_mwh=intensity_of(carbon), groups=tuple(groups),
    )  # fmt: skip


def tariff_of(name: str) -> tuple[int, ...]:
    return tuple(round(yuan * 1000) * 1000 for yuan in TARIFFS[name])


def intensity_of(name: str) -> tuple[int, ...]:
    night, less = CARBON[name]
    noon = [max(0, 100 - (hour - 13) ** 2 * 3) for hour in range(HOURS_A_DAY)]
    return tuple((night * 100 - less * part) * 10 for part in noon)


def make_jobs(city: City, size: Size, seed: int) -> City:
    """The city with work whose card-seconds come to ``load_percent`` of what it has in ``hours``, rounding of durations aside."""
    rng = np.random.default_rng([seed, 2])
    places = _places(city)
    orgs = sorted(city.homes)
    if not places or not orgs or not size.jobs:
        return city
    habit = {org: sorted(HABITS)[int(rng.integers(len(HABITS)))] for org in orgs}
    weights = rng.dirichlet([1.5] * len(orgs))
    drawn = []
    for number in range(1, size.jobs + 1):
        org = orgs[int(rng.choice(len(orgs), p=weights))]
        drawn.append((_job(rng, number, org, habit[org], places, size.hours), float(rng.lognormal(0, 1))))
    capacity = sum(g.count * g.cards for s in city.sites for g in s.groups)
    asked = capacity * size.hours * HOUR * size.load_percent / 100
    scale = asked / max(1.0, sum(_cards(job) * long for job, long in drawn))
    return replace(city, jobs=in_order([replace(job, seconds=max(30, round(long * scale))) for job, long in drawn]))


def _cards(job: Job) -> int:
    return job.needs[0].nodes * sum(count for _, count in job.needs[0].accelerators)


@dataclass(frozen=True, slots=True)
class _Place:
    """A class: its cards in the city, the most on one node, and the most whole nodes of one site."""

    class_id: str
    cards: int
    on_node: int
    gang: int


def _places(city: City) -> list[_Place]:
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for site in city.sites:
        for group in site.groups:
            if group.class_id is not None:
                found[group.class_id].append((group.count * group.cards, group.cards, min(group.count, site.gang_nodes_max) if group.cards == CARDS_A_NODE else 0))
    return [_Place(c, sum(n for n, _, _ in each), max(n for _, n, _ in each), max(n for _, _, n in each)) for c, each in sorted(found.items())]


def _job(rng: np.random.Generator, number: int, org: str, habit: str, places: list[_Place], hours: int) -> Job:
    by_hour = np.array([HABITS[habit][hour % HOURS_A_DAY] for hour in range(hours)])
    at = int(rng.choice(hours, p=by_hour / by_hour.sum())) * HOUR + int(rng.integers(HOUR))
    name, spot = f"job-{number:06}", bool(rng.random() < SPOT)
    if rng.random() < CPU_ONLY:
        cores = int(rng.choice([1, 2, 4, 8, 16]))
        return Job(name, org, at, 1, (Need(cores * 1000, cores * 4096, ()),), spot)
    cards = int(rng.choice([n for n, _ in CARDS], p=[p for _, p in CARDS]))
    able = [place for place in places if place.on_node >= min(cards, CARDS_A_NODE) and (cards <= CARDS_A_NODE or place.gang >= cards // CARDS_A_NODE)]
    if not able:
        cards, able = 1, places
    held = np.array([place.cards for place in able])
    first = int(rng.choice(len(able), p=held / held.sum()))
    chosen = [able[first].class_id]
    if len(able) > 1 and rng.random() < ALTERNATIVES:
        chosen.append(able[(first + 1 + int(rng.integers(len(able) - 1))) % len(able)].class_id)
    nodes = max(1, cards // CARDS_A_NODE)
    each = cards // nodes
    near = 5000 if cards == 1 and rng.random() < NEAR else None
    return Job(name, org, at, 1, tuple(Need(each * 8000, each << 15, ((c, each),), nodes) for c in chosen), spot, near)
