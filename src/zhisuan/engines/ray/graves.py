"""Jobs that nobody needs any more but that Ray still knows: stopped and deleted there when it lets us.

Ray deletes only jobs that have ended, and the dashboard may be down; so each is a file until it is done. And a job that is deleted
in the second after its end comes back: Ray's own watch over it (``JobManager._monitor_job``, once a second) finds neither
the job nor its process, takes that for a failure and writes it down anew, as ``FAILED`` and "Entrypoint not found."
(ray-project/ray issue 65251, in Ray 2.60). So a job counts as gone only when Ray does not know it some time after it was deleted.
"""

import time
from collections.abc import Callable
from pathlib import Path

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.ray.client import Deletion, RayClient

_REST_SECONDS = 10.0
"""After a dashboard that did not answer, so that removing many runs does not wait for it each time."""
_LOOK_AGAIN_SECONDS = 5.0
"""Several turns of Ray's own watch."""
_STILL_RUNS_SECONDS = 0.5
_AT_ONCE = 100


class Graves:
    """``steady`` is a clock that nobody sets, in seconds."""

    def __init__(self, folder: Path, client: RayClient, steady: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._client = client
        self._steady = steady
        self._failed = float("-inf")
        self._due: dict[str, float] = {}
        self._deleted: set[str] = set()
        folder.mkdir(mode=0o700, exist_ok=True)

    def dig(self, submission_id: str) -> None:
        """Note that the job is not needed any more; it may also never have been there."""
        (self._folder / submission_id).touch(0o600)

    def tidy(self) -> None:
        """Delete what can be deleted now; what cannot waits for the next time."""
        now = self._steady()
        if now < self._failed + _REST_SECONDS:
            return
        due = [name for name in sorted(self._names()) if self._due.get(name, now) <= now]
        for name in due[:_AT_ONCE]:
            try:
                self._bury(name)
            except EngineUnavailable:
                # The others first, the next time: what hinders may be this one job.
                self._failed = self._steady()
                self._due[name] = self._failed + _REST_SECONDS + 1
                return

    def _names(self) -> set[str]:
        names = {grave.name for grave in self._folder.iterdir()}
        for gone in self._due.keys() - names:
            del self._due[gone]
        self._deleted &= names
        return names

    def _bury(self, name: str) -> None:
        said = self._client.delete(name)
        if said is Deletion.unknown and name in self._deleted:
            (self._folder / name).unlink(missing_ok=True)
        elif said is Deletion.not_ended:
            self._client.stop(name)
            self._due[name] = self._steady() + _STILL_RUNS_SECONDS
        else:
            self._deleted.add(name)
            self._due[name] = self._steady() + _LOOK_AGAIN_SECONDS
