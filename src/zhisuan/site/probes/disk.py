"""Sequential disk speed of a folder: ``python -m zhisuan.site.probes.disk --json FOLDER``.

Writes one file of random bytes, at most 64 MiB, in blocks of 4 MiB and syncs it (fsync(2)) within the timed span; then
asks the system to forget the cached pages (posix_fadvise(2), POSIX_FADV_DONTNEED) and reads the file back. The file
loses its name at once, so nothing is left behind however the process ends.
"""

import argparse
import os
import shutil
import tempfile
import time

from zhisuan.base.text import Text
from zhisuan.site.discovery.types import Problem
from zhisuan.site.probes.protocol import Speaker
from zhisuan.site.probes.sampling import Nanoseconds
from zhisuan.site.probes.types import DiskMeasurement

SIZE_MAX_MIB = 64
BLOCK_BYTES = 4 * 1024**2
# The probe must never be what fills a disk.
_FREE_RATIO = 4


def measure(folder: str, *, size_mib: int, budget_ns: int, now_ns: Nanoseconds) -> DiskMeasurement | Problem:
    """Write, sync, forget, read. Stops writing when half of the budget is gone; what was written counts."""
    size = max(1, min(size_mib, SIZE_MAX_MIB)) * 1024**2
    try:
        free = shutil.disk_usage(folder).free
        if free < _FREE_RATIO * size:
            return _too_full(folder, free, _FREE_RATIO * size)
        handle, path = tempfile.mkstemp(prefix=".zhisuan-disk-probe-", dir=folder)
        os.unlink(path)
    except OSError as error:
        return _unusable(folder, error)
    started = now_ns()
    try:
        written = _write(handle, size, started + budget_ns // 2, now_ns)
        wrote = now_ns()
        read_ns = _read(handle, now_ns) if _forget(handle) else None
    except OSError as error:
        return _unusable(folder, error)
    finally:
        os.close(handle)
    return DiskMeasurement(
        path=folder,
        write_megabytes_per_second=written * 1000 // max(1, wrote - started),
        read_megabytes_per_second=None if read_ns is None else written * 1000 // read_ns,
        bytes_written=written,
        method="sequential 4 MiB blocks of random bytes, fsync included; read after the cache was dropped",
        duration_ms=(now_ns() - started) // 1_000_000,
    )


def _write(handle: int, size: int, deadline_ns: int, now_ns: Nanoseconds) -> int:
    block = os.urandom(BLOCK_BYTES)
    written = 0
    while written < size and (written == 0 or now_ns() < deadline_ns):
        written += os.write(handle, block)
    os.fsync(handle)
    return written


def _forget(handle: int) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _read(handle: int, now_ns: Nanoseconds) -> int:
    os.lseek(handle, 0, os.SEEK_SET)
    started = now_ns()
    while os.read(handle, BLOCK_BYTES):
        pass
    return max(1, now_ns() - started)


def _too_full(folder: str, free: int, wanted: int) -> Problem:
    free_mib, wanted_mib = free // 1024**2, wanted // 1024**2
    return Problem(
        "disk",
        "disk_full",
        Text(
            f"The disk of {folder} was not measured: {free_mib} MiB are free, {wanted_mib} MiB are wanted.",
            f"未测量 {folder} 所在磁盘：剩余 {free_mib} MiB，少于所需的 {wanted_mib} MiB。",
        ),
        Text("Free some space and probe again.", "请先清理空间，然后重新测量。"),
    )


def _unusable(folder: str, error: OSError) -> Problem:
    reason = error.strerror or str(error)
    return Problem(
        "disk",
        "disk_unusable",
        Text(f"The disk of {folder} was not measured: {reason}.", f"未测量 {folder} 所在磁盘：{reason}。"),
        Text("Give the agent a data folder that it may write to.", "请为代理指定一个可写的数据目录。"),
    )


def probe(speaker: Speaker, options: argparse.Namespace, now_ns: Nanoseconds) -> None:
    speaker.progress(Text("disk: write, sync, read", "磁盘：写入、落盘、读取"))
    budget = options.budget_ms * 1_000_000
    outcome = measure(options.folder, size_mib=options.size_mib, budget_ns=budget, now_ns=now_ns)
    if isinstance(outcome, Problem):
        speaker.problem(outcome)
        return
    read = outcome.read_megabytes_per_second
    shown = "" if read is None else f", read {read} MB/s"
    speaker.result("disk", outcome, f"disk: write {outcome.write_megabytes_per_second} MB/s{shown}")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m zhisuan.site.probes.disk", description="Measure a folder's disk.")
    options.add_argument("folder", help="an existing folder that may be written to")
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("--size-mib", type=int, default=SIZE_MAX_MIB, help=f"file size, at most {SIZE_MAX_MIB}")
    options.add_argument("--budget-ms", type=int, default=3000, help="time; half of it for writing")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    speaker = Speaker(as_json=options.json)
    probe(speaker, options, time.perf_counter_ns)
    speaker.end()


if __name__ == "__main__":
    main()
