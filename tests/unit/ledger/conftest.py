"""A fresh ledger world for each test."""

import pytest
from ledger_world import World, make_world

from zhisuan.base.db import Database


@pytest.fixture
def world(database: Database) -> World:
    return make_world(database)
