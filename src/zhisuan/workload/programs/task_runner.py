"""Carries out an order of many tasks: the tenant's ``run`` once for each index, some of them at a time.

This file is sent to the site as text and run there by whatever Python 3.9 or newer it has: standard library only, nothing of the
platform imported, and few modules, since their import is the tenant's wait. ``workload.tasks`` writes the call of ``main``.

1. Tasks that the record in the checkpoint folder names have finished in an attempt before; they are not run again.
2. Each task is a bash of its own in a process group of its own, with nothing to read on its standard input. What it writes goes to
   the log in whole lines, each with ``[task 12]`` before it. When its bash has ended, what it left running is killed.
3. A task that ends otherwise than with 0 is tried again after all the others, as often as the order says.
4. Record and table are written anew beside themselves and renamed, so that whoever reads them finds them whole.
5. Told to end, nothing new begins, and a task that does not end with 0 counts as one that has not been run.
6. With several nodes, rank r runs the indices that leave r when divided by their number. The others tell rank 0 what has finished;
   record, table, progress and exit status are its.
"""

from __future__ import annotations

import collections
import os
import select
import signal
import sys
import time
from collections.abc import Callable

from zhisuan.workload.programs.task_book import LOG, SAVE_SECONDS, TABLE, Book, Clock, Order

