"""The supervisor's loop: one run from its launch to its exit record.

Everything that must survive this process's death is in files (``paths.py``); everything that must not outlive it hangs
on it twice: the kernel kills ``bwrap`` with its parent, and init ends when the control pipe does.
"""

import os
import select
import time

from zhisuan.engines.local import procusage, records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.shim.child import Child, LaunchFailed, launch
from zhisuan.engines.local.shim.log import Log
from zhisuan.engines.local.shim.plan import Plan
from zhisuan.engines.local.shim.verdict import Seen, Verdict, decide, out_of_memory_message

_HEARTBEAT_SECONDS = 1.0
_EVENT_BYTES_MAX = 64 << 10
_KILL_SECONDS = 10.0
_LAST_READS = 4
"""Enough to empty a pipe of the largest size the kernel allows, and no more: a process that escaped from an
unisolated run may still be writing."""


def now_ms() -> int:
    """Wall clock, UTC, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Supervisor:
    def __init__(self, plan: Plan, paths: RunPaths, state: records.Pairs) -> None:
        self.plan = plan
        self.paths = paths
        self.state = state
        self.seen = Seen()
        self.seen.memory_mib = plan.memory_bytes >> 20
        self.log = Log(paths.log, plan.log_bytes_max)
        self.poll = select.poll()
        self.poke_fd = self._open_poke()
        self.child: Child | None = None
        self.started_ms: int | None = None
        self.started_clock = 0.0
        self.kill_clock: float | None = None
        self.beat_clock = 0.0
        self.memory_peak = 0
        self.cpu_ms = 0
        self.events = b""
        self.state_is_due = False
        self.waits = False
        self.complaints: set[str] = set()
        self.keepalive_stamp = self._keepalive_stamp()
        self.keepalive_clock = time.monotonic()

    def run(self) -> None:
        """Until the exit record is written."""
        self._look_for_stop()
        if self.seen.ending is not None:
            self._write_exit(decide(self.seen))
            return
        try:
            if self.plan.cgroup is not None:
                self.plan.cgroup.create(self.plan.memory_bytes, self.plan.cpus_milli, self.plan.processes_max)
            self.child = launch(self.plan)
        except (OSError, LaunchFailed) as error:
            self._write_exit(Verdict("start_failed", f"the sandbox could not be started: {error}"))
            return
        self._watch(self.child)

    def _watch(self, child: Child) -> None:
        ended = os.pidfd_open(child.pid)
        self._note_state(sandbox_pid=child.pid, sandbox_ticks=procusage.start_ticks(child.pid) or 0)
        for fd in (ended, child.log_fd, child.event_fd, self.poke_fd):
            self.poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in self.poll.poll(self._wait_ms())}
            if child.event_fd in ready and not self._read_events(child.event_fd):
                self.poll.unregister(child.event_fd)
            if child.log_fd in ready and not self.log.pump(child.log_fd):
                self.poll.unregister(child.log_fd)
            if self.poke_fd in ready:
                os.read(self.poke_fd, 4096)
                self._look_for_stop()
                self._look_for_go()
            if ended in ready:
                break
            self._act(time.monotonic())
        self._finish(child)

    def _wait_ms(self) -> int:
        """To the next heartbeat or deadline."""
        dues = [self.beat_clock + _HEARTBEAT_SECONDS]
        if self.kill_clock is not None:
            dues.append(self.kill_clock)
        if self.plan.max_seconds is not None and self.started_ms is not None and self.seen.ending is None:
            dues.append(self.started_clock + self.plan.max_seconds)
        return max(0, int((min(dues) - time.monotonic()) * 1000) + 1)

    def _act(self, clock: float) -> None:
        if clock >= self.beat_clock + _HEARTBEAT_SECONDS:
            self.beat_clock = clock
            self._beat()
            self._look_for_stop()
            self._look_for_go()
            self._look_for_memory()
            self._look_for_agent(clock)
        limit = self.plan.max_seconds
        if limit is not None and self.started_ms is not None and clock >= self.started_clock + limit:
            self._end("timed_out", f"the time limit of {limit} seconds was reached", self.plan.timeout_grace_seconds)
        if self.kill_clock is not None and clock >= self.kill_clock:
            self._kill()
            self.kill_clock = clock + _HEARTBEAT_SECONDS

    # What init says

    def _read_events(self, fd: int) -> bool:
        """False when there is nothing more to come. The lines come from the tenant's side and are believed only as
        far as they concern the tenant's own run."""
        try:
            data = os.read(fd, 4096)
        except BlockingIOError:
            return True
        self.events += data
        *lines, self.events = self.events.split(b"\n")
        for line in lines:
            try:
                for name, text in records.decode(line):
                    self._event(name, text)
            except ValueError:
                continue
        return bool(data) and len(self.events) < _EVENT_BYTES_MAX

    def _event(self, name: str, text: str) -> None:
        if name == "hello":
            self.seen.hello = True
        elif name == "refused" and self.started_ms is None:
            self.seen.refused = text[:1000]
        elif name == "ready" and self.started_ms is None:
            self.waits = True
            self._note_state(ready="1")
            self._look_for_go()
        elif name in ("setup", "run"):
            if self.started_ms is None:
                self.started_ms = now_ms()
                self.started_clock = time.monotonic()
                self._note_state(started_ms=self.started_ms)
                self._beat()
            if name == "run":
                self._note_state(phase="running")
        elif name == "exit" and self.seen.said is None:
            phase, code, signal = text.split(" ")
            self.seen.said = (phase, int(code), int(signal))

    # What may end a run

    def _look_for_stop(self) -> None:
        stop = records.read(self.paths.stop)
        if stop is not None:
            wanted = dict(stop)
            self._end("cancelled", wanted["message"], int(wanted["grace_seconds"]))

    def _look_for_go(self) -> None:
        """A rank that waits begins once the word is there; the word is a file, so it is kept while nobody looks."""
        if self.waits and self.child is not None and self.seen.ending is None and os.path.exists(self.paths.go):
            self.waits = False
            self._tell(self.child, b"G")

    def _look_for_memory(self) -> None:
        if self.plan.cgroup is not None and self.plan.cgroup.out_of_memory_kills():
            self._end("out_of_memory", out_of_memory_message(self.seen.memory_mib), 0)

    def _keepalive_stamp(self) -> int:
        try:
            return os.stat(self.plan.keepalive).st_mtime_ns
        except FileNotFoundError:
            return 0

    def _look_for_agent(self, clock: float) -> None:
        """Elapsed time by our own steady clock since the file last changed, so that no clock step ends a run."""
        stamp = self._keepalive_stamp()
        grace = self.plan.orphan_grace_seconds
        if stamp != self.keepalive_stamp:
            self.keepalive_stamp = stamp
            self.keepalive_clock = clock
        elif clock - self.keepalive_clock >= grace:
            message = f"the site agent has not been heard of for {grace} seconds; restart it and launch again"
            self._end("orphaned", message, self.plan.timeout_grace_seconds)

    def _end(self, reason: str, message: str, grace_seconds: int) -> None:
        """The first reason stays; a later one can only shorten what is left of the grace."""
        due = time.monotonic() + grace_seconds
        if self.seen.ending is None:
            self.seen.ending = (reason, message)
            self.kill_clock = due
            if self.child is not None and grace_seconds > 0:
                self._tell(self.child, b"T%d" % grace_seconds)
        elif self.kill_clock is not None:
            self.kill_clock = min(self.kill_clock, due)

    def _tell(self, child: Child, word: bytes) -> None:
        try:
            os.write(child.control_fd, word)
        except BrokenPipeError:
            return

    def _kill(self) -> None:
        if self.plan.cgroup is not None:
            self.plan.cgroup.kill()
        if self.child is not None:
            procusage.kill_tree(self.child.pid, spare_root=self.plan.isolated)

    # Records

    def _beat(self) -> None:
        self._measure()
        pairs = [("at_ms", str(now_ms())), ("cpu_ms", str(self.cpu_ms)), ("memory_peak_bytes", str(self.memory_peak))]
        try:
            if self.state_is_due:
                records.write_atomic(self.paths.state, self.state)
                self.state_is_due = False
            records.write_atomic(self.paths.heartbeat, pairs, durable=False)
        except OSError as error:
            self._complain("the heartbeat cannot be written", error)

    def _measure(self) -> None:
        if self.plan.cgroup is not None:
            cpu_ms, memory = self.plan.cgroup.cpu_milliseconds(), self.plan.cgroup.memory_peak_bytes()
        elif self.child is not None:
            cpu_ms, memory = procusage.tree_usage(self.child.pid)
        else:
            return
        self.cpu_ms = max(self.cpu_ms, cpu_ms)
        self.memory_peak = max(self.memory_peak, memory)

    def _note_state(self, **values: int | str) -> None:
        self.state = [pair for pair in self.state if pair[0] not in values]
        self.state += [(key, str(value)) for key, value in values.items()]
        try:
            records.write_atomic(self.paths.state, self.state)
        except OSError as error:
            self.state_is_due = True
            self._complain("the state cannot be written", error)

    def _complain(self, what: str, error: OSError) -> None:
        """A full disk must not end the run: what could not be written is written at the next heartbeat."""
        if what not in self.complaints:
            self.complaints.add(what)
            try:
                os.write(2, f"{what}: {error}\n".encode("utf-8", "replace"))
            except OSError:
                return

    def _open_poke(self) -> int:
        if not os.path.exists(self.paths.poke):
            os.mkfifo(self.paths.poke, 0o600)
        return os.open(self.paths.poke, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _finish(self, child: Child) -> None:
        """The sandbox's outermost process has ended: make sure that all is gone, then write how it ended."""
        _, status, usage = os.wait4(child.pid, 0)
        self.seen.exit_status = os.waitstatus_to_exitcode(status)
        self.seen.began = self.started_ms is not None
        for _ in range(_LAST_READS):
            self._read_events(child.event_fd)
        if self.plan.cgroup is not None:
            self.plan.cgroup.kill_all(_KILL_SECONDS)
            self.seen.out_of_memory_kills = self.plan.cgroup.out_of_memory_kills()
        else:
            self.cpu_ms = max(self.cpu_ms, int((usage.ru_utime + usage.ru_stime) * 1000))
            self.memory_peak = max(self.memory_peak, usage.ru_maxrss * 1024)
        self._measure()
        for _ in range(_LAST_READS):
            self.log.pump(child.log_fd)
        self.seen.head = self.log.head.decode("utf-8", "replace")
        self._write_exit(decide(self.seen))

    def _write_exit(self, verdict: Verdict) -> None:
        self.log.close()
        pairs = [
            ("reason", verdict.reason),
            ("ended_ms", str(max(now_ms(), self.started_ms or 0))),
            ("cpu_ms", str(self.cpu_ms)),
            ("memory_peak_bytes", str(self.memory_peak)),
        ]
        optional = {
            "started_ms": self.started_ms,
            "exit_code": verdict.exit_code,
            "signal": verdict.signal,
            "message": verdict.message,
        }
        pairs += [(key, str(value)) for key, value in optional.items() if value is not None]
        for socket in (self.plan.socket, self.plan.shell):
            if socket is not None:
                self._unlink(socket)
        while not self._record_exit(pairs):
            time.sleep(_HEARTBEAT_SECONDS)
        if self.plan.cgroup is not None:
            self.plan.cgroup.remove()
        self._unlink(self.paths.poke)

    def _unlink(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def _record_exit(self, pairs: records.Pairs) -> bool:
        """True when the end is written, or the run's folder is gone and nobody will ever read it."""
        try:
            records.write_once(self.paths.exit, pairs)
        except FileNotFoundError:
            return True
        except OSError as error:
            self._complain("the exit record cannot be written", error)
            return False
        return True
