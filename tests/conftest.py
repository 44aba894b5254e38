"""Fixtures shared by all tests."""

import hashlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from zhisuan.base import secrets
from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.testing.database import START, TestServer

# A run of pytest closes the temporary folder that all runs of its user share to everybody else, and with it a PostgreSQL of
# another run, which has a user of its own: each checkout has its own folder. A short name, since sockets lie below it.
_CHECKOUT = hashlib.sha256(str(Path(__file__).parents[1]).encode()).hexdigest()[:6]
_TEMPORARY = Path(tempfile.gettempdir()) / f"zs-{_CHECKOUT}"
_TEMPORARY.mkdir(exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_TEMPORARY))

# A run begun in the background ignores Ctrl-C, and so would everything that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "zhisuan", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("zhisuan")


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Passwords are dear to hash so that they are dear to guess; of the tests' people everybody knows them. Processes of their
    own hash as always."""
    with mock.patch.object(secrets, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)):
        yield


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
