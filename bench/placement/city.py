"""Decisions a second of a whole city in memory: 1,000 sites, 100,000 cards, the real placement code on one core.

    python -m bench.placement city

Work of one made day arrives in an emptying city; the clock stops after the day. Seconds are of processor time. Printed with and without
work that must be near its users, since looking only at some sites makes columns anew.
"""

import json
import statistics
import time
from dataclasses import replace
from typing import Any

from zhisuan.simulation.city.making import Size, make_city, make_jobs
from zhisuan.simulation.city.policies import POLICIES
from zhisuan.simulation.city.replay import Replay, Rules
from zhisuan.simulation.city.results import timing
from zhisuan.simulation.city.types import HOUR, City

SEEDS = (1, 2, 3)
SIZE = Size(sites=1000, devices=100_000, orgs=20, jobs=1000, hours=24, load_percent=80)


def main() -> None:
    print(json.dumps({"size": {"sites": SIZE.sites, "devices": SIZE.devices, "jobs": SIZE.jobs}, "plain": measure(plain=True), "all": measure(plain=False)}))


def measure(*, plain: bool) -> dict[str, Any]:
    runs = []
    for seed in SEEDS:
        city = make_jobs(make_city(SIZE, seed), SIZE, seed)
        runs.append(once(without_near(city) if plain else city))
    rates = [run["decisions_per_cpu_second"] for run in runs]
    return {"rate_mean": round(statistics.mean(rates)), "rate_deviation": round(statistics.stdev(rates)), "runs": runs}


def without_near(city: City) -> City:
    return replace(city, jobs=tuple(replace(job, within_us=None, spot=False) for job in city.jobs))


def once(city: City) -> dict[str, Any]:
    replay = Replay(city, Rules(POLICIES["fifo"], until=24 * HOUR), time.process_time_ns, lambda done: None)
    began = time.process_time()
    replay.run()
    return timing(replay) | {"whole_cpu_seconds": round(time.process_time() - began, 2)}


if __name__ == "__main__":
    main()
