"""What work inside the sandbox cannot do. Each test runs an attempt inside and looks at what came of it."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_conformance import Harness, pack, spec, wait_for
from local_engine import group_folders, needs_bwrap, needs_root, sandbox_harness

from zhisuan.engines.contract import AcceleratorGrant, ExitReason, FileMount, NodeGrant, RunPhase
from zhisuan.engines.errors import InvalidSpec
from zhisuan.engines.local import accelerators
from zhisuan.engines.node_env import node_variables

pytestmark = [needs_bwrap, needs_root]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with sandbox_harness(tmp_path / "engine") as harness:
        yield harness


def attempt(harness: Harness, script: str, **changes: object) -> str:
    """The output of a script that must itself run to its end."""
    seen = harness.run(script, **changes)
    assert seen.reason is ExitReason.completed, (seen, harness.log())
    return harness.log()


def test_the_work_is_not_root_and_has_no_power_to_become_it(harness: Harness) -> None:
    said = attempt(harness, "id -u; id -G; grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status")
    lines = said.splitlines()
    assert int(lines[0]) >= 200_000
    assert lines[1] == lines[0]
    assert {line.split()[1] for line in lines[2:] if line.startswith("Cap")} == {"0000000000000000"}
    assert "NoNewPrivs:\t1" in said


def test_the_process_is_a_stranger_on_the_host_too(harness: Harness) -> None:
    harness.engine.start(spec("id -u; sleep 600 & wait"))
    uid = int(wait_for(harness.log, lambda log: log.endswith("\n")))
    owners = {
        line.split()[1]
        for status in Path("/proc").glob("[0-9]*/status")
        for line in _lines(status)
        if line.startswith("Uid:") and line.split()[1] == str(uid)
    }
    assert owners == {str(uid)}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def test_each_run_has_a_user_id_of_its_own(harness: Harness) -> None:
    names = ("lease_a", "lease_b", "lease_c")
    for name in names:
        harness.engine.start(spec("id -u; sleep 600", lease_id=name))
    uids = set()
    for name in names:
        harness.said("\n", name)
        uids.add(harness.log(name))
    assert len(uids) == 3


def test_the_hosts_secrets_and_people_are_not_there(harness: Harness) -> None:
    said = attempt(
        harness,
        "cat /etc/shadow /etc/ssh/* /etc/hostname /etc/machine-id 2>&1; ls /root /home /var /etc; cat /etc/passwd; hostname",
    )
    assert "root:x:0:0" in said
    assert "$6$" not in said
    assert "$y$" not in said
    assert "shadow: No such file" in said
    assert socket.gethostname() not in said.splitlines()
    assert {line.split(":")[0] for line in said.splitlines() if line.count(":") == 6} == {"root", "job", "nobody"}


def test_nothing_of_the_engine_or_of_other_runs_is_there(harness: Harness, tmp_path: Path) -> None:
    harness.engine.start(spec("echo secret > mine; sleep 600", lease_id="lease_b"))
    harness.until(lambda seen: seen.phase is RunPhase.running, "lease_b")
    root = tmp_path / "engine"
    said = attempt(
        harness,
        f"for p in {root} {tmp_path} /run/zhisuan/uids /run/zhisuan/sockets /run/zhisuan/stage; do [ -e $p ] && echo SEEN $p; "
        "done; grep -rl secret / --include=mine --exclude-dir=proc 2>/dev/null; echo end",
    )
    assert said == "end\n"


def test_the_hosts_processes_are_not_there(harness: Harness) -> None:
    said = attempt(
        harness,
        "ls /proc | grep -c '^[0-9]'; cat /proc/1/cmdline | tr '\\0' ' '; kill -9 1; kill -0 1 2>&1; echo alive",
    )
    assert int(said.splitlines()[0]) <= 8
    assert "sandbox.init" in said
    assert said.endswith("alive\n")


def test_there_is_no_way_to_a_network(harness: Harness) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    name = f"zhisuan-test-{os.getpid()}"
    abstract.bind(f"\0{name}")
    abstract.listen()
    try:
        port = listener.getsockname()[1]
        said = attempt(
            harness,
            "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '\n"
            "python3 - <<'P'\n"
            "import socket\n"
            "def t(family, to):\n"
            "    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(3)\n"
            "    try: s.connect(to); print('connected', to)\n"
            "    except OSError as e: print('no', e.errno)\n"
            f"t(socket.AF_INET, ('127.0.0.1', {port}))\n"
            "t(socket.AF_INET, ('192.0.2.1', 80))\n"
            f"t(socket.AF_UNIX, '\\0{name}')\n"
            "P",
        )
    finally:
        listener.close()
        abstract.close()
    assert said.splitlines()[0] == "lo"
    assert "connected" not in said
    assert said.count("no ") == 3


def test_the_operator_may_give_the_hosts_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, sandbox_harness(tmp_path / "e", network="host") as harness:
        port = listener.getsockname()[1]
        code = f"import socket; socket.create_connection(('localhost', {port}), 5); print('connected')"
        assert attempt(harness, f'python3 -c "{code}"') == "connected\n"


def test_loopback_works_inside(harness: Harness) -> None:
    said = attempt(
        harness,
        "python3 -c \"import socket; s=socket.create_server(('127.0.0.1',80 + 8000)); "
        "c=socket.create_connection(('localhost', 8080)); print('ok', socket.gethostbyname(socket.gethostname()))\"",
    )
    assert said == "ok 127.0.0.1\n"


def test_no_user_namespace_can_be_made(harness: Harness) -> None:
    said = attempt(
        harness, "unshare --user true 2>&1; unshare --mount true 2>&1; cat /proc/sys/user/max_user_namespaces; echo end"
    )
    assert said.count("unshare failed") == 2


def test_nothing_can_be_written_outside_the_runs_own_places(harness: Harness) -> None:
    places = "/ /usr /usr/bin /etc /var /root /run /run/zhisuan /run/zhisuan/lib /proc/sys/kernel /sys /lib/modules /dev/../x"
    said = attempt(
        harness,
        f"for p in {places}; do (echo x > $p/probe) 2>/dev/null && echo WROTE $p; done; "
        "for p in /work /artifacts /tmp /dev/shm; do (echo x > $p/probe) && echo own $p; done; "
        "echo x > /run/zhisuan/run.sh || true; rm -f /etc/passwd /run/zhisuan/job; ls /etc/passwd",
    )
    assert "WROTE" not in said
    assert [line for line in said.splitlines() if line.startswith("own")] == [
        "own /work",
        "own /artifacts",
        "own /tmp",
        "own /dev/shm",
    ]
    assert "/etc/passwd\n" in said
    assert not Path("/tmp/probe").exists()


def test_the_platforms_python_is_there_to_read_and_not_to_change(tmp_path: Path) -> None:
    """A virtual environment under a folder closed to others, as under /root, is seen at its own path."""
    closed = tmp_path / "closed"
    venv = closed / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "hello").write_text("#!/bin/sh\necho hello from the prefix\n")
    (venv / "bin" / "hello").chmod(0o755)
    closed.chmod(0o700)
    with sandbox_harness(tmp_path / "engine", runtime_prefixes=(venv,)) as harness:
        said = attempt(harness, f"hello; which hello; echo x > {venv}/bin/hello || echo refused; ls {tmp_path}")
    assert said.splitlines()[:2] == ["hello from the prefix", f"{venv}/bin/hello"]
    assert "refused" in said
    assert said.splitlines()[-1] == "closed"
    assert (venv / "bin" / "hello").read_text().startswith("#!/bin/sh\necho hello")


def test_the_agents_environment_does_not_leak(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHISUAN_SITE_CREDENTIAL", "very-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    said = attempt(harness, "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'", env={"MINE": "1"})
    assert "very-secret" not in said
    names = {line.split("=")[0] for line in said.splitlines()}
    assert names <= {
        "MINE", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "PYTHONUNBUFFERED", "OMP_NUM_THREADS", "PWD",
        "SHLVL", "_", "ZHISUAN_LEASE_ID", "ZHISUAN_GENERATION", "ZHISUAN_CPUS_MILLI", "ZHISUAN_MEMORY_MIB", "ZHISUAN_ARTIFACTS", "ZHISUAN_CHECKPOINT",
        "ZHISUAN_PROGRESS", "OLDPWD", "LC_CTYPE", *node_variables(spec("true"), 0, ["127.0.0.1"]),
        *(name for vendor in accelerators._VENDORS.values() for name in vendor.seen),
    }  # fmt: skip


def test_secrets_in_the_environment_are_on_no_command_line(harness: Harness) -> None:
    harness.engine.start(spec("echo up; sleep 600", env={"TOKEN": "env-secret-4711"}))
    harness.said("up")
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    assert not any(b"env-secret-4711" in line for line in lines)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_no_descriptor_of_the_supervisor_leaks(harness: Harness, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tgz", {"f": "x"})
    said = attempt(
        harness, "ls -l /proc/self/fd | grep -v total; ls -l /proc/$$/fd | grep -v total", workdir_archive=archive
    )
    targets = {line.split(" -> ")[1].split(":")[0].split(" ")[0] for line in said.splitlines() if " -> " in line}
    assert {target for target in targets if not target.startswith("/proc/")} == {
        "/dev/null",
        "pipe",
        "/run/zhisuan/run.sh",
    }


def test_standard_output_can_be_opened_by_name(harness: Harness) -> None:
    assert attempt(harness, "echo a > /dev/stdout; echo b > /dev/stderr; echo c >> /proc/self/fd/1") == "a\nb\nc\n"


def test_no_device_of_the_host_is_there(harness: Harness) -> None:
    said = attempt(harness, "ls /dev; mknod /tmp/mem c 1 1 2>&1; true")
    devices = set(said.split("mknod")[0].split())
    assert devices <= {
        "console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    }  # fmt: skip
    assert "Operation not permitted" in said


@pytest.mark.skipif(not Path("/dev/tty2").exists(), reason="needs device nodes to stand in for accelerators")
def test_only_the_granted_devices_are_there(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consoles stand in for cards: real device nodes that a sandbox otherwise lacks."""
    cards = replace(accelerators._VENDORS["nvidia"], nodes=("tty{index}",), control=("tty9",))
    monkeypatch.setitem(accelerators._VENDORS, "nvidia", cards)
    grants = (AcceleratorGrant("nvidia", 2),)
    said = attempt(
        harness,
        "ls /dev | grep '^tty[0-9]' | tr '\\n' ' '; echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES; "
        "[ -c /dev/tty2 ] && echo device; ls /sys/fs | wc -l; ls /sys/bus | grep -c .",
        nodes=(NodeGrant("localhost", grants),),
    )
    assert said.splitlines()[:3] == ["tty2 tty9 0 2", "device", "0"]
    assert int(said.splitlines()[3]) > 0


