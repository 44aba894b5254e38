"""Made traces, from a seed: sessions of several turns over shared system prompts, in several shapes. None is fitted to a real trace."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.serving.requests import BLOCK_TOKENS, Request, Trace, in_order

HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Shape:
    """Tokens are medians of log-normal draws with ``spread``; ``shared`` prompts of ``shared_blocks`` (from, to) blocks are drawn by
    Zipf's law with ``zipf``; a session has ``turns`` on average, ``think_s`` apart. ``bursts`` packs the starts of sessions into that
    share of the time, in minutes on and off."""

    shared: int
    shared_blocks: tuple[int, int]
    zipf: float
    turns: float
    think_s: float
    said: int
    output: int
    spread: float = 0.8
    bursts: float = 1.0


SHAPES = {
    "chat": Shape(shared=8, shared_blocks=(1, 6), zipf=1.1, turns=5, think_s=40, said=250, output=250),
    "agents": Shape(shared=5, shared_blocks=(8, 24), zipf=0.8, turns=12, think_s=4, said=900, output=120),
    "documents": Shape(shared=300, shared_blocks=(10, 90), zipf=0.9, turns=1.5, think_s=60, said=120, output=300),
    "hot": Shape(shared=1, shared_blocks=(24, 24), zipf=1.0, turns=1, think_s=10, said=600, output=150),
    "apart": Shape(shared=0, shared_blocks=(0, 0), zipf=1.0, turns=1, think_s=10, said=3_000, output=250, spread=1.2),
    "writing": Shape(shared=3, shared_blocks=(1, 2), zipf=1.0, turns=2, think_s=60, said=400, output=1_500),
    "bursts": Shape(shared=12, shared_blocks=(2, 12), zipf=1.0, turns=3, think_s=20, said=800, output=200, bursts=0.25),
}


def made_trace(name: str, requests: int, seed: int) -> Trace:
    """``requests`` in about an hour. Raises InvalidInput for a shape that there is not."""
    shape = SHAPES.get(name)
    if shape is None:
        known = ", ".join(SHAPES)
        raise InvalidInput(
            Text(f"There is no made trace {name!r}.", f"没有名为 {name!r} 的合成轨迹。"),
            Text(f"Use one of: {known}.", f"可选：{known}。"),
            code="shape_unknown",
        )
    rng = np.random.default_rng([seed, *name.encode()])
    names = count()
    prompts = _prompts(shape, rng, names)
    found: list[Request] = []
    while len(found) < requests:
        found += _session(shape, rng, names, prompts)
    return in_order(sorted(found[:requests], key=lambda one: one.at_us))


def _prompts(shape: Shape, rng: np.random.Generator, names: "count[int]") -> list[list[int]]:
    low, high = shape.shared_blocks
    return [[next(names) for _ in range(rng.integers(low, high + 1))] for _ in range(shape.shared)]


def _session(
    shape: Shape, rng: np.random.Generator, names: "count[int]", prompts: list[list[int]]
) -> Iterator[Request]:
    shared: list[int] = []
    if prompts:
        weights = 1 / np.arange(1, len(prompts) + 1) ** shape.zipf
        shared = prompts[int(rng.choice(len(prompts), p=weights / weights.sum()))]
    at_s = _start(shape, rng)
    own: list[int] = []
    tokens = len(shared) * BLOCK_TOKENS
    for _ in range(int(rng.geometric(1 / shape.turns))):
        tokens += _draw(shape.said, shape.spread, rng)
        full = tokens // BLOCK_TOKENS - len(shared)
        own += [next(names) for _ in range(full - len(own))]
        part = [next(names)] if tokens % BLOCK_TOKENS else []
        output = _draw(shape.output, shape.spread, rng)
        yield Request(int(at_s * 1_000_000), tokens, output, (*shared, *own, *part))
        tokens += output
        at_s += float(rng.exponential(shape.think_s))


def _start(shape: Shape, rng: np.random.Generator) -> float:
    """Seconds; in bursts only the first part of each ten minutes is used."""
    at = float(rng.uniform(0, HOUR_S))
    within = at % 600
    return at - within + within * shape.bursts


def _draw(median: int, spread: float, rng: np.random.Generator) -> int:
    return max(1, int(median * np.exp(rng.normal(0.0, spread))))
