"""A trace of jobs: when each was submitted, how long it ran, on how many cards, for whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zhisuan.simulation.rows import BadRow, Skips, read_csv, whole

COLUMNS = ("timestamp", "duration", "num_gpus")
SECONDS_MAX = 10 * 366 * 86_400
CARDS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """Whole seconds and cards. ``line`` breaks ties: it is the order in the file."""

    submitted: int
    seconds: int
    cards: int
    group: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Columns in the order of submission, which begins at 0."""

    name: str
    submitted: NDArray[np.int64]
    seconds: NDArray[np.int64]
    cards: NDArray[np.int64]
    group: NDArray[np.int64]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.submitted)

    @property
    def work(self) -> int:
        """Card-seconds of all."""
        return int((self.seconds * self.cards).sum())

    @property
    def span(self) -> int:
        """Seconds from the first submission to the last, at least one."""
        return max(int(self.submitted[-1]), 1)

    def only(self, keep: NDArray[np.bool_]) -> "Trace":
        return Trace(
            self.name, self.submitted[keep], self.seconds[keep], self.cards[keep], self.group[keep], self.groups
        )


def of_jobs(name: str, jobs: Sequence[Job]) -> Trace:
    """Of one time, the first in the list comes first."""
    ordered = sorted(jobs, key=lambda job: job.submitted)
    groups = tuple(sorted({job.group for job in ordered}))
    number = {group: n for n, group in enumerate(groups)}
    columns = [(j.submitted, j.seconds, j.cards, number[j.group]) for j in ordered]
    table = np.array(columns, np.int64).reshape(-1, 4)
    first = int(table[0, 0]) if len(table) else 0
    return Trace(name, table[:, 0] - first, table[:, 1], table[:, 2], table[:, 3], groups)


def read_trace(path: Path, skips: Skips) -> Trace:
    """Columns ``timestamp,duration,num_gpus`` and, where it is there, ``cluster``; others are left alone."""
    return of_jobs(path.name.removesuffix(".gz").removesuffix(".csv"), list(read_csv(path, COLUMNS, _job, skips)))


def _job(row: dict[str, str]) -> Job:
    cards = whole(row, "num_gpus", 1)
    if cards > CARDS_MAX:
        raise BadRow(f"num_gpus is {cards}, more than {CARDS_MAX}", f"num_gpus 为 {cards}，大于 {CARDS_MAX}")
    return Job(
        _instant(row["timestamp"]), _seconds(row["duration"]), cards, (row.get("cluster") or "").strip() or "all"
    )


def _instant(text: str) -> int:
    """A date and time (taken as UTC where no zone is named), or a number of seconds."""
    text = text.strip()
    try:
        if text.lstrip("-").replace(".", "", 1).isdigit():
            return int(Decimal(text))
        moment = datetime.fromisoformat(text)
    except (ValueError, InvalidOperation):
        raise BadRow(f"timestamp is no time: {text!r}", f"timestamp 不是时间：{text!r}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _seconds(text: str) -> int:
    """Rounded up to whole seconds."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise BadRow(f"duration is not a number: {text!r}", f"duration 不是数字：{text!r}") from None
    if not value.is_finite() or not 0 < value <= SECONDS_MAX:
        raise BadRow(
            f"duration is {text.strip()}, not above 0 and at most {SECONDS_MAX} seconds",
            f"duration 为 {text.strip()}，应大于 0 且不超过 {SECONDS_MAX} 秒",
        )
    return int(value.to_integral_value(ROUND_CEILING))


def with_users(trace: Trace, users: int, seed: int) -> Trace:
    """Each group is divided among made-up users, the second with half as many jobs as the first and so on: a trace that names no users
    says nothing of who they were."""
    weight = 1 / np.arange(1, users + 1)
    user = np.random.default_rng([seed, users]).choice(users, len(trace), p=weight / weight.sum())
    names = tuple(f"{group}/u{n}" for group in trace.groups for n in range(users))
    return Trace(trace.name, trace.submitted, trace.seconds, trace.cards, trace.group * users + user, names)
