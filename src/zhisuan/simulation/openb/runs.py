"""One policy over one order of arrivals, and several over several: what comes out, as figures."""

import csv
import io
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policies import make_policy
from zhisuan.placement.cards.types import Node, Task
from zhisuan.simulation.openb.arrivals import inflate
from zhisuan.simulation.openb.bound import bound_milli, first_to_fill
from zhisuan.simulation.openb.files import Arrival
from zhisuan.simulation.openb.replay import Decision, Tally, Timer, replay

HEADER = ("arrival", "node", "gpus")
PERCENT = 100


@dataclass(frozen=True, slots=True)
class Run:
    policy: str
    seed: int
    tally: Tally

    @property
    def at_full_percent(self) -> float | None:
        """Allocation when as much had been asked for as there is; None where it never was."""
        if self.tally.at_full_milli is None:
            return None
        return PERCENT * self.tally.at_full_milli / self.tally.capacity_milli

    def as_dict(self) -> dict[str, object]:
        tally = self.tally
        capacity = max(tally.capacity_milli, 1)
        return {
            "policy": self.policy,
            "seed": self.seed,
            "arrived": tally.arrived,
            "arrived_gpu_milli": tally.arrived_milli,
            "allocated_gpu_milli": tally.allocated_milli,
            "allocation_percent_at_100": rounded(self.at_full_percent),
            "allocation_percent_at_end": rounded(PERCENT * tally.allocated_milli / capacity),
            "refused": tally.refused,
            "refused_by_constraint": dict(sorted(tally.by_constraint.items())),
            "refused_cpu_only_at_100": tally.refused_cpu_only_at_full,
            "refused_cpu_only_at_end": tally.refused_cpu_only,
        }


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def decide(
    name: str, nodes: Sequence[Node], mix: Mix, arrivals: Iterable[Arrival], seed: int, timer: Timer
) -> tuple[Tally, Iterator[Decision]]:
    """The tally fills as the decisions are taken from the iterator."""
    policy = make_policy(name, nodes, mix, np.random.default_rng((seed, 1)))
    tally = Tally(policy.state.capacity_milli)
    policy.prepare()
    return tally, replay(policy, arrivals, tally, timer)


@dataclass(frozen=True, slots=True)
class Comparison:
    runs: tuple[Run, ...]
    bounds_percent: dict[int, float]

    def of(self, policy: str) -> list[Run]:
        return [run for run in self.runs if run.policy == policy]

    def summary(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for policy in dict.fromkeys(run.policy for run in self.runs):
            runs = self.of(policy)
            at_full = [run.at_full_percent for run in runs if run.at_full_percent is not None]
            end = [PERCENT * run.tally.allocated_milli / max(run.tally.capacity_milli, 1) for run in runs]
            rows.append(
                {
                    "policy": policy,
                    "runs": len(runs),
                    "allocation_percent_at_100_mean": rounded(statistics.fmean(at_full)) if at_full else None,
                    "allocation_percent_at_100_deviation": rounded(statistics.stdev(at_full))
                    if len(at_full) > 1
                    else None,
                    "allocation_percent_at_end_mean": rounded(statistics.fmean(end)),
                    "refused_cpu_only_at_100": sum(run.tally.refused_cpu_only_at_full or 0 for run in runs),
                    "refused_cpu_only_at_end": sum(run.tally.refused_cpu_only for run in runs),
                    "kept_free": sum(run.tally.by_constraint["kept"] for run in runs),
                }
            )
        return rows

    def as_dict(self) -> dict[str, object]:
        bounds = list(self.bounds_percent.values())
        return {
            "summary": self.summary(),
            "bound_percent_mean": rounded(statistics.fmean(bounds)) if bounds else None,
            "bound_percent": {str(seed): rounded(value) for seed, value in self.bounds_percent.items()},
            "runs": [run.as_dict() for run in self.runs],
        }

    def times_us(self) -> dict[str, dict[str, int]]:
        """By policy, in microseconds: what differs from one run of the command to the next."""
        found = {}
        for policy in dict.fromkeys(run.policy for run in self.runs):
            decisions = np.array([ns for run in self.of(policy) for ns in run.tally.decision_ns] or [0]) // 1000
            between = np.array([ns for run in self.of(policy) for ns in run.tally.preparation_ns] or [0]) // 1000
            found[policy] = {
                "decision_us_p50": int(np.percentile(decisions, 50)),
                "decision_us_p99": int(np.percentile(decisions, 99)),
                "decision_us_max": int(decisions.max()),
                "between_decisions_us_max": int(between.max()),
                "between_decisions_us_mean": int(between.mean()),
            }
        return found


def compare(
    nodes: Sequence[Node],
    tasks: Sequence[Task],
    policies: Sequence[str],
    seeds: Sequence[int],
    timer: Timer,
    *,
    with_bound: bool = True,
    told: Callable[[int, str], None] = lambda done, what: None,
    keep: Callable[[Decision], None] = lambda decision: None,
) -> Comparison:
    """Every policy over the same arrivals, for every seed; the tasks' list is the distribution they reckon with."""
    capacity = sum(node.cards for node in nodes) * 1000
    runs: list[Run] = []
    bounds: dict[int, float] = {}
    done = 0
    for seed in seeds:
        arrivals = inflate(tasks, capacity, seed)
        if with_bound:
            bounds[seed] = PERCENT * bound_milli(nodes, first_to_fill((a.task for a in arrivals), capacity)) / capacity
        for name in policies:
            tally, decisions = decide(name, nodes, Mix.of(tasks), arrivals, seed, timer)
            for decision in decisions:
                keep(decision)
                done += 1
                if done % 256 == 0:
                    told(done, name)
            runs.append(Run(name, seed, tally))
    return Comparison(tuple(runs), bounds)


def csv_line(fields: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()
