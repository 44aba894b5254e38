"""Tasks that share cards: every policy over the published list with ten seeds, and over lists of other shapes.

The published lists are read from ``../shared/data/traces/openb`` or from the folder that ``OPENB_FOLDER`` names; without them only the shapes
are run. ``OPENB_SEEDS`` says how many seeds.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policies import NAMES
from zhisuan.placement.cards.types import CARD, Node, Task
from zhisuan.simulation.openb.arrivals import inflate
from zhisuan.simulation.openb.files import read_nodes, read_tasks
from zhisuan.simulation.openb.plots import allocation_plot
from zhisuan.simulation.openb.runs import Comparison, compare, decide
from zhisuan.simulation.openb.shapes import SHAPES, make
from zhisuan.simulation.rows import Skips

FOLDER = Path(os.environ.get("OPENB_FOLDER", "../shared/data/traces/openb"))
SEEDS = int(os.environ.get("OPENB_SEEDS", "10"))
NAMING_PERCENT = (33, 67)
SHAPE_SEEDS = (11, 12)
PLOT = Path("build/openb.svg")


def naming(nodes: list[Node], tasks: list[Task], percent: int, seed: int, *, equally: bool) -> list[Task]:
    """The list with so many of the tasks that ask for cards bound to one model that has nodes wide enough."""
    random = np.random.default_rng((seed, percent, equally))
    cards = {m: sum(n.cards for n in nodes if n.model == m) for m in sorted({n.model for n in nodes if n.cards})}
    widest = {m: max(n.cards for n in nodes if n.model == m) for m in cards}
    weight = np.array([1 if equally else c for c in cards.values()], float)
    made = []
    for task in tasks:
        models = task.models
        if task.num_gpu and random.integers(100) < percent:
            named = list(cards)[random.choice(len(cards), p=weight / weight.sum())]
            models = (named,) if widest[named] >= task.num_gpu else ()
        made.append(Task(task.cpu_milli, task.memory_mib, task.num_gpu, task.gpu_milli, models))
    return made


def row(result: Comparison) -> dict[str, Any]:
    """Means of FGD, ours and the bound, and the share of the gap between FGD and the bound that is closed."""
    means = {str(s["policy"]): s["allocation_percent_at_100_mean"] for s in result.summary()}
    bound = result.as_dict()["bound_percent_mean"]
    fgd, ours = means["fgd"], means["zhisuan"]
    assert isinstance(bound, float) and isinstance(fgd, float) and isinstance(ours, float)
    refused = {str(s["policy"]): s["refused_cpu_only_at_100"] for s in result.summary()}
    return {**means, "bound": bound, "gap_closed_percent": round(100 * (ours - fgd) / max(bound - fgd, 1e-9)), "cpu_only_refused_at_100": refused}  # fmt: skip


def shapes() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for shape in SHAPES:
        rows = [
            row(compare(*make(shape, seed), ("fgd", "zhisuan-open", "zhisuan"), (0,), time.perf_counter_ns))
            for seed in SHAPE_SEEDS
        ]
        found[shape.name] = {
            k: round(sum(r[k] for r in rows) / len(rows), 2) for k in rows[0] if k != "cpu_only_refused_at_100"
        }
        found[shape.name]["below_fgd"] = sum(r["zhisuan"] < r["fgd"] for r in rows)
        found[shape.name]["cpu_only_refused_at_100"] = rows[0]["cpu_only_refused_at_100"]
    return found


def learned(nodes: list[Node], tasks: list[Task], seeds: int) -> dict[str, float]:
    """As in a stream without a list: the mix is learned from the arrivals."""
    found = {}
    capacity = sum(n.cards for n in nodes) * CARD
    for name in ("fgd", "zhisuan"):
        at_full = []
        for seed in range(seeds):
            tally, decisions = decide(
                name, nodes, Mix(), inflate(tasks, capacity, seed, 101), seed, time.perf_counter_ns
            )
            for _ in decisions:
                pass
            at_full.append(100 * (tally.at_full_milli or 0) / capacity)
        found[name] = round(sum(at_full) / len(at_full), 2)
    return found


def main() -> None:
    result: dict[str, Any] = {"shapes": shapes()}
    if (FOLDER / "openb_node_list_gpu_node.csv").exists():
        skips = Skips()
        nodes = read_nodes(FOLDER / "openb_node_list_gpu_node.csv", skips)
        everything = read_nodes(FOLDER / "openb_node_list_all_node.csv", skips)
        tasks = read_tasks(FOLDER / "openb_pod_list_default.csv", skips)
        default = compare(nodes, tasks, NAMES, range(SEEDS), time.perf_counter_ns)
        PLOT.parent.mkdir(exist_ok=True)
        PLOT.write_bytes(allocation_plot(default, "svg"))
        summary = default.as_dict()
        result["default"] = {
            "seeds": SEEDS,
            "summary": summary["summary"],
            "bound_percent": summary["bound_percent_mean"],
            "times": default.times_us(),
        }
        bound_to_models = {}
        for percent in NAMING_PERCENT:
            for equally in (False, True):
                named = naming(nodes, tasks, percent, 1, equally=equally)
                name = f"{percent} % name a model, {'each equally often' if equally else 'as often as it has cards'}"
                bound_to_models[name] = row(compare(nodes, named, ("fgd", "zhisuan"), (0,), time.perf_counter_ns))
        result["naming"] = bound_to_models
        result["all_nodes"] = row(compare(everything, tasks, ("fgd", "zhisuan"), (0,), time.perf_counter_ns))
        result["learned"] = learned(nodes, tasks, 3)
        result["skipped_rows"] = skips.count
    else:
        result["default"] = f"not measured: there is no {FOLDER}"
    print(json.dumps(result))
