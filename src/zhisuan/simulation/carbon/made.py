"""Regions and jobs made from a seed: several shapes of days, and loads from light to more than the green hours hold."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.deferral.types import Work
from zhisuan.simulation.carbon.types import Ints, Job, Regions

SHAPES = ("solar", "wind", "mixed", "flat", "noisy")
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Load:
    """How many jobs, from which hour on, over how many hours, and how much time they leave."""

    jobs: int
    first: int
    hours: int
    slack_hours: int
    interruptible_percent: int = 70
    bound_percent: int = 30
    cards_max: int = 8
    watts_per_card: int = 400


def made_regions(shape: str, count: int, hours: int, cards: int, seed: int) -> Regions:
    """Intensity and tariff of ``count`` regions: each its own weather, level and, for the sun, its own noon."""
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    rows, prices = [], []
    for number in range(count):
        kind = ("solar", "wind", "noisy")[number % 3] if shape == "mixed" else shape
        level = 550 + rng.integers(-120, 121)
        rows.append(np.clip(level * _shape(kind, hours, number, rng), 10, None))
        prices.append(_tariff(hours, number, rng))
    names = tuple(f"{shape}-{number + 1}" for number in range(count))
    mg = np.rint(np.stack(rows) * 1000).astype(np.int64)
    return Regions(names, FIRST, mg, np.stack(prices), np.full(count, cards, np.int64))


def _shape(kind: str, hours: int, number: int, rng: np.random.Generator) -> Floats:
    hour = np.arange(hours)
    day = (hour + 2 * number) % 24
    evening = 0.12 * np.exp(-(((day - 19) / 3.0) ** 2)) - 0.08 * np.exp(-(((day - 4) / 3.0) ** 2))
    workday = 0.04 * ((hour // 24) % 7 < 5)
    if kind == "solar":
        clear = np.repeat(rng.beta(4, 1.5, hours // 24 + 1), 24)[:hours]
        sun: Floats = (
            1
            + evening
            + workday
            - 0.7 * clear * np.clip(np.sin((day - 6) * np.pi / 12), 0, None)
            + _drift(hours, 0.02, 12, rng)
        )
        return sun
    if kind == "wind":
        return 1 + evening + workday - 0.75 / (1 + np.exp(-1.4 * _drift(hours, 1.0, 40, rng)))
    if kind == "flat":
        return 1 + 0.02 * evening + _drift(hours, 0.004, 24, rng)
    return 1 + evening + _drift(hours, 0.1, 30, rng) + rng.normal(0, 0.15, hours)


def _drift(hours: int, size: float, memory: int, rng: np.random.Generator) -> Floats:
    """A first-order autoregression with standard deviation ``size`` that forgets in about ``memory`` hours."""
    keep = 1 - 1 / memory
    steps = rng.normal(0, size * np.sqrt(1 - keep * keep), hours)
    value, out = rng.normal(0, size), np.empty(hours)
    for number, step in enumerate(steps):
        value = keep * value + step
        out[number] = value
    return out


def _tariff(hours: int, number: int, rng: np.random.Generator) -> Ints:
    """Peak, flat and valley by the hour of the day, in 10⁻⁶ yuan a kWh."""
    level = 450_000 + 10_000 * int(rng.integers(-10, 11))
    day = (np.arange(hours) + number) % 24
    return np.where((day >= 17) & (day < 22), level * 3 // 2, np.where(day < 8, level // 2, level))


def made_jobs(regions: Regions, load: Load, seed: int) -> list[Job]:
    """Jobs that come over ``load.hours`` from ``load.first``, more by day than by night; some must stay where their data are."""
    rng = np.random.default_rng([seed, 7])
    count = len(regions.names)
    hour = np.arange(load.first, load.first + load.hours)
    chance = 1 + 0.8 * np.sin((hour % 24 - 8) * np.pi / 12)
    arrivals = np.sort(rng.choice(hour, load.jobs, p=chance / chance.sum()))
    jobs = []
    for number, arrival in enumerate(arrivals.tolist()):
        hours = int(min(rng.geometric(1 / 5), 24))
        cards = int(2 ** rng.integers(0, max(load.cards_max.bit_length(), 1)))
        slack = int(rng.integers(load.slack_hours // 2, load.slack_hours + load.slack_hours // 2 + 1))
        home = int(rng.integers(count))
        bound = rng.integers(100) < load.bound_percent
        interruptible = bool(rng.integers(100) < load.interruptible_percent)
        watts = cards * load.watts_per_card * int(rng.integers(70, 111)) // 100
        allowed = (home,) if bound else tuple(range(count))
        deadline = min(arrival + hours + slack, regions.hours)
        work = Work(f"job-{number:05}", hours, cards, watts, arrival, deadline, interruptible, allowed)
        if deadline - arrival >= hours:
            jobs.append(Job(work, arrival, home))
    return jobs
