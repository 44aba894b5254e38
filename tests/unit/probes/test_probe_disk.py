"""The disk probe: what it writes, that nothing stays behind, and folders it cannot use."""

import os
import shutil
import time
from pathlib import Path

import pytest

from zhisuan.site.discovery.types import Problem
from zhisuan.site.probes import disk
from zhisuan.site.probes.types import DiskMeasurement

MIB = 1024**2


def _measure(folder: Path, size_mib: int = 8, budget_ms: int = 60_000) -> DiskMeasurement | Problem:
    return disk.measure(str(folder), size_mib=size_mib, budget_ns=budget_ms * 1_000_000, now_ns=time.perf_counter_ns)


def test_a_folder_is_measured_and_left_empty(tmp_path: Path) -> None:
    found = _measure(tmp_path)
    assert isinstance(found, DiskMeasurement)
    assert found.bytes_written == 8 * MIB
    assert found.write_megabytes_per_second > 0
    if hasattr(os, "posix_fadvise"):
        assert found.read_megabytes_per_second is not None and found.read_megabytes_per_second > 0
    assert list(tmp_path.iterdir()) == []


def test_the_size_is_capped_at_64_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def count(_handle: int, data: bytes) -> int:
        written.append(len(data))
        return len(data)

    monkeypatch.setattr(os, "write", count)
    found = _measure(tmp_path, size_mib=10_000)
    assert isinstance(found, DiskMeasurement)
    assert found.bytes_written == sum(written) == 64 * MIB


def test_the_rates_are_bytes_over_the_timed_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_forget", lambda _handle: True)
    # Readings: start, before the second block, end of writing, start and end of reading, end.
    readings = iter([0, 10, 40_000_000, 50_000_000, 60_000_000, 70_000_000])
    found = disk.measure(str(tmp_path), size_mib=8, budget_ns=10**12, now_ns=lambda: next(readings))
    assert isinstance(found, DiskMeasurement)
    assert found.write_megabytes_per_second == 8 * MIB * 1000 // 40_000_000
    assert found.read_megabytes_per_second == 8 * MIB * 1000 // 10_000_000
    assert found.duration_ms == 70


def test_a_slow_disk_ends_after_the_first_block(tmp_path: Path) -> None:
    found = _measure(tmp_path, size_mib=64, budget_ms=0)
    assert isinstance(found, DiskMeasurement)
    assert found.bytes_written == disk.BLOCK_BYTES


def test_where_the_cache_cannot_be_dropped_reading_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    found = _measure(tmp_path)
    assert isinstance(found, DiskMeasurement)
    assert found.read_megabytes_per_second is None


def test_a_folder_that_is_not_there_or_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "absent", tmp_path / "file"):
        found = _measure(folder)
        assert isinstance(found, Problem)
        assert found.code == "disk_unusable"
        assert str(folder) in found.what.en and str(folder) in found.what.zh


def test_a_nearly_full_disk_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**12, 10**12, 31 * MIB))
    found = _measure(tmp_path)
    assert isinstance(found, Problem)
    assert found.code == "disk_full"
    assert "31 MiB are free, 32 MiB are wanted" in found.what.en


def test_a_write_that_fails_is_a_problem_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    found = _measure(tmp_path)
    assert isinstance(found, Problem)
    assert "No space left on device" in found.what.en
    assert list(tmp_path.iterdir()) == []