@pytest.mark.parametrize(
    "target", ["/", "/usr", "/usr/local/x", "/etc", "/proc", "/run/zhisuan/lib", "/artifacts/x", "../x", "/var"]
)
def test_a_mount_cannot_cover_the_system(harness: Harness, tmp_path: Path, target: str) -> None:
    archive = pack(tmp_path / "a.tgz", {"f": "x"})
    with pytest.raises(InvalidSpec):
        harness.engine.start(spec("true", mounts=(FileMount(archive, target),)))


def test_a_mount_may_lie_beside_the_work(harness: Harness, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tgz", {"f": "x\n"})
    mounts = (FileMount(archive, "/data/set"), FileMount(archive, "/data"), FileMount(archive, "/work/w"))
    said = attempt(harness, "cat /data/set/f /data/f w/f; echo more > /data/set/g && ls /data/set", mounts=mounts)
    assert said == "x\nx\nx\nf\ng\n"


def test_the_archive_may_be_closed_to_the_runs_user(harness: Harness, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tgz", {"f": "x\n"})
    archive.chmod(0o600)
    assert attempt(harness, "cat f", workdir_archive=archive) == "x\n"


def test_an_archive_bomb_is_refused(tmp_path: Path) -> None:
    bomb = pack(tmp_path / "bomb.tgz", {"zeros": bytes(3_000_000)})
    assert bomb.stat().st_size < 10_000
    with sandbox_harness(tmp_path / "engine", archive_bytes_max=1_000_000) as harness:
        seen = harness.run("true", workdir_archive=bomb)
    assert seen.reason is ExitReason.start_failed
    assert "1000000 bytes" in (seen.message or "")


def test_the_stage_leaves_no_trace_on_the_host(harness: Harness) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    attempt(harness, "true")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_core_files_and_open_files_are_limited(harness: Harness) -> None:
    assert attempt(harness, "ulimit -c; ulimit -n").splitlines()[0] == "0"


def test_many_runs_at_once_keep_apart(harness: Harness) -> None:
    """Ten starts in parallel: each sees its own environment, user and folder."""

    def start(number: int) -> None:
        harness.engine.start(
            spec('echo "$N $(id -u)"; ls', lease_id=f"lease_{number}", env={"N": str(number)}, cpus_milli=200)
        )

    threads = [threading.Thread(target=start, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(10):
        harness.ended(f"lease_{number}")
    said = [harness.log(f"lease_{number}").split() for number in range(10)]
    assert [line[0] for line in said] == [str(number) for number in range(10)]
    assert len({line[1] for line in said}) == 10


def test_the_log_is_bounded_and_says_so(tmp_path: Path) -> None:
    with sandbox_harness(tmp_path / "engine", log_bytes_max=100_000) as harness:
        seen = harness.run("head -c 3000000 /dev/zero | tr '\\0' x; echo end")
        assert seen.reason is ExitReason.completed
        log = harness.log()
    assert log.startswith("x" * 100_000 + "\n[zhisuan] the log has reached its limit of 100000 bytes")
    assert len(log) < 100_200


def test_nothing_is_left_after_removal(harness: Harness, tmp_path: Path) -> None:
    attempt(harness, "mkdir -p a/b && chmod 000 a; p=d; for i in $(seq 300); do mkdir $p && cd $p; done; true")
    uid_files = {path for path in Path("/run/zhisuan/uids").glob("[0-9]*") if str(tmp_path) in path.read_text()}
    assert len(uid_files) == 1
    groups = group_folders(tmp_path / "engine/runs/lease_a/1")
    assert groups
    harness.engine.remove("lease_a", 1)
    assert not any(path.exists() for path in uid_files)
    assert list((tmp_path / "engine" / "runs").iterdir()) == []
    assert list((tmp_path / "engine" / "trash").iterdir()) == []
    assert not any(folder.exists() for folder in groups)
