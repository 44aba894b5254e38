"""The edge between discovery and the machine: everything that is read goes through a ``HostReader``."""

import contextlib
import os
import platform
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import psutil

ToolOutcome = Literal["exited", "missing", "timed_out", "failed_to_start", "overran"]
# Sixteen cards make some 10 KiB; a tool gone mad prints without end.
OUTPUT_BYTES_MAX = 4 * 1024**2
# A tool stuck in its driver cannot be killed: it is left alone after this.
_KILL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a tool's run ended; ``exit_code`` only when it exited by itself. ``overran``: it printed more than
    ``OUTPUT_BYTES_MAX`` and was ended."""

    outcome: ToolOutcome
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class HostBasics:
    """What the language run-time knows on every operating system."""

    hostname: str
    system: str
    release: str
    version: str
    architecture: str
    cores_logical: int
    cores_allowed: int
    memory_bytes: int


class HostReader(Protocol):
    """Reads one host. No method raises for something that is merely absent."""

    def basics(self) -> HostBasics: ...

    def read_text(self, path: str) -> str | None:
        """The file's text, or ``None`` when it is absent or closed to us."""
        ...

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Names in a folder, sorted; empty when it is absent or closed to us."""
        ...

    def disk_bytes(self, path: str) -> tuple[int, int] | None:
        """``(total, free)`` of the file system holding ``path``, or ``None`` when it cannot be told."""
        ...

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> ToolResult:
        """Run a tool found on the path, without a shell."""
        ...


class SystemHostReader:
    """This machine."""

    def basics(self) -> HostBasics:
        logical = os.cpu_count() or 1
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
        return HostBasics(
            hostname=platform.node() or "localhost",
            system=platform.system(),
            release=platform.release(),
            version=platform.version(),
            architecture=platform.machine(),
            cores_logical=logical,
            cores_allowed=allowed,
            memory_bytes=psutil.virtual_memory().total,
        )

    def read_text(self, path: str) -> str | None:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def list_dir(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(path)))
        except OSError:
            return ()

    def disk_bytes(self, path: str) -> tuple[int, int] | None:
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            return None
        return usage.total, usage.free

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> ToolResult:
        executable = shutil.which(command[0])
        if executable is None:
            return ToolResult("missing")
        # A tool's text is parsed, so it must not come translated.
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            process = subprocess.Popen(
                [executable, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return ToolResult("failed_to_start", stderr=str(error))
        return _attend(process, timeout_seconds)


def _attend(process: subprocess.Popen[bytes], timeout_seconds: float) -> ToolResult:
    """Read what it prints until it ends, its time is up or it has printed too much; then nothing of it is left to run."""
    until = time.monotonic() + timeout_seconds
    told: dict[int, bytearray] = {}
    outcome: ToolOutcome = "exited"
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None  # noqa: S101 - both were asked for
            told[pipe.fileno()] = bytearray()
            selector.register(pipe, selectors.EVENT_READ)
        order = list(told)
        while selector.get_map() and outcome == "exited":
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready and time.monotonic() >= until:
                outcome = "timed_out"
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                told[key.fd] += part
                if not part:
                    selector.unregister(key.fileobj)
            if sum(len(text) for text in told.values()) > OUTPUT_BYTES_MAX:
                outcome = "overran"
    code = None
    if outcome == "exited":
        try:
            code = process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            outcome = "timed_out"
    if outcome != "exited":
        _end(process)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if outcome != "exited":
        return ToolResult(outcome)
    stdout, stderr = (told[fd].decode("utf-8", "replace") for fd in order)
    return ToolResult("exited", code, stdout, stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILL_SECONDS)


_RECORDED_BASICS = HostBasics("recorded", "Linux", "6.1.0", "#1 SMP", "x86_64", 1, 1, 1024**3)


@dataclass(frozen=True, slots=True)
class RecordedHostReader:
    """A host written down: files by path, tools by their whole command line. What is not written is absent."""

    files: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[tuple[str, ...], ToolResult] = field(default_factory=dict)
    disks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    host: HostBasics = _RECORDED_BASICS

    def basics(self) -> HostBasics:
        return self.host

    def read_text(self, path: str) -> str | None:
        return self.files.get(path)

    def list_dir(self, path: str) -> tuple[str, ...]:
        prefix = path.rstrip("/") + "/"
        return tuple(sorted({name[len(prefix) :].split("/")[0] for name in self.files if name.startswith(prefix)}))

    def disk_bytes(self, path: str) -> tuple[int, int] | None:
        return self.disks.get(path)

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> ToolResult:
        return self.tools.get(tuple(command), ToolResult("missing"))
