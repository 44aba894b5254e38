"""How far a transfer has come, for those who wait for it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes that were there already count as done: what is left is what must still be moved."""

    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int


Watcher = Callable[[Progress], None]


class Interrupted(Exception):
    """Raised in the threads of a transfer that was stopped from outside."""


class Tally:
    """Adds up what several threads move. ``stop`` ends them at their next step."""

    def __init__(self, watcher: Watcher | None, *, bytes_total: int, files_total: int) -> None:
        self._watcher = watcher
        self._lock = threading.Lock()
        self._now = Progress(0, bytes_total, 0, files_total)
        self._stopped = threading.Event()

    def moved(self, size: int, files: int = 0) -> None:
        """More bytes, or fewer where something must be sent again. Raises ``Interrupted``."""
        if self._stopped.is_set():
            raise Interrupted
        with self._lock:
            now = self._now
            self._now = Progress(now.bytes_done + size, now.bytes_total, now.files_done + files, now.files_total)
            if self._watcher is not None:
                self._watcher(self._now)

    def stop(self) -> None:
        self._stopped.set()
