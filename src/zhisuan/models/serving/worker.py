"""The one thread that loads the model and generates, and the bounded queue before it.

One answer is generated at a time: the model's own threads already use all cores, and two answers at once would only
make both slower. Clients wait in arrival order; when every place is taken they are told when to come back.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from zhisuan.models.serving.errors import model_loading, queue_full
from zhisuan.models.serving.generation import Finished, GenerationRequest, Piece, Usage, generate
from zhisuan.models.serving.language_model import LanguageModel

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS_MAX = 60
# Before any answer was timed; and the weight of the newest answer in the running mean.
ANSWER_SECONDS_FIRST = 1.0
ANSWER_WEIGHT = 0.2


@dataclass(frozen=True)
class Failed:
    """The answer broke off; ``detail`` is for the client, the log has the rest."""

    detail: str


Event = Piece | Finished | Failed


@dataclass(frozen=True, eq=False)
class Job:
    """One answer to be generated. ``sink`` is called from the worker's thread with every event."""

    request: GenerationRequest
    sink: Callable[[Event], None]
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody waits for this answer any more; generation stops before its next token."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()


class Worker:
    """Loads the model, then serves jobs in order until stopped.

    ``failure`` holds what went wrong while loading; ``on_failure`` is called then, once, from the worker's thread.
    """

    def __init__(
        self,
        load: Callable[[], LanguageModel],
        queue_length: int,
        monotonic_seconds: Callable[[], float],
        on_failure: Callable[[], None],
    ) -> None:
        self._load = load
        self._queue_length = queue_length
        self._monotonic_seconds = monotonic_seconds
        self._on_failure = on_failure
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._answer_seconds = ANSWER_SECONDS_FIRST
        self._model: LanguageModel | None = None
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self.failure: Exception | None = None

    @property
    def state(self) -> Literal["loading", "ready", "failed"]:
        if self.failure is not None:
            return "failed"
        return "loading" if self._model is None else "ready"

    @property
    def waiting(self) -> int:
        """Jobs in the queue that somebody still waits for, without the one that is being generated."""
        with self._changed:
            return sum(not job.is_cancelled() for job in self._jobs)

    @property
    def model(self) -> LanguageModel:
        """The loaded model. Raises ApiError (503) while it is loading."""
        if self._model is None:
            raise model_loading()
        return self._model

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Break off the running answer before its next token, and those that wait."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)

    def submit(self, request: GenerationRequest, sink: Callable[[Event], None]) -> Job:
        """Queue a request. Raises ApiError (503, with Retry-After) when every place is taken."""
        job = Job(request, sink)
        with self._changed:
            for left in [waiting for waiting in self._jobs if waiting.is_cancelled()]:
                self._jobs.remove(left)
            if len(self._jobs) >= self._queue_length:
                seconds = math.ceil((len(self._jobs) + 1) * self._answer_seconds)
                raise queue_full(len(self._jobs), max(1, min(RETRY_AFTER_SECONDS_MAX, seconds)))
            self._jobs.append(job)
            self._changed.notify_all()
        return job

    def _run(self) -> None:
        try:
            self._model = self._load()
        except Exception as error:
            self.failure = error
            self._on_failure()
            return
        while (job := self._next()) is not None:
            if not job.is_cancelled():
                self._serve(self._model, job)
        for job in self._jobs:
            job.sink(Finished("cancelled", Usage(len(job.request.prompt), 0)))

    def _next(self) -> Job | None:
        """The job whose turn it is, waited for; None when the worker stops."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping)
            return None if self._stopping else self._jobs.popleft()

    def _serve(self, model: LanguageModel, job: Job) -> None:
        start = self._monotonic_seconds()
        try:
            for event in generate(model, job.request, lambda: job.is_cancelled() or self._stopping):
                job.sink(event)
        except Exception as error:
            logger.exception("an answer broke off after a prompt of %d tokens", len(job.request.prompt))
            job.sink(Failed(f"{type(error).__name__}: {error}"))
        seconds = self._monotonic_seconds() - start
        self._answer_seconds += ANSWER_WEIGHT * (seconds - self._answer_seconds)
