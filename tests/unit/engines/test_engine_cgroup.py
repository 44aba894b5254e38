"""Both versions of control groups: what is written where, and what is read. The kernel is stood in for by folders
with its file names; where this host has a version 2 hierarchy, killing is tried for real."""

import os
import subprocess
from pathlib import Path

import pytest

from zhisuan.engines.local import cgroup
from zhisuan.engines.local.cgroup import Cgroup, CgroupHost
from zhisuan.engines.local.cgroup_detect import CgroupMounts, own_v2_path, parse_mounts


def hierarchy_v2(tmp_path: Path, files: dict[str, str]) -> Cgroup:
    folder = tmp_path / "run"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return Cgroup(2, {"memory": str(folder), "cpu": str(folder), "pids": str(folder)})


def test_version_2_limits(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    Path(folder).mkdir()
    group = Cgroup(2, {"memory": folder, "cpu": folder, "pids": folder})
    for name in ("memory.swap.max", "memory.oom.group"):
        (Path(folder) / name).touch()
    group._limit_v2(256 << 20, 150_000)
    assert (Path(folder) / "memory.max").read_text() == str(256 << 20)
    assert (Path(folder) / "memory.swap.max").read_text() == "0"
    assert (Path(folder) / "memory.oom.group").read_text() == "1"
    assert (Path(folder) / "cpu.max").read_text() == "150000 100000"


def test_version_1_limits(tmp_path: Path) -> None:
    folders = {name: str(tmp_path / name / "run") for name in ("memory", "cpu", "cpuacct", "pids")}
    group = Cgroup(1, folders)
    group.create(64 << 20, 1500, 99)
    assert (tmp_path / "memory/run/memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (tmp_path / "cpu/run/cpu.cfs_quota_us").read_text() == "150000"
    assert (tmp_path / "cpu/run/cpu.cfs_period_us").read_text() == "100000"
    assert (tmp_path / "pids/run/pids.max").read_text() == "99"


def test_a_controller_that_is_not_there_is_left_alone(tmp_path: Path) -> None:
    Cgroup(2, {"pids": str(tmp_path / "run")}).create(64 << 20, 1000, 7)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["pids.max"]


def test_version_2_usage(tmp_path: Path) -> None:
    group = hierarchy_v2(
        tmp_path,
        {
            "cpu.stat": "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n",
            "memory.peak": "1048576\n",
            "memory.current": "5\n",
            "memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n",
            "cgroup.procs": "12\n0\n34\n",
        },
    )
    assert group.cpu_milliseconds() == 1234
    assert group.memory_peak_bytes() == 1 << 20
    assert group.out_of_memory_kills() == 2
    assert group.processes() == [12, 34]


def test_version_2_without_a_peak_gives_the_current_use(tmp_path: Path) -> None:
    assert hierarchy_v2(tmp_path, {"memory.current": "4096\n"}).memory_peak_bytes() == 4096


def test_version_1_usage(tmp_path: Path) -> None:
    for name, text in {
        "cpuacct.usage": "2500000000\n",
        "memory.max_usage_in_bytes": "777\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    }.items():
        (tmp_path / name).write_text(text)
    group = Cgroup(1, {"memory": str(tmp_path), "cpuacct": str(tmp_path)})
    assert (group.cpu_milliseconds(), group.memory_peak_bytes(), group.out_of_memory_kills()) == (2500, 777, 4)


def test_a_group_that_is_gone_reads_as_nothing(tmp_path: Path) -> None:
    for version in (1, 2):
        gone = Cgroup(version, {"memory": str(tmp_path / "gone"), "cpuacct": str(tmp_path / "gone")})
        assert (gone.cpu_milliseconds(), gone.memory_peak_bytes(), gone.out_of_memory_kills()) == (0, 0, 0)
        assert gone.processes() == []
        assert gone.kill_all(1.0)
        assert gone.remove()


def test_records_bring_a_group_back() -> None:
    group = Cgroup(1, {"memory": "/m/a b", "pids": "/p/x"})
    back = cgroup.from_pairs(group.to_pairs())
    assert back is not None
    assert (back.version, back.folders) == (group.version, group.folders)
    assert cgroup.from_pairs([("other", "x")]) is None


def test_engines_do_not_see_each_others_groups(tmp_path: Path) -> None:
    mine, other = CgroupHost(2, {"memory": str(tmp_path)}, "aaa"), CgroupHost(2, {"memory": str(tmp_path)}, "bbb")
    for host, name in ((mine, "lease.1"), (other, "lease.2")):
        Path(host.group(name).folders["memory"]).mkdir()
    (tmp_path / "cgroup.procs").touch()
    assert mine.names() == {"lease.1"}
    assert other.names() == {"lease.2"}


def test_mounts_of_both_versions_are_found() -> None:
    mountinfo = (
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/me\\040m rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "garbage\n"
    )
    shared = Path("/sys/fs/cgroup/cpu,cpuacct")
    assert parse_mounts(mountinfo) == CgroupMounts(
        {"cpu": shared, "cpuacct": shared, "memory": Path("/sys/fs/cgroup/me m")}, Path("/sys/fs/cgroup/unified")
    )


def test_the_own_group_is_found() -> None:
    assert own_v2_path("9:pids:/x\n0::/user.slice/a\n") == "/user.slice/a"
    assert own_v2_path("9:pids:/x\n") == "/"


def _unified() -> Path | None:
    mount = parse_mounts(Path("/proc/self/mountinfo").read_text()).v2
    return mount if mount is not None and os.access(mount, os.W_OK) and os.geteuid() == 0 else None


@pytest.mark.skipif(_unified() is None, reason="no writable version 2 hierarchy here")
def test_version_2_kills_all_at_once_for_real() -> None:
    folder = f"{_unified()}/zhisuan-test-{os.getpid()}"
    group = Cgroup(2, {"memory": folder})
    os.mkdir(folder)
    try:
        script = f"echo 0 > {folder}/cgroup.procs; for i in 1 2 3 4 5; do setsid sleep 600 & done; echo ready; exec sleep 600"
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert len(group.processes()) == 6
        assert group.kill_all(20)
        assert group.processes() == []
        assert child.wait(20) == -9
        child.stdout.close()
    finally:
        assert group.remove()
    assert not os.path.exists(folder)
