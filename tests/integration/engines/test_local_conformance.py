"""The local engine keeps the contract, in a sandbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import EngineConformance, Harness
from local_engine import local_harness, needs_bwrap


@needs_bwrap
class TestLocalSandbox(EngineConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Harness]:
        with local_harness(tmp_path / "engine") as harness:
            yield harness
