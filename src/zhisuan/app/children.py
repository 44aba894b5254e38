"""The processes of one installation: started, watched, and started again when they die."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text

PR_SET_PDEATHSIG = 1
BACKOFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10)
STEADY_SECONDS = 30.0
LOG_BYTES_MAX = 20 * 1024**2
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to start one process. What it must know and nobody else should see goes through its standard input."""

    name: str
    module: str
    told: dict[str, Any]
    log: Path


class Child:
    """One process that should run until ``stop``."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.recipe.log.stat().st_size > LOG_BYTES_MAX:
                self.recipe.log.replace(self.recipe.log.with_suffix(".log.1"))
        with self.recipe.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.recipe.module], stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_end_with_parent(os.getpid()),
            )  # fmt: skip
        self._started = time.monotonic()
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(orjson.dumps(self.recipe.told))
            self.process.stdin.close()

    def tend(self) -> None:
        """Start the process again when it has died, later each time it dies early."""
        now = time.monotonic()
        if self.process is None:
            if now >= self._not_before:
                self.start()
        elif self.process.poll() is not None:
            steady = now - self._started >= STEADY_SECONDS
            self._failures = 0 if steady else self._failures + 1
            self._not_before = now + BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
            self.process = None

    def stop(self, seconds: float) -> None:
        """SIGTERM, then SIGKILL when it has not ended in time."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The end of the process's log, for a message."""
        try:
            lines = [line for line in self.recipe.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return ""
        return lines[-1][:500] if lines else ""


def _end_with_parent(parent: int) -> Callable[[], None]:
    """For the child between fork and exec: the kernel sends it SIGTERM when the supervisor dies, however that happens."""

    def set_up() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return set_up


def wait_until(ready: Callable[[], bool], child: Child, seconds: float, what: Text) -> None:
    """Wait for ``ready``; raises ``Unavailable`` with the process's last words when it dies or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ready():
            return
        if child.process is not None and child.process.poll() is not None:
            break
        time.sleep(0.05)
    raise Unavailable(
        Text(
            f"The {what.en} did not start. Its last words: {child.last_words()}",
            f"{what.zh}未能启动。最后的日志：{child.last_words()}",
        ),
        Text(
            f"Look into {child.recipe.log}; `zhisuan doctor` says what this machine lacks.",
            f"请查看 {child.recipe.log}；zhisuan doctor 会说明本机缺少什么。",
        ),
        code="did_not_start",
    )
