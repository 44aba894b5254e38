"""Tools as they misbehave, run for real: each ends in time, is told apart, and leaves no process behind."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from zhisuan.site.discovery.reader import OUTPUT_BYTES_MAX, SystemHostReader, ToolResult


def tool(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "some-smi"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def run(timeout_seconds: float = 20.0) -> ToolResult:
    return SystemHostReader().run(("some-smi", "-q"), timeout_seconds=timeout_seconds)


def alive(pid_file: Path) -> bool:
    """Whether the process that wrote its id still runs; it is given a moment to be taken away."""
    pid = int(pid_file.read_text())
    until = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return True
        time.sleep(0.02)
    return False


def test_a_tool_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(
        tmp_path,
        "import os, sys; print(sys.argv[1], os.environ['LC_ALL']); sys.stderr.write('é'); sys.exit(3)",
        monkeypatch,
    )
    assert run() == ToolResult("exited", 3, "-q C\n", "é")


def test_a_tool_that_is_not_installed() -> None:
    assert SystemHostReader().run(("no-such-smi",), timeout_seconds=1) == ToolResult("missing")


def test_a_tool_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some-smi").write_bytes(b"\x7fELF of another world")
    (tmp_path / "some-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run().outcome == "failed_to_start"


HANGS = "import os, time; open({pid!r}, 'w').write(str(os.getpid())); time.sleep(600)"


def test_a_tool_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "print('half a table', flush=True)\n" + HANGS.format(pid=str(tmp_path / "pid")), monkeypatch)
    began = time.monotonic()
    assert run(1.0) == ToolResult("timed_out")
    assert time.monotonic() - began < 10
    assert not alive(tmp_path / "pid")


def test_what_a_tool_started_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that holds the output open keeps nobody waiting."""
    child = HANGS.format(pid=str(tmp_path / "pid"))
    tool(tmp_path, f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])", monkeypatch)
    assert run(2.0) == ToolResult("timed_out")
    assert not alive(tmp_path / "pid")


def test_a_tool_that_prints_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "import os\nwhile True: os.write(2, b'error\\n' * 4096)", monkeypatch)
    assert run(60.0) == ToolResult("overran")


def test_much_output_is_taken_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = OUTPUT_BYTES_MAX // 2
    tool(tmp_path, f"import sys; sys.stdout.write('x' * {size}); sys.stderr.write('y' * 100)", monkeypatch)
    found = run()
    assert (found.exit_code, len(found.stdout), len(found.stderr)) == (0, size, 100)
