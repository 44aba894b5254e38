"""Every routing policy with every rule of scaling over one trace, and what comes of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from zhisuan.gateway.routing.catalogue import POLICIES
from zhisuan.simulation.serving.counted import Price, bounds, counted
from zhisuan.simulation.serving.options import SCALINGS, Targets
from zhisuan.simulation.serving.replay import Replay, Result, Setting
from zhisuan.simulation.serving.requests import Trace


@dataclass(frozen=True, slots=True)
class Row:
    routing: str
    scaling: str
    result: Result
    figures: dict[str, object]


def compared(
    trace: Trace,
    setting: Setting,
    routings: Sequence[str],
    scalings: Sequence[str],
    targets: Targets,
    price: Price,
    seed: int,
    advance: Callable[[int], None],
) -> list[Row]:
    """``advance`` is called after each with how many are done. Chance begins anew from the seed for each."""
    rows = []
    for routing in routings:
        for scaling in scalings:
            policy = POLICIES[routing](Random(f"{seed} {routing}").random)  # noqa: S311
            rule = SCALINGS[scaling](setting.replicas, targets)
            result = Replay(setting, policy, rule).run(trace)
            rows.append(Row(routing, scaling, result, counted(result, price)))
            advance(len(rows))
    return rows


def report(trace: Trace, setting: Setting, rows: Sequence[Row], seed: int, source: str) -> dict[str, object]:
    """One document; nothing in it depends on when or where it was made."""
    speed = setting.speed
    return {
        "simulated": True,
        "source": source,
        "seed": seed,
        "requests": len(trace.requests),
        "moved_rows": trace.moved,
        "replicas": setting.replicas,
        "model": {name: getattr(speed, name) for name in speed.__slots__},
        "bound": bounds(trace, speed),
        "policies": [{"routing": row.routing, "scaling": row.scaling, **row.figures} for row in rows],
    }
