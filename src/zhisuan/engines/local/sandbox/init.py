"""The first process inside the sandbox: unpacks, runs ``setup`` and ``run``, forwards the stop, reports to the supervisor.

It is process 1 of the sandbox's own process namespace: when it ends, for whatever reason, the kernel kills all the
rest. Without a sandbox (``pid1`` is 0) it answers for its process group only.

Supervisor → here: one pipe; ``T<seconds>`` means SIGTERM to all, with so long a grace, and then the hook; ``G`` that a rank of
several may begin; its end means that the supervisor is dead.
Here → supervisor: one pipe of record lines: ``hello``, ``refused=why``, ``ready``, ``setup``, ``run``,
``exit=phase code signal``.
"""

import os
import select

from zhisuan.engines.local import records

EVENT_FD = 3
CONTROL_FD = 4
LISTEN_FD = 5
SHELL_FD = 6
ARCHIVE_FD_FIRST = 7
SHELLS_MAX = 8
"""At once, in one sandbox: each is a process or two of the work's own number."""

_SIGHUP, _SIGKILL, _SIGPIPE, _SIGTERM, _SIGXFSZ = 1, 9, 13, 15, 25
_TICK_MS = 1000
_STOPPING_TICK_MS = 20


class Job:
    """The job record the engine wrote for this sandbox; see ``plan.py`` for its keys."""

    def __init__(self, pairs: records.Pairs) -> None:
        single = dict(pairs)
        self.work = single["work"]
        self.bash = single["bash"]
        self.run = single["run"]
        self.setup = single.get("setup")
        self.on_stop = single.get("on_stop")
        self.port = int(single["port"]) if "port" in single else None
        self.pid1 = single["pid1"] == "1"
        self.shells = "shells" in single
        self.waits = "waits" in single
        self.archive_bytes_max = int(single["archive_bytes_max"])
        self.archive_entries_max = int(single["archive_entries_max"])
        self.processes_max = int(single["processes_max"]) if "processes_max" in single else None
        self.archives = [value.split("\t", 2) for key, value in pairs if key == "archive"]
        self.env = dict(value.split("=", 1) for key, value in pairs if key == "env")


def _event(name: str, text: str = "") -> None:
    os.write(EVENT_FD, records.encode([(name, text)]))


