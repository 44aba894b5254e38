"""Following a job: its output as it comes, its progress below, until its end.

On a terminal a progress bar stays under the output. Elsewhere the output goes to its stream untouched, and changes of
state to standard error.
"""

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, cast

import typer

from zhisuan.base.clock import SystemClock
from zhisuan.cli.errors import INTERRUPTED, REFUSED
from zhisuan.cli.figures import minute
from zhisuan.cli.text import state, t

if TYPE_CHECKING:
    from rich.console import Console

    from zhisuan.sdk import Client
    from zhisuan.sdk.types import Workload

T = TypeVar("T")
WHOLE_PPM = 1_000_000
LOOK_UP_SECONDS = 0.5
EXIT_STATUS_MAX = 255


class View(Protocol):
    def log(self, text: str) -> None: ...

    def workload(self, workload: "Workload") -> None: ...


class PlainView:
    """For files and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._told = ""

    def log(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def workload(self, workload: "Workload") -> None:
        if workload.state != self._told:
            self._told = workload.state
            sys.stderr.write(f"[{minute(SystemClock().now())}] {workload.id} {state(workload.state)}\n")


class BarView:
    """For a terminal: whole lines above, one bar below."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = console
        self._rest = ""
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[told]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self.progress.add_task("", total=None, state="", told="")

    def log(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        from rich.text import Text

        # A line drawn over itself, as progress meters do, is shown as it stood in the end.
        self._console.print(Text.from_ansi(line.removesuffix("\r").rpartition("\r")[2]), soft_wrap=True)

    def workload(self, workload: "Workload") -> None:
        self.progress.update(
            self._task,
            state=state(workload.state),
            told=workload.progress_message or "",
            total=WHOLE_PPM if workload.progress_ppm is not None else None,
            completed=workload.progress_ppm or 0,
        )

    def finish(self) -> None:
        if self._rest:
            self._line(self._rest)
            self._rest = ""


@contextmanager
def view_on(stream: IO[str]) -> Iterator[View]:
    """The view that suits the stream."""
    if not stream.isatty():
        yield PlainView(stream)
        return
    from rich.console import Console

    view = BarView(Console(file=stream, highlight=False, markup=False, emoji=False))
    with view.progress:
        try:
            yield view
        finally:
            view.finish()


def interruptible(events: Iterator[T]) -> Iterator[T]:
    """What ``events`` gives, so that Ctrl-C always gets through: one that comes in the moment before a blocking read would
    be noticed only with the next byte, and a quiet job sends none for hours."""
    arrived: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()

    def read() -> None:
        try:
            for event in events:
                arrived.put((event, None))
            arrived.put((None, StopIteration()))
        except BaseException as error:
            arrived.put((None, error))

    threading.Thread(target=read, name="follow", daemon=True).start()
    while True:
        try:
            event, error = arrived.get(timeout=LOOK_UP_SECONDS)
        except queue.Empty:
            continue
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield cast(T, event)


def follow(client: "Client", workload_id: str, stream: IO[str], *, offset: int = 0) -> "Workload":
    """Show output and state until a job is over or a service runs; gives it as it then is.

    Ctrl-C lets go of it and ends the command; the work goes on.
    """
    from zhisuan.sdk import EndEvent, LogEvent

    try:
        with view_on(stream) as view:
            for event in interruptible(client.watch(workload_id, offset=offset)):
                if isinstance(event, LogEvent):
                    view.log(event.text)
                    continue
                view.workload(event.workload)
                if isinstance(event, EndEvent) or (
                    event.workload.kind in ("service", "workspace") and event.workload.state == "running"
                ):
                    return event.workload
    except KeyboardInterrupt:
        sys.stderr.write(
            t(
                f"\nLet go; {workload_id} goes on. 'zhisuan logs {workload_id} -f' follows it again, "
                f"'zhisuan cancel {workload_id}' ends it.\n",
                f"\n已停止跟踪；{workload_id} 仍在运行。继续跟踪：zhisuan logs {workload_id} -f；取消：zhisuan cancel {workload_id}。\n",
            )
        )
        raise typer.Exit(INTERRUPTED) from None
    raise AssertionError("a watch ends with an EndEvent or raises")


def status_of(workload: "Workload") -> int:
    """The exit status that says how the job ended: its own, where it has one."""
    if workload.state in ("succeeded", "running"):
        return 0
    code = workload.exit_code or 0
    return code if 0 < code <= EXIT_STATUS_MAX else REFUSED