READ_BYTES = 64 * 1024
LINE_BYTES_MAX = 64 * 1024
LAST_READS = 64
TELL_SECONDS = 5.0
SHOWN_MAX = 100
SPAWN_TRIES, SPAWN_PAUSE_SECONDS = 50, 0.1
SWEEP_SECONDS, SWEEP_PAUSE_SECONDS = 10.0, 0.005
JOIN_SECONDS, STOP_SECONDS = 900.0, 5.0
CANNOT_RUN, STOPPED = 126, 143
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of <linux/prctl.h>."""


class Alone:
    """The other nodes of an order, where there are none; ``task_mates`` has those where there are. ``lost``: they cannot be reached
    now."""

    lost = False

    def tell(self, row: bytes) -> None:
        """A task of this node has finished."""

    def hand_over(self, book: Book) -> None:
        """Enter what has finished on other nodes."""

    def own_are_done(self) -> None:
        """Nothing more will be told."""

    def over(self, *, given_up: bool) -> bool:
        """Whether this node may end. ``given_up``: those who cannot be reached are not waited for any longer."""
        return True


class Task:
    """One try of one task that runs now."""

    def __init__(self, index: int, attempt: int, pid: int, output: int, began: str) -> None:
        self.index = index
        self.attempt = attempt
        self.pid = pid
        self.output = output
        self.began = began
        self._prefix = b"[task %d] " % index
        self._rest = b""

    def lines(self, data: bytes, *, last: bool = False) -> bytes:
        """What is whole lines by now; ``last``: all that there is."""
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        lines = self._prefix + whole.replace(b"\n", b"\n" + self._prefix) + b"\n" if newline else b""
        if self._rest and (last or len(self._rest) >= LINE_BYTES_MAX):
            lines += self._prefix + self._rest + b"\n"
            self._rest = b""
        return lines


class Runner:
    """The loop over the tasks of this node."""

    def __init__(
        self,
        order: Order,
        book: Book,
        command: list[str],
        environment: dict[str, str],
        mates: Callable[[Order, int], Alone],
    ) -> None:
        self.order = order
        self.book = book
        self.stopping = False
        self.running: dict[int, Task] = {}
        self._command = command
        self._environment = environment
        self._clock = Clock()
        self._outputs: dict[int, Task] = {}
        self._fresh = (i for i in range(order.rank, order.count, order.nodes) if i not in book.rows)
        self._again: collections.deque[tuple[int, int]] = collections.deque()
        self._refused = 0
        self._told = ""
        self._tell_due = time.monotonic() + TELL_SECONDS
        self._isolated = os.getppid() == 1
        self._guard = -1 if self._isolated else _guard()
        self._poll = select.epoll()
        self._woken, self.wake = os.pipe()
        for fd in (self._woken, self.wake):
            os.set_blocking(fd, False)
        self._poll.register(self._woken, select.EPOLLIN)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        self._mates = mates(order, self.wake)
        self._children = _adopt()

    def work(self) -> int:
        """Until all has ended; the exit status."""
        while self._fill() or self.running:
            self._turn()
        self._sweep_all()
        if not self._wait_for_mates():
            return 1
        self._tell(last=True)
        if self.order.rank:
            return 0
        complete = len(self.book.rows) == self.order.count
        self.book.close(complete=complete)
        if not complete:
            LOG.say("Stopped; the tasks that have not finished run when the work goes on.")
            return STOPPED
        self._list_failed()
        return 1 if self.book.failed else 0

    def _turn(self) -> None:
        """Wait for something to happen, and act."""
        LOG.flush()
        for fd, _ in self._poll.poll(SAVE_SECONDS if self._refused == 0 else SPAWN_PAUSE_SECONDS):
            if fd == self._woken:
                os.read(fd, READ_BYTES)
            elif fd in self._outputs:
                self._read(self._outputs[fd])
        self._reap()
        self._mates.hand_over(self.book)
        if not self.order.rank:
            self.book.save(at_once=self.stopping)
        if time.monotonic() >= self._tell_due:
            self._tell()

    def stop(self) -> None:
        """In a sandbox the engine has told every process in it; elsewhere only our own group, and tasks have groups of their own."""
        if self.stopping:
            return
        self.stopping = True
        if not self._isolated:
            for pid in self.running:
                _signal(pid, signal.SIGTERM)

    def _fill(self) -> bool:
        """Start what may start; False when nothing is left to be started."""
        while not self.stopping and len(self.running) < self.order.parallel:
            index, attempt = next(((i, 1) for i in self._fresh), (-1, 0))
            if index < 0:
                if not self._again:
                    return False
                index, attempt = self._again.popleft()
            if not self._start(index, attempt):
                self._again.appendleft((index, attempt))
                break
        return not self.stopping

    def _start(self, index: int, attempt: int) -> bool:
        """False when the system gives no process now, and one may come free."""
        output, end = os.pipe()
        began = self._clock.stamp()
        variables = {"ZHISUAN_TASK_INDEX": str(index), "ZHISUAN_TASK_ATTEMPT": str(attempt)}
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, end, 1), (os.POSIX_SPAWN_DUP2, end, 2)]
        try:
            pid = os.posix_spawn(
                self._command[0], ["bash", self._command[1]], {**self._environment, **variables}, file_actions=actions,
                setpgroup=0, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )  # fmt: skip
        except OSError as error:
            os.close(output)
            self._refused += 1
            if self.running or self._refused < SPAWN_TRIES:
                return False
            LOG.say(f"Task {index} could not be started: {error.strerror}.")
            self._finished(index, attempt, CANNOT_RUN, began)
            return True
        finally:
            os.close(end)
        self._refused = 0
        if self._guard >= 0:
            os.write(self._guard, b"+%d\n" % pid)
        task = self.running[pid] = self._outputs[output] = Task(index, attempt, pid, output, began)
        os.set_blocking(output, False)
        self._poll.register(output, select.EPOLLIN)
        if self.stopping:  # told while the process was being made, which may not have heard it
            _signal(task.pid, signal.SIGTERM)
        return True

    def _read(self, task: Task) -> bool:
        """One piece of a task's output; False when there is nothing to read now."""
        try:
            data = os.read(task.output, READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            LOG.add(task.lines(data))
        else:
            self._close(task)
        return bool(data)

    def _close(self, task: Task) -> None:
        if task.output >= 0:
            del self._outputs[task.output]
            self._poll.unregister(task.output)
            os.close(task.output)
            task.output = -1

    def _reap(self) -> None:
        """Collect what has ended. A group is killed while its number still belongs to the one that has ended."""
        ended_tasks = False
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if ended is None:
                break
            task = self.running.get(ended.si_pid)
            if task is not None:
                _signal(task.pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            if task is not None:
                self._ended(task, os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
                ended_tasks = True
        if ended_tasks:
            self._sweep()

    def _ended(self, task: Task, status: int) -> None:
        for _ in range(LAST_READS):
            if task.output < 0 or not self._read(task):
                break
        LOG.add(task.lines(b"", last=True))
        self._close(task)
        del self.running[task.pid]
        if self._guard >= 0:
            os.write(self._guard, b"-%d\n" % task.pid)
        if status == 0 or not self.stopping:
            self._finished(task.index, task.attempt, status, task.began)

    def _finished(self, index: int, attempt: int, status: int, began: str) -> None:
        if status:
            LOG.say(f"Task {index}: {_ending(status)}, try {attempt} of {self.order.retries + 1}.")
        if status and attempt <= self.order.retries:
            self._again.append((index, attempt + 1))
            return
        row = b"%d,%d,%d,%s,%s\n" % (index, attempt, status, began.encode(), self._clock.stamp().encode())
        self.book.take(row)
        self._mates.tell(row)

    def _sweep(self) -> bool:
        """Kill what tasks that have ended left outside of their group: it comes to this process when its parent ends. False when
        there is nothing of it."""
        own = {task.index for task in self.running.values()}
        found = False
        for pid in _below(self._children):
            index = None if pid in self.running else _index_of(pid)
            if index is not None and index not in own:
                _signal(pid, signal.SIGKILL, group=False)
                found = True
        return found

    def _sweep_all(self) -> None:
        """What is killed may leave children in turn."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while self._sweep() and time.monotonic() < deadline:
            time.sleep(SWEEP_PAUSE_SECONDS)
            self._reap()

    def _wait_for_mates(self) -> bool:
        """Until each node knows what it must of the others; False where they cannot reach each other."""
        self._mates.own_are_done()
        began = time.monotonic()
        deadline = began + JOIN_SECONDS
        while not self._mates.over(given_up=self.stopping and time.monotonic() > began + STOP_SECONDS):
            self._turn()
            if self._mates.lost and time.monotonic() > deadline:
                LOG.say("The first node of this order cannot be reached from here: the site's nodes must be able to connect to each other.")
                LOG.flush()
                return False
        self._mates.hand_over(self.book)
        return True

    def _tell(self, *, last: bool = False) -> None:
        """Say how far it is, where that has changed: in the log, and where the platform reads it."""
        self._tell_due = time.monotonic() + TELL_SECONDS
        said = self.book.summary()
        if said != self._told and not self.order.rank:
            self._told = said
            LOG.say(said + ("." if last else " so far."))
            share = len(self.book.rows) / self.order.count
            _append(os.environ.get("ZHISUAN_PROGRESS", os.devnull), f'{{"fraction": {share:.6f}, "message": "{said}"}}\n')
        LOG.flush()

    def _list_failed(self) -> None:
        for index in sorted(self.book.failed)[:SHOWN_MAX]:
            tries, status = self.book.failed[index]
            LOG.say(f"Task {index} failed: {_ending(status)}, after {tries} {'try' if tries == 1 else 'tries'}.")
        if self.book.failed:
            more = len(self.book.failed) - SHOWN_MAX
            rest = f"{more:,} more failed. " if more > 0 else ""
            LOG.say(f"{rest}All tasks are in the artefact {TABLE}.")
        LOG.flush()


def _signal(pid: int, number: int, *, group: bool = True) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:
        return


def _ending(status: int) -> str:
    """As a shell says it: above 128 a signal, where there is one of that number."""
    try:
        return f"exit status {status}" + (f" ({signal.Signals(status - 128).name})" if status > 128 else "")
    except ValueError:
        return f"exit status {status}"


def _append(path: str, text: str) -> None:
    try:
        with open(path, "a", encoding="ascii") as file:
            file.write(text)
    except OSError:
        return  # progress is for looking at; the work does not depend on it


def _adopt() -> int:
    """Take in processes whose parents have ended; a descriptor of the list of all children, -1 where there is none."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
    except (ImportError, OSError, AttributeError):
        return -1


def _below(children: int) -> list[int]:
    return [int(pid) for pid in os.pread(children, READ_BYTES, 0).split()] if children >= 0 else []


def _index_of(pid: int) -> int | None:
    """The task that a process belongs to, by the environment it was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = [v[19:] for v in file.read().split(b"\0") if v.startswith(b"ZHISUAN_TASK_INDEX=")]
        return int(found[0]) if found else None
    except (OSError, ValueError):
        return None


def _guard() -> int:
    """Where no sandbox ends with us, a process that does nothing but kill the groups of our tasks when we are gone. It is told of
    them over the descriptor that is returned."""
    told, tell = os.pipe()
    if os.fork():
        os.close(told)
        return tell
    os.close(tell)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    groups: set[int] = set()
    with open(told, encoding="ascii") as lines:
        for line in lines:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        _signal(group, signal.SIGKILL)
    os._exit(0)


def main(
    run: str, order: Order, *, share_threads: bool, mates: Callable[[Order, int], Alone] = lambda *_: Alone()
) -> None:
    """``run`` is the tenant's script. With ``share_threads`` the cores of the lease are shared out over the tasks that run at once."""
    cores = max(1, int(os.environ.get("ZHISUAN_CPUS_MILLI") or 0) // 1000)
    order.parallel = order.parallel or cores
    environment = {**os.environ, "ZHISUAN_TASK_COUNT": str(order.count), "ZHISUAN_PROGRESS": os.devnull}
    if share_threads:
        environment["OMP_NUM_THREADS"] = str(max(1, cores // order.parallel))
    script = os.memfd_create("run")
    os.set_inheritable(script, True)
    with open(script, "wb", closefd=False) as file:
        file.write(run.encode("utf-8", "surrogateescape"))
    book = Book(order)
    book.load()
    if book.rows:
        LOG.say(f"{book.summary()} before; these are not run again.")
    runner = Runner(order, book, [sys.argv[1], f"/proc/self/fd/{script}"], environment, mates)
    status = runner.work()
    LOG.flush()
    sys.exit(status)
