"""Made traces, of several shapes, from a seed: what is not tuned to one recorded cluster."""

import numpy as np

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.jobs.trace import Trace

SHAPES = ("mixed", "heavy", "bursty", "short", "gangs")
GROUPS = 8
DAY = 86_400
BATCH = 12
"""About so many jobs are submitted one after the other that take about as long: people repeat themselves."""


def make(count: int, seed: int, shape: str) -> Trace:
    """``count`` jobs over about a week for each 3,000 of them.

    ``mixed``: log-normal durations (median 15 minutes), most on one card. ``heavy``: Pareto with an exponent of 1.1. ``bursty``: half the
    jobs come in 20 bursts of an hour. ``short``: nine in ten take under five minutes. ``gangs``: one in fifty is 32 cards wide, of hours.
    """
    if shape not in SHAPES or count < 1:
        raise InvalidInput(
            Text(f"A made trace needs at least one job, and a shape of: {', '.join(SHAPES)}.", f"生成的轨迹至少需要一个作业，形状须为：{'、'.join(SHAPES)}。"),
            Text("Mend --made or --shape.", "请修正 --made 或 --shape。"),
            code="made_trace_unknown",
        )  # fmt: skip
    random = np.random.default_rng([seed, SHAPES.index(shape)])
    span = max(count * 7 * DAY // 3_000, 3_600)
    submitted = _arrivals(random, count, span, shape)
    group = np.repeat(random.choice(GROUPS, count, p=_zipf(GROUPS)), random.geometric(1 / BATCH, count))[:count]
    cards = random.choice([1, 2, 4, 8, 16, 32], count, p=[0.8, 0.06, 0.07, 0.05, 0.015, 0.005])
    level = np.repeat(random.normal(0, 1.6, count), random.geometric(1 / BATCH, count))[:count] + random.normal(
        0, 0.8, count
    )
    seconds = 900 * np.exp(level + 0.3 * np.log2(cards))
    if shape == "heavy":
        seconds = 120 * (random.pareto(1.1, count) + 1)
    if shape == "short":
        seconds = np.where(random.random(count) < 0.9, random.uniform(5, 300, count), seconds * 4)
    if shape == "gangs":
        wide = random.random(count) < 0.02
        cards = np.where(wide, 32, cards)
        seconds = np.where(wide, random.uniform(3_600, 8 * 3_600, count), seconds)
    seconds = np.clip(np.ceil(seconds), 1, 30 * DAY).astype(np.int64)
    names = tuple(f"g{n}" for n in range(GROUPS))
    return Trace(
        f"{shape}-{count}-{seed}",
        submitted - submitted[0],
        seconds,
        cards.astype(np.int64),
        group.astype(np.int64),
        names,
    )


def _arrivals(random: np.random.Generator, count: int, span: int, shape: str) -> np.ndarray:
    """More by day than by night."""
    at = random.uniform(0, span, count * 3)
    kept = at[random.random(count * 3) < 0.6 + 0.4 * np.sin(at * 2 * np.pi / DAY)]
    at = np.resize(kept if len(kept) else at, count)
    if shape == "bursty":
        burst = random.uniform(0, max(span - 3_600, 1), 20)[random.integers(0, 20, count)] + random.uniform(
            0, 3_600, count
        )
        at = np.where(random.random(count) < 0.5, burst, at)
    return np.sort(at).astype(np.int64)


def _zipf(count: int) -> np.ndarray:
    weight = 1 / np.arange(1, count + 1)
    return np.asarray(weight / weight.sum())
