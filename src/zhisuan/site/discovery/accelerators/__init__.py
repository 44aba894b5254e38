"""Accelerators: one adapter a vendor, all tried in the order of the table."""

from zhisuan.site.discovery.accelerators import (
    amd,
    ascend,
    cambricon,
    enflame,
    hygon,
    iluvatar,
    intel,
    kunlun,
    metax,
    mthreads,
    nvidia,
)
from zhisuan.site.discovery.accelerators.common import Adapter, Finding
from zhisuan.site.discovery.reader import HostReader
from zhisuan.site.discovery.types import Accelerator, Problem

# Adding a vendor: one file with a ``find(reader) -> Finding`` and one row here. See the README of discovery.
ADAPTERS: tuple[tuple[str, Adapter], ...] = (
    ("nvidia", nvidia.find),
    ("huawei", ascend.find),
    ("cambricon", cambricon.find),
    ("hygon", hygon.find),
    ("metax", metax.find),
    ("mthreads", mthreads.find),
    ("iluvatar", iluvatar.find),
    ("enflame", enflame.find),
    ("kunlun", kunlun.find),
    ("amd", amd.find),
    ("intel", intel.find),
)


def find_accelerators(reader: HostReader) -> tuple[tuple[Accelerator, ...], tuple[Problem, ...]]:
    """All accelerators of the host in the order of ``ADAPTERS``, each vendor's by index, and all problems."""
    findings: list[Finding] = [find(reader) for _, find in ADAPTERS]
    devices = tuple(device for finding in findings for device in sorted(finding.devices, key=lambda d: d.index))
    return devices, tuple(problem for finding in findings for problem in finding.problems)
