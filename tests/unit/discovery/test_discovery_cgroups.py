"""Control groups: formats of both versions, and the tightest limit on the way up."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.discovery import RecordedHostReader
from zhisuan.site.discovery.cgroups import (
    Mount,
    folders,
    parse_cfs,
    parse_cpu_max,
    parse_memberships,
    parse_memory,
    parse_mounts,
    read_limits,
)

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
)
microseconds = st.integers(1, 10**7)
periods = st.integers(1000, 10**6)


@given(microseconds, periods)
def test_quota_over_period_is_floored_to_thousandths_of_a_core(quota: int, period: int) -> None:
    exact = Fraction(quota, period) * 1000
    assert parse_cpu_max(f"{quota} {period}\n") == exact.numerator // exact.denominator
    assert parse_cfs(f"{quota}\n", f"{period}\n") == exact.numerator // exact.denominator


@pytest.mark.parametrize("text", ["max 100000\n", "", "max", "100000", "a b", "1 0", "-1 100000", "1 2 3"])
def test_no_version_2_quota(text: str) -> None:
    assert parse_cpu_max(text) is None


def test_no_version_1_quota() -> None:
    assert parse_cfs("-1\n", "100000\n") is None
    assert parse_cfs("50000\n", "0\n") is None
    assert parse_cfs("", "") is None


def test_memory_limits() -> None:
    assert parse_memory("max\n") is None
    assert parse_memory("9223372036854771712\n") is None
    assert parse_memory("536870912\n") == 536870912
    assert parse_memory("") is None


@given(st.text(), st.text())
def test_no_text_breaks_the_parsers(one: str, two: str) -> None:
    parse_cpu_max(one)
    parse_cfs(one, two)
    parse_memory(one)
    for mount in parse_mounts(f"{one} - {two}"):
        list(folders(mount, two))
    parse_memberships(one)


def test_a_mount_point_with_a_blank_is_unescaped() -> None:
    (mount,) = parse_mounts("36 35 0:26 / /mnt/my\\040groups rw master:1 - cgroup2 none rw\n")
    assert mount.point == "/mnt/my groups"


def test_folders_go_from_the_group_up_to_the_mount() -> None:
    mount = Mount("/", "/sys/fs/cgroup", 2, frozenset())
    assert list(folders(mount, "/a/b")) == ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]


def test_a_container_sees_its_group_at_the_mount_root() -> None:
    mount = Mount("/docker/f00", "/sys/fs/cgroup/memory", 1, frozenset({"memory"}))
    assert list(folders(mount, "/docker/f00")) == ["/sys/fs/cgroup/memory"]
    assert list(folders(mount, "/docker/f00/job")) == ["/sys/fs/cgroup/memory/job", "/sys/fs/cgroup/memory"]
    # Another group's name that merely begins alike lies outside.
    assert list(folders(mount, "/docker/f001/job")) == ["/sys/fs/cgroup/memory"]


def test_a_path_out_of_the_mount_looks_at_the_mount_alone() -> None:
    mount = Mount("/", "/sys/fs/cgroup", 2, frozenset())
    assert list(folders(mount, "/../other")) == ["/sys/fs/cgroup"]


levels = st.lists(
    st.tuples(st.none() | st.tuples(microseconds, periods), st.none() | st.integers(1, 2**40)), min_size=1, max_size=5
)


@given(levels)
def test_version_2_takes_the_tightest_limit_of_all_levels(
    limits: list[tuple[tuple[int, int] | None, int | None]],
) -> None:
    files = {"/proc/self/mountinfo": V2_MOUNT, "/proc/self/cgroup": "0::/" + "/".join(map(str, range(1, len(limits))))}
    for depth, (cpu, memory) in enumerate(limits):
        folder = "/sys/fs/cgroup" + "".join(f"/{level}" for level in range(1, depth + 1))
        files[f"{folder}/cpu.max"] = "max 100000\n" if cpu is None else f"{cpu[0]} {cpu[1]}\n"
        files[f"{folder}/memory.max"] = "max\n" if memory is None else f"{memory}\n"
    found = read_limits(RecordedHostReader(files))
    quotas = [Fraction(*cpu) * 1000 for cpu, _ in limits if cpu]
    assert found.cpu_millicores == (int(min(quotas)) if quotas else None)
    assert found.memory_bytes == min((memory for _, memory in limits if memory), default=None)


@given(levels)
def test_version_1_takes_the_tightest_limit_of_all_levels(
    limits: list[tuple[tuple[int, int] | None, int | None]],
) -> None:
    path = "/" + "/".join(map(str, range(1, len(limits))))
    files = {"/proc/self/mountinfo": V1_MOUNTS, "/proc/self/cgroup": f"4:memory:{path}\n3:cpuacct,cpu:{path}\n"}
    for depth, (cpu, memory) in enumerate(limits):
        below = "".join(f"/{level}" for level in range(1, depth + 1))
        files[f"/sys/fs/cgroup/cpu,cpuacct{below}/cpu.cfs_quota_us"] = f"{cpu[0] if cpu else -1}\n"
        files[f"/sys/fs/cgroup/cpu,cpuacct{below}/cpu.cfs_period_us"] = f"{cpu[1] if cpu else 100000}\n"
        files[f"/sys/fs/cgroup/memory{below}/memory.limit_in_bytes"] = f"{memory or 9223372036854771712}\n"
    found = read_limits(RecordedHostReader(files))
    quotas = [Fraction(*cpu) * 1000 for cpu, _ in limits if cpu]
    assert found.cpu_millicores == (int(min(quotas)) if quotas else None)
    assert found.memory_bytes == min((memory for _, memory in limits if memory), default=None)


def test_a_mixed_host_reads_both_versions() -> None:
    files = {
        "/proc/self/mountinfo": V1_MOUNTS + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        "/proc/self/cgroup": "4:memory:/jobs\n1:cpu:/\n0::/\n",
        "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "1073741824\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "/sys/fs/cgroup/unified/cpu.max": "150000 100000\n",
    }
    found = read_limits(RecordedHostReader(files))
    assert (found.cpu_millicores, found.memory_bytes) == (1500, 1073741824)


def test_a_host_without_control_groups_has_no_limits() -> None:
    found = read_limits(RecordedHostReader())
    assert (found.cpu_millicores, found.memory_bytes) == (None, None)