class Init:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.stopping = False
        self.hook: int | None = None
        self.may_begin = not job.waits
        self.main: int | None = None
        self.main_status: int | None = None
        self.relay: int | None = None
        self.shells: set[int] = set()
        self.poll = select.poll()
        self.poll.register(CONTROL_FD, select.POLLIN | select.POLLHUP)
        if job.shells:
            self.poll.register(SHELL_FD, select.POLLIN)

    def work(self) -> None:
        """Everything, in order; returns when the sandbox may end."""
        _event("hello")
        if self.job.archives and not self._unpack():
            return
        if self.job.waits:
            _event("ready")
        self._look(0)
        while not (self.may_begin or self.stopping):
            self._look(_TICK_MS)
        if self.job.setup and not self.stopping:
            _event("setup")
            code, signal = self._script(self.job.setup, stop_at_error=True)
            if (code, signal) != (0, 0):
                _event("exit", f"setup {code} {signal}")
                return
        if not self.stopping:
            _event("run")
            code, signal = self._script(self.job.run, stop_at_error=False)
            _event("exit", f"run {code} {signal}")
        if self.stopping:
            self._wait_for_the_others()

    def _unpack(self) -> bool:
        from zhisuan.engines.local.sandbox.unpack import ArchiveRefused, Budget, open_folder, split_name, unpack

        budget = Budget(self.job.archive_bytes_max, self.job.archive_entries_max)
        for index, (name, base, below) in enumerate(self.job.archives):
            base_fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                target_fd = open_folder(base_fd, split_name(below))
                try:
                    unpack(ARCHIVE_FD_FIRST + index, target_fd, budget)
                finally:
                    os.close(target_fd)
            except ArchiveRefused as error:
                _event("refused", f"{name}: {error}")
                return False
            finally:
                os.close(base_fd)
        return True

    def _script(self, path: str, *, stop_at_error: bool) -> tuple[int, int]:
        """(exit code, signal) of one bash script; one of the two is 0."""
        arguments = ["bash", *(["-e"] if stop_at_error else []), path]
        self.main_status = None
        self.main = os.posix_spawn(self.job.bash, arguments, self.job.env, setsid=True, setsigdef=[_SIGPIPE, _SIGXFSZ])
        ended = os.pidfd_open(self.main)
        self.poll.register(ended, select.POLLIN)
        try:
            while self.main_status is None:
                self._keep_relay()
                self._look(_TICK_MS)
                self._reap()
        finally:
            self.poll.unregister(ended)
            os.close(ended)
        if not self.job.pid1:
            self._signal_all(_SIGKILL)
        if os.WIFSIGNALED(self.main_status):
            return 0, os.WTERMSIG(self.main_status)
        return os.WEXITSTATUS(self.main_status), 0

    def _look(self, timeout_ms: int) -> None:
        """Wait for the supervisor's word, for one who wants a shell, or for the main process's end."""
        for fd, _ in self.poll.poll(timeout_ms):
            if fd == SHELL_FD:
                self._open_shell()
            if fd == CONTROL_FD:
                said = os.read(CONTROL_FD, 64)
                if not said:
                    self._signal_all(_SIGKILL)
                    os._exit(0)
                self.may_begin = self.may_begin or b"G" in said
                if b"T" in said:
                    self.stopping = True
                    self._signal_all(_SIGTERM)
                    self._run_hook(said.rpartition(b"T")[2].strip(b"G").decode("ascii", "replace"))

    def _run_hook(self, grace_seconds: str) -> None:
        """The tenant's own script for a stop, once, beside work that has begun; after SIGTERM, so that it is not hit by it."""
        if self.job.on_stop is None or self.main is None or self.hook is not None:
            return
        env = {**self.job.env, "ZHISUAN_GRACE_SECONDS": grace_seconds}
        self.hook = os.posix_spawn(
            self.job.bash, ["bash", self.job.on_stop], env, setsid=True, setsigdef=[_SIGPIPE, _SIGXFSZ]
        )

    def _signal_all(self, signal: int) -> None:
        """To all processes of the sandbox but this one; without a sandbox, to the script's process group."""
        try:
            if self.job.pid1:
                os.kill(-1, signal)
            elif self.main is not None:
                os.killpg(self.main, signal)
        except ProcessLookupError:
            return

    def _reap(self) -> bool:
        """Collect what has ended; False when there are no children at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main:
                self.main_status = status
            elif pid == self.relay:
                self.relay = None
            self.shells.discard(pid)

    def _wait_for_the_others(self) -> None:
        """After a stop, background processes have the rest of the grace too; the supervisor cuts it short. Nobody's shell keeps
        the work: its end is the end of them."""
        if self.relay is not None:
            os.kill(self.relay, _SIGKILL)
        if self.job.shells:
            self.poll.unregister(SHELL_FD)
        for pid in self.shells:
            os.kill(pid, _SIGHUP)
        while self._reap():
            self._look(_STOPPING_TICK_MS)

    def _keep_relay(self) -> None:
        """Start the relay, and again if the work killed it (``pkill python`` is a habit)."""
        if self.job.port is None or self.relay is not None or self.stopping:
            return
        try:
            pid = os.fork()
        except OSError:
            return
        if pid:
            self.relay = pid
            return
        try:
            os.close(EVENT_FD)
            os.close(CONTROL_FD)
            from zhisuan.engines.local.sandbox.relay import serve

            serve(LISTEN_FD, self.job.port)
        finally:
            os._exit(1)

    def _open_shell(self) -> None:
        """Take one connection from outside and leave it to a process of its own."""
        from zhisuan.engines.local.sandbox import shell

        connection = shell.accept(SHELL_FD)
        if connection is None:
            return
        try:
            if len(self.shells) >= SHELLS_MAX:
                shell.refuse(connection, "too_many")
            elif pid := os.fork():
                self.shells.add(pid)
            else:
                self._become_shell(connection)
        except OSError:
            shell.refuse(connection, "no_process")
        finally:
            os.close(connection)

    def _become_shell(self, connection: int) -> None:
        """Does not return. Of what init holds only the connection is kept."""
        try:
            for fd in (EVENT_FD, CONTROL_FD, SHELL_FD, *([LISTEN_FD] if self.job.port is not None else [])):
                os.close(fd)
            from zhisuan.engines.local.sandbox.shell import serve

            serve(connection, self.job.bash, self.job.env)
        finally:
            os._exit(0)


def _limit_processes(count: int) -> None:
    """A second line where no control group counts processes: the kernel counts them per user namespace."""
    import resource

    resource.setrlimit(resource.RLIMIT_NPROC, (count, count))


def main(job_path: str) -> None:
    pairs = records.read(job_path)
    if pairs is None:
        raise SystemExit(f"{job_path}: no job record")
    job = Job(pairs)
    archive_fds = range(ARCHIVE_FD_FIRST, ARCHIVE_FD_FIRST + len(job.archives))
    listeners = [*([LISTEN_FD] if job.port is not None else []), *([SHELL_FD] if job.shells else [])]
    for fd in (EVENT_FD, CONTROL_FD, *listeners, *archive_fds):
        os.set_inheritable(fd, False)
    os.umask(0o022)
    os.chdir(job.work)
    if job.processes_max is not None:
        _limit_processes(job.processes_max)
    Init(job).work()
