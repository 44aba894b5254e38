"""Work that can wait: what our policy saves of what could be saved, over made and real hours, tight and loose, ample and scarce."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev

import numpy as np

from zhisuan.simulation.carbon.files import read_regions
from zhisuan.simulation.carbon.made import SHAPES, Load, made_jobs, made_regions
from zhisuan.simulation.carbon.outcome import compare
from zhisuan.simulation.carbon.types import Case, Objective, Regions
from zhisuan.simulation.rows import Skips

PROFILES = Path("../shared/data/green/hourly_profiles_us_2022.csv")
SEEDS = (1, 2)
HISTORY, DAYS, JOBS = 35, 7, 120
SLACKS = {"tight": 6, "loose": 24}
CARDS = {"ample": 400, "scarce": 24}


def main() -> None:
    print(json.dumps({name: _measured(cases) for name, cases in _lists()}, indent=1))


def _lists() -> Iterator[tuple[str, list[Case]]]:
    for kind, cards in CARDS.items():
        for pace, slack in SLACKS.items():
            for shape in SHAPES:
                hours = (HISTORY + DAYS + 10) * 24
                yield (
                    f"{shape} {pace} {kind}",
                    [_case(made_regions(shape, 3, hours, cards, seed), slack, seed) for seed in SEEDS],
                )
            if PROFILES.exists():
                every = read_regions(PROFILES, None, None, cards, Skips()).regions
                yield f"us {pace} {kind}", [_case(_part(every, seed, slice(None)), slack, seed) for seed in SEEDS]
                if kind == "ample":
                    for number, name in enumerate(every.names):
                        one = slice(number, number + 1)
                        yield f"us {name} {pace}", [_case(_part(every, s, one), slack, s) for s in SEEDS]


def _part(every: Regions, seed: int, which: slice) -> Regions:
    """Some weeks of a year, and some of its regions."""
    first = seed * 2900
    hours = slice(first, first + (HISTORY + DAYS + 10) * 24)
    mg, ucny = every.mg_per_kwh[which, hours], every.ucny_per_kwh[which, hours]
    return replace(
        every,
        names=every.names[which],
        first=every.time(first),
        mg_per_kwh=mg,
        ucny_per_kwh=ucny,
        cards=every.cards[which],
    )


def _case(regions: Regions, slack: int, seed: int) -> Case:
    return Case(
        regions, tuple(made_jobs(regions, Load(JOBS, HISTORY * 24, DAYS * 24, slack), seed)), Objective("carbon")
    )


def _measured(cases: list[Case]) -> dict[str, object]:
    began = time.process_time()
    compared = [compare(case) for case in cases]
    shares = {name: [one.share_saved(name) for one in compared] for name in ("forecast", "perfect")}
    told = {name: [s for s in share if s is not None] for name, share in shares.items()}
    base = [one.outcomes["agnostic"].objective for one in compared]
    least = [one.bound.least for one in compared]
    return {
        "share_saved": round(mean(told["forecast"]), 3) if told["forecast"] else None,
        "deviation": round(pstdev(told["forecast"]), 3) if told["forecast"] else None,
        "share_saved_future_known": round(mean(told["perfect"]), 3) if told["perfect"] else None,
        "could_be_saved": round(float(np.mean([(a - b) / a for a, b in zip(base, least, strict=True)])), 3),
        "missed": {
            n: sum(len(one.outcomes[n].missed) for one in compared) for n in ("agnostic", "forecast", "perfect")
        },
        "lp_feasible": all(one.bound.feasible for one in compared),
        "delay_hours": round(
            mean(one.outcomes["forecast"].delay_hours / len(c.jobs) for one, c in zip(compared, cases, strict=True)), 1
        ),
        "cpu_s": round(time.process_time() - began, 1),
    }


if __name__ == "__main__":
    main()
