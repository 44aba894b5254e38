"""Starts the sandbox: control group, limits, mounts that root must prepare, then ``setpriv`` → ``bwrap`` → init."""

import fcntl
import os
import resource

from zhisuan.engines.local.sandbox.init import ARCHIVE_FD_FIRST, CONTROL_FD, EVENT_FD, LISTEN_FD, SHELL_FD
from zhisuan.engines.local.shim.plan import Plan

_SPARE_FD_FIRST = 200
"""Above every fixed number, so that moving descriptors into place never overwrites one that is still wanted."""


class Child:
    """The running sandbox as the supervisor holds it. ``pid`` is the outermost process, a child of the caller."""

    def __init__(self, pid: int, log_fd: int, event_fd: int, control_fd: int) -> None:
        self.pid = pid
        self.log_fd = log_fd
        self.event_fd = event_fd
        self.control_fd = control_fd


class LaunchFailed(Exception):
    """The sandbox could not be started; nothing of it is left."""


def launch(plan: Plan) -> Child:
    """Raises LaunchFailed or OSError."""
    log_read, log_write = os.pipe()
    event_read, event_write = os.pipe()
    control_read, control_write = os.pipe()
    error_read, error_write = os.pipe()
    error_write = _clear_of_fixed(error_write)
    if plan.uid is not None:
        os.fchown(log_write, plan.uid, plan.uid)
    inherited = {EVENT_FD: event_write, CONTROL_FD: control_read}
    if plan.socket is not None:
        inherited[LISTEN_FD] = _listen(plan.socket)
    if plan.shell is not None:
        inherited[SHELL_FD] = _listen(plan.shell)
    for index, archive in enumerate(plan.archives):
        inherited[ARCHIVE_FD_FIRST + index] = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    data = {name: _clear_of_fixed(_memory_file(name, text)) for name, text in plan.data}
    pid = os.fork()
    if pid == 0:
        try:
            _become_sandbox(plan, log_write, inherited, data)
        except BaseException as error:
            os.write(error_write, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000])
        finally:
            os._exit(127)
    for fd in (log_write, error_write, *inherited.values(), *data.values()):
        os.close(fd)
    with open(error_read, "rb") as file:
        failure = file.read().decode("utf-8", "replace")
    if failure:
        os.waitpid(pid, 0)
        raise LaunchFailed(failure)
    os.set_blocking(log_read, False)
    os.set_blocking(event_read, False)
    return Child(pid, log_read, event_read, control_write)


def _clear_of_fixed(fd: int) -> int:
    """The same open file under a number above every fixed one."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _SPARE_FD_FIRST)
    os.close(fd)
    return moved


def _listen(path: str) -> int:
    """A unix socket at ``path``, which may be longer than a socket's name can be: so it is named from its folder."""
    import socket

    folder, name = os.path.split(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(folder)
    try:
        if os.path.lexists(name):
            os.unlink(name)
        listener.bind(name)
        os.chmod(name, 0o600)
    finally:
        os.fchdir(here)
        os.close(here)
    listener.listen(4096)
    return listener.detach()


def _memory_file(name: str, text: str) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    with open(os.dup(fd), "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _become_sandbox(plan: Plan, log_write: int, inherited: dict[int, int], data: dict[str, int]) -> None:
    if plan.cgroup is not None:
        plan.cgroup.join()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = plan.open_files_max if hard == resource.RLIM_INFINITY else min(plan.open_files_max, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(0o022)
    os.setsid()
    if plan.stage_folder is not None:
        from zhisuan.engines.local.shim.stage import stage

        stage(plan.stage_folder, plan.stage)
    program = _place_descriptors(plan, log_write, inherited, data)
    os.chdir("/")
    os.execve(program[0], program, {})  # noqa: S606 - the plan's own command, no shell


def _place_descriptors(plan: Plan, log_write: int, inherited: dict[int, int], data: dict[str, int]) -> list[str]:
    """Put every descriptor where the sandbox expects it; returns the command line, which names some of them."""
    arguments = "".join(f"{value}\0" for value in _resolve(plan.bwrap, "bwrap_data", data))
    arguments_fd = _clear_of_fixed(_memory_file("bwrap", arguments))
    program = _resolve(plan.program, "program_data", {"bwrap": arguments_fd})
    for fd in (*data.values(), arguments_fd):
        os.set_inheritable(fd, True)
    moved = {target: _clear_of_fixed(fd) for target, fd in inherited.items()}
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    output = _clear_of_fixed(log_write)
    for target, fd in {0: null, 1: output, 2: output, **moved}.items():
        os.dup2(fd, target, inheritable=True)
    return program


def _resolve(pairs: list[tuple[str, str]], data_key: str, fds: dict[str, int]) -> list[str]:
    return [str(fds[value]) if key == data_key else value for key, value in pairs]
