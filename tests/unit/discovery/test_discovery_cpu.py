"""Processors: x86 and Arm, layout from sysfs or from cpuinfo, only what every core can do."""

import pytest

from zhisuan.site.discovery import RecordedHostReader
from zhisuan.site.discovery.cpu import read_processor

XEON = """\
processor\t: {0}
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8488C
physical id\t: {1}
core id\t\t: {2}
flags\t\t: fpu sse2 avx avx2 fma avx512f avx512_bf16 amx_bf16 amx_tile amx_int8 md_clear
"""
KUNPENG = """\
processor\t: {0}
BogoMIPS\t: 200.00
Features\t: fp asimd evtstrm aes asimdhp cpuid asimddp
CPU implementer\t: 0x48
CPU architecture: 8
CPU part\t: 0xd01
"""


def _host(cpuinfo: str, **files: str) -> RecordedHostReader:
    return RecordedHostReader({"/proc/cpuinfo": cpuinfo, **files})


def _topology(number: int, package: int, siblings: str) -> dict[str, str]:
    folder = f"/sys/devices/system/cpu/cpu{number}/topology"
    return {f"{folder}/physical_package_id": f"{package}\n", f"{folder}/thread_siblings_list": f"{siblings}\n"}


def test_two_sockets_with_hyper_threads_from_cpuinfo() -> None:
    # Core numbers repeat from socket to socket.
    records = [XEON.format(n, n // 4, n // 2 % 2) for n in range(8)]
    found = read_processor(_host("\n".join(records)))
    assert (found.model, found.vendor) == ("Intel(R) Xeon(R) Platinum 8488C", "Intel")
    assert (found.sockets, found.cores_physical) == (2, 4)
    assert found.flags == ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


def test_sysfs_is_believed_before_cpuinfo() -> None:
    layout = {**_topology(0, 0, "0,2"), **_topology(1, 0, "1,3"), **_topology(2, 0, "0,2"), **_topology(3, 0, "1,3")}
    found = read_processor(_host("\n".join(XEON.format(n, n, 0) for n in range(4)), **layout))
    assert (found.sockets, found.cores_physical) == (1, 2)


def test_an_arm_host_without_a_model_name_is_named_by_its_part() -> None:
    layout = {**_topology(0, 0, "0"), **_topology(1, 0, "1"), **_topology(2, 1, "2"), **_topology(3, 1, "3")}
    found = read_processor(_host("\n".join(KUNPENG.format(n) for n in range(4)), **layout))
    assert (found.model, found.vendor) == ("Kunpeng 920 (TaiShan v110)", "HiSilicon")
    assert (found.sockets, found.cores_physical) == (2, 4)
    assert found.flags == ("asimd", "asimdhp", "asimddp")


def test_an_unlisted_arm_part_keeps_its_numbers() -> None:
    found = read_processor(_host("processor: 0\nCPU implementer: 0x99\nCPU part: 0xabc\n"))
    assert (found.model, found.vendor) == ("Arm implementer 0x99 part 0xabc", "Arm implementer 0x99")


@pytest.mark.parametrize(
    ("vendor_id", "vendor"),
    [("HygonGenuine", "Hygon"), ("AuthenticAMD", "AMD"), ("  Shanghai  ", "Zhaoxin"), ("NewMaker", "NewMaker")],
)
def test_vendors(vendor_id: str, vendor: str) -> None:
    assert read_processor(_host(f"vendor_id\t: {vendor_id}\nmodel name\t: X\n")).vendor == vendor


def test_a_flag_that_one_core_lacks_is_not_claimed() -> None:
    big, little = "processor: 0\nflags: avx avx2\n", "processor: 1\nflags: avx\n"
    assert read_processor(_host(f"{big}\n{little}")).flags == ("avx",)


def test_nothing_readable_is_unknown_and_not_invented() -> None:
    found = read_processor(RecordedHostReader())
    assert (found.model, found.vendor, found.sockets, found.cores_physical, found.flags) == (
        "unknown",
        "unknown",
        None,
        None,
        (),
    )
