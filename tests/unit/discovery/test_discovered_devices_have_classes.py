"""From a vendor's tool to a class: what discovery reads is what the table was written for."""

import pytest
from host_recordings import recording

from zhisuan.catalog.device_classes import load_device_classes, match_class
from zhisuan.site.discovery.accelerators import amd, ascend, nvidia


@pytest.mark.parametrize(
    ("parse", "name", "classes"),
    [
        (nvidia.parse, "nvidia_a100_pair.csv", ["nvidia-a100-sxm4-80g"] * 2),
        (ascend.parse, "npu_smi_910b4.txt", ["ascend-910b4-32g"] * 4),
        (ascend.parse, "npu_smi_910c.txt", ["ascend-910c-die"] * 4),
        (ascend.parse, "npu_smi_310p3.txt", [None]),
        (ascend.parse, "npu_smi_310b1.txt", [None]),
        (amd.parse_amd_smi, "amd_smi_mi300x_list.txt", ["amd-mi300x-192g"]),
        (amd.parse_amd_smi, "amd_smi_mi355x.txt", [None]),
        (amd.parse_rocm_smi, "rocm_smi_7900xt.txt", [None]),
    ],
)
def test_recorded_devices(parse, name, classes) -> None:  # type: ignore[no-untyped-def]
    devices = parse(recording(name)).devices
    assert [match_class(d.name, d.memory_mib, load_device_classes()) for d in devices] == classes
