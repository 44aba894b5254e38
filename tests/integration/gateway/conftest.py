"""A city for each test: control server and gateway on loopback, sites and model servers as the test adds them."""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gateway_servers import City


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def bare_city(tmp_path: Path) -> AsyncIterator[City]:
    """Not started: the test calls ``start`` with limits of its own."""
    async with contextlib.AsyncExitStack() as stack:
        yield City(tmp_path, stack)


@pytest.fixture
async def city(bare_city: City) -> City:
    await bare_city.start()
    return bare_city
