"""Fixtures shared by all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.testing.database import START, TestServer

settings.register_profile(
    "zhisuan", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("zhisuan")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    folder: Path = tmp_path_factory.mktemp("pg")
    server = TestServer(folder)
    yield server
    server.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def database(postgres: TestServer, clock: ManualClock) -> Iterator[Database]:
    """A fresh database; ``clock`` is its clock."""
    with postgres.database(clock=clock) as fresh:
        yield fresh
