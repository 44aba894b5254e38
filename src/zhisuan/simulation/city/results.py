"""What a replay comes to: one document that is the same, byte for byte, for the same files, seed and options."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.simulation.city.policies import cards_wanted
from zhisuan.simulation.city.replay import DONE, REFUSED, RUNNING, TO_COME, WAITING, Replay
from zhisuan.simulation.city.types import HOUR

PPM = 10**6
MONEY = ("cost_ucny", "earned_ucny", "fee_ucny", "credited_ucny", "power_ucny")
WORK = ("quantity_udu", "energy_uwh", "carbon_ug", "card_seconds", "leases")
JOB_FIELDS = ("job", "org", "state", "site", "at_s", "first_start_s", "finished_s", "waited_s", "preempted", "lost", "cost_ucny", "carbon_ug", "reason")


def summary(replay: Replay) -> dict[str, Any]:
    """Simulated figures; ``hours`` holds one entry for each hour of the replay."""
    board, account = replay.board, replay.account
    states = Counter(fate.state for fate in replay.fates)
    used = Counter[str]()
    for here in replay.watch.used.values():
        used.update(here)
    return {
        "simulated": True,
        "policy": replay.rules.policy.name,
        "seconds": replay.now,
        "sites": len(replay.city.sites),
        "capacity_milli": dict(sorted(board.capacity.items())),
        "jobs": {"all": len(replay.fates)} | {state: states[state] for state in (DONE, RUNNING, WAITING, REFUSED, TO_COME)},
        "preempted": sum(fate.preempted for fate in replay.fates),
        "lost": sum(fate.lost for fate in replay.fates),
        "decisions": len(replay.decisions_ns),
        "wait_seconds": _waits(replay, None),
        "totals": _figures(account.total),
        "utilisation_ppm": {c: _part(used[c], board.capacity[c] * replay.now) for c in sorted(board.capacity)},
        "used_milli_seconds": {c: used[c] for c in sorted(board.capacity)},
        "fairness": {"jain_ppm_mean": _mean(list(replay.watch.jain_ppm.values())), "least_to_largest_ppm_mean": _mean(list(replay.watch.least_ppm.values()))},
        "organisations": {org: _figures(account.by_org[org]) | {"wait_seconds": _waits(replay, org)} for org in sorted(replay.city.homes)},
        "providers": {name: _figures(sums) for name, sums in sorted(account.by_provider.items())},
        "by_site": {name: _figures(sums) for name, sums in sorted(account.by_site.items())},
        "refused": _reasons(replay, REFUSED),
        "waiting": _reasons(replay, WAITING),
        "hours": [_hour(replay, hour) for hour in range(-(-replay.now // HOUR))],
    }  # fmt: skip


def _figures(sums: Mapping[str, int]) -> dict[str, int]:
    return {name: sums.get(name, 0) for name in (*MONEY, *WORK)}


def _hour(replay: Replay, hour: int) -> dict[str, Any]:
    board, watch, bills = replay.board, replay.watch, replay.account.by_hour.get(hour, Counter())
    seconds = min(replay.now, (hour + 1) * HOUR) - hour * HOUR
    used = watch.used.get(hour, Counter())
    return {
        "hour": hour,
        "allocated_ppm": {c: _part(used[c], board.capacity[c] * seconds) for c in sorted(board.capacity)},
        "waiting_mean_milli": watch.waiting[hour] * 1000 // seconds,
        **{name: bills[name] for name in ("cost_ucny", "power_ucny", "energy_uwh", "carbon_ug", "card_seconds")},
        "jain_ppm": watch.jain_ppm.get(hour),
        "least_to_largest_ppm": watch.least_ppm.get(hour),
    }


def _waits(replay: Replay, org: str | None) -> dict[str, int | None]:
    """Of jobs that have started at least once: until then."""
    found = sorted(
        fate.first_start - job.at
        for job, fate in zip(replay.city.jobs, replay.fates, strict=True)
        if fate.first_start is not None and org in (None, job.org)
    )
    return {"mean": _mean(found), "p50": percentile(found, 50), "p95": percentile(found, 95), "most": found[-1] if found else None}


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The least value that so many per cent do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def _mean(values: Sequence[int]) -> int | None:
    return sum(values) // len(values) if values else None


def _part(of: int, whole: int) -> int:
    return of * PPM // whole if whole else 0


def _reasons(replay: Replay, state: str) -> list[dict[str, Any]]:
    """By reason how many jobs, the most first."""
    counted = Counter((fate.reason["en"], fate.reason["zh"]) for fate in replay.fates if fate.state == state)
    return [{"jobs": n, "en": en, "zh": zh} for (en, zh), n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]


def jobs_table(replay: Replay) -> str:
    """One line for each job, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*JOB_FIELDS[:2], "cards", *JOB_FIELDS[2:]))
    for job, fate in zip(replay.city.jobs, replay.fates, strict=True):
        writer.writerow((
            job.name, job.org, cards_wanted(job), fate.state, fate.site, job.at, fate.first_start, fate.finished, fate.waited, fate.preempted,
            fate.lost, fate.cost_ucny, fate.carbon_ug, fate.reason.get("en", ""),
        ))  # fmt: skip
    return text.getvalue()


def timing(replay: Replay) -> dict[str, Any]:
    """Processor time of decisions: this differs from run to run, and is kept out of the results."""
    spent = sorted(replay.decisions_ns)
    total = sum(spent)
    return {
        "decisions": len(spent), "cpu_seconds": round(total / 1e9, 3), "decisions_per_cpu_second": round(len(spent) * 1e9 / total) if total else None,
        "p50_us": _us(percentile(spent, 50)), "p99_us": _us(percentile(spent, 99)),
    }  # fmt: skip


def _us(ns: int | None) -> int | None:
    return None if ns is None else ns // 1000
