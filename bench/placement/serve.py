"""Requests to models, simulated: time to first token, hits and cost by routing and scaling, over loads, sizes and shapes of traces.

The traces are used where ``../shared/data/traces`` is there and left out, by name, where it is not. All figures but the seconds are the
same on every machine.
"""

import json
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from zhisuan.gateway.routing.catalogue import POLICIES
from zhisuan.placement.scaling import Bounds, Fixed
from zhisuan.simulation.rows import Skips
from zhisuan.simulation.serving.comparison import compared
from zhisuan.simulation.serving.counted import Price, bounds, counted
from zhisuan.simulation.serving.made import made_trace
from zhisuan.simulation.serving.options import SCALINGS, Targets
from zhisuan.simulation.serving.replay import Replay, Setting
from zhisuan.simulation.serving.replica import Speed
from zhisuan.simulation.serving.requests import Trace, at_rate, read_trace

TRACES = Path(__file__).parents[2] / "../shared/data/traces"
MOONCAKE = TRACES / "mooncake_conversation/conversation_trace.jsonl.gz"
AZURE = TRACES / "azure_llm_2023/AzureLLMInferenceTrace_code.csv"
PRICE = Price(hour_ucny=120_000_000, idle_w=1_600, busy_w=7_000, carbon_g=550)
SECOND = 1_000_000
SEEDS = range(5)
MADE = {"chat": "6", "agents": "2", "documents": "1", "hot": "6", "apart": "2", "writing": "1", "bursts": "3"}
"""Shape and rate, at which four replicas are busy and not overrun."""
PAIR = ("round-robin", "zhisuan")


def setting(replicas: int) -> Setting:
    return Setting(Speed(), replicas, Bounds(replicas, replicas, 0, 0), 15 * SECOND)


def figures(trace: Trace, routing: str, replicas: int, seed: int = 0) -> dict[str, Any]:
    policy = POLICIES[routing](Random(f"{seed} {routing}").random)
    return counted(Replay(setting(replicas), policy, Fixed(replicas)).run(trace), PRICE)


def told(found: dict[str, Any]) -> dict[str, object]:
    first = found["first_token_us"]
    return {
        "first_token_ms": {name: None if value is None else round(value / 1000) for name, value in first.items()},
        "hit_percent": None if found["hit_ppm"] is None else round(found["hit_ppm"] / 1e4, 1),
    }


def at_loads(trace: Trace, loads: dict[int, tuple[str, ...]], routings: tuple[str, ...]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for replicas, rates in loads.items():
        for rate in rates:
            share = Fraction(rate)
            faster = at_rate(trace, share.numerator, share.denominator)
            bound = bounds(faster, Speed())
            found = {routing: figures(faster, routing, replicas) for routing in routings}
            rows.append({
                "replicas": replicas,
                "rate": rate,
                "bound": told(bound),
                **{routing: told(each) for routing, each in found.items()},
                "p99_ratio": ratio(found, "p99"),
                "mean_gap_closed_percent": closed(found, bound),
            })  # fmt: skip
    return rows


def ratio(found: dict[str, dict[str, Any]], name: str) -> float:
    return round(found["zhisuan"]["first_token_us"][name] / found["round-robin"]["first_token_us"][name], 3)


def closed(found: dict[str, dict[str, Any]], bound: dict[str, Any]) -> float:
    """Share of the way from round-robin's mean to the bound's."""
    base, ours, least = (each["first_token_us"]["mean"] for each in (found["round-robin"], found["zhisuan"], bound))
    return round(100 * (base - ours) / (base - least), 1)


def made() -> dict[str, object]:
    rows: dict[str, object] = {}
    for shape, rate in MADE.items():
        share = Fraction(rate)
        worse: list[float] = []
        means: list[float] = []
        hits: dict[str, list[float]] = {name: [] for name in PAIR}
        for seed in SEEDS:
            trace = at_rate(made_trace(shape, 4_000, 100 + seed), share.numerator, share.denominator)
            found = {routing: figures(trace, routing, 4) for routing in PAIR}
            worse.append(ratio(found, "p99"))
            means.append(ratio(found, "mean"))
            for name in PAIR:
                hits[name].append((found[name]["hit_ppm"] or 0) / 1e4)
        rows[shape] = {
            "rate": rate,
            "p99_ratio": spread(worse),
            "mean_ratio": spread(means),
            **{f"hit_percent {name}": spread(hits[name]) for name in PAIR},
        }
    return rows


def spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": round(statistics.mean(values), 3),
        "deviation": round(statistics.stdev(values), 3),
        "worst": round(max(values), 3),
    }


def scaled(trace: Trace) -> list[dict[str, object]]:
    bounded = Setting(Speed(), 8, Bounds(1, 32, 120 * SECOND, 300 * SECOND), 15 * SECOND)
    rows = compared(trace, bounded, ("zhisuan",), tuple(SCALINGS), Targets(), PRICE, 0, lambda done: None)
    return [
        {
            "scaling": row.scaling,
            **told(row.figures),
            "replica_hours": round(int(str(row.figures["replica_us"])) / 3.6e9, 2),
            "yuan": round(int(str(row.figures["cost_ucny"])) / 1e6, 2),
        }
        for row in rows
    ]


def main() -> None:
    began = time.process_time()
    parts: dict[str, Callable[[], object]] = {"made": made}
    if MOONCAKE.is_file():
        mooncake = read_trace(MOONCAKE, Skips())
        parts["mooncake"] = lambda: at_loads(mooncake, {4: ("1",), 6: ("1", "1.5"), 8: ("0.5", "1", "2"), 16: ("1", "3")}, PAIR)  # fmt: skip
        parts["mooncake_policies"] = lambda: at_loads(mooncake, {8: ("1",)}, tuple(POLICIES))
        parts["mooncake_scaling"] = lambda: scaled(mooncake)
    if AZURE.is_file():
        azure = read_trace(AZURE, Skips())
        parts["azure"] = lambda: at_loads(azure, {2: ("0.5", "1"), 4: ("1", "2")}, PAIR)
        parts["azure_scaling"] = lambda: scaled(azure)
    result: dict[str, object] = {"simulated": True}
    result |= {name: part() for name, part in parts.items()}
    result["left_out"] = [path.parent.name for path in (MOONCAKE, AZURE) if not path.is_file()]
    result["cpu_seconds"] = round(time.process_time() - began, 1)
    print(json.dumps(result))
