"""The real API over a real PostgreSQL, called through ASGI, at a time the tests set."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_city import City, build_city
from api_world import SiteAgentTwin, World, open_world

from zhisuan.testing.database import TestServer


@pytest.fixture
def world(postgres: TestServer, tmp_path: Path) -> Iterator[World]:
    with open_world(postgres, tmp_path) as opened:
        yield opened


@pytest.fixture
def make_site(world: World) -> Callable[..., SiteAgentTwin]:
    """Joins a site as its agent would: by the wire."""
    return lambda **more: SiteAgentTwin(world, **more)


@pytest.fixture(scope="session")
def city(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A platform on which everything has happened once, for tests that change nothing that others look at."""
    with open_world(postgres, tmp_path_factory.mktemp("city")) as opened:
        yield build_city(opened)
