"""What squeue shows, asked for once for all runs and kept for a moment."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Refused, Slurm, nonsense
from zhisuan.engines.slurm.parse import Nonsense, QueuedJob

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

    def job(self, job_id: int, token: str | None) -> QueuedJob | None:
        """None where the number is now that of another job: a controller that was killed gives out anew what it forgot."""
        found = self.by_id.get(job_id)
        return found if found is None or token in (None, found.token) else None


class Queue:
    def __init__(
        self,
        slurm: Slurm,
        job_name: str,
        poll_seconds: float,
        steady: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slurm = slurm
        self._job_name = job_name
        self._poll_seconds = poll_seconds
        self._steady = steady
        self._pause = pause
        self._lock = threading.Lock()
        self._view: View | None = None
        self._failure: tuple[float, EngineUnavailable] | None = None
        self._answers_since: float | None = None
        self.calls = 0

    def view(self, *, not_before: float | None = None) -> View:
        """A view that is at most ``poll_seconds`` old, and asked for after ``not_before`` where that is given. A failure
        is kept as long as a view, and as long as it took: whoever asks a hanging Slurm must not hang all the time.

        Raises EngineUnavailable."""
        with self._lock:
            now = self._steady()
            if self._view is not None and self._view.asked_at >= max(now - self._poll_seconds, not_before or 0.0):
                return self._view
            if self._failure is not None and now < self._failure[0]:
                raise EngineUnavailable(*self._failure[1].args)
            self.calls += 1
            try:
                self._view = _index(now, self._ask())
            except EngineUnavailable as error:
                failed_at = self._steady()
                self._failure = (failed_at + max(self._poll_seconds, failed_at - now), error)
                self._answers_since = None
                raise
            self._failure = None
            if self._answers_since is None:
                self._answers_since = self._view.asked_at
            return self._view

    def settled_view(self, settle_seconds: float) -> View:
        """A view asked for after Slurm has answered for ``settle_seconds``; waits that long. An order that was on its way
        while Slurm was away, or whose sender died, has been taken by then or never will be.

        Raises EngineUnavailable."""
        while True:
            view = self.view(not_before=self._steady())
            with self._lock:
                since = self._answers_since
            if since is not None and view.asked_at >= since + settle_seconds:
                return view
            self._pause(min(self._poll_seconds, settle_seconds))

    def _ask(self) -> list[QueuedJob]:
        return self._slurm.ask(
            parse.queue,
            *("squeue", "--noheader", "--all", "--array", "--states=all", f"--name={self._job_name}"),
            f"--format={parse.SQUEUE_FORMAT}",
        )

    def is_forgotten(self, job_id: int, token: str | None) -> bool:
        """Whether Slurm itself says that it knows no such job, or one of another token (see ``View.job``). Raises
        EngineUnavailable."""
        words = ("scontrol", "show", "job", str(job_id), "--oneliner")
        try:
            shown = parse.records(self._slurm.call(*words), "JobId")
        except Refused as error:
            if "invalid job id" in str(error).lower():
                return True
            raise EngineUnavailable(f"scontrol refuses to answer: {error}") from error
        except Nonsense as error:
            raise nonsense(words, error) from error
        return token is not None and all(job.get("Comment", "") != token for job in shown)


def _index(asked_at: float, jobs: list[QueuedJob]) -> View:
    by_token: dict[tuple[str, int | None], QueuedJob] = {}
    for job in jobs:
        known = by_token.get((job.token, job.task))
        if known is None or known.job_id < job.job_id:
            by_token[job.token, job.task] = job
    return View(asked_at, tuple(jobs), {job.job_id: job for job in jobs}, by_token)
