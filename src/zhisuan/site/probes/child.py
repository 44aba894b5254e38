"""Running a probe in a process of its own: pinned threads, a time limit, events as they come.

The agent stays small (no numpy, no torch in it), and a driver that crashes or hangs takes only the probe with it.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from zhisuan.site.probes.protocol import parse_event

# Every thread pool that numpy or torch may be built on reads one of these at start.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_ERROR_TAIL = 2000

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """``finished`` only when the child said ``end``; ``error`` is the tail of its standard error."""

    outcome: Literal["finished", "failed", "timed_out"]
    exit_code: int | None
    error: str


class Launcher(Protocol):
    def __call__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], timeout: float, on_event: OnEvent
    ) -> ChildEnd: ...


def thread_environment(threads: int) -> dict[str, str]:
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def launch(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], timeout: float, on_event: OnEvent
) -> ChildEnd:
    """Run ``python -m module --json arguments`` with this interpreter; hand over each event as it comes."""
    # -P keeps the current folder, which may hold anybody's files, off the module path.
    command = [sys.executable, "-P", "-m", module, "--json", *arguments]
    ended = False
    timed_out = threading.Event()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **environment, "PYTHONIOENCODING": "utf-8"},
        )

        def stop() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(timeout, stop)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            for line in process.stdout:
                event = parse_event(line.decode("utf-8", "replace"))
                if event is not None and event["event"] == "end":
                    ended = True
                elif event is not None:
                    on_event(event)
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip()[-_ERROR_TAIL:]
    if ended and code == 0:
        return ChildEnd("finished", code, said)
    return ChildEnd("timed_out" if timed_out.is_set() else "failed", code, said)
