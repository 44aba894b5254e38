"""Many small tasks in one order: ``run`` once for each index, some at a time, in one lease.

To the platform the order is a workload like any other: placed once, leased once, metered by the seconds of its lease. What
carries the tasks out is a program of the platform (``programs/task_runner.py`` and what stands beside it), which travels in the script in place of the
tenant's ``run``, so that it is the same on every engine and a site needs nothing but Python for it.
"""

from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from zhisuan.base.secrets import digest

COUNT_MAX = 100_000
PARALLEL_MAX = 1_000
RETRIES_MAX = 10
CHECKPOINT_SECONDS = 60
"""How often the record of finished tasks is saved where the file does not say how often its checkpoint is."""
TABLE = "tasks.csv"
"""The artefact with a row for each task."""
PROGRAMS = ("task_book", "task_runner", "task_mates")
"""The parts of what is sent, in this order; the last only where there are several nodes."""
PORTS_FROM, PORTS, PORTS_TRIED = 20_000, 10_000, 4

_END = "THE_PLATFORMS_PROGRAM_ENDS_HERE"
_BEGIN = """\
for python in python3 python ''; do
  [ -n "$python" ] && "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2> /dev/null && break
done
if [ -z "$python" ]; then
  echo "[zhisuan] Tasks need Python 3.9 or newer, which this site does not have. Its operator can install it, or add it to" \\
    "the environment that the site shows to work; zhisuan.avoid_sites keeps the work from this site." >&2
  exit 127
fi
"""


@dataclass(frozen=True, slots=True)
class Tasks:
    """``parallel``: how many run at once on each node; None: one for each whole core, at least one. ``retries``: how often a
    task is tried again that ends otherwise than with 0."""

    count: int
    parallel: int | None = None
    retries: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def artefacts(chosen: tuple[str, ...]) -> list[str]:
    """What is kept of the artefact folder: the table always, and none named means all."""
    return [*chosen, TABLE] if chosen and TABLE not in chosen else list(chosen)


def script(tasks: Tasks, run: str, *, share_threads: bool, nodes: int, token: str) -> str:
    """The bash script that carries the tasks out. ``share_threads``: each gets its part of the cores in ``OMP_NUM_THREADS``.
    ``token`` is the secret by which several nodes know each other."""
    together = nodes > 1
    ports = tuple(PORTS_FROM + int(digest(f"{token}{n}")[:8], 16) % PORTS for n in range(PORTS_TRIED)) if together else ()
    program = "\n\n".join(_program(name) for name in PROGRAMS[: 3 if together else 2])
    order = f"Order({tasks.count}, {tasks.parallel or 0}, {tasks.retries}, {token!a}, {ports})"
    call = f"main({run!a}, {order}, share_threads={share_threads}{', mates=meet' if together else ''})"
    return f"{_BEGIN}exec \"$python\" -I -S - \"$BASH\" <<'{_END}'\n{program}\n{call}\n{_END}\n"


def _program(name: str) -> str:
    """The text of one part; behind the first it has what it imports from there, and from the future."""
    text = (files("zhisuan.workload.programs") / f"{name}.py").read_text("utf-8")
    left_out = ("from zhisuan.", "from __future__ ") if name != PROGRAMS[0] else ()
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(left_out))
