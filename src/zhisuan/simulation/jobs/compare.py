"""Policies on one trace and one cluster, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhisuan.base.text import Text
from zhisuan.placement.ordering.arrival import Easy, Fifo
from zhisuan.placement.ordering.ours import Rules, Zhisuan
from zhisuan.placement.ordering.ranked import FairShare, Las, Sjf, Srpt
from zhisuan.placement.ordering.types import Policy
from zhisuan.simulation.jobs.bound import lower_bound
from zhisuan.simulation.jobs.measure import measure, predictions, worst_group
from zhisuan.simulation.jobs.replay import Replay, Setting, replay
from zhisuan.simulation.jobs.trace import Trace
from zhisuan.simulation.rows import Skips

POLICIES = ("fifo", "easy", "sjf", "las", "fair", "srpt", "zhisuan")
SMALL_GROUP = 20
"""Groups of fewer jobs are shown, but not ranked: their mean is an accident."""


@dataclass(frozen=True, slots=True)
class Case:
    """All policies on one capacity."""

    cards: int
    summary: dict[str, Any]
    replays: dict[str, Replay]


def policy_of(name: str, trace: Trace, rules: Rules) -> Policy:
    """``srpt`` is told the true durations; no other is."""
    made: dict[str, Callable[[], Policy]] = {
        "fifo": Fifo, "easy": Easy, "sjf": Sjf, "las": Las, "fair": FairShare, "srpt": lambda: Srpt(trace.seconds), "zhisuan": lambda: Zhisuan(rules),
    }  # fmt: skip
    return made[name]()


def cards_for(trace: Trace, load_percent: int) -> int:
    """The fewest cards on which the work, spread over the time from the first submission to the last, fills at most so many percent;
    never fewer than the widest job."""
    return max(-(-trace.work * 100 // (trace.span * load_percent)), int(trace.cards.max()))


def fitting(trace: Trace, cards: int, skips: Skips) -> Trace:
    """Without the jobs wider than the cluster, which are counted."""
    wide = trace.cards > cards
    for row in np.flatnonzero(wide).tolist():
        width = int(trace.cards[row])
        skips.add(trace.name, row + 1, Text(f"the job needs {width} cards, and the cluster has {cards}", f"作业需要 {width} 张卡，而集群只有 {cards} 张"))  # fmt: skip
    return trace.only(~wide) if wide.any() else trace


def compare(
    trace: Trace, names: Sequence[str], setting: Setting, rules: Rules, told: Callable[[str, int], None] = lambda name, done: None
) -> Case:  # fmt: skip
    """FIFO's figures must be among them for groups to be compared with it."""
    bound = lower_bound(trace, setting.cards)
    replays, found = {}, {}
    for number, name in enumerate(names):
        done = number * len(trace)
        played = replay(trace, policy_of(name, trace, rules), setting, _offset(told, name, done))
        replays[name], found[name] = played, measure(trace, played, setting.cards)
    best = int(bound.best)
    fifo = found.get("fifo")
    for figures in found.values():
        mean = figures["jct"]["mean"]
        figures["of_bound_permille"] = mean * 1000 // max(best, 1)
        if fifo:
            gap = fifo["jct"]["mean"] - best
            figures["gap_closed_permille"] = (fifo["jct"]["mean"] - mean) * 1000 // gap if gap > 0 else None
            figures["worst_group"] = worst_group(figures, fifo, SMALL_GROUP)
    summary = {
        "trace": trace.name,
        "jobs": len(trace),
        "cards": setting.cards,
        "offered_load_permille": trace.work * 1000 // (trace.span * setting.cards),
        "stop_cost_seconds": setting.cost,
        "bound": {
            "mean_jct": best,
            "which": bound.which,
            "own": int(bound.own),
            "fluid": int(bound.fluid),
            "width": int(bound.width),
        },
        "predictions": predictions(trace, next(iter(replays.values()))),
        "policies": found,
    }
    return Case(setting.cards, summary, replays)


def _offset(told: Callable[[str, int], None], name: str, before: int) -> Callable[[int], None]:
    return lambda done: told(name, before + done)
