"""From a vendor's tool to a class: what discovery reads is what the table was written for."""

import pytest
from host_recordings import recording
from test_discovery_vendors import RECORDED, intel_host

from zhisuan.catalog.device_classes import load_device_classes, match_class
from zhisuan.site.discovery.accelerators import amd, ascend, intel
from zhisuan.site.discovery.accelerators.common import Finding

CLASSES = load_device_classes()
EXPECTED: dict[str, tuple[str | None, ...]] = {
    "nvidia_a100_pair.csv": ("nvidia-a100-sxm4-80g",) * 2,
    "npu_smi_910a.txt": ("ascend-910a-32g",) * 2,
    "npu_smi_910b4.txt": ("ascend-910b4-32g",) * 4,
    "npu_smi_910c.txt": ("ascend-910c-die",) * 4,
    "npu_smi_310p3.txt": (None,),
    "cnmon_4.20_mlu370x4.txt": ("cambricon-mlu370-x4",) * 2,
    "cnmon_5.10_mlu370x8.txt": ("cambricon-mlu370-x8-chip",) * 2,
    "hy_smi_bw.json": ("hygon-bw-64g",) * 2,
    "hy_smi_k100_ai.json": ("hygon-k100-ai",),
    "mx_smi_2.1_c500.txt": ("metax-c500",) * 2,
    "mx_smi_2.3_c500.txt": ("metax-c500",) * 2,
    "mthreads_gmi_2.3_s5000.txt": ("mthreads-mtt-s5000",) * 2,
    "mthreads_gmi_1.14_s80.txt": ("mthreads-mtt-s80",),
    "ixsmi_4.4_bi_v150.csv": ("iluvatar-bi-v150-chip",) * 2,
    "efsmi_q_s60.txt": ("enflame-s60",) * 2,
    "xpu_smi_m_p800.txt": ("kunlunxin-p800",) * 2,
    "amd_smi_mi300x_list.txt": ("amd-mi300x-192g",),
    "rocm_smi_7900xt.txt": (None,),
}


def _classes(finding: Finding) -> tuple[str | None, ...]:
    return tuple(match_class(d.name, d.memory_mib, CLASSES) for d in finding.devices)


def test_every_recording_is_expected_here() -> None:
    assert EXPECTED.keys() == RECORDED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_devices(name: str) -> None:
    assert _classes(RECORDED[name](recording(name))) == EXPECTED[name]


def test_recorded_devices_that_are_read_otherwise() -> None:
    assert _classes(intel.find(intel_host())) == ("intel-flex-170-16g",) * 2
    assert _classes(ascend.parse(recording("npu_smi_310b1.txt"))) == (None,)
    assert _classes(amd.parse_amd_smi(recording("amd_smi_mi355x.txt"))) == (None,)


def test_every_class_that_is_found_is_told_how_it_is_rated() -> None:
    by_id = {c.class_id: c for c in CLASSES}
    for class_id in {c for classes in EXPECTED.values() for c in classes if c is not None}:
        found = by_id[class_id]
        assert found.source and found.confidence in ("high", "medium", "low")
        assert found.is_rated == (found.rate_basis != "unrated")
