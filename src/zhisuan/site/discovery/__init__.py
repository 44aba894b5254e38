"""What a host is: operating system, processor, memory, disk and accelerators, read and never guessed."""

from zhisuan.site.discovery.discover import discover
from zhisuan.site.discovery.reader import HostReader, RecordedHostReader, SystemHostReader, ToolResult
from zhisuan.site.discovery.types import (
    Accelerator,
    CpuFacts,
    DiskFacts,
    HostFacts,
    MemoryFacts,
    OsFacts,
    Problem,
)

__all__ = [
    "Accelerator",
    "CpuFacts",
    "DiskFacts",
    "HostFacts",
    "HostReader",
    "MemoryFacts",
    "OsFacts",
    "Problem",
    "RecordedHostReader",
    "SystemHostReader",
    "ToolResult",
    "discover",
]
