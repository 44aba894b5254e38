"""The whole host: recorded, and this machine against what other libraries say of it."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import psutil
import pytest
from host_recordings import exited, recording
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.discovery import CpuFacts, RecordedHostReader, SystemHostReader, discover
from zhisuan.site.discovery.accelerators import ADAPTERS, ascend, nvidia
from zhisuan.site.discovery.reader import HostBasics

RECORDED = RecordedHostReader(
    files={
        "/etc/os-release": 'PRETTY_NAME="openEuler 22.03"\nNAME="openEuler"\nVERSION_ID="22.03"\n# note\n',
        "/proc/sys/kernel/random/boot_id": "b3e89045-3ae8-42e2-a718-b3e58ad2049e\n",
        "/proc/meminfo": "MemTotal:       65536000 kB\nMemFree:        1 kB\n",
        "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "/proc/self/cgroup": "0::/agent\n",
        "/sys/fs/cgroup/agent/cpu.max": "250000 100000\n",
        "/sys/fs/cgroup/agent/memory.max": "8589934592\n",
    },
    tools={
        nvidia.command(nvidia.FIELDS): exited(recording("nvidia_a100_pair.csv")),
        ascend.COMMAND: exited("no table here\n"),
    },
    disks={"/srv": (100 * 1024**3, 40 * 1024**3)},
    host=HostBasics("node-1", "Linux", "5.10.0", "#1 SMP", "aarch64", 8, 6, 7),
)


def test_a_recorded_host() -> None:
    facts = discover(RECORDED, data_dir="/srv/zhisuan/data")
    assert (facts.hostname, facts.boot_id) == ("node-1", "b3e89045-3ae8-42e2-a718-b3e58ad2049e")
    assert facts.os.to_json() == {
        "name": "openEuler",
        "version": "22.03",
        "kernel": "5.10.0",
        "architecture": "aarch64",
    }
    assert (facts.cpu.cores_logical, facts.cpu.cores_allowed, facts.cpu.quota_millicores) == (8, 6, 2500)
    assert facts.cpu.cores_usable == 2
    assert facts.memory.to_json() == {"total_mib": 64000, "limit_mib": 8192, "usable_mib": 8192}
    # The folder is still to be made: the disk that will hold it answers.
    assert facts.disk is not None
    assert (facts.disk.path, facts.disk.total_mib, facts.disk.free_mib) == ("/srv/zhisuan/data", 102400, 40960)
    assert [device.index for device in facts.accelerators] == [0, 1]
    assert [(p.source, p.code) for p in facts.problems] == [("npu-smi", "unknown_format")]


def test_the_plain_form_is_json_and_complete() -> None:
    plain = discover(RECORDED, data_dir="/srv").to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert set(plain) == {"hostname", "boot_id", "os", "cpu", "memory", "disk", "accelerators", "problems"}
    assert plain["problems"][0]["what"]["zh"]


def test_a_host_that_tells_nothing_gives_facts_and_a_problem_not_an_error() -> None:
    facts = discover(RecordedHostReader(), data_dir="/nowhere")
    assert (facts.boot_id, facts.disk, facts.accelerators) == (None, None, ())
    assert [p.code for p in facts.problems] == ["disk_unreadable"]
    assert facts.cpu.cores_usable == 1


@given(st.integers(1, 512), st.none() | st.integers(0, 10**6))
def test_usable_cores_never_exceed_what_is_allowed_and_are_never_none(allowed: int, quota: int | None) -> None:
    cpu = CpuFacts("m", "v", None, None, 512, allowed, quota, ())
    assert 1 <= cpu.cores_usable <= allowed
    if quota is not None and quota >= 1000:
        assert cpu.cores_usable * 1000 <= quota


@pytest.mark.skipif(sys.platform != "linux", reason="compares with Linux interfaces")
def test_this_machine_agrees_with_other_readers() -> None:
    facts = discover(SystemHostReader(), data_dir="/")
    assert facts.hostname == os.uname().nodename
    assert facts.os.kernel == os.uname().release
    assert facts.os.architecture == os.uname().machine
    assert facts.memory.total_mib == psutil.virtual_memory().total // 1024**2
    assert facts.cpu.cores_logical == psutil.cpu_count()
    assert facts.cpu.cores_allowed == len(os.sched_getaffinity(0))
    if facts.cpu.cores_physical is not None and psutil.cpu_count(logical=False):
        assert facts.cpu.cores_physical == psutil.cpu_count(logical=False)
    assert facts.disk is not None
    assert facts.disk.total_mib == shutil.disk_usage("/").total // 1024**2


def _tool(folder: Path, name: str, body: str) -> None:
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_real_tool_on_the_path_is_found_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.txt"
    output.write_text(recording("npu_smi_910b4.txt"), encoding="utf-8")
    _tool(tmp_path, "npu-smi", f'[ "$1" = info ] && [ "$LC_ALL" = C ] && cat {output}')
    _tool(tmp_path, "nvidia-smi", "echo 'driver is not loaded' >&2; exit 9")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    facts = discover(SystemHostReader(), data_dir=str(tmp_path))
    assert [d.name for d in facts.accelerators] == ["Ascend 910B4"] * 4
    (problem,) = facts.problems
    assert (problem.source, problem.code) == ("nvidia-smi", "tool_failed")
    assert "driver is not loaded" in problem.what.en


def test_the_system_reader_tells_how_a_tool_ended(tmp_path: Path) -> None:
    reader = SystemHostReader()
    assert reader.run(("no-such-tool-anywhere",), timeout_seconds=1).outcome == "missing"
    slow = reader.run((sys.executable, "-c", "import time; time.sleep(60)"), timeout_seconds=0.2)
    assert slow.outcome == "timed_out"
    done = reader.run((sys.executable, "-c", "import sys; print('é'); sys.exit(3)"), timeout_seconds=30)
    assert (done.outcome, done.exit_code) == ("exited", 3)
    broken = tmp_path / "broken-tool"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    assert reader.run((str(broken),), timeout_seconds=5).outcome == "failed_to_start"


def test_the_system_reader_is_quiet_about_what_is_absent(tmp_path: Path) -> None:
    reader = SystemHostReader()
    assert reader.read_text(str(tmp_path / "absent")) is None
    assert reader.read_text(str(tmp_path)) is None
    assert reader.list_dir(str(tmp_path / "absent")) == ()
    assert reader.disk_bytes(str(tmp_path / "absent")) is None
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    assert reader.list_dir(str(tmp_path)) == ("a", "b")


def test_every_adapter_is_silent_on_a_host_without_its_tool() -> None:
    for vendor, find in ADAPTERS:
        finding = find(RecordedHostReader())
        assert (finding.devices, finding.problems) == ((), ()), vendor
