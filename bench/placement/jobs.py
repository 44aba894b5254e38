"""Jobs over time: every policy on the Philly trace at two loads, and on made traces of five shapes, beside a lower bound.

Usage: python -c "import bench.placement.jobs as m; m.main()"
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

from zhisuan.placement.ordering.ours import Rules
from zhisuan.simulation.jobs.compare import POLICIES, cards_for, compare
from zhisuan.simulation.jobs.made import SHAPES, make
from zhisuan.simulation.jobs.replay import Setting
from zhisuan.simulation.jobs.trace import Trace, read_trace, with_users
from zhisuan.simulation.rows import Skips

PHILLY = Path("../shared/data/traces/philly/philly_jobs.csv.gz")
PHILLY_LOADS = (70, 90)
PHILLY_POLICIES = ("fifo", "sjf", "las", "srpt", "zhisuan")
MADE, MADE_LOAD, SEEDS = 1_000, 100, (1, 2)


def main() -> None:
    result: dict[str, Any] = {"philly": _philly(), "made": {shape: _made(shape) for shape in SHAPES}}
    print(json.dumps(result, indent=2))


def _philly() -> Any:
    if not PHILLY.exists():
        return f"skipped: there is no {PHILLY}"
    trace = with_users(read_trace(PHILLY, Skips()), 4, 0)
    return [_case(trace, load, PHILLY_POLICIES) for load in PHILLY_LOADS]


def _case(trace: Trace, load: int, policies: tuple[str, ...]) -> dict[str, Any]:
    began = time.process_time()
    summary = compare(trace, policies, Setting(cards_for(trace, load)), Rules()).summary
    kept = (
        "jct",
        "queueing",
        "wait_longest",
        "stops",
        "overhead_permille",
        "of_bound_permille",
        "gap_closed_permille",
        "worst_group",
    )
    found = {name: {key: figures[key] for key in kept} for name, figures in summary["policies"].items()}
    return {**summary, "policies": found, "processor_seconds": round(time.process_time() - began)}


def _made(shape: str) -> dict[str, Any]:
    cases = [_case(make(MADE, seed, shape), MADE_LOAD, POLICIES) for seed in SEEDS]
    ratios = {name: [case["policies"][name]["of_bound_permille"] for case in cases] for name in POLICIES}
    return {
        "of_bound_permille": {name: [round(statistics.mean(each)), round(statistics.stdev(each))] for name, each in ratios.items()},
        "worst_group_percent": {name: max(case["policies"][name]["worst_group"]["rise_percent"] for case in cases) for name in POLICIES},
        "wait_longest": {name: max(case["policies"][name]["wait_longest"] for case in cases) for name in POLICIES},
        "stops": {name: sum(case["policies"][name]["stops"] for case in cases) for name in POLICIES},
        "cards": [case["cards"] for case in cases],
    }  # fmt: skip
