"""What Ray says of all jobs, asked once for all runs and kept for a moment."""

import threading
import time
from collections.abc import Callable

from zhisuan.engines.ray.client import RayClient, RayJob


class JobTable:
    def __init__(self, client: RayClient, keep_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._keep_seconds = keep_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._jobs: dict[str, RayJob] = {}
        self._asked = float("-inf")

    def get(self, submission_id: str) -> RayJob | None:
        """None when Ray does not know the job. Raises EngineUnavailable.

        A job that is missing from what is kept may have been submitted since, by another process of the agent: that
        Ray does not know it is believed only of an answer to a fresh question.
        """
        with self._lock:
            kept = self._monotonic() < self._asked + self._keep_seconds
            if not kept or submission_id not in self._jobs:
                self._jobs = self._client.jobs()
                self._asked = self._monotonic()
            return self._jobs.get(submission_id)

    def forget(self) -> None:
        """What is kept is out of date: a job was submitted or deleted."""
        with self._lock:
            self._asked = float("-inf")
