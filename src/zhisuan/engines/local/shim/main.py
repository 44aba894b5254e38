"""Claims one run and becomes its supervisor: a process of its own session that outlives whoever started it.

Called as ``python -I -S -c '…' RUN_FOLDER``. Ends with 0 as soon as the run is claimed (by this call or an earlier
one); the supervisor goes on in the background. Any other end means that the run did not begin; the reason is on stderr.
"""

import fcntl
import os
import sys

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.shim.plan import Plan


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def main(folder: str) -> None:
    paths = RunPaths(folder)
    lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if os.fstat(lock).st_nlink == 0 or os.path.exists(paths.state) or os.path.exists(paths.exit):
        return
    pairs = records.read(paths.plan)
    if pairs is None:
        sys.exit(f"{paths.plan}: no plan to run")
    ready_read, ready_write = os.pipe()
    if os.fork():
        os.close(ready_write)
        if os.read(ready_read, 1) != b"1":
            sys.exit(f"the supervisor ended before it began; see {paths.errors}")
        os._exit(0)
    os.close(ready_read)
    try:
        _supervise(Plan(pairs), paths, ready_write)
    finally:
        os._exit(0)


def _supervise(plan: Plan, paths: RunPaths, ready_fd: int) -> None:
    from zhisuan.engines.local.shim.supervise import Supervisor, now_ms

    os.setsid()
    os.umask(0o077)
    _detach_output(paths.errors)
    try:
        if plan.supervisors is not None:
            _join(plan.supervisors)
        state = [
            ("phase", "preparing"),
            ("claimed_ms", str(now_ms())),
            ("boot_id", boot_id()),
            ("supervisor_pid", str(os.getpid())),
            *plan.cgroup_pairs,
        ]
        records.write_atomic(paths.state, state)
        supervisor = Supervisor(plan, paths, state)
        os.write(ready_fd, b"1")
        os.close(ready_fd)
        supervisor.run()
    except BaseException:
        import traceback

        traceback.print_exc()
        raise


def _join(group: str) -> None:
    """Leave the agent's control group, so that ending the agent's service leaves the runs alone."""
    try:
        with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    except OSError as error:
        sys.stderr.write(f"{group}: {error}\n")


def _detach_output(path: str) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    errors = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, null), (1, null), (2, errors)):
        os.dup2(source, target, inheritable=True)
    os.close(null)
    os.close(errors)
