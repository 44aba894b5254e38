"""A shell beside a run is inside its sandbox, has no more than the run has, and leaves nothing behind."""

import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import WAIT_SECONDS, Harness, spec, wait_for
from local_engine import needs_bwrap, needs_root, sandbox_harness
from shell_client import ShellClient, run

from zhisuan.base import shells
from zhisuan.base.shells import Channel
from zhisuan.engines.contract import ExitReason, RunPhase
from zhisuan.engines.local.sandbox import init, shell

pytestmark = [needs_bwrap, needs_root]


COMPARE = r"""
for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' < $p/cmdline)" = "the-work 600 " ] && break; done
stat -c %u $p
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp)' $p/status
for n in user mnt pid net ipc uts; do [ $(readlink $p/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo differs $n; done
cmp $p/cgroup /proc/self/cgroup && echo same-group
cmp $p/limits /proc/self/limits && echo same-limits
"""
"""What a process of the work is, beside what the shell is."""


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with sandbox_harness(tmp_path / "engine") as harness:
        yield harness


def begin(harness: Harness, script: str = "echo mine > f; exec -a the-work sleep 600", **changes: object) -> Path:
    harness.engine.start(spec(f"echo up-and-running; {script}", **changes))
    harness.said("up-and-running")
    path = harness.engine.shell_socket("lease_a", 1, 0)
    assert path is not None
    return path


