"""What a host really does: floating-point rate, memory bandwidth and disk speed, measured in short child processes."""

from zhisuan.site.probes.runner import Budget, probe_host
from zhisuan.site.probes.types import (
    BandwidthMeasurement,
    DiskMeasurement,
    Measurement,
    ProbeReport,
    Progress,
)

__all__ = [
    "BandwidthMeasurement",
    "Budget",
    "DiskMeasurement",
    "Measurement",
    "ProbeReport",
    "Progress",
    "probe_host",
]
