import logging
from collections.abc import Iterator

import pytest
from fault_city import build_template

from zhisuan.testing.city.city import People
from zhisuan.testing.database import TestServer


@pytest.fixture(scope="session")
def people(postgres: TestServer) -> People:
    return build_template(postgres)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A thousand lost answers are no news here; what matters is in the story of the scenario."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