def processes_of(word: str) -> list[int]:
    """Of the whole host."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(name))
    return found


def test_both_ends_say_the_same() -> None:
    names = ("STDIN", "STDOUT", "STDERR", "EXIT", "START", "SIZE", "END", "TROUBLE")
    assert {n: getattr(shell, n) for n in names} == {c.name: c.value for c in Channel}
    assert shells.PAYLOAD_BYTES_MAX == shell.PAYLOAD_BYTES_MAX
    assert shell.frame(3, b"7") == shells.frame(3, b"7")


def test_it_sees_the_files_processes_and_environment_of_the_work(harness: Harness) -> None:
    path = begin(harness, env={"COLOUR": "blue", "TOKEN": "s3cret"})
    _, out, _ = run(path, "bash", "-c", "cat f; pwd; echo $COLOUR $TOKEN $TERM; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert b"mine\n/work\nblue s3cret dumb\n" in out and b"the-work" in out
    assert run(path, "bash", "-c", "echo theirs > g")[0] == 0
    assert run(path, "cat", "g")[1] == b"theirs\n"


def test_status_output_errors_and_input_are_those_of_the_command(harness: Harness) -> None:
    path = begin(harness)
    assert run(path, "bash", "-c", "echo out; echo err >&2; exit 7") == (7, b"out\n", b"err\n")
    assert run(path, "bash", "-c", "kill -9 $$")[0] == 137
    assert run(path, "no-such-thing")[0] == 127
    assert run(path, "/etc/hosts")[0] == 126
    data = os.urandom(3_000_000)
    status, out, _ = run(path, "sha256sum", given=data)
    assert (status, out.split()[0].decode()) == (0, hashlib.sha256(data).hexdigest())
    status, out, _ = run(path, "head", "-c", "5000000", "/dev/zero")
    assert (status, len(out)) == (0, 5_000_000)
    client = ShellClient(path, ["true"])
    for start in range(0, len(data), 1 << 15):  # input that nobody reads holds nothing up, and does not cut off who sends it
        client.send(Channel.STDIN, data[start : start + (1 << 15)])
    assert client.end() == {Channel.EXIT: b"0"}
    mark = f"600.{os.getpid()}"
    assert run(path, "bash", "-c", f"sleep {mark} & echo done")[:2] == (0, b"done\n")
    wait_for(lambda: processes_of(mark), lambda left: not left)


def test_without_a_command_it_is_a_shell_that_reads_its_input(harness: Harness) -> None:
    path = begin(harness)
    client = ShellClient(path)
    client.type("echo $((6*7)); exit 3\n")
    said = client.end()
    assert (said[Channel.STDOUT], said[Channel.EXIT]) == (b"42\n", b"3")


def test_a_terminal_has_a_size_heeds_ctrl_c_and_takes_utf8(harness: Harness) -> None:
    path = begin(harness)
    client = ShellClient(path, terminal=(30, 100))
    client.type("stty size; echo 你好 $((40+2)); tty\r")
    client.until(b"30 100\r\n")
    client.until("你好 42".encode())
    client.until(b"/dev/pts/")
    client.resize(33, 111)
    client.type("stty size\r")
    client.until(b"33 111\r\n")
    client.type("sh -c 'echo sleep''ing; exec sleep 100'\r")
    client.until(b"sleeping\r\n")
    client.type("\x03")
    client.type("echo st=$?\r")
    client.until(b"st=130\r\n")
    client.type("exit 9\r")
    assert client.end()[Channel.EXIT] == b"9"


def test_it_has_no_more_rights_than_the_work(harness: Harness) -> None:
    path = begin(harness)
    _, out, _ = run(
        path, "bash", "-c", "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp|NSpid)' /proc/self/status; cat /proc/self/cgroup"
    )
    _, work, _ = run(path, "bash", "-c", COMPARE)
    lines = out.decode().splitlines()
    assert int(lines[0]) >= 200_000 and "CapEff:\t0000000000000000" in lines and "NoNewPrivs:\t1" in lines
    assert work.decode().splitlines()[0] == lines[0]
    assert b"differs" not in work and b"same-group" in work and b"same-limits" in work
    assert set(work.decode().splitlines()[1:4]) <= set(lines)
    for path_of_host in ("/etc/shadow", "/root", str(harness.engine.artifacts_dir("lease_a", 1))):
        assert run(path, "cat", path_of_host)[0] != 0
    assert run(path, "bash", "-c", "mount -t tmpfs x /mnt || unshare -Ur true")[0] != 0
    assert run(path, "bash", "-c", "kill -9 1; sleep 0.1; echo alive")[1] == b"alive\n"
    assert run(path, "bash", "-c", "ls -l /proc/self/fd | grep -c -E 'socket|pipe'")[1] in (b"3\n", b"4\n"), "nothing of init's is handed on"
    assert harness.engine.observe("lease_a", 1).phase is RunPhase.running


def test_its_memory_is_the_works(harness: Harness) -> None:
    path = begin(harness, memory_mib=128)
    client = ShellClient(path, ["python3", "-c", "x = bytearray(10**9)"])
    client.end()
    ended = harness.ended()
    assert ended.reason is ExitReason.out_of_memory


def test_a_client_that_goes_ends_its_shell_and_all_it_started(harness: Harness) -> None:
    path = begin(harness)
    mark = f"{os.getpid()}.5"
    for terminal in ((24, 80), None):
        client = ShellClient(path, ["bash", "-c", f"trap '' HUP; nohup sleep 60{mark} & sleep 61{mark} & echo on; wait"], terminal=terminal)
        client.until(b"on")
        wait_for(lambda: processes_of(mark), lambda there: len(there) >= 3)
        client.socket.close()
        begun = time.monotonic()
        wait_for(lambda: processes_of(mark), lambda left: not left)
        assert time.monotonic() - begun < 6
    assert harness.engine.observe("lease_a", 1).phase is RunPhase.running


def test_an_open_shell_keeps_no_work(harness: Harness) -> None:
    path = begin(harness, "sleep 1.5; exit 4")
    client = ShellClient(path, terminal=(24, 80))
    client.type("sleep 600\r")
    ended = harness.ended()
    assert (ended.reason, ended.exit_code) == (ExitReason.failed, 4)
    assert Channel.EXIT not in client.end()
    assert not path.exists()


def test_a_stop_waits_for_no_shell(harness: Harness) -> None:
    path = begin(harness, "trap 'exit 0' TERM; sleep 600 & wait")
    client = ShellClient(path, ["bash", "-c", "trap '' TERM HUP; echo on; while :; do sleep 1; done"], terminal=(24, 80))
    client.until(b"on")
    begun = time.monotonic()
    harness.engine.stop("lease_a", 1, 60)
    assert harness.ended().reason is ExitReason.cancelled
    assert time.monotonic() - begun < 15, "the grace is for the work, not for a shell"
    client.end()


def test_there_is_a_bound_and_it_is_said(harness: Harness) -> None:
    path = begin(harness)
    held = [ShellClient(path, ["bash", "-c", "echo on; sleep 600"]) for _ in range(init.SHELLS_MAX)]
    for client in held:
        client.until(b"on")
    assert ShellClient(path, ["true"]).end() == {Channel.TROUBLE: b"too_many"}
    held.pop().socket.close()
    wait_for(lambda: ShellClient(path, ["true"]).end(), lambda said: Channel.EXIT in said)
    for client in held:
        client.socket.close()


def test_nonsense_ends_the_shell_and_nothing_else(harness: Harness) -> None:
    path = begin(harness)
    wrong = (b"GET / HTTP/1.1\r\n\r\n", shell.frame(4, b"[1]"), shell.frame(4, b"{"), shell.frame(4, b'{"terminal": [null, {}]}'), b"\x04\xff\xff\xff\xff")
    for said in wrong:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(WAIT_SECONDS)
            client.connect(str(path))
            client.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
    assert run(path, "true")[0] == 0


def test_it_is_there_while_the_setup_runs_and_gone_with_the_run(harness: Harness) -> None:
    harness.engine.start(spec("true", setup="echo up; until [ -e go ]; do sleep 0.05; done"))
    harness.said("up")
    path = harness.engine.shell_socket("lease_a", 1, 0)
    assert path is not None and run(path, "touch", "go")[0] == 0
    assert harness.ended().reason is ExitReason.completed
    assert not path.exists() and harness.engine.shell_socket("lease_a", 1, 3) is None
