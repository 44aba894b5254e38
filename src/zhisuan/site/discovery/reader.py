"""The edge between discovery and the machine: everything that is read goes through a ``HostReader``."""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import psutil

ToolOutcome = Literal["exited", "missing", "timed_out", "failed_to_start"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a tool's run ended; ``exit_code`` only when it exited by itself."""

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
            done = subprocess.run(
                [executable, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_seconds,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ToolResult("timed_out")
        except OSError as error:
            return ToolResult("failed_to_start", stderr=str(error))
        return ToolResult(
            "exited",
            done.returncode,
            done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"),
        )


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
