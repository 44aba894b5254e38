"""What squeue shows, asked for once for all runs and kept for a moment."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Refused, Slurm
from zhisuan.engines.slurm.parse import QueuedJob

ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
     "REVOKED", "TIMEOUT")
)  # fmt: skip
"""Job states in which nothing of a job is left (squeue(1), JOB STATE CODES)."""


@dataclass(frozen=True, slots=True)
class View:
    """All jobs of this engine that Slurm remembers. ``asked_at`` is when squeue was called, on the steady clock."""

    asked_at: float
    jobs: tuple[QueuedJob, ...]
    by_id: dict[int, QueuedJob] = field(default_factory=dict)
    by_token: dict[tuple[str, int | None], QueuedJob] = field(default_factory=dict)


class Queue:
    def __init__(
        self, slurm: Slurm, job_name: str, poll_seconds: float, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._slurm = slurm
        self._job_name = job_name
        self._poll_seconds = poll_seconds
        self._steady = steady
        self._lock = threading.Lock()
        self._view: View | None = None
        self._failure: tuple[float, EngineUnavailable] | None = None
        self.calls = 0

    def view(self, *, not_before: float | None = None) -> View:
        """A view that is at most ``poll_seconds`` old, and asked for after ``not_before`` where that is given. A failure
        is kept as long as a view: a thousand questions to a hanging Slurm must not hang a thousand times.

        Raises EngineUnavailable."""
        with self._lock:
            now = self._steady()
            oldest = now - self._poll_seconds
            if self._view is not None and self._view.asked_at >= max(oldest, not_before or 0.0):
                return self._view
            if self._failure is not None and self._failure[0] >= oldest:
                raise EngineUnavailable(*self._failure[1].args)
            self.calls += 1
            try:
                self._view = _index(now, self._ask())
            except EngineUnavailable as error:
                self._failure = (self._steady(), error)
                raise
            self._failure = None
            return self._view

    def _ask(self) -> list[QueuedJob]:
        return self._slurm.ask(
            parse.queue,
            *("squeue", "--noheader", "--all", "--array", "--states=all", f"--name={self._job_name}"),
            f"--format={parse.SQUEUE_FORMAT}",
        )

    def is_forgotten(self, job_id: int) -> bool:
        """Whether Slurm itself says that it knows no such job. Raises EngineUnavailable."""
        try:
            self._slurm.call("scontrol", "show", "job", str(job_id), "--oneliner")
        except Refused as error:
            if "invalid job id" in str(error).lower():
                return True
            raise EngineUnavailable(f"scontrol refuses to answer: {error}") from error
        return False


def _index(asked_at: float, jobs: list[QueuedJob]) -> View:
    by_token: dict[tuple[str, int | None], QueuedJob] = {}
    for job in jobs:
        known = by_token.get((job.token, job.task))
        if known is None or known.job_id < job.job_id:
            by_token[job.token, job.task] = job
    return View(asked_at, tuple(jobs), {job.job_id: job for job in jobs}, by_token)
