"""Opens local engines for tests and leaves nothing of them behind."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from engine_conformance import Harness

from zhisuan.base.clock import SystemClock
from zhisuan.engines.contract import IsolationLevel
from zhisuan.engines.local import records
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.local.engine import LocalEngine

CGROUP_PARENT = "zhisuan-test"

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: runs get user ids of their own")


def config(**changes: Any) -> LocalEngineConfig:
    return LocalEngineConfig(cgroup_parent=CGROUP_PARENT, **changes)


@contextmanager
def local_harness(root: Path, **changes: Any) -> Iterator[Harness]:
    chosen = config(**changes)
    harness = Harness(lambda: LocalEngine(root, clock=SystemClock(), config=chosen))
    try:
        yield harness
    finally:
        harness.clear()


@contextmanager
def sandbox_harness(root: Path, **changes: Any) -> Iterator[Harness]:
    """Skips where this host cannot give a full sandbox."""
    with local_harness(root, **changes) as harness:
        report = harness.engine.preflight()
        if report.isolation is not IsolationLevel.sandbox:
            pytest.skip("no full sandbox on this host: " + "; ".join(problem.message_en for problem in report.problems))
        yield harness


def group_folders(run_folder: Path) -> list[Path]:
    """The run's control groups, in every hierarchy."""
    plan = records.read(str(run_folder / "plan")) or []
    return [Path(value.split(" ", 1)[1]) for key, value in plan if key == "cgroup_folder"]
