"""What is counted of a replay."""

from typing import Any

import numpy as np

from zhisuan.simulation.jobs.replay import Replay
from zhisuan.simulation.jobs.trace import Trace

SIZES = ((1, 1), (2, 4), (5, 8), (9, 1 << 40))


def measure(trace: Trace, replay: Replay, cards: int) -> dict[str, Any]:
    """Times in whole seconds (rounded down), parts in thousandths. JCT is the time from submission to end; queueing is all of it that is
    neither work nor saving and restoring."""
    jct = replay.ended - trace.submitted
    queueing = replay.waited
    last = int(replay.ended.max())
    overhead = int((replay.overhead * trace.cards).sum())
    return {
        "policy": replay.policy,
        "jobs": len(trace),
        "jct": spread(jct),
        "queueing": spread(queueing),
        "to_first_start_max": int((replay.started - trace.submitted).max()),
        "wait_longest": int(replay.longest.max()),
        "stops": int(replay.stops.sum()),
        "jobs_stopped": int((replay.stops > 0).sum()),
        "overhead_card_seconds": overhead,
        "overhead_permille": overhead * 1000 // trace.work,
        "makespan": last,
        "utilisation_permille": trace.work * 1000 // (cards * last),
        "utilisation_of_arrivals_permille": _busy(replay, trace.span) * 1000 // (cards * trace.span),
        "decisions": replay.decisions,
        "by_group": {name: _part(jct, queueing, trace.group == n) for n, name in enumerate(trace.groups) if (trace.group == n).any()},
        "by_size": {_size(low, high): _part(jct, queueing, (trace.cards >= low) & (trace.cards <= high)) for low, high in SIZES if ((trace.cards >= low) & (trace.cards <= high)).any()},
    }  # fmt: skip


def spread(values: np.ndarray) -> dict[str, int]:
    """Mean, and the least value that so many percent do not pass."""
    ordered = np.sort(values)
    at = {f"p{q}": int(ordered[max(-(-len(ordered) * q // 100) - 1, 0)]) for q in (50, 95, 99)}
    return {"mean": int(values.sum()) // len(values), **at, "max": int(ordered[-1])}


def _part(jct: np.ndarray, queueing: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    return {"jobs": int(rows.sum()), "jct": spread(jct[rows]), "queueing": spread(queueing[rows])}


def _size(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}+" if high > 1 << 30 else f"{low}-{high}"


def _busy(replay: Replay, until: int) -> int:
    """Card-seconds in use until then."""
    times = np.array([c[0] for c in replay.course] + [until], np.int64)
    used = np.array([c[1] for c in replay.course], np.int64)
    return int((used * np.diff(np.minimum(times, until))).sum())


def predictions(trace: Trace, replay: Replay) -> dict[str, Any]:
    """How far what was foreseen at the submission was from the truth; of factors, a median in hundredths."""
    median, truth = np.maximum(replay.median, 1), trace.seconds
    factor = np.maximum(median, truth) * 100 // np.minimum(median, truth)
    return {
        "factor_p50_percent": int(np.sort(factor)[len(factor) // 2]),
        "within_twice_permille": int((factor <= 200).sum()) * 1000 // len(factor),
        "within_ten_times_permille": int((factor <= 1000).sum()) * 1000 // len(factor),
        "median_too_high_permille": int((median > truth).sum()) * 1000 // len(factor),
        "mean_foreseen": int(replay.foreseen.sum()) // len(trace),
        "mean_true": int(truth.sum()) // len(trace),
    }


def worst_group(ours: dict[str, Any], fifo: dict[str, Any], jobs_min: int) -> dict[str, Any]:
    """The group whose mean JCT rose most over FIFO, in percent (negative: even it gained), among those of so many jobs."""
    found = [
        (part["jct"]["mean"] * 100 // max(fifo["by_group"][name]["jct"]["mean"], 1) - 100, name)
        for name, part in ours["by_group"].items()
        if part["jobs"] >= jobs_min
    ]
    rise, name = max(found, default=(0, ""))
    return {"group": name, "rise_percent": rise}
