"""The local engine keeps the contract, in a sandbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import EngineConformance, Harness
from local_engine import local_harness, needs_bwrap
from survival_conformance import SurvivalConformance
from tasks_conformance import TasksConformance

pytestmark = needs_bwrap


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with local_harness(tmp_path / "engine") as harness:
        yield harness


class TestLocalSandbox(EngineConformance):
    pass


class TestLocalSurvival(SurvivalConformance):
    pass


class TestLocalTasks(TasksConformance):
    pass
