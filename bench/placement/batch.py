"""The batch pass on 1,000 jobs × 50 sites: gap to the proven bound, time, and greedy beside it."""

import json
import time
from statistics import mean

from zhisuan.placement.batch.greedy import greedy
from zhisuan.placement.batch.options import NEVER, options_of
from zhisuan.placement.batch.rules import plan
from zhisuan.simulation.batch.check import problems_of
from zhisuan.simulation.batch.made import made_problem

CASES = (("equal", 10), ("equal", 25), ("equal", 50), ("equal", 90), ("city", 25), ("city", 60))
SEEDS = (1, 2)


def main() -> None:
    print(json.dumps({f"{shape} {load} %": measured(shape, load) for shape, load in CASES}, indent=1))


def measured(shape: str, load: int) -> dict[str, object]:
    gaps, greedy_gaps, cpu, wall, left, stopped = [], [], [], [], [], []
    for seed in SEEDS:
        problem = made_problem(1000, 50, load, seed, shape)
        began, began_wall = time.process_time(), time.monotonic()
        made = plan(problem)
        cpu.append(time.process_time() - began)
        wall.append(time.monotonic() - began_wall)
        if problems_of(problem, made):
            raise SystemExit(f"the plan of {shape} {load} {seed} breaks rules")
        options = options_of(problem)
        nowhere = (options.cost.min(axis=(1, 2)) >= NEVER) * options.count * options.value
        fixed = int(nowhere.sum())
        gaps.append((made.objective_ucny - made.bound_ucny) / (made.objective_ucny - fixed))
        base = greedy(options).objective
        greedy_gaps.append((base - made.bound_ucny) / (base - fixed))
        left.append(len(made.left_out))
        stopped.append(made.stopped)
    return {
        "gap": [round(gap, 4) for gap in gaps],
        "gap_greedy": [round(gap, 4) for gap in greedy_gaps],
        "left_out": left,
        "stopped": stopped,
        "cpu_s": round(mean(cpu), 1),
        "wall_s": round(mean(wall), 1),
    }


if __name__ == "__main__":
    main()
